"""Evaluation of the averaged generator while it trains."""

import logging
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor

from gan.module import LitDCGAN
from gan.networks import Generator
from gan.randomness import Purpose, random_stream
from gan.selection import (
    SnapshotEvaluation,
    SnapshotScorer,
    reason_to_stop,
    write_evaluations,
)
from gan.transforms import to_pictures, to_uint8, to_unit_range

log = logging.getLogger(__name__)

_BATCH = 64


class SnapshotEvaluator(Callback):
    """Callback that evaluates, keeps the best snapshot in the module, and stops a collapse.

    Args:
        directory: Folder of `selection.csv` and `selection.png`.
        training: uint8 (N, C, S, S), all training images.
        validation: uint8 (M, C, S, S), validation images.
        scorer: Function that scores generated images.
    """

    def __init__(
        self, directory: Path, training: Tensor, validation: Tensor, scorer: SnapshotScorer
    ) -> None:
        self._directory = directory
        self._training = training
        self._validation = validation
        self._scorer = scorer

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        """Evaluate at multiples of `evaluate_every`; the first process decides for all."""
        module = cast(LitDCGAN, pl_module)
        step = len(batch) * trainer.world_size
        if not module.passed_multiple(module.config.evaluate_every, step):
            return
        if trainer.is_global_zero:
            self._evaluate(module)
        stop = module.stop_reason is not None
        if trainer.world_size > 1:
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop:
            trainer.should_stop = True

    def _evaluate(self, module: LitDCGAN) -> None:
        evaluation = evaluate(
            module, module.averaged_generator(), self._training, self._validation, self._scorer
        )
        module.note_evaluation(evaluation)
        if module.images_shown < module.config.images_shown:
            patience = module.config.patience
            module.stop_reason = reason_to_stop(module.evaluations, patience=patience)
        write_evaluations(self._directory, module.evaluations)


def evaluate(
    module: LitDCGAN,
    generator: Generator,
    training: Tensor,
    validation: Tensor,
    scorer: SnapshotScorer,
    *,
    label: int | None = None,
    name: str = "",
) -> SnapshotEvaluation:
    """Evaluate an averaged generator of one class, and log a line.

    Args:
        module: Training that it is of.
        generator: Its averaged generator, of this class alone.
        training: uint8 (N, C, S, S), all training images of the class.
        validation: uint8 (M, C, S, S), validation images of the class.
        scorer: Function that scores generated images.
        label: Number of the class; None: there is one.
        name: Name of the class for the log; empty: there is one.
    """
    scores = scorer(_selection_images(module, generator))
    evaluation = SnapshotEvaluation(
        # NumPy's scalars would not be read back from a checkpoint.
        kid=float(scores.kid),
        diversity=float(scores.diversity),
        closer_to_training=float(scores.closer_to_training),
        kid_parts=tuple(map(float, scores.kid_parts)),
        recalled=tuple(map(bool, scores.recalled)),
        images_shown=module.images_shown,
        loss_d=float(module.window[0] / module.window[1]),
        membership_auroc=membership_auroc(module, training, validation, label=label),
    )
    log.info(
        "%safter %d images: KID %.3f, recall %.2f, diversity %.2f, closer to training %.2f, "
        "membership %.2f",
        f"{name} " if name else "",
        evaluation.images_shown,
        evaluation.kid,
        evaluation.recall,
        evaluation.diversity,
        evaluation.closer_to_training,
        evaluation.membership_auroc,
    )
    return evaluation


@torch.no_grad()
def membership_auroc(
    module: LitDCGAN, training: Tensor, validation: Tensor, *, label: int | None = None
) -> float:
    """Return the AUROC of the discriminator for training against validation images.

    Args:
        module: Module with the discriminator.
        training: uint8 (N, C, S, S), not augmented.
        validation: uint8 (M, C, S, S), not augmented.
        label: Number of their class; None: there is one.
    """
    training_logits, validation_logits = (
        _logits(module, images, label) for images in (training, validation)
    )
    higher = (training_logits[:, None] > validation_logits).double()
    ties = (training_logits[:, None] == validation_logits).double()
    return float((higher + ties / 2).mean())


def _logits(module: LitDCGAN, images: Tensor, label: int | None) -> Tensor:
    was_training = module.discriminator.training
    module.discriminator.eval()
    labels = None if label is None else torch.full((len(images),), label)
    logits = [
        module.discriminator(
            to_unit_range(images[rows].to(module.device)),
            None if labels is None else labels[rows].to(module.device),
        ).cpu()
        for rows in torch.split(torch.arange(len(images)), _BATCH)
    ]
    module.discriminator.train(was_training)
    return torch.cat(logits)


@torch.no_grad()
def _selection_images(module: LitDCGAN, generator: Generator) -> NDArray[Any]:
    """Draw images of a generator for fixed latents, as `to_pictures` returns them."""
    latents = torch.randn(
        module.config.evaluation_images,
        module.config.latent_dim,
        generator=random_stream(Purpose.SELECTION, module.seed),
    )
    batches = [
        to_uint8(generator(batch.to(module.device))).cpu() for batch in torch.split(latents, _BATCH)
    ]
    return to_pictures(torch.cat(batches))
