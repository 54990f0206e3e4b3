"""One word for each arm: helps, hurts, equivalent or inconclusive; or confounded.

The rule is fixed before any run. Claims to help and claims to hurt are one-sided. The order of the
tests is fixed: the main question, the first arm with images of a generator, is tested first and
alone, at the full level, so that further arms cost it nothing. The others are tested after it, by
Holm's method, and their words are exploratory unless the main arm helps. Without such an arm all
are one family. Controls, whose result should be known, are a family of their own. Images of a
generator must beat real images alone, repeated real images and each control that must not help
(intersection-union: the largest p counts; Berger 1982, Technometrics 24:295). Equivalence is two
one-sided tests against a margin, or a bound where both arms make no error at all. All else is
"inconclusive", which is not "no effect"; the difference that the study could have shown is given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from balancer.statistics.ceiling import Ceiling
from balancer.statistics.holm import holm
from balancer.statistics.looks import PlannedLook
from balancer.statistics.power import POWER, detectable
from balancer.statistics.resampled_t import ResampledT

Word = Literal[
    "helps", "hurts", "equivalent", "inconclusive", "confounded", "unverified", "exploratory"
]
HELPS: Final = "helps"
HURTS: Final = "hurts"
EQUIVALENT: Final = "equivalent"
INCONCLUSIVE: Final = "inconclusive"
CONFOUNDED: Final = "confounded"
UNVERIFIED: Final = "unverified"
"""A claim from images whose generator may have seen test images, for all that anybody says."""
EXPLORATORY: Final = "exploratory"
"""A claim to a question that was fixed after test images had been read; `judge` never says it."""
REFERENCE: Final = "reference"
Role = Literal["main", "after", "exploratory", "control"]
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
        is_control: Whether its result should be known beforehand.
        ceiling: Set where the arm and `real` score 1 on every split.
        unverified: Whether nobody says which images its generator was trained on, so that what it
            gains may come from test images.
        room: Upper limit of what any arm could gain on `real`: 1 minus the lower end of its
            interval; None of metrics without a maximum of 1.
    """

    generated: bool
    to_real: ResampledT | None
    to_duplicates: ResampledT | None
    to_controls: Mapping[str, ResampledT | None] = field(default_factory=dict)
    is_control: bool = False
    ceiling: Ceiling | None = None
    unverified: bool = False
    room: float | None = None

    @property
    def has_enough_splits(self) -> bool:
        """Return whether a claim can be made."""
        return self.to_real is not None and self.to_real.k >= FEWEST_SPLITS

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
        word: One of the words above.
        uncapped: The word without regard to confounding.
        role: `main` for the main question, or for all arms without one; `after` for arms tested
            after a main arm that helps; `exploratory` after one that does not; `control`.
        p_holm: One-sided p of the claim made (helps or hurts), adjusted over the arms of its role;
            None of other words.
        p_helps: One-sided p of the claim to help, before Holm; None where it cannot be tested, as
            with fewer than three splits.
        p_hurts: The same of the claim to hurt.
        p_equivalent: p of the two one-sided tests against the margin; not adjusted.
        detectable: Smallest true difference at which the claim to help has 80 % power, corrected
            for the arms of its role as if this one had the smallest p; of images of a generator
            the difference to all that they must beat at once.
        sentence: The word with its numbers.
    """

    word: Word
    uncapped: Word
    role: Role
    p_holm: float | None
    p_helps: float | None
    p_hurts: float | None
    p_equivalent: float | None
    detectable: float | None
    sentence: str


def judge(
    arms: Sequence[Evidence],
    *,
    margin: float,
    alpha: float,
    title: str,
    caps: Sequence[str] = (),
    look: PlannedLook | None = None,
) -> list[Verdict]:
    """Judge all arms of a study except `real`.

    Args:
        arms: Differences of each arm; the first with images of a generator is the main question.
        margin: Differences up to this size count as none.
        alpha: One-sided level of each claim.
        title: Name of the primary metric in sentences; more of it is better.
        caps: Reasons why no difference can be trusted; any turns a finding into `confounded`, also
            that of an arm that beats all but the controls.
        look: The look of a planned sequence that this is; every p is then a repeated p-value. None:
            the only look.

    Returns:
        Verdicts in the same order.
    """
    p_helps = [_p_helps(arm.compared) if arm.has_enough_splits else None for arm in arms]
    p_references = [_p_helps(arm.references) if arm.has_enough_splits else None for arm in arms]
    p_hurts = [
        arm.to_real.p_less() if arm.has_enough_splits and arm.to_real else None for arm in arms
    ]
    equivalent = [_p_equivalent(arm, margin) for arm in arms]
    if look is not None:
        p_helps, p_references, p_hurts, equivalent = (
            _repeated(values, look) for values in (p_helps, p_references, p_hurts, equivalent)
        )
    # Level for an interval or a p-value of this look alone.
    level = alpha if look is None else look.level(alpha)
    roles = _roles(arms, p_helps, alpha)
    helps, hurts = _by_role(p_helps, roles), _by_role(p_hurts, roles)
    helps_but_for_controls = _by_role(p_references, roles)
    verdicts = []
    for number, arm in enumerate(arms):
        n_arms = roles.count(roles[number])
        strictest = alpha / n_arms if look is None else look.level(alpha / n_arms)
        detectable = _detectable(arm, strictest)
        claims: dict[Word, float | None] = {
            EQUIVALENT: equivalent[number],
            HELPS: helps[number],
            HURTS: hurts[number],
        }
        held = [word for word, p in claims.items() if p is not None and p <= alpha]
        word: Word = held[0] if held else INCONCLUSIVE
        sentence = _sentence(
            arm, held, claims, margin=margin, alpha=level, title=title, n_arms=n_arms,
            shown=detectable,
        )  # fmt: skip
        if roles[number] == "exploratory" and word in (HELPS, HURTS):
            sentence += (
                " Exploratory: the arm of the main question is tested first, and does not help."
            )
        but_for_controls = helps_but_for_controls[number]
        claims_more = but_for_controls is not None and but_for_controls <= alpha
        capped = bool(caps) and (word != INCONCLUSIVE or claims_more)
        # What a leak can fake is a gain; harm would be harm all the more without it.
        unverified = arm.unverified and word in (HELPS, EQUIVALENT) and not capped
        if unverified:
            sentence = (
                "Unverified: nobody says which images the generator was trained on, so it may have "
                f"seen test images. But for that: {sentence}"
            )
        if capped:
            reasons = "; ".join(cap.rstrip(".") for cap in caps)
            sentence = f"Confounded: {reasons}. But for that: {sentence}"
        verdicts.append(
            Verdict(
                word=CONFOUNDED if capped else UNVERIFIED if unverified else word,
                uncapped=word,
                role=roles[number],
                p_holm=claims[word] if word in (HELPS, HURTS) else None,
                p_helps=p_helps[number],
                p_hurts=p_hurts[number],
                p_equivalent=equivalent[number],
                detectable=detectable,
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


def _roles(arms: Sequence[Evidence], p_helps: Sequence[float | None], alpha: float) -> list[Role]:
    main = next(
        (number for number, arm in enumerate(arms) if arm.generated and not arm.is_control), None
    )
    p = None if main is None else p_helps[main]
    others: Role = "main" if main is None else "exploratory"
    if p is not None and p <= alpha:
        others = "after"
    return [
        "control" if arm.is_control else "main" if number == main else others
        for number, arm in enumerate(arms)
    ]


def _by_role(p_values: Sequence[float | None], roles: Sequence[Role]) -> list[float | None]:
    """Adjust the p-values of each role by Holm's method."""
    adjusted: list[float | None] = [None] * len(roles)
    for role in set(roles):
        places = [place for place, own in enumerate(roles) if own == role]
        for place, p in zip(places, holm([p_values[place] for place in places]), strict=True):
            adjusted[place] = p
    return adjusted


def _p_equivalent(arm: Evidence, margin: float) -> float | None:
    if not arm.has_enough_splits or arm.to_real is None:
        return None
    if arm.ceiling is not None:
        return arm.ceiling.p_beyond(margin)
    return arm.to_real.p_equivalent(margin)


def _repeated(p_values: Sequence[float | None], look: PlannedLook) -> list[float | None]:
    """Return repeated p-values of a planned look."""
    return [None if p is None else look.adjusted(p) for p in p_values]


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
    shown: float | None,
) -> str:
    if arm.to_real is None:
        return f"Inconclusive: no run of this arm and of real images alone both define {title}."
    if arm.ceiling is not None and arm.has_enough_splits:
        return _at_ceiling(arm.ceiling, held, margin=margin, alpha=alpha, title=title)
    if not held:
        return _inconclusive(
            arm, arm.to_real, alpha=alpha, margin=margin, title=title, n_arms=n_arms, shown=shown
        )
    difference = difference_in_words(arm.to_real)
    if held[0] == EQUIVALENT:
        narrow = difference_in_words(arm.to_real, confidence=1 - 2 * alpha)
        rest = " It can be told from zero, but is smaller than the margin." if held[1:] else ""
        return (
            f"Equivalent: {title} differs from that of real images alone by {narrow}, within the "
            f"margin of {margin:g}.{rest}"
        )
    p = claims[held[0]]
    strength = f"one-sided {_p_in_words(p)}" + f" after Holm over {n_arms} arms" * (n_arms > 1)
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
    return detectable([t for t in arm.compared if t is not None], alpha)


def _at_ceiling(
    ceiling: Ceiling, held: Sequence[Word], *, margin: float, alpha: float, title: str
) -> str:
    """Describe arms without an error: more splits of the same cases would add nothing."""
    perfect = f"{title} of this arm and of real images alone is 1.000 on all splits"
    bound = f"by the rule of three the difference is at most {ceiling.bound(alpha):.2g}"
    unseen = (
        f"a kind of case rarer than {ceiling.unseen(alpha):.1%} of the positive class could be in "
        f"none of the {ceiling.n_cases} test cases"
    ).replace("%", " %")
    if held:
        return (
            f"Equivalent: nothing to gain here. {perfect}; {bound}, within the margin of "
            f"{margin:g}. But {unseen}."
        )
    return (
        f"Inconclusive: nothing to gain is seen here. {perfect}, but the test cases are too few: "
        f"{bound}, more than the margin of {margin:g}. More splits of the same images do not help."
    )


def _inconclusive(
    arm: Evidence,
    to_real: ResampledT,
    *,
    alpha: float,
    margin: float,
    title: str,
    n_arms: int,
    shown: float | None,
) -> str:
    start = (
        f"Inconclusive: {title} differs from that of real images alone by "
        f"{difference_in_words(to_real)}"
    )
    if arm.room is not None and arm.room <= margin:
        start += f", and no arm could gain more than {arm.room:.2g} on these images"
    if shown is None:
        return f"{start}; repeat it on more splits."
    if to_real.k < FEWEST_SPLITS:
        return f"{start}; a verdict takes {FEWEST_SPLITS} splits or more."
    unbeaten = _unbeaten(arm, to_real, alpha)
    if unbeaten:
        return f"{start}, but {unbeaten}"
    corrected = "" if n_arms == 1 else f" after the correction for {n_arms} arms"
    return (
        f"{start}; {to_real.k} splits of these cases would show a difference of {shown:.3f} "
        f"with {POWER * 100:.0f} % power{corrected}."
    )


def _unbeaten(arm: Evidence, to_real: ResampledT, alpha: float) -> str:
    """Name the first reference but `real` that an arm better than `real` does not beat, if any."""
    above = to_real.p_greater()
    if above is None or above > alpha:
        return ""
    if arm.generated:
        if arm.to_duplicates is None:
            return (
                "it was not compared with repeated real images, which these images have to beat "
                "too."
            )
        if (arm.to_duplicates.p_greater() or 0.0) > alpha:
            return (
                "from that of repeated real images only by "
                f"{difference_in_words(arm.to_duplicates)}, and these images have to beat both."
            )
    for name, t in arm.to_controls.items():
        if t is None:
            return f"it was not compared with {name}, which images of a generator have to beat too."
        if (t.p_greater() or 0.0) > alpha:
            return (
                f"from that of {name}, a control that must not help, only by "
                f"{difference_in_words(t)}, and images of a generator have to beat it too."
            )
    return ""


def _p_in_words(p: float | None) -> str:
    if p is None:
        return "p undefined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
