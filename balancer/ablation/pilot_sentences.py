"""The answer of a pilot in words: what the study shows, what decides it, what is not known."""

from collections.abc import Iterator, Sequence

from balancer.ablation.frozen_records import PilotArm, PilotResult
from balancer.statistics.sample_size import MOST


def pilot_sentences(
    pilot: PilotResult, generated: Sequence[str], *, wanted: str
) -> Iterator[str]:
    """Yield the sentences, the most important ones first.

    Args:
        pilot: The pilot, but for its sentences.
        generated: Arms with images of a generator.
        wanted: Key of the primary metric of the study.
    """
    varying = {name: arm for name, arm in pilot.arms.items() if arm.sd > 0}
    if varying:
        yield _shown(pilot, varying)
        yield _needed(pilot, varying)
    else:
        yield "No arm differs from real images alone on any split of the pilot."
    if pilot.worth is not None:
        worth = pilot.worth
        yield worth.sentence
        yield from ([worth.self_test] if worth.self_test else [])
    else:
        yield (
            "What more real images are worth is not known: none of the rare class could be set "
            "aside, or there are too few for a curve."
        )
    yield from _unknown(pilot, generated, varying)
    if wanted != pilot.primary:
        yield (
            f"The verdicts will be about {wanted}, which needs a threshold; the pilot measured "
            f"{pilot.primary_title} in its place."
        )
    yield (
        f"How it was measured: {pilot.tier}, a linear head in place of the network, on "
        f"{pilot.pilot_splits} splits; trained on {pilot.n_train:.0f} and scored on "
        f"{pilot.n_scored:.0f} validation images, no test image was read. {pilot.primary_title} of "
        f"real images alone: {pilot.level:.3f}. A trained network is better and spreads in its own "
        "way: take these figures as an order of magnitude."
    )


def _shown(pilot: PilotResult, arms: dict[str, PilotArm]) -> str:
    known = {name: arm.detectable for name, arm in arms.items() if arm.detectable is not None}
    if not known:
        return "One split shows no difference: a verdict takes three splits or more."
    name = max(known, key=lambda one: known[one])
    least = min(known.values())
    factor = [end / arms[name].sd for end in (arms[name].sd_low, arms[name].sd_high)]
    ends = " to ".join(f"{known[name] * one:.3f}" for one in factor)
    rest = "" if len(known) == 1 else f"; of the arm that varies least {least:.3f}"
    return (
        f"{pilot.study_splits} splits will show a difference of {known[name]:.3f} in "
        f"{pilot.primary_title} ({ends}, as the spread is itself estimated), with 80 % power in a "
        f"single comparison, of the arm that varies most ({name}){rest}."
    )


def _needed(pilot: PilotResult, arms: dict[str, PilotArm]) -> str:
    title, margin = pilot.primary_title, f"{pilot.margin:g}"
    name = max(arms, key=lambda one: arms[one].sd)
    needed = arms[name].splits_needed
    start = f"To decide within {margin}"
    rest = _others(arms, name)
    if needed is not None:
        return (
            f"{start} you need {needed} splits ({name}{rest}): so many end “equivalent” with 80 % "
            f"power if {title} does not differ."
        )
    factor = arms[name].images_factor
    if factor > 1:
        return (
            f"{start} no number of splits suffices ({name}{rest}): the same test cases come back. "
            f"It takes about {factor:.1f} times as many images, or a wider margin."
        )
    return f"{start} you need more than {MOST} splits ({name}{rest})."


def _others(arms: dict[str, PilotArm], worst: str) -> str:
    """List the splits that the other arms need."""
    found = [
        f"{name} {'none' if arm.splits_needed is None else arm.splits_needed}"
        for name, arm in arms.items()
        if name != worst
    ]
    return f"; the others: {', '.join(found)}" if found else ""


def _unknown(
    pilot: PilotResult, generated: Sequence[str], arms: dict[str, PilotArm]
) -> Iterator[str]:
    known = [arm.detectable for arm in arms.values() if arm.detectable is not None]
    if generated:
        between = ""
        if known:
            between = (
                f" If their differences vary as those above, {pilot.study_splits} splits will show "
                f"{min(known):.3f} to {max(known):.3f} of them too."
            )
        yield (
            f"Not known beforehand, of {', '.join(generated)}: whether they help, and how much "
            f"they vary, since their images do not exist yet.{between}"
        )
    others = [name for name in pilot.unknown if name not in generated]
    if others:
        yield f"Not measured, since they need the network itself: {', '.join(others)}."
