"""Scores of the runs of a study elsewhere: on other data sets, and on sources left out."""

from collections.abc import Mapping, Sequence
from typing import Any

from balancer.ablation.design import EndedStudy
from balancer.ablation.doubtful_lungs import (
    HOME,
    count_and_leave_out,
    doubtful_at_home,
    doubtful_elsewhere,
)
from balancer.ablation.elsewhere_records import ExternalResult
from balancer.ablation.families.arm import Arm
from balancer.ablation.plan import Plan
from balancer.ablation.records import AblateMetrics
from balancer.ablation.runs import Question, Run
from balancer.ablation.same_images import compare_on_same_images, compare_sources
from balancer.ablation.travel import travel_of
from balancer.ablation.travel_records import DoubtfulLungs
from balancer.evaluation.external import External

RunsElsewhere = Mapping[str, Sequence[Run]]
"""Name of a data set to the runs on it."""


def elsewhere_results(
    external: Mapping[str, External],
    elsewhere: RunsElsewhere,
    runs: Sequence[Run],
    plan: Plan,
    question: Question,
) -> dict[str, Any]:
    """Compare the arms elsewhere; return the fields `external` and `sources` of the metrics.

    Args:
        external: Other data sets by name.
        elsewhere: The runs on them.
        runs: Runs of all splits; those that leave a source out are used.
        plan: The plan, for these sources.
        question: The question.
    """
    return {
        "external": {
            name: ExternalResult(
                **dict(external[name].facts()), arms=compare_on_same_images(found, question)
            )
            for name, found in elsewhere.items()
        },
        "sources": compare_sources(
            runs,
            question,
            plan.source_folds,
            plan.without_source,
        ),
    }


def travel_fields(
    metrics: AblateMetrics,
    study: EndedStudy,
    arms: Sequence[Arm],
    question: Question,
    home: Sequence[Run],
    elsewhere: RunsElsewhere,
) -> dict[str, Any]:
    """Return the field `travel` of the metrics, and the headline that it makes.

    Args:
        metrics: The study, with its tests elsewhere and its place in the protocol.
        study: The same before the comparison.
        arms: Its arms.
        question: The question.
        home: The runs on its test splits.
        elsewhere: The runs on other data sets.

    Returns:
        Empty for a study without views.
    """
    config = study.config
    found = travel_of(
        metrics,
        arms,
        _doubtful(study, arms, question, home, elsewhere),
        largest_fall=config.travel.largest_fall,
        limit=config.ablation.max_probe_auroc,
    )
    if found is None:
        return {}
    start = f"{metrics.tier}: " if metrics.tier else ""
    update = {"word": found.word, "sentence": f"{start}{found.sentence}"}
    if metrics.registration is not None and metrics.registration.label:
        label = metrics.registration.label
        update = {
            "word": "exploratory",
            "sentence": f"{start}{label}. No claim is made. By these runs: {found.sentence}",
        }
    return {"travel": found, "verdict": metrics.verdict.model_copy(update=update)}


def _doubtful(
    study: EndedStudy,
    arms: Sequence[Arm],
    question: Question,
    home: Sequence[Run],
    elsewhere: RunsElsewhere,
) -> dict[str, DoubtfulLungs]:
    index, workspace = study.index, study.workspace
    cache = workspace.feature_cache_dir
    if all(arm.preprocessing(index.preprocessing).lungs == "none" for arm in arms):
        return {}
    doubtful = doubtful_at_home(index, cache)
    found = {HOME: count_and_leave_out(index.records, doubtful, home, question)}
    for name, runs in elsewhere.items():
        one = study.external[name]
        doubtful = doubtful_elsewhere(one, workspace.root / "runs" / "external" / name, cache)
        found[name] = count_and_leave_out(one.records, doubtful, runs, question)
    return found
