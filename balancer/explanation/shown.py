"""What the sheets show of each case: the maps, and what every model says."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import classifier
from balancer.data.index import Index
from balancer.drawing.inks import figure_name
from balancer.errors import ConfigurationError
from balancer.explanation.cases import CHOSEN, RIGHT, WRONG, Case, case_table
from balancer.explanation.models import ExplainedModel
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
from classifier.metrics import predict_classes

log = logging.getLogger(__name__)

_FILM = 256
"""Side in pixels of the films in the first column."""
_CHANNELS = 16


def draw_maps(
    cases: Sequence[Case],
    models: Sequence[ExplainedModel],
    index: Index,
    target: int,
    path: Path,
) -> list[dict[str, Any]]:
    """Draw the sheet of maps, a row per case and a column per model.

    Returns:
        Per case what it is, and per model its probability of the class, its prediction, whether
        that is right, whether it has seen the image, and why its map is empty.
    """
    if not cases:
        return []
    columns = [_judged(cases, model, index, target) for model in models]
    films = case_table(cases, _FILM).sources[0]
    rows = [
        Row(_caption(case, models[0]), films[number], [cells[number] for cells, _ in columns])
        for number, case in enumerate(cases)
    ]
    save_cam_sheet(
        rows,
        [_title(model, index.classes[model.positive]) for model in models],
        target=index.classes[target],
        about=f"Below each map: the model's probability of {figure_name(index.classes[target])}, "
        "and what it decides",
        path=path,
    )
    return [
        {
            "image_id": case.image_id,
            "name": case.name,
            "label": case.label,
            "split": case.split,
            "drawn_as": case.drawn_as,
            "models": {
                model.name: told[number] for model, (_, told) in zip(models, columns, strict=True)
            },
        }
        for number, case in enumerate(cases)
    ]


def refuse_missing_layer(models: Sequence[ExplainedModel], layer: str | None) -> None:
    """Find out before any test image is looked at; one model with the layer is enough.

    Raises:
        ConfigurationError: No model has the layer.
    """
    faults = []
    for model in models:
        side = model.loaded.network.preprocessing.input_size
        try:
            activations(model.loaded.network, torch.zeros(1, 1, side, side), layer, n=1)
        except LayerError as fault:
            faults.append(fault)
        else:
            return
    raise ConfigurationError(str(faults[0])) from faults[0]


def draw_activations(
    cases: Sequence[Case], models: Sequence[ExplainedModel], layer: str | None, path: Path
) -> dict[str, str]:
    """Draw the strongest channels for the first case; models without the layer are left out.

    Returns:
        Model to the layer that is shown.

    Raises:
        ConfigurationError: No model has the layer.
    """
    if not cases:
        return {}
    found, missing = [], []
    for model in models:
        image = prepared_images(model.loaded, case_table(cases[:1], model.image_size))
        try:
            part = activations(model.loaded.network, image, layer, n=_CHANNELS)
        except LayerError as fault:
            missing.append((model.name, fault))
            continue
        found.append((model.name, image[0, 0].numpy(), part))
    if not found:
        raise ConfigurationError(str(missing[0][1])) from missing[0][1]
    for name, error in missing:
        log.warning("WARNING: %s is not among the activations: %s", name, error)
    case = cases[0]
    caption = f"{figure_name(case.name)} ({figure_name(case.label or 'class not known')})"
    save_activation_sheet(found, caption=caption, path=path)
    return {name: part.layer for name, _, part in found}


def _judged(
    cases: Sequence[Case], model: ExplainedModel, index: Index, target: int
) -> tuple[list[Cell], list[dict[str, Any]]]:
    table = case_table(cases, model.image_size)
    probabilities = classifier.predict(model.loaded, table)
    predicted = predict_classes(probabilities, positive=model.positive, threshold=model.threshold)
    images = prepared_images(model.loaded, table)
    found = grad_cam(model.loaded.networks, images, target)
    groups = {record.group for record in index.records if record.image_id in model.seen}
    of = figure_name(index.classes[target], 22)
    cells, told = [], []
    for number, case in enumerate(cases):
        label = index.classes[predicted[number]]
        right = None if case.label is None else label == case.label
        seen = case.image_id in model.seen or case.group in groups
        probability = float(probabilities[number, target])
        words = {True: f", {RIGHT}", False: f", {WRONG}", None: ""}[right]
        cells.append(
            Cell(
                film=images[number, 0].numpy(),
                map=found.maps[number],
                text=f"{of} {probability:.3f}\ndecides {figure_name(label, 18)}{words}"
                + "\nhas seen it, training or validation" * seen,
                ink={True: RIGHT_INK, False: WRONG_INK, None: NOTE_INK}[right],
                note=found.reasons[number],
            )
        )
        told.append(
            {
                "probability": probability,
                "predicted": label,
                "right": right,
                "has_seen": seen,
                "no_map": found.reasons[number] or None,
            }
        )
    return cells, told


def _caption(case: Case, first: ExplainedModel) -> str:
    lines = [figure_name(case.label or "class not known", 22), figure_name(case.name, 22)]
    lines.append(
        f"{case.split or 'not of the index'}"
        if case.drawn_as == CHOSEN
        else f"{case.split}, drawn as {case.drawn_as}"
    )
    return "\n".join(lines)


def _title(model: ExplainedModel, positive: str) -> str:
    side = model.loaded.network.preprocessing.input_size
    lines = [figure_name(model.name), f"{figure_name(model.loaded.config.model)}, {side} px"]
    if len(model.loaded.networks) > 1:
        lines[-1] += f", {len(model.loaded.networks)} networks"
    if model.threshold is not None:
        lines.append(f"{figure_name(positive)} from {model.threshold:.3f} on")
    return "\n".join(lines)
