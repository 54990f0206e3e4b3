"""The extractors that chose the images that are measured; their own figures flatter them.

The snapshot of a GAN is selected by one extractor, its images are screened by another, and the gate
and the headline of a report rest on a third, so that no image is good because it was chosen to look
so. All are bundled: none of the three depends on weights that may be missing.
"""

from collections.abc import Mapping
from typing import Any, Literal

from balancer.results import read_result
from balancer.synthetic.records import GeneratorMetrics, SynthesizeMetrics
from balancer.workspace import Workspace

SELECTOR, SCREENER = "lite0", "lite1"
"""Extractors of the snapshot and of the screen."""
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
    choices: dict[str, tuple[Choice, ...]] = {}
    trained = read_result(workspace.gan_dir(label), GeneratorMetrics)
    is_ours = label not in made.metrics.outside
    if is_ours and (trained is None or trained.metrics.selected is not None):
        choices[SELECTOR] = ("snapshot",)
    if made.setting("screen.reasons"):
        # Earlier versions screened by the extractor of the snapshot, and did not note it.
        for name in made.inputs.get("extractors", [SELECTOR]):
            choices[name] = (*choices.get(name, ()), "screen")
    return choices


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
