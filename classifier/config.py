"""Settings of the classifier; the defaults are the default recipe."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class AugmentConfig(BaseModel):
    """Training transforms; 0 or false switches one off."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 10
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Largest shift as a share of the side."""
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Largest change of brightness and contrast as a share of the range."""
    horizontal_flip: bool = False
    """Off: a flipped chest has its heart on the wrong side."""


class ClassifierConfig(BaseModel):
    """One recipe of a classifier."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = "lite0"
    """`bam-cnn`, `lite0`, or `torchvision:NAME` / `timm:NAME`."""
    weights: Path | None = None
    """A file of weights for the torchvision or timm model; null: random weights."""
    image_size: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Side at which images are read; null: the generator's, so that sharpness tells nothing."""
    input_size: Annotated[int, Field(ge=16, le=1024)] = 128
    """Side that the network sees; images are resized on the way in."""
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 32
    epochs: Annotated[int, Field(ge=1)] = 10
    """Passes over the real training images; both arms get this number of optimizer steps."""
    head_epochs: Annotated[int, Field(ge=0)] = 1
    """Of these, first passes that train the head alone (pretrained models only)."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    class_weights: Literal["none", "balanced"] = "none"
    """Loss weights: none, or the inverse of how often batches hold the class."""
    loss: Literal["cross-entropy", "focal", "logit-adjusted"] = "cross-entropy"
    """Of training (Lin 2017, 1708.02002; Menon 2021, 2007.07314); that of validation is always
    plain cross-entropy."""
    focal_gamma: Annotated[float, Field(ge=0, le=10)] = 2.0
    """How much images that are classified well already count less; 0: cross-entropy."""
    logit_adjustment_tau: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Power of the class shares that the adjustment takes out; 1: all, 0: cross-entropy."""
    batches: Literal["natural", "balanced"] = "natural"
    """Classes as the table has them, or the same share of each in every batch."""
    mixup_alpha: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Pairs of images are mixed in a share from Beta(alpha, alpha) (Zhang 2018, 1710.09412);
    0: not."""
    augment: AugmentConfig = AugmentConfig()
    num_workers: Annotated[int, Field(ge=0, le=64)] = 0
    channels_last: bool = True
