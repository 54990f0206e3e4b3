"""One arm on one fold with one seed: a classifier trained and tested once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from balancer.ablation.costs import seconds_of_images
from balancer.ablation.families.arm import Arm, FoldData
from balancer.ablation.folds import derived_seed
from balancer.ablation.protocol import newest_hash
from balancer.ablation.runs import Run
from balancer.ablation.training_set import TrainingSet, training_set
from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.errors import IntegrityError
from balancer.evaluation.fit_and_test import Reader, fit_and_test
from balancer.evaluation.predictions import (
    Predictions,
    read_predictions,
    write_predictions,
)
from balancer.evaluation.records import ImagesOfClass, SplitSizes, UnitMetrics
from balancer.manifest import fingerprint
from balancer.results import StageResult, perform, read_result, standing_result
from balancer.workspace import Workspace
from classifier.data import Pretraining
from classifier.losses import training_prior
from classifier.metrics import predict_classes

TEST, VALIDATION = "test", "validation"
_STAGE = "ablate"


@dataclass(frozen=True, slots=True)
class Unit:
    """One training of the plan.

    Attributes:
        arm: Arm of the classifier.
        fold: Name of the split.
        number: Position of the split in the plan.
        seed: Number of the training seed, from 0.
        positive: The positive class.
    """

    arm: Arm
    fold: str
    number: int
    seed: int
    positive: str

    @property
    def name(self) -> str:
        """Name for readers."""
        return f"{self.arm.name}, {self.fold}, seed {self.seed}"


def train_unit(
    config: BalancerConfig, workspace: Workspace, unit: Unit, *, force: bool = False
) -> StageResult[UnitMetrics]:
    """Train and test one classifier, unless its result is up to date.

    All arms of a fold and seed share the split, the order's seed, the network's first weights and
    the number of optimizer steps.

    Raises:
        ConfigurationError: The existing result has other settings, and `force` is off.
        DataError: The fold lacks images that the arm needs.
        IntegrityError: Images or generators of the fold were changed or leak.
        EnvironmentFault: Training diverged.
    """
    place = workspace.fold(unit.fold)
    index = unit.arm.seen(load_index(place.index_dir))
    directory = workspace.unit_dir(unit.fold, unit.seed, unit.arm.slug)
    settings = unit_settings(config, unit)
    inputs = {"index": index.index_hash, "images": unit.arm.images_hash(place, index)}
    standing = standing_result(
        directory, UnitMetrics, settings=settings, inputs=inputs, force=force, announce=False
    )
    if standing is not None:
        return standing
    seed = derived_seed(config.seed, unit.number, unit.seed, 2)
    real = index.image_set(config.classifier_image_size)
    fold = FoldData(place=place, index=index, real=real, config=config, seed=seed)
    material = training_set(unit.arm, fold)

    def work(folder: Path) -> UnitMetrics:
        return _train_and_test(config, workspace, index, unit, material, seed, folder)

    return perform(_STAGE, workspace, directory, settings=settings, inputs=inputs, work=work)


def standing_unit(workspace: Workspace, unit: Unit) -> StageResult[UnitMetrics] | None:
    """Return the result of a unit, regardless of its settings; None if there is none."""
    return read_result(workspace.unit_dir(unit.fold, unit.seed, unit.arm.slug), UnitMetrics)


def read_run(workspace: Workspace, unit: Unit, *, registered: bool = False) -> Run:
    """Read a finished unit for the comparison.

    Args:
        workspace: The main workspace.
        unit: The unit.
        registered: Read its first predictions as registered, in place of the newest.

    Raises:
        IntegrityError: Its predictions are missing or were changed.
    """
    place = workspace.registered_dir if registered else workspace.unit_dir
    directory = place(unit.fold, unit.seed, unit.arm.slug)
    result = read_result(directory, UnitMetrics)
    if result is None:
        raise IntegrityError(
            f"{directory} should hold a finished run, but is missing; run `balancer ablate` again."
        )
    metrics = result.metrics
    if metrics.training_prior is None:
        raise IntegrityError(
            f"{directory} should note the class shares of its training, but was made by an early "
            "version; run `balancer ablate --force`."
        )
    tables = {
        TEST: _predictions(directory / f"{TEST}.csv", metrics.test),
        VALIDATION: _predictions(directory / f"{VALIDATION}.csv", metrics.validation),
    }
    names = tables[TEST].class_names
    return Run(
        arm=unit.arm.name,
        fold=unit.fold,
        seed=unit.seed,
        positive=names.index(unit.positive),
        threshold=metrics.threshold,
        training_prior=np.array(metrics.training_prior, np.float64),
        n_outside=metrics.n.all - len(tables[TEST].labels),
        seconds=result.seconds,
        test=tables[TEST],
        validation=tables[VALIDATION],
        seconds_of_images=seconds_of_images(workspace.fold(unit.fold), unit.arm),
    )


def _predictions(path: Path, expected: str) -> Predictions:
    if not path.is_file() or fingerprint(path.read_bytes()) != expected:
        raise IntegrityError(
            f"{path} is missing or was changed after the run; remove its folder and run "
            "`balancer ablate` again."
        )
    return read_predictions(path)


def unit_settings(config: BalancerConfig, unit: Unit) -> dict[str, Any]:
    """Return the settings that a unit depends on, JSON types."""
    screen = {
        "reasons": config.synthesis.screen,
        "max_attempts": config.synthesis.max_attempts,
        "gate": config.gate.model_dump(mode="json"),
    }
    return {
        "seed": config.seed,
        "fold": unit.number,
        "arm": {"name": unit.arm.name, "family": unit.arm.family, **unit.arm.options},
        "image_size": config.classifier_image_size,
        "positive_class": unit.positive,
        "classifier": config.classifier.model_dump(mode="json"),
        "gan": config.gan.model_dump(mode="json") if unit.arm.uses_gan else None,
        "screen": screen if unit.arm.is_screened else None,
        "precision": config.hardware.precision,
    }


def _train_and_test(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    unit: Unit,
    material: TrainingSet,
    seed: int,
    folder: Path,
) -> UnitMetrics:
    positive = index.classes.index(unit.positive)
    pretrain = None
    if material.before is not None:
        pretrain = Pretraining(material.before, material.share_before)
    outcome = fit_and_test(
        config,
        index,
        material.train,
        recipe=material.recipe,
        positive=positive,
        seed=seed,
        reader=Reader(
            workspace.ledger_dir,
            unit.fold,
            unit.seed,
            unit.arm.name,
            protocol=newest_hash(workspace),
        ),
        folder=folder,
        notes={"added": dict(material.n_added)},
        pretrain=pretrain,
    )
    for name, predictions in ((TEST, outcome.test), (VALIDATION, outcome.validation)):
        predicted = predict_classes(
            predictions.probabilities, positive=positive, threshold=outcome.threshold
        )
        write_predictions(folder / f"{name}.csv", predictions, predicted)
    if not config.ablation.keep_models:
        for path in folder.glob("classifier.*"):
            path.unlink()
    labels = np.bincount(material.train.labels, minlength=len(index.classes))
    rarest = index.classes.index(index.positive_class(None))
    return UnitMetrics(
        arm=unit.arm.name,
        n_steps=outcome.fit.n_steps,
        best_epoch=outcome.fit.best_epoch,
        training_prior=training_prior(material.recipe, labels, rarest=rarest).tolist(),
        training_images={
            label: ImagesOfClass(real=count, added=material.n_added.get(label, 0))
            for label, count in index.counts("train").items()
        },
        threshold=outcome.threshold,
        n=SplitSizes(
            all=len(index.records),
            val=len(outcome.validation.labels),
            test=len(outcome.test.labels),
        ),
        test=fingerprint((folder / f"{TEST}.csv").read_bytes()),
        validation=fingerprint((folder / f"{VALIDATION}.csv").read_bytes()),
    )
