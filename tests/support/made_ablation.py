"""A made-up ablation on disk: every run's predictions, compared by the real comparison."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from balancer.ablation.compare import compare
from balancer.ablation.records import AblateMetrics
from balancer.ablation.runs import ArmFacts, Question, Run
from balancer.evaluation.predictions import Predictions, write_predictions
from balancer.evaluation.records import SplitSizes, UnitMetrics
from balancer.manifest import fingerprint
from balancer.results import new_result, write_result
from balancer.workspace import Workspace
from classifier.metrics import predict_classes
from support.planted_studies import as_json

FACTS = (
    ArmFacts(name="real", kind="reference", describes="Real images as they are."),
    ArmFacts(name="oversample", kind="cheap", describes="Rare real images repeated until 2:1."),
    ArmFacts(name="class-weights", kind="cheap", describes="The loss weighs classes."),
    ArmFacts(name="gan ratio=2:1", kind="gan", describes="Images of a GAN until 2:1."),
    ArmFacts(name="gan-filtered", kind="gan", describes="Images that passed the screen."),
    ArmFacts(name="noise", kind="control", describes="Images of an untrained generator."),
    ArmFacts(
        name="held-back-real", kind="control", describes="Real images held back.", holds_back=True
    ),
)
SKILL = {"gan ratio=2:1": 0.05, "gan-filtered": 0.1, "noise": -0.3, "held-back-real": 0.5}
SHOWN = ("auroc", "balanced_accuracy", "sensitivity", "specificity")
PLAIN = ("COVID", "Normal")
HOSTILE = ("<script>alert(1)</script>", "a|b `$x$` www.evil.org", "*c*\n# d")


def made_runs(
    names: Sequence[str], arms: Sequence[ArmFacts], *, n_folds: int, n: int, seed: int = 0
) -> list[Run]:
    """Classifiers of different skill on the same cases, a few cases short of separable."""
    runs = []
    positive = 0
    for fold in range(n_folds):
        rng = np.random.default_rng((seed, fold))
        cases = rng.permutation(4 * n)[:n]
        labels = np.where(np.arange(n) < n // 5, 0, 1 + np.arange(n) % (len(names) - 1))
        base = rng.normal(0, 1, (2, n, len(names)))
        for number, arm in enumerate(arms):
            own = np.random.default_rng((seed, fold, number)).normal(0, 0.4, base.shape)
            skill = 1.6 + SKILL.get(arm.name, 0)
            logits = base + own + skill * np.eye(len(names))[labels]
            odds = np.exp(logits)
            tables = [
                Predictions(
                    image_ids=[f"{part}{fold}-{case}" for case in cases],
                    groups=[f"patient-{case // 2}" for case in cases],
                    labels=labels,
                    probabilities=odds[part] / odds[part].sum(axis=1, keepdims=True),
                    class_names=list(names),
                )
                for part in range(2)
            ]
            prior = np.ones(len(names)) / len(names)
            runs.append(
                Run(
                    arm=arm.name,
                    fold=f"split-{fold}",
                    seed=0,
                    positive=positive,
                    threshold=0.4 if len(names) == 2 else None,
                    training_prior=prior,
                    n_outside=5 * n,
                    seconds=60.0 + 30 * number,
                    test=tables[0],
                    validation=tables[1],
                )
            )
    return runs


def made_metrics(
    runs: Sequence[Run], arms: Sequence[ArmFacts], *, caps: Sequence[str] = (), extras: bool = True
) -> dict[str, Any]:
    """Return the metrics of `compare`, with the additions of the stage."""
    names = runs[0].test.class_names
    prior = np.array([0.2, *[0.8 / (len(names) - 1)] * (len(names) - 1)])
    question = Question(
        primary="auroc", margin=0.01, alpha=0.05, specificity=0.95, deployment_prior=prior,
        n_bootstrap=100, seed=0,
    )  # fmt: skip
    metrics: dict[str, Any] = as_json(compare(runs, arms, question, caps=caps))
    return metrics | (_extras(names, arms, len({run.fold for run in runs})) if extras else {})


def write_ablation(
    workspace: Workspace,
    index_hash: str,
    *,
    names: Sequence[str] = PLAIN,
    arms: Sequence[ArmFacts] = FACTS,
    n_folds: int = 5,
    n: int = 120,
    caps: Sequence[str] = (),
    extras: bool = True,
    idle: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the runs and the published result; returns its metrics."""
    runs = [run for run in made_runs(names, arms, n_folds=n_folds, n=n) if run.arm not in idle]
    for run in runs:
        slug = run.arm.replace(" ", "_").replace(":", "to").replace("=", "-")
        _write_unit(run, workspace.unit_dir(run.fold, run.seed, slug))
    metrics = made_metrics(runs, arms, caps=caps, extras=extras)
    workspace.ablation_dir.mkdir(parents=True)
    settings = {
        "seed": 0,
        "data": {"root": "/home/somebody/films"},
        "image_size": 64,
        "classifier": {"model": "lite0", "weights": "auto", "input_size": 64},
    }
    write_result(
        workspace.ablation_dir,
        new_result(
            "ablate",
            settings=settings,
            inputs={"index": index_hash},
            seconds=1.0,
            metrics=AblateMetrics.model_validate(metrics),
        ),
    )
    return metrics


def _write_unit(run: Run, folder: Path) -> None:
    folder.mkdir(parents=True)
    written = {}
    for name, table in (("test", run.test), ("validation", run.validation)):
        predicted = predict_classes(
            table.probabilities, positive=run.positive, threshold=run.threshold
        )
        write_predictions(folder / f"{name}.csv", table, predicted)
        written[name] = fingerprint((folder / f"{name}.csv").read_bytes())
    metrics = UnitMetrics(
        arm=run.arm,
        n_steps=190,
        best_epoch=1,
        training_prior=run.training_prior.tolist(),
        training_images={},
        threshold=run.threshold,
        n=SplitSizes(
            all=run.n_outside + len(run.test.labels),
            val=len(run.validation.labels),
            test=len(run.test.labels),
        ),
        **written,
    )
    result = new_result(
        "ablate", settings={"arm": {"name": run.arm}}, inputs={}, seconds=1.0, metrics=metrics
    )
    write_result(folder, result)


def _extras(names: Sequence[str], arms: Sequence[ArmFacts], n_folds: int) -> dict[str, Any]:
    before = {name: 60 if place == 0 else 240 for place, name in enumerate(names)}
    added = {arm.name: arm.kind != "reference" and arm.name != "class-weights" for arm in arms}
    return {
        "design": {
            "resampling": "splits", "repeats": n_folds, "folds": None, "seeds": 1,
            "n_runs": n_folds, "n_train": 600, "n_val": 120, "n_test": 120, "test_to_train": 0.2,
            "held_back": {names[0]: 26}, "model": "lite0", "image_size": 64, "input_size": 64,
            "n_steps": 190, "batch_size": 32, "before": before,
            "after": {
                name: before | ({names[0]: 120} if grows else {}) for name, grows in added.items()
            },
            "training_images": {
                name: {
                    label: {"real": n, "added": 60 if grows and label == names[0] else 0}
                    for label, n in before.items()
                }
                for name, grows in added.items()
            },
        },
        "failed": [{"arm": "noise", "fold": "split-9", "seed": 0, "reason": "it | diverged"}],
        "ledger": {
            "reads": 7 * n_folds, "runs": 7 * n_folds,
            "most_reads_of_a_case_per_arm_and_seed": 1, "read_again": {},
            "sentence": "Each test case once per classifier.",
        },
        "quality": {
            "split-0": {names[0]: {"passed": False, "failures": ["shortcut"]}},
            "split-1": {names[0]: {"passed": None, "failures": []}},
        },
        "probes": [
            {
                "probe": "border-only", "describes": "The rim.", "predicts": "class",
                "shortcut": True, "auroc": {"value": 0.71, "low": 0.66, "high": 0.77},
                "balanced_accuracy": {"value": 0.64, "low": 0.6, "high": 0.7}, "n_folds": n_folds,
            },
            {
                "probe": "lungs-only", "describes": "The lungs alone.", "predicts": "class",
                "shortcut": False, "reason": "no lung masks were given",
            },
        ],
        "sources": {
            "tested": {
                "clinic | A": {
                    "n": dict.fromkeys(names, 12),
                    "arms": {
                        arm.name: {"metrics": {key: level(0.7) for key in SHOWN}, "n_runs": 1}
                        for arm in arms
                    },
                }
            },
            "reasons": {"clinic B": "it is the only known source of a class"},
        },
        "external": {
            "elsewhere": {
                "classes": dict.fromkeys(names, 30),
                "n_images": 30 * len(names), "n_groups": 30 * len(names),
                "dropped": {"also in the training images": 2}, "unusable": 0, "copies": 0,
                "arms": {
                    arm.name: {
                        "metrics": {key: level(0.8) for key in SHOWN},
                        "n_runs": n_folds,
                        "difference_to_real": {key: level(0.01) for key in SHOWN},
                    }
                    for arm in arms
                },
            }
        },
    }  # fmt: skip


def level(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


def read_json(path: Path) -> Any:
    """Strict JSON: neither NaN nor infinity."""

    def refuse(word: str) -> None:
        raise ValueError(f"{path} holds {word}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
