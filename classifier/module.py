"""The training loop of a classifier: loss, optimizer, schedule, choice of the best weights."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from classifier.config import ClassifierConfig
from classifier.freezing import unfreeze_last
from classifier.losses import ClassLoss
from classifier.metrics import auroc
from classifier.mixup import Mixup
from classifier.models import GreyClassifier
from classifier.phases import PlannedPhase, group_rates, phase_at, rate_factor

Batch = tuple[Tensor, Tensor]


class TrainingDiverged(RuntimeError):
    """The loss is no finite number any more."""


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One row of the history; `val_auroc` is None where validation holds a single class."""

    epoch: int
    step: int
    train_loss: float
    val_loss: float
    val_auroc: float | None
    learning_rate: float

    @property
    def rank(self) -> tuple[float, float]:
        """Greater is better: validation AUROC, then (equal or undefined) the lower loss."""
        return (0.0 if self.val_auroc is None else self.val_auroc, -self.val_loss)


class ClassifierModule(L.LightningModule):
    """Trains what each phase unfreezes, and keeps the weights of the best validation or the last.

    Args:
        network: What is trained.
        config: The recipe; optimizer, schedule, `patience` and `keep` are used.
        phases: What is trained when; together they are the run.
        steps_per_epoch: Steps between two validations.
        loss: Of training.
        mixup: Mixes each batch; None: batches stay as they are.
        pretraining_steps: First steps, on other images; no weights are kept until after them.
        pretraining_loss: Their loss; None: `loss`.

    Attributes:
        history: One record per validation.
        best: The record whose weights are kept. Only validations after the pretraining and at the
            image size of the last phase count.
        best_weights: State dict of the network at that moment, on CPU; averaged weights if they
            are averaged.
    """

    def __init__(
        self,
        network: GreyClassifier,
        config: ClassifierConfig,
        *,
        phases: Sequence[PlannedPhase],
        steps_per_epoch: int,
        loss: ClassLoss,
        mixup: Mixup | None = None,
        pretraining_steps: int = 0,
        pretraining_loss: ClassLoss | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.history: list[EpochRecord] = []
        self.best: EpochRecord | None = None
        self.best_weights: dict[str, Tensor] = {}
        self._config, self._phases = config, tuple(phases)
        self._steps_per_epoch = steps_per_epoch
        self._loss, self._mixup = loss, mixup
        self._pretraining_steps = pretraining_steps
        self._pretraining_loss = loss if pretraining_loss is None else pretraining_loss
        self._losses: list[float] = []
        self._outputs: list[Batch] = []

    def configure_optimizers(self) -> Any:
        """Adam or AdamW (Loshchilov 2019), one parameter group per layer group and the head."""
        groups = [
            [weight for module in group for weight in module.parameters()]
            for group in self.network.layer_groups()
        ]
        groups.append(list(self.network.head.parameters()))
        rates = group_rates(self._config, len(groups) - 1, pretrained=self.network.pretrained)
        kind = torch.optim.AdamW if self._config.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(
            [{"params": group, "lr": rate} for group, rate in zip(groups, rates, strict=True)],
            lr=self._config.learning_rate,
            weight_decay=self._config.weight_decay,
        )

        def factor(step: int) -> float:
            return rate_factor(self._config, self._phases, step, self._steps_per_epoch)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Freeze what the phase does not train, its batch statistics included."""
        unfreeze_last(self.network, phase_at(self._phases, self.global_step).unfrozen)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch: uint8 (N, 1, S, S) and int64 (N,)."""
        step = self.global_step
        images, labels = batch
        if self._mixup is not None:
            images, labels = self._mixup(images, labels, step=step)
        criterion = self._pretraining_loss if step < self._pretraining_steps else self._loss
        loss: Tensor = criterion(self.network(images), labels)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingDiverged(self._divergence("loss", value, step + 1))
        self._losses.append(value)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect logits and labels."""
        images, labels = batch
        self._outputs.append((self.network(images).float().cpu(), labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Record the epoch, and copy the weights if they are the ones to keep so far."""
        logits = torch.cat([logits for logits, _ in self._outputs])
        labels = torch.cat([labels for _, labels in self._outputs])
        loss = F.cross_entropy(logits, labels).item()
        if not math.isfinite(loss):
            raise TrainingDiverged(self._divergence("validation loss", loss, self.global_step))
        probabilities = logits.double().softmax(1)
        record = EpochRecord(
            epoch=len(self.history) + 1,
            step=self.global_step,
            train_loss=float(np.mean(self._losses)),
            val_loss=loss,
            val_auroc=auroc(probabilities.numpy(), labels.numpy()),
            learning_rate=float(self.trainer.optimizers[0].param_groups[-1]["lr"]),
        )
        self._losses.clear()
        self._outputs.clear()
        self.history.append(record)
        if not self._counts(record):
            return
        if self.best is None or self._config.keep == "last" or record.rank > self.best.rank:
            self.best = record
            self.best_weights = {
                name: copy.deepcopy(value.detach().cpu())
                for name, value in self.network.state_dict().items()
            }
        self.trainer.should_stop = self._has_run_out_of_patience()

    def _counts(self, record: EpochRecord) -> bool:
        """Whether the weights may be kept: they have seen the images that they will be used on."""
        size = phase_at(self._phases, record.step - 1).input_size
        return record.step > self._pretraining_steps and size == self._phases[-1].input_size

    def _has_run_out_of_patience(self) -> bool:
        """Counted in the last phase alone, so that none of the others goes unfinished."""
        begun = self._phases[-1].first
        losses = [r.val_loss for r in self.history if self._counts(r) and r.step > begun]
        if not losses:
            return False
        waited = len(losses) - 1 - int(np.argmin(losses))
        return 0 < self._config.patience <= waited

    def _divergence(self, what: str, value: float, step: int) -> str:
        return (
            f"The classifier's {what} should stay finite but was {value} after step {step} of "
            f"{self._phases[-1].last}; lower classifier.learning_rate "
            f"(now {self._config.learning_rate:g})."
        )
