"""Training of a classifier, from tables to files."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifier.checkpoint import save_classifier
from classifier.config import ClassifierConfig, StepPlan, plan_steps
from classifier.data import Pretraining
from classifier.decision import fit_temperature
from classifier.history import plot_learning_curves, write_history
from classifier.losses import posthoc_offsets, remedies
from classifier.member import MemberTables, train_member
from classifier.models import ImageClassifier, model_card
from classifier.prediction import log_probabilities
from classifier.tables import ArrayTable, check_table
from classifier.trainer import TrainingHardware, is_first_process

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClassifierResult:
    """Result of a training; made by `train`.

    Example:
        >>> import numpy as np
        >>> from classifier import ArrayTable, ClassifierConfig, train
        >>> table = ArrayTable.of(np.zeros((16, 32, 32), np.uint8), labels=[0, 1] * 8)
        >>> config = ClassifierConfig(model="bam-cnn", batch_size=8, epochs=2, members=1)
        >>> result = train(table, table, config, out_dir="result")
        >>> result.best_epoch, result.n_steps, [row["step"] for row in result.history]
        (2, 4, [2, 4])

    Attributes:
        checkpoint: Path to the folder, for `load`.
        best_epoch: Number of the validation, from 1, whose weights were kept (first network).
        n_steps: Number of optimizer steps taken, the most of any network.
        seconds: Wall-clock time.
        history: Rows of `history.csv`.
    """

    checkpoint: Path
    best_epoch: int
    n_steps: int
    seconds: float
    history: tuple[dict[str, Any], ...]


def train(
    train_table: ArrayTable,
    val_table: ArrayTable,
    config: ClassifierConfig = ClassifierConfig(),  # noqa: B008 - frozen
    *,
    out_dir: str | Path,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
    n_steps: int | None = None,
    steps_per_epoch: int | None = None,
    rarest: int | None = None,
    pretrain: Pretraining | None = None,
    hardware: TrainingHardware = TrainingHardware(),  # noqa: B008 - frozen
    progress: bool = False,
    provenance: Mapping[str, object] | None = None,
) -> ClassifierResult:
    """Train a classifier and save it.

    Training takes exactly `n_steps` optimizer steps, regardless of the number of images; only
    `patience` ends it earlier. The weights kept are those of the last validation or, with
    `keep: best`, of the validation with the greatest AUROC; if AUROCs are equal, or undefined
    because validation has a single class, the lowest validation loss decides. If phases have
    several image sizes, only validations at the last size count.
    With a pretraining, only validations after it count; steps, schedule and validations are the
    same as without. The loss of the pretraining counts the classes of its own table.

    With several `members`, that many networks are trained, one after another, each for all steps.

    The same arguments give the same weights on CPU, regardless of `num_workers`. Nothing is
    printed.

    Example:
        >>> import numpy as np
        >>> from classifier import ArrayTable, ClassifierConfig, train
        >>> images = np.random.default_rng(0).integers(0, 256, (24, 32, 32), dtype=np.uint8)
        >>> table = ArrayTable.of(images, labels=[0, 0, 1] * 8)
        >>> config = ClassifierConfig(model="bam-cnn", batch_size=8, epochs=1, batches="balanced")
        >>> result = train(table, table, config, out_dir="trained")
        >>> sorted(path.name for path in result.checkpoint.iterdir())
        ['classifier.json', 'classifier.safetensors', 'history.csv', 'learning-curves.png']

    Args:
        train_table: Training images.
        val_table: Validation images; they choose the weights and fit the temperature.
        config: The recipe.
        out_dir: Path to the folder of `classifier.safetensors`, `classifier.json`, `history.csv`
            and `learning-curves.png`; created if missing, written when training has ended.
        class_names: Name of each class number; None: the numbers.
        seed: Seed for initial weights, order, transforms, mixup and dropout.
        n_steps: Number of optimizer steps; None: `config.n_epochs` times `steps_per_epoch`.
        steps_per_epoch: Number of steps between two validations; None: as many as read each
            training image once. The last validation may come sooner.
        rarest: Number of the rare class; None: the class with the fewest images in `train_table`.
            Needed where images were added to fill the rare class.
        pretrain: Images that the first steps read instead of `train_table`; None: no such steps.
        hardware: Device and precision.
        progress: True shows a progress bar, in a notebook or on stderr.
        provenance: Facts to store with the weights, of JSON types.

    Raises:
        ValueError: An argument is of another type, a table is empty or has a label without a name,
            training has one class alone, a class to balance has no images, pretraining leaves no
            step, or the model cannot be built (`ModelError`).
        ClassifierDiverged: The loss is not finite.
        KeyboardInterrupt: Ctrl-C was pressed; nothing is written.
    """
    started = time.monotonic()
    _check_arguments(config, hardware, pretrain, seed)
    names = _class_names(class_names, train_table, val_table)
    n_classes, out_dir = len(names), Path(out_dir)
    tables = MemberTables(train_table, val_table, n_classes, pretrain, rarest)
    _check_tables(tables)
    plan = _plan(config, len(train_table), n_steps, steps_per_epoch)
    if len(remedies(config)) > 1:
        logger.warning(
            "%s each balance the classes; all but the first have no effect.",
            " and ".join(remedies(config)),
        )
    config = config.with_sizes(model_card(config.model).input_size)
    members = []
    for number in range(config.members or 1):
        if config.members and config.members > 1:
            logger.info("Training network %d of %d", number + 1, config.members)
        member = train_member(
            config, tables, plan=plan, seed=member_seed(seed, number), hardware=hardware,
            progress=progress,
        )  # fmt: skip
        members.append(member)
    networks = [member.network for member in members]
    best = [member.best for member in members if member.best is not None]
    if len(best) < len(members):
        raise ValueError("Lightning ended the training before its first validation.")
    if best[0].val_auroc is None:
        logger.warning("Validation has one class only: its loss chose the weights, not AUROC.")
    taken = max(member.history[-1].step for member in members)
    facts: dict[str, object] = {
        "seed": seed,
        "n_steps": taken,
        "best": [asdict(record) for record in best],
    }
    if pretrain is not None:
        facts["pretraining"] = {
            "steps": pretrain.n_steps(plan.n_steps),
            "images": len(pretrain.table),
        }
    temperature = 1.0
    if config.calibration == "temperature":
        logarithms = log_probabilities(networks, config, val_table)
        temperature = fit_temperature(logarithms, val_table.labels)
    if config.posthoc_tau:
        counts = np.bincount(train_table.labels, minlength=n_classes)
        _shift(networks, temperature * posthoc_offsets(config, counts, rarest=rarest))
    histories = [member.history for member in members]
    if is_first_process():
        save_classifier(
            out_dir,
            networks,
            config,
            class_names=names,
            temperature=temperature,
            provenance={**(provenance or {}), **facts},
        )
        write_history(out_dir / "history.csv", histories)
        plot_learning_curves(out_dir / "learning-curves.png", histories, best)
    rows = tuple(
        {"member": number, **asdict(record)}
        for number, history in enumerate(histories)
        for record in history
    )
    return ClassifierResult(out_dir, best[0].epoch, taken, time.monotonic() - started, rows)


def _check_arguments(config: object, hardware: object, pretrain: object, seed: object) -> None:
    for name, value, kind in (
        ("config", config, ClassifierConfig),
        ("hardware", hardware, TrainingHardware),
        ("pretrain", pretrain, Pretraining),
    ):
        if not isinstance(value, kind) and not (value is None and name == "pretrain"):
            raise ValueError(
                f"{name} should be a {kind.__name__} but is of type {type(value).__name__}; make "
                f"one with classifier.{kind.__name__}(...)."
            )
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or int(seed) < 0:
        raise ValueError(
            f"seed should be a whole number, at least 0, but is {seed!r:.60}; change it."
        )


def _check_tables(tables: MemberTables) -> None:
    train_table, n_classes = tables.train, tables.n_classes
    check_table(train_table, n_classes, "training")
    check_table(tables.val, n_classes, "validation", channels=train_table.channels)
    if tables.pretrain is not None:
        check_table(tables.pretrain.table, n_classes, "pretraining", channels=train_table.channels)
    if len(np.unique(train_table.labels)) < 2:
        raise ValueError(
            "The training table should hold images of two classes or more but has only class "
            f"{train_table.labels[0]}; add images of another."
        )


def _class_names(given: Sequence[str] | None, *tables: ArrayTable) -> list[str]:
    if given is not None:
        return list(given)
    usable = [table for table in tables if isinstance(table, ArrayTable) and len(table)]
    highest = max([1, *(int(table.labels.max()) for table in usable)])
    return [str(number) for number in range(highest + 1)]


def _plan(
    config: ClassifierConfig, n_images: int, n_steps: int | None, steps_per_epoch: int | None
) -> StepPlan:
    if steps_per_epoch is None:
        steps_per_epoch = plan_steps(config, n_images).steps_per_epoch
    if n_steps is None:
        n_steps = config.n_epochs * steps_per_epoch
    if min(n_steps, steps_per_epoch) < 1:
        raise ValueError(
            f"Training takes at least 1 step, not n_steps={n_steps} and "
            f"steps_per_epoch={steps_per_epoch}; ask for more."
        )
    return StepPlan(n_steps, steps_per_epoch)


def member_seed(seed: int, number: int) -> int:
    """Return the seed of one network of several; the first has the seed of the training."""
    if number == 0:
        return seed
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _shift(networks: Sequence[ImageClassifier], offsets: NDArray[np.float64]) -> None:
    """Add numbers to the logits of networks, by the offsets of their last layer."""
    for network in networks:
        bias = network.head[-1].get_parameter("bias")
        with torch.no_grad():
            bias.add_(torch.as_tensor(offsets, dtype=bias.dtype, device=bias.device))
