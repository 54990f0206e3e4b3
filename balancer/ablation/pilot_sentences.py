"""The answer of a pilot in words: what the study shows, what decides it, what is not known."""

from collections.abc import Iterator, Sequence

from balancer.ablation.frozen_records import PilotArm, PilotResult
from balancer.statistics.sample_size import MOST


def pilot_sentences(pilot: PilotResult, generated: Sequence[str], *, wanted: str) -> Iterator[str]:
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
        f"How it was measured: on frozen features, with a linear head in place of the network, on "
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
    needed = ", ".join(f"{name} {_splits(arm)}" for name, arm in arms.items())
    return (
        f"To decide within {pilot.margin:g} you need: {needed}. With that many a study ends "
        f"“equivalent” with 80 % power if {pilot.primary_title} does not differ."
    )


def _splits(arm: PilotArm) -> str:
    if arm.splits_needed is not None:
        return f"{arm.splits_needed} splits"
    if arm.images_factor > 1:
        return (
            "no number of splits, since the same test cases come back, but about "
            f"{arm.images_factor:.1f} times as many images"
        )
    return f"more than {MOST} splits"


def _unknown(
    pilot: PilotResult, generated: Sequence[str], arms: dict[str, PilotArm]
) -> Iterator[str]:
    known = [arm.detectable for arm in arms.values() if arm.detectable is not None]
    if generated:
        between = ""
        if known:
            between = (
                f" If their differences vary as those above, {pilot.study_splits} splits will show "
                f"{min(known):.3f} to {max(known):.3f} for them too."
            )
        yield (
            f"Not known beforehand, of {', '.join(generated)}: whether they help, and how much "
            f"they vary, since their images do not exist yet.{between}"
        )
    others = [name for name in pilot.unknown if name not in generated]
    if others:
        yield f"Not measured, since they need the network itself: {', '.join(others)}."
