"""`balancer explain`: show the evidence of classifiers in three pictures."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

import classifier
import classifier.explain
from balancer.config import BalancerConfig
from balancer.data.index import Index, evaluation_table, load_index
from balancer.data.masks.read import load_masks
from balancer.drawing.numbers import interval
from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.evaluation.fit_and_test import NotedImages, Reader, note_images
from balancer.explanation.case_sheets import draw_activations, draw_maps, refuse_missing_layer
from balancer.explanation.cases import Case, chosen_cases, draw_cases
from balancer.explanation.map_shares import (
    DEFINITIONS,
    MapShares,
    measure_shares,
    save_map_shares,
    summarize,
)
from balancer.explanation.models import ExplainedModel, find_models, load_models, unseen_rows
from balancer.explanation.records import ClassShares, ExplainMetrics, MappedImages, ModelMaps
from balancer.manifest import fingerprint
from balancer.results import StageResult, perform, read_result, standing_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

_SHARES = "where-it-looks.png"
_PER_CLASS = 2
_MASK_SIDE = 64


@dataclass(frozen=True, slots=True)
class _Question:
    """The models, class and images of one explanation."""

    index: Index
    models: Sequence[ExplainedModel]
    target: int
    chosen: Sequence[Case]
    per_class: int
    layer: str | None

    def __post_init__(self) -> None:
        if self.layer is not None and not self.chosen and not self.per_class:
            raise ConfigurationError(
                f"--layer {self.layer} needs an image to show activations of, but --per-class 0 "
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
) -> StageResult[ExplainMetrics]:
    """Draw Grad-CAM of some images, activations of one, and shares of the maps of all.

    Args:
        config: `seed`, `evaluation` and `ablation.masks` are used.
        workspace: Reads `index/` and, where no models are named, `classify/`; writes `explain/`,
            and a read of the test images by each model into the ledger.
        force: Draw again even if the result is up to date.
        models: Folders of trained classifiers.
        target: Class whose evidence is shown; None: the positive class.
        images: Ids, paths or files of images to show instead of drawn ones.
        per_class: Number of right cases, and of wrong ones, to draw of each class; None: 2, or 0
            with `images`.
        layer: Layer whose activations are shown; None: the last convolution.

    Raises:
        MissingStage: There is no index, or no trained classifier.
        ConfigurationError: A model, class, image or layer does not exist.
        DataError: There are no masks in `ablation.masks`.
        IntegrityError: A model has seen all images, or its training images are unknown.
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
        "models": [
            [model.trained.loaded.weights_sha256, model.trained.threshold, model.trained.image_size]
            for model in loaded
        ],
        "images": [case.image_id for case in question.chosen],
        "masks": None if masks is None else _hash_of_masks(masks, index),
    }
    # Other settings need no --force: all can be drawn again, and nothing but pictures is replaced.
    old = read_result(workspace.explain_dir, ExplainMetrics)
    standing = standing_result(
        workspace.explain_dir,
        ExplainMetrics,
        settings=settings,
        inputs=inputs,
        force=force or (old is not None and old.settings != settings),
        files=[_SHARES],
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


def summary(result: StageResult[ExplainMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    metrics = result.metrics
    lines = [
        f"Position of the Grad-CAM of {metrics.target_class}, on {metrics.images.n} test images "
        "(mean share of the map; of the area)"
    ]
    for name, model in metrics.models.items():
        for label, shares in model.where.items():
            measured = [
                f"{region} {interval(share)}, area {share.reference:.3f}"
                for region, share in shares.regions().items()
                if share.reference is not None
            ]
            empty = f"; {shares.n_empty} of {shares.n} without a map" * bool(shares.n_empty)
            lines.append(f"  {name}, {label}: {'; '.join(measured) or 'no map'}{empty}")
    lines.append(f"The pictures: {metrics.place}")
    return ["\n".join(lines)]


def _hash_of_masks(folder: Path, index: Index) -> str:
    """Hash the masks of the test images at a small size, enough to notice new masks."""
    records = [record for record in index.records if record.split == "test"]
    masks = load_masks(folder, index.roots, records, _MASK_SIDE, index)
    return fingerprint(masks.lungs.tobytes() + masks.present.tobytes())


def _with_place(
    result: StageResult[ExplainMetrics], workspace: Workspace
) -> StageResult[ExplainMetrics]:
    """Add the folder of the pictures today; a workspace can be moved."""
    metrics = result.metrics.model_copy(update={"place": str(workspace.explain_dir)})
    return result.model_copy(update={"metrics": metrics})


def _target(index: Index, config: BalancerConfig, wanted: str | None) -> int:
    if wanted is not None and wanted not in index.classes:
        raise ConfigurationError(
            f"--class should be one of {', '.join(index.classes)}, not {wanted!r}."
        )
    return index.classes.index(wanted or index.positive_class(config.evaluation.positive_class))


def _explain(
    config: BalancerConfig, workspace: Workspace, question: _Question, folder: Path
) -> ExplainMetrics:
    index, models = question.index, question.models
    if question.chosen or question.per_class:
        refuse_missing_layer(models, question.layer)
    tables = {
        size: evaluation_table(index.image_set(size), index.classes, "test")
        for size in {model.trained.image_size for model in models}
    }
    all_records = index.select("test")
    rows = unseen_rows(all_records, models, index)
    noted = {
        model.name: note_images(
            model.trained.loaded,
            tables[model.trained.image_size],
            Reader(workspace.ledger_dir, "index", config.seed, model.name),
            rows=rows,
        )
        for model in models
    }
    cases = [*question.chosen, *_drawn(config, question, noted[models[0].name])]
    shown = draw_maps(cases, models, index, question.target, folder / "grad-cam.png")
    layers = draw_activations(cases, models, question.layer, folder / "activations.png")
    maps = {}
    for model in models:
        log.info("Maps of %d images by %s", len(rows), model.name)
        maps[model.name] = _measure(config, question, model, noted[model.name])
    table = noted[models[0].name].table
    target = index.classes[question.target]
    save_map_shares(
        maps,
        table.labels,
        index.classes,
        title=f"Grad-CAM of {target} by region, {len(rows)} test images",
        path=folder / _SHARES,
    )
    return ExplainMetrics(
        target_class=target,
        definitions=DEFINITIONS,
        images=MappedImages(n=len(rows), left_out_as_seen=len(all_records) - len(rows)),
        models={
            model.name: _about(
                model,
                maps[model.name],
                layers.get(model.name),
                _where(config, index, maps[model.name], noted[model.name]),
            )
            for model in models
        },
        shown=shown,
    )


def _drawn(config: BalancerConfig, question: _Question, images: NotedImages) -> list[Case]:
    """Draw right and wrong cases, as the first model decides."""
    if not question.per_class:
        return []
    predicted = question.models[0].trained.decide(images.predict().probabilities)
    return draw_cases(
        question.index,
        images.table.records,
        [question.index.classes[number] for number in predicted],
        per_class=question.per_class,
        seed=config.seed,
    )


def _measure(
    config: BalancerConfig, question: _Question, model: ExplainedModel, images: NotedImages
) -> MapShares:
    masks = None
    if config.ablation.masks is not None:
        index, records = question.index, images.table.records
        masks = load_masks(config.ablation.masks, index.roots, records, model.side, index)
    return measure_shares(images, question.target, masks)


def _where(
    config: BalancerConfig, index: Index, maps: MapShares, images: NotedImages
) -> dict[str, ClassShares]:
    groups = [record.group for record in images.table.records]
    return {
        label: summarize(
            maps,
            images.table.labels == number,
            groups,
            n_bootstrap=config.evaluation.bootstrap_samples,
            seed=config.seed,
        )
        for number, label in enumerate(index.classes)
    }


def _about(
    model: ExplainedModel, maps: MapShares, layer: str | None, where: dict[str, ClassShares]
) -> ModelMaps:
    trained = model.trained
    return ModelMaps(
        network=trained.loaded.config.model,
        members=len(trained.loaded.networks),
        layer=classifier.explain.last_convolution_name(trained.loaded.network),
        grid=list(maps.grid),
        activations_of=layer,
        input_size=model.side,
        image_size=trained.image_size,
        threshold=trained.threshold,
        index=trained.index_hash,
        weights_sha256=trained.loaded.weights_sha256,
        where=where,
    )
