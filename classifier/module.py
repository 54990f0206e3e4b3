"""The training loop of a classifier: loss, optimizer, schedule, choice of the best weights."""

import copy
import math
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from classifier.config import ClassifierConfig
from classifier.losses import ClassLoss
from classifier.metrics import auroc
from classifier.mixup import Mixup
from classifier.models import GreyClassifier

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
    """Trains the head alone for `head_steps`, then all layers, and keeps the best weights.

    Args:
        network: What is trained.
        config: The recipe; of it, the learning rate and the weight decay are used.
        n_steps: All optimizer steps.
        head_steps: Of these, first steps that train the head alone.
        loss: Of training.
        mixup: Mixes each batch; None: batches stay as they are.
        pretraining_steps: First steps, on other images; no weights are kept until after them.
        pretraining_loss: Their loss; None: `loss`.

    Attributes:
        history: One record per validation.
        best: The record of the greatest validation AUROC after the pretraining.
        best_weights: State dict of the network at that moment, on CPU.
    """

    def __init__(
        self,
        network: GreyClassifier,
        config: ClassifierConfig,
        *,
        n_steps: int,
        head_steps: int,
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
        self._config = config
        self._n_steps, self._head_steps = n_steps, head_steps
        self._loss, self._mixup = loss, mixup
        self._pretraining_steps = pretraining_steps
        self._pretraining_loss = loss if pretraining_loss is None else pretraining_loss
        self._losses: list[float] = []
        self._outputs: list[Batch] = []

    def configure_optimizers(self) -> Any:
        """AdamW (Loshchilov 2019) under a one-cycle schedule (Smith 2018)."""
        groups = [
            {"params": list(self.network.head.parameters())},
            {"params": list(self.network.backbone.parameters())},
        ]
        optimizer = torch.optim.AdamW(
            groups, lr=self._config.learning_rate, weight_decay=self._config.weight_decay
        )
        body_steps = self._n_steps - self._head_steps

        def head_rate(step: int) -> float:
            return 1.0 if step < self._head_steps else body_rate(step)

        def body_rate(step: int) -> float:
            return one_cycle((step - self._head_steps) / max(1, body_steps))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, [head_rate, body_rate])
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Freeze the backbone, its batch statistics included, while the head trains alone."""
        frozen = self.global_step < self._head_steps
        self.network.backbone.requires_grad_(not frozen)
        self.network.backbone.train(not frozen)

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
            raise TrainingDiverged(
                f"The classifier's loss should stay finite but was {value} at step "
                f"{step + 1} of {self._n_steps}; lower classifier.learning_rate "
                f"(now {self._config.learning_rate:g})."
            )
        self._losses.append(value)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect logits and labels."""
        images, labels = batch
        self._outputs.append((self.network(images).float().cpu(), labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Record the epoch, and copy the weights if they are the best since the pretraining."""
        logits = torch.cat([logits for logits, _ in self._outputs])
        labels = torch.cat([labels for _, labels in self._outputs])
        loss = F.cross_entropy(logits, labels).item()
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"The classifier's validation loss should stay finite but was {loss} after step "
                f"{self.global_step} of {self._n_steps}; lower classifier.learning_rate "
                f"(now {self._config.learning_rate:g})."
            )
        probabilities = logits.double().softmax(1)
        record = EpochRecord(
            epoch=len(self.history) + 1,
            step=self.global_step,
            train_loss=float(np.mean(self._losses)),
            val_loss=loss,
            val_auroc=auroc(probabilities.numpy(), labels.numpy()),
            learning_rate=float(self.trainer.optimizers[0].param_groups[0]["lr"]),
        )
        self._losses.clear()
        self._outputs.clear()
        self.history.append(record)
        if record.step <= self._pretraining_steps:
            return
        if self.best is None or record.rank > self.best.rank:
            self.best = record
            self.best_weights = {
                name: copy.deepcopy(value.detach().cpu())
                for name, value in self.network.state_dict().items()
            }


def one_cycle(progress: float) -> float:
    """Share of the greatest learning rate: cosine from 1/25 up to 1 at 30 %, then down to ~0.

    Args:
        progress: Share of the steps done, in [0, 1].
    """
    if progress < 0.3:
        return _cosine(1 / 25, 1.0, progress / 0.3)
    return _cosine(1.0, 1e-4, min(1.0, (progress - 0.3) / 0.7))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
