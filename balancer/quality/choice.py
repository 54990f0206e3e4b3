"""The extractor that chose the images that are measured; its own figures flatter them.

The snapshot of a GAN and the screen go by one extractor, and the gate and the headline of a report
by another, so that no image is good because it was chosen to look so.
"""

from collections.abc import Mapping
from typing import Any, Literal

from balancer.results import read_result
from balancer.synthetic.records import GeneratorMetrics, SynthesizeMetrics
from balancer.workspace import Workspace

CHOOSER = "lite0"
"""Extractor of the snapshot and of the screen: bundled, so that neither depends on weights that may
be missing."""
Choice = Literal["snapshot", "screen"]
ChosenBy = Mapping[str, tuple[Choice, ...]]
"""Name of an extractor to what it chose."""


def chosen_by(label: str, workspace: Workspace) -> ChosenBy:
    """Return the extractors that chose the synthetic images of a class, in a workspace.

    Where `gan-train` left no result, a GAN of ours counts as one whose snapshot was chosen.
    """
    made = read_result(workspace.synthetic_dir, SynthesizeMetrics)
    if made is None:
        return {}
    choices: list[Choice] = []
    trained = read_result(workspace.gan_dir(label), GeneratorMetrics)
    is_ours = label not in made.metrics.outside
    if is_ours and (trained is None or trained.metrics.selected is not None):
        choices.append("snapshot")
    if made.setting("screen.reasons"):
        choices.append("screen")
    return {CHOOSER: tuple(choices)} if choices else {}


def choice_sentence(chosen: Mapping[str, Any], asked: str) -> str | None:
    """Say what the mark `*` of a metric means; None if no extractor chose the images.

    Args:
        chosen: Name of an extractor to what it chose, the measured ones alone.
        asked: Name of the extractor that the gate rests on.
    """
    if not chosen:
        return None
    words = {"snapshot": "the snapshot of the generator", "screen": "the screen"}
    listed = "; ".join(
        f"{name} also chose these images ({', '.join(words[one] for one in choices)})"
        for name, choices in chosen.items()
    )
    rests = (
        f"the gate rests on {asked} all the same, since quality.extractors names it first"
        if asked in chosen
        else f"the gate rests on {asked}, which did not"
    )
    return f"* {listed}, so its figures flatter them; {rests}."
