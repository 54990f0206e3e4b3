"""FID and KID of generated against real images, each beside its recipe and its floor."""

from pathlib import Path
from typing import Any

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

Halving = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]

_HALVINGS = 5
_BOOTSTRAP_SAMPLES = 1_000


def measure(
    fake: Images,
    reference: Images,
    *,
    extractor: Extractor,
    subsets: int = 100,
    subset_size: int = 100,
    seed: int = 0,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Measure generated images against real ones.

    FID falls with the number of images even where nothing else changes, so it cannot be compared
    with a floor of another n. `same_n` holds the fair pair: n generated images against one half of
    the real ones, and n of the other half against the same half, both averaged over seeded
    halvings; n is the largest that allows it.

    Args:
        fake: Generated images, uint8 (N, S, S), grey, 2 or more.
        reference: Real images, uint8 (M, S, S), of the same side, 2 or more.
        extractor: Of `load_extractor`.
        subsets: Pairs of subsets behind KID.
        subset_size: Images per subset, lowered to half of the smaller set where that is less.
        seed: Of the halvings and the bootstrap.
        cache: Folder of kept features; None: nothing is kept.

    Returns:
        A JSON-ready entry for `fid` and one for `kid`, each under the name that the extractor
        gives it, such as `fid[lite0]`: `value`, `n_fake`, `n_reference`, `same_n` (None below 4
        real images), `recipe`; FID also `reliable` (more images in both sets than features), KID
        also `interval` (95 %, bootstrap over images of `value_all_images`).

    Raises:
        DataError: A set has fewer than 2 images, or the sides differ.
        EnvironmentFault: The network gives infinite or undefined features.
    """
    _check(fake, reference)
    features_fake = features_of(extractor, fake, cache=cache)
    features_real = features_of(extractor, reference, cache=cache)
    halvings = _halvings(len(fake), len(reference), np.random.default_rng([seed, 0]))
    rng = np.random.default_rng([seed, 1])
    size = max(2, min(subset_size, len(fake) // 2, len(reference) // 2))
    counts = {"n_fake": len(fake), "n_reference": len(reference)}
    return {
        f"fid{extractor.suffix}": {
            **counts,
            **_fid(features_fake, features_real, halvings),
            "recipe": {**extractor.recipe, "distance": "Frechet, covariance over n - 1"},
        },
        f"kid{extractor.suffix}": {
            **counts,
            **_kid(Kernels.of(features_fake, features_real), halvings, subsets, size, rng),
            "recipe": {
                **extractor.recipe,
                "distance": "unbiased MMD^2, kernel (x.y / d + 1)^3",
                "subsets": subsets,
                "subset_size": size,
                "interval": f"95 %, {_BOOTSTRAP_SAMPLES} bootstrap resamples of the images",
            },
        },
    }


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


def _halvings(n_fake: int, n_real: int, rng: np.random.Generator) -> list[Halving]:
    """Draw indices of generated images, of one half of the real ones and of the other half."""
    n = min(n_fake, n_real // 2)
    if n < 2:
        return []
    halvings = []
    for _ in range(_HALVINGS):
        real = rng.permutation(n_real)
        halvings.append((rng.permutation(n_fake)[:n], real[:n], real[n : 2 * n]))
    return halvings


def _fid(fake: Features, real: Features, halvings: list[Halving]) -> dict[str, Any]:
    return {
        "value": frechet_distance(fake, real),
        "reliable": min(len(fake), len(real)) > fake.shape[1],
        "same_n": _same_n(
            halvings,
            [frechet_distance(fake[some], real[half]) for some, half, _ in halvings],
            [frechet_distance(real[other], real[half]) for _, half, other in halvings],
        ),
    }


def _kid(
    kernels: Kernels, halvings: list[Halving], subsets: int, size: int, rng: np.random.Generator
) -> dict[str, Any]:
    return {
        "value": kid_of_subsets(kernels, subsets=subsets, subset_size=size),
        "value_all_images": kid_of_all(kernels),
        "interval": list(kid_interval(kernels, rng, samples=_BOOTSTRAP_SAMPLES)),
        "same_n": _same_n(
            halvings,
            [kid_of_all(_against_half(kernels, some, half)) for some, half, _ in halvings],
            [kid_of_all(_between_halves(kernels, other, half)) for _, half, other in halvings],
        ),
    }


def _against_half(
    kernels: Kernels, fake: npt.NDArray[np.intp], half: npt.NDArray[np.intp]
) -> Kernels:
    return Kernels(
        kernels.xx[np.ix_(fake, fake)],
        kernels.xy[np.ix_(fake, half)],
        kernels.yy[np.ix_(half, half)],
    )


def _between_halves(
    kernels: Kernels, other: npt.NDArray[np.intp], half: npt.NDArray[np.intp]
) -> Kernels:
    real = kernels.yy
    return Kernels(real[np.ix_(other, other)], real[np.ix_(other, half)], real[np.ix_(half, half)])


def _same_n(
    halvings: list[Halving], fake_against_half: list[float], half_against_half: list[float]
) -> dict[str, Any] | None:
    if not halvings:
        return None
    return {
        "n": len(halvings[0][0]),
        "halvings": len(halvings),
        "value": float(np.mean(fake_against_half)),
        "real_against_real": float(np.mean(half_against_half)),
        "real_against_real_range": [min(half_against_half), max(half_against_half)],
    }
