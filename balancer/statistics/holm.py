"""Several claims at once: Holm 1979 (Scandinavian Journal of Statistics 6:65)."""

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values so that any false claim among them is made with probability alpha at most.

    Args:
        p_values: Values in [0, 1]. None, a claim that could not be tested, stays None but counts:
            a failed run must not make the other claims easier.

    Returns:
        Adjusted p-values in the same order, at most 1.

    Raises:
        ValueError: A value is not in [0, 1].
    """
    for p in p_values:
        if p is not None and not 0 <= p <= 1:
            raise ValueError(f"Holm's method takes p-values from 0 to 1, but one is {p}.")
    adjusted: list[float | None] = [None] * len(p_values)
    largest, remaining = 0.0, len(p_values)
    for p, position in sorted((p, number) for number, p in enumerate(p_values) if p is not None):
        largest = max(largest, min(1.0, remaining * p))
        adjusted[position] = largest
        remaining -= 1
    return adjusted
