"""Lightning's Trainer without its messages and signal handling, and its callbacks."""

import logging
import os
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.multiprocessing.spawn import ProcessRaisedException

from classifier.config import ClassifierConfig
from classifier.data import Loaders
from classifier.module import ClassifierDiverged, ClassifierModule

logger = logging.getLogger(__name__)

_LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")


@dataclass(frozen=True, slots=True)
class TrainingHardware:
    """Devices and precision of a training.

    Several devices share each batch, and train as one does within rounding, but for dropout and
    for batch norm on CPUs, whose statistics are of each device's own images. Their processes are
    started from the training (`ddp_spawn`, `ddp_fork`) or stand beside it, started by torchrun or
    SLURM (`ddp`); then each of them makes the same call.

    Example:
        >>> from classifier import TrainingHardware
        >>> TrainingHardware(accelerator="cpu").precision
        '32-true'

    Attributes:
        accelerator: Lightning's name of the device: `auto`, `cpu`, `gpu`, `cuda` or `mps`.
        precision: Lightning's name of the precision.
        devices: Number of devices on this machine, or a list of them.
        num_nodes: Number of machines.
        strategy: Lightning's name of the way to use several devices; `auto` for one.
    """

    accelerator: str = "auto"
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    devices: int | str = 1
    num_nodes: int = 1
    strategy: Literal["auto", "ddp", "ddp_spawn", "ddp_fork"] = "auto"

    @property
    def starts_processes(self) -> bool:
        """True where the trainer starts the processes of the devices itself."""
        return self.strategy in ("ddp_spawn", "ddp_fork")

    @property
    def alone(self) -> "TrainingHardware":
        """The same with one device, started by nobody."""
        return replace(self, devices=1, num_nodes=1, strategy="auto")


def is_first_process() -> bool:
    """Return True in the first of the processes that torchrun or srun started: it writes."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", 0))) == 0


def run_trainer(
    module: ClassifierModule,
    loaders: Loaders,
    n_steps: int,
    config: ClassifierConfig,
    hardware: TrainingHardware,
    *,
    progress: bool,
) -> None:
    """Train for exactly `n_steps` optimizer steps; Ctrl-C raises `KeyboardInterrupt`.

    Args:
        module: The network and its training loop.
        loaders: Its images.
        n_steps: Number of optimizer steps.
        config: The recipe; its `ema_half_life` is used.
        hardware: Device and precision.
        progress: True shows a progress bar on stderr.
    """
    bar = [ProgressBar(n_steps)] if progress else []
    with quiet(), plain_interrupts(), tempfile.TemporaryDirectory() as folder:
        handover = Handover(Path(folder) / "result.pt")
        trainer = new_trainer(
            hardware,
            n_steps,
            freezes_layers=module.freezes_layers,
            reload_dataloaders_every_n_epochs=1,  # each epoch reads its own steps of the order
            num_sanity_val_steps=0,
            callbacks=[*bar, *averaging(config.ema_half_life), handover],
        )
        loaders.check_ranks(trainer.world_size)
        if trainer.world_size > 1 and trainer.strategy.root_device.type == "cpu":
            logger.warning(
                "On CPUs batch norm sees the images of each device alone, so that %d devices do "
                "not train as one does; use one, or GPUs.",
                trainer.world_size,
            )
        try:
            trainer.fit(module, datamodule=loaders)
        except ProcessRaisedException as error:
            kind, _, sentence = error.msg.strip().splitlines()[-1].partition(": ")
            if kind.endswith(f".{ClassifierDiverged.__name__}"):
                raise ClassifierDiverged(sentence) from error
            raise
        handover.read_into(module)


def new_trainer(
    hardware: TrainingHardware, n_steps: int, *, freezes_layers: bool = False, **options: Any
) -> L.Trainer:
    """Build a Lightning Trainer that writes no files and shows no bar.

    Args:
        hardware: Devices and precision.
        n_steps: Number of optimizer steps.
        freezes_layers: True if some steps leave layers as they are.
        options: Further arguments of `lightning.Trainer`.
    """
    strategy: str = hardware.strategy
    if strategy != "auto":
        strategy += "_find_unused_parameters_true" if freezes_layers else ""
        options["sync_batchnorm"] = torch.cuda.is_available() and hardware.accelerator != "cpu"
    if hardware.starts_processes:
        # Without it, Lightning would ask SLURM for the processes that it is to start.
        options["plugins"] = [LightningEnvironment()]
    return L.Trainer(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        num_nodes=hardware.num_nodes,
        strategy=strategy,
        precision=hardware.precision,
        max_steps=n_steps,
        max_epochs=-1,  # as many as the steps take
        use_distributed_sampler=False,  # the order is divided among the ranks already
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's remarks about devices and loader workers, but not its errors."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [each.level for each in loggers]
    try:
        with warnings.catch_warnings():
            _silence()
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def _silence() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")


class Handover(L.Callback):
    """Callback that brings the result of a training from the process that it ran in to this one.

    Args:
        path: Path to a file that both can read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state in a process that was started, where nothing is silent yet."""
        self.__dict__.update(state)
        _silence()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the result, in the first of the started processes."""
        if trainer.is_global_zero and trainer.strategy.launcher is not None:
            torch.save(cast(ClassifierModule, pl_module).outcome(), self._path)

    def read_into(self, module: ClassifierModule) -> None:
        """Give the module what was written, if anything was."""
        if self._path.exists():
            module.take_outcome(torch.load(self._path, weights_only=True))


@contextmanager
def plain_interrupts() -> Iterator[None]:
    """Undo what Lightning does on Ctrl-C and SIGTERM: it exits, and ignores further signals."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException as error:
        error.code = 128 + signal.SIGTERM  # Lightning's own code would mean success
        raise
    except SystemExit as error:
        # Lightning exits while it handles an exception, which is the one to raise.
        cause = error.__context__
        raise (cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt()) from None
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)


class MovingAverage(WeightAveraging):
    """Exponential moving average of weights and batch statistics (Polyak averaging).

    Its memory grows during the training: after n averaged steps the past has the weight
    (1 + n) / (10 + n), up to the limit of the half-life, so that the average of a short training
    is not dominated by its start.

    Lightning's own callback restores the current weights before the module sees the end of the
    validation; this one restores them after it, so that the validated weights can be kept.

    Args:
        half_life: Number of optimizer steps after which past weights count half.
    """

    def __init__(self, half_life: float) -> None:
        super().__init__(avg_fn=partial(_average, longest=0.5 ** (1 / half_life)))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the averaged weights in place until the module has seen them."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore the current weights."""
        super().on_validation_epoch_end(trainer, pl_module)


def _average(
    averaged: Tensor, current: Tensor, n_averaged: Tensor | int, *, longest: float
) -> Tensor:
    n = float(n_averaged)
    return torch.lerp(averaged.float(), current.float(), 1 - min(longest, (1 + n) / (10 + n)))


def averaging(half_life: float) -> list[Any]:
    """Return the callback that averages weights, or none for a half-life of 0."""
    return [MovingAverage(half_life)] if half_life else []


class ProgressBar(L.Callback):
    """Line on stderr or in a notebook: steps, loss, best validation AUROC, images per second."""

    def __init__(self, n_steps: int) -> None:
        self._bar = Progress(
            TextColumn("classifier"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("classifier", total=n_steps, state="")
        self._started = 0.0
        self._shown = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock and the line."""
        self._started = time.monotonic()
        if trainer.is_global_zero:
            self._bar.start()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Update the line."""
        self._shown += len(batch[1]) * trainer.world_size
        rate = self._shown / max(1e-9, time.monotonic() - self._started)
        state = f"loss {float(outputs['loss']):.3f}, {rate:.0f} images/s"
        if isinstance(pl_module, ClassifierModule) and pl_module.best is not None:
            best = pl_module.best.val_auroc
            state += "" if best is None else f", best val AUROC {best:.3f}"
        self._bar.update(self._task, completed=trainer.global_step, state=state)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the line; it stays visible."""
        self._bar.stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """End the line."""
        self._bar.stop()
