"""Training of one DCGAN, from images in memory to files; an unfinished one is taken up again."""

import logging
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import Tensor

from gan.callbacks import (
    GRID_NAME,
    CheckpointWriter,
    ProgressReport,
    Recorder,
    TrainingDiverged,
    grid_png,
)
from gan.checkpoint import (
    WEIGHTS_NAME,
    CheckpointError,
    Provenance,
    save_generator,
    write_atomically,
)
from gan.config import GANConfig
from gan.interrupts import StopRequest
from gan.module import LitDCGAN
from gan.resume import STATE_NAME, describe_run, load_state
from gan.selection import Selector, Validation, write_evaluations
from gan.stream import ImageStream
from gan.trainer import TrainerOptions, make_trainer, quiet_lightning

__all__ = ["FitResult", "TrainerOptions", "TrainingDiverged", "Validation", "fit"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What a training left.

    Attributes:
        generator: Path of the weights; `generator.json` lies beside it.
        images_shown: Real images shown so far, all devices and earlier calls together.
        seconds: Time of training, earlier calls included.
        images_per_second: The former by the latter.
        interrupted_by: Number of the signal that stopped it early; None where it is finished.
        stop_reason: Why it ended before its time all the same; None where it did not.
        selected: The evaluation whose snapshot was exported, as a dict of `selection.Evaluation`;
            None where nothing was evaluated and the last weights were exported.
    """

    generator: Path
    images_shown: int
    seconds: float
    images_per_second: float
    interrupted_by: int | None
    stop_reason: str | None
    selected: Mapping[str, Any] | None


def fit(
    config: GANConfig,
    images: Tensor,
    *,
    out_dir: Path,
    seed: int,
    provenance: Mapping[str, object],
    trainer_options: Mapping[str, object],
    validation: Validation | None = None,
    companions: Tensor | None = None,
) -> FitResult:
    """Train a DCGAN, or go on with the unfinished training of the folder.

    Writes `last.ckpt`, `generator.safetensors`, `generator.json`, `grid.png`, `grids/`,
    `losses.png`, `metrics.csv` and `tensorboard/`; with `validation` and `evaluate_every` also
    `selection.csv` and `selection.png`, and what is exported is the best snapshot. SIGINT and
    SIGTERM end it after the current step with all of these written; the next call goes on from
    there. On the CPU of one machine, with the same versions and threads, the weights do not depend
    on where it was stopped.

    Args:
        config: The recipe; `batch_size` is per device.
        images: uint8 (N, 1, S, S), all of one class.
        out_dir: The folder; made if missing.
        seed: At least 0.
        provenance: Fields of `checkpoint.Provenance`.
        trainer_options: Fields of `TrainerOptions`.
        validation: What snapshots are chosen with; None: the last one is taken.
        companions: uint8 (M, 1, S, S), images of another class that share the training; with a
            `companion_share` above 0, and only then.

    Raises:
        ValueError: The images do not fit the recipe.
        CheckpointError: `last.ckpt` is damaged or of another training.
        TrainingDiverged: A loss or weight became NaN or infinite before there was a snapshot to
            keep; the last good checkpoint stays.
        OSError: The files cannot be written.
    """
    sets = [images] if companions is None else [images, companions]
    for some in sets:
        _require_images(some, config)
    if bool(config.companion_share) != (companions is not None):
        raise ValueError("Companions and a companion_share above 0 belong together.")
    origin = Provenance.model_validate(dict(provenance))
    options = TrainerOptions.model_validate(dict(trainer_options))
    run = describe_run(config, sets, seed=seed, provenance=origin)
    path = out_dir / STATE_NAME
    out_dir.mkdir(parents=True, exist_ok=True)

    module = LitDCGAN(config, seed=seed)
    resumed = load_state(path, run)
    seconds = 0.0
    if resumed is not None:
        state, seconds = resumed
        module.restore(state)
        log.info("going on after %d of %d images", module.images_shown, config.images_shown)

    diverged: TrainingDiverged | None = None
    with StopRequest() as stop, quiet_lightning():
        if module.images_shown < config.images_shown and module.stop_reason is None:
            callbacks = _callbacks(config, images, validation, origin, out_dir)
            writer = CheckpointWriter(path, run, seconds=seconds)
            trainer = make_trainer(options, out_dir, [*callbacks, writer, stop])
            stop.trainer = trainer
            data = _stream(module, images, companions, ranks=trainer.world_size)
            try:
                trainer.fit(module, datamodule=data)
            except TrainingDiverged as error:
                diverged = error
        return _finish(module, run, origin, out_dir=out_dir, stop=stop, diverged=diverged)


def _callbacks(
    config: GANConfig,
    images: Tensor,
    validation: Validation | None,
    origin: Provenance,
    out_dir: Path,
) -> list[Callback]:
    callbacks: list[Callback] = [Recorder(out_dir), ProgressReport(f"GAN {origin.class_name}")]
    if validation is not None and config.evaluate_every:
        # Before the checkpoint is written, which holds what was found.
        callbacks.append(Selector(out_dir, images, validation))
    return callbacks


def _require_images(images: Tensor, config: GANConfig) -> None:
    side = config.image_size
    if images.dtype is not torch.uint8 or images.shape[1:] != (1, side, side) or not len(images):
        raise ValueError(
            f"The recipe wants uint8 images of shape (N, 1, {side}, {side}), N at least 1, but "
            f"these are {images.dtype} {tuple(images.shape)}; resize them or set image_size."
        )


def _stream(
    module: LitDCGAN, images: Tensor, companions: Tensor | None, *, ranks: int
) -> ImageStream:
    config = module.config
    batch_size = min(config.batch_size, len(images) // ranks)
    if batch_size < (1 if companions is None else 2):
        raise ValueError(
            f"Training on {ranks} devices wants at least {ranks} images, and twice as many with "
            f"companions, but there are {len(images)}; use fewer devices."
        )
    if batch_size < config.batch_size:
        log.warning(
            "the batch is %d images in place of %d, since there are only %d",
            batch_size,
            config.batch_size,
            len(images),
        )
    return ImageStream(
        images,
        seed=module.seed,
        batch_size=batch_size,
        start=module.images_shown,
        stop=config.images_shown,
        companions=companions,
        n_companions=config.n_companions(batch_size),
    )


def _finish(
    module: LitDCGAN,
    run: Mapping[str, object],
    origin: Provenance,
    *,
    out_dir: Path,
    stop: StopRequest,
    diverged: TrainingDiverged | None,
) -> FitResult:
    """Export the averaged generator from the checkpoint, which is thereby read back."""
    written = load_state(out_dir / STATE_NAME, run)
    if diverged is not None and (written is None or not written[0]["evaluations"]):
        raise diverged
    if written is None:
        raise CheckpointError(
            f"{out_dir / STATE_NAME} should stand after training, but it is missing; train again."
        )
    state, seconds = written
    module.cpu()
    module.restore(state)
    reason = module.stop_reason if diverged is None else str(diverged)
    if reason is not None:
        log.warning("The training ended early: %s; the last good snapshot is kept.", reason)
    if diverged is not None:
        write_evaluations(out_dir, module.evaluations)  # without what came after the checkpoint
    selected = module.select()
    path = out_dir / WEIGHTS_NAME
    if stop.trainer is None or stop.trainer.is_global_zero:
        write_atomically(out_dir / GRID_NAME, grid_png(module))
        save_generator(
            out_dir,
            module.averaged_generator(),
            provenance=origin,
            seed=module.seed,
            images_shown=module.images_shown if selected is None else selected["images_shown"],
        )
    number = stop.number
    if number is None and module.images_shown < module.config.images_shown and reason is None:
        number = int(signal.SIGTERM)  # only the processes of other devices were told
    return FitResult(
        generator=path,
        images_shown=module.images_shown,
        seconds=seconds,
        images_per_second=module.images_shown / seconds,
        interrupted_by=None if reason is not None else number,
        stop_reason=reason,
        selected=selected,
    )
