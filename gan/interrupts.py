"""Ctrl-C and SIGTERM as a wish to stop after the current step."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from lightning.pytorch import Callback, LightningModule, Trainer

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STEPS_BETWEEN_VOTES = 10
"""Several devices agree on stopping only this often, since each vote makes them wait."""


class StopRequest(Callback):
    """Catches the signals while it is entered, and ends the training after the current step.

    A second Ctrl-C aborts at once. Outside the main thread, where Python allows no handlers, it
    catches nothing.

    Attributes:
        number: The signal that came, None where none came.
        trainer: Set before the training starts, so that its other processes hear the signal too.
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
        """What a process started for another device gets; the old handlers stay here."""
        return {"number": self.number, "trainer": None, "_previous": {}, "_owner": self._owner}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals from Lightning, which would end the process with unsaved work.

        Runs in each process; Lightning puts back its predecessor's handlers in the end.
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
        """Stop where a signal came; all devices after the same step."""
        wanted = self.number is not None
        if trainer.world_size > 1:
            if (batch_idx + 1) % STEPS_BETWEEN_VOTES:
                return
            wanted = trainer.strategy.reduce_boolean_decision(wanted, all=False)
        if wanted:
            trainer.should_stop = True

    def _install(self) -> None:
        for number in SIGNALS:
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
