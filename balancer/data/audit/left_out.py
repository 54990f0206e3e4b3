"""Images of each class that did not get into the index, by reason."""

from collections import Counter
from collections.abc import Mapping, Sequence

from balancer.data.records import LeftOut
from balancer.data.scan import Unusable

LOSES = 0.01
"""Share of a class above which its loss is said last."""
_REASONS = 4
OTHER_REASONS = "for other reasons (quarantine.csv)"


def left_out_by_class(
    unread: Mapping[str, Mapping[str, int]],
    unusable: Sequence[Unusable],
    entered: Mapping[str, int],
) -> dict[str, LeftOut]:
    """Count the images of each class that are left out.

    Args:
        unread: Class to reason to number of images that were not read.
        unusable: Files set aside.
        entered: Class to number of images that are in the index or are copies of such.

    Returns:
        Classes that lose images.
    """
    reasons = {label: Counter(unread.get(label, {})) for label in entered}
    for file in unusable:
        reasons.setdefault(file.label, Counter())[file.reason] += 1
    found = {}
    for label, counts in reasons.items():
        number = counts.total()
        if number:
            share = number / (number + entered.get(label, 0))
            found[label] = LeftOut(images=number, share=round(share, 4), reasons=_few(counts))
    return found


def sentence_of(label: str, lost: LeftOut) -> str:
    """Say how many images of a class are left out, and why."""
    total = round(lost.images / lost.share)
    reasons = "; ".join(f"{number} x {reason}" for reason, number in lost.reasons.items())
    return f"{label}: {lost.images} of {total} images left out ({percent(lost.share)}): {reasons}."


def percent(share: float) -> str:
    """Return a share in percent, never 0 % for something."""
    return f"{share:.0%}".replace("%", " %") if share >= 0.01 else "under 1 %"


def _few(counts: Counter[str]) -> dict[str, int]:
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    if len(ordered) <= _REASONS:
        return dict(ordered)
    shown = dict(ordered[: _REASONS - 1])
    return shown | {OTHER_REASONS: sum(number for _, number in ordered[_REASONS - 1 :])}
