"""Leaks of a set of synthetic images about real ones, and a word on sharing it.

Two attacks that need nothing but the images: find the near copies of real images, and tell by the
distance to the nearest synthetic image which real images the generator saw (membership inference,
GAN-Leaks, Chen 2020, arXiv 1909.03935). The share of synthetic images that are closer to seen than
to unseen images is the distance to the closest record of the literature on tabular data.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import betabinom, norm

from balancer.errors import IntegrityError
from balancer.quality.descriptors import edge_histograms
from balancer.quality.figures import Leak, Release
from balancer.quality.memorization import EDGES
from balancer.quality.neighbors import closer_to_first, distances
from balancer.quality.sets import FEWEST, ClassFeatures
from balancer.statistics.delong import auroc_covariance
from balancer.statistics.holm import holm

FloatArray = npt.NDArray[np.float64]

SHARE: Final = "share with care"
HOME: Final = "use at home"
NEVER: Final = "do not share"
_MOST_MEMBERSHIP = 0.60
"""Membership AUROC that has to be excluded before images are shared."""
RULE = (
    f"{NEVER}: more near copies of real images than held-out images explain, or images that the "
    "generator saw can be told from others (an AUROC or a share above 0.5): five one-sided tests, "
    "corrected by Holm, so that independent images get this word in at most 5 of 100 sets. "
    f"{HOME}: nothing of this was found, but it could not be excluded, for want of held-out images "
    f"or of enough of them. {SHARE}: all was asked and excluded, up to a membership AUROC of "
    f"{_MOST_MEMBERSHIP:.2f}. No word is a proof of privacy."
)
COPIES = "near copies"
_LEVEL, _Z = 0.05, 1.96
_RESAMPLES, _DRAWS = 200, 20


def measure_release(sets: ClassFeatures) -> Release | None:
    """Measure what the accepted images give away; None with too few images.

    Args:
        sets: The images. Validation images count as held out only where they are known to be
            unseen.
    """
    images = sets.images
    if min(len(images.accepted), len(images.own_validation), len(images.own_training)) < FEWEST:
        return None
    copied, (held_out, training) = sets.accepted_copies, sets.real_copies
    # A real image is compared with one side, a synthetic one with both.
    by_chance = float(held_out.mean() + training.mean())
    return judged(
        Release(
            word=SHARE,
            reasons=(),
            n=len(copied),
            copies=tuple(int(row) for row in np.flatnonzero(copied)),
            expected_copies=min(by_chance, 1.0) * len(copied),
            reproduced=sum(
                len(np.unique(found.rows[found.is_copy]))
                for found in (sets.nearest, sets.nearest_held_out)
            ),
            leaks=_leaks(sets),
        ),
        held_out_copies=min(round(by_chance * len(held_out)), len(held_out)),
        n_held_out=len(held_out),
    )


def refuse_release(found: Mapping[str, Release | None]) -> None:
    """Stop at images that are not fit to share.

    Args:
        found: What the images of each class give away; None where it was not measured.

    Raises:
        IntegrityError: A class has another word than `share with care`.
    """
    words = {label: "not measured" if one is None else one.word for label, one in found.items()}
    if set(words.values()) != {SHARE}:
        listed = "; ".join(f"{label}: {word}" for label, word in words.items())
        raise IntegrityError(
            f"The synthetic images should be fit to share, but are not ({listed}); the result "
            "gives the reasons, see it without --strict-release."
        )


def _leaks(sets: ClassFeatures) -> dict[str, Leak]:
    images = sets.images
    if not images.unseen:
        return {}
    raw = (images.own_training, images.own_validation, images.accepted)
    return {
        space: measure_leak(*(describe(some) for some in raw), rng=sets.rng(6))
        for space, describe in ((sets.main.name, sets.features), (EDGES, edge_histograms))
    }


def measure_leak(
    training: npt.NDArray[np.float32],
    held_out: npt.NDArray[np.float32],
    accepted: npt.NDArray[np.float32],
    *,
    rng: np.random.Generator,
) -> Leak:
    """Measure how well the accepted images tell training from held-out images.

    Args:
        training: Features of the images that the generator may have seen, float32 (N, F).
        held_out: Features of images that it did not see, float32 (M, F).
        accepted: Features of the synthetic images, float32 (K, F).
        rng: Random numbers of the resamples.
    """
    to_training, to_held_out = distances(accepted, training), distances(accepted, held_out)
    scores = -np.concatenate((to_training.min(axis=0), to_held_out.min(axis=0)))
    auroc, variance = auroc_covariance(scores[None], np.arange(len(scores)) < len(training))
    reach = _Z * float(np.sqrt(max(variance.item(), 0.0)))
    shares = list(_resampled_shares(to_training, to_held_out, rng))
    low, high = np.quantile(shares, [_LEVEL / 2, 1 - _LEVEL / 2])
    closer = closer_to_first(to_training, to_held_out, rng, draws=_DRAWS)
    return Leak(
        membership=auroc.item(),
        membership_interval=(max(0.0, auroc.item() - reach), min(1.0, auroc.item() + reach)),
        closer=closer,
        closer_interval=(float(low), float(high)),
        membership_p=_p_above_half(auroc.item(), reach / _Z),
        closer_p=_p_above_half(closer, float(np.std(shares, ddof=1))),
    )


def _p_above_half(value: float, deviation: float) -> float:
    """Return the one-sided p of a value above 0.5, by the normal distribution."""
    if deviation == 0:  # the sets are separated without a single exception
        return float(value <= 0.5)
    return float(norm.sf((value - 0.5) / deviation))


def _resampled_shares(
    to_training: FloatArray, to_held_out: FloatArray, rng: np.random.Generator
) -> Iterator[float]:
    """Resample all three sets; both references have the same number of images.

    As many of the larger set are chosen as the smaller one has, and then resampled: to resample a
    larger set directly would leave more different images of it, of which one is nearer by chance.
    """
    n = min(to_training.shape[1], to_held_out.shape[1])
    for _ in range(_RESAMPLES):
        rows = rng.integers(len(to_training), size=len(to_training))
        first, second = (
            table[rows][:, rng.permutation(table.shape[1])[:n][rng.integers(n, size=n)]].min(axis=1)
            for table in (to_training, to_held_out)
        )
        yield float((first < second).mean())


def judged(found: Release, *, held_out_copies: int, n_held_out: int) -> Release:
    """Test every attack, and give the word with its reasons.

    The attacks are one family, so that each further one does not condemn more images that are
    independent of the real ones.

    Args:
        found: The leaks.
        held_out_copies: Number of near copies among the held-out images.
        n_held_out: Number of held-out images.
    """
    sentences = {COPIES: _copying(found), **_telling(found)}
    values: dict[str, float | None] = {}
    values[COPIES] = copying_p(len(found.copies), found.n, held_out_copies, n_held_out)
    for space, leak in found.leaks.items():
        values |= {f"membership, {space}": leak.membership_p, f"closer, {space}": leak.closer_p}
    adjusted = dict(zip(values, holm(list(values.values())), strict=True))
    tests = {name: p for name, p in adjusted.items() if p is not None}
    leaking = [sentences[name] for name, p in tests.items() if p < _LEVEL]
    unsure = [*_unknown(found)]
    clear = [
        f"No more near copies than held-out images explain ({len(found.copies)} of {found.n}), and "
        f"membership AUROC below {_MOST_MEMBERSHIP:.2f} in every space."
    ]
    word = NEVER if leaking else HOME if unsure else SHARE
    reasons = tuple(leaking or unsure or clear)
    return found.model_copy(update={"word": word, "reasons": reasons, "tests": tests})


def copying_p(copies: int, n: int, held_out_copies: int, n_held_out: int) -> float:
    """Return the probability of so many near copies among images that copy as held-out ones do.

    Beta-binomial, the predictive distribution after the held-out images under Jeffreys' prior:
    that no held-out image is a near copy does not mean that none can be one by chance.

    Args:
        copies: Number of near copies.
        n: Number of images.
        held_out_copies: Number of near copies among held-out images.
        n_held_out: Number of held-out images.
    """
    rest = n_held_out - held_out_copies
    return float(betabinom.sf(copies - 1, n, held_out_copies + 0.5, rest + 0.5))


def _copying(found: Release) -> str:
    return (
        f"{len(found.copies)} of {found.n} images are near copies of real ones, where held-out "
        f"images explain {found.expected_copies:.1f}; {found.reproduced} real images are "
        "reproduced."
    )


def _telling(found: Release) -> dict[str, str]:
    sentences = {}
    for space, leak in found.leaks.items():
        for name, what, value, (low, high) in (
            ("membership", "membership AUROC", leak.membership, leak.membership_interval),
            (
                "closer",
                "share closer to seen than to unseen images",
                leak.closer,
                leak.closer_interval,
            ),
        ):
            sentences[f"{name}, {space}"] = (
                f"The {what} in {space} is {value:.2f} ({low:.2f} to {high:.2f}), and 0.5 gives "
                "nothing away."
            )
    return sentences


def _unknown(found: Release) -> Iterator[str]:
    if not found.leaks:
        yield (
            "No real images are known to be unseen by the generator, so membership cannot be "
            "asked; give such images (judge --holdout), or say what it saw (import-synthetic "
            "--trained-on or --declared)."
        )
    wide = {space: leak.membership_interval for space, leak in found.leaks.items()}
    for space, (low, high) in wide.items():
        if high > _MOST_MEMBERSHIP:
            yield (
                f"The membership AUROC in {space} may be as large as {high:.2f} ({low:.2f} to "
                f"{high:.2f}; at most {_MOST_MEMBERSHIP:.2f} is asked): more held-out images are "
                "needed."
            )
