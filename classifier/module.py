"""Training loop of a classifier: loss, optimizer, schedule, choice of the weights to keep."""

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from classifier.config import ClassifierConfig
from classifier.history import EpochRecord
from classifier.losses import ClassLoss
from classifier.metrics import macro_auroc
from classifier.models import ImageClassifier
from classifier.phases import PlannedPhase, group_rates, phase_at, rate_factor, unfreeze_last
from classifier.transforms import Mixup

Batch = tuple[Tensor, Tensor]


class ClassifierDiverged(RuntimeError):
    """Error of a training whose loss became NaN or infinite.

    Example:
        >>> from classifier import ClassifierDiverged
        >>> try:
        ...     raise ClassifierDiverged("The loss is nan after step 3; lower the learning rate.")
        ... except ClassifierDiverged as error:
        ...     print(error)
        The loss is nan after step 3; lower the learning rate.
    """


class ClassifierModule(L.LightningModule):
    """Training of the layers that each phase unfreezes; keeps the best or the last weights.

    Args:
        network: Network to train.
        config: The recipe; optimizer, schedule, `patience` and `keep` are used.
        phases: Phases that together are the training.
        steps_per_epoch: Number of steps between two validations.
        loss: Training loss.
        mixup: Mixup of each batch; None: batches are unchanged.
        pretraining_steps: Number of first steps, on other images; no weights of theirs are kept.
        pretraining_loss: Loss of these steps; None: `loss`.
        unweighted_steps: Number of first steps in which class weights do not count.

    Attributes:
        history: One record per validation.
        best: Record whose weights are kept. Only validations after the pretraining and at the
            image size of the last phase count.
        best_weights: State dict of the network at that validation, on CPU; the averaged weights
            where they are averaged.
    """

    def __init__(
        self,
        network: ImageClassifier,
        config: ClassifierConfig,
        *,
        phases: Sequence[PlannedPhase],
        steps_per_epoch: int,
        loss: ClassLoss,
        mixup: Mixup | None = None,
        pretraining_steps: int = 0,
        pretraining_loss: ClassLoss | None = None,
        unweighted_steps: int = 0,
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
        self._unweighted_steps = unweighted_steps
        self._losses: list[float] = []
        self._outputs: list[Batch] = []

    def configure_optimizers(self) -> Any:
        """Build Adam or AdamW (Loshchilov 2019), with a group for each layer group and the head."""
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
        """Freeze the layers that the phase does not train, with their batch statistics."""
        unfreeze_last(self.network, phase_at(self._phases, self.global_step).unfrozen)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the loss of one batch: uint8 (N, C, S, S) and int64 (N,)."""
        step = self.global_step
        images, labels = self._mixed(*batch, step=step)
        criterion = self._pretraining_loss if step < self._pretraining_steps else self._loss
        weighted = step >= self._unweighted_steps
        loss: Tensor = criterion(self.network(images), labels, weighted=weighted)
        if self.trainer.world_size > 1:
            # Gradients are averaged over the processes: so each counts by the weight of its images.
            weight = criterion.weight(labels, weighted=weighted)
            loss = loss * weight / self._mean_of_processes(weight)
        value = self._mean_of_processes(loss.detach()).item()
        if not math.isfinite(value):
            raise ClassifierDiverged(self._sentence("loss", value, step + 1))
        self._losses.append(value)
        return loss

    def _mixed(self, images: Tensor, labels: Tensor, *, step: int) -> Batch:
        """Mix the batch of all processes, and return this one's share."""
        if self._mixup is None:
            return images, labels
        ranks = self.trainer.world_size
        if ranks == 1:
            return self._mixup(images, labels, step=step)
        images, labels = (_gathered(part, ranks) for part in (images, labels))
        images, labels = self._mixup(images, labels, step=step)
        return images[self.global_rank :: ranks], labels[self.global_rank :: ranks]

    def _mean_of_processes(self, value: Tensor) -> Tensor:
        """Return the mean over all processes; of one process, the value itself."""
        mean: Tensor = self.trainer.strategy.reduce(value.clone(), reduce_op="mean")
        return mean

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect logits and labels."""
        images, labels = batch
        self._outputs.append((self.network(images).float().cpu(), labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Record the epoch, and copy the weights if they are the best so far."""
        logits = torch.cat([logits for logits, _ in self._outputs])
        labels = torch.cat([labels for _, labels in self._outputs])
        loss = F.cross_entropy(logits, labels).item()
        if not math.isfinite(loss):
            raise ClassifierDiverged(self._sentence("validation loss", loss, self.global_step))
        probabilities = logits.double().softmax(1)
        record = EpochRecord(
            epoch=len(self.history) + 1,
            step=self.global_step,
            train_loss=float(np.mean(self._losses)),
            val_loss=loss,
            val_auroc=macro_auroc(probabilities.numpy(), labels.numpy()),
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
        # The first process decides: batch statistics, and so the others' losses, may differ.
        self.trainer.should_stop = self.trainer.strategy.broadcast(self._is_out_of_patience())

    def on_train_start(self) -> None:
        """Give each further process random numbers of its own, which dropout draws from."""
        if self.global_rank:
            torch.manual_seed(torch.initial_seed() + self.global_rank)

    def outcome(self) -> dict[str, Any]:
        """Return the result as plain values, for `take_outcome` in another process."""
        return {
            "history": [asdict(record) for record in self.history],
            "best": None if self.best is None else self.history.index(self.best),
            "weights": self.best_weights,
        }

    def take_outcome(self, outcome: dict[str, Any]) -> None:
        """Take the `outcome` of another process."""
        self.history = [EpochRecord(**record) for record in outcome["history"]]
        self.best = None if outcome["best"] is None else self.history[outcome["best"]]
        self.best_weights = outcome["weights"]

    def _counts(self, record: EpochRecord) -> bool:
        """Return True after the pretraining and at the image size of the last phase."""
        size = phase_at(self._phases, record.step - 1).input_size
        return record.step > self._pretraining_steps and size == self._phases[-1].input_size

    def _is_out_of_patience(self) -> bool:
        """Count in the last phase alone, so that all others are finished."""
        begun = self._phases[-1].first
        losses = [r.val_loss for r in self.history if self._counts(r) and r.step > begun]
        if not losses:
            return False
        waited = len(losses) - 1 - int(np.argmin(losses))
        return 0 < self._config.patience <= waited

    @property
    def freezes_layers(self) -> bool:
        """True if some phase leaves layers as they are."""
        return any(phase.unfrozen < 1 for phase in self._phases)

    def _sentence(self, what: str, value: float, step: int) -> str:
        return (
            f"The classifier's {what} should stay finite but was {value} after step {step} of "
            f"{self._phases[-1].last}; lower classifier.learning_rate "
            f"(now {self._config.learning_rate:g})."
        )


def _gathered(part: Tensor, ranks: int) -> Tensor:
    """Return the rows of all processes, of which each has every `ranks`-th: (N * ranks, ...)."""
    parts = [torch.empty_like(part) for _ in range(ranks)]
    dist.all_gather(parts, part.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)
