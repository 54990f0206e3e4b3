"""Differences between an arm and a reference, paired by fold and seed, with every test of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from balancer.ablation.paired_bootstrap import mean_over_runs, percentile_interval
from balancer.ablation.run_scores import COMPARED, ScoredRun
from balancer.ablation.runs import ArmFacts, Floats
from balancer.statistics.delong import delong_test
from balancer.statistics.holm import holm
from balancer.statistics.mcnemar import mcnemar_exact
from balancer.statistics.resampled_t import ResampledT, mean_by_split, resampled_t


@dataclass(frozen=True, slots=True)
class ArmRuns:
    """An arm with its finished runs, in the order of folds and seeds.

    Attributes:
        facts: What it is.
        runs: R runs.
        draws: For each run float64 (len(COMPARED), B), see `paired_bootstrap.draw`.
    """

    facts: ArmFacts
    runs: list[ScoredRun]
    draws: list[Floats]

    def places(self) -> dict[tuple[str, int], int]:
        """Place of each (fold, seed)."""
        return {(run.run.fold, run.run.seed): number for number, run in enumerate(self.runs)}


@dataclass(frozen=True, slots=True)
class Pairs:
    """Runs that an arm and a reference both have.

    Attributes:
        arm: Runs of the arm.
        reference: Runs of the reference with the same folds and seeds.
        draws: For each pair the arm's draws minus the reference's.
        test_to_train: Test images per training image.
    """

    arm: list[ScoredRun]
    reference: list[ScoredRun]
    draws: list[Floats]
    test_to_train: float

    def differences(self, key: str) -> tuple[Floats, list[str], list[bool]]:
        """Defined differences, their splits, and which pairs define one."""
        values = np.array(
            [a.values[key] - b.values[key] for a, b in zip(self.arm, self.reference, strict=True)]
        )
        defined = [bool(flag) for flag in ~np.isnan(values)]
        splits = [a.run.fold for a, keep in zip(self.arm, defined, strict=True) if keep]
        return values[defined], splits, defined

    def t(self, key: str) -> ResampledT | None:
        """Mean difference over the splits; None where no pair defines one.

        A coarse metric can be equal on all splits by chance. No difference and no spread are
        certain only of classifiers that gave every image the same probabilities.
        """
        values, splits, _ = self.differences(key)
        if not splits:
            return None
        found = resampled_t(mean_by_split(values, splits), self.test_to_train)
        if found.se == 0 and not self._are_identical():
            return ResampledT(found.mean, None, found.k)
        return found

    def _are_identical(self) -> bool:
        return all(
            np.array_equal(a.run.test.probabilities, b.run.test.probabilities)
            for a, b in zip(self.arm, self.reference, strict=True)
        )


def paired(arm: ArmRuns, reference: ArmRuns, ratio: float) -> Pairs:
    """Pair by fold and seed; `ratio` is of test images per training image."""
    places = reference.places()
    shared = [(i, places[unit]) for unit, i in arm.places().items() if unit in places]
    return Pairs(
        arm=[arm.runs[i] for i, _ in shared],
        reference=[reference.runs[j] for _, j in shared],
        draws=[arm.draws[i] - reference.draws[j] for i, j in shared],
        test_to_train=ratio,
    )


def tests_of(pairs: Pairs, alpha: float) -> dict[str, Any]:
    """Differences of every metric, DeLong's and McNemar's tests.

    Args:
        pairs: Of an arm and a reference.
        alpha: Level at which DeLong's tests are counted.
    """
    return {
        "n": len(pairs.arm),
        "metrics": {key: _difference(pairs, key) for key in COMPARED},
        "delong": _delong(pairs, alpha),
        "mcnemar": _mcnemar(pairs),
    }


def _difference(pairs: Pairs, key: str) -> dict[str, Any]:
    values, splits, defined = pairs.differences(key)
    t = pairs.t(key)
    if t is None:
        reason = "no run of both arms defines it" if pairs.arm else "no runs to pair"
        none = dict.fromkeys(("value", "low", "high", "p", "p_holm"))
        return none | {"bootstrap": {"low": None, "high": None}, "n": 0, "reason": reason}
    low, high = t.interval() or (None, None)
    rows = [
        draws[COMPARED.index(key)] for draws, keep in zip(pairs.draws, defined, strict=True) if keep
    ]
    return {
        "value": t.mean,
        "low": low,
        "high": high,
        "p": t.p_two_sided(),
        "p_holm": None,
        "bootstrap": percentile_interval(mean_over_runs(np.stack(rows), splits)),
        "n": len(values),
    }


def _delong(pairs: Pairs, alpha: float) -> dict[str, Any]:
    """Per run; over the runs twice the median p, valid however they depend (Rueger 1978)."""
    tests = [
        delong_test(b.scores, a.scores, a.is_positive)
        for a, b in zip(pairs.arm, pairs.reference, strict=True)
    ]
    p = [test.p for test in tests if test.p is not None]
    if not p:
        reason = next((test.reason for test in tests), "no runs to pair")
        none = dict.fromkeys(("median_p", "n_significant", "combined_p"))
        return none | {"p": [None] * len(tests), "reason": reason}
    median = float(np.median(p))
    return {
        "p": [test.p for test in tests],
        "median_p": median,
        "n_significant": sum(one <= alpha for one in p),
        "combined_p": min(1.0, 2 * median),
    }


def _mcnemar(pairs: Pairs) -> dict[str, Any]:
    alone = [
        (int((a.right & ~b.right).sum()), int((b.right & ~a.right).sum()))
        for a, b in zip(pairs.arm, pairs.reference, strict=True)
    ]
    p = [mcnemar_exact(*counts) for counts in alone]
    found = {
        "p": p,
        "only_arm_right": sum(counts[0] for counts in alone),
        "only_reference_right": sum(counts[1] for counts in alone),
        "median_p": float(np.median(p)) if p else None,
    }
    return found if p else found | {"reason": "no runs to pair"}


def adjust(against: Mapping[str, Mapping[str, Any]]) -> None:
    """Set `p_holm`: Holm over the arms that share a reference, for each metric.

    Args:
        against: Arm to reference to what `tests_of` returned.
    """
    for other in {other for mine in against.values() for other in mine}:
        for key in COMPARED:
            cells = [mine[other]["metrics"][key] for mine in against.values() if other in mine]
            for cell, p in zip(cells, holm([cell["p"] for cell in cells]), strict=True):
                cell["p_holm"] = p
