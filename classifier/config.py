"""Settings of the classifier; the defaults are the default recipe."""

import difflib
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

Share = Annotated[float, Field(ge=0, le=1)]
View = Literal["plain", "flip", "turn-left", "turn-right", "zoom-in", "zoom-out"]
Side = Annotated[int, Field(ge=16, le=1024)]


class _Settings(BaseModel):
    """Frozen settings; the constructor reports a wrong one in one sentence.

    `model_validate`, which reads files, raises pydantic's `ValidationError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ValueError(_sentence(type(self), error)) from None

    # Without this mark pydantic calls the constructor for nested settings too, and loses the
    # position of an error in the outer ones.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


def _sentence(kind: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, kind.model_fields, n=1)
        hint = f"did you mean {near[0]}?" if near else f"see help({kind.__name__})."
        return f"{kind.__name__} has no setting {name}; {hint}"
    wanted = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
    if not name:
        return f"{kind.__name__}: {wanted}"
    if first["type"] == "missing":
        return f"{kind.__name__} needs a value for {name}, which is missing; add it."
    if not wanted.startswith("should"):
        return f"{kind.__name__}.{name} is {first['input']!r:.60}, but: {wanted}; change it."
    return f"{kind.__name__}.{name} {wanted} but is {first['input']!r:.60}; change it."


class AugmentConfig(_Settings):
    """Settings of the training transforms; 0 turns one off.

    Example:
        >>> from classifier import AugmentConfig, ClassifierConfig
        >>> config = ClassifierConfig(augment=AugmentConfig(rotation_degrees=5, zoom=0.1))
        >>> config.augment.zoom
        0.1
    """

    warp_probability: Share = 0.5
    """Probability of rotating, shifting and zooming an image. Each of them interpolates: a network
    trained on warped images alone meets sharper ones in the test."""
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 10
    """Largest rotation."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Largest shift as a share of the side."""
    zoom: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest change of scale, as a share."""
    brightness: Share = 0.1
    """Largest change of brightness and contrast as a share of the range."""
    horizontal_flip: Share = 0.0
    """Probability; a flipped chest has its heart on the wrong side."""
    vertical_flip: Share = 0.0
    """Probability; no chest is upside down, but some papers use it."""
    classes: Literal["all", "rare"] = "all"
    """Classes whose images are transformed: all, or only the rarest in training."""


class Phase(_Settings):
    """Settings of a part of the training: its image size, trained layers and learning rate.

    Example:
        >>> from classifier import ClassifierConfig, Phase
        >>> head, rest = Phase(epochs=2, unfrozen=0.0), Phase(epochs=8, learning_rate=1e-4)
        >>> ClassifierConfig(phases=(head, rest)).n_epochs
        10
    """

    epochs: Annotated[int, Field(ge=1)]
    """Number of epochs."""
    unfrozen: Share = 1.0
    """Share of the backbone's layers that learn, counted from the last one; 0: only the head."""
    input_size: Side | None = None
    """Input side of the network in this phase; null: `classifier.input_size`."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Peak learning rate of the head; null: `classifier.learning_rate`."""


_LATER = (
    *("class_weights_beta", "class_weights_from", "posthoc_tau", "ldam_margin", "ldam_scale"),
    "head_retraining",
)
"""Settings that earlier versions did not have; their defaults are what those versions did."""


class ClassifierConfig(_Settings):
    """Settings of a classifier and its training: one recipe.

    Example:
        >>> from classifier import ClassifierConfig
        >>> config = ClassifierConfig(model="resnet18", epochs=20, class_weights="balanced")
        >>> config.n_epochs
        20

    Raises:
        ValueError: A setting is unknown or out of range.
    """

    model: str = "lite0"
    """Name of the network: one of `registered_models()`, `torchvision:NAME` or `timm:NAME`."""
    weights: str = "auto"
    """Initial weights: `auto` (bundled ones for lite0 and lite2, else random), `none` (random),
    `torchvision` or `timm` (their default ImageNet weights, if they are on the disk), or a file."""
    image_size: Side | None = None
    """Side at which images are read; null: that of the generated images where there are any, so
    that sharpness does not reveal the class, else `input_size`."""
    input_size: Side | None = None
    """Input side of the network; null: the side it was made for, at most twice `image_size`."""
    contrast: Literal["none", "clahe"] = "none"
    """Contrast-limited adaptive histogram equalisation of every image, 8 x 8 tiles, clip 2.0."""
    pooling: Literal["average", "average+max"] = "average"
    """Global pooling of the feature maps; `average+max` concatenates both (COVID-ResNet)."""
    head_units: Annotated[
        tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(max_length=8)
    ] = ()
    """Widths of hidden dense layers between features and logits, first to last."""
    head_batch_norm: bool = False
    """Batch norm of the features and after each hidden dense layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Dropout before each dense layer of the head."""
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 32
    """Number of images per optimizer step."""
    epochs: Annotated[int, Field(ge=1)] = 10
    """Number of passes over the real training images; both arms take this number of steps."""
    head_epochs: Annotated[int, Field(ge=0)] = 1
    """Number of first epochs that train only the head (pretrained networks only)."""
    phases: tuple[Phase, ...] = ()
    """Phases with their own sizes, layers and rates, instead of `epochs` and `head_epochs`."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Number of epochs of the last phase without a lower validation loss after which training
    stops; 0: never."""
    optimizer: Literal["adamw", "adam"] = "adamw"
    """Optimizer."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Peak learning rate, that of the head."""
    lowest_learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Peak learning rate of the first layers; rates of the layer groups between rise by equal
    factors. null: one rate for all."""
    schedule: Literal["one-cycle", "step", "constant"] = "one-cycle"
    """Learning-rate schedule."""
    step_epochs: Annotated[int, Field(ge=1)] = 10
    """Number of epochs between two drops of the step schedule."""
    step_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Factor of the rate at each drop of the step schedule."""
    weight_decay: Share = 1e-2
    """Weight decay of the optimizer."""
    ema_half_life: Annotated[float, Field(ge=0)] = 50.0
    """Number of optimizer steps after which past weights count half in the average that is kept;
    0: no average."""
    keep: Literal["best", "last"] = "last"
    """Weights to keep: of the best validation at the last image size, or of the last step."""
    members: Annotated[int, Field(ge=1, le=20)] | None = None
    """Number of networks trained from different seeds, whose probabilities are averaged (deep
    ensembles, Lakshminarayanan 2017, 1612.01474); null: 3, and 1 beside generated images."""
    class_weights: Literal["none", "balanced", "effective"] = "none"
    """Class weights of the loss: none, or the inverse of the class frequency in the batches, or of
    the effective number of images (class-balanced loss, Cui 2019, 1901.05555)."""
    class_weights_beta: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Overlap of images with `class_weights: effective`; 0: no weights, near 1: inverse
    frequencies."""
    class_weights_from: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the steps before class weights count (deferred re-weighting, Cao 2019)."""
    loss: Literal["cross-entropy", "focal", "logit-adjusted", "balanced-softmax", "ldam"] = (
        "cross-entropy"
    )
    """Training loss (Lin 2017, 1708.02002; Menon 2021, 2007.07314; Ren 2020, 2007.10740; Cao 2019,
    1906.07413); the validation loss is always plain cross-entropy."""
    focal_gamma: Annotated[float, Field(ge=0, le=10)] = 2.0
    """Exponent that reduces the weight of well classified images; 0: cross-entropy."""
    logit_adjustment_tau: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Power of the class shares that the adjustment removes; 1: all, 0: cross-entropy."""
    posthoc_tau: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Power of the class shares that is removed from the probabilities after the training (Menon
    2021, eq. 9); 0: none."""
    ldam_margin: Annotated[float, Field(ge=0, le=2)] = 0.5
    """Margin of the rarest class with `loss: ldam`; 0: cross-entropy of the cosine head."""
    ldam_scale: Annotated[float, Field(gt=0, le=1000)] = 30.0
    """Factor of the cosines of the head with `loss: ldam`."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each label that is spread over all classes (Szegedy 2016, 1512.00567)."""
    batches: Literal["natural", "balanced", "rare-share"] = "natural"
    """Classes of a batch: as in the table, the same share of each, or `rare_share` of the rarest
    class and the others as in the table (COVID-Net)."""
    rare_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the rarest class in every batch with `batches: rare-share`."""
    head_retraining: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the steps, the last ones, that train a new head on balanced batches and leave the
    backbone as it is (cRT, Kang 2020, 1910.09217); 0: none."""
    mixup_alpha: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Mixup of pairs of images, with a share from Beta(alpha, alpha) (Zhang 2018, 1710.09412);
    0: none."""
    augment: AugmentConfig = AugmentConfig()
    """Training transforms."""
    views: Annotated[tuple[View, ...], Field(min_length=1)] = ("plain", "turn-left", "turn-right")
    """Views of each image at prediction, whose probabilities are averaged: turned by 5 degrees,
    mirrored, or 7 % larger or smaller."""
    calibration: Literal["none", "temperature"] = "temperature"
    """Temperature of the logits, fitted on validation images (Guo 2017, 1706.04599), or none."""
    num_workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Number of processes that read training images."""
    channels_last: bool = True
    """Memory layout of the network; faster on most CPUs and GPUs."""

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        """Leave later settings at their defaults out of records, which then equal earlier ones."""
        values = write(self)
        if info.mode != "json":
            return values
        unused = {name for name in _LATER if values[name] == type(self).model_fields[name].default}
        return {name: value for name, value in values.items() if name not in unused}

    @model_validator(mode="after")
    def _check_post_hoc(self) -> Self:
        if self.posthoc_tau and self.loss == "ldam":
            raise ValueError(
                "posthoc_tau should be 0 with loss ldam, whose head has no offsets, but is "
                f"{self.posthoc_tau:g}; change one of them."
            )
        return self

    @model_validator(mode="after")
    def _check_rates(self) -> Self:
        low = self.lowest_learning_rate
        if low is not None and low > self.learning_rate:
            raise ValueError(
                f"lowest_learning_rate should be at most learning_rate ({self.learning_rate:g}) "
                f"but is {low:g}; swap them."
            )
        return self

    @property
    def of_head(self) -> "ClassifierConfig":
        """The recipe of `head_retraining`: plain cross-entropy on balanced batches."""
        changes = {"loss": "cross-entropy", "class_weights": "none", "batches": "balanced"}
        return self.model_copy(update={**changes, "head_retraining": 0.0})

    @property
    def n_epochs(self) -> int:
        """Number of passes over the real training images, all phases together."""
        return sum(phase.epochs for phase in self.phases) if self.phases else self.epochs

    def with_sizes(self, native: int) -> "ClassifierConfig":
        """Return the same settings with a number for every side that is null.

        Phases without an `input_size` get that of the classifier; the classifier then gets that of
        the last phase, which is the one of the trained network.

        Args:
            native: Side that replaces a null `input_size`.
        """
        side = self.input_size or native
        phases = tuple(
            phase.model_copy(update={"input_size": phase.input_size or side})
            for phase in self.phases
        )
        last = phases[-1].input_size if phases else side
        return self.model_copy(update={"phases": phases, "input_size": last})


@dataclass(frozen=True, slots=True)
class StepPlan:
    """Number of optimizer steps of a training; made by `plan_steps`.

    Example:
        >>> from classifier import StepPlan
        >>> StepPlan(n_steps=30, steps_per_epoch=10).n_steps
        30

    Attributes:
        n_steps: Number of optimizer steps.
        steps_per_epoch: Number of steps between two validations.
    """

    n_steps: int
    steps_per_epoch: int


def plan_steps(config: ClassifierConfig, n_images: int) -> StepPlan:
    """Count the optimizer steps of `config.n_epochs` passes over a number of images.

    Example:
        >>> from classifier import ClassifierConfig, plan_steps
        >>> plan_steps(ClassifierConfig(batch_size=32, epochs=10), n_images=100)
        StepPlan(n_steps=40, steps_per_epoch=4)

    Raises:
        ValueError: There is no image.
    """
    if n_images < 1:
        raise ValueError(f"Training takes at least 1 image, not {n_images}; add images.")
    steps_per_epoch = math.ceil(n_images / min(config.batch_size, n_images))
    return StepPlan(config.n_epochs * steps_per_epoch, steps_per_epoch)
