"""Settings of the DCGAN and of its Trainer; the defaults are the default recipe."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

Augmentation = Literal[
    "brightness", "saturation", "contrast", "translation", "zoom", "cutout", "horizontal-flip"
]


class CheckedModel(BaseModel):
    """Frozen values that are checked on construction.

    Calling the class with a wrong value raises a ValueError of one sentence. Validation inside
    another model keeps pydantic's own error, which has the path of the setting.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    if not TYPE_CHECKING:  # type checkers derive the signature from the fields

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise ValueError(_sentence(error)) from None

        # As pydantic's RootModel does it: nested validation does not call this __init__.
        __init__.__pydantic_base_init__ = True


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(map(str, (error.title, *first["loc"])))
    if first["type"] == "extra_forbidden":
        return f"There is no {name}; see help({error.title}) for all names."
    if first["type"] == "missing":
        return f"{name} is required, but missing."
    reason = first["msg"].removeprefix("Value error, ")
    return f"{name} cannot be {first['input']!r:.80}: {reason[:1].lower()}{reason[1:]}."


def _power_of_two(size: int) -> int:
    if size & (size - 1):
        raise ValueError(f"must be a power of two from 32 to 256, not {size}")
    return size


class GANConfig(CheckedModel):
    """Recipe of a DCGAN (Radford 2015, arXiv 1511.06434).

    Raises:
        ValueError: A setting is unknown or out of its range.

    Example:
        >>> from gan import GANConfig
        >>> config = GANConfig(image_size=32, images_shown=256, augment=("translation", "cutout"))
        >>> config.learning_rate_generator
        0.0005
        >>> config.model_copy(update={"batch_size": 8}).batch_size
        8
    """

    image_size: Annotated[int, Field(ge=32, le=256), AfterValidator(_power_of_two)] = 64
    """Side of the square images in pixels: 32, 64, 128 or 256."""
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = 100
    """Number of random values behind an image."""
    generator_filters: Annotated[int, Field(ge=4, le=256)] = 32
    """Number of feature maps in the generator's last hidden layer; doubled at each halving of the
    side."""
    discriminator_filters: Annotated[int, Field(ge=4, le=256)] = 32
    """Number of feature maps in the discriminator's first layer; doubled at each halving of the
    side."""
    upsampling: Literal["transposed", "nearest"] = "nearest"
    """Layer of the generator that doubles the side: transposed convolution (the paper), or nearest
    neighbour and a convolution (Odena 2016), which avoids checkerboard artefacts."""
    full_resolution: bool = True
    """True: both networks have feature maps at the full side of the image, half as many as at half
    the side (Karras 2018, 1710.10196). False: one step between half the side and pixels (the
    paper)."""
    discriminator_norm: Literal["batch", "group"] = "group"
    """Normalisation in the discriminator: batch norm (the paper), or group norm (Wu and He 2018),
    which treats each image alone."""
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 16
    """Number of real images per step and device, companions included; smaller if there are fewer
    images."""
    images_shown: Annotated[int, Field(ge=1)] = 96_000
    """Length of the training: number of real images shown to the discriminator, all devices
    together; the last step may exceed it by less than a batch."""
    learning_rate_generator: Annotated[float, Field(gt=0, le=1)] = 5e-4
    """Learning rate of the generator's Adam."""
    learning_rate_discriminator: Annotated[float, Field(gt=0, le=1)] = 5e-4
    """Learning rate of the discriminator's Adam."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """First-moment decay of Adam."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Second-moment decay of Adam."""
    decay_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the training, at its end, in which both learning rates fall linearly."""
    companion_share: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Share of each batch that is of the largest other class; the GAN is then conditional on the
    class (after Mirza and Osindero 2014, 1411.1784; the discriminator has a logit per class), to
    learn from many images what all classes have in common. 0: one class alone."""
    augment: tuple[Augmentation, ...] = ("translation",)
    """DiffAugment transforms of real and fake images (Zhao 2020, 2006.10738), and `zoom`. The
    discriminator cannot see what they change: with brightness, saturation (of colours) or contrast,
    the generator may learn a wrong exposure."""
    augment_probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Probability of each transform, drawn per image (Karras 2020, 2006.06676). The discriminator
    sees what a transform changes in the images that it leaves alone."""
    ema_half_life: Annotated[float, Field(ge=0)] = 2_000
    """Number of images shown after which a past generator has half its weight in the average; 0: no
    average."""
    evaluate_every: Annotated[int, Field(ge=0)] = 8_000
    """Number of images shown between two evaluations on validation images; 0: never."""
    keep: Literal["best", "last"] = "best"
    """Snapshot to export: the best by KID and recall of validation images, of equals the latest
    (`gan.selection.kept_snapshot`); or the last."""
    evaluation_images: Annotated[int, Field(ge=16, le=10_000)] = 256
    """Number of generated images per evaluation."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Number of evaluations without a lower KID after which the training ends; 0: no limit."""
    channels_last: bool = True
    """Memory format of the networks; faster on CPUs and GPUs."""
    grid_every: Annotated[int, Field(ge=1)] = 8_000
    """Number of images shown between two saved grids of fixed latents."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 8_000
    """Number of images shown between two checkpoints to resume from."""

    @property
    def n_classes(self) -> int:
        """Number of classes of the networks: 2 with companions, else 1."""
        return 2 if self.companion_share else 1

    def n_companions(self, batch_size: int) -> int:
        """Return the number of companions in a batch, at least 1 if any; they are its last images.

        Args:
            batch_size: Number of images in the batch.
        """
        if not self.companion_share:
            return 0
        return min(batch_size - 1, max(1, round(self.companion_share * batch_size)))


class GANTrainerOptions(CheckedModel):
    """Options of the Lightning Trainer, in its own words.

    Example:
        >>> from gan import GANTrainerOptions
        >>> GANTrainerOptions(accelerator="cpu").devices
        1
    """

    accelerator: str = "auto"
    """Kind of device: `auto`, `cpu`, `cuda` or `mps`."""
    devices: int | str = 1
    """Number of devices, a list such as `0,2`, or `auto`."""
    precision: str = "32-true"
    """Precision of the arithmetic, such as `32-true` or `bf16-mixed`."""
    strategy: str = "auto"
    """Strategy for several devices."""
    num_nodes: int = 1
    """Number of machines."""
