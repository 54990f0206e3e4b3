"""Lightning's Trainer, without what it says and does to signals."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning as L
from lightning.pytorch.utilities.exceptions import SIGTERMException

from classifier.averaging import averaging
from classifier.config import ClassifierConfig
from classifier.data import Loaders
from classifier.module import ClassifierModule
from classifier.progress import ProgressBar


def run_trainer(
    module: ClassifierModule,
    loaders: Loaders,
    n_steps: int,
    config: ClassifierConfig,
    options: Mapping[str, object],
) -> None:
    """Train for exactly `n_steps` optimizer steps, quietly, and let Ctrl-C be Ctrl-C.

    Args:
        module: What is trained.
        loaders: Its images.
        n_steps: Optimizer steps.
        config: The recipe; of it, the averaging is used.
        options: Arguments of `lightning.Trainer`.
    """
    given: dict[str, Any] = dict(options)
    bar = [ProgressBar(n_steps)] if given.pop("enable_progress_bar", True) else []
    with quiet(), interrupts_as_such():
        trainer = L.Trainer(
            max_steps=n_steps,
            max_epochs=-1,
            reload_dataloaders_every_n_epochs=1,  # each epoch reads its own steps of the order
            use_distributed_sampler=False,  # the order is shared out by rank already
            num_sanity_val_steps=0,
            callbacks=[*bar, *averaging(config.ema_half_life)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **given,
        )
        trainer.fit(module, datamodule=loaders)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning from advertising devices and loader workers; its errors still come through."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    loggers = [logging.getLogger(name) for name in names]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


@contextmanager
def interrupts_as_such() -> Iterator[None]:
    """Undo what Lightning makes of Ctrl-C and SIGTERM: an exit, and deafness to any further one."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException as error:
        error.code = 128 + signal.SIGTERM  # Lightning's own would be read as success
        raise
    except SystemExit as error:
        # Lightning exits while it handles what a handler raised; that is what happened.
        cause = error.__context__
        raise (cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt()) from None
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)
