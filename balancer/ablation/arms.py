"""The arms of an ablation: one line of configuration each, such as `gan ratio=1:1`."""

import difflib
import shlex
from collections.abc import Sequence
from typing import Any

from balancer.ablation.families.arm import FAMILIES, Arm
from balancer.ablation.runs import OVERSAMPLE, REAL
from balancer.errors import ConfigurationError


def read_arms(lines: Sequence[str], *, ratio: str) -> list[Arm]:
    """Read the arms of a configuration.

    `real` is added where it is missing, and for each GAN arm the `oversample` arm that adds as many
    images: no verdict can do without them.

    Args:
        lines: Lines such as `gan ratio=1:1`.
        ratio: Ratio of arms that add images and give none.

    Raises:
        ConfigurationError: A name, option or value is unknown, or an arm is given twice.
    """
    arms = [_read(line, ratio) for line in lines]
    named = {arm.name for arm in arms}
    missing = [] if REAL in named else [_read(REAL, ratio)]
    for arm in arms:
        if arm.kind == "gan" and not any(arm.is_matched_by(other) for other in (*arms, *missing)):
            wanted = str(arm.ratio)
            line = OVERSAMPLE if wanted == ratio else f"{OVERSAMPLE} ratio={wanted}"
            missing.append(_read(line, ratio))
    arms = sorted([*missing, *arms], key=lambda arm: arm.name != REAL)
    for arm in arms:
        twins = [other for other in arms if arm.equals(other) or arm.name == other.name]
        if len(twins) > 1:
            raise ConfigurationError(
                f"ablation.arms should name every arm once, but {twins[1].name!r} is the same as "
                f"{twins[0].name!r}; leave one out."
            )
    return arms


def _read(line: str, ratio: str) -> Arm:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigurationError(
            f"The arm {line!r} should be words with closed quotes, but: {error}; correct it."
        ) from None
    if not words or words[0] not in FAMILIES:
        near = difflib.get_close_matches(words[0] if words else "", FAMILIES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(sorted(FAMILIES))}."
        raise ConfigurationError(f"ablation.arms knows no arm {line!r}; {hint}")
    name, *assignments = words
    family = FAMILIES[name]
    readers = {option.name: option.read for option in family.takes}
    given: dict[str, Any] = {}
    for assignment in family.assignments(assignments):
        key, _, text = assignment.partition("=")
        if key not in readers:
            known = ", ".join(readers) or "none"
            raise ConfigurationError(
                f"The arm {name} has no option {assignment!r}; its options are: {known}."
            )
        try:
            given[key] = readers[key](text)
        except ValueError as error:
            raise ConfigurationError(
                f"The option {key} of the arm {line!r} cannot be {text!r}: {error}."
            ) from None
    try:
        options = family.complete(given, ratio)
    except ValueError as error:
        raise ConfigurationError(
            f"The options of the arm {line!r} do not fit together: {error}."
        ) from None
    return family(family.title({key: _text(value) for key, value in given.items()}), options)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
