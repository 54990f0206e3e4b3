"""Training of one DCGAN, from images in memory to files; an unfinished one is resumed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightning.pytorch import Callback
from numpy.typing import NDArray
from torch import Tensor

from gan.arguments import require_kind, require_whole
from gan.checkpoint import Provenance, save_generator, write_atomically
from gan.config import GANConfig, GANTrainerOptions
from gan.evaluator import SnapshotEvaluator
from gan.loop import fit
from gan.module import LitDCGAN
from gan.progress import ProgressReport
from gan.records import GRID_NAME, Recorder, grid_png
from gan.resume import describe_run
from gan.selection import SnapshotEvaluation, Validation, write_evaluations
from gan.stream import ImageStream
from gan.trainer import is_first_process
from gan.transforms import GREY, Channels, channels_of, to_planes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GANResult:
    """Result of a training.

    Attributes:
        directory: Folder of the generator, for `gan.load`.
        images_shown: Number of real images shown, all devices and earlier calls together.
        seconds: Training time, earlier calls included.
        images_per_second: `images_shown` divided by `seconds`.
        interrupted_by: Number of the signal that stopped it; None: it is finished.
        stop_reason: Reason for an early end; None: no early end.
        selected: Evaluation of the exported snapshot; None: without evaluations, the last weights
            were exported.

    Example:
        >>> import gan, numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (64, 32, 32), dtype=np.uint8)
        >>> config = gan.GANConfig(image_size=32, images_shown=256)
        >>> result = gan.train(images, config, out_dir="noise-gan")
        >>> result.images_shown, result.interrupted_by
        (256, None)
    """

    directory: Path
    images_shown: int
    seconds: float
    images_per_second: float
    interrupted_by: int | None
    stop_reason: str | None
    selected: SnapshotEvaluation | None


def train(
    images: NDArray[np.uint8] | Tensor,
    config: GANConfig | None = None,
    *,
    out_dir: str | Path,
    seed: int = 0,
    validation: Validation | None = None,
    companions: NDArray[np.uint8] | Tensor | None = None,
    provenance: Provenance | None = None,
    trainer_options: GANTrainerOptions | None = None,
    progress: bool = False,
) -> GANResult:
    """Train a DCGAN, or resume the unfinished training in the folder.

    Writes `last.ckpt`, `generator.safetensors`, `generator.json`, `grid.png`, `grids/`,
    `losses.png`, `metrics.csv` and `tensorboard/`. With `validation` and `evaluate_every`, it also
    writes `selection.csv` and `selection.png`, and exports the best snapshot. SIGINT (Ctrl-C),
    SIGTERM and SIGHUP (the terminal closes) end it after the current step with all of these files,
    unless they are ignored; the next call resumes. On the CPU of one machine, with the same
    versions and threads, the weights do not depend on where it was stopped.

    Args:
        images: uint8 (N, S, S) or (N, 1, S, S), grey, or (N, S, S, 3) or (N, 3, S, S), sRGB; all
            of one class. The generator makes images of the same channels.
        config: Recipe; `batch_size` is per device; default `GANConfig()`. Several devices train as
            one does with as large a batch, within rounding.
        out_dir: Path to the folder; created if missing.
        seed: Seed for all randomness, at least 0.
        validation: Images and scores to select a snapshot with; None: the last one is exported.
        companions: uint8 like `images`, of another class that shares the training; required with a
            `companion_share` above 0, refused without.
        provenance: Source of the images, for `generator.json`; default: unknown.
        trainer_options: Devices and precision; default `GANTrainerOptions()`. The processes of
            several devices are started from here, unless torchrun or SLURM started this one beside
            them; then each of them makes this call, and the first one writes.
        progress: True: show a bar on a terminal or in a notebook.

    Raises:
        ValueError: An argument is of another type, the images do not fit the recipe, or the seed
            is negative.
        GeneratorCheckpointError: `last.ckpt` is damaged or belongs to another training.
        GANDiverged: A loss or weight became NaN or infinite before there was a snapshot to export;
            the last finite checkpoint stays.
        OSError: A file cannot be written.

    Example:
        >>> import gan, numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (64, 32, 32), dtype=np.uint8)
        >>> config = gan.GANConfig(image_size=32, images_shown=256)
        >>> result = gan.train(images, config, out_dir="noise-gan")
        >>> (result.directory / "generator.safetensors").exists()
        True
    """
    require_kind("config", config, GANConfig)
    require_kind("trainer_options", trainer_options, GANTrainerOptions)
    require_kind("validation", validation, Validation)
    require_kind("provenance", provenance, Provenance)
    require_whole(seed=seed)
    config = GANConfig() if config is None else config
    tensors = [
        tensor_of(some, name, config)
        for name, some in (("images", images), ("companions", companions))
        if some is not None or name == "images"
    ]
    if bool(config.companion_share) != (companions is not None):
        raise ValueError(
            "companions are required with a companion_share above 0, and only then, but "
            f"companion_share is {config.companion_share:g} and companions are "
            f"{'missing' if companions is None else 'given'}."
        )
    origin = provenance or Provenance(class_name="images", index_hash="", training_ids=())
    channels = shared_channels(config, tensors)
    run = describe_run(config, tensors, seed=seed, provenance=origin)
    directory = Path(out_dir)
    module = LitDCGAN(config, seed=seed, channels=channels)
    ended = fit(
        module,
        lambda ranks: _stream(module, *tensors, ranks=ranks),
        run,
        directory,
        callbacks=_callbacks(config, tensors[0], validation, origin, directory, bar=progress),
        options=trainer_options or GANTrainerOptions(),
    )
    if ended.diverged:
        write_evaluations(directory, module.evaluations)  # without those after the checkpoint
    selected = module.select()
    if is_first_process():
        write_atomically(directory / GRID_NAME, grid_png(module))
        save_generator(
            directory,
            module.averaged_generator(),
            provenance=origin,
            seed=module.seed,
            images_shown=module.images_shown if selected is None else selected.images_shown,
        )
    return GANResult(
        directory=directory,
        images_shown=module.images_shown,
        seconds=ended.seconds,
        images_per_second=module.images_shown / ended.seconds,
        interrupted_by=ended.interrupted_by,
        stop_reason=ended.stop_reason,
        selected=selected,
    )


def tensor_of(images: object, name: str, config: GANConfig) -> Tensor:
    """Check images and return them as a tensor: uint8 (N, C, S, S)."""
    side = config.image_size
    tensor = to_planes(images, side)
    if tensor is not None:
        return tensor
    found = type(images).__name__
    if isinstance(images, np.ndarray | Tensor):
        found = f"{images.dtype} {tuple(images.shape)}"
    raise ValueError(
        f"{name} should be uint8 of shape (N, {side}, {side}), (N, {side}, {side}, 3) or channels "
        f"first, N at least 1, but are {found}; resize them or set image_size."
    )


def shared_channels(config: GANConfig, sets: Sequence[Tensor]) -> Channels:
    """Return the channels of all images.

    Raises:
        ValueError: They differ, or a transform needs colours where there are none.
    """
    channels = {channels_of(images) for images in sets}
    if len(channels) > 1:
        raise ValueError(
            "Companions should have as many channels as the images, but one set is grey and the "
            "other in colour; read both alike."
        )
    if "saturation" in config.augment and channels == {GREY}:
        raise ValueError(
            "The augmentation saturation needs images in colour, but these are grey; leave it out "
            "of augment."
        )
    return channels_of(sets[0])


def _callbacks(
    config: GANConfig,
    images: Tensor,
    validation: Validation | None,
    origin: Provenance,
    directory: Path,
    *,
    bar: bool,
) -> list[Callback]:
    callbacks: list[Callback] = [
        Recorder(directory),
        ProgressReport(f"GAN {origin.class_name}", bar=bar),
    ]
    if validation is not None and config.evaluate_every:
        # Before the checkpoint writer, because the checkpoint holds the evaluations.
        held_out = tensor_of(validation.images, "validation images", config)
        callbacks.append(SnapshotEvaluator(directory, images, held_out, validation.scorer))
    return callbacks


def _stream(
    module: LitDCGAN, images: Tensor, companions: Tensor | None = None, *, ranks: int
) -> ImageStream:
    """Return the stream of all ranks, which show equal numbers of images."""
    config = module.config
    batch_size = min(config.batch_size, len(images) // ranks)
    if batch_size < (1 if companions is None else 2):
        raise ValueError(
            f"Training on {ranks} devices needs at least {ranks} images, and twice as many with "
            f"companions, but there are {len(images)}; use fewer devices."
        )
    if batch_size < config.batch_size:
        log.warning(
            "batch_size is reduced from %d to %d, because there are only %d images",
            config.batch_size,
            batch_size,
            len(images),
        )
    return ImageStream(
        images,
        seed=module.seed,
        batch_size=batch_size * ranks,
        start=module.images_shown,
        stop=config.images_shown,
        companions=companions,
        n_companions=config.n_companions(batch_size * ranks),
    )
