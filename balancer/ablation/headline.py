"""The two or three sentences that a clinician reads first."""

from collections.abc import Mapping, Sequence
from typing import Any

from balancer.ablation.runs import REAL, ArmFacts
from balancer.statistics.verdict import CONFOUNDED, EQUIVALENT, HELPS, HURTS, INCONCLUSIVE

Table = Mapping[str, Mapping[str, Any]]


def headline(arms: Table, question: Mapping[str, Any], caps: Sequence[str]) -> dict[str, str]:
    """Answer "did GAN images help?"; where no arm has any, "did anything help?".

    Args:
        arms: `arms` of the result, verdicts included.
        question: `question` of the result.
        caps: Why no difference can be trusted.

    Returns:
        `word` and `sentence`.
    """
    gan = _leading_gan(arms)
    others = [name for name, arm in arms.items() if arm["kind"] in ("cheap", "gan")]
    if gan is None:
        word = _word_of_all([arms[name]["verdict"]["word"] for name in others])
        sentences = [_ANY[word] if others else "Only real images were trained on: no comparison."]
        sentences += [_told(arms, name, question) for name in others[:1] if len(others) == 1]
    else:
        word = arms[gan]["verdict"]["word"]
        sentences = [_GAN[word], _told(arms, gan, question), *_cheapest(arms, gan, question)]
    sentences += _named(arms, others)
    if word == CONFOUNDED:
        sentences.insert(1, f"What makes it so: {'; '.join(caps)}.")
    return {"word": word, "sentence": " ".join(sentences)}


def control(
    arms: Table,
    question: Mapping[str, Any],
    facts: Sequence[ArmFacts],
    n_held_back: float | None,
) -> dict[str, Any] | None:
    """What real images in place of a perfect generator's bought, and what the GAN bought.

    Args:
        arms: `arms` of the result.
        question: `question` of the result.
        facts: Of the arms; a GAN arm that adds as many images is preferred.
        n_held_back: Different real images that were given out, mean over the splits.

    Returns:
        None where the study lacks the arm of held-back images or any GAN arm.
    """
    held_back = next((one for one in facts if one.holds_back), None)
    if held_back is None or _leading_gan(arms) is None:
        return None
    matched = {one.name: arms[one.name] for one in facts if one.duplicates == held_back.duplicates}
    gan = str(_leading_gan(matched) or _leading_gan(arms))
    bought, gan_bought = (arms[name]["verdict"]["difference"] for name in (held_back.name, gan))
    number = "More real images" if n_held_back is None else f"{n_held_back:g} more real images"
    return {
        "arm": held_back.name,
        "bought": bought,
        "gan_arm": gan,
        "gan_bought": gan_bought,
        "n_held_back": n_held_back,
        "sentence": (
            f"{number}, each repeated until there were as many as the generator's, would have "
            f"bought {in_words(bought)} in {question['primary_title']}; those of {gan} bought "
            f"{in_words(gan_bought)}."
        ),
    }


def _leading_gan(arms: Table) -> str | None:
    """The first GAN arm that helps, or would without a cap, else the first in the order asked for.

    Holm's correction over the arms has paid for the choice.
    """
    gans = [name for name, arm in arms.items() if arm["kind"] == "gan"]
    helping = [name for name in gans if arms[name]["verdict"]["uncapped"] == HELPS]
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


def in_words(difference: Mapping[str, Any]) -> str:
    """`+0.012 (95 % interval -0.003 to +0.027)`, or why there is none."""
    if difference["value"] is None:
        return f"nothing known ({difference['reason']})"
    if difference["low"] is None:
        return f"{difference['value']:+z.3f} (no spread to give an interval by)"
    low, high = difference["low"], difference["high"]
    return f"{difference['value']:+z.3f} (95 % interval {low:+z.3f} to {high:+z.3f})"


def _told(arms: Table, name: str, question: Mapping[str, Any]) -> str:
    """The arm's numbers against its references, and what the study could have seen."""
    arm, primary, title = arms[name], question["primary"], question["primary_title"]
    differences = {other: tests["metrics"][primary] for other, tests in arm["against"].items()}
    told = " and ".join(
        f"by {in_words(difference)} from {'real images alone' if other == REAL else other}"
        for other, difference in differences.items()
        if difference["value"] is not None
    )
    if not told:
        return f"No run of {name} can be compared with real images alone."
    sentence = f"{title} of {name} differs {told}"
    verdict = arm["verdict"]
    if verdict["uncapped"] == EQUIVALENT:
        return f"{sentence}; differences up to {question['margin']:g} count as none."
    if verdict["uncapped"] == INCONCLUSIVE and verdict["detectable"] is not None:
        return (
            f"{sentence}; with 80 % power the study would show {verdict['detectable']:.3f}, after "
            "the correction for its arms."
        )
    return f"{sentence}."


def _cheapest(arms: Table, gan: str, question: Mapping[str, Any]) -> list[str]:
    """`real` needs no work at all; then come the cheap arms by their minutes."""
    primary, margin = question["primary"], question["margin"]

    def value(name: str) -> float | None:
        found: float | None = arms[name]["metrics"][primary]["value"]
        return found

    reached = value(gan)
    if reached is None:
        return []
    cheap = sorted(
        (name for name, arm in arms.items() if arm["kind"] == "cheap"),
        key=lambda name: arms[name]["minutes"] or 0.0,
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


def _named(arms: Table, names: Sequence[str]) -> list[str]:
    sentences = []
    for word, verb in ((HELPS, "helped"), (HURTS, "hurt")):
        some = [name for name in names if arms[name]["verdict"]["word"] == word]
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
