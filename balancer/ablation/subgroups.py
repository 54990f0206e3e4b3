"""The primary metric in subgroups of the test images that tables and labels name."""

import logging
import re
from collections.abc import Mapping, Sequence

import numpy as np

from balancer.ablation.differences import ArmRuns, PairedRuns
from balancer.ablation.records import Subgroup, SubgroupArm
from balancer.ablation.run_scores import COMPARED, ScoredRun
from balancer.ablation.runs import REAL
from balancer.data.index import Index
from balancer.data.metadata import FINDING, SUBGROUP_COLUMNS
from balancer.errors import ConfigurationError
from balancer.evaluation.records import Scalar
from balancer.statistics.resampled_t import mean_by_split, resampled_t

log = logging.getLogger(__name__)

AGE = "age"
UNKNOWN_VALUE = "not known"
_BANDS = ((18, "under 18"), (40, "18 to 39"), (65, "40 to 64"), (200, "65 and older"))
_AGE = re.compile(r"0*(\d{1,3})(?:\.\d*)?\s*[Yy]?$")
_MOST_VALUES = 12
"""More values than this are no subgroups but a column of names or numbers."""


def value_of(column: str, cell: str) -> str:
    """Return the subgroup of a cell: the band of an age, else the text itself."""
    if not cell:
        return UNKNOWN_VALUE
    if column != AGE:
        return cell
    match = _AGE.match(cell)
    if match is None:
        return UNKNOWN_VALUE
    return next((name for end, name in _BANDS if int(match[1]) < end), UNKNOWN_VALUE)


def subgroup_columns(index: Index, wanted: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the columns of `details.csv` that name subgroups: column to image to cell.

    Args:
        index: The index.
        wanted: Columns of the configuration, which must exist.

    Raises:
        ConfigurationError: The index lacks one.
    """
    details = index.details()
    known = dict.fromkeys(name for one in details for name in one.columns)
    for name in wanted:
        if name not in known:
            raise ConfigurationError(
                f"evaluation.subgroups names {name!r}, but the index has only "
                f"{', '.join(known) or 'no such columns'}; add it to the table of the images and "
                "run `balancer prepare --force` with this setting."
            )
    return {
        name: {one.image_id: one.columns.get(name, "") for one in details}
        for name in known
        if name in (*SUBGROUP_COLUMNS, *wanted) or name.startswith(FINDING)
    }


def subgroups(
    arms: Mapping[str, ArmRuns],
    pairs: Mapping[str, Mapping[str, PairedRuns]],
    columns: Mapping[str, Mapping[str, str]],
    primary: str,
    ratio: float,
) -> tuple[Subgroup, ...]:
    """Compute the primary metric of every arm in every subgroup.

    Args:
        arms: Finished runs of each arm.
        pairs: Arm to reference to the paired runs.
        columns: Column to image to its cell. A finding that images of one class alone have is no
            subgroup: the metric is not defined on it.
        primary: Key of the metric.
        ratio: Test images per image outside the test split.
    """
    tested: dict[str, str] = {}
    names = next(run.run.test.class_names for arm in arms.values() for run in arm.runs)
    for arm in arms.values():
        for run in arm.runs:
            labels = run.run.test.labels
            tested |= {one: names[c] for one, c in zip(run.run.test.image_ids, labels, strict=True)}
    found = []
    for column, cells in columns.items():
        group_of = {one: value_of(column, cells.get(one, "")) for one in tested}
        values = _ordered(set(group_of.values()))
        if len(values) > _MOST_VALUES:
            log.warning("%s has %d values, too many for subgroups.", column, len(values))
            continue
        having = {tested[one] for one, own in group_of.items() if own == "yes"}
        if column.startswith(FINDING) and len(having) < 2:
            continue
        for value in values:
            members = {one for one, own in group_of.items() if own == value}
            found.append(
                Subgroup(
                    column=column,
                    value=value,
                    n={name: sum(tested[one] == name for one in members) for name in names},
                    arms={
                        name: _of_arm(arm, pairs[name].get(REAL), members, primary, ratio)
                        for name, arm in arms.items()
                    },
                )
            )
    return tuple(found)


def _ordered(values: set[str]) -> list[str]:
    bands = [name for _, name in _BANDS]
    return sorted(
        values,
        key=lambda value: (
            value == UNKNOWN_VALUE,
            bands.index(value) if value in bands else 0,
            value,
        ),
    )


def _of_arm(
    arm: ArmRuns, to_real: PairedRuns | None, members: set[str], primary: str, ratio: float
) -> SubgroupArm:
    place = COMPARED.index(primary)
    own = {id(run): _value(run, members, place) for run in arm.runs}
    level = _scalar(list(own.values()), [run.run.fold for run in arm.runs], ratio)
    if to_real is None:
        return SubgroupArm(level=level)
    differences = [
        own[id(a)] - _value(b, members, place)
        for a, b in zip(to_real.arm, to_real.reference, strict=True)
    ]
    folds = [run.run.fold for run in to_real.arm]
    return SubgroupArm(level=level, difference_to_real=_scalar(differences, folds, ratio))


def _value(run: ScoredRun, members: set[str], place: int) -> float:
    weights = np.array([[one in members for one in run.run.test.image_ids]], np.float64)
    return float(run.weighted(weights)[place, 0])


def _scalar(values: Sequence[float], folds: Sequence[str], ratio: float) -> Scalar:
    kept = [number for number, value in enumerate(values) if not np.isnan(value)]
    if not kept:
        reason = "no test split holds enough images of the subgroup"
        return Scalar(value=None, low=None, high=None, reason=reason)
    means = mean_by_split(np.array([values[n] for n in kept]), [folds[n] for n in kept])
    t = resampled_t(means, ratio)
    low, high = (t.interval() if t.se else None) or (None, None)
    return Scalar(value=t.mean, low=low, high=high)
