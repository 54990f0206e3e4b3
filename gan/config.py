"""Settings of the DCGAN; the defaults are the default recipe."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Augmentation = Literal["brightness", "contrast", "translation", "cutout", "horizontal-flip"]


def _power_of_two(size: int) -> int:
    if size & (size - 1):
        raise ValueError(f"must be a power of two from 32 to 256, not {size}")
    return size


class GANConfig(BaseModel):
    """One recipe of a DCGAN (Radford 2015, arXiv 1511.06434)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    image_size: Annotated[int, Field(ge=32, le=256), AfterValidator(_power_of_two)] = 64
    """Side of the square images in pixels: 32, 64, 128 or 256."""
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = 100
    generator_filters: Annotated[int, Field(ge=4, le=256)] = 32
    """Feature maps of the generator's last hidden layer; doubled at each halving of the side."""
    discriminator_filters: Annotated[int, Field(ge=4, le=256)] = 32
    upsampling: Literal["transposed", "nearest"] = "nearest"
    """How the generator doubles the side: as in the paper, or nearest neighbours and a convolution
    (Odena 2016), which leaves no checkerboards."""
    discriminator_norm: Literal["batch", "group"] = "group"
    """As in the paper, or group norm (Wu and He 2018), which looks at each image alone."""
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 32
    """Real images per step and device; fewer where the set has fewer."""
    images_shown: Annotated[int, Field(ge=1)] = 96_000
    """Length of training: real images shown to the discriminator, all devices together; the last
    step may go beyond it by less than a batch."""
    learning_rate_generator: Annotated[float, Field(gt=0, le=1)] = 2e-4
    learning_rate_discriminator: Annotated[float, Field(gt=0, le=1)] = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    decay_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Last share of the training, over which both learning rates fall linearly."""
    pretraining_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """First share of the images shown that are of the largest class (after Wang 2018, transferring
    GANs, 1805.01677): what all chests have in common is learnt from many."""
    augment: tuple[Augmentation, ...] = ("brightness", "contrast", "translation")
    """DiffAugment transforms of real and fake images in both steps (Zhao 2020, 2006.10738)."""
    ema_half_life: Annotated[float, Field(ge=0)] = 2_000
    """Images shown until the weight of a past generator in the average halves; 0: no average."""
    evaluate_every: Annotated[int, Field(ge=0)] = 4_000
    """Images shown between two looks at validation images; 0: never."""
    keep: Literal["best", "last"] = "best"
    """Which snapshot is exported: the one with the lowest KID to validation images, or the last."""
    evaluation_images: Annotated[int, Field(ge=16)] = 400
    """Generated images of an evaluation."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Evaluations without a lower KID, after which the training ends; 0: it goes to its end."""
    channels_last: bool = True
    grid_every: Annotated[int, Field(ge=1)] = 8_000
    """Images shown between two saved grids of the fixed latents."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 8_000
    """Images shown between two resumable checkpoints."""

    @property
    def pretraining_images(self) -> int:
        """Images shown before the training turns to its own class."""
        return round(self.pretraining_share * self.images_shown)
