"""Studies whose truth is known: scores made up for each case, arm and run."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from balancer.ablation.runs import ArmFacts, Question, Run
from balancer.evaluation.predictions import Predictions
from balancer.results import Record

KINDS = {"real": "reference", "noise": "control", "held-back-real": "control"}
QUESTION = Question(
    primary="auroc",
    margin=0.01,
    alpha=0.05,
    specificity=0.9,
    deployment_prior=np.array([0.8, 0.2]),
    n_bootstrap=20,
    seed=0,
)


def as_json(record: Record) -> Any:
    """The record as `result.json` holds it."""
    return record.model_dump(mode="json", exclude_unset=True)


def correlated(
    rng: np.random.Generator, k: int, ratio: float, *, arms: int = 1, times: int = 1
) -> np.ndarray:
    """Differences of runs as Nadeau and Bengio take them: float (times, arms, k), variance 1.

    All k of an arm share one part, which makes every two correlate by n_test / (n_test + n_train).
    """
    rho = ratio / (1 + ratio)
    common = rng.normal(size=(times, arms, 1)) * np.sqrt(rho)
    return common + rng.normal(size=(times, arms, k)) * np.sqrt(1 - rho)


def facts(*names: str) -> list[ArmFacts]:
    return [
        ArmFacts(
            name=name,
            kind=KINDS.get(name, "gan" if name.startswith("gan") else "cheap"),  # type: ignore[arg-type]
            describes=f"The arm {name}.",
            holds_back=name == "held-back-real",
        )
        for name in names
    ]


def study(
    rng: np.random.Generator,
    effects: Mapping[str, float],
    *,
    n_groups: int = 120,
    n_splits: int = 6,
    seeds: int = 1,
    signal: float = 1.5,
    own_sd: float = 1.0,
    run_sd: float = 0.2,
    n_validation: int | None = None,
    permute_labels: bool = False,
) -> list[Run]:
    """Runs of every arm on repeated splits, two cases to a group, a fifth of each split for test.

    An arm's scores are what all arms see of a case, plus what this arm alone sees of it on every
    split (half of it shared by the group), plus noise of the run. Two arms of equal effect are
    therefore exchangeable: neither is better where cases and runs are many.

    Args:
        rng: Draws everything.
        effects: Arm to how much farther it moves the scores of the two classes apart.
        n_groups: A quarter of them positive.
        n_splits: Random splits.
        seeds: Runs on each split.
        signal: Distance between the classes.
        own_sd: Spread of what an arm alone sees.
        run_sd: Spread of the noise.
        n_validation: Groups for validation; a tenth where not said.
        permute_labels: Give the labels to other groups when the scores are made.
    """
    n = 2 * n_groups
    group = np.arange(n) // 2
    labels = (group % 4 == 0).astype(np.int64)
    shared = rng.normal(size=n) + signal * labels
    spread = own_sd * np.sqrt(0.5)
    own = {
        arm: spread * (rng.normal(size=n_groups)[group] + rng.normal(size=n)) + effect * labels
        for arm, effect in effects.items()
    }
    if permute_labels:
        labels = labels[2 * rng.permutation(n_groups)[group]]
    ids = np.array([f"image{number}" for number in range(n)])
    names = np.array([f"group{number}" for number in group])
    runs = []
    for split in range(n_splits):
        order = rng.permutation(n_groups)
        fifth, tenth = n_groups // 5, n_validation or n_groups // 10
        test, validation = (
            np.flatnonzero(np.isin(group, chosen))
            for chosen in (order[:fifth], order[fifth : fifth + tenth])
        )
        for seed in range(seeds):
            for arm, seen in own.items():
                scores = shared + seen + rng.normal(0, run_sd, n) - signal
                positive = 1 / (1 + np.exp(-scores))
                both = np.stack([1 - positive, positive], 1)
                parts = [
                    Predictions(
                        image_ids=ids[rows].tolist(),
                        groups=names[rows].tolist(),
                        labels=labels[rows],
                        probabilities=both[rows],
                        class_names=["Normal", "COVID"],
                    )
                    for rows in (test, validation)
                ]
                runs.append(
                    Run(
                        arm=arm,
                        fold=f"split-{split:02d}",
                        seed=seed,
                        positive=1,
                        threshold=0.5,
                        training_prior=np.array([0.75, 0.25]),
                        n_outside=n - len(test),
                        seconds=60.0 + len(arm),
                        test=parts[0],
                        validation=parts[1],
                    )
                )
    return runs


def changed(run: Run, rows: np.ndarray) -> Run:
    """The run with only these test images, in this order."""
    test = run.test
    return replace(
        run,
        test=Predictions(
            image_ids=[test.image_ids[row] for row in rows],
            groups=[test.groups[row] for row in rows],
            labels=test.labels[rows],
            probabilities=test.probabilities[rows],
            class_names=test.class_names,
        ),
    )
