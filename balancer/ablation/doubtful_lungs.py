"""Films whose lungs were found with doubt: counted, and every view tested without them too."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from balancer.ablation.run_scores import score_run
from balancer.ablation.runs import Question, Run
from balancer.ablation.same_images import compare_on_same_images
from balancer.ablation.travel_records import DoubtfulLungs
from balancer.data.index import Index
from balancer.evaluation.external import External
from balancer.evaluation.records import Scalar
from balancer.imaging.config import ImageRecipe
from balancer.manifest import ImageRecord
from balancer.shortcuts.lungs import FINEST, doubtful_rows
from balancer.statistics.resampled_t import mean_by_split, resampled_t

HOME = "home"


def doubtful_at_home(index: Index, cache: Path | None) -> frozenset[str]:
    """Return the images of an index whose lungs are found with doubt; those with masks are not."""
    given = {one.image_id for one in index.details() if one.mask}
    whole = index.prepared_as(ImageRecipe()).image_set(FINEST)
    return _doubtful(whole.records, given, doubtful_rows(whole.pixels, cache))


def doubtful_elsewhere(external: External, directory: Path, cache: Path | None) -> frozenset[str]:
    """Return such images of another data set.

    Args:
        external: The data set.
        directory: Folder of its cache of pixels.
        cache: Folder of found lungs.
    """
    given = {record.image_id for record in external.records if record.path in external.masks}
    whole = external.image_set(directory, FINEST)
    return _doubtful(whole.records, given, doubtful_rows(whole.pixels, cache))


def _doubtful(
    records: Sequence[ImageRecord], given: set[str], doubtful: np.ndarray
) -> frozenset[str]:
    ids = [record.image_id for record, flag in zip(records, doubtful, strict=True) if flag]
    return frozenset(ids) - given


def count_and_leave_out(
    records: Sequence[ImageRecord],
    doubtful: frozenset[str],
    runs: Sequence[Run],
    question: Question,
) -> DoubtfulLungs:
    """Count films with doubtful lungs, and score all runs without them.

    Args:
        records: All films of the place.
        doubtful: Ids of those with doubtful lungs.
        runs: Runs of all arms on films of the place.
        question: The question.
    """
    labels = [record.label for record in records if record.image_id in doubtful]
    found = DoubtfulLungs(
        n={label: labels.count(label) for label in sorted({one.label for one in records})},
        of=len(records),
    )
    if not labels or not runs:
        return found
    others = [_without(run, doubtful) for run in runs]
    if runs[0].elsewhere:
        arms = compare_on_same_images(others, question)
        scores = {name: arm.metrics[question.primary] for name, arm in arms.items()}
    else:
        scores = _means(others, question)
    return found.model_copy(update={"without": scores})


def _without(run: Run, left_out: frozenset[str]) -> Run:
    rows = [row for row, one in enumerate(run.test.image_ids) if one not in left_out]
    return replace(run, test=run.test.take(rows))


def _means(runs: Sequence[Run], question: Question) -> dict[str, Scalar]:
    """Return the mean of the primary metric over the splits of each arm."""
    ratio = float(np.mean([run.test_to_train for run in runs]))
    found = {}
    for arm in dict.fromkeys(run.arm for run in runs):
        mine = [run for run in runs if run.arm == arm]
        values = np.array([score_run(run, question).values[question.primary] for run in mine])
        kept = ~np.isnan(values)
        if not kept.any():
            reason = "no test split holds enough films with certain lungs"
            found[arm] = Scalar(value=None, low=None, high=None, reason=reason)
            continue
        folds = [run.fold for run, keep in zip(mine, kept, strict=True) if keep]
        t = resampled_t(mean_by_split(values[kept], folds), ratio)
        low, high = (t.interval() if t.se else None) or (None, None)
        found[arm] = Scalar(value=t.mean, low=low, high=high)
    return found
