"""Which snapshot of a training is kept, and when going on is pointless.

The averaged generator is scored against validation images as training goes. The best snapshot is
what is exported, and a training that collapsed ends with it.
"""

import csv
import io
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from gan.checkpoint import write_atomically
from gan.module import LitDCGAN
from gan.randomness import Purpose, random_stream
from gan.transforms import to_uint8, to_unit_range

log = logging.getLogger(__name__)

CSV_NAME, PLOT_NAME = "selection.csv", "selection.png"
LATE = 3
"""Evaluations in a row that make an alarm."""
CERTAIN = 0.02
"""Mean discriminator loss in nats, below which it is certain of every image."""
LOST_DIVERSITY, LEAST_DIVERSITY = 0.5, 0.2
"""Shares of the greatest diversity so far and of that of real images, below which the fakes have
collapsed, unless KID still falls."""
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Scores:
    """What a judge says of generated images.

    Attributes:
        kid: Distance to validation images; the smaller the better.
        diversity: Mean distance between two images, over that of real ones.
        closer_to_training: Share of images that lie closer to training images than to as many
            validation images; 0.5 for a generator that has not memorized.
    """

    kid: float
    diversity: float
    closer_to_training: float


class Judge(Protocol):
    """Scores images, always the same ones in the same way; travels to other processes."""

    def __call__(self, images: NDArray[Any], /) -> Scores:
        """Score generated images, uint8 (N, S, S)."""
        ...


@dataclass(frozen=True, slots=True)
class Validation:
    """What a training is watched with.

    Attributes:
        images: uint8 (N, 1, S, S), real images of the class that are not trained on.
        judge: Scores generated images.
    """

    images: Tensor
    judge: Judge


@dataclass(frozen=True, slots=True)
class Evaluation(Scores):
    """One evaluation of a training.

    Attributes:
        images_shown: When.
        loss_d: Mean discriminator loss since the evaluation before.
        membership_auroc: How well the discriminator's logits tell training from validation images
            (Hayes 2019, arXiv 1705.07663); 0.5 where they cannot.
    """

    images_shown: int
    loss_d: float
    membership_auroc: float


class Selector(Callback):
    """Evaluates, keeps the best snapshot in the module, and stops what has collapsed.

    Args:
        directory: Of `selection.csv` and `selection.png`.
        training: uint8 (N, 1, S, S), all training images.
        validation: What to watch with.
    """

    def __init__(self, directory: Path, training: Tensor, validation: Validation) -> None:
        self._directory = directory
        self._training = training
        self._validation = validation

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        """Evaluate where it is due; the first process decides for all."""
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
        scores = self._validation.judge(_selection_images(module))
        evaluation = Evaluation(
            **asdict(scores),
            images_shown=module.images_shown,
            loss_d=float(module.window[0] / module.window[1]),
            membership_auroc=membership_auroc(module, self._training, self._validation.images),
        )
        module.note_evaluation(asdict(evaluation))
        log.info(
            "after %d images: KID %.3f, diversity %.2f, closer to training %.2f, membership %.2f",
            evaluation.images_shown,
            evaluation.kid,
            evaluation.diversity,
            evaluation.closer_to_training,
            evaluation.membership_auroc,
        )
        if module.images_shown < module.config.images_shown:
            patience = module.config.patience
            module.stop_reason = reason_to_stop(module.evaluations, patience=patience)
        write_evaluations(self._directory, module.evaluations)


def reason_to_stop(evaluations: list[dict[str, Any]], *, patience: int) -> str | None:
    """Why a training should end, in a sentence; None where it should go on.

    Args:
        evaluations: All so far, as dicts of `Evaluation`.
        patience: Evaluations without a better KID before the end; 0: any number.
    """
    shown = evaluations[-1]["images_shown"]
    last = evaluations[-LATE:]
    if len(last) == LATE and all(entry["loss_d"] < CERTAIN for entry in last):
        return (
            f"the discriminator has been certain of every image for {LATE} evaluations "
            f"(loss below {CERTAIN} nats) when {shown} images were shown"
        )
    best = min(range(len(evaluations)), key=lambda n: evaluations[n]["kid"])
    diversities = [entry["diversity"] for entry in evaluations]
    least = max(LEAST_DIVERSITY, LOST_DIVERSITY * min(1.0, max(diversities)))
    if best < len(evaluations) - LATE and max(diversities[-LATE:]) < least:
        return (
            f"the generated images have collapsed: their diversity fell to {diversities[-1]:.2f} "
            f"of that of real images, from {max(diversities):.2f}, when {shown} were shown"
        )
    if patience and len(evaluations) - 1 - best >= patience:
        return f"KID has not improved for {patience} evaluations when {shown} images were shown"
    return None


@torch.no_grad()
def membership_auroc(module: LitDCGAN, training: Tensor, validation: Tensor) -> float:
    """AUROC of the discriminator's logits for training against validation images, unaugmented."""
    training_logits, validation_logits = (
        _logits(module, images) for images in (training, validation)
    )
    higher = (training_logits[:, None] > validation_logits).double()
    ties = (training_logits[:, None] == validation_logits).double()
    return float((higher + ties / 2).mean())


def write_evaluations(directory: Path, evaluations: list[dict[str, Any]]) -> None:
    """Write the table and its plot."""
    text = io.StringIO()
    names = [field.name for field in fields(Evaluation)]
    writer = csv.DictWriter(text, sorted(names, key="images_shown".__ne__), lineterminator="\n")
    writer.writeheader()
    for entry in evaluations:
        writer.writerow({key: value if isinstance(value, int) else f"{value:.6g}"
                         for key, value in entry.items()})  # fmt: skip
    write_atomically(directory / CSV_NAME, text.getvalue().encode())
    write_atomically(directory / PLOT_NAME, _plot(evaluations))


def _plot(evaluations: list[dict[str, Any]]) -> bytes:
    figure = Figure(figsize=(7, 5), dpi=100, layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    shown = [entry["images_shown"] for entry in evaluations]
    kids = [entry["kid"] for entry in evaluations]
    best = min(range(len(kids)), key=kids.__getitem__)
    above.plot(shown, kids, marker=".", color="#bf3f5f")
    above.plot(shown[best], kids[best], "o", color="#4c566a", label=f"best: {kids[best]:.3f}")
    above.set(ylabel="KID", title="The averaged generator against validation images")
    above.set_ylim(bottom=min(0.0, *kids))
    above.legend(frameon=False)
    for name, label in (
        ("membership_auroc", "training told from validation by D"),
        ("closer_to_training", "fakes closer to training"),
        ("diversity", "diversity over real"),
    ):
        below.plot(shown, [entry[name] for entry in evaluations], label=label)
    below.axhline(0.5, linestyle=":", color="grey", linewidth=1)
    below.set(xlabel="real images shown", ylabel="share", ylim=(0, 1.3))
    below.legend(frameon=False, fontsize=8, ncols=3)
    for axes in (above, below):
        axes.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _logits(module: LitDCGAN, images: Tensor) -> Tensor:
    was_training = module.discriminator.training
    module.discriminator.eval()
    logits = [
        module.discriminator(to_unit_range(batch.to(module.device))).cpu()
        for batch in torch.split(images, _BATCH)
    ]
    module.discriminator.train(was_training)
    return torch.cat(logits)


@torch.no_grad()
def _selection_images(module: LitDCGAN) -> NDArray[Any]:
    """Images of the averaged generator for latents that never change: uint8 (N, S, S)."""
    generator = module.averaged_generator()
    latents = torch.randn(
        module.config.evaluation_images,
        module.config.latent_dim,
        generator=random_stream(Purpose.SELECTION, module.seed),
    )
    batches = [
        to_uint8(generator(batch.to(module.device))).cpu() for batch in torch.split(latents, _BATCH)
    ]
    return torch.cat(batches).squeeze(1).numpy()
