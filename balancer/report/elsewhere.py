"""One sentence on a classifier at other hospitals, beside every score at home."""

from collections.abc import Iterator, Mapping

from balancer.ablation.records import AblateMetrics
from balancer.ablation.runs import REAL
from balancer.ablation.travel import UNTESTED
from balancer.drawing.numbers import METRICS, interval
from balancer.drawing.wording import listing
from balancer.evaluation.records import EvaluateMetrics
from balancer.evaluation.trained_classifier import ARMS
from balancer.results import StageResult, fingerprint_of_result, read_result
from balancer.workspace import Workspace

UNKNOWN_ELSEWHERE = (
    f"{UNTESTED} The score there can be far lower; `balancer travel --external DIR` measures it."
)
_SHOWN = 3


def known_elsewhere(
    study: AblateMetrics | None,
    evaluated: Mapping[str, StageResult[EvaluateMetrics]],
    travel: AblateMetrics | None,
) -> str:
    """Return what is known of films from elsewhere, or that nothing is.

    Args:
        study: An ablation, with its tests on other data sets and on sources left out.
        evaluated: Folder in the workspace to the result of `evaluate`.
        travel: A study of travel of the same images.
    """
    scores = [
        *([] if study is None else _of_study(study)),
        *_of_evaluate(evaluated),
        *([] if travel is None else _of_study(travel)),
    ]
    more = f" and {len(scores) - _SHOWN} more" if len(scores) > _SHOWN else ""
    known = f"Elsewhere: {listing(scores[:_SHOWN])}{more}." if scores else UNKNOWN_ELSEWHERE
    if travel is None or travel.travel is None or not scores:
        return known
    return f"{known} Study of travel: {travel.verdict.word}."


def evaluations(workspace: Workspace) -> dict[str, StageResult[EvaluateMetrics]]:
    """Return the results of `evaluate` for the classifiers of today, by folder in the workspace."""
    found = {}
    for path in sorted(workspace.root.glob("evaluate/*/*/result.json")):
        result, arm = read_result(path.parent, EvaluateMetrics), path.parent.name
        folder = workspace.classify_dir(arm)
        if result is None or arm not in ARMS or not (folder / "result.json").is_file():
            continue
        today = (fingerprint_of_result(folder), fingerprint_of_result(folder, with_time=True))
        if result.inputs.get("classifier") in today:
            found[path.parent.relative_to(workspace.root).as_posix()] = result
    return found


def travel_study(workspace: Workspace, index_hash: str) -> AblateMetrics | None:
    """Return the study of travel of an index, the trained one before that on frozen features."""
    for folder in (workspace.travel.ablation_dir, workspace.travel.quick_dir):
        result = read_result(folder, AblateMetrics)
        if result is not None and result.inputs.get("index") == index_hash:
            return result.metrics
    return None


def _of_study(study: AblateMetrics) -> Iterator[str]:
    key, title = study.question.primary, study.question.primary_title
    what = "frozen features" if study.tier else REAL
    of_place = {name: found.arms for name, found in study.external.items()}
    of_place |= {f"the source {name}": found.arms for name, found in study.sources.tested.items()}
    for name, arms in of_place.items():
        if REAL in arms:
            yield f"{title} of {what} {interval(arms[REAL].metrics[key])} on {name}"


def _of_evaluate(evaluated: Mapping[str, StageResult[EvaluateMetrics]]) -> Iterator[str]:
    for place, result in evaluated.items():
        _, name, arm = place.split("/")
        test, unlike = result.metrics.test, result.metrics.unlike
        far = ""
        if unlike is not None and unlike.n:
            far = f" ({unlike.n} of {test.n} images too far from the training images)"
        yield f"{METRICS['auroc']} of {arm} {interval(test.auroc)} on {name}{far}"
