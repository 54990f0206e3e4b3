"""Comparison of the errors of two classifiers on the same cases: McNemar 1947, the exact test.

Small because each statistical test is a file.
"""

from scipy.stats import binomtest


def mcnemar_exact(only_first_right: int, only_second_right: int) -> float:
    """Compute the two-sided p: if neither is better, each alone is right with probability 1/2.

    Cases are taken as independent; images of one patient count as several.

    Args:
        only_first_right: Number of cases that only the first got right.
        only_second_right: Number of cases that only the second got right.

    Returns:
        p in (0, 1]; 1 where they agree on all cases.

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
