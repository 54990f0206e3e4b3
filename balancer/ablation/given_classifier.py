"""A classifier of the user's own, as a study trains it: scikit-learn's protocol, or Lightning's."""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning
import numpy as np
import sklearn.base
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from balancer.data.io import Pixels
from balancer.errors import ConfigurationError
from balancer.imaging.pixels import planes
from classifier.trainer import TrainingHardware, new_trainer, plain_interrupts, quiet

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]
PredictImages = Callable[[Pixels], Probabilities]
_SUM = 1e-3
"""Largest distance of the sum of an image's probabilities from 1."""
_BATCH_OF_PREDICTION = 256
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class GivenClassifier:
    """A classifier of the user's own; each training is of a fresh copy.

    Attributes:
        given: An object with `fit` and `predict_proba`, a LightningModule, or a function without
            arguments that returns either.
        rows: Whether `fit` takes images as rows, float32 (N, pixels) in [0, 1], as scikit-learn's
            own classifiers do; else as uint8 (N, S, S) or (N, S, S, 3).
        epochs: Passes of a LightningModule over the real training images of a split; all arms take
            as many optimizer steps.
        batch_size: Number of images of its steps.
    """

    given: Any
    rows: bool = True
    epochs: int = 10
    batch_size: int = 32

    @property
    def name(self) -> str:
        """Name of the class, or of the function."""
        return str(getattr(self.given, "__name__", type(self.given).__name__))

    @property
    def recipe(self) -> dict[str, Any]:
        """Return the settings of its training; of a function or an object, its name alone."""
        known: dict[str, Any] = {"name": self.name, "rows": self.rows}
        if isinstance(self.given, lightning.LightningModule):
            layers = {"layers": repr(self.given), "settings": dict(self.given.hparams)}
            known |= layers | {"epochs": self.epochs, "batch_size": self.batch_size}
        elif hasattr(self.given, "get_params") and not isinstance(self.given, type):
            known |= {"settings": self.given.get_params()}
        # An address differs from process to process.
        return {key: _ADDRESS.sub("", repr(value)) for key, value in known.items()}

    def steps(self, n_real: int) -> int:
        """Return the optimizer steps of a LightningModule on a split with so many real images."""
        return self.epochs * -(-n_real // self.batch_size)

    def fit(
        self, images: Pixels, labels: Labels, *, n_classes: int, n_real: int, seed: int
    ) -> PredictImages:
        """Train a fresh copy.

        Args:
            images: uint8 (N, S, S) or (N, S, S, 3).
            labels: Class numbers, int64 (N,).
            n_classes: Number of classes.
            n_real: Number of real training images of the split, for the steps.
            seed: Seed for the weights and the order of the images.

        Returns:
            Function from images to the probabilities of the classes, float64 (N, C).

        Raises:
            ConfigurationError: It is no such classifier, or its probabilities are none.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _fresh(self.given, seed)
            if isinstance(model, lightning.LightningModule):
                predict = self._train_module(model, images, labels, n_real)
            else:
                model.fit(self._as_taken(images), labels)

                def predict(some: Pixels) -> Any:
                    return model.predict_proba(self._as_taken(some))

        def checked(some: Pixels) -> Probabilities:
            return _checked(predict(some), len(some), n_classes, self.name)

        return checked

    def _as_taken(self, images: Pixels) -> NDArray[Any]:
        return images.reshape(len(images), -1).astype(np.float32) / 255 if self.rows else images

    def _train_module(
        self, model: lightning.LightningModule, images: Pixels, labels: Labels, n_real: int
    ) -> Callable[[Pixels], Any]:
        table = TensorDataset(_planes(images), torch.from_numpy(labels))
        # A last batch of one image would stop a batch norm.
        lonely = len(labels) % self.batch_size == 1 and len(labels) > self.batch_size
        loader = DataLoader(table, self.batch_size, shuffle=True, drop_last=lonely)
        with quiet(), plain_interrupts():
            trainer = new_trainer(TrainingHardware(), self.steps(n_real))
            trainer.fit(model, loader)
        model.eval()

        def predict(some: Pixels) -> Any:
            with torch.no_grad():
                parts = torch.split(_planes(some).to(model.device), _BATCH_OF_PREDICTION)
                return torch.cat([model(part).softmax(1) for part in parts]).double().cpu().numpy()

        return predict


def _fresh(given: Any, seed: int) -> Any:
    """Return an untrained copy whose `random_state`, where it has one, is the seed."""
    is_ready = not isinstance(given, type) and (
        isinstance(given, lightning.LightningModule) or hasattr(given, "fit")
    )
    if not is_ready and callable(given):
        model = given()
    elif hasattr(given, "get_params"):
        model = sklearn.base.clone(given)
    else:
        model = copy.deepcopy(given)
    if isinstance(model, lightning.LightningModule):
        return model
    if not (hasattr(model, "fit") and hasattr(model, "predict_proba")):
        raise ConfigurationError(
            "The classifier should have fit and predict_proba, be a LightningModule, or be a "
            f"function that returns one of these, but is of type {type(model).__name__}; give one."
        )
    if hasattr(model, "get_params"):
        own = [n for n in model.get_params() if n.rpartition("__")[2] == "random_state"]
        model.set_params(**dict.fromkeys(own, seed))
    return model


def _planes(images: Pixels) -> Tensor:
    """Return uint8 (N, S, S) or (N, S, S, 3) as float32 (N, C, S, S) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(planes(images))).float() / 255


def _checked(found: Any, n_images: int, n_classes: int, name: str) -> Probabilities:
    probabilities = np.asarray(found, np.float64)
    if probabilities.shape != (n_images, n_classes):
        raise ConfigurationError(
            f"{name} should give probabilities of shape {(n_images, n_classes)}, one per image and "
            f"class, but gives {probabilities.shape}; correct predict_proba, or forward."
        )
    if (
        not np.isfinite(probabilities).all()
        or probabilities.min() < 0
        or np.abs(probabilities.sum(axis=1) - 1).max() > _SUM
    ):
        raise ConfigurationError(
            f"{name} should give probabilities from 0 to 1 that sum to 1 for each image, but gives "
            "others; correct predict_proba, or return logits from forward."
        )
    return probabilities
