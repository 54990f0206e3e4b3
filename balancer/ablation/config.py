"""The section `ablation` of the configuration."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from balancer.section import ConfigSection, Share


class AblationConfig(ConfigSection):
    """Arms, splits, and the size of a difference that counts."""

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
    """Number of times that the images are split anew."""
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """Parts of a cross-validation; each is the test split once."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of trainings of each arm on each split; only their seeds differ."""
    held_back_share: Share = 0.3
    """Share of the rare class's training images that only `held-back-real` gets; if it is among the
    arms."""
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
    """A probe without lungs whose AUROC interval begins here or above makes every finding
    `confounded`."""
    leave_source_out: bool = True
    """Also test on each source after training without it, if the index has sources."""
    masks: Path | None = None
    """Path to a folder of lung masks with the relative paths of the images, for the probes; null:
    those of the archive, or else those that the built-in segmentation finds."""
    keep_models: bool = True
    """Keep the weights of every classifier, for a later `--external`."""
