"""`balancer export`: a classifier or a generator as files for other programs, with its card."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import RenderableType

import classifier
from balancer.config import BalancerConfig
from balancer.data.audit.content import AUDIT_NAME, read_audit
from balancer.data.index import Index, evaluation_table, load_index
from balancer.data.records import PrepareMetrics
from balancer.errors import EnvironmentFault, IntegrityError
from balancer.evaluation.trained_classifier import (
    REAL_ARM,
    SYNTHETIC_ARM,
    TrainedClassifier,
    load_trained,
    trained_arm,
)
from balancer.imaging.pixels import Pixels
from balancer.manifest import fingerprint
from balancer.quality.records import ClassQuality, QualityMetrics
from balancer.report.elsewhere import evaluations, known_elsewhere, travel_study
from balancer.results import Record, StageResult, perform, read_result, standing_result
from balancer.sharing.card import DataFacts
from balancer.sharing.classifier_card import ClassifierFacts, classifier_card
from balancer.sharing.generator_card import GeneratorFacts, GeneratorRecipe, generator_card
from balancer.sharing.recipe import (
    CLASSIFIER_FILE,
    GENERATOR_FILE,
    RECIPE_FILE,
    ClassifierRecipe,
    ExportCheck,
    classifier_recipe,
)
from balancer.synthetic.dcgan import DcganSource, load_dcgan
from balancer.synthetic.onnx_generator import export_generator, save_without_ids
from balancer.synthetic.records import GeneratorMetrics
from balancer.workspace import Workspace
from classifier.checkpoint import CARD, WEIGHTS
from classifier.explain import MissingPackage
from classifier.onnx_export import ClassifierExportError

README = "README.md"
_CHECKED = 64
"""Number of validation images that a classifier is checked on, at most."""


class ModelExport(Record):
    """The result of `balancer export`.

    Attributes:
        kind: `classifier` or `generator`.
        of: Arm of the classifier, or class of the generator.
        check: Comparison of the ONNX file with torch.
        elsewhere: What is known of a classifier at other hospitals, or the word on sharing the
            images of a generator.
        folder: Folder that was written; only in the result of the command.
    """

    kind: str
    of: str
    check: ExportCheck
    elsewhere: str
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class _Model:
    """A model to export.

    Attributes:
        kind: `classifier` or `generator`.
        of: Its arm, or its class.
        weights: SHA-256 of its weights.
        file: Name of the ONNX file.
        card: Text of the card.
        elsewhere: As in the result.
        write: Writes the files of the model, and returns its recipe with the check.
    """

    kind: str
    of: str
    weights: str
    file: str
    card: str
    elsewhere: str
    write: Callable[[Path], ClassifierRecipe | GeneratorRecipe]


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    with_synthetic: bool = False,
    generator: str | None = None,
    licence: str | None = None,
) -> StageResult[ModelExport]:
    """Write a model as ONNX and safetensors, check the ONNX file against torch, and fill its card.

    Args:
        config: No section is used.
        workspace: Reads `index/`, `classify/`, `evaluate/`, `travel/`, `gan/` and `quality/`;
            writes a folder of `export/`.
        force: Write again even if the export is up to date.
        with_synthetic: Export the classifier that was trained with synthetic images.
        generator: Export the generator of this class in place of a classifier.
        licence: Licence of the model, such as `mit`; None: nobody has chosen one.

    Raises:
        MissingStage: The model has not been trained.
        IntegrityError: It belongs to another split or was changed, or the file does not compute
            what torch does.
        EnvironmentFault: A package of the extra `export` is missing.
    """
    index = load_index(workspace.index_dir)
    if generator is None:
        arm = SYNTHETIC_ARM if with_synthetic else REAL_ARM
        model = _classifier(workspace, index, arm, licence)
    else:
        model = _generator(workspace, index, generator, licence)
    directory = workspace.export_dir(model.kind, model.of)
    inputs = {"weights": model.weights, "card": fingerprint(model.card.encode())}
    result = standing_result(
        directory,
        ModelExport,
        settings={},
        inputs=inputs,
        force=force,
        files=[model.file, RECIPE_FILE, README],
    )
    if result is None:
        result = perform(
            "export",
            workspace,
            directory,
            settings={},
            inputs=inputs,
            work=lambda folder: _write(model, folder),
        )
    metrics = result.metrics.model_copy(update={"folder": str(directory)})
    return result.model_copy(update={"metrics": metrics})


def summary(result: StageResult[ModelExport]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    found = result.metrics
    return [
        f"The {found.kind} of {found.of} for other programs: {found.folder}",
        found.check.sentence,
        found.elsewhere,
    ]


def _write(model: _Model, folder: Path) -> ModelExport:
    try:
        recipe = model.write(folder)
    except MissingPackage as error:
        raise EnvironmentFault(str(error)) from error
    except ClassifierExportError as error:
        raise IntegrityError(str(error)) from error
    if recipe.check is None:
        raise RuntimeError(f"{model.file} was written without a check.")
    text = recipe.model_dump_json(indent=2)
    (folder / RECIPE_FILE).write_text(text + "\n", encoding="utf-8")
    (folder / README).write_text(model.card, encoding="utf-8")
    return ModelExport(kind=model.kind, of=model.of, check=recipe.check, elsewhere=model.elsewhere)


def _classifier(workspace: Workspace, index: Index, arm: str, licence: str | None) -> _Model:
    directory = workspace.classify_dir(arm)
    result = trained_arm(directory, arm, index, wanted_by="`balancer export` writes a classifier")
    trained = load_trained(directory)
    trained.refuse_unlike(index)
    mine = {
        place: one for place, one in evaluations(workspace).items() if place.endswith(f"/{arm}")
    }
    elsewhere = known_elsewhere(None, mine, travel_study(workspace, index.index_hash))
    recipe = classifier_recipe(trained)
    facts = ClassifierFacts(
        data=_data(workspace, index),
        result=result,
        recipe=recipe,
        n_parameters=sum(
            weights.numel() for one in trained.loaded.networks for weights in one.parameters()
        ),
        external={place.split("/")[1]: one for place, one in mine.items()},
        elsewhere=elsewhere,
        licence=licence,
    )

    def write(folder: Path) -> ClassifierRecipe:
        images = _validation_images(index, trained)
        difference = classifier.export_onnx(
            trained.loaded,
            folder / CLASSIFIER_FILE,
            images,
            positive=trained.positive or 0,
            threshold=trained.threshold,
            metadata={recipe.metadata_key: recipe.model_dump_json()},
        )
        for name in (WEIGHTS, CARD):
            shutil.copy(directory / name, folder / name)
        check = ExportCheck.of(len(images), difference.same_pixels, difference.resized)
        return recipe.model_copy(update={"check": check})

    return _Model("classifier", arm, trained.loaded.weights_sha256, CLASSIFIER_FILE,
                  classifier_card(facts), elsewhere, write)  # fmt: skip


def _generator(workspace: Workspace, index: Index, label: str, licence: str | None) -> _Model:
    source = load_dcgan(label, workspace, index)
    training = read_result(workspace.gan_dir(label), GeneratorMetrics)
    if training is None:
        raise IntegrityError(
            f"{workspace.gan_dir(label)} should have the result.json of its training, but has "
            "none; train again with `balancer gan-train --force`."
        )
    loaded = source.loaded
    recipe = GeneratorRecipe(
        latent_dim=loaded.config.latent_dim,
        size=(source.image_size, source.image_size),
        channels=loaded.metadata.channels,
        class_name=label,
        weights_sha256=source.checkpoint,
    )
    quality = _quality(workspace, label, source)
    facts = GeneratorFacts(_data(workspace, index), training, recipe, quality, licence)

    def write(folder: Path) -> GeneratorRecipe:
        metadata = {recipe.metadata_key: recipe.model_dump_json()}
        difference = export_generator(source, folder / GENERATOR_FILE, metadata)
        save_without_ids(source, folder)
        return recipe.model_copy(update={"check": ExportCheck.of(64, difference)})

    return _Model("generator", label, source.checkpoint, GENERATOR_FILE, generator_card(facts),
                  f"On sharing its images: {facts.word}.", write)  # fmt: skip


def _quality(workspace: Workspace, label: str, source: DcganSource) -> ClassQuality | None:
    """Return what `quality` measured of the images of this very generator."""
    result = read_result(workspace.quality_dir, QualityMetrics)
    if result is None or result.inputs.get("generators", {}).get(label) != source.checkpoint:
        return None
    return result.metrics.classes.get(label)


def _data(workspace: Workspace, index: Index) -> DataFacts:
    result = read_result(workspace.index_dir, PrepareMetrics)
    if result is None:
        raise RuntimeError(f"{workspace.index_dir} was loaded but has no result.json.")
    has_audit = (workspace.index_dir / AUDIT_NAME).is_file()
    audit = read_audit(workspace.index_dir) if has_audit else None
    return DataFacts(result, audit, index.domain)


def _validation_images(index: Index, trained: TrainedClassifier) -> Pixels:
    """Return validation images of all classes; the test images meet the final evaluation alone."""
    table = evaluation_table(index.image_set(trained.image_size), index.classes, "val")
    rows = np.unique(np.linspace(0, len(table) - 1, min(_CHECKED, len(table))).astype(int))
    return np.stack([table[row][0] for row in rows])
