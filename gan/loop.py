"""One training, from the first step or where it stopped, to the state in its checkpoint."""

import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from torch.multiprocessing.spawn import ProcessRaisedException

from gan.checkpoint import GeneratorCheckpointError
from gan.config import GANTrainerOptions
from gan.module import GANDiverged, LitDCGAN
from gan.resume import STATE_NAME, CheckpointWriter, load_state
from gan.stream import ImageStream
from gan.trainer import StopRequest, make_trainer, quiet_lightning

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a training.

    Attributes:
        seconds: Training time, earlier calls included.
        interrupted_by: Number of the signal that stopped it; None: it is finished.
        stop_reason: Reason for an early end; None: no early end.
        diverged: True: that reason is a loss or weight that was not finite.
    """

    seconds: float
    interrupted_by: int | None
    stop_reason: str | None
    diverged: bool


def fit(
    module: LitDCGAN,
    stream: Callable[[int], ImageStream],
    run: Mapping[str, Any],
    directory: Path,
    *,
    callbacks: Sequence[Callback],
    options: GANTrainerOptions,
) -> Ended:
    """Train, or resume the unfinished training in the folder.

    Args:
        module: New module; in the end it has the state of the checkpoint, on the CPU.
        stream: Function from the number of processes to the images.
        run: Result of `describe_run`.
        directory: Folder of the checkpoint; created if missing.
        callbacks: What to do after steps, before the checkpoint is written.
        options: Devices and precision.

    Raises:
        GeneratorCheckpointError: The checkpoint is damaged or belongs to another training.
        GANDiverged: A loss or weight became NaN or infinite before there was a snapshot to export.
    """
    path, config = directory / STATE_NAME, module.config
    directory.mkdir(parents=True, exist_ok=True)
    resumed = load_state(path, run)
    seconds = 0.0
    if resumed is not None:
        state, seconds = resumed
        module.restore(state)
        log.info("resuming after %d of %d images", module.images_shown, config.images_shown)
    diverged: GANDiverged | None = None
    with StopRequest() as stop, quiet_lightning():
        if module.images_shown < config.images_shown and module.stop_reason is None:
            writer = CheckpointWriter(path, run, seconds=seconds)
            trainer = make_trainer(options, directory, [*callbacks, writer, stop])
            stop.trainer = trainer
            data = stream(trainer.world_size)
            try:
                trainer.fit(module, datamodule=data)
            except GANDiverged as error:
                diverged = error
            except ProcessRaisedException as error:
                diverged = _divergence_of_another_process(error)
            else:
                trainer.strategy.barrier()  # until the first process has written the checkpoint
    seconds = _read_back(module, path, run, diverged)
    reason = module.stop_reason if diverged is None else str(diverged)
    if reason is not None:
        log.warning("The training ended early: %s; its generator is exported.", reason)
    number = stop.number
    if number is None and module.images_shown < config.images_shown:
        number = int(signal.SIGTERM)  # only the processes of other devices got the signal
    return Ended(seconds, None if reason is not None else number, reason, diverged is not None)


def _read_back(
    module: LitDCGAN, path: Path, run: Mapping[str, Any], diverged: GANDiverged | None
) -> float:
    """Give the module the state of the checkpoint, and return the seconds so far."""
    written = load_state(path, run)
    if written is not None:
        module.cpu()
        module.restore(written[0])
    if diverged is not None and (written is None or not module.has_snapshot):
        raise diverged
    if written is None:
        raise GeneratorCheckpointError(
            f"{path} should exist after training, but is missing; train again."
        )
    return written[1]


def _divergence_of_another_process(error: ProcessRaisedException) -> GANDiverged:
    """Return the error of a process that this one started; any other error is raised again."""
    kind, _, sentence = error.msg.strip().splitlines()[-1].partition(": ")
    if kind != f"{GANDiverged.__module__}.{GANDiverged.__name__}":
        raise error
    return GANDiverged(sentence)
