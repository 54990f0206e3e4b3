"""Do two classifiers err equally often on the same cases? McNemar 1947, the exact test."""

from scipy.stats import binomtest


def mcnemar_exact(only_first_right: int, only_second_right: int) -> float:
    """Two-sided p: if neither is better, who alone gets a case right is the throw of a fair coin.

    Cases are taken as independent; images of one patient count as several.

    Args:
        only_first_right: Cases that the first got right and the second wrong.
        only_second_right: The other way round.

    Returns:
        p in (0, 1]; 1 where they disagree on nothing.

    Raises:
        ValueError: A count is negative.
    """
    n = only_first_right + only_second_right
    if min(only_first_right, only_second_right) < 0:
        raise ValueError(
            "McNemar's test takes counts of cases, but got "
            f"{only_first_right} and {only_second_right}; count from 0."
        )
    return float(binomtest(only_first_right, n).pvalue) if n else 1.0
