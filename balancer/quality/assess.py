"""Everything that is measured of the synthetic images of one class."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from balancer.quality.config import GateConfig, QualityConfig
from balancer.quality.descriptors import edge_histograms, trivial_statistics
from balancer.quality.diversity import ms_ssim_recipe, pairwise_ms_ssim, twin_share
from balancer.quality.extractors import Extractor
from balancer.quality.features import Features, Images, features_of
from balancer.quality.identity import class_distances, judged_shares
from balancer.quality.judge import quality_blind_judge
from balancer.quality.measure import measure
from balancer.quality.memorization import CopyDetector, Nearest
from balancer.quality.probes import Separation, separation, usefulness

log = logging.getLogger(__name__)

Describe = Callable[[Images], npt.NDArray[np.floating[Any]]]

_FEWEST = 2
"""Images of a set below which nothing can be said of it."""
_MOST = 500
"""Images of a set within which pairs are looked at; all pairs of more would only take longer."""


@dataclass(frozen=True, slots=True)
class ClassImages:
    """What the images of one class are held against; uint8 (N, S, S) each, no test image.

    Attributes:
        label: The class.
        accepted: Synthetic images that join the training split.
        made: All synthetic images, rejected ones included.
        training: Real training images, by class.
        validation: Real validation images, by class.
    """

    label: str
    accepted: Images
    made: Images
    training: Mapping[str, Images]
    validation: Mapping[str, Images]


def assess(
    images: ClassImages,
    *,
    extractors: Mapping[str, Extractor],
    quality: QualityConfig,
    gate: GateConfig,
    seed: int,
    cache: Path | None = None,
) -> tuple[dict[str, Any], Nearest]:
    """Measure fidelity, diversity, memorization, tells, class identity and usefulness.

    Args:
        images: The images.
        extractors: By name; the first one also serves the probes and the judge.
        quality: Sizes of samples.
        gate: Limits that make an image a near copy.
        seed: Of everything drawn.
        cache: Folder of kept features; None: nothing is kept.

    Returns:
        A JSON-ready entry, and what training image each accepted image comes closest to.
    """
    label, accepted = images.label, images.accepted
    own_training, own_validation = images.training[label], images.validation[label]
    main = next(iter(extractors.values()))

    def features(some: Images) -> Features:
        return features_of(main, some, cache=cache)

    training = {name: features(some) for name, some in images.training.items()}
    validation = {name: features(some) for name, some in images.validation.items()}
    copies = CopyDetector(
        own_training,
        own_validation,
        extractors=extractors,
        decisive=[next(iter(extractors))],
        correlation=gate.near_copy_correlation,
        distance=gate.near_copy_distance,
        cache=cache,
    )
    nearest = copies.nearest(accepted, cache=cache)
    all_accepted = np.array_equal(images.made, accepted)
    everything = nearest if all_accepted else copies.nearest(images.made, cache=cache)
    judge = quality_blind_judge(images.training, extractor=main, seed=seed, cache=cache)
    references = {"training": (own_training, None), "validation": (own_validation, own_training)}
    entry = {
        "n": len(accepted),
        "n_made": len(images.made),
        "against": {
            name: {
                metric: values
                for extractor in extractors.values()
                for metric, values in measure(
                    accepted,
                    reference,
                    extractor=extractor,
                    stand_in=stand_in,
                    subsets=quality.kid_subsets,
                    subset_size=quality.kid_subset_size,
                    neighbors=quality.neighbors,
                    seed=seed,
                    cache=cache,
                ).items()
            }
            for name, (reference, stand_in) in references.items()
            if min(len(reference), len(accepted)) >= _FEWEST
        },
        "diversity": _diversity(accepted, own_training, quality, gate, seed),
        "memorization": copies.measure(everything, np.random.default_rng([seed, 2])),
        "tells": _tells(images, features, seed),
        "identity": {
            # Of all images made: the screen has chosen the accepted ones by the same features.
            "distances": _distances(images, training, validation, features, main, seed),
            "judged": judged_shares(label, judge, features(images.made), validation[label]),
        },
        "usefulness": usefulness(label, features(accepted), training, validation),
    }
    return entry, nearest


def _diversity(
    accepted: Images, real: Images, quality: QualityConfig, gate: GateConfig, seed: int
) -> dict[str, Any]:
    """Within the set, at the same n as among real training images."""
    rng = np.random.default_rng([seed, 3])
    n = min(len(accepted), len(real), _MOST)
    if n < _FEWEST:
        return {"ms_ssim": None, "twins": None}
    pairs = quality.ms_ssim_pairs
    sets = {
        kind: some[rng.permutation(len(some))[:n]]
        for kind, some in (("generated", accepted), ("real", real))
    }
    similar = {kind: pairwise_ms_ssim(some, rng, pairs=pairs) for kind, some in sets.items()}
    return {
        "ms_ssim": similar
        | {
            "ratio": similar["generated"] / max(similar["real"], 1e-12),
            "n": n,
            "recipe": ms_ssim_recipe(accepted.shape[1], pairs),
        },
        "twins": {kind: twin_share(some, gate.near_copy_correlation) for kind, some in sets.items()}
        | {"n": n},
    }


def _tells(images: ClassImages, features: Describe, seed: int) -> dict[str, Any]:
    """How well a probe tells real from synthetic images, and real ones from real ones."""
    label = images.label
    real = np.concatenate((images.training[label], images.validation[label]))
    half = np.random.default_rng([seed, 4]).permutation(len(real))
    first, second = real[half[::2]], real[half[1::2]]

    n = min(len(second), len(images.accepted))

    def probe(describe: Describe) -> dict[str, Any] | None:
        found = separation(describe(real), describe(images.accepted), n=n, seed=seed)
        floor = separation(describe(first), describe(second), n=n, seed=seed)
        return _beside(found, floor)

    return {"features": probe(features), "trivial_statistics": probe(trivial_statistics)}


def _beside(found: Separation | None, floor: Separation | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return found.as_json() | {"real_against_real": None if floor is None else floor.as_json()}


def _distances(
    images: ClassImages,
    training: Mapping[str, Features],
    validation: Mapping[str, Features],
    features: Describe,
    main: Extractor,
    seed: int,
) -> dict[str, Any]:
    """To every class, in the main space and in that of edges, which hears noise and blur less."""
    label = images.label
    edges = {name: edge_histograms(some) for name, some in images.training.items()}
    spaces = {
        main.recipe["extractor"]: (features(images.made), validation[label], training),
        "edges": (
            edge_histograms(images.made),
            edge_histograms(images.validation[label]),
            edges,
        ),
    }
    few = [name for name, some in images.training.items() if len(some) < _FEWEST]
    if few:
        log.warning("No distance to %s: it has one training image.", ", ".join(few))
    return {
        space: class_distances(
            label,
            made,
            held_out,
            {name: some for name, some in real.items() if name not in few},
            np.random.default_rng([seed, 5]),
        )
        if label not in few and min(len(made), len(held_out)) >= _FEWEST
        else None
        for space, (made, held_out, real) in spaces.items()
    }
