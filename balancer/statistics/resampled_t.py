"""Mean over runs whose training and test images overlap: the corrected resampled t.

Runs on repeated splits of one data set are not independent: their test sets share cases, and so do
their training sets. Nadeau and Bengio 2003 (Machine Learning 52:239, section 3) take the
correlation between two of them to be n_test / (n_test + n_train), which turns the variance of the
mean from S^2 / k into S^2 (1/k + n_test / n_train). Bouckaert and Frank 2004 use the same for
repeated cross-validation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]
_ROUNDING = 1e-12
_MANY = 1e6


@dataclass(frozen=True, slots=True)
class ResampledT:
    """Mean of k values, one per split, with its standard error and tests.

    Attributes:
        mean: Their mean.
        se: Corrected standard error. None with one value, and where all values are equal but not 0:
            coarse metrics on few cases can be equal by chance. 0 where all values are 0, as of two
            classifiers that always agree.
        k: Number of values.
        case_df: Degrees of freedom where part of the variance is that of test cases which all
            values share; None: k - 1.
    """

    mean: float
    se: float | None
    k: int
    case_df: float | None = None

    @property
    def df(self) -> float:
        """Degrees of freedom."""
        return self.k - 1 if self.case_df is None else self.case_df

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Return the central t interval; None without a standard error."""
        if self.se is None:
            return None
        reach = self._quantile((1 + confidence) / 2) * self.se
        return self.mean - reach, self.mean + reach

    def p_greater(self, than: float = 0.0) -> float | None:
        """Test that the true mean is at most `than`: a small p says that it is greater."""
        return self._above(self.mean - than)

    def p_less(self, than: float = 0.0) -> float | None:
        """Test that the true mean is at least `than`: a small p says that it is less."""
        return self._above(than - self.mean)

    def p_two_sided(self) -> float | None:
        """Test that the true mean is 0."""
        above = self._above(abs(self.mean))
        return None if above is None else min(1.0, 2 * above)

    def p_equivalent(self, margin: float) -> float | None:
        """Test that the true mean lies outside +-margin: two one-sided tests (Schuirmann 1987).

        At most alpha exactly where the 1 - 2 alpha interval lies inside the margin.
        """
        one, other = self.p_greater(-margin), self.p_less(margin)
        return None if one is None or other is None else max(one, other)

    def shares(self, margin: float) -> "Shares | None":
        """Divide the belief in the true mean by a margin; None without a standard error.

        The posterior of the correlated Bayesian t test (Corani and Benavoli 2015, Machine Learning
        100:285; Benavoli 2017, JMLR 18:77) with the correlation of Nadeau and Bengio: a t around
        the mean with the standard error and the degrees of freedom of the interval.
        """
        better, worse = self._above(self.mean - margin), self._above(-margin - self.mean)
        if better is None or worse is None:
            return None
        better, worse = 1 - better, 1 - worse
        return Shares(better, max(0.0, 1 - better - worse), worse)

    def _above(self, distance: float) -> float | None:
        if self.se is None:
            return None
        if self.se == 0:  # the mean is 0 too, and only a margin differs from it
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(self.df, -distance / self.se))

    def _quantile(self, probability: float) -> float:
        return float(stdtrit(self.df, probability))


@dataclass(frozen=True, slots=True)
class Shares:
    """Probabilities, which sum to 1, that the true mean is above, within or below a margin."""

    better: float
    within: float
    worse: float


def resampled_t(values: Floats, test_to_train: float) -> ResampledT:
    """Summarise one value per split.

    Args:
        values: Values, float (k,), finite, k >= 1: metrics, or differences paired by split.
        test_to_train: Ratio of test images to training images.

    Raises:
        ValueError: There is no value, one is not finite, or the ratio is negative.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"The resampled t takes one finite value per split, but got {values!r}; leave out runs "
            "in which the metric is undefined."
        )
    if not 0 <= test_to_train < np.inf:
        raise ValueError(
            f"The resampled t takes the ratio n_test / n_train, but got {test_to_train}."
        )
    k, mean = len(values), float(values.mean())
    if k == 1:
        return ResampledT(mean, None, 1)
    # The mean of equal numbers can differ from them in the last bit.
    if np.ptp(values) <= _ROUNDING * max(1.0, abs(mean)):
        return ResampledT(mean, None, k) if abs(mean) > _ROUNDING else ResampledT(0.0, 0.0, k)
    return ResampledT(mean, float(values.std(ddof=1) * np.sqrt(1 / k + test_to_train)), k)


def t_on_shared_cases(values: Floats, draws: Floats, test_to_train: float) -> ResampledT:
    """Summarise one value per training, all of them on the same test cases.

    The trainings are then the readers, and the images the cases, of a study with many readers and
    many cases (Obuchowski and Rockette 1995, Communications in Statistics 24:285; Hillis 2007,
    Statistics in Medicine 26:596). The variance of the mean is that between trainings, with the
    factor of Nadeau and Bengio for what their training sets share, and the covariance that two
    trainings have because they read the same cases. The degrees of freedom are those of Hillis: the
    more of the variance is the cases', the less does the number of trainings matter.

    Args:
        values: Values, float (k,), finite: metrics, or differences paired by training.
        draws: The same on B resamples of the cases, the same ones for all trainings, float (k, B);
            NaN where one is undefined.
        test_to_train: Ratio of test images to training images in the splits that were trained on.

    Raises:
        ValueError: See `resampled_t`.
    """
    plain = resampled_t(values, test_to_train)
    defined = draws[:, ~np.isnan(draws).any(0)]
    if plain.k == 1 or defined.shape[1] < 2:
        return ResampledT(plain.mean, None, plain.k)
    between = float(values.var(ddof=1)) * (1 / plain.k + test_to_train)
    covariances = np.cov(defined)
    shared = float((covariances.sum() - np.trace(covariances)) / (plain.k * (plain.k - 1)))
    total = between + max(shared, 0.0)
    if total <= _ROUNDING**2:
        return plain
    df = min(_MANY, (plain.k - 1) * (total / between) ** 2) if between else _MANY
    return ResampledT(plain.mean, float(np.sqrt(total)), plain.k, df)


def mean_by_split(values: Floats, splits: Sequence[str]) -> Floats:
    """Average the seeds of each split.

    Runs that differ only in the seed share every test case and every training image, for which the
    correction does not allow. So k counts splits; counting each seed as a split would make the
    intervals too narrow.

    Args:
        values: Values, float (R,), or rows of values, float (R, B).
        splits: Name of each value's split.

    Returns:
        float (k,) or (k, B), in the order of the names.
    """
    names, place = np.unique(np.asarray(splits, str), return_inverse=True)
    counts = np.bincount(place, None, len(names))
    if values.ndim == 1:
        return np.asarray(np.bincount(place, values, len(names)) / counts, np.float64)
    member = (place[None, :] == np.arange(len(names))[:, None]) / counts[:, None]
    return np.asarray(member @ values, np.float64)
