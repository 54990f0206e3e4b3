"""The DCGAN as a source of synthetic images, and the checks before it may be used."""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError

import gan
from balancer.config import BalancerConfig, HardwareConfig
from balancer.data.index import Index
from balancer.data.io import Pixels
from balancer.data.preprocessing import refuse_other_preprocessing
from balancer.errors import IntegrityError
from balancer.manifest import fingerprint
from balancer.resources import devices_of
from balancer.results import MissingStage
from balancer.synthetic.gates import check_training_ids
from balancer.synthetic.records import ClassLineage, GeneratorCard
from balancer.synthetic.source import Batches
from balancer.team import together
from balancer.workspace import Workspace
from gan.checkpoint import METADATA_NAME, WEIGHTS_NAME
from gan.networks import Generator
from gan.sampling import generate, interpolate

NAME = "dcgan"
_TIMING_BATCHES = 24


@dataclass(frozen=True, slots=True)
class DcganSource:
    """A trained generator of one class, a `SyntheticSource`.

    Attributes:
        loaded: The generator, as `gan` reads it.
    """

    loaded: gan.LoadedGenerator
    name: str = NAME

    @property
    def image_size(self) -> int:
        """Side of its images in pixels."""
        return self.loaded.config.image_size

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights, hex."""
        return self.loaded.checkpoint_hash

    @property
    def checkpoint(self) -> str:
        """SHA-256 of the weights, hex."""
        return self.loaded.checkpoint_hash

    @property
    def training_ids(self) -> tuple[str, ...]:
        """Content hashes of all images that it was trained on, companions included."""
        return (*self.loaded.metadata.training_ids, *self.loaded.metadata.companion_ids)

    @property
    def lineage(self) -> ClassLineage:
        """Its weights and its training images."""
        return ClassLineage(checkpoint=self.checkpoint, training_ids=self.training_ids)

    def draw(self, start: int, count: int, device: torch.device | str = "cpu") -> Batches:
        """Draw images number `start` to `start + count - 1`; its own seed chooses them."""
        seed = self.loaded.metadata.seed
        return generate(self.loaded, start=start, count=count, seed=seed, device=device)

    def walks(self, count: int, steps: int) -> Pixels:
        """Draw images along walks through the latent space.

        Args:
            count: Number of walks.
            steps: Number of images per walk, ends included, at least 2.

        Returns:
            uint8 (count * steps, S, S), one walk after another.
        """
        return interpolate(self.loaded, walks=count, steps=steps, seed=self.loaded.metadata.seed)


@dataclass(frozen=True, slots=True)
class UntrainedSource:
    """A generator with random weights, a `SyntheticSource` of images without any class.

    Attributes:
        config: Recipe of the network.
        seed: Seed for the weights and the images.
        channels: Number of channels of the images.
    """

    config: gan.GANConfig
    seed: int
    channels: Literal[1, 3] = 1
    name: str = "untrained-dcgan"
    checkpoint: None = None

    @property
    def image_size(self) -> int:
        """Side of its images in pixels."""
        return self.config.image_size

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the recipe and the seed, hex."""
        return fingerprint(f"{self.config.model_dump_json()} {self.seed}".encode())

    @property
    def lineage(self) -> ClassLineage:
        """No weights that could be read again, and no training images."""
        return ClassLineage(checkpoint=self.checkpoint, training_ids=())

    def draw(self, start: int, count: int, device: torch.device | str = "cpu") -> Batches:
        """Draw images number `start` to `start + count - 1`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            generator = Generator(self.config, self.channels)
        return generate(generator, start=start, count=count, seed=self.seed, device=device)


def load_dcgan(label: str, workspace: Workspace, index: Index) -> DcganSource:
    """Load the generator of a class if it may draw images for today's training split.

    Raises:
        MissingStage: None is trained.
        IntegrityError: It is damaged, makes another class, was trained on other preprocessing or
            another split, or saw images that are not in today's training split.
    """
    directory = workspace.gan_dir(label)
    if not directory.exists():
        raise MissingStage(
            "gan-train",
            f"Images of {label} need a trained generator, but {directory} does not exist; run "
            f"`balancer gan-train` first.",
            cheap=False,
        )
    try:
        source = DcganSource(gan.load(directory))
    except gan.GeneratorCheckpointError as error:
        raise IntegrityError(
            f"The generator in {directory} cannot be used: {error} "
            "Train it again with `balancer gan-train --force`."
        ) from error
    _check_origin(label, source, index, directory)
    return source


def read_cards(workspace: Workspace) -> dict[str, GeneratorCard]:
    """Read what the trained generators record of themselves, by class.

    Raises:
        IntegrityError: A file is damaged.
    """
    cards = {}
    for path in sorted(workspace.root.glob(f"gan/*/{METADATA_NAME}")):
        try:
            cards[path.parent.name] = GeneratorCard.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise IntegrityError(
                f"{path} should be the record of a generator, but "
                f"{error.errors()[0]['msg'].lower()}; train it again with `balancer gan-train "
                "--force`."
            ) from None
    return cards


def checkpoint_hash(label: str, workspace: Workspace) -> str | None:
    """Hash the weights of the generator of a class; None where there is none."""
    path = workspace.gan_dir(label) / WEIGHTS_NAME
    return fingerprint(path.read_bytes()) if path.is_file() else None


def trainer_options(hardware: HardwareConfig) -> gan.GANTrainerOptions:
    """Return devices and precision for training a GAN."""
    return gan.GANTrainerOptions(
        accelerator=hardware.accelerator,
        precision=hardware.precision,
        **asdict(devices_of(hardware)),
    )


def training_seconds_per_image(config: BalancerConfig) -> float:
    """Measure the cost of one image shown to the GAN, by a short training on noise.

    Args:
        config: Sections `gan` and `hardware`.
    """
    size = config.gan.image_size
    shown = config.gan.batch_size * _TIMING_BATCHES
    recipe = config.gan.model_copy(
        update={"images_shown": shown, "evaluate_every": 0, "companion_share": 0.0}
    )
    images = torch.randint(0, 256, (config.gan.batch_size * 2, 1, size, size), dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        fit = together(
            gan.train,
            images,
            recipe,
            out_dir=Path(folder) / "gan",
            trainer_options=trainer_options(config.hardware),
        )
    return 1 / fit.images_per_second


def _check_origin(label: str, source: DcganSource, index: Index, directory: Path) -> None:
    metadata = source.loaded.metadata
    if metadata.class_name != label:
        raise IntegrityError(
            f"{directory} should hold a generator of {label}, but it makes "
            f"{metadata.class_name}; train it again with `balancer gan-train --force`."
        )
    check_training_ids(source.training_ids, index, str(directory))
    trained_on = {record.image_id for record in index.select("train", label)}
    noted = {"preprocessing": metadata.preprocessing}
    refuse_other_preprocessing(noted, index.preprocessing, f"The generator in {directory}")
    if metadata.index_hash != index.index_hash:
        raise IntegrityError(
            f"The generator in {directory} was trained on another split than today's index.csv; "
            "restore that index, or train again with `balancer gan-train --force`."
        )
    if set(metadata.training_ids) != trained_on:
        raise IntegrityError(
            f"{directory / METADATA_NAME} should list the {len(trained_on)} training images of "
            f"{label}, but lists others; train again with `balancer gan-train --force`."
        )
