"""`balancer explain`: where classifiers find their evidence, in three pictures."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType

import classifier
import classifier.explain
from balancer.config import BalancerConfig
from balancer.data.index import Index, RadiographTable, evaluation_table, load_index
from balancer.data.masks.read import load_masks
from balancer.drawing.numbers import interval
from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.evaluation.ledger import EXPLAIN, fingerprint_of_images, note_read
from balancer.explanation.cases import Case, chosen_cases, draw_cases
from balancer.explanation.looks import BORDER, DEFINITIONS, LUNGS, Looks, look, summarise
from balancer.explanation.looks_plot import save_looks
from balancer.explanation.models import ExplainedModel, find_models, load_models, unseen_rows
from balancer.explanation.shown import draw_activations, draw_maps, refuse_missing_layer
from balancer.manifest import ImageRecord, fingerprint
from balancer.results import UntypedResult, perform, read_result, standing_result
from balancer.workspace import Workspace
from classifier.metrics import predict_classes

log = logging.getLogger(__name__)

_PER_CLASS = 2
_MASK_SIDE = 64


@dataclass(frozen=True, slots=True)
class _Question:
    """What is explained."""

    index: Index
    models: Sequence[ExplainedModel]
    target: int
    chosen: Sequence[Case]
    per_class: int
    layer: str | None

    def __post_init__(self) -> None:
        if self.layer is not None and not self.chosen and not self.per_class:
            raise ConfigurationError(
                f"--layer {self.layer} wants an image to show activations of, but --per-class 0 "
                "draws none; name one with --image."
            )


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    models: Sequence[Path] = (),
    target: str | None = None,
    images: Sequence[str] = (),
    per_class: int | None = None,
    layer: str | None = None,
) -> UntypedResult:
    """Draw Grad-CAM of some images, activations of one, and where the maps of all of them lie.

    Args:
        config: `seed`, `evaluation` and `ablation.masks` are used.
        workspace: Reads `index/` and, where no models are named, `classify/`; writes `explain/`,
            and a read of the test images by each model into the ledger.
        force: Draw again whatever stands there.
        models: Folders of trained classifiers.
        target: Class whose evidence is shown; None: the positive class.
        images: Ids, paths or files of images to show in place of a draw.
        per_class: Right, and as many wrong, cases of each class to draw; None: 2, or none where
            images are named.
        layer: Whose activations are shown; None: the last convolution.

    Raises:
        MissingStage: There is no index, or no trained classifier.
        ConfigurationError: A model, class, image or layer does not exist.
        DataError: There are no masks where `ablation.masks` says.
        IntegrityError: A model has seen all images, or nothing says which it has seen.
        EnvironmentFault: The grad-cam package is not installed.
    """
    try:
        classifier.explain.require_library()
    except classifier.explain.MissingPackage as error:
        raise EnvironmentFault(str(error)) from error
    index = load_index(workspace.index_dir)
    loaded = load_models(find_models(workspace, models), workspace, index)
    question = _Question(
        index=index,
        models=loaded,
        target=_target(index, config, target),
        chosen=chosen_cases(index, images),
        per_class=(0 if images else _PER_CLASS) if per_class is None else per_class,
        layer=layer,
    )
    masks = config.ablation.masks
    settings = {
        "seed": config.seed,
        "target": index.classes[question.target],
        "models": [model.name for model in loaded],
        "images": list(images),
        "per_class": question.per_class,
        "layer": layer,
        "masks": None if masks is None else str(masks),
        "bootstrap_samples": config.evaluation.bootstrap_samples,
    }
    inputs = {
        "index": index.index_hash,
        "models": [[m.loaded.weights_sha256, m.threshold, m.image_size] for m in loaded],
        "images": [case.image_id for case in question.chosen],
        "masks": None if masks is None else _hash_of_masks(masks, index),
    }
    # Other settings need no --force: all can be drawn again, and nothing but pictures is replaced.
    old = read_result(workspace.explain_dir)
    standing = standing_result(
        workspace.explain_dir,
        settings=settings,
        inputs=inputs,
        force=force or (old is not None and old.settings != settings),
    )
    if standing is None:
        standing = perform(
            "explain",
            workspace,
            workspace.explain_dir,
            settings=settings,
            inputs=inputs,
            work=lambda folder: _explain(config, workspace, question, folder),
        )
    return _with_place(standing, workspace)


def summary(result: UntypedResult) -> list[RenderableType]:
    """What the terminal shows of a result."""
    metrics = result.metrics
    lines = [
        f"Where Grad-CAM of {metrics['target_class']} lies, on {metrics['images']['n']} "
        f"test images (mean share of the map; of the area)"
    ]
    for name, model in metrics["models"].items():
        for label, found in model["where"].items():
            told = [
                f"{region} {interval(found[region])}, area {found[region]['reference']:.3f}"
                for region in (BORDER, LUNGS)
                if region in found and found[region]["n"]
            ]
            empty = f"; {found['n_empty']} of {found['n']} without a map" * bool(found["n_empty"])
            lines.append(f"  {name}, {label}: {'; '.join(told) or 'no map'}{empty}")
    lines.append(f"The pictures: {metrics['place']}")
    return ["\n".join(lines)]


def _hash_of_masks(folder: Path, index: Index) -> str:
    """Of the masks of the test images, small: enough to see that somebody drew them anew."""
    records = [record for record in index.records if record.split == "test"]
    masks = load_masks(folder, index.roots, records, _MASK_SIDE, index)
    return fingerprint(masks.lungs.tobytes() + masks.present.tobytes())


def _with_place(result: UntypedResult, workspace: Workspace) -> UntypedResult:
    """The result and where its pictures lie today; a workspace may be moved."""
    place = {"place": str(workspace.explain_dir)}
    return result.model_copy(update={"metrics": result.metrics | place})


def _target(index: Index, config: BalancerConfig, wanted: str | None) -> int:
    if wanted is not None and wanted not in index.classes:
        raise ConfigurationError(
            f"--class wants one of {', '.join(index.classes)}, not {wanted!r}."
        )
    return index.classes.index(wanted or index.positive_class(config.evaluation.positive_class))


def _explain(
    config: BalancerConfig, workspace: Workspace, question: _Question, folder: Path
) -> dict[str, Any]:
    index, first = question.index, question.models[0]
    if question.chosen or question.per_class:
        refuse_missing_layer(question.models, question.layer)
    tables = {
        size: evaluation_table(index.image_set(size), index.classes, "test")
        for size in {model.image_size for model in question.models}
    }
    table = tables[first.image_size]
    rows = unseen_rows(table.records, question.models, index)
    records = [table.records[row] for row in rows]
    for model in question.models:
        note_read(
            workspace.ledger_dir,
            what=EXPLAIN,
            fold="index",
            seed=config.seed,
            arm=model.name,
            images=len(records),
            images_sha256=fingerprint_of_images(record.image_id for record in records),
        )
    cases = [*question.chosen, *_drawn(config, question, table, rows)]
    told = draw_maps(cases, question.models, index, question.target, folder / "grad-cam.png")
    layers = draw_activations(cases, question.models, question.layer, folder / "activations.png")
    looks = {}
    for model in question.models:
        log.info("Maps of %d images by %s", len(rows), model.name)
        looks[model.name] = _look(config, question, model, tables[model.image_size], rows, records)
    labels = table.labels[rows]
    target = index.classes[question.target]
    save_looks(
        looks,
        labels,
        index.classes,
        title=f"Where Grad-CAM of {target} lies, {len(rows)} test images",
        path=folder / "where-it-looks.png",
    )
    return {
        "target_class": target,
        "definitions": DEFINITIONS,
        "images": {"n": len(rows), "left_out_as_seen": len(table) - len(rows)},
        "models": {
            model.name: _about(model, looks[model.name], layers.get(model.name))
            | {"where": _where(config, index, looks[model.name], labels, records)}
            for model in question.models
        },
        "shown": told,
    }


def _drawn(
    config: BalancerConfig, question: _Question, table: RadiographTable, rows: Sequence[int]
) -> list[Case]:
    """Right and wrong cases, as the first model decides."""
    if not question.per_class:
        return []
    first, classes = question.models[0], question.index.classes
    probabilities = classifier.predict(first.loaded, table)[rows]
    predicted = predict_classes(probabilities, positive=first.positive, threshold=first.threshold)
    return draw_cases(
        question.index,
        [table.records[row] for row in rows],
        [classes[number] for number in predicted],
        per_class=question.per_class,
        seed=config.seed,
    )


def _look(
    config: BalancerConfig,
    question: _Question,
    model: ExplainedModel,
    table: RadiographTable,
    rows: Sequence[int],
    records: Sequence[ImageRecord],
) -> Looks:
    masks = None
    if config.ablation.masks is not None:
        side = model.loaded.network.preprocessing.input_size
        index = question.index
        masks = load_masks(config.ablation.masks, index.roots, records, side, index)
    return look(model.loaded, table, rows, question.target, masks)


def _where(
    config: BalancerConfig,
    index: Index,
    looks: Looks,
    labels: Any,
    records: Sequence[ImageRecord],
) -> dict[str, Any]:
    groups = [record.group for record in records]
    return {
        label: summarise(
            looks,
            labels == number,
            groups,
            n_bootstrap=config.evaluation.bootstrap_samples,
            seed=config.seed,
        )
        for number, label in enumerate(index.classes)
    }


def _about(model: ExplainedModel, looks: Looks, layer: str | None) -> dict[str, Any]:
    return {
        "network": model.loaded.config.model,
        "members": len(model.loaded.networks),
        "layer": classifier.explain.last_convolution_name(model.loaded.network),
        "grid": list(looks.grid),
        "activations_of": layer,
        "input_size": model.loaded.network.preprocessing.input_size,
        "image_size": model.image_size,
        "threshold": model.threshold,
        "index": model.index_hash,
        "weights_sha256": model.loaded.weights_sha256,
    }
