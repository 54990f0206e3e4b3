"""Reasons why no claim of a study can be made, one function for each kind.

A cap turns every finding into `confounded` and is named beside the word, regardless of the word.
"""

from collections.abc import Iterable, Mapping, Sequence

from balancer.ablation.runs import ArmFacts
from balancer.data.audit.association import Association
from balancer.shortcuts.probes import FILE, FILE_ELSEWHERE, METADATA, SHORTCUTS
from balancer.shortcuts.records import ProbeResult
from balancer.statistics.resampled_t import ResampledT
from balancer.statistics.verdict import HELPS, Verdict, difference_in_words

LIMIT = 0.90
"""A shortcut whose AUROC interval begins at or above this caps the claims."""
_CHANCE = 0.5


def source_caps(association: Association | None) -> list[str]:
    """Say that the source of an image gives its class away.

    Args:
        association: Association of source and class; None: no source is known.

    Returns:
        One sentence, or none.
    """
    if association is None or not association.gives_label_away:
        return []
    strength = association.cramers_v
    known = "" if strength is None else f" (Cramer's V {strength:.2f})"
    return [f"The source of an image gives its class away{known}."]


def shortcut_caps(probes: Sequence[ProbeResult], limit: float = LIMIT) -> list[str]:
    """Name the probes that see no lung and find the class nevertheless.

    `metadata-only` counts if its part that no disease can change, `metadata-without-lungs` or
    `metadata-of-file`, is better than chance. `source-from-image` does not count: an image that
    shows its source does no harm as long as the source does not give the class away.

    Args:
        probes: Results of `run_probes`.
        limit: A shortcut counts if its AUROC interval begins at or above this.

    Returns:
        A sentence per probe; empty where there is none.
    """
    lows = {
        probe.probe: probe.auroc.low
        for probe in probes
        if probe.shortcut and probe.auroc is not None and probe.auroc.low is not None
    }
    reached = {name for name, low in lows.items() if low >= limit}
    # By themselves, the mean of a whole image and its file size can show the disease.
    if METADATA in reached and lows.get(FILE, lows.get(FILE_ELSEWHERE, 1.0)) <= _CHANCE:
        reached.remove(METADATA)
    return [
        f"{SHORTCUTS[probe.probe]}: the probe {probe.probe} reaches AUROC "
        f"{probe.auroc.value:.3f} (95 % interval {probe.auroc.low:.3f} to "
        f"{probe.auroc.high:.3f}; the limit for its lower end is {limit:.2f})."
        for probe in probes
        if probe.probe in reached and probe.auroc is not None
    ]


def control_caps(
    arms: Iterable[ArmFacts],
    verdicts: Mapping[str, Verdict],
    differences: Mapping[str, ResampledT | None],
    title: str,
) -> list[str]:
    """Name the negative controls that helped: what no image shows cannot have been the reason.

    Args:
        arms: Facts of all arms.
        verdicts: Arm to its verdict, without caps.
        differences: Arm to its difference to `real` in the primary metric.
        title: Name of that metric.

    Returns:
        A sentence per control; empty where there is none.
    """
    caps = []
    for arm in arms:
        verdict, found = verdicts.get(arm.name), differences.get(arm.name)
        if arm.must_not_help and verdict is not None and verdict.uncapped == HELPS and found:
            images = arm.images or f"images of {arm.name}"
            caps.append(
                f"{images[:1].upper()}{images[1:]} helped as much: {title} of {arm.name}, which "
                "must not help, differs from that of real images alone by "
                f"{difference_in_words(found)}."
            )
    return caps


def short(cap: str) -> str:
    """Return a cap without its numbers, as part of a sentence."""
    start = cap.partition(":")[0].rstrip(".")
    return start[:1].lower() + start[1:]
