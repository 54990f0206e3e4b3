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
    full_resolution: bool = True
    """Whether both networks have feature maps at the side of the image, half as many as at half of
    it (as in Karras 2018, 1710.10196), or go from there to the pixels in one step, as in the paper.
    """
    discriminator_norm: Literal["batch", "group"] = "group"
    """As in the paper, or group norm (Wu and He 2018), which looks at each image alone."""
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 16
    """Real images per step and device, companions included; fewer where the set has fewer."""
    images_shown: Annotated[int, Field(ge=1)] = 96_000
    """Length of training: real images shown to the discriminator, all devices together; the last
    step may go beyond it by less than a batch."""
    learning_rate_generator: Annotated[float, Field(gt=0, le=1)] = 5e-4
    learning_rate_discriminator: Annotated[float, Field(gt=0, le=1)] = 5e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    decay_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Last share of the training, over which both learning rates fall linearly."""
    companion_share: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Share of each batch that is of the largest other class, in a GAN conditional on the class
    (after Mirza and Osindero 2014, 1411.1784; the discriminator has a logit per class): what all
    chests have in common is learnt from many. 0: the class alone."""
    augment: tuple[Augmentation, ...] = ("translation",)
    """DiffAugment transforms of real and fake images in both steps (Zhao 2020, 2006.10738). What
    they change, the discriminator cannot see: with brightness or contrast the generator is free to
    get the exposure of its films wrong."""
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
    def n_classes(self) -> int:
        """Classes that the networks know: the own one and, with a share, that of the companion."""
        return 2 if self.companion_share else 1

    def n_companions(self, batch_size: int) -> int:
        """How many images of a batch are companions, the last ones: at least 1 if any."""
        if not self.companion_share:
            return 0
        return min(batch_size - 1, max(1, round(self.companion_share * batch_size)))
