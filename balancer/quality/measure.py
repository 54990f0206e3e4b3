"""Metrics of generated against real images, each with its recipe and its floor."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from balancer.errors import DataError
from balancer.quality.distances import (
    Kernels,
    frechet_distance,
    kid_interval,
    kid_of_all,
    kid_of_subsets,
)
from balancer.quality.extractors import Extractor
from balancer.quality.features import Features, Images, features_of
from balancer.quality.figures import Distance, SameN
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
    """Generated images, real images in their place, and reference images, of equal number."""

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
) -> dict[str, Distance]:
    """Measure generated images against real ones.

    Most of these values depend on the number of images, so none can be compared with a floor at
    another n. `same_n` has the fair pair: n generated images, and n real ones in their place,
    against the same n reference images, both averaged over seeded draws; n is as large as possible.

    Args:
        fake: Generated images, uint8 (N, S, S), grey, 2 or more.
        reference: Real images, uint8 (M, S, S), of the same side, 2 or more.
        extractor: Extractor of `load_extractor`.
        stand_in: Real images that replace the generated ones for the floor, uint8 (K, S, S); None:
            one half of the reference is compared with the other.
        subsets: Number of pairs of subsets for KID.
        subset_size: Number of images per subset, at most half of the smaller set.
        neighbors: k of precision, recall, density and coverage.
        seed: Seed for the draws and the bootstrap.
        cache: Folder of kept features; None: nothing is kept.

    Returns:
        `fid`, `kid`, `precision`, `recall`, `density` and `coverage`, under the name that the
        extractor gives them, such as `fid[lite0]`. The last four are missing if a set has
        `neighbors` images or fewer.

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
    metrics = {
        "fid": _fid(made, real, draws, extractor),
        "kid": _kid(made, real, draws, subsets, size, rng, extractor),
        **_manifold(made, real, draws, neighbors, extractor),
    }
    return {f"{name}{extractor.suffix}": distance for name, distance in metrics.items()}


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
            f"{reference.shape[1:]} pixels; read both at the generator's size, since sharpness "
            "alone would tell them apart."
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


def _fid(fake: Features, real: Features, draws: list[_Draw], extractor: Extractor) -> Distance:
    return Distance(
        n_fake=len(fake),
        n_reference=len(real),
        value=frechet_distance(fake, real),
        better="lower",
        reliable=min(len(fake), len(real)) > fake.shape[1],
        same_n=_same_n(draws, frechet_distance),
        recipe={**extractor.recipe, "distance": "Frechet, covariance over n - 1"},
    )


def _kid(
    fake: Features,
    real: Features,
    draws: list[_Draw],
    subsets: int,
    size: int,
    rng: np.random.Generator,
    extractor: Extractor,
) -> Distance:
    kernels = Kernels.of(fake, real)
    return Distance(
        n_fake=len(fake),
        n_reference=len(real),
        value=kid_of_subsets(kernels, subsets=subsets, subset_size=size),
        better="lower",
        value_all_images=kid_of_all(kernels),
        interval=kid_interval(kernels, rng, samples=_BOOTSTRAP_SAMPLES),
        same_n=_same_n(draws, lambda a, b: kid_of_all(Kernels.of(a, b))),
        recipe={
            **extractor.recipe,
            "distance": "unbiased MMD^2, kernel (x.y / d + 1)^3",
            "subsets": subsets,
            "subset_size": size,
            "interval": f"95 %, {_BOOTSTRAP_SAMPLES} bootstrap resamples of the images",
        },
    )


def _manifold(
    fake: Features, real: Features, draws: list[_Draw], k: int, extractor: Extractor
) -> dict[str, Distance]:
    if min(len(fake), len(real)) <= k:
        return {}
    whole = manifold(fake, real, k=k)
    enough = bool(draws) and len(draws[0].fake) > k
    made = [manifold(draw.fake, draw.reference, k=k) for draw in draws] if enough else []
    floor = [manifold(draw.stand_in, draw.reference, k=k) for draw in draws] if enough else []

    def distance(name: str) -> Distance:
        def of(found: Manifold) -> float:
            return float(getattr(found, name))

        return Distance(
            n_fake=len(fake),
            n_reference=len(real),
            value=of(whole),
            better="higher",
            same_n=_summary(draws, [of(m) for m in made], [of(m) for m in floor]),
            recipe={**extractor.recipe, "distance": f"{_MANIFOLD[name]}, k = {k}"},
        )

    return {name: distance(name) for name in _MANIFOLD}


def _same_n(draws: list[_Draw], metric: Callable[[Features, Features], float]) -> SameN | None:
    return _summary(
        draws,
        [metric(draw.fake, draw.reference) for draw in draws],
        [metric(draw.stand_in, draw.reference) for draw in draws],
    )


def _summary(draws: list[_Draw], generated: list[float], floor: list[float]) -> SameN | None:
    if not generated:
        return None
    value, real = float(np.mean(generated)), float(np.mean(floor))
    return SameN(
        n=len(draws[0].fake),
        draws=len(draws),
        value=value,
        real_against_real=real,
        real_against_real_range=(min(floor), max(floor)),
        # An unbiased distance of like sets is as often below 0 as above, so a ratio to it means
        # nothing.
        ratio=value / real if min(floor) > 0 else None,
    )
