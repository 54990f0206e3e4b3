"""How the arms do on a source that no training or validation image is from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from balancer.ablation.runs import Run
from classifier.metrics import evaluate

_SHOWN = ("auroc", "balanced_accuracy", "sensitivity", "specificity")


def compare_sources(
    runs: Sequence[Run],
    fold_of: Mapping[str, str],
    reasons: Mapping[str, str],
    *,
    n_bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    """Tabulate tests on left-out sources.

    Args:
        runs: Those of the folds that leave a source out.
        fold_of: Source to fold.
        reasons: Why other sources were not left out.
        n_bootstrap: Resamples of the groups behind each interval.
        seed: Of the resampling.

    Returns:
        `tested`: source to `n` and, per arm, metrics as `{"value", "low", "high"}`, means over the
        seeds of the arm with the interval of the first one's test images; `reasons`.
    """
    tested: dict[str, Any] = {}
    for source, fold in fold_of.items():
        mine = [run for run in runs if run.fold == fold]
        if not mine:
            continue
        labels = mine[0].test.labels
        names = mine[0].test.class_names
        counts = np.bincount(labels, minlength=len(names))
        tested[source] = {
            "n": {name: int(count) for name, count in zip(names, counts, strict=True)},
            "arms": {
                arm: _metrics([run for run in mine if run.arm == arm], n_bootstrap, seed)
                for arm in dict.fromkeys(run.arm for run in mine)
            },
        }
    return {"tested": tested, "reasons": dict(reasons)}


def _metrics(runs: Sequence[Run], n_bootstrap: int, seed: int) -> dict[str, Any]:
    found = [
        evaluate(
            run.test.probabilities,
            run.test.labels,
            class_names=run.test.class_names,
            positive=run.positive,
            threshold=run.threshold,
            groups=run.test.groups,
            n_bootstrap=n_bootstrap,
            seed=seed,
        )
        for run in runs
    ]
    table = {}
    for key in _SHOWN:
        values = [metrics[key]["value"] for metrics in found]
        table[key] = dict(found[0][key])
        if None not in values:
            table[key]["value"] = round(float(np.mean(values)), 6)
    return table
