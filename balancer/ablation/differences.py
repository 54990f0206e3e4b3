"""Differences between an arm and a reference, paired by fold and seed, and their tests."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from balancer.ablation.arm_records import (
    Bounds,
    DeLongOfRuns,
    Difference,
    McNemarOfRuns,
    ReferenceTests,
    UndefinedDeLong,
)
from balancer.ablation.paired_bootstrap import mean_over_runs, percentile_interval
from balancer.ablation.run_scores import COMPARED, ScoredRun
from balancer.ablation.runs import ArmFacts, Floats
from balancer.statistics.delong import delong_test
from balancer.statistics.holm import holm
from balancer.statistics.mcnemar import mcnemar_exact
from balancer.statistics.resampled_t import (
    ResampledT,
    mean_by_split,
    resampled_t,
    t_on_shared_cases,
)


@dataclass(frozen=True, slots=True)
class ArmRuns:
    """An arm with its finished runs, in the order of folds and seeds.

    Attributes:
        facts: Facts of the arm.
        runs: R runs.
        draws: Draws of each run, float64 (len(COMPARED), B); see `paired_bootstrap.draw`.
    """

    facts: ArmFacts
    runs: list[ScoredRun]
    draws: list[Floats]

    @property
    def same_cases(self) -> bool:
        """Return whether all runs were tested on the same images, none of them of the splits."""
        return any(run.run.elsewhere for run in self.runs)

    def t(self, key: str, ratio: float) -> ResampledT | None:
        """Return the mean of a metric over the splits; None where no run defines it."""
        kept = [n for n, run in enumerate(self.runs) if not np.isnan(run.values[key])]
        if not kept:
            return None
        splits = [self.runs[n].run.fold for n in kept]
        means = mean_by_split(np.array([self.runs[n].values[key] for n in kept]), splits)
        if not self.same_cases:
            return resampled_t(means, ratio)
        if key not in COMPARED:  # without draws of the cases, whose variance then is not known
            return ResampledT(float(means.mean()), None, len(means))
        rows = np.stack([self.draws[n][COMPARED.index(key)] for n in kept])
        return t_on_shared_cases(means, mean_by_split(rows, splits), ratio)

    def places(self) -> dict[tuple[str, int], int]:
        """Return the position of each (fold, seed)."""
        return {(run.run.fold, run.run.seed): number for number, run in enumerate(self.runs)}


@dataclass(frozen=True, slots=True)
class PairedRuns:
    """Runs of an arm and of a reference with the same folds and seeds.

    Attributes:
        arm: Runs of the arm.
        reference: Runs of the reference, in the same order.
        draws: Draws of the arm minus those of the reference, for each pair.
        test_to_train: Test images per training image.
        same_cases: Whether all runs were tested on the same images, none of them of the splits.
    """

    arm: list[ScoredRun]
    reference: list[ScoredRun]
    draws: list[Floats]
    test_to_train: float
    same_cases: bool = False

    def differences(self, key: str) -> tuple[Floats, list[str], list[bool]]:
        """Return the defined differences, their splits, and which pairs define one."""
        values = np.array(
            [a.values[key] - b.values[key] for a, b in zip(self.arm, self.reference, strict=True)]
        )
        defined = [bool(flag) for flag in ~np.isnan(values)]
        splits = [a.run.fold for a, keep in zip(self.arm, defined, strict=True) if keep]
        return values[defined], splits, defined

    def t(self, key: str) -> ResampledT | None:
        """Return the mean difference over the splits; None where no pair defines one.

        A coarse metric can be equal on all splits by chance. No difference and no spread are
        certain only of classifiers that gave every image the same probabilities.
        """
        values, splits, defined = self.differences(key)
        if not splits:
            return None
        means = mean_by_split(values, splits)
        if self.same_cases:
            rows = [
                draws[COMPARED.index(key)]
                for draws, keep in zip(self.draws, defined, strict=True)
                if keep
            ]
            drawn = mean_by_split(np.stack(rows), splits)
            found = t_on_shared_cases(means, drawn, self.test_to_train)
        else:
            found = resampled_t(means, self.test_to_train)
        if found.se == 0 and not self._are_identical():
            return ResampledT(found.mean, None, found.k)
        return found

    def _are_identical(self) -> bool:
        return all(
            np.array_equal(a.run.test.probabilities, b.run.test.probabilities)
            for a, b in zip(self.arm, self.reference, strict=True)
        )


def paired(arm: ArmRuns, reference: ArmRuns, ratio: float) -> PairedRuns:
    """Pair runs by fold and seed; `ratio` is that of test images to training images."""
    places = reference.places()
    shared = [(i, places[unit]) for unit, i in arm.places().items() if unit in places]
    return PairedRuns(
        arm=[arm.runs[i] for i, _ in shared],
        reference=[reference.runs[j] for _, j in shared],
        draws=[arm.draws[i] - reference.draws[j] for i, j in shared],
        test_to_train=ratio,
        same_cases=arm.same_cases,
    )


def tests_of(pairs: PairedRuns, keys: Sequence[str], alpha: float) -> ReferenceTests:
    """Compute the difference in every metric, DeLong's and McNemar's tests.

    Args:
        pairs: Runs of an arm and of a reference.
        keys: Keys of the metrics.
        alpha: Level at which DeLong's tests are counted.
    """
    return ReferenceTests(
        n=len(pairs.arm),
        metrics={key: _difference(pairs, key) for key in keys},
        delong=_delong(pairs, alpha),
        mcnemar=_mcnemar(pairs),
    )


def _difference(pairs: PairedRuns, key: str) -> Difference:
    values, splits, defined = pairs.differences(key)
    t = pairs.t(key)
    if t is None:
        reason = "no run of both arms defines it" if pairs.arm else "no runs to pair"
        undefined = Bounds(low=None, high=None)
        return Difference(
            value=None, low=None, high=None, p=None, p_holm=None, bootstrap=undefined, n=0,
            reason=reason,
        )  # fmt: skip
    low, high = t.interval() or (None, None)
    rows = [
        draws[COMPARED.index(key)] for draws, keep in zip(pairs.draws, defined, strict=True) if keep
    ]
    return Difference(
        value=t.mean,
        low=low,
        high=high,
        p=t.p_two_sided(),
        p_holm=None,
        bootstrap=percentile_interval(mean_over_runs(np.stack(rows), splits)),
        n=len(values),
    )


def _delong(pairs: PairedRuns, alpha: float) -> DeLongOfRuns | UndefinedDeLong:
    """Test each pair; twice the median p is valid however the pairs depend (Rueger 1978)."""
    tests = [
        delong_test(b.scores, a.scores, a.is_positive)
        for a, b in zip(pairs.arm, pairs.reference, strict=True)
    ]
    p = [test.p for test in tests if test.p is not None]
    if not p:
        reason = next((test.reason for test in tests), "no runs to pair")
        return UndefinedDeLong(
            median_p=None,
            n_significant=None,
            combined_p=None,
            p=(None,) * len(tests),
            reason=str(reason),
        )
    median = float(np.median(p))
    return DeLongOfRuns(
        p=tuple(test.p for test in tests),
        median_p=median,
        n_significant=sum(one <= alpha for one in p),
        combined_p=min(1.0, 2 * median),
    )


def _mcnemar(pairs: PairedRuns) -> McNemarOfRuns:
    alone = [
        (int((a.right & ~b.right).sum()), int((b.right & ~a.right).sum()))
        for a, b in zip(pairs.arm, pairs.reference, strict=True)
    ]
    p = tuple(mcnemar_exact(*counts) for counts in alone)
    found = McNemarOfRuns(
        p=p,
        only_arm_right=sum(counts[0] for counts in alone),
        only_reference_right=sum(counts[1] for counts in alone),
        median_p=float(np.median(p)) if p else None,
    )
    return found if p else found.model_copy(update={"reason": "no runs to pair"})


def adjusted(
    against: Mapping[str, Mapping[str, ReferenceTests]], controls: Collection[str]
) -> dict[str, dict[str, ReferenceTests]]:
    """Return the tests with `p_holm`: Holm over the arms that share a reference, for each metric.

    Args:
        against: Arm to reference to its tests.
        controls: Names of the controls, which are a family of their own.
    """
    p_holm: dict[tuple[str, str, str], float | None] = {}
    references = {other for mine in against.values() for other in mine}
    for other, is_control in itertools.product(references, (False, True)):
        arms = [
            name
            for name, mine in against.items()
            if other in mine and (name in controls) == is_control
        ]
        keys = against[arms[0]][other].metrics if arms else ()
        for key in keys:
            p_values = holm([against[name][other].metrics[key].p for name in arms])
            p_holm |= {(name, other, key): p for name, p in zip(arms, p_values, strict=True)}
    return {
        name: {
            other: tests.model_copy(
                update={
                    "metrics": {
                        key: cell.model_copy(update={"p_holm": p_holm[name, other, key]})
                        for key, cell in tests.metrics.items()
                    }
                }
            )
            for other, tests in mine.items()
        }
        for name, mine in against.items()
    }
