"""One word for each arm: helps, hurts, equivalent or inconclusive; or confounded.

The rule is fixed before any run. Claims to help and claims to hurt are one-sided, and each of the
two families keeps its level by Holm's method. Images of a generator must beat real images alone,
repeated real images and each control that must not help (intersection-union: the largest p counts;
Berger 1982, Technometrics 24:295). Equivalence is two
one-sided tests against a margin. All else is "inconclusive", which is not "no effect"; the
difference that the study could have shown is given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from balancer.statistics.holm import holm
from balancer.statistics.resampled_t import ResampledT

Word = Literal["helps", "hurts", "equivalent", "inconclusive", "confounded"]
HELPS: Final = "helps"
HURTS: Final = "hurts"
EQUIVALENT: Final = "equivalent"
INCONCLUSIVE: Final = "inconclusive"
CONFOUNDED: Final = "confounded"
REFERENCE: Final = "reference"
POWER = 0.8
FEWEST_SPLITS = 3
"""With two, the spread of a coarse metric can be small by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Differences of one arm to its references in the primary metric, paired by run.

    Attributes:
        generated: Whether it must also beat repeated real images, as images of a trained generator
            must.
        to_real: Arm minus `real`; None where no run of both defines the metric.
        to_duplicates: Arm minus the arm that repeats as many real images; None without one.
        to_controls: Name of each control that it must beat too, and arm minus control; None where
            no run of both defines the metric.
    """

    generated: bool
    to_real: ResampledT | None
    to_duplicates: ResampledT | None
    to_controls: Mapping[str, ResampledT | None] = field(default_factory=dict)

    @property
    def references(self) -> list[ResampledT | None]:
        """Differences to `real` and, where it must beat them, to repeated real images."""
        return [self.to_real, *([self.to_duplicates] if self.generated else [])]

    @property
    def compared(self) -> list[ResampledT | None]:
        """Differences to all that it must beat."""
        return [*self.references, *self.to_controls.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Verdict on one arm.

    Attributes:
        word: One of the five words.
        uncapped: The word without regard to confounding.
        p_holm: One-sided p of the claim made (helps or hurts), adjusted; None of other words.
        p_helps: One-sided p of the claim to help, before Holm; None where it cannot be tested, as
            with fewer than three splits.
        p_hurts: The same of the claim to hurt.
        p_equivalent: p of the two one-sided tests against the margin; not adjusted.
        detectable: Smallest true difference at which the claim to help has 80 % power, corrected
            for all arms as if this one had the smallest p; of images of a generator the largest of
            those to all that they must beat.
        sentence: The word with its numbers.
    """

    word: Word
    uncapped: Word
    p_holm: float | None
    p_helps: float | None
    p_hurts: float | None
    p_equivalent: float | None
    detectable: float | None
    sentence: str


def judge(
    arms: Sequence[Evidence], *, margin: float, alpha: float, title: str, caps: Sequence[str] = ()
) -> list[Verdict]:
    """Judge all arms of a study except `real`; they are one family.

    Args:
        arms: Differences of each arm, in any order.
        margin: Differences up to this size count as none.
        alpha: One-sided level of each claim.
        title: Name of the primary metric in sentences; more of it is better.
        caps: Reasons why no difference can be trusted; any turns a finding into `confounded`, also
            that of an arm that beats all but the controls.

    Returns:
        Verdicts in the same order.
    """
    enough = [arm.to_real is not None and arm.to_real.k >= FEWEST_SPLITS for arm in arms]
    p_helps = [
        _p_helps(arm.compared) if able else None for arm, able in zip(arms, enough, strict=True)
    ]
    p_references = [
        _p_helps(arm.references) if able else None for arm, able in zip(arms, enough, strict=True)
    ]
    p_hurts = [
        arm.to_real.p_less() if able and arm.to_real else None
        for arm, able in zip(arms, enough, strict=True)
    ]
    helps, hurts = holm(p_helps), holm(p_hurts)
    helps_but_for_controls = holm(p_references)
    verdicts = []
    for number, arm in enumerate(arms):
        p_equivalent = None
        if enough[number] and arm.to_real:
            p_equivalent = arm.to_real.p_equivalent(margin)
        claims: dict[Word, float | None] = {
            EQUIVALENT: p_equivalent,
            HELPS: helps[number],
            HURTS: hurts[number],
        }
        held = [word for word, p in claims.items() if p is not None and p <= alpha]
        word: Word = held[0] if held else INCONCLUSIVE
        sentence = _sentence(
            arm, held, claims, margin=margin, alpha=alpha, title=title, n_arms=len(arms)
        )
        but_for_controls = helps_but_for_controls[number]
        claims_more = but_for_controls is not None and but_for_controls <= alpha
        capped = bool(caps) and (word != INCONCLUSIVE or claims_more)
        if capped:
            reasons = "; ".join(cap.rstrip(".") for cap in caps)
            sentence = f"Confounded: {reasons}. But for that: {sentence}"
        verdicts.append(
            Verdict(
                word=CONFOUNDED if capped else word,
                uncapped=word,
                p_holm=claims[word] if word in (HELPS, HURTS) else None,
                p_helps=p_helps[number],
                p_hurts=p_hurts[number],
                p_equivalent=p_equivalent,
                detectable=_detectable(arm, alpha / len(arms)),
                sentence=sentence,
            )
        )
    return verdicts


def difference_in_words(t: ResampledT, *, confidence: float = 0.95) -> str:
    """Format as `+0.012 (95 % interval -0.003 to +0.027)`."""
    ends = t.interval(confidence)
    if ends is None:
        why = "one split" if t.k == 1 else f"the same on all {t.k} splits"
        return f"{t.mean:+z.3f} ({why}, so no interval)"
    return f"{t.mean:+z.3f} ({confidence:.0%} interval {ends[0]:+z.3f} to {ends[1]:+z.3f})".replace(
        "%", " %"
    )


def _p_helps(compared: Sequence[ResampledT | None]) -> float | None:
    """Return the largest p of all that an arm must beat; None where one is unknown."""
    found = [None if t is None else t.p_greater() for t in compared]
    known = [p for p in found if p is not None]
    return max(known) if len(known) == len(found) else None


def _sentence(
    arm: Evidence,
    held: Sequence[Word],
    claims: dict[Word, float | None],
    *,
    margin: float,
    alpha: float,
    title: str,
    n_arms: int,
) -> str:
    if arm.to_real is None:
        return f"Inconclusive: no run of this arm and of real images alone both define {title}."
    if not held:
        return _inconclusive(arm, arm.to_real, alpha=alpha, title=title, n_arms=n_arms)
    difference = difference_in_words(arm.to_real)
    if held[0] == EQUIVALENT:
        narrow = difference_in_words(arm.to_real, confidence=1 - 2 * alpha)
        rest = " It can be told from zero, but is smaller than the margin." if held[1:] else ""
        return (
            f"Equivalent: {title} differs from that of real images alone by {narrow}, within the "
            f"margin of {margin:g}.{rest}"
        )
    p = claims[held[0]]
    strength = f"one-sided {_p_in_words(p)} after Holm over {n_arms} arm{'s' * (n_arms != 1)}"
    also = ""
    if arm.generated and arm.to_duplicates is not None:
        also = f" and from that of repeated real images by {difference_in_words(arm.to_duplicates)}"
    for name, t in arm.to_controls.items():
        also += f" and from that of {name} by {difference_in_words(t)}" if t is not None else ""
    return (
        f"{held[0].capitalize()}: {title} differs from that of real images alone by {difference}"
        f"{also}; {strength}."
    )


def _detectable(arm: Evidence, alpha: float) -> float | None:
    found = [t.detectable(alpha, POWER) for t in arm.compared if t is not None]
    known = [one for one in found if one is not None]
    return max(known) if known and len(known) == len(found) else None


def _inconclusive(
    arm: Evidence, to_real: ResampledT, *, alpha: float, title: str, n_arms: int
) -> str:
    start = (
        f"Inconclusive: {title} differs from that of real images alone by "
        f"{difference_in_words(to_real)}"
    )
    detectable = _detectable(arm, alpha / n_arms)
    if detectable is None:
        return f"{start}; repeat it on more splits."
    if to_real.k < FEWEST_SPLITS:
        return f"{start}; a verdict takes {FEWEST_SPLITS} splits or more."
    above = to_real.p_greater()
    if arm.generated and above is not None and above <= alpha:
        if arm.to_duplicates is None:
            return (
                f"{start}, but it was not compared with repeated real images, which these images "
                "have to beat too."
            )
        if (arm.to_duplicates.p_greater() or 0.0) > alpha:
            return (
                f"{start}, but from that of repeated real images only by "
                f"{difference_in_words(arm.to_duplicates)}, and these images have to beat both."
            )
    if above is not None and above <= alpha:
        for name, t in arm.to_controls.items():
            if t is None:
                return (
                    f"{start}, but it was not compared with {name}, which images of a generator "
                    "have to beat too."
                )
            if (t.p_greater() or 0.0) > alpha:
                return (
                    f"{start}, but from that of {name}, a control that must not help, only by "
                    f"{difference_in_words(t)}, and images of a generator have to beat it too."
                )
    corrected = "" if n_arms == 1 else f" after the correction for {n_arms} arms"
    return (
        f"{start}; {to_real.k} splits of these cases would show a difference of {detectable:.3f} "
        f"with {POWER * 100:.0f} % power{corrected}."
    )


def _p_in_words(p: float | None) -> str:
    if p is None:
        return "p undefined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
