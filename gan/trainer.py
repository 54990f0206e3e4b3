"""The Lightning Trainer of a GAN: processes, quiet logging, work after a step, stop by a signal."""

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self, cast

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from gan.config import GANTrainerOptions
from gan.module import LitDCGAN

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that stop a training: Ctrl-C, `kill`, a terminal that closes (not on Windows)."""
_LOGGERS = ("lightning.pytorch", "lightning.fabric")
STEPS_BETWEEN_VOTES = 10
"""Number of steps between two votes of several devices on stopping; each vote makes them wait."""


def make_trainer(options: GANTrainerOptions, out_dir: Path, callbacks: list[Callback]) -> Trainer:
    """Return a Trainer that runs the steps; the callbacks write records and checkpoints.

    Args:
        options: Device, precision and strategy.
        out_dir: Root folder of the Trainer.
        callbacks: Callbacks in their order.
    """
    strategy = _strategy(options)
    return Trainer(
        accelerator=options.accelerator,
        devices=options.devices,
        precision=options.precision,  # type: ignore[arg-type]  # checked by Lightning
        strategy=strategy,
        # Without it, Lightning would ask SLURM for the processes that this call is to start.
        plugins=[LightningEnvironment()] if "_spawn" in strategy or "_fork" in strategy else None,
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


def _strategy(options: GANTrainerOptions) -> str:
    """Return Lightning's name of a strategy for two losses that each use half of the weights.

    Unless torchrun or SLURM started a process per device, they are spawned from this call:
    Lightning's `ddp` would run the whole program again in each of them.
    """
    strategy = options.strategy
    if strategy in ("auto", "ddp") and _wants_several(options):
        strategy = "ddp" if is_launched() else "ddp_spawn"
    if strategy in ("ddp", "ddp_spawn", "ddp_fork"):
        strategy += "_find_unused_parameters_true"
    return strategy


def _wants_several(options: GANTrainerOptions) -> bool:
    devices = options.devices
    if devices in (-1, "-1", "auto"):
        return options.accelerator in ("auto", "cuda", "gpu") and torch.cuda.device_count() > 1
    text = str(devices)
    count = len(text.strip(",").split(",")) if "," in text else int(text)
    return count > 1 or options.num_nodes > 1


def is_launched() -> bool:
    """Return True if torchrun, or srun with several tasks, started this process beside others."""
    return "LOCAL_RANK" in os.environ or int(os.environ.get("SLURM_NTASKS", 1)) > 1


def is_first_process() -> bool:
    """Return True in the first of the processes that torchrun or srun started: it writes."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", 0))) == 0


def silence_lightning() -> None:
    """Leave Lightning only its warnings, for the rest of the process."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Lightning 2.6.6 calls torch's tree functions the old way (torch 2.15 says so).
    warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated")


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide Lightning's advertisements and notes on devices, but not its warnings."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            silence_lightning()
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class AfterStep(Callback):
    """Callback that calls `after_step` in the first process alone."""

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        """Call `after_step`."""
        if trainer.is_global_zero:
            self.after_step(cast(LitDCGAN, pl_module), len(batch) * trainer.world_size)

    def after_step(self, module: LitDCGAN, step: int) -> None:
        """Act on a finished step of `step` images, all devices together."""


class StopRequest(Callback):
    """Context that catches SIGINT, SIGTERM and SIGHUP and ends the training after the current step.

    A signal that is ignored stays ignored, so that a training under `nohup` goes on when its
    terminal closes. A second Ctrl-C aborts at once. Outside the main thread, where Python allows no
    handlers, it catches nothing.

    Attributes:
        number: Number of the signal received; None: none.
        trainer: Trainer to stop; set before training, so that its other processes get the signal.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.trainer: Trainer | None = None
        self._previous: dict[signal.Signals, object] = {}
        self._owner = os.getpid()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.getsignal(number) for number in SIGNALS}
            self._install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            # None: a handler that was not installed from Python and cannot be put back.
            signal.signal(number, handler or signal.SIG_DFL)  # type: ignore[arg-type]
        self._previous = {}

    def __getstate__(self) -> dict[str, object]:
        """Return the state for a process of another device, without the old handlers."""
        return {"number": self.number, "trainer": None, "_previous": {}, "_owner": self._owner}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Take the state in the process of another device, where nothing is silent yet."""
        self.__dict__.update(state)
        silence_lightning()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace Lightning's handlers, which would end the process with unsaved work.

        Runs in each process; Lightning restores the handlers before its own at the end.
        """
        if threading.current_thread() is threading.main_thread():
            self._install()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Stop after a signal; all devices stop after the same step."""
        wanted = self.number is not None
        if trainer.world_size > 1:
            if (batch_idx + 1) % STEPS_BETWEEN_VOTES:
                return
            wanted = trainer.strategy.reduce_boolean_decision(wanted, all=False)
        if wanted:
            trainer.should_stop = True

    def _install(self) -> None:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        is_owner = os.getpid() == self._owner
        if is_owner and self.number == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = self.number or number
        if is_owner:
            launcher = None if self.trainer is None else self.trainer.strategy.launcher
            if launcher is not None:
                # The processes of other devices; a terminal signals them too, which is harmless.
                launcher.kill(signal.Signals(number))
