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
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 32
    """Real images per step and device; fewer where the set has fewer."""
    images_shown: Annotated[int, Field(ge=1)] = 96_000
    """Length of training: real images shown to the discriminator, all devices together; the last
    step may go beyond it by less than a batch."""
    learning_rate_generator: Annotated[float, Field(gt=0, le=1)] = 2e-4
    learning_rate_discriminator: Annotated[float, Field(gt=0, le=1)] = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    augment: tuple[Augmentation, ...] = ("brightness", "contrast", "translation")
    """DiffAugment transforms of real and fake images in both steps (Zhao 2020, 2006.10738)."""
    ema_half_life: Annotated[float, Field(ge=0)] = 2_000
    """Images shown until the weight of a past generator in the average halves; 0: no average."""
    channels_last: bool = True
    grid_every: Annotated[int, Field(ge=1)] = 8_000
    """Images shown between two saved grids of the fixed latents."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 8_000
    """Images shown between two resumable checkpoints."""
