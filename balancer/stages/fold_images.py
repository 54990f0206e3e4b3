"""The GAN and the images of one fold of an ablation: a run's stages in the fold's workspace."""

import logging
from collections.abc import Sequence

from balancer.ablation.families.arm import Arm, Needs
from balancer.ablation.families.generated import largest_class
from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.errors import DataError
from balancer.quality.records import QualityMetrics
from balancer.results import read_result
from balancer.stages import gan_train, quality, synthesize
from balancer.synthetic.records import SynthesizeMetrics
from balancer.workspace import Workspace

log = logging.getLogger(__name__)


def make_fold_images(
    config: BalancerConfig,
    workspace: Workspace,
    fold: str,
    number: int,
    arms: Sequence[Arm],
    *,
    force: bool = False,
) -> float:
    """Train the generators that the arms need, on the fold's training part, and make the images.

    If too few images pass the screen, they are made without it: arms that take unscreened images
    can proceed, and those that need screened ones say why they cannot.

    Args:
        config: Configuration of the run.
        workspace: Main workspace.
        fold: Name of the fold.
        number: Position of the fold in the plan; the seed of its generators depends on it.
        arms: All arms.
        force: Make everything again.

    Returns:
        Seconds that the existing results took.
    """
    place = workspace.fold(fold)
    with place.lock():
        index = load_index(place.index_dir)
        own = fold_config(config, number, arms)
        seconds = 0.0
        if any(arm.needs is Needs.RARE_GENERATOR for arm in arms):
            seconds += gan_train.run(own, place, force=force).seconds
            seconds += _synthesize(own, place, force=force)
            seconds += _measure(own, place, force=force)
        if any(arm.needs is Needs.LARGEST_GENERATOR for arm in arms):
            largest = [largest_class(index)]
            seconds += gan_train.run(own, place, force=force, classes=largest).seconds
        return seconds


def fold_config(config: BalancerConfig, number: int, arms: Sequence[Arm]) -> BalancerConfig:
    """Configure a fold's own stages: its seed, and enough images for every arm."""
    makers = [arm for arm in arms if arm.needs is Needs.RARE_GENERATOR]
    most = min((arm.ratio for arm in makers), key=lambda ratio: ratio.value, default=None)
    changes: dict[str, object] = {} if most is None else {"ratio": str(most)}
    if not any(arm.is_screened for arm in arms):
        changes["screen"] = ()
    return config.model_copy(
        update={
            "seed": (config.seed + number) % 2**32,
            "synthesis": config.synthesis.model_copy(update=changes),
        }
    )


def _synthesize(config: BalancerConfig, place: Workspace, *, force: bool) -> float:
    # Other images of the same generator cost seconds, and runs record which images they used.
    try:
        return synthesize.run(config, place, force=force or _differs(config, place)).seconds
    except DataError as error:
        log.warning("%s: %s", place.root.name, error)
    unscreened = config.model_copy(
        update={"synthesis": config.synthesis.model_copy(update={"screen": ()})}
    )
    return synthesize.run(unscreened, place, force=force or _differs(unscreened, place)).seconds


def _differs(config: BalancerConfig, place: Workspace) -> bool:
    existing = read_result(place.synthetic_dir, SynthesizeMetrics)
    return existing is not None and existing.settings != synthesize.settings_of(config)


def _measure(config: BalancerConfig, place: Workspace, *, force: bool) -> float:
    """Measure the images; they are measured again after a change of settings, which is fast."""
    existing = read_result(place.quality_dir, QualityMetrics)
    wanted = {"quality": config.quality.as_record(), "gate": config.gate.model_dump(mode="json")}
    changed = existing is not None and any(
        existing.setting(name) != value for name, value in wanted.items()
    )
    return quality.run(config, place, force=force or changed).seconds
