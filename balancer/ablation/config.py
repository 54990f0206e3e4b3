"""The section `ablation` of the configuration."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from balancer.section import ConfigSection, Share


class AblationConfig(ConfigSection):
    """Which classifiers are compared, on which splits, and what counts as a difference."""

    arms: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "real",
        "oversample",
        "class-weights",
        "logit-adjustment",
        "classic-augmentation of=rare",
        "gan",
        "gan-filtered",
        "noise",
        "held-back-real",
    )
    """One line per arm: its name and its options, such as `gan ratio=1:1`."""
    resampling: Literal["splits", "folds"] = "splits"
    """`splits`: by the shares of `data.split`, anew each time; `folds`: cross-validation."""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 5
    """How often the images are split anew."""
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """Parts of a cross-validation; each is the test split once."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    """Trainings of each arm on each split, which differ in nothing but their seed."""
    held_back_share: Share = 0.3
    """Share of the rare class's training images that no arm is given but `held-back-real`; only
    where that arm is asked for."""
    primary: Literal[
        "auroc",
        "average_precision",
        "balanced_accuracy",
        "sensitivity",
        "specificity",
        "sensitivity_at_specificity",
        "accuracy",
        "f1",
        "mcc",
    ] = "auroc"
    """Metric that the verdicts are about."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Differences of the primary metric up to this size count as none."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """One-sided level at which an arm helps or hurts."""
    max_probe_auroc: Annotated[float, Field(gt=0.5, le=1)] = 0.90
    """A probe that sees no lungs but reaches this AUROC makes every verdict `confounded`."""
    leave_source_out: bool = True
    """Also test on each source that no training image is from, where the index has sources."""
    masks: Path | None = None
    """Folder of lung masks with the relative paths of the images; null: none."""
    keep_models: bool = True
    """Keep the weights of every classifier, for `--external` later."""
