"""The quality of a class in words and tables: for the terminal, and the parts the report shares."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from balancer.quality.choice import choice_sentence
from balancer.quality.figures import Distance
from balancer.quality.records import ClassQuality
from balancer.quality.spread import Spreads

NOT_ASKED = "too few images to answer everything"


def class_summary(label: str, quality: ClassQuality) -> Iterator[RenderableType]:
    """Yield tables of distances, the probes in two sentences, and every answer of the gate.

    Args:
        label: The class.
        quality: Its entry in the result of `balancer quality`.
    """
    for reference, metrics in quality.against.items():
        table = Table(
            # A long name goes on in the next line, since it says what the metric is.
            Column("metric", overflow="fold"),
            "value", "at n", "synthetic", "real", "ratio",
            title=Text(f"{label}, and real images in their place, beside {reference} images"),
        )  # fmt: skip
        for name, distance in metrics.items():
            title = Text(title_of(name, distance))
            table.add_row(title, value_of(distance), *_same_n(distance))
        yield table
    if (sentence := choice_sentence(quality.chosen_by, quality.main)) is not None:
        yield Text(sentence)
    if quality.spread is not None:
        columns = ("standard deviation of", "synthetic", "real", "ratio (95 %)")
        table = Table(*columns, title=Text(f"{label}: place and exposure, n = {quality.spread.n}"))
        for row in spread_rows(quality.spread):
            table.add_row(*row)
        yield table
    yield from _probes(label, quality)
    yield from _gate(label, quality)
    if quality.release is not None:
        yield Text(f"Sharing: {quality.release.word}. {' '.join(quality.release.reasons)}")


def map_name(space: str) -> str:
    """Return the name of the picture of a feature space, which a file can have on any system."""
    return f"map-{space.replace(':', '-')}"


def title_of(name: str, distance: Distance) -> str:
    """Name a metric, with an arrow in its better direction; `*`: its extractor also chose."""
    return f"{name} {'↓' if distance.better == 'lower' else '↑'}{' *' if distance.chose else ''}"


def value_of(distance: Distance) -> str:
    """Format the value of a metric, with its interval and a word where it is not reliable."""
    text = f"{distance.value:.3f}"
    if distance.interval is not None:
        low, high = distance.interval
        text += f" ({low:.3f} to {high:.3f})"
    if not distance.reliable:
        text += f", not reliable at n = {min(distance.n_fake, distance.n_reference)}"
    return text


def spread_rows(spreads: Spreads) -> Iterator[list[str]]:
    """Yield the cells of each quantity: name, synthetic, real, and their ratio."""
    for name, one in spreads.of.items():
        ratio = "-"
        if one.ratio is not None and one.interval is not None:
            low, high = one.interval
            ratio = f"{one.ratio:.2f} ({low:.2f} to {high:.2f})"
        yield [name, f"{one.generated:.1f}", f"{one.real:.1f}", ratio]


def _same_n(distance: Distance) -> Iterator[str]:
    same_n = distance.same_n
    if same_n is None:
        yield from "----"
        return
    yield str(same_n.n)
    yield f"{same_n.value:.3f}"
    yield f"{same_n.real_against_real:.3f}"
    yield "-" if same_n.ratio is None else f"{same_n.ratio:.2f}"


def _probes(label: str, quality: ClassQuality) -> Iterator[RenderableType]:
    useful = quality.usefulness
    if useful is not None:
        yield Text(
            "Balanced accuracy on real validation images of a probe trained on real images "
            f"{useful.train_real_test_real.balanced_accuracy:.3f}, with synthetic {label} in "
            f"place of real {useful.train_synthetic_test_real.balanced_accuracy:.3f}."
        )
    tell = None if quality.tells.features is None else quality.tells.features.value
    membership = None if quality.membership is None else quality.membership.auroc
    closer = ", ".join(
        f"{row.closer_to_training:.2f} in {name}{'*' if name in quality.chosen_by else ''}"
        for name, row in quality.memorization.distance.items()
    )
    yield Text(
        f"Separated from real images by features: {_auroc(tell)}. Closer to "
        f"training than to held-out images: {closer or 'not known'} (honest: 0.5). Training "
        f"separated from validation images by the discriminator: {_auroc(membership)}."
    )


def _gate(label: str, quality: ClassQuality) -> Iterator[RenderableType]:
    gate = quality.gate
    words = {True: "pass", False: "FAIL", None: "  - "}
    for answer in gate.checks:
        yield Text(f"  {words[answer.passed]}  {answer.name}: {answer.sentence}")
    yield Text(
        {
            True: f"{label} passes the quality gate.",
            None: f"{label} fails no check, but there were {NOT_ASKED}.",
            False: f"{label} fails the quality gate: {', '.join(gate.failures)}.",
        }[gate.passed]
    )


def _auroc(value: float | None) -> str:
    return "not measured" if value is None else f"AUROC {value:.3f}"
