"""Training of one classifier, from tables to files."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from classifier.calibration import fit_temperature
from classifier.checkpoint import save_classifier
from classifier.config import ClassifierConfig
from classifier.data import Loaders, Pretraining
from classifier.losses import ClassLoss, loss_function, remedies
from classifier.mixup import Mixup
from classifier.models import build, model_card
from classifier.module import ClassifierModule, TrainingDiverged
from classifier.phases import plan_phases
from classifier.predict import log_probabilities
from classifier.progress import plot_learning_curves, write_history
from classifier.tables import ImageTable, check_table
from classifier.trainer import run_trainer

__all__ = ["FitResult", "Pretraining", "TrainingDiverged", "fit"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a training run left.

    Attributes:
        checkpoint: Folder for `load_classifier`.
        best_epoch: Number of the validation, from 1, whose weights were kept; of the first network.
        n_steps: Optimizer steps that were taken, of each network the most.
        seconds: Wall-clock time.
        history: Rows of `history.csv`.
    """

    checkpoint: Path
    best_epoch: int
    n_steps: int
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
    rarest: int | None = None,
) -> FitResult:
    """Train for exactly `n_steps` optimizer steps, however many images there are.

    Only `patience` ends a run before that. The weights kept are those of the validation with the
    greatest AUROC; of equal ones, or where validation holds a single class and AUROC is undefined,
    those with the lowest validation loss. Or, by `keep`, those of the end. With images of several
    sizes, only validations at the last size choose.
    With a pretraining, only validations after it choose, so that the weights kept have seen `train`
    last; steps, schedule and validations are those of a run without. Its loss counts the classes of
    its own table.

    With several `members`, so many networks are trained, one after another, each for all steps.

    Same arguments, same weights on CPU, whatever `num_workers`.

    Args:
        config: The recipe.
        train: Training images.
        val: Validation images; they choose the weights and fit the temperature.
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
        rarest: Number of the class that the recipe calls the rare one; None: that with the fewest
            images in `train`. Say it where images were added to fill a class up.

    Raises:
        ValueError: A table is empty or has a label without a name, a class without images is to be
            balanced, pretraining leaves no step, or the model cannot be built (`ModelError`).
        TrainingDiverged: The loss is not finite.
        KeyboardInterrupt: Ctrl-C; nothing is written.
    """
    started = time.monotonic()
    n_classes = len(class_names)
    _check_run(train, val, pretrain, n_classes, n_steps, steps_per_epoch)
    counts = np.bincount(train.labels, minlength=n_classes)
    loss = loss_function(config, counts, rarest=rarest)
    pretraining_loss = None
    if pretrain is not None:
        seen = np.bincount(pretrain.table.labels, minlength=n_classes)
        pretraining_loss = loss_function(config, seen, rarest=rarest)
    if len(remedies(config)) > 1:
        logger.warning(
            "Any one of %s balances the classes; what comes after the first changes nothing.",
            " and ".join(remedies(config)),
        )
    config = config.with_sizes(model_card(config.model).input_size)
    members = []
    for number in range(config.members or 1):
        if config.members and config.members > 1:
            logger.info("Training network %d of %d", number + 1, config.members)
        module = _train_member(
            config,
            train,
            val,
            n_classes=n_classes,
            n_steps=n_steps,
            steps_per_epoch=steps_per_epoch,
            seed=member_seed(seed, number),
            trainer_options=trainer_options,
            losses=(loss, pretraining_loss),
            pretrain=pretrain,
            rarest=rarest,
        )
        members.append(module)
    networks = [member.network for member in members]
    best = [member.best for member in members if member.best is not None]
    if len(best) < len(members):
        raise ValueError("Lightning ended the training before its first validation.")
    if best[0].val_auroc is None:
        logger.warning("Validation holds one class only: its loss chose the weights, not AUROC.")
    taken = max(member.history[-1].step for member in members)
    facts: dict[str, object] = {
        "seed": seed,
        "n_steps": taken,
        "best": [asdict(record) for record in best],
    }
    if pretrain is not None:
        facts["pretraining"] = {
            "steps": pretrain.n_steps(n_steps),
            "images": len(pretrain.table),
        }
    temperature = 1.0
    if config.calibration == "temperature":
        temperature = fit_temperature(log_probabilities(networks, config, val), val.labels)
    save_classifier(
        out_dir,
        networks,
        config,
        class_names=class_names,
        temperature=temperature,
        provenance={**provenance, **facts},
    )
    histories = [member.history for member in members]
    write_history(out_dir / "history.csv", histories)
    plot_learning_curves(out_dir / "learning-curves.png", histories, best)
    rows = tuple(
        {"member": number, **asdict(record)}
        for number, history in enumerate(histories)
        for record in history
    )
    return FitResult(out_dir, best[0].epoch, taken, time.monotonic() - started, rows)


def _check_run(
    train: ImageTable,
    val: ImageTable,
    pretrain: Pretraining | None,
    n_classes: int,
    n_steps: int,
    steps_per_epoch: int,
) -> None:
    if min(n_steps, steps_per_epoch) < 1:
        raise ValueError(
            f"Training wants 1 step or more, not n_steps={n_steps} and "
            f"steps_per_epoch={steps_per_epoch}; ask for more."
        )
    check_table(train, n_classes, "training")
    check_table(val, n_classes, "validation")
    if pretrain is not None:
        check_table(pretrain.table, n_classes, "pretraining")


def member_seed(seed: int, number: int) -> int:
    """Seed of one network of several; the first has the seed of a run with one alone."""
    if number == 0:
        return seed
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _train_member(
    config: ClassifierConfig,
    train: ImageTable,
    val: ImageTable,
    *,
    n_classes: int,
    n_steps: int,
    steps_per_epoch: int,
    seed: int,
    trainer_options: Mapping[str, object],
    losses: tuple[ClassLoss, ClassLoss | None],
    pretrain: Pretraining | None,
    rarest: int | None,
) -> ClassifierModule:
    """Train one network; the module comes back with the weights to keep in it, in eval mode."""
    # Initial weights and dropout draw from torch's global state, which is the caller's again after.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        network = build(config, n_classes)
        phases = plan_phases(
            config,
            n_steps=n_steps,
            steps_per_epoch=steps_per_epoch,
            pretrained=network.pretrained,
        )
        loaders = Loaders(
            config,
            train,
            val,
            n_classes=n_classes,
            phases=phases,
            steps_per_epoch=steps_per_epoch,
            seed=seed,
            pretrain=pretrain,
            rarest=rarest,
        )
        if loaders.batch_size < config.batch_size:
            logger.warning(
                "Batches hold %d images in place of %d: there are no more.",
                loaders.batch_size,
                config.batch_size,
            )
        module = ClassifierModule(
            network,
            config,
            phases=phases,
            steps_per_epoch=steps_per_epoch,
            loss=losses[0],
            mixup=Mixup(config.mixup_alpha, n_classes, seed) if config.mixup_alpha else None,
            pretraining_steps=loaders.pretraining_steps,
            pretraining_loss=losses[1],
        )
        run_trainer(module, loaders, n_steps, config, trainer_options)
    if module.best_weights:
        network.load_state_dict(module.best_weights)
    network.eval()
    return module
