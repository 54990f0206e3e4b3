"""Settings of the classifier; the defaults are the default recipe."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
View = Literal["plain", "flip", "turn-left", "turn-right", "zoom-in", "zoom-out"]
Side = Annotated[int, Field(ge=16, le=1024)]


class AugmentConfig(BaseModel):
    """Training transforms; 0 switches one off."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    warp_probability: Share = 0.5
    """Of turning, shifting and zooming an image. Each interpolates, so a network that never saw an
    image left as it is meets sharper ones at the test than in training."""
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 10
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Largest shift as a share of the side."""
    zoom: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest change of scale, as a share."""
    brightness: Share = 0.1
    """Largest change of brightness and contrast as a share of the range."""
    horizontal_flip: Share = 0.0
    """Probability; a flipped chest has its heart on the wrong side."""
    vertical_flip: Share = 0.0
    """Probability; no chest is upside down, but a paper may ask for it."""
    classes: Literal["all", "rare"] = "all"
    """Whose images are transformed: those of all classes, or of the rarest in training alone."""


class Phase(BaseModel):
    """A stretch of training with its own image size, trained layers and learning rate."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: Annotated[int, Field(ge=1)]
    unfrozen: Share = 1.0
    """Share of the backbone's layers that learn, from the last one; 0: the head alone."""
    input_size: Side | None = None
    """Side that the network sees in this phase; null: `classifier.input_size`."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Greatest rate, that of the head; null: `classifier.learning_rate`."""


class ClassifierConfig(BaseModel):
    """One recipe of a classifier."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = "lite0"
    """A name of the registry, `torchvision:NAME` or `timm:NAME`."""
    weights: str = "auto"
    """`auto` (bundled ones for lite0, lite2, else random), `none`, `torchvision` or `timm` (their
    default ImageNet weights, which have to be on the disk), or a file."""
    image_size: Side | None = None
    """Side at which images are read; null: the generator's where generated images take part, so
    that sharpness tells nothing, else `input_size`."""
    input_size: Side | None = None
    """Side that the network sees; null: that it was made for, at most twice `image_size`."""
    contrast: Literal["none", "clahe"] = "none"
    """Contrast-limited adaptive histogram equalisation of every image, 8 x 8 tiles, clip 2.0."""
    pooling: Literal["average", "average+max"] = "average"
    """How feature maps become features; both: twice as many, concatenated (COVID-ResNet)."""
    head_units: tuple[Annotated[int, Field(ge=1, le=8192)], ...] = ()
    """Hidden dense layers between features and logits, first to last."""
    head_batch_norm: bool = False
    """Batch norm of the features and after each hidden dense layer."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Before each dense layer of the head."""
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 32
    epochs: Annotated[int, Field(ge=1)] = 10
    """Passes over the real training images; both arms get this number of optimizer steps."""
    head_epochs: Annotated[int, Field(ge=0)] = 1
    """Of these, first passes that train the head alone (pretrained models only)."""
    phases: tuple[Phase, ...] = ()
    """In place of `epochs` and `head_epochs`: phases of their own sizes, layers and rates."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs of the last phase without a lower validation loss that end the training; 0: any."""
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """Greatest rate, that of the head."""
    lowest_learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Of the first layers; rates of the layer groups between grow by equal factors. null: one
    rate for all."""
    schedule: Literal["one-cycle", "step", "constant"] = "one-cycle"
    step_epochs: Annotated[int, Field(ge=1)] = 10
    """Of the step schedule: epochs between two drops."""
    step_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Of the step schedule: what each drop multiplies the rate by."""
    weight_decay: Share = 1e-2
    ema_half_life: Annotated[float, Field(ge=0)] = 50.0
    """Optimizer steps after which past weights weigh half in the average kept; 0: no average."""
    keep: Literal["best", "last"] = "last"
    """Weights of the best validation of the last image size, or those of the end."""
    members: Annotated[int, Field(ge=1, le=20)] | None = None
    """Networks trained one after another from other seeds, whose probabilities are averaged (deep
    ensembles, Lakshminarayanan 2017, 1612.01474); null: 3, and 1 beside generated images."""
    class_weights: Literal["none", "balanced"] = "none"
    """Loss weights: none, or the inverse of how often batches hold the class."""
    loss: Literal["cross-entropy", "focal", "logit-adjusted"] = "cross-entropy"
    """Of training (Lin 2017, 1708.02002; Menon 2021, 2007.07314); that of validation is always
    plain cross-entropy."""
    focal_gamma: Annotated[float, Field(ge=0, le=10)] = 2.0
    """How much images that are classified well already count less; 0: cross-entropy."""
    logit_adjustment_tau: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Power of the class shares that the adjustment takes out; 1: all, 0: cross-entropy."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each label that is spread over all classes (Szegedy 2016, 1512.00567)."""
    batches: Literal["natural", "balanced", "rare-share"] = "natural"
    """Classes as the table has them, the same share of each in every batch, or `rare_share` of the
    rarest and the others as the table has them (COVID-Net)."""
    rare_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of every batch that the rarest class takes under `batches: rare-share`."""
    mixup_alpha: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Pairs of images are mixed in a share from Beta(alpha, alpha) (Zhang 2018, 1710.09412);
    0: not."""
    augment: AugmentConfig = AugmentConfig()
    views: Annotated[tuple[View, ...], Field(min_length=1)] = ("plain", "turn-left", "turn-right")
    """Of each image to classify; the probabilities of its views are averaged. Turned by 5 degrees,
    mirrored, or 7 % larger or smaller."""
    calibration: Literal["none", "temperature"] = "temperature"
    """Divide logits by a number fitted on validation images (Guo 2017, 1706.04599)."""
    num_workers: Annotated[int, Field(ge=0, le=64)] = 0
    channels_last: bool = True

    @model_validator(mode="after")
    def _rates_rise(self) -> Self:
        low = self.lowest_learning_rate
        if low is not None and low > self.learning_rate:
            raise ValueError(
                f"lowest_learning_rate should be at most learning_rate ({self.learning_rate:g}) "
                f"but is {low:g}; swap them."
            )
        return self

    @property
    def n_epochs(self) -> int:
        """Passes over the real training images, all phases together."""
        return sum(phase.epochs for phase in self.phases) if self.phases else self.epochs

    def with_sizes(self, native: int) -> "ClassifierConfig":
        """The same with a number for every side that was left open.

        Phases without one of their own have `input_size`, which becomes that of the last phase,
        since that is the one of the trained network.

        Args:
            native: Side that stands for an open `input_size`.
        """
        side = self.input_size or native
        phases = tuple(
            phase.model_copy(update={"input_size": phase.input_size or side})
            for phase in self.phases
        )
        last = phases[-1].input_size if phases else side
        return self.model_copy(update={"phases": phases, "input_size": last})
