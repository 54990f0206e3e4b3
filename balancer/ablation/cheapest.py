"""Arms without a generator that did as well as the GAN: a claim of non-inferiority, or its lack.

Small because a rule of its own, apart from the comparison.
"""

from collections.abc import Mapping

from balancer.ablation.runs import REAL
from balancer.statistics.resampled_t import ResampledT
from balancer.statistics.verdict import FEWEST_SPLITS, difference_in_words


def as_good_as_gan(
    gan: str, cheaper: Mapping[str, ResampledT | None], *, margin: float, alpha: float
) -> list[str]:
    """Name the cheaper arms that are not worse than the GAN arm by more than the margin.

    The lower end of the 1 - 2 alpha interval of such a difference is above minus the margin: a
    one-sided test at alpha, of each arm by itself. If no arm passes, the one with the best mean is
    named, as a fact of this sample. Times of training are not compared: between arms without a
    generator they are noise.

    Args:
        gan: Name of the GAN arm.
        cheaper: Each cheaper arm, `real` first, and its difference to the GAN arm.
        margin: Differences up to this size count as none.
        alpha: One-sided level.

    Returns:
        One sentence, or none where nothing can be compared.
    """
    known = {name: t for name, t in cheaper.items() if t is not None}
    if not known:
        return []
    proved = [name for name, t in known.items() if _is_no_worse(t, margin, alpha)]
    if proved:
        listed = "; ".join(_with_interval(name, known[name], alpha) for name in proved)
        return [f"Without a generator, and not worse than {gan} by more than {margin:g}: {listed}."]
    best = max(known, key=lambda name: known[name].mean)
    said = _with_interval(best, known[best], alpha)
    if known[best].mean >= -margin:
        return [
            f"In this sample {said} did as well without a generator, within {margin:g} on average; "
            f"that it is as good as {gan} is not shown."
        ]
    return [f"In this sample nothing without a generator did as well as {gan}; nearest: {said}."]


def _is_no_worse(t: ResampledT, margin: float, alpha: float) -> bool:
    p = t.p_greater(-margin) if t.k >= FEWEST_SPLITS else None
    return p is not None and p <= alpha


def _with_interval(name: str, t: ResampledT, alpha: float) -> str:
    what = "real images alone" if name == REAL else name
    return f"{what}, {difference_in_words(t, confidence=1 - 2 * alpha)}"
