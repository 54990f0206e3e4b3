"""The worth of an arm in real images of the rare class.

Training is repeated with more and more real images of the class: nested subsets, the same budget,
the same test images. The gain of an arm over real images alone is read off that curve: "worth
N more real images". An exchange rate of augmented and real images was measured so by Geiping 2023
(ICLR, arXiv 2210.06441) and Wang 2025 (arXiv 2508.09550, on medical images too); Hernandez 2021
(arXiv 2102.01293) calls it "effective data transferred".

Curve and arm come from the same splits, so they are drawn jointly: every draw gives the splits
new normal weights, widened to the variance of Nadeau and Bengio 2003 and to the t of k - 1
degrees of freedom. A mean of splits then has exactly the interval of `ResampledT`, and what is not
linear in the means, as the inverse of a curve, gets an interval from the same draws. The curve is
never extrapolated: a value beyond it is reported in words.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from balancer.ablation.frozen_records import ArmWorth, CurvePoint, Worth, WorthWord
from balancer.ablation.power_curve import PowerCurves, fit_curves
from balancer.evaluation.records import Scalar
from balancer.statistics.resampled_t import ResampledT, resampled_t

Floats = NDArray[np.float64]
_DRAWS = 2000
_ROUNDING = 1e-12
FEWEST_SPLITS, FEWEST_SIZES = 3, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRuns:
    """Values of the primary metric on K splits.

    Attributes:
        sizes: Numbers of real rare images, float (M,), ascending.
        base: Position in `sizes` of the number that every arm has.
        curve: Values with so many images, float (K, M); the column `base` is that of `real`.
        arms: Arm to its values, float (K,).
        truths: Arm to the number of further real images that it has; others are left out.
        test_to_train: Test images per training image.
    """

    sizes: Floats
    base: int
    curve: Floats
    arms: Mapping[str, Floats]
    truths: Mapping[str, float]
    test_to_train: float


def measure_worth(runs: CurveRuns, *, label: str, title: str, margin: float, seed: int) -> Worth:
    """Read the worth of every arm off the curve.

    Args:
        runs: Values on at least 3 splits and at least 3 numbers of images.
        label: Name of the class.
        title: Name of the metric; more of it is better.
        margin: Differences up to this size count as none.
        seed: Seed for the draws.

    Raises:
        ValueError: There are fewer splits or numbers of images.
    """
    if len(runs.curve) < FEWEST_SPLITS or len(runs.sizes) < FEWEST_SIZES:
        raise ValueError(f"a curve needs {FEWEST_SPLITS} splits and sizes, got {runs.curve.shape}")
    names, n_sizes = list(runs.arms), len(runs.sizes)
    values = np.column_stack([runs.curve, *(runs.arms[name] for name in names)])
    # The first row is the mean itself, the others are draws.
    drawn = np.vstack([values.mean(0), _draws(values, runs.test_to_train, seed)])
    curves = fit_curves(runs.sizes, drawn[:, :n_sizes])
    base, reach = float(runs.sizes[runs.base]), float(runs.sizes[-1])
    at_base = curves.at(base)
    gain = resampled_t(runs.curve[:, -1] - runs.curve[:, runs.base], runs.test_to_train)
    ends = gain.interval(0.9)
    is_flat = ends is not None and ends[1] < margin
    arms: dict[str, ArmWorth] = {}
    for place, name in enumerate(names):
        # The rise is taken from the runs, which are paired, not from the curve's own fit.
        rise = drawn[:, n_sizes + place] - drawn[:, runs.base]
        worth = curves.inverse(at_base + rise) - base
        worth = np.where(np.abs(rise) < _ROUNDING, 0.0, worth)
        to_real = resampled_t(runs.arms[name] - runs.curve[:, runs.base], runs.test_to_train)
        arms[name] = _arm_worth(
            worth, _scalar(to_real), runs.truths.get(name), base, reach, label, is_flat=is_flat
        )
    points = _points(runs.sizes, drawn[0], curves)
    return Worth(
        label=label,
        primary_title=title,
        margin=margin,
        n_splits=len(runs.curve),
        base=base,
        reach=reach,
        curve=points,
        exponent=float(curves.exponent[0]),
        misfit=max(abs(point.mean - point.fitted) for point in points),
        gain=_scalar(gain),
        is_flat=is_flat,
        arms=arms,
        self_test=_self_test(arms),
        sentence=_gain_in_words(gain, ends, reach - base, label, title, margin),
    )


def _points(sizes: Floats, means: Floats, curves: PowerCurves) -> tuple[CurvePoint, ...]:
    """Return the first of the curves at each size, with the interval of the others."""
    found = []
    for n, mean in zip(sizes.tolist(), means.tolist(), strict=False):
        values = curves.at(n)
        low, high = np.quantile(values[1:], [0.025, 0.975]).tolist()
        found.append(CurvePoint(n=n, mean=mean, fitted=float(values[0]), low=low, high=high))
    return tuple(found)


def _draws(values: Floats, ratio: float, seed: int) -> Floats:
    """Draw means of the splits: float (draws, columns), multivariate t with k - 1 df."""
    k = len(values)
    rng = np.random.default_rng(seed)
    mean = values.mean(0)
    weights = rng.standard_normal((_DRAWS, k))
    spread = np.sqrt((k - 1) / rng.chisquare(k - 1, _DRAWS)) * np.sqrt((1 / k + ratio) / (k - 1))
    return np.asarray(mean + spread[:, None] * (weights @ (values - mean)), np.float64)


def _scalar(found: ResampledT) -> Scalar:
    low, high = found.interval() or (None, None)
    return Scalar(value=found.mean, low=low, high=high)


def _arm_worth(
    worth: Floats,
    difference: Scalar,
    truth: float | None,
    base: float,
    reach: float,
    label: str,
    *,
    is_flat: bool,
) -> ArmWorth:
    """Sum up the mean, `worth[0]`, and the draws of one arm."""
    # Without interpolation, since some draws are infinite.
    low, high = np.quantile(worth[1:], [0.025, 0.975], method="inverted_cdf")
    word = _word(float(low), float(high), is_flat=is_flat)
    kept = word != "nothing to gain"
    return ArmWorth(
        word=word,
        difference=difference,
        value=_finite(worth[0]) if kept else None,
        low=_finite(low) if kept else None,
        high=_finite(high) if kept else None,
        truth=truth,
        sentence=_sentence(
            word, float(worth[0]), float(low), float(high), reach - base, base, label
        ),
    )


def _word(low: float, high: float, *, is_flat: bool) -> WorthWord:
    if is_flat and high >= 0:
        return "nothing to gain"
    if low == np.inf:
        return "beyond the curve"
    if high == -np.inf:
        return "below the curve"
    if (low < 0 and high == np.inf) or (low == -np.inf and high > 0):
        return "undetermined"
    if high == np.inf:
        return "at least"
    return "at most" if low == -np.inf else "measured"


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _sentence(
    word: WorthWord, value: float, low: float, high: float, most: float, base: float, label: str
) -> str:
    images = f"more real images of {label}"
    about = f", about {round(value):+d}" if np.isfinite(value) else ""
    if word == "nothing to gain":
        return f"nothing to gain: {most:.0f} {images} would not reach the margin either"
    if word == "beyond the curve":
        return f"worth more than the curve reaches: more than {most:.0f} {images}"
    if word == "below the curve":
        return f"worth less than the curve begins with, of the {base:.0f} real images of {label}"
    if word == "undetermined":
        ends = [
            "less than the curve begins with" if low == -np.inf else f"{round(low):+d}",
            f"more than the curve reaches ({most:+.0f})" if high == np.inf else f"{round(high):+d}",
        ]
        return f"undetermined: from {ends[0]} to {ends[1]} {images}{about}"
    if word == "at least":
        return f"worth at least {round(low):+d} {images}{about}; the curve ends at {most:+.0f}"
    if word == "at most":
        return f"worth at most {round(high):+d} {images}{about}"
    return f"worth {round(value):+d} {images} ({round(low):+d} to {round(high):+d})"


def _self_test(arms: Mapping[str, ArmWorth]) -> str | None:
    known = [(name, arm) for name, arm in arms.items() if arm.truth is not None]
    if not known:
        return None
    name, arm = known[0]
    low = -np.inf if arm.low is None else arm.low
    high = np.inf if arm.high is None else arm.high
    truth = float(arm.truth or 0.0)
    if arm.word == "nothing to gain":
        answer = "cannot be made: no number is given"
    elif arm.word == "beyond the curve":
        answer = "fails: the curve does not reach it"
    elif arm.word == "below the curve" or not low <= truth <= high:
        answer = "fails: the truth is outside the interval"
    elif arm.word == "undetermined":
        answer = "shows little: the truth is inside the interval, but the interval is open"
    else:
        answer = "passes: the truth is inside the interval"
    return (
        f"Self-test on {name}, which has {truth:.0f} more real images and repeats them: "
        f"{arm.sentence}. The test {answer}."
    )


def _gain_in_words(
    gain: ResampledT,
    ends: tuple[float, float] | None,
    more: float,
    label: str,
    title: str,
    margin: float,
) -> str:
    start = f"{more:.0f} more real images of {label} are worth {gain.mean:.3f} of {title}"
    if ends is None:
        return f"{start}: nothing is known of its spread."
    if ends[1] < margin:
        word = "nothing to gain"
    elif gain.mean < margin:
        word = "little to gain, though more is not excluded"
    elif ends[0] > 0:
        word = "something to gain"
    else:
        word = "whether there is something to gain is not known"
    return f"{start} (90 % interval {ends[0]:+z.3f} to {ends[1]:+z.3f}): {word}."
