"""Training of one DCGAN, from images in memory to files; an unfinished one is taken up again."""

import logging
import os
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from gan.callbacks import CheckpointWriter, ProgressReport, Recorder, TrainingDiverged
from gan.checkpoint import WEIGHTS_NAME, CheckpointError, Provenance, save_generator
from gan.config import GANConfig
from gan.interrupts import StopRequest
from gan.module import LitDCGAN
from gan.resume import STATE_NAME, describe_run, load_state
from gan.stream import ImageStream

__all__ = ["FitResult", "TrainerOptions", "TrainingDiverged", "fit"]

log = logging.getLogger(__name__)


class TrainerOptions(BaseModel):
    """What reaches the Lightning Trainer, in its own words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accelerator: str = "auto"
    devices: int | str = 1
    precision: str = "32-true"
    strategy: str = "auto"
    num_nodes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What a training left.

    Attributes:
        generator: Path of the weights; `generator.json` lies beside it.
        images_shown: Real images shown so far, all devices and earlier calls together.
        seconds: Time of training, earlier calls included.
        images_per_second: The former by the latter.
        interrupted_by: Number of the signal that stopped it early; None where it is finished.
    """

    generator: Path
    images_shown: int
    seconds: float
    images_per_second: float
    interrupted_by: int | None


def fit(
    config: GANConfig,
    images: Tensor,
    *,
    out_dir: Path,
    seed: int,
    provenance: Mapping[str, object],
    trainer_options: Mapping[str, object],
) -> FitResult:
    """Train a DCGAN, or go on with the unfinished training of the folder.

    Writes `last.ckpt`, `generator.safetensors`, `generator.json`, `grid.png`, `grids/`,
    `losses.png`, `metrics.csv` and `tensorboard/`. SIGINT and SIGTERM end it after the current
    step with all of these written; the next call goes on from there. On the CPU of one machine,
    with the same versions and threads, the weights do not depend on where it was stopped.

    Args:
        config: The recipe; `batch_size` is per device.
        images: uint8 (N, 1, S, S), all of one class.
        out_dir: The folder; made if missing.
        seed: At least 0.
        provenance: Fields of `checkpoint.Provenance`.
        trainer_options: Fields of `TrainerOptions`.

    Raises:
        ValueError: The images do not fit the recipe.
        CheckpointError: `last.ckpt` is damaged or of another training.
        TrainingDiverged: A loss or weight became NaN or infinite; the last good checkpoint stays.
        OSError: The files cannot be written.
    """
    _require_images(images, config)
    origin = Provenance.model_validate(dict(provenance))
    options = TrainerOptions.model_validate(dict(trainer_options))
    run = describe_run(config, images, seed=seed, provenance=origin)
    path = out_dir / STATE_NAME
    out_dir.mkdir(parents=True, exist_ok=True)

    module = LitDCGAN(config, seed=seed)
    resumed = load_state(path, run)
    seconds = 0.0
    if resumed is not None:
        state, seconds = resumed
        module.restore(state)
        log.info("going on after %d of %d images", module.images_shown, config.images_shown)

    with StopRequest() as stop, _quiet_lightning():
        if module.images_shown < config.images_shown:
            writer = CheckpointWriter(path, run, seconds=seconds)
            title = f"GAN {origin.class_name}"
            callbacks = [Recorder(out_dir), writer, ProgressReport(title), stop]
            trainer = _trainer(options, out_dir, callbacks)
            stop.trainer = trainer
            trainer.fit(module, datamodule=_stream(module, images, ranks=trainer.world_size))
        return _finish(module, run, origin, out_dir=out_dir, stop=stop)


def _require_images(images: Tensor, config: GANConfig) -> None:
    side = config.image_size
    if images.dtype is not torch.uint8 or images.shape[1:] != (1, side, side) or not len(images):
        raise ValueError(
            f"The recipe wants uint8 images of shape (N, 1, {side}, {side}), N at least 1, but "
            f"these are {images.dtype} {tuple(images.shape)}; resize them or set image_size."
        )


def _stream(module: LitDCGAN, images: Tensor, *, ranks: int) -> ImageStream:
    config = module.config
    batch_size = min(config.batch_size, len(images) // ranks)
    if batch_size < 1:
        raise ValueError(
            f"Training on {ranks} devices wants at least {ranks} images, but there are "
            f"{len(images)}; use fewer devices."
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
    )


def _trainer(options: TrainerOptions, out_dir: Path, callbacks: list[Callback]) -> Trainer:
    """A Trainer that runs the steps; records, bar and checkpoints are ours."""
    return Trainer(
        accelerator=options.accelerator,
        devices=options.devices,
        precision=options.precision,  # type: ignore[arg-type]  # checked by Lightning
        strategy=_strategy(options),
        num_nodes=options.num_nodes,
        callbacks=callbacks,
        default_root_dir=out_dir,
        max_epochs=1,  # of the stream, which holds all steps
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _strategy(options: TrainerOptions) -> str:
    """The strategy by Lightning's name, made to fit two losses that each use half of the weights.

    On one machine, further processes are spawned from this call: Lightning's own choice would run
    the whole command again in each of them.
    """
    devices = options.devices
    if devices in (-1, "-1", "auto"):
        count = torch.cuda.device_count() if options.accelerator in ("auto", "cuda", "gpu") else 1
    else:
        text = str(devices)
        count = len(text.strip(",").split(",")) if "," in text else int(text)
    strategy = options.strategy
    if strategy == "auto" and (count > 1 or options.num_nodes > 1):
        launched = options.num_nodes > 1 or "LOCAL_RANK" in os.environ
        strategy = "ddp" if launched else "ddp_spawn"
    if strategy in ("ddp", "ddp_spawn", "ddp_fork"):
        strategy += "_find_unused_parameters_true"
    return strategy


def _finish(
    module: LitDCGAN,
    run: Mapping[str, object],
    origin: Provenance,
    *,
    out_dir: Path,
    stop: StopRequest,
) -> FitResult:
    """Export the averaged generator from the checkpoint, which is thereby read back."""
    written = load_state(out_dir / STATE_NAME, run)
    if written is None:
        raise CheckpointError(
            f"{out_dir / STATE_NAME} should stand after training, but it is missing; train again."
        )
    state, seconds = written
    module.cpu()
    module.restore(state)
    path = out_dir / WEIGHTS_NAME
    if stop.trainer is None or stop.trainer.is_global_zero:
        save_generator(
            out_dir,
            module.averaged_generator(),
            provenance=origin,
            seed=module.seed,
            images_shown=module.images_shown,
        )
    number = stop.number
    if number is None and module.images_shown < module.config.images_shown:
        number = int(signal.SIGTERM)  # only the processes of other devices were told
    return FitResult(
        generator=path,
        images_shown=module.images_shown,
        seconds=seconds,
        images_per_second=module.images_shown / seconds,
        interrupted_by=number,
    )


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advertisements and notes on devices out; its warnings stay."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6.6 calls torch's tree functions the old way (torch 2.15 says so).
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
