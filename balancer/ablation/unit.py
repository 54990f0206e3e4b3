"""One arm on one fold with one seed: trained, its threshold chosen, its test images read once."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import classifier
from balancer.ablation.arms import Arm
from balancer.ablation.folds import derived_seed
from balancer.ablation.made import images_hash, maker_of
from balancer.ablation.material import Material, prepare_material
from balancer.ablation.runs import Run
from balancer.config import BalancerConfig
from balancer.data.index import Index, RadiographTable, evaluation_table, load_index
from balancer.errors import ConfigurationError, Diverged, IntegrityError
from balancer.evaluation.ledger import fingerprint_of_images, note_read
from balancer.evaluation.predictions import (
    Predictions,
    predictions_for,
    read_predictions,
    write_predictions,
)
from balancer.imaging.preprocess import recorded
from balancer.manifest import fingerprint
from balancer.resources import training_hardware
from balancer.results import UntypedResult, perform, read_result, standing_result
from balancer.workspace import Workspace
from classifier.checkpoint import LoadedClassifier
from classifier.data import Pretraining
from classifier.decision import choose_threshold
from classifier.losses import training_prior
from classifier.metrics import predict_classes
from classifier.module import ClassifierDiverged

log = logging.getLogger(__name__)

TEST, VALIDATION = "test", "validation"
_STAGE = "ablate"


@dataclass(frozen=True, slots=True)
class Unit:
    """What is trained, and its place in the plan.

    Attributes:
        arm: How.
        fold: Name of the split.
        number: Place of the split in the plan.
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
        """For readers."""
        return f"{self.arm.name}, {self.fold}, seed {self.seed}"


def train_unit(
    config: BalancerConfig, workspace: Workspace, unit: Unit, *, force: bool = False
) -> UntypedResult:
    """Train and test one classifier, unless it stands already.

    All arms of a fold and seed share the split, the order's seed, the network's first weights and
    the number of optimizer steps.

    Raises:
        ConfigurationError: What stands there was made with other settings, without `force`.
        DataError: The fold has not the images that the arm wants.
        IntegrityError: Images or generators of the fold were changed or leak.
        EnvironmentFault: Training diverged.
    """
    place = workspace.fold(unit.fold)
    index = load_index(place.index_dir)
    directory = workspace.unit_dir(unit.fold, unit.seed, unit.arm.slug)
    settings = _settings(config, unit)
    inputs = {"index": index.index_hash, "images": images_hash(unit.arm, place, index)}
    standing = standing_result(
        directory, settings=settings, inputs=inputs, force=force, announce=False
    )
    if standing is not None:
        return standing
    seed = derived_seed(config.seed, unit.number, unit.seed, 2)
    real = index.image_set(config.classifier_image_size)
    make = maker_of(unit.arm, place, index, real, config, seed=seed)
    material = prepare_material(
        unit.arm, index, real, config.classifier, make=make, seed=derived_seed(seed, 1)
    )

    def work(folder: Path) -> dict[str, Any]:
        trained = _train(config, index, material, seed, folder)
        return (
            {"arm": unit.arm.name}
            | trained
            | _test(config, workspace, index, unit, material, folder)
        )

    return perform(_STAGE, workspace, directory, settings=settings, inputs=inputs, work=work)


def standing_unit(workspace: Workspace, unit: Unit) -> UntypedResult | None:
    """The finished record of a unit, whatever its settings; None where there is none."""
    return read_result(workspace.unit_dir(unit.fold, unit.seed, unit.arm.slug))


def read_run(workspace: Workspace, unit: Unit) -> Run:
    """Read a finished unit for the comparison.

    Raises:
        IntegrityError: Its predictions are missing or were changed.
    """
    directory = workspace.unit_dir(unit.fold, unit.seed, unit.arm.slug)
    result = read_result(directory)
    if result is None:
        raise IntegrityError(
            f"{directory} should hold a finished run, but is missing; run `balancer ablate` again."
        )
    tables = {name: _predictions(directory, name, result) for name in (TEST, VALIDATION)}
    names = tables[TEST].class_names
    return Run(
        arm=unit.arm.name,
        fold=unit.fold,
        seed=unit.seed,
        positive=names.index(unit.positive),
        threshold=result.metrics["threshold"],
        training_prior=np.array(result.metrics["training_prior"], np.float64),
        n_outside=result.metrics["n"]["all"] - len(tables[TEST].labels),
        seconds=result.seconds,
        test=tables[TEST],
        validation=tables[VALIDATION],
    )


def _predictions(directory: Path, name: str, result: UntypedResult) -> Predictions:
    path = directory / f"{name}.csv"
    if not path.is_file() or fingerprint(path.read_bytes()) != result.metrics[name]:
        raise IntegrityError(
            f"{path} is missing or was changed after the run; remove its folder and run "
            "`balancer ablate` again."
        )
    return read_predictions(path)


def _settings(config: BalancerConfig, unit: Unit) -> dict[str, Any]:
    needs_gan = unit.arm.makes is not None or unit.arm.family == "noise"
    screened = unit.arm.family == "gan-filtered"
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
        "gan": config.gan.model_dump(mode="json") if needs_gan else None,
        "screen": screen if screened else None,
        "precision": config.hardware.precision,
    }


def _train(
    config: BalancerConfig, index: Index, material: Material, seed: int, folder: Path
) -> dict[str, Any]:
    validation = evaluation_table(
        index.image_set(config.classifier_image_size), index.classes, "val"
    )
    counts = index.counts("train")
    n_real = sum(counts.values())
    plan = classifier.plan_steps(config.classifier, n_real)
    rarest = index.classes.index(index.positive_class(None))
    before = None
    if material.before is not None:
        before = Pretraining(material.before, material.share_before)
    try:
        trained = classifier.train(
            material.train,
            validation,
            material.recipe,
            class_names=list(index.classes),
            n_steps=plan.n_steps,
            steps_per_epoch=plan.steps_per_epoch,
            seed=seed,
            out_dir=folder,
            hardware=training_hardware(config.hardware),
            provenance={
                "index_hash": index.index_hash,
                "preprocessing": recorded(index.preprocessing),
                "image_size": config.classifier_image_size,
                "added": dict(material.n_added),
            },
            pretrain=before,
            rarest=rarest,
        )
    except ClassifierDiverged as error:
        raise Diverged(f"Training the classifier diverged: {error}") from error
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    seen = np.bincount(material.train.labels, minlength=len(index.classes))
    return {
        "n_steps": trained.n_steps,
        "best_epoch": trained.best_epoch,
        "training_prior": training_prior(material.recipe, seen, rarest=rarest).tolist(),
        "training_images": {
            label: {"real": count, "added": material.n_added.get(label, 0)}
            for label, count in counts.items()
        },
    }


def _test(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    unit: Unit,
    material: Material,
    folder: Path,
) -> dict[str, Any]:
    """Choose on validation, write the look at the test images down, and look once."""
    real = index.image_set(config.classifier_image_size)
    loaded = classifier.load(folder)
    positive = index.classes.index(unit.positive)
    validation = evaluation_table(real, index.classes, "val")
    scores = classifier.predict(loaded, validation)
    threshold = None
    if len(index.classes) == 2:
        threshold = choose_threshold(scores[:, positive], validation.labels == positive)
    _write(folder, VALIDATION, validation, scores, positive, threshold)
    test = evaluation_table(real, index.classes, "test")
    note_read(
        workspace.ledger_dir,
        what=TEST,
        fold=unit.fold,
        seed=unit.seed,
        arm=unit.arm.name,
        images=len(test),
        images_sha256=fingerprint_of_images(r.image_id for r in test.records),
    )
    _write(folder, TEST, test, classifier.predict(loaded, test), positive, threshold)
    if not config.ablation.keep_models:
        _drop_weights(folder, loaded)
    return {
        "threshold": threshold,
        "n": {"all": len(index.records), "val": len(validation), "test": len(test)},
    } | {name: fingerprint((folder / f"{name}.csv").read_bytes()) for name in (TEST, VALIDATION)}


def _write(
    folder: Path,
    name: str,
    table: RadiographTable,
    probabilities: np.ndarray,
    positive: int,
    threshold: float | None,
) -> None:
    predictions = predictions_for(table, probabilities)
    predicted = predict_classes(probabilities, positive=positive, threshold=threshold)
    write_predictions(folder / f"{name}.csv", predictions, predicted)


def _drop_weights(folder: Path, loaded: LoadedClassifier) -> None:
    for path in folder.glob("classifier.*"):
        path.unlink()
