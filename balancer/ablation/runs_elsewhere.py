"""The runs of a study on other data sets, and on the one that carries the verdict."""

import functools
import logging
from collections.abc import Sequence
from pathlib import Path

from balancer.ablation.design import EndedStudy
from balancer.ablation.external import (
    external_table,
    first_run_elsewhere,
    has_verdict_images,
    keep_first_predictions_elsewhere,
    run_elsewhere,
    units_elsewhere,
)
from balancer.ablation.registration import HeldStudy, is_replaced
from balancer.ablation.runs import Run
from balancer.ablation.unit import Unit
from balancer.config import BalancerConfig
from balancer.data.index import Index, RadiographTable
from balancer.errors import ConfigurationError
from balancer.evaluation.external import External, load_external
from balancer.imaging.config import ImageRecipe

log = logging.getLogger(__name__)


def read_external(
    folders: Sequence[Path], config: BalancerConfig, index: Index
) -> dict[str, External]:
    """Read other data sets, named by their folders.

    Raises:
        ConfigurationError: Two folders have one name.
        DataError: See `load_external`.
    """
    names = [folder.resolve().name for folder in folders]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigurationError(
            f"--external needs folders of different names, but {', '.join(sorted(twice))} is "
            "given twice; rename one."
        )
    return {
        name: load_external(folder, index, config.data)
        for name, folder in zip(names, folders, strict=True)
    }


def has_registered_images(held: HeldStudy) -> bool:
    """Return whether the folder given today is the one that the verdict of `main` is about."""
    registered = held.protocol.registered
    if registered is None or not held.main.registered:
        return True
    return has_verdict_images(held.main, registered.question)


def runs_of_verdict(held: HeldStudy, name: str) -> list[Run]:
    """Return the runs on the data set that carries the verdict, the first ones as registered."""
    study, registered = held.main, held.protocol.registered
    if registered is None or not study.registered:
        return runs_on(study, name)
    question = registered.question
    units = units_elsewhere(study)
    left = [unit for unit in units if first_run_elsewhere(study, unit, question) is None]
    if left:
        runs_on(study, name, left)
        for unit in left:
            keep_first_predictions_elsewhere(study, unit, question)
    found = [first_run_elsewhere(study, unit, question) for unit in units]
    return [run for run in found if run is not None]


def runs_on(study: EndedStudy, name: str, units: Sequence[Unit] | None = None) -> list[Run]:
    """Test finished units, by default those of all arms, on another data set."""
    external, workspace = study.external[name], study.workspace
    log.info("Testing on %d images of %s", len(external.records), name)

    @functools.cache
    def table_as(preprocessing: ImageRecipe) -> RadiographTable:
        return external_table(
            external,
            study.index.classes,
            workspace.root / "runs" / "external" / name,
            study.config.classifier_image_size,
            preprocessing,
        )

    if units is None:
        # The weights on disk are those of the newest training.
        units = [
            unit
            for unit in units_elsewhere(study)
            if not (study.registered and is_replaced(study, unit))
        ]
    seen = [unit.arm.preprocessing(study.index.preprocessing) for unit in units]
    return [
        run_elsewhere(workspace, unit, name, table_as(preprocessing), preprocessing)
        for unit, preprocessing in zip(units, seen, strict=True)
    ]
