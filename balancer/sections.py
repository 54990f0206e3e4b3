"""The sections of the configuration that are the balancer's own; the libraries bring theirs."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from balancer.ratio import TargetRatio

Share = Annotated[float, Field(gt=0, lt=1)]
Label = Annotated[
    str, BeforeValidator(lambda value: str(value) if type(value) in (int, float) else value)
]
"""YAML reads the label 0 as a number."""


class Section(BaseModel):
    """Unknown keys and values outside their range are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(Section):
    """How archives of radiographs become an index."""

    root: Path | tuple[Path, ...] | None = None
    """An archive, or several that are merged: a folder, a table of paths and labels, or a MedMNIST
    file; null: the workspace's index, else the bundled samples."""
    layout: str | tuple[str, ...] = "auto"
    """How the archive is laid out, or each of several; `balancer prepare --list-layouts`."""
    classes: dict[Label, Label] | None = None
    """Label of the archive to class; labels that are not named are left out. Null: as they are."""
    external_classes: dict[Label, Label] | None = None
    """The same for the archives of `evaluate` and `--external`, to the classes of the index."""
    views: Literal["frontal", "all"] = "frontal"
    """Which films are taken where an archive tells their view."""
    split: tuple[Share, Share, Share] = (0.70, 0.15, 0.15)
    """Shares of the images in the training, validation and test split."""
    skip_bad: bool = False
    """Quarantine and count unusable files instead of refusing them."""
    duplicate_correlation: Annotated[float, Field(gt=0.5, lt=1)] = 0.93
    """Least similarity of two films, brought to cover each other, that are taken for copies."""
    same_film: Path | None = None
    """CSV of pairs of paths, `first,second`, that are kept in one split; as `audit` writes it."""
    min_images: Annotated[int, Field(ge=3)] = 8
    """Fewest usable images of a class."""
    min_side: Annotated[int, Field(ge=1)] = 32
    """Smallest side of an image in pixels."""
    max_aspect: Annotated[float, Field(ge=1)] = 4.0
    """Largest ratio of the long to the short side."""
    max_megapixels: Annotated[float, Field(gt=0)] = 64.0

    @field_validator("split")
    @classmethod
    def _sums_to_one(cls, split: tuple[float, float, float]) -> tuple[float, float, float]:
        if abs(sum(split) - 1) > 1e-9:
            raise ValueError(f"the three shares must sum to 1, not {sum(split):g}")
        return split

    @property
    def places(self) -> tuple[Path, ...]:
        """The archives that were named."""
        if self.root is None:
            return ()
        return self.root if isinstance(self.root, tuple) else (self.root,)


class PreprocessingConfig(Section):
    """What is done to every film before it becomes a square; the defaults leave it as it is."""

    border: Literal["keep", "remove"] = "keep"
    """Even frames, letterbox bars and rounded collimation frames around the film."""
    lungs: Literal["none", "lungs-only", "lungs-blacked-out", "crop-to-lungs"] = "none"
    masks: Literal["auto", "archive", "classical", "unet"] = "auto"
    """Where the lungs lie: by the archive's masks, a segmentation without training, or the U-Net of
    `balancer lungs`; `auto`: the archive's, and the classical one where it has none."""
    contrast: Literal["none", "clahe", "equalize", "window"] = "none"
    clahe_tiles: Annotated[int, Field(ge=1, le=64)] = 8
    """Tiles per side."""
    clahe_clip: Annotated[float, Field(gt=0, le=100)] = 2.0
    """Largest count of a bin, as a multiple of that of an even histogram."""
    window_percentiles: tuple[
        Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]
    ] = (0.5, 99.5)
    """Grey values that become black and white."""
    frame: Literal["stretch", "crop", "pad"] = "stretch"
    """How a film becomes a square."""

    @field_validator("window_percentiles")
    @classmethod
    def _rises(cls, window: tuple[float, float]) -> tuple[float, float]:
        if not window[0] < window[1]:
            raise ValueError("the first percentile must be below the second")
        return window

    @model_validator(mode="after")
    def _keeps_the_lungs(self) -> "PreprocessingConfig":
        if self.lungs == "crop-to-lungs" and self.frame == "crop":
            raise ValueError(
                "a square from the box of crop-to-lungs would cut lungs; pad or stretch it"
            )
        return self

    def settings(self) -> dict[str, Any]:
        """The settings that change pixels, JSON types; empty where none does."""
        values = self.model_dump(mode="json")
        of_contrast = {
            "clahe": ("contrast", "clahe_tiles", "clahe_clip"),
            "window": ("contrast", "window_percentiles"),
            "equalize": ("contrast",),
        }
        keys = [
            *(("border",) if self.border != "keep" else ()),
            *(("lungs", "masks") if self.lungs != "none" else ()),
            *of_contrast.get(self.contrast, ()),
            *(("frame",) if self.frame != "stretch" else ()),
        ]
        return {key: values[key] for key in keys}


class SynthesisConfig(Section):
    """How many images are made."""

    ratio: str = "2:1"
    """Largest class : every other class in the training split, real and synthetic together."""
    max_images: Annotated[int, Field(ge=1)] = 100_000
    """A plan that needs more images is refused."""
    screen: tuple[Literal["near-copy", "outlier", "low-confidence"], ...] = (
        "near-copy",
        "outlier",
        "low-confidence",
    )
    """Reasons for which an image is rejected and another made in its place; see `gate`."""
    max_attempts: Annotated[float, Field(ge=1)] = 10.0
    """Images made at most, as a multiple of those wanted, before the plan is given up."""

    @field_validator("ratio", mode="before")
    @classmethod
    def _is_ratio(cls, ratio: object) -> str:
        return str(TargetRatio.parse(str(ratio)))


class QualityConfig(Section):
    """How generated images are measured."""

    extractors: Annotated[
        tuple[Literal["lite0", "inception", "classifier"], ...], Field(min_length=1)
    ] = ("lite0", "classifier")
    """`classifier` is the run's own, trained on real images; it is left out until it stands."""
    inception_weights: Path | None = None
    """File of the Inception-v3 (2015) weights; null: the local cache of torch-fidelity."""
    kid_subsets: Annotated[int, Field(ge=2)] = 100
    kid_subset_size: Annotated[int, Field(ge=2)] = 100
    """Images per subset; never more than half of the smaller set."""
    neighbors: Annotated[int, Field(ge=1, le=50)] = 5
    """k of precision, recall, density and coverage."""
    ms_ssim_pairs: Annotated[int, Field(ge=1)] = 400
    """Random pairs of images behind the mean MS-SSIM of a set."""
    max_images: Annotated[int, Field(ge=4)] = 2_000
    """At most this many synthetic images per class are measured, the first by number."""


class GateConfig(Section):
    """Limits of the quality gate, for single images and for the set of a class.

    All are relative to real images of the same class that the generator never saw, those of the
    validation split; none sees a test image.
    """

    near_copy_correlation: Annotated[float, Field(gt=0, le=1)] = 0.90
    """Aligned-pixel correlation with a training image, from which on an image is a near copy."""
    near_copy_distance: Annotated[float, Field(ge=0, lt=1)] = 0.60
    """Feature distance to a training image, as a share of that of held-out images, down from which
    an image is a near copy."""
    outlier_distance: Annotated[float, Field(gt=1)] = 1.5
    """The same share, from which on an image is an outlier of its class."""
    confidence_quantile: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """An image is of low confidence if it looks less like its class than all but this share of
    held-out images."""
    max_near_copies: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Largest share of near copies among all images made, above that of held-out images; the lower
    end of its 95 % interval counts."""
    max_twins: Annotated[float, Field(ge=0, le=1)] = 0.20
    """Largest share of images with a near copy in their own set, above that of real images."""
    max_similarity: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Largest mean MS-SSIM within the set, above that of real images."""
    min_coverage: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Least coverage, as a share of that of real images at the same n."""
    min_own_class: Annotated[float, Field(ge=0, le=1)] = 0.50
    """Least share of images taken for their own class, as a share of that of held-out images."""
    max_trivial_auroc: Annotated[float, Field(ge=0.5, le=1)] = 0.90
    """Largest AUROC at which grey levels, borders and sharpness alone tell synthetic from real."""


class EvaluationConfig(Section):
    """How a trained classifier is judged on the test split."""

    positive_class: str | None = None
    """The class that sensitivity speaks of; null: the rarest in the training split."""
    bootstrap_samples: Annotated[int, Field(ge=100)] = 2_000
    """Resamples of the test groups behind each 95 % interval."""
    specificity: Share = 0.95
    """At which sensitivity is given; the threshold comes from validation images."""
    deployment_prior: dict[str, Share] | None = None
    """Share of each class where the classifier will work; null: as in the real images."""

    @field_validator("deployment_prior")
    @classmethod
    def _is_distribution(cls, prior: dict[str, float] | None) -> dict[str, float] | None:
        if prior is not None and abs(sum(prior.values()) - 1) > 1e-6:
            raise ValueError(f"the shares must sum to 1, not {sum(prior.values()):g}")
        return prior


class AblationConfig(Section):
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


class HardwareConfig(Section):
    """What is handed to the Lightning Trainer."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: int | str = 1
    """How many; or which, such as `0,2`; or `auto`."""
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    strategy: Literal["auto", "ddp", "ddp_spawn", "ddp_fork"] = "auto"
    num_nodes: Annotated[int, Field(ge=1)] = 1

    @field_validator("devices")
    @classmethod
    def _is_device_list(cls, devices: int | str) -> int | str:
        if isinstance(devices, str) and devices.isdigit():
            devices = int(devices)
        numbers = not isinstance(devices, int) and re.fullmatch(r"\d+(,\d+)*,?", devices)
        if devices in ("auto", -1) or numbers or (isinstance(devices, int) and devices > 0):
            return devices
        raise ValueError("a number of at least 1, a list such as 0,2, or auto is wanted")

    @property
    def n_devices(self) -> int | None:
        """How many devices are asked for on this machine; None: all there are."""
        if isinstance(self.devices, int):
            return None if self.devices == -1 else self.devices
        return None if self.devices == "auto" else len(self.devices.strip(",").split(","))
