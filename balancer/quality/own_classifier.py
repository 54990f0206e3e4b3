"""The run's own classifier as a feature extractor, sensitive to what this task depends on."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from balancer.errors import IntegrityError
from balancer.evaluation.trained_classifier import UnreadableClassifier, load_trained
from balancer.quality.extractors import Extractor, common_recipe, input_words
from classifier.checkpoint import WEIGHTS, LoadedClassifier
from classifier.tables import pictures, planes, prepare


def classifier_extractor(directory: Path, index_hash: str) -> Extractor:
    """Load the classifier that was trained on real images alone.

    Args:
        directory: Folder of the classifier.
        index_hash: Hash of today's index; the classifier must have been trained on its split.

    Raises:
        IntegrityError: The classifier is damaged, saw synthetic images, or another split.
    """
    try:
        trained = load_trained(directory)
    except UnreadableClassifier as error:
        raise IntegrityError(
            f"The extractor classifier cannot be used: {error} Train it again with "
            "`balancer classify --force`, or measure with quality.extractors=[lite0]."
        ) from error
    if trained.index_hash != index_hash or trained.n_synthetic != 0:
        raise IntegrityError(
            f"{directory} should hold a classifier of today's real training images, but it was "
            "trained on others; train it again with `balancer classify --force`."
        )
    loaded = trained.loaded
    seen = loaded.network.preprocessing
    network = _Penultimate(loaded)
    return Extractor(
        suffix="[classifier]",
        registered_name=f"classifier-{loaded.weights_sha256[:8]}",
        dimension=network.dimension,
        recipe={
            "extractor": "classifier",
            "network": f"{loaded.config.model} trained on the real training images, features "
            "before the last layer",
            "weights": WEIGHTS,
            "weights_sha256": loaded.weights_sha256,
            "input": f"{input_words(seen.channels)}, {seen.as_json()}",
            **common_recipe("timm"),
        },
        network=network,
    )


class _Penultimate(nn.Module):
    """Features before the last layer: uint8 (N, C, H, W) to a one-tuple of (N, F)."""

    def __init__(self, loaded: LoadedClassifier) -> None:
        super().__init__()
        self._network = loaded.network.eval().requires_grad_(False)
        self._side = loaded.network.preprocessing.input_size
        self._contrast = loaded.config.contrast
        first = next(layer for layer in loaded.network.head if isinstance(layer, nn.Linear))
        self.dimension = first.in_features

    def forward(self, images: Tensor) -> tuple[Tensor]:
        resized = np.stack(
            [
                planes(prepare(np.ascontiguousarray(image), self._side, self._contrast))
                for image in pictures(images.numpy())
            ]
        )
        return (self._network.features(torch.from_numpy(resized)).float(),)
