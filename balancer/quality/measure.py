"""Distances of generated to real images, each beside its recipe and its floor."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from balancer.errors import DataError
from balancer.quality.distances import (
    Kernels,
    frechet_distance,
    frechet_distance_infinity,
    kid_interval,
    kid_of_all,
    kid_of_subsets,
)
from balancer.quality.extractors import Extractor
from balancer.quality.features import Features, Images, features_of
from balancer.quality.neighbors import Manifold, manifold

Rows = npt.NDArray[np.intp]

_DRAWS = 5
_BOOTSTRAP_SAMPLES = 1_000
_MANIFOLD = {
    "precision": "share of generated images in a ball of a real one",
    "recall": "share of real images in a ball of a generated one",
    "density": "real balls around a generated image, over k",
    "coverage": "share of real balls with a generated image inside",
}


@dataclass(frozen=True, slots=True)
class _Draw:
    """Equally many generated images, real stand-ins for them, and reference images."""

    fake: Features
    stand_in: Features
    reference: Features


def measure(
    fake: Images,
    reference: Images,
    *,
    extractor: Extractor,
    stand_in: Images | None = None,
    subsets: int = 100,
    subset_size: int = 100,
    neighbors: int = 5,
    seed: int = 0,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Measure generated images against real ones.

    Most of these values change with the number of images even where nothing else does, so none can
    be compared with a floor of another n. `same_n` holds the fair pair: n generated images, and n
    real ones in their place, against the same n reference images, both averaged over seeded draws;
    n is the largest that allows it.

    Args:
        fake: Generated images, uint8 (N, S, S), grey, 2 or more.
        reference: Real images, uint8 (M, S, S), of the same side, 2 or more.
        extractor: Of `load_extractor`.
        stand_in: Real images that take the place of generated ones for the floor, uint8 (K, S, S);
            None: the reference is halved, and one half stands in against the other.
        subsets: Pairs of subsets behind KID.
        subset_size: Images per subset, lowered to half of the smaller set where that is less.
        neighbors: k of precision, recall, density and coverage.
        seed: Of the draws and the bootstrap.
        cache: Folder of kept features; None: nothing is kept.

    Returns:
        A JSON-ready entry for each of `fid`, `kid`, `precision`, `recall`, `density` and `coverage`
        under the name that the extractor gives it, such as `fid[lite0]`: `value`, `n_fake`,
        `n_reference`, `better` (lower or higher), `same_n` (None where there are too few images),
        `recipe`. FID also `reliable` (more images in both sets than features) and `infinity`
        (without the bias of finite sets; None where there are too few images), KID also `interval`
        (95 %, bootstrap over images of `value_all_images`). The last four are missing where a set
        has `neighbors` images or fewer.

    Raises:
        DataError: A set has fewer than 2 images, or the sides differ.
        EnvironmentFault: The network gives infinite or undefined features.
    """
    _check(fake, reference)
    made = features_of(extractor, fake, cache=cache)
    real = features_of(extractor, reference, cache=cache)
    others = None if stand_in is None else features_of(extractor, stand_in, cache=cache)
    draws = _draws(made, real, others, np.random.default_rng([seed, 0]))
    rng = np.random.default_rng([seed, 1])
    size = max(2, min(subset_size, len(fake) // 2, len(reference) // 2))
    fid = _fid(made, real, draws, rng) | {
        "recipe": {**extractor.recipe, "distance": "Frechet, covariance over n - 1"}
    }
    kid = _kid(Kernels.of(made, real), draws, subsets, size, rng) | {
        "recipe": {
            **extractor.recipe,
            "distance": "unbiased MMD^2, kernel (x.y / d + 1)^3",
            "subsets": subsets,
            "subset_size": size,
            "interval": f"95 %, {_BOOTSTRAP_SAMPLES} bootstrap resamples of the images",
        }
    }
    entries = {"fid": fid, "kid": kid} | _manifold(made, real, draws, neighbors, extractor)
    counts = {"n_fake": len(fake), "n_reference": len(reference)}
    return {f"{name}{extractor.suffix}": counts | entry for name, entry in entries.items()}


def _check(fake: Images, reference: Images) -> None:
    for kind, images in (("generated", fake), ("real", reference)):
        if len(images) < 2:
            raise DataError(
                f"FID and KID need 2 or more {kind} images, but there are {len(images)}; "
                "add images or leave this class out."
            )
    if fake.shape[1:] != reference.shape[1:]:
        raise DataError(
            f"Generated and real images should have the same size, but are {fake.shape[1:]} and "
            f"{reference.shape[1:]} pixels; read both at the generator's, for sharpness alone "
            "would tell them apart."
        )


def _draws(
    fake: Features, reference: Features, stand_in: Features | None, rng: np.random.Generator
) -> list[_Draw]:
    half = len(reference) // 2
    n = min(len(fake), half if stand_in is None else min(len(reference), len(stand_in)))
    if n < 2:
        return []
    draws = []
    for _ in range(_DRAWS):
        rows = rng.permutation(len(reference))
        if stand_in is None:
            others = reference[rows[n : 2 * n]]
        else:
            others = stand_in[rng.permutation(len(stand_in))[:n]]
        made = fake[rng.permutation(len(fake))[:n]]
        draws.append(_Draw(made, others, reference[rows[:n]]))
    return draws


def _fid(
    fake: Features, real: Features, draws: list[_Draw], rng: np.random.Generator
) -> dict[str, Any]:
    return {
        "value": frechet_distance(fake, real),
        "better": "lower",
        "reliable": min(len(fake), len(real)) > fake.shape[1],
        "infinity": frechet_distance_infinity(fake, real, rng),
        "same_n": _same_n(draws, frechet_distance),
    }


def _kid(
    kernels: Kernels, draws: list[_Draw], subsets: int, size: int, rng: np.random.Generator
) -> dict[str, Any]:
    return {
        "value": kid_of_subsets(kernels, subsets=subsets, subset_size=size),
        "better": "lower",
        "value_all_images": kid_of_all(kernels),
        "interval": list(kid_interval(kernels, rng, samples=_BOOTSTRAP_SAMPLES)),
        "same_n": _same_n(draws, lambda a, b: kid_of_all(Kernels.of(a, b))),
    }


def _manifold(
    fake: Features, real: Features, draws: list[_Draw], k: int, extractor: Extractor
) -> dict[str, dict[str, Any]]:
    if min(len(fake), len(real)) <= k:
        return {}
    whole = manifold(fake, real, k=k)
    enough = bool(draws) and len(draws[0].fake) > k
    made = [manifold(draw.fake, draw.reference, k=k) for draw in draws] if enough else []
    floor = [manifold(draw.stand_in, draw.reference, k=k) for draw in draws] if enough else []

    def entry(name: str) -> dict[str, Any]:
        def of(found: Manifold) -> float:
            return float(getattr(found, name))

        return {
            "value": of(whole),
            "better": "higher",
            "same_n": _summary(draws, [of(m) for m in made], [of(m) for m in floor]),
            "recipe": {**extractor.recipe, "distance": f"{_MANIFOLD[name]}, k = {k}"},
        }

    return {name: entry(name) for name in _MANIFOLD}


def _same_n(
    draws: list[_Draw], metric: Callable[[Features, Features], float]
) -> dict[str, Any] | None:
    return _summary(
        draws,
        [metric(draw.fake, draw.reference) for draw in draws],
        [metric(draw.stand_in, draw.reference) for draw in draws],
    )


def _summary(
    draws: list[_Draw], generated: list[float], floor: list[float]
) -> dict[str, Any] | None:
    if not generated:
        return None
    value, real = float(np.mean(generated)), float(np.mean(floor))
    return {
        "n": len(draws[0].fake),
        "draws": len(draws),
        "value": value,
        "real_against_real": real,
        "real_against_real_range": [min(floor), max(floor)],
        # An unbiased distance of like sets is as often below 0 as above, and no ratio to it means
        # anything.
        "ratio": value / real if min(floor) > 0 else None,
    }
