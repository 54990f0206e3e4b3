"""Everything that is measured of the synthetic images of one class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from balancer.quality import checks
from balancer.quality.config import GateConfig, QualityConfig
from balancer.quality.extractors import Extractor
from balancer.quality.figures import Distance, Diversity, Figures, Identity, Tells
from balancer.quality.measure import measure
from balancer.quality.memorization import Nearest
from balancer.quality.probes import find_tell, usefulness
from balancer.quality.release import measure_release
from balancer.quality.sets import FEWEST, ClassFeatures, ClassImages


def assess(
    images: ClassImages,
    *,
    extractors: Mapping[str, Extractor],
    quality: QualityConfig,
    gate: GateConfig,
    seed: int,
    cache: Path | None = None,
) -> tuple[Figures, Nearest]:
    """Measure fidelity, diversity, memorization, tells, class identity and usefulness.

    Args:
        images: The images.
        extractors: Extractors by name; the first one also serves the probes.
        quality: Sizes of samples.
        gate: Limits that make an image a near copy.
        seed: Seed for everything drawn.
        cache: Folder of kept features; None: nothing is kept.

    Returns:
        The figures, and the training image nearest to each accepted image.
    """
    sets = ClassFeatures(
        images, extractors=extractors, quality=quality, gate=gate, seed=seed, cache=cache
    )
    chosen: dict[str, Any] = {
        name: images.chosen_by[name] for name in extractors if name in images.chosen_by
    }
    figures = Figures(
        n=len(images.accepted),
        n_made=len(images.made),
        against=_against(sets),
        diversity=Diversity(
            ms_ssim=checks.DIVERSITY.measure(sets),
            twins=checks.TWINS.measure(sets),
            registered=checks.REGISTERED_DIVERSITY.measure(sets),
        ),
        memorization=checks.MEMORIZATION.measure(sets),
        tells=Tells(
            features=find_tell(sets, sets.features),
            trivial_statistics=checks.SHORTCUT.measure(sets),
        ),
        identity=Identity(
            distances=checks.NEAREST_CLASS.measure(sets), judged=checks.JUDGED_CLASS.measure(sets)
        ),
        usefulness=usefulness(images.label, sets.accepted, sets.training, sets.validation),
        release=measure_release(sets),
        spread=checks.SPREAD.measure(sets),
        main=sets.main.name,
        **({"chosen_by": chosen} if chosen else {}),
    )
    own = {
        check.name: None if (found := check.measure(sets)) is None else found.model_dump()
        for check in checks.CHECKS
        if isinstance(check, checks.MeasuringCheck)
    }
    return (figures.model_copy(update={"own": own}) if own else figures), sets.nearest


def _against(sets: ClassFeatures) -> dict[str, dict[str, Distance]]:
    """Measure against training images, and against validation images."""
    images, quality = sets.images, sets.quality
    references = {
        "training": (images.own_training, None),
        "validation": (images.own_validation, images.own_training),
    }
    return {
        name: {
            metric: _marked(distance, extractor.name in images.chosen_by)
            for extractor in sets.extractors.values()
            for metric, distance in measure(
                images.accepted,
                reference,
                extractor=extractor,
                stand_in=stand_in,
                subsets=quality.kid_subsets,
                subset_size=quality.kid_subset_size,
                neighbors=quality.neighbors,
                seed=sets.seed,
                cache=sets.cache,
            ).items()
        }
        for name, (reference, stand_in) in references.items()
        if min(len(reference), len(images.accepted)) >= FEWEST
    }


def _marked(distance: Distance, chose: bool) -> Distance:
    return distance.model_copy(update={"chose": True}) if chose else distance
