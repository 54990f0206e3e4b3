"""The verdict of a whole study in two or three sentences."""

from collections.abc import Mapping, Sequence
from typing import Any

from balancer.ablation.arm_records import ArmResult
from balancer.ablation.caps import short
from balancer.ablation.records import AskedQuestion, ControlResult, Headline
from balancer.ablation.runs import REAL, ArmFacts
from balancer.drawing.numbers import HasReason
from balancer.statistics.verdict import CONFOUNDED, EQUIVALENT, HELPS, HURTS, INCONCLUSIVE

Arms = Mapping[str, ArmResult]


def headline(
    arms: Arms, question: AskedQuestion, caps: Sequence[str], blind: str | None = None
) -> Headline:
    """Answer "did GAN images help?"; without a GAN arm, "did anything help?".

    Args:
        arms: Results of the arms.
        question: The question.
        caps: Reasons why no difference can be trusted; they come first, whatever the word is.
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
        sentences = [
            _GAN[word],
            *([blind] if blind else []),
            _differences(arms, gan, question),
            *_cheapest(arms, gan, question),
        ]
    sentences += _named(arms, others)
    reasons = tuple(short(cap) for cap in caps)
    if reasons:
        sentences.insert(0, f"No claim can be made from these data: {'; '.join(reasons)}.")
    more: dict[str, Any] = {"caps": reasons} if reasons else {}
    more |= {"positive_control": blind} if blind else {}
    return Headline(word=word, sentence=" ".join(sentences), **more)


def positive_control(
    arms: Arms, facts: Sequence[ArmFacts], n_held_back: float | None
) -> str | None:
    """Say that the study could not have seen a good generator, if its control was not seen.

    Args:
        arms: Results of the arms.
        facts: Facts of the arms.
        n_held_back: Number of different held-back images, mean over the splits.

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
        return f"Yet {start[:1].lower()}{start[1:]}: a gain from GAN images alone needs a repeat."
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
            f"generator's, would have bought {in_words(bought)} in {question.primary_title}; those "
            f"of {gan} bought {in_words(gan_bought)}."
        ),
    )


def _more_real(n_held_back: float | None) -> str:
    return "More real images" if n_held_back is None else f"{n_held_back:g} more real images"


def _leading_gan(arms: Arms) -> str | None:
    """Return the first GAN arm that helps, or would without a cap; else the first GAN arm.

    Holm's correction over the arms allows the choice.
    """
    gans = [name for name, arm in arms.items() if arm.kind == "gan"]
    helping = [name for name in gans if arms[name].verdict.uncapped == HELPS]
    return next(iter([*helping, *gans]), None)


_GAN = {
    HELPS: "GAN images helped.",
    HURTS: "GAN images hurt.",
    EQUIVALENT: "GAN images made no difference that matters.",
    INCONCLUSIVE: "Whether GAN images help could not be shown.",
    CONFOUNDED: "Whether GAN images help cannot be told from these data.",
}
_ANY = {
    HELPS: "Something helped.",
    HURTS: "Every arm hurt.",
    EQUIVALENT: "No arm made a difference that matters.",
    INCONCLUSIVE: "Whether any arm helps could not be shown.",
    CONFOUNDED: "Whether any arm helps cannot be told from these data.",
}


def in_words(difference: HasReason) -> str:
    """Format as `+0.012 (95 % interval -0.003 to +0.027)`, or say why there is none."""
    value, low, high = difference.value, difference.low, difference.high
    if value is None:
        return f"nothing known ({difference.reason})"
    if low is None or high is None:
        return f"{value:+z.3f} (no spread to give an interval by)"
    return f"{value:+z.3f} (95 % interval {low:+z.3f} to {high:+z.3f})"


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
        return (
            f"{sentence}; with 80 % power the study would show {verdict.detectable:.3f}, after "
            "the correction for its arms."
        )
    return f"{sentence}."


def _cheapest(arms: Arms, gan: str, question: AskedQuestion) -> list[str]:
    """Name the cheapest arm that did as well: `real`, then the cheap arms by their minutes."""
    margin = question.margin

    def value(name: str) -> float | None:
        return arms[name].metrics[question.primary].value

    reached = value(gan)
    if reached is None:
        return []
    cheap = sorted(
        (name for name, arm in arms.items() if arm.kind == "cheap"),
        key=lambda name: arms[name].minutes or 0.0,
    )
    for name in (REAL, *cheap):
        mean = value(name)
        if mean is not None and mean >= reached - margin:
            what = "real images alone" if name == REAL else name
            return [
                f"The cheapest that did as well, on average and within {margin:g}: {what}, "
                f"{mean:.3f} against {reached:.3f}."
            ]
    return [f"Nothing cheaper did as well: {reached:.3f} on average."]


def _named(arms: Arms, names: Sequence[str]) -> list[str]:
    sentences = []
    for word, verb in ((HELPS, "helped"), (HURTS, "hurt")):
        some = [name for name in names if arms[name].verdict.word == word]
        if some:
            sentences.append(f"Arms that {verb}: {', '.join(some)}.")
    return sentences


def _word_of_all(words: Sequence[str]) -> str:
    if HELPS in words:
        return HELPS
    if CONFOUNDED in words:
        return CONFOUNDED
    if words and len(set(words)) == 1:
        return words[0]
    return INCONCLUSIVE
