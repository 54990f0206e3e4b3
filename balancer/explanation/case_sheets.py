"""The sheets of cases: the maps, and the answer of each model."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

import classifier
from balancer.data.index import Index
from balancer.drawing.inks import figure_name
from balancer.errors import ConfigurationError
from balancer.explanation.cases import CHOSEN, RIGHT, WRONG, Case, case_table
from balancer.explanation.models import ExplainedModel
from balancer.explanation.records import ModelAnswer, ShownCase
from balancer.explanation.sheets import (
    NOTE_INK,
    RIGHT_INK,
    WRONG_INK,
    Cell,
    Row,
    save_activation_sheet,
    save_cam_sheet,
)
from classifier.explain import LayerError, activations, grad_cam, prepared_images
from classifier.tables import pictures

log = logging.getLogger(__name__)

_FILM = 256
"""Side in pixels of the images in the first column."""
_CHANNELS = 16


def draw_maps(
    cases: Sequence[Case],
    models: Sequence[ExplainedModel],
    index: Index,
    target: int,
    path: Path,
) -> list[ShownCase]:
    """Draw the sheet of maps, a row per case and a column per model, and return its cases."""
    if not cases:
        return []
    columns = [_column(cases, model, index, target) for model in models]
    films = case_table(cases, _FILM).sources[0]
    rows = [
        Row(_caption(case, models[0]), films[number], [cells[number] for cells, _ in columns])
        for number, case in enumerate(cases)
    ]
    save_cam_sheet(
        rows,
        [_title(model, index.classes) for model in models],
        target=index.classes[target],
        about=f"Below each map: the model's probability of {figure_name(index.classes[target])}, "
        "and what it decides",
        path=path,
        image=index.domain.image,
    )
    return [
        ShownCase(
            image_id=case.image_id,
            name=case.name,
            label=case.label,
            split=case.split,
            drawn_as=case.drawn_as,
            models={
                model.name: answers[number]
                for model, (_, answers) in zip(models, columns, strict=True)
            },
        )
        for number, case in enumerate(cases)
    ]


def refuse_missing_layer(models: Sequence[ExplainedModel], layer: str | None) -> None:
    """Check a layer before any test image is read; one model with the layer is enough.

    Raises:
        ConfigurationError: No model has the layer.
    """
    faults = []
    for model in models:
        network = model.trained.loaded.network
        images = torch.zeros(1, network.preprocessing.channels, model.side, model.side)
        try:
            activations(network, images, layer, n=1)
        except LayerError as fault:
            faults.append(fault)
        else:
            return
    raise ConfigurationError(str(faults[0])) from faults[0]


def draw_activations(
    cases: Sequence[Case], models: Sequence[ExplainedModel], layer: str | None, path: Path
) -> dict[str, str]:
    """Draw the strongest channels for the first case, for all models that have the layer.

    Returns:
        The layer shown for each model.

    Raises:
        ConfigurationError: No model has the layer.
    """
    if not cases:
        return {}
    found, missing = [], []
    for model in models:
        trained = model.trained
        image = prepared_images(trained.loaded, case_table(cases[:1], trained.image_size))
        try:
            part = activations(trained.loaded.network, image, layer, n=_CHANNELS)
        except LayerError as fault:
            missing.append((model.name, fault))
            continue
        found.append((model.name, pictures(image.numpy())[0], part))
    if not found:
        raise ConfigurationError(str(missing[0][1])) from missing[0][1]
    for name, error in missing:
        log.warning("WARNING: %s is not among the activations: %s", name, error)
    case = cases[0]
    caption = f"{figure_name(case.name)} ({figure_name(case.label or 'class not known')})"
    save_activation_sheet(found, caption=caption, path=path)
    return {name: part.layer for name, _, part in found}


def _column(
    cases: Sequence[Case], model: ExplainedModel, index: Index, target: int
) -> tuple[list[Cell], list[ModelAnswer]]:
    loaded = model.trained.loaded
    table = case_table(cases, model.trained.image_size)
    probabilities = classifier.predict(loaded, table)
    predicted = model.trained.decide(probabilities)
    images = prepared_images(loaded, table)
    found = grad_cam(loaded.networks, images, target)
    seen_as = pictures(images.numpy())
    groups = {record.group for record in index.records if record.image_id in model.seen}
    of = figure_name(index.classes[target], 22)
    cells, answers = [], []
    for number, case in enumerate(cases):
        label = index.classes[predicted[number]]
        right = None if case.label is None else label == case.label
        seen = case.image_id in model.seen or case.group in groups
        probability = float(probabilities[number, target])
        words = {True: f", {RIGHT}", False: f", {WRONG}", None: ""}[right]
        cells.append(
            Cell(
                film=seen_as[number],
                map=found.maps[number],
                text=f"{of} {probability:.3f}\ndecides {figure_name(label, 18)}{words}"
                + "\nhas seen it, training or validation" * seen,
                ink={True: RIGHT_INK, False: WRONG_INK, None: NOTE_INK}[right],
                note=found.reasons[number],
            )
        )
        answers.append(
            ModelAnswer(
                probability=probability,
                predicted=label,
                right=right,
                has_seen=seen,
                no_map=found.reasons[number] or None,
            )
        )
    return cells, answers


def _caption(case: Case, first: ExplainedModel) -> str:
    lines = [figure_name(case.label or "class not known", 22), figure_name(case.name, 22)]
    lines.append(
        f"{case.split or 'not of the index'}"
        if case.drawn_as == CHOSEN
        else f"{case.split}, drawn as {case.drawn_as}"
    )
    return "\n".join(lines)


def _title(model: ExplainedModel, classes: Sequence[str]) -> str:
    trained, n_networks = model.trained, len(model.trained.loaded.networks)
    network = figure_name(trained.loaded.config.model)
    lines = [figure_name(model.name), f"{network}, {model.side} px"]
    if n_networks > 1:
        lines[-1] += f", {n_networks} networks"
    if trained.threshold is not None and trained.positive is not None:
        name = figure_name(classes[trained.positive])
        lines.append(f"{name} from {trained.threshold:.3f} on")
    return "\n".join(lines)
