"""Sharing what was made: one word per class, the rule behind it, and every attack."""

from collections.abc import Iterator, Mapping, Sequence

from balancer.data.audit.findings import count
from balancer.drawing.wording import probability
from balancer.quality.figures import Release
from balancer.quality.release import COPIES, RULE
from balancer.report.blocks import Block, Bullets, Heading, Paragraph, Section, Table

_MOST_NAMES = 20


def sharing_section(
    found: Mapping[str, Release | None], names: Mapping[str, Sequence[str]]
) -> Section:
    """Show what the images of each class give away of real ones.

    Args:
        found: Class to what was measured; None where it was not.
        names: Class to the names of its near copies; a class without any is left out.
    """
    return Section("sharing", "Sharing what was made", [*_blocks(found, names)])


def _blocks(
    found: Mapping[str, Release | None], names: Mapping[str, Sequence[str]]
) -> Iterator[Block]:
    known = {label: one for label, one in found.items() if one is not None}
    unknown = [label for label in found if label not in known]
    if known:
        yield Table(
            "One word per class",
            ["class", "word", "reason"],
            [[label, one.word, " ".join(one.reasons)] for label, one in known.items()],
            text_columns=(1, 2),
            word_column=1,
            note=RULE,
        )
    if unknown:
        yield Paragraph(
            f"Not measured, for want of images, or by an earlier version: {', '.join(unknown)}.",
            "warning",
        )
    for label, one in known.items():
        yield Heading(label)
        yield _attacks(one)
        if copies := names.get(label):
            yield Paragraph(f"{count(len(copies), 'near copy', 'near copies')} of real images:")
            more = [f"and {len(copies) - _MOST_NAMES} more"] if len(copies) > _MOST_NAMES else []
            yield Bullets([*copies[:_MOST_NAMES], *more])


def _attacks(found: Release) -> Table:
    def p(name: str) -> str:
        return probability(found.tests[name]) if name in found.tests else "-"

    rows = [
        ["near copies of real images", str(len(found.copies)), f"{found.expected_copies:.1f}",
         p(COPIES)],
        ["real images that are reproduced", str(found.reproduced), "0", "-"],
    ]  # fmt: skip
    for space, leak in found.leaks.items():
        rows += [
            [f"membership AUROC, {space}",
             _with_interval(leak.membership, leak.membership_interval), "0.5",
             p(f"membership, {space}")],
            [f"closer to seen than to unseen images, {space}",
             _with_interval(leak.closer, leak.closer_interval), "0.5", p(f"closer, {space}")],
        ]  # fmt: skip
    return Table("Attacks", ["attack", "found", "without a leak", "p (Holm)"], rows)


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"
