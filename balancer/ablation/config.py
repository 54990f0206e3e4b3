"""The section `ablation` of the configuration."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from balancer.section import ConfigSection, Share

_FEWEST_AT_FIRST = 5
"""Splits before the first of several looks; with fewer, the spending of the level is not exact."""

PrimaryMetric = Literal[
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "sensitivity_at_specificity",
    "accuracy",
    "f1",
    "mcc",
    "net_benefit",
    "macro_auroc",
    "macro_average_precision",
    "macro_f1",
]
"""Metrics that the verdicts can be about."""
SecondaryMetric = Literal[PrimaryMetric, "brier_raw", "brier_recalibrated"]
"""Metrics whose harm can be reported beside the verdict."""


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
    """`splits`: new splits by the shares of `data.split`; `folds`: cross-validation."""
    repeats: Annotated[int, Field(ge=1, le=1000)] = 5
    """Number of times that the images are split."""
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """Parts of a cross-validation; each is the test split once."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of trainings of each arm on each split; only their seeds differ."""
    frozen_splits: Annotated[int, Field(ge=3, le=1000)] = 24
    """Number of splits of the pilot of `--dry-run` and of `--quick`, both on frozen features."""
    held_back_share: Share = 0.3
    """Share of the rare class's training images that only `held-back-real` gets; if it is among the
    arms."""
    rare_images: Annotated[int, Field(ge=2)] | None = None
    """Number of training images of the positive class that a study uses, and validation images in
    the same proportion; the others are set aside, so that the test split stays large. Null: all."""
    primary: PrimaryMetric = "auroc"
    """Metric that the verdicts are about: of the positive class against the rest; those that begin
    with `macro` are means over more than two classes."""
    secondary: tuple[SecondaryMetric, ...] = (
        "sensitivity_at_specificity",
        "net_benefit",
        "brier_recalibrated",
    )
    """Metrics whose harm is reported in the answer, beside log loss after recalibration."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Differences of the primary metric up to this size count as none."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """One-sided level at which an arm helps or hurts."""
    worth: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(max_length=6)] = ()
    """Shares of the positive class's real images with which `real` is trained too, for the worth of
    every arm in real images; `--worth` asks for `[0.125, 0.25, 0.5]`. Empty: not measured."""
    verdict_on: str | None = None
    """Name of a folder of `--external` whose images carry the verdict, with trainings as the unit;
    null: the test splits."""
    looks: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=4)] = ()
    """Planned looks: numbers of `repeats` after which arms are compared, such as `[5, 10]`; the
    first after 5 splits or more. Empty: one look."""
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

    @field_validator("worth")
    @classmethod
    def _make_a_curve(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(shares)) != len(shares):
            raise ValueError("each share may stand once")
        return shares

    @field_validator("keep_models")
    @classmethod
    def _are_kept_for_the_verdict(cls, keep: bool, info: ValidationInfo) -> bool:
        if not keep and info.data.get("verdict_on") is not None:
            raise ValueError("verdict_on needs the weights; leave one of the two out")
        return keep

    @field_validator("looks")
    @classmethod
    def _are_planned(cls, looks: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        repeats = info.data.get("repeats")
        parts = info.data.get("folds", 1) if info.data.get("resampling") == "folds" else 1
        if list(looks) != sorted(set(looks)):
            raise ValueError("the numbers must increase")
        if looks and looks[0] * parts < _FEWEST_AT_FIRST:
            raise ValueError(f"the first look needs {_FEWEST_AT_FIRST} splits or more")
        if looks and info.data.get("verdict_on") is not None:
            raise ValueError("planned looks are for verdicts on test splits; leave out verdict_on")
        if looks and repeats is not None and repeats not in looks:
            raise ValueError(f"ablation.repeats must be one of them, but is {repeats}")
        return looks


class TravelConfig(ConfigSection):
    """Views of the films that `balancer travel` compares, at home and elsewhere."""

    views: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "view lungs=crop-to-lungs",
        "view lungs=lungs-only",
        "view border=remove",
        "view contrast=equalize",
        "view border=remove lungs=lungs-only contrast=equalize",
        "no-lungs",
    )
    """One line per view; the whole film as it was prepared is always among them."""
    largest_fall: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Falls of the primary metric from home to elsewhere up to this size count as none."""
