"""Training of one classifier, from tables to files."""

import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from classifier.checkpoint import save_classifier
from classifier.config import ClassifierConfig
from classifier.data import Loaders, Pretraining
from classifier.losses import ClassLoss, loss_function, remedies
from classifier.mixup import Mixup
from classifier.models import build
from classifier.module import ClassifierModule, TrainingDiverged
from classifier.progress import ProgressBar, plot_learning_curves, write_history
from classifier.tables import ImageTable, check_table

__all__ = ["FitResult", "Pretraining", "TrainingDiverged", "fit"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a training run left.

    Attributes:
        checkpoint: Folder for `load_classifier`.
        best_epoch: Number of the validation, from 1, whose weights were kept.
        seconds: Wall-clock time.
        history: Rows of `history.csv`.
    """

    checkpoint: Path
    best_epoch: int
    seconds: float
    history: tuple[dict[str, Any], ...]


def fit(
    config: ClassifierConfig,
    train: ImageTable,
    val: ImageTable,
    *,
    class_names: Sequence[str],
    n_steps: int,
    steps_per_epoch: int,
    seed: int,
    out_dir: Path,
    trainer_options: Mapping[str, object],
    provenance: Mapping[str, object],
    pretrain: Pretraining | None = None,
) -> FitResult:
    """Train for exactly `n_steps` optimizer steps, however many images there are.

    The weights kept are those of the validation with the greatest AUROC; of equal ones, or where
    validation holds a single class and AUROC is undefined, those with the lowest validation loss.
    With a pretraining, only validations after it choose, so that the weights kept have seen `train`
    last; steps, schedule and validations are those of a run without. Its loss counts the classes of
    its own table.

    Same arguments, same weights on CPU, whatever `num_workers`.

    Args:
        config: The recipe.
        train: Training images.
        val: Validation images; they choose the weights.
        class_names: A name per class number.
        n_steps: Optimizer steps.
        steps_per_epoch: Steps between two validations; the last stretch may be shorter.
        seed: Of the head's (or all) initial weights, order, transforms, mixup and dropout.
        out_dir: Gets `classifier.safetensors`, `classifier.json`, `history.csv` and
            `learning-curves.png` once training has ended; made if absent.
        trainer_options: Arguments of `lightning.Trainer`: accelerator, devices, precision and so
            on; `enable_progress_bar=False` silences the bar.
        provenance: Anything JSON can hold; stored with the weights.
        pretrain: Images that the first steps read in place of `train`, and how many steps; None:
            all read `train`.

    Raises:
        ValueError: A table is empty or has a label without a name, a class without images is to be
            balanced, pretraining leaves no step, or the model cannot be built (`ModelError`).
        TrainingDiverged: The loss is not finite.
        KeyboardInterrupt: Ctrl-C; nothing is written.
    """
    started = time.monotonic()
    if min(n_steps, steps_per_epoch) < 1:
        raise ValueError(
            f"Training wants 1 step or more, not n_steps={n_steps} and "
            f"steps_per_epoch={steps_per_epoch}; ask for more."
        )
    check_table(train, len(class_names), "training")
    check_table(val, len(class_names), "validation")
    if pretrain is not None:
        check_table(pretrain.table, len(class_names), "pretraining")
    loss = _loss(config, train, len(class_names))
    pretraining_loss = None if pretrain is None else _loss(config, pretrain.table, len(class_names))
    loaders = Loaders(
        config,
        train,
        val,
        n_steps=n_steps,
        steps_per_epoch=steps_per_epoch,
        seed=seed,
        pretrain=pretrain,
    )
    if loaders.batch_size < config.batch_size:
        logger.warning(
            "Batches hold %d images in place of %d: there are no more.",
            loaders.batch_size,
            config.batch_size,
        )
    if len(remedies(config)) > 1:
        logger.warning(
            "Any one of %s balances the classes; what comes after the first changes nothing.",
            " and ".join(remedies(config)),
        )
    mixup = Mixup(config.mixup_alpha, len(class_names), seed) if config.mixup_alpha else None
    # Initial weights and dropout draw from torch's global state, which is the caller's again after.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        network = build(config, len(class_names))
        head_steps = config.head_epochs * steps_per_epoch if network.pretrained else 0
        module = ClassifierModule(
            network,
            config,
            n_steps=n_steps,
            head_steps=min(head_steps, n_steps),
            loss=loss,
            mixup=mixup,
            pretraining_steps=loaders.pretraining_steps,
            pretraining_loss=pretraining_loss,
        )
        _run(module, loaders, n_steps, trainer_options)
    best = module.best
    if best is None:
        raise ValueError("Lightning ended the training before its first validation.")
    if best.val_auroc is None:
        logger.warning("Validation holds one class only: its loss chose the weights, not AUROC.")
    facts: dict[str, object] = {"seed": seed, "n_steps": n_steps, "best": asdict(best)}
    if pretrain is not None:
        facts["pretraining"] = {"steps": loaders.pretraining_steps, "images": len(pretrain.table)}
    save_classifier(
        out_dir,
        network,
        module.best_weights,
        config,
        class_names=class_names,
        provenance={**provenance, **facts},
    )
    write_history(out_dir / "history.csv", module.history)
    plot_learning_curves(out_dir / "learning-curves.png", module.history, best)
    history = tuple(asdict(record) for record in module.history)
    return FitResult(out_dir, best.epoch, time.monotonic() - started, history)


def _loss(config: ClassifierConfig, table: ImageTable, n_classes: int) -> ClassLoss:
    return loss_function(config, np.bincount(table.labels, minlength=n_classes))


def _run(
    module: ClassifierModule, loaders: Loaders, n_steps: int, options: Mapping[str, object]
) -> None:
    given: dict[str, Any] = dict(options)
    bar = [ProgressBar(n_steps)] if given.pop("enable_progress_bar", True) else []
    with _quiet(), _interrupts_as_such():
        trainer = L.Trainer(
            max_steps=n_steps,
            max_epochs=-1,
            reload_dataloaders_every_n_epochs=1,  # each epoch reads its own steps of the order
            use_distributed_sampler=False,  # the order is shared out by rank already
            num_sanity_val_steps=0,
            callbacks=[*bar],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **given,
        )
        trainer.fit(module, datamodule=loaders)


@contextmanager
def _quiet() -> Iterator[None]:
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
def _interrupts_as_such() -> Iterator[None]:
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
