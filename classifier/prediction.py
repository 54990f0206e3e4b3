"""Probabilities of a trained classifier."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import rotate

from classifier.checkpoint import LoadedClassifier
from classifier.config import ClassifierConfig
from classifier.data import EvaluationSet, evaluation_loader
from classifier.models import ImageClassifier
from classifier.tables import ArrayTable, Image, check_table

_ZOOM = 0.07
"""Share of the side that zoomed views crop or add in black, both edges together."""
TURNS = {"turn-left": 5.0, "turn-right": -5.0}
"""Degrees of the turned views; pixels from outside are black."""


def predict(loaded: LoadedClassifier, images: ArrayTable | Image) -> NDArray[np.float64]:
    """Return class probabilities: the mean over networks and views, at the temperature.

    Example:
        >>> import numpy as np
        >>> from classifier import ArrayTable, ClassifierConfig, load, predict, train
        >>> images = np.random.default_rng(0).integers(0, 256, (16, 32, 32), dtype=np.uint8)
        >>> table = ArrayTable.of(images, labels=[0, 1] * 8)
        >>> config = ClassifierConfig(model="bam-cnn", batch_size=8, epochs=1, members=1)
        >>> loaded = load(train(table, table, config, out_dir="predicting").checkpoint)
        >>> predict(loaded, images).sum(axis=1).round(6).tolist() == [1.0] * 16
        True

    Args:
        loaded: The classifier, on its device.
        images: uint8 (N, S, S) or (N, S, S, 3), or a table, whose labels are not used.

    Returns:
        float64 (N, C), in the order of the images; rows sum to 1.

    Raises:
        ValueError: The classifier was not loaded, there are no images, they have another shape or
            dtype, or a network gives logits that are not finite.
    """
    if not isinstance(loaded, LoadedClassifier):
        raise ValueError(
            "The classifier should be a loaded one but is of type "
            f"{type(loaded).__name__}; call classifier.load first."
        )
    if isinstance(images, ArrayTable):
        table = images
    else:
        table = ArrayTable.of(images, np.zeros(len(images), np.int64))
    channels = loaded.network.preprocessing.channels
    check_table(table, len(loaded.class_names), "prediction", channels=channels)
    logarithms = log_probabilities(loaded.networks, loaded.config, table)
    return np.asarray(softmax(logarithms / loaded.temperature, axis=1), np.float64)


def log_probabilities(
    networks: Sequence[ImageClassifier], config: ClassifierConfig, table: ArrayTable
) -> NDArray[np.float64]:
    """Return logarithms of mean probabilities over networks and views, without a temperature.

    Args:
        networks: Networks in eval mode, on their device.
        config: The recipe; `views` and `contrast` are used.
        table: At least one image.

    Returns:
        float64 (N, C).

    Raises:
        ValueError: A network gives logits that are not finite.
    """
    device = next(networks[0].parameters()).device
    images = EvaluationSet(table, networks[0].preprocessing.input_size, config.contrast)
    views = [VIEWS[name] for name in config.views]
    found = []
    with torch.inference_mode():
        for batch, _ in evaluation_loader(images):
            seen = [view(batch.to(device)) for view in views]
            logits = torch.stack([network(images) for network in networks for images in seen])
            if not torch.isfinite(logits).all():
                raise ValueError(
                    "The classifier should give finite logits but gave NaN or infinity; train it "
                    "again with a lower classifier.learning_rate."
                )
            logarithms = logits.double().log_softmax(2)
            found.append(torch.logsumexp(logarithms, 0) - np.log(len(logits)))
    return np.asarray(torch.cat(found).cpu().numpy(), np.float64)


def _plain(images: Tensor) -> Tensor:
    return images


def _flip(images: Tensor) -> Tensor:
    return images.flip(-1)


def _zoom_in(images: Tensor) -> Tensor:
    side = images.shape[-1]
    cut = max(1, round(side * _ZOOM / 2))
    return _stretch(images[..., cut : side - cut, cut : side - cut], side)


def _zoom_out(images: Tensor) -> Tensor:
    side = images.shape[-1]
    frame = max(1, round(side * _ZOOM / 2))
    return _stretch(F.pad(images, (frame, frame, frame, frame)), side)


def _stretch(images: Tensor, side: int) -> Tensor:
    return F.interpolate(images.float(), size=(side, side), mode="bilinear", antialias=True)


def _turn(images: Tensor, degrees: float) -> Tensor:
    turned: Tensor = rotate(images.float(), degrees, InterpolationMode.BILINEAR)
    return turned


VIEWS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "plain": _plain,
    "flip": _flip,
    "zoom-in": _zoom_in,
    "zoom-out": _zoom_out,
    **{name: partial(_turn, degrees=degrees) for name, degrees in TURNS.items()},
}
"""View to its function of images (N, C, S, S)."""
