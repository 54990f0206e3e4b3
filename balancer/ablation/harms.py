"""Registered metrics beside the primary one in which an arm is worse than `real`.

Small because a rule of its own, apart from the comparison.
"""

from collections.abc import Mapping, Sequence

from balancer.ablation.arm_records import Harm
from balancer.ablation.differences import PairedRuns
from balancer.ablation.run_scores import CO_PRIMARY, worse_by
from balancer.ablation.runs import Question
from balancer.evaluation.records import Scalar
from balancer.statistics.holm import holm
from balancer.statistics.resampled_t import ResampledT
from balancer.statistics.verdict import FEWEST_SPLITS


def watched_metrics(question: Question, keys: Sequence[str]) -> tuple[str, ...]:
    """Return the metrics of a study whose harm is reported: the co-primary and the secondary ones.

    Args:
        question: The question.
        keys: Metrics that the study has.
    """
    wanted = dict.fromkeys((CO_PRIMARY, *question.secondary))
    return tuple(key for key in wanted if key in keys and key != question.primary)


def harms(
    pairs: Mapping[str, PairedRuns], roles: Mapping[str, str], keys: Sequence[str], alpha: float
) -> dict[str, tuple[Harm, ...]]:
    """Find the metrics in which an arm is worse than `real`.

    A one-sided test for each metric, corrected over the arms of one role but not over the metrics:
    a warning is given rather too often than too rarely.

    Args:
        pairs: Each arm paired with `real`.
        roles: Role of each arm; see `balancer.statistics.verdict.Verdict`.
        keys: Metrics to test.
        alpha: One-sided level.
    """
    found: dict[str, list[Harm]] = {name: [] for name in pairs}
    for key in keys:
        tests = {name: pair.t(key) for name, pair in pairs.items()}
        for role in dict.fromkeys(roles.values()):
            mine = [name for name in pairs if roles[name] == role]
            adjusted = holm([_p_worse(key, tests[name]) for name in mine])
            for name, p in zip(mine, adjusted, strict=True):
                t = tests[name]
                if t is not None and p is not None and p <= alpha:
                    confidence = 1 - 2 * alpha
                    low, high = t.interval(confidence) or (None, None)
                    difference = Scalar(value=t.mean, low=low, high=high)
                    found[name].append(
                        Harm(metric=key, difference=difference, p_holm=p, confidence=confidence)
                    )
    return {name: tuple(several) for name, several in found.items()}


def _p_worse(key: str, t: ResampledT | None) -> float | None:
    if t is None or t.k < FEWEST_SPLITS:
        return None
    return t.p_greater() if worse_by(key, 1.0) > 0 else t.p_less()
