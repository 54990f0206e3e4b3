"""The verdict of a whole study in two or three sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from balancer.ablation.arm_records import ArmResult, ArmVerdict, Harm, ReferenceVerdict
from balancer.ablation.caps import short
from balancer.ablation.records import AskedQuestion, ControlResult, Headline
from balancer.ablation.run_scores import LOSSES, TITLES
from balancer.ablation.runs import GAN_IMAGES, REAL, ArmFacts
from balancer.drawing.numbers import HasReason
from balancer.statistics.verdict import (
    CONFOUNDED,
    EQUIVALENT,
    HELPS,
    HURTS,
    INCONCLUSIVE,
    UNVERIFIED,
)

Arms = Mapping[str, ArmResult]


def headline(
    arms: Arms,
    question: AskedQuestion,
    caps: Sequence[str],
    *,
    as_good: Sequence[str] = (),
    blind: str | None = None,
) -> Headline:
    """Answer "did the generator's images help?"; without such an arm, "did anything help?".

    Args:
        arms: Results of the arms.
        question: The question.
        caps: Reasons why no difference can be trusted; they come first, regardless of the word.
        as_good: Sentences on cheaper arms beside the GAN arm.
        blind: Result of `positive_control`; it follows the answer.
    """
    gan = _leading_gan(arms)
    others = [name for name, arm in arms.items() if arm.kind in ("cheap", "gan")]
    if gan is None:
        word = _word_of_all([arms[name].verdict.word for name in others])
        sentences = [_ANY[word] if others else "Only real images were trained on: no comparison."]
        sentences += [blind] if blind else []
        sentences += [_differences(arms, name, question) for name in others[:1] if len(others) == 1]
    else:
        word = arms[gan].verdict.word
        answer = _GENERATED[word].format(images=question.main_images or GAN_IMAGES)
        sentences = [answer[:1].upper() + answer[1:], *([blind] if blind else [])]
        sentences.append(_differences(arms, gan, question))
        sentences += [*_harms(arms[gan]), *as_good]
    sentences += _named(arms, others)
    sentences += _harmed(arms, [name for name in others if name != gan])
    if any(_is_perfect(arms[name]) for name in others):
        sentences.insert(1, "Nothing to gain here: real images alone score 1.000 on all splits.")
    if question.verdict_on is not None:
        tested = f"Tested on the {question.verdict_images} images of {question.verdict_on}."
        sentences.insert(0, tested)
    if question.rare_images is not None:
        kept = f"Trained with {question.rare_images} real images of {question.positive_class}."
        sentences.insert(0, kept)
    reasons = tuple(short(cap) for cap in caps)
    more: dict[str, Any] = {"caps": reasons} if reasons else {}
    more |= {"positive_control": blind} if blind else {}
    return Headline(word=word, sentence=no_claim(reasons) + " ".join(sentences), **more)


def no_claim(reasons: Sequence[str]) -> str:
    """Return what comes before all else that is said of a study with caps, and a blank."""
    return f"No claim can be made from these data: {'; '.join(reasons)}. " if reasons else ""


def positive_control(
    arms: Arms, facts: Sequence[ArmFacts], n_held_back: float | None, images: str = GAN_IMAGES
) -> str | None:
    """Say that the study could not have seen a good generator, if its control was not seen.

    Args:
        arms: Results of the arms.
        facts: Facts of the arms.
        n_held_back: Number of different held-back images, mean over the splits.
        images: Images of the main arm, in words.

    Returns:
        None where held-back real images helped, or no arm has them.
    """
    held_back = next((one.name for one in facts if one.holds_back), None)
    if held_back is None or arms[held_back].verdict.uncapped == HELPS:
        return None
    start = f"{_more_real(n_held_back)} were not shown to help"
    gan = _leading_gan(arms)
    if gan is None:
        return f"{start}: this study could not have seen what good images of a generator bring."
    if arms[gan].verdict.uncapped == HELPS:
        return f"Yet {start[:1].lower()}{start[1:]}: a gain from {images} alone needs a repeat."
    return f"{start} either: this study could not have seen a good generator."


def control(
    arms: Arms,
    question: AskedQuestion,
    facts: Sequence[ArmFacts],
    n_held_back: float | None,
) -> ControlResult | None:
    """Compare the gain from held-back real images with that from the GAN.

    Args:
        arms: Results of the arms.
        question: The question.
        facts: Facts of the arms; a GAN arm that adds as many images is preferred.
        n_held_back: Number of different held-back images, mean over the splits.

    Returns:
        None where the study has no arm of held-back images or no GAN arm.
    """
    held_back = next((one for one in facts if one.holds_back), None)
    if held_back is None or _leading_gan(arms) is None:
        return None
    matched = {one.name: arms[one.name] for one in facts if one.duplicates == held_back.duplicates}
    gan = str(_leading_gan(matched) or _leading_gan(arms))
    bought, gan_bought = (arms[name].verdict.difference for name in (held_back.name, gan))
    return ControlResult(
        arm=held_back.name,
        bought=bought,
        gan_arm=gan,
        gan_bought=gan_bought,
        n_held_back=n_held_back,
        sentence=(
            f"{_more_real(n_held_back)}, each repeated until there were as many as the "
            f"generator's, would have added {in_words(bought)} in {question.primary_title}; those "
            f"of {gan} added {in_words(gan_bought)}."
        ),
    )


def _more_real(n_held_back: float | None) -> str:
    return "More real images" if n_held_back is None else f"{n_held_back:.0f} more real images"


def _leading_gan(arms: Arms) -> str | None:
    """Return the first GAN arm, which is tested first; another one would be a choice afterwards."""
    return next((name for name, arm in arms.items() if arm.kind == "gan"), None)


_GENERATED = {
    HELPS: "{images} helped.",
    HURTS: "{images} hurt.",
    EQUIVALENT: "{images} made no difference that matters.",
    INCONCLUSIVE: "Whether {images} help could not be shown.",
    CONFOUNDED: "These data cannot show whether {images} help.",
    UNVERIFIED: "Nobody says what their generator was trained on, so {images} cannot be judged.",
}
_ANY = {
    HELPS: "Something helped.",
    HURTS: "Every arm hurt.",
    EQUIVALENT: "No arm made a difference that matters.",
    INCONCLUSIVE: "Whether any arm helps could not be shown.",
    CONFOUNDED: "These data cannot show whether any arm helps.",
    UNVERIFIED: "Nobody says what the generators were trained on, so no arm can be judged.",
}


def in_words(difference: HasReason, confidence: float = 0.95) -> str:
    """Format as `+0.012 (95 % interval -0.003 to +0.027)`, or say why there is none."""
    value, low, high = difference.value, difference.low, difference.high
    if value is None:
        return f"nothing known ({difference.reason})"
    if low is None or high is None:
        return f"{value:+z.3f} (no spread to give an interval by)"
    level = f"{confidence:.0%}".replace("%", " %")
    return f"{value:+z.3f} ({level} interval {low:+z.3f} to {high:+z.3f})"


def _differences(arms: Arms, name: str, question: AskedQuestion) -> str:
    """Describe the differences of an arm to its references, and what could have been shown."""
    arm, title = arms[name], question.primary_title
    differences = {other: tests.metrics[question.primary] for other, tests in arm.against.items()}
    listed = " and ".join(
        f"by {in_words(difference)} from {'real images alone' if other == REAL else other}"
        for other, difference in differences.items()
        if difference.value is not None
    )
    if not listed:
        return f"No run of {name} can be compared with real images alone."
    sentence = f"{title} of {name} differs {listed}"
    verdict = arm.verdict
    if verdict.uncapped == EQUIVALENT:
        return f"{sentence}; differences up to {question.margin:g} count as none."
    if verdict.uncapped == INCONCLUSIVE and verdict.detectable is not None:
        return f"{sentence}; with 80 % power the study would show {shown_difference(verdict)}."
    return f"{sentence}."


def shown_difference(verdict: ArmVerdict | ReferenceVerdict) -> str:
    """Format the smallest difference that could be shown, with its own uncertainty."""
    if verdict.detectable is None:
        return "-"
    text = _up_to_one(verdict.detectable)
    if isinstance(verdict, ReferenceVerdict) or verdict.detectable_high is None:
        return text
    return f"{text} ({_up_to_one(verdict.detectable_low)} to {_up_to_one(verdict.detectable_high)})"


def _up_to_one(value: float | None) -> str:
    """Format a difference of metrics whose whole range is about 1."""
    return "undefined" if value is None else "more than 1" if value > 1 else f"{value:.3f}"


def _is_perfect(arm: ArmResult) -> bool:
    return not isinstance(arm.verdict, ReferenceVerdict) and arm.verdict.nothing_to_gain


def _harms(arm: ArmResult) -> list[str]:
    """Say in which registered metrics an arm is worse."""
    return [
        f"Harm: {_title(harm.metric)} is worse than with real images alone by "
        f"{in_words(harm.difference, harm.confidence)}."
        for harm in _harms_of(arm)
    ]


def _harmed(arms: Arms, names: Sequence[str]) -> list[str]:
    """Name other arms that are worse in a registered metric."""
    found = [
        f"{name} ({', '.join(_title(harm.metric) for harm in several)})"
        for name in names
        if (several := _harms_of(arms[name]))
    ]
    return [f"Other arms with harm: {'; '.join(found)}."] if found else []


def _harms_of(arm: ArmResult) -> tuple[Harm, ...]:
    return () if isinstance(arm.verdict, ReferenceVerdict) else arm.verdict.harms


def _title(key: str) -> str:
    return (TITLES | LOSSES)[key]


def _named(arms: Arms, names: Sequence[str]) -> list[str]:
    sentences = []
    for word, verb in ((HELPS, "helped"), (HURTS, "hurt")):
        some = [
            name + " (exploratory)" * (_role(arms[name]) == "exploratory")
            for name in names
            if arms[name].verdict.word == word
        ]
        if some:
            sentences.append(f"Arms that {verb}: {', '.join(some)}.")
    return sentences


def _role(arm: ArmResult) -> str | None:
    return None if isinstance(arm.verdict, ReferenceVerdict) else arm.verdict.role


def _word_of_all(words: Sequence[str]) -> str:
    if HELPS in words:
        return HELPS
    if CONFOUNDED in words:
        return CONFOUNDED
    if words and len(set(words)) == 1:
        return words[0]
    return INCONCLUSIVE
