"""The answer of a classifier for an image: probabilities, decision and the map of its evidence."""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import classifier
from balancer.app.models import ServedModel
from balancer.data.io import Pixels, resize_square
from balancer.imaging.pixels import Mask
from classifier.explain import LayerError, MissingPackage, grad_cam, prepared_images
from classifier.models import ModelError
from classifier.tables import ArrayTable

# Maps hook into a network while they are made, so a network answers one question at a time.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Reading:
    """One classifier's answer.

    Attributes:
        model: Who answers.
        probabilities: float64 (C,), calibrated.
        decision: Number of the class decided for.
        mapped: Number of the class that the map is about.
        heat: float32 (S, S) in [0, 1], Grad-CAM; None: there is no map.
        grid: Places of the map before it was enlarged.
        why_no_map: The reason where there is none.
        read: uint8 (H, W) or (H, W, 3), the image in the channels that this classifier learnt from.
        seen: The same after what is done to every image of this classifier.
    """

    model: ServedModel
    probabilities: NDArray[np.float64]
    decision: int
    mapped: int
    heat: NDArray[np.float32] | None
    grid: tuple[int, int]
    why_no_map: str
    read: Pixels
    seen: Pixels

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.model.trained.loaded.class_names


def read_with(
    model: ServedModel,
    pixels: Pixels,
    mapped: str | None = None,
    *,
    mask: Mask | None = None,
    synthetic: bool = False,
) -> Reading:
    """Ask one classifier, by the path that its test images took.

    Args:
        model: The classifier.
        pixels: uint8 (H, W) or (H, W, 3), in the channels that it learnt from.
        mapped: The class whose evidence is mapped; None, or one that it does not know: the class
            that it decides for.
        mask: bool (h, w), the lungs of the film; None: no file says where they are.
        synthetic: The film was generated, by a network that had learnt from preprocessed films, so
            nothing is done to it.

    Raises:
        DataError: The classifier was trained on lungs alone, and the film has no mask.
    """
    seen = pixels if synthetic else model.preprocessor.apply(pixels, mask)
    square = resize_square(seen, model.trained.image_size)
    table = ArrayTable.of(square[None], np.zeros(1, np.int64))
    names = model.trained.loaded.class_names
    with _one_at_a_time:
        probabilities = classifier.predict(model.trained.loaded, table)
        decision = int(model.trained.decide(probabilities)[0])
        target = names.index(mapped) if mapped in names else decision
        heat, grid, reason = _map(model, table, target)
    return Reading(
        model=model,
        probabilities=probabilities[0],
        decision=decision,
        mapped=target,
        heat=heat,
        grid=grid,
        why_no_map=reason,
        read=pixels,
        seen=seen,
    )


def _map(
    model: ServedModel, table: ArrayTable, target: int
) -> tuple[NDArray[np.float32] | None, tuple[int, int], str]:
    """The map that `balancer explain` draws: of several networks, that of their mean logit."""
    loaded = model.trained.loaded
    images = prepared_images(loaded, table)
    try:
        found = grad_cam(loaded.networks, images, target)
    except (MissingPackage, LayerError, ModelError) as error:
        return None, (0, 0), str(error)
    if found.empty[0]:
        return None, found.grid, f"Empty map: {found.reasons[0]}."
    return found.maps[0], found.grid, ""
