"""How the arms do on a source that no training or validation image is from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from balancer.ablation.runs import Question, Run
from balancer.ablation.same_images import compare_on_same_images


def compare_sources(
    runs: Sequence[Run], question: Question, fold_of: Mapping[str, str], reasons: Mapping[str, str]
) -> dict[str, Any]:
    """Tabulate tests on left-out sources.

    Args:
        runs: Of all folds; those that leave a source out are used.
        question: What is asked.
        fold_of: Source to fold.
        reasons: Why other sources were not left out.

    Returns:
        `tested`: source to `n` of each class and what `compare_on_same_images` gives of its runs;
        `reasons`.
    """
    tested: dict[str, Any] = {}
    for source, fold in fold_of.items():
        mine = [run for run in runs if run.fold == fold]
        if mine:
            names = mine[0].test.class_names
            counts = np.bincount(mine[0].test.labels, minlength=len(names))
            n = {name: int(count) for name, count in zip(names, counts, strict=True)}
            tested[source] = {"n": n} | compare_on_same_images(mine, question)
    return {"tested": tested, "reasons": dict(reasons)}
