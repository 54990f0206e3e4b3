"""The measured quality of a class as the terminal shows it."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from balancer.quality.gate import failures


def class_summary(label: str, entry: Mapping[str, Any]) -> Iterator[RenderableType]:
    """A table of distances, the probes in a sentence, and every check of the gate.

    Args:
        label: The class.
        entry: Its entry in the metrics of `balancer quality`.
    """
    table = Table(
        "metric", "reference", "value", "at n", "synthetic", "real", "ratio",
        title=Text(f"{label}: synthetic images beside real ones in their place"),
    )  # fmt: skip
    for reference, metrics in entry["against"].items():
        for name, metric in metrics.items():
            arrow = "↓" if metric["better"] == "lower" else "↑"
            table.add_row(Text(f"{name} {arrow}"), reference, *_cells(metric))
    yield table
    yield from _verdict(label, entry)


def _cells(metric: Mapping[str, Any]) -> Iterator[str]:
    value = f"{metric['value']:.3f}"
    if "interval" in metric:
        low, high = metric["interval"]
        value += f" ({low:.3f} to {high:.3f})"
    if metric.get("infinity") is not None:
        value += f", {metric['infinity']:.3f} at infinite n"
    if not metric.get("reliable", True):
        value += f", not reliable at n = {min(metric['n_fake'], metric['n_reference'])}"
    yield value
    same_n = metric["same_n"]
    if same_n is None:
        yield from "----"
        return
    yield str(same_n["n"])
    yield f"{same_n['value']:.3f}"
    yield f"{same_n['real_against_real']:.3f}"
    yield "-" if same_n["ratio"] is None else f"{same_n['ratio']:.2f}"


def _verdict(label: str, entry: Mapping[str, Any]) -> Iterator[RenderableType]:
    useful = entry["usefulness"]
    yield Text(
        "Balanced accuracy on real validation images of a probe trained on real images "
        f"{useful['train_real_test_real']['balanced_accuracy']:.3f}, with synthetic {label} in "
        f"place of real {useful['train_synthetic_test_real']['balanced_accuracy']:.3f}."
    )
    tells, distance = entry["tells"]["features"], entry["memorization"]["distance"]
    membership = entry["membership"]
    yield Text(
        f"Told from real by features: {_auroc(tells)}. Closer to training than to held-out images: "
        + ", ".join(f"{row['closer_to_training']:.2f} in {name}" for name, row in distance.items())
        + " (honest: 0.5). Training images told from validation images by the discriminator: "
        + _auroc(membership and {"value": membership["auroc"]})
        + "."
    )
    words = {True: "pass", False: "FAIL", None: "  - "}
    for found in entry["gate"]["checks"]:
        yield Text(f"  {words[found['passed']]}  {found['name']}: {found['sentence']}")
    yield Text(
        {
            True: f"{label} passes the quality gate.",
            None: f"{label} fails nothing, but there were too few images to ask everything.",
            False: f"{label} fails the quality gate: {', '.join(failures(entry['gate']))}.",
        }[entry["gate"]["passed"]]
    )


def _auroc(probe: Mapping[str, Any] | None) -> str:
    return "not measured" if probe is None else f"AUROC {probe['value']:.3f}"
