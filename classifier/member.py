"""Training of one network: of all layers, and where the recipe says so of a new head after it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from classifier.config import ClassifierConfig, StepPlan
from classifier.data import Loaders, Pretraining
from classifier.history import EpochRecord
from classifier.losses import ClassLoss, loss_function
from classifier.models import ImageClassifier, build
from classifier.module import ClassifierModule
from classifier.phases import PlannedPhase, plan_phases
from classifier.tables import ArrayTable
from classifier.trainer import TrainingHardware, run_trainer
from classifier.transforms import Mixup

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MemberTables:
    """Images of a training.

    Attributes:
        train: Training images.
        val: Validation images.
        n_classes: Number of class names.
        pretrain: Images that the first steps read instead of `train`.
        rarest: Number of the rare class; None: the class with the fewest images in `train`.
    """

    train: ArrayTable
    val: ArrayTable
    n_classes: int
    pretrain: Pretraining | None = None
    rarest: int | None = None

    def loss(self, config: ClassifierConfig, table: ArrayTable) -> ClassLoss:
        """Build the loss of a recipe for the classes of a table."""
        counts = np.bincount(table.labels, minlength=self.n_classes)
        return loss_function(config, counts, rarest=self.rarest)


@dataclass(frozen=True, slots=True)
class Member:
    """A trained network, in eval mode, with the weights to keep.

    Attributes:
        network: The network.
        history: One record per validation.
        best: Record whose weights are kept; None if there was no validation.
    """

    network: ImageClassifier
    history: list[EpochRecord]
    best: EpochRecord | None

    def then(self, later: "Member") -> "Member":
        """Return the member with the records of a part that was trained after it."""
        done = self.history[-1]

        def moved(record: EpochRecord) -> EpochRecord:
            return replace(record, epoch=record.epoch + done.epoch, step=record.step + done.step)

        best = None if later.best is None else moved(later.best)
        return Member(self.network, [*self.history, *map(moved, later.history)], best)


def train_member(
    config: ClassifierConfig,
    tables: MemberTables,
    *,
    plan: StepPlan,
    seed: int,
    hardware: TrainingHardware,
    progress: bool,
) -> Member:
    """Train one network for the steps of a plan.

    With `head_retraining` the last steps train a new head on balanced batches, with the backbone
    frozen: its weights and batch statistics stay to the bit (cRT, Kang 2020, 1910.09217).

    Args:
        config: The recipe, with numbers for all sizes.
        tables: The images.
        plan: Steps of both parts together.
        seed: Seed for initial weights, order, transforms, mixup and dropout.
        hardware: Device and precision.
        progress: Show a progress bar.

    Raises:
        ValueError: The recipe does not fit the images; nothing has been trained.
        ClassifierDiverged: The loss is not finite.
    """
    n_of_head = _steps_of_head(config, plan.n_steps)
    whole = replace(plan, n_steps=plan.n_steps - n_of_head)
    # Initial weights and dropout draw from torch's global state, which the fork restores.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        network = build(config, tables.n_classes, channels=tables.train.channels)
        phases = plan_phases(
            config,
            n_steps=whole.n_steps,
            steps_per_epoch=plan.steps_per_epoch,
            pretrained=network.pretrained,
        )
        first = _Part(config, tables, phases, plan.steps_per_epoch, seed)
        first.warn_of_small_batches()
        if not n_of_head:
            return first.train(network, hardware, progress=progress)
        side = network.preprocessing.input_size
        head = [PlannedPhase(0, n_of_head, side, 0.0, config.learning_rate)]
        again = replace(tables, pretrain=None)
        second = _Part(config.of_head, again, head, plan.steps_per_epoch, seed)
        member = first.train(network, hardware, progress=progress)
        for layer in network.head:
            if isinstance(layer, nn.Linear | nn.BatchNorm1d):
                layer.reset_parameters()
        return member.then(second.train(network, hardware, progress=progress))


def _steps_of_head(config: ClassifierConfig, n_steps: int) -> int:
    """Return the steps that train the new head: at least one, or none where none are wanted."""
    if not config.head_retraining:
        return 0
    n_of_head = max(1, round(config.head_retraining * n_steps))
    if n_of_head >= n_steps:
        raise ValueError(
            f"head_retraining should leave a step for the whole network, but {n_of_head} of "
            f"{n_steps} would train the new head; train longer, or lower "
            "classifier.head_retraining."
        )
    return n_of_head


class _Part:
    """A run of the trainer, checked before it begins."""

    def __init__(
        self,
        config: ClassifierConfig,
        tables: MemberTables,
        phases: Sequence[PlannedPhase],
        steps_per_epoch: int,
        seed: int,
    ) -> None:
        self._config, self._phases, self._steps_per_epoch = config, phases, steps_per_epoch
        self._mixup = (
            Mixup(config.mixup_alpha, tables.n_classes, seed) if config.mixup_alpha else None
        )
        self._loss = tables.loss(config, tables.train)
        before = tables.pretrain
        self._loss_before = None if before is None else tables.loss(config, before.table)
        self._loaders = Loaders(
            config,
            tables.train,
            tables.val,
            n_classes=tables.n_classes,
            phases=phases,
            steps_per_epoch=steps_per_epoch,
            seed=seed,
            pretrain=before,
            rarest=tables.rarest,
        )

    def warn_of_small_batches(self) -> None:
        """Say where there are fewer images than a batch should hold."""
        if self._loaders.batch_size < self._config.batch_size:
            logger.warning(
                "Batches hold %d images instead of %d, because there are no more.",
                self._loaders.batch_size,
                self._config.batch_size,
            )

    def train(
        self, network: ImageClassifier, hardware: TrainingHardware, *, progress: bool
    ) -> Member:
        """Train the layers that the phases unfreeze."""
        config, n_steps = self._config, self._phases[-1].last
        # Processes of several devices exchange the gradients of all layers that can ever learn.
        module = ClassifierModule(
            network.train().requires_grad_(True),
            config,
            phases=self._phases,
            steps_per_epoch=self._steps_per_epoch,
            loss=self._loss,
            mixup=self._mixup,
            pretraining_steps=self._loaders.pretraining_steps,
            pretraining_loss=self._loss_before,
            unweighted_steps=round(config.class_weights_from * n_steps),
        )
        run_trainer(module, self._loaders, n_steps, config, hardware, progress=progress)
        if module.best_weights:
            network.load_state_dict(module.best_weights)
        return Member(network.eval(), module.history, module.best)
