"""Phases of a recipe laid out over optimizer steps: their trained layers and learning rates."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from classifier.config import ClassifierConfig, Phase
from classifier.models import ImageClassifier

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlannedPhase:
    """Optimizer steps `first` to `last` (exclusive) of a training.

    Attributes:
        first: Number of the first step.
        last: Number of the last step, plus 1.
        input_size: Input side of the network.
        unfrozen: Share of the backbone's layers that learn, from the last one; 0: only the head.
        learning_rate: Peak learning rate of the head.
    """

    first: int
    last: int
    input_size: int
    unfrozen: float
    learning_rate: float


def plan_phases(
    config: ClassifierConfig, *, n_steps: int, steps_per_epoch: int, pretrained: bool
) -> tuple[PlannedPhase, ...]:
    """Lay the phases of a recipe out over the steps of a training.

    A recipe without phases has two: `head_epochs` of the head alone, then all layers. The last
    phase takes all steps that are left; phases beyond `n_steps` are dropped. If the backbone starts
    from random weights, all its layers learn in every phase, because random frozen layers only
    add noise. A phase's learning rate scales those of all layer groups.

    Args:
        config: The recipe; `input_size` is a number.
        n_steps: Number of optimizer steps.
        steps_per_epoch: Number of steps between two validations.
        pretrained: True if the backbone has learned from other images before.
    """
    size = config.input_size
    if size is None:
        raise ValueError("classifier.input_size should be a number but is null; set it first.")
    phases = config.phases or _two_phases(config)
    if not pretrained and any(phase.unfrozen < 1 for phase in phases):
        if config.phases:
            logger.warning(
                "The weights of %s are random, so all its layers learn from the start.",
                config.model,
            )
        phases = tuple(phase.model_copy(update={"unfrozen": 1.0}) for phase in phases)
        if not config.phases:
            phases = phases[-1:]
    planned: list[PlannedPhase] = []
    first, epochs = 0, 0
    for number, phase in enumerate(phases):
        epochs += phase.epochs
        is_last = number == len(phases) - 1
        last = n_steps if is_last else min(epochs * steps_per_epoch, n_steps)
        if last > first:
            planned.append(
                PlannedPhase(
                    first,
                    last,
                    phase.input_size or size,
                    phase.unfrozen,
                    phase.learning_rate or config.learning_rate,
                )
            )
        first = last
    return tuple(planned)


def _two_phases(config: ClassifierConfig) -> tuple[Phase, ...]:
    head = min(config.head_epochs, config.epochs)
    phases = [Phase(epochs=head, unfrozen=0.0)] if head else []
    if config.epochs > head:
        phases.append(Phase(epochs=config.epochs - head))
    return tuple(phases)


def phase_at(phases: Sequence[PlannedPhase], step: int) -> PlannedPhase:
    """Return the phase of a step; the last one for steps beyond the end."""
    return next((phase for phase in phases if step < phase.last), phases[-1])


def unfreeze_last(network: ImageClassifier, share: float) -> None:
    """Unfreeze the head and the last layers of the backbone; freeze the other layers.

    Layers are modules with parameters of their own, in the order of the network. Frozen ones keep
    their batch statistics too, and need no backward pass.

    Args:
        network: In training mode; changed in place.
        share: Share of the layers, in [0, 1]; rounded to whole layers.
    """
    layers = network.layers()
    n_frozen = len(layers) - round(share * len(layers))
    network.backbone.train(n_frozen < len(layers))
    for number, layer in enumerate(layers):
        layer.requires_grad_(number >= n_frozen)
        if number < n_frozen:
            layer.eval()


def rate_factor(
    config: ClassifierConfig, phases: Sequence[PlannedPhase], step: int, steps_per_epoch: int
) -> float:
    """Return the learning rate of a step as a share of `config.learning_rate`.

    `one-cycle` (Smith 2018, 1803.09820) has one cycle per phase, and a constant rate in phases that
    train the head alone; `step` drops every `step_epochs` epochs of the training.
    """
    phase = phase_at(phases, step)
    peak = phase.learning_rate / config.learning_rate
    if config.schedule == "step":
        epoch = step // steps_per_epoch
        return float(peak * config.step_factor ** (epoch // config.step_epochs))
    if config.schedule == "constant" or phase.unfrozen == 0:
        return peak
    return peak * one_cycle((step - phase.first) / (phase.last - phase.first))


def group_rates(config: ClassifierConfig, n_groups: int, *, pretrained: bool = True) -> list[float]:
    """Return the peak rates of the backbone's layer groups, first to last, then of the head.

    Equal, or rising by equal factors from `lowest_learning_rate` to `learning_rate`
    (discriminative fine-tuning, Howard and Ruder 2018, 1801.06146). Layers with random weights all
    learn at the highest rate.
    """
    high = config.learning_rate
    low = config.lowest_learning_rate
    if low is None or not pretrained:
        low = high
    return [low * (high / low) ** (number / n_groups) for number in range(n_groups)] + [high]


def one_cycle(progress: float) -> float:
    """Return the share of the peak rate: cosine from 1/25 up to 1 at 30 %, then down to ~0.

    Args:
        progress: Share of the steps done, in [0, 1].
    """
    if progress < 0.3:
        return _cosine(1 / 25, 1.0, progress / 0.3)
    return _cosine(1.0, 1e-4, min(1.0, (progress - 0.3) / 0.7))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
