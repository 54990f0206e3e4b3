"""A trained classifier as one ONNX file: from 8-bit squares to probabilities and classes.

The graph holds all that `predict` computes: the resize to the network's side, the views, every
network, their mean, the temperature, and the threshold.
"""

import importlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from classifier.checkpoint import LoadedClassifier
from classifier.explain import MissingPackage
from classifier.prediction import TURNS, VIEWS, predict
from classifier.tables import Image, prepare

TOLERANCE = 1e-4
"""Largest difference between the probabilities of the file and of torch that is accepted."""
RESIZE_TOLERANCE = 1e-2
"""The same where each resizes by itself: OpenCV rounds a pixel in ten thousand to the neighbouring
grey level, without Intel's library a pixel in twenty."""
INPUT, PROBABILITIES, PREDICTED = "images", "probabilities", "predicted"
"""Names of the graph's input and outputs."""
_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir")


class ClassifierExportError(ValueError):
    """A classifier that cannot be an ONNX file, or a file that does not compute what it does.

    Example:
        >>> from classifier import ClassifierExportError
        >>> try:
        ...     raise ClassifierExportError("The file should agree with torch but does not.")
        ... except ClassifierExportError as error:
        ...     print(error)
        The file should agree with torch but does not.
    """


@dataclass(frozen=True, slots=True)
class ExportDifference:
    """Largest absolute differences of a probability between an ONNX file and torch.

    Example:
        >>> from classifier import ExportDifference
        >>> ExportDifference(same_pixels=1e-7, resized=3e-4).same_pixels < 1e-4
        True

    Attributes:
        same_pixels: Where the networks see the same pixels.
        resized: Where each resizes by itself, torch by OpenCV; without a resize the same.
    """

    same_pixels: float
    resized: float


class DecisionGraph(nn.Module):
    """A classifier as one module, from 8-bit squares to probabilities and class numbers.

    Args:
        loaded: The classifier, on the CPU.
        side: Side of the squares that the graph takes, in pixels.
        positive: Number of the positive class; used with a threshold.
        threshold: Threshold of its probability; None: the most probable class is predicted.
    """

    def __init__(
        self, loaded: LoadedClassifier, side: int, *, positive: int, threshold: float | None
    ) -> None:
        super().__init__()
        network = loaded.network
        self.networks = nn.ModuleList(loaded.networks)
        self._views, self._temperature = loaded.config.views, loaded.temperature
        self._positive, self._threshold = positive, threshold
        seen = network.preprocessing.input_size
        self.resizes, self._halves = side != seen, side == 2 * seen
        self.register_buffer("resize", torch.from_numpy(_resize_matrix(side, seen)))
        for name in TURNS.keys() & set(self._views):
            self.register_buffer(name, _turn_grid(TURNS[name], seen))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify images.

        Args:
            images: uint8 (N, S, S), or (N, S, S, 3) of a classifier of colours.

        Returns:
            Probabilities, float32 (N, C), and class numbers, int64 (N,).
        """
        pixels = self.resized(images)
        views = [self._view(name, pixels) for name in self._views]
        logits = torch.stack([network(view) for network in self.networks for view in views])
        logarithms = torch.logsumexp(logits.double().log_softmax(2), 0)
        probabilities = (logarithms / self._temperature).softmax(1)
        return probabilities.float(), self._decide(probabilities)

    def resized(self, images: Tensor) -> Tensor:
        """Resize as `tables.resize` does: images as above to whole levels, float (N, C, S, S)."""
        planes = images.unsqueeze(1) if images.ndim == 3 else images.movedim(3, 1)
        if not self.resizes:
            return planes.float()
        matrix = self.get_buffer("resize")
        exact = matrix @ planes.double() @ matrix.T
        # OpenCV rounds a half to even, but up where it halves the side.
        rounded = (exact + 0.5).floor() if self._halves else exact.round()
        return rounded.clamp(0, 255).float()

    def _view(self, name: str, pixels: Tensor) -> Tensor:
        if name not in TURNS:
            return VIEWS[name](pixels)
        grid = self.get_buffer(name).expand(pixels.shape[0], -1, -1, -1)
        return F.grid_sample(pixels, grid, align_corners=False)

    def _decide(self, probabilities: Tensor) -> Tensor:
        if self._threshold is None:
            return probabilities.argmax(1)
        is_positive = (probabilities[:, self._positive] >= self._threshold).long()
        return is_positive * self._positive + (1 - is_positive) * (1 - self._positive)


def export_onnx(
    loaded: LoadedClassifier,
    path: str | Path,
    images: Image,
    *,
    positive: int = 0,
    threshold: float | None = None,
    metadata: Mapping[str, str] | None = None,
) -> ExportDifference:
    """Write a classifier as an ONNX file and check it against torch.

    Example:
        >>> import numpy as np
        >>> from classifier import ArrayTable, ClassifierConfig, export_onnx, load, train
        >>> images = np.random.default_rng(0).integers(0, 256, (16, 32, 32), dtype=np.uint8)
        >>> table = ArrayTable.of(images, labels=[0, 1] * 8)
        >>> config = ClassifierConfig(model="bam-cnn", batch_size=8, epochs=1, members=1)
        >>> loaded = load(train(table, table, config, out_dir="exported").checkpoint)
        >>> export_onnx(loaded, "exported/model.onnx", images).same_pixels < 1e-4
        True

    Args:
        loaded: The classifier, on the CPU.
        path: File to write; its folder exists.
        images: Images to check with, at the side at which the classifier reads them: uint8
            (N, S, S) or (N, S, S, 3), at least one. The graph takes images of this side; where the
            recipe equalises contrast, those that `prepared` returns.
        positive: Number of the positive class; used with a threshold.
        threshold: Threshold of its probability; None: the most probable class is predicted.
        metadata: Stored in the file.

    Returns:
        Differences between onnxruntime and torch on these images.

    Raises:
        MissingPackage: A package of the extra `export` is missing.
        ClassifierExportError: The file does not agree with torch on these images, or the network
            cannot be written as one.
        ValueError: There are no images, or of another kind.
    """
    _require_packages()
    wanted = predict(loaded, images)
    squares = prepared(loaded, images)
    graph = DecisionGraph(loaded, squares.shape[1], positive=positive, threshold=threshold).eval()
    example = torch.from_numpy(squares[:2])
    try:
        write_onnx(graph, example, path, INPUT, (PROBABILITIES, PREDICTED), metadata or {})
        found, _ = run_onnx(path, {INPUT: squares})
    except Exception as error:  # exporter and runtime raise anything; to the user it is one fault
        raise ClassifierExportError(
            f"{loaded.config.model} should become an ONNX file that onnxruntime reads, but: "
            f"{' '.join(str(error).split())[:200]}; choose another classifier.model."
        ) from error
    difference = ExportDifference(
        same_pixels=_largest(
            found - (_on_resized(loaded, graph, squares) if graph.resizes else wanted)
        ),
        resized=_largest(found - wanted),
    )
    for value, limit in (
        (difference.same_pixels, TOLERANCE),
        (difference.resized, RESIZE_TOLERANCE),
    ):
        if not value <= limit:
            raise ClassifierExportError(
                f"{path} should give the probabilities of torch to {limit:g}, but differs by "
                f"{value:.2g} on {len(images)} images; choose another classifier.model, or other "
                "versions of onnx and onnxruntime."
            )
    return difference


def _on_resized(loaded: LoadedClassifier, graph: DecisionGraph, squares: Image) -> NDArray[Any]:
    """Return the probabilities that torch gives for the pixels that the graph resizes to."""
    planes = graph.resized(torch.from_numpy(squares)).byte().numpy()
    return predict(loaded, planes[:, 0] if squares.ndim == 3 else np.moveaxis(planes, 1, 3))


def _largest(differences: NDArray[Any]) -> float:
    return float(np.abs(differences).max())


def prepared(loaded: LoadedClassifier, images: Image) -> Image:
    """Return images as the graph takes them: unchanged, unless the recipe equalises contrast.

    CLAHE is no graph of tensors; such images are resized and equalised before it.
    """
    contrast, side = loaded.config.contrast, loaded.network.preprocessing.input_size
    if contrast == "none":
        return np.ascontiguousarray(images)
    return np.stack([prepare(image, side, contrast) for image in images])


def run_onnx(path: str | Path, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the outputs of an ONNX file, on the CPU.

    Args:
        path: The file.
        inputs: Input by name.

    Raises:
        MissingPackage: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing(error) from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs: list[NDArray[Any]] = session.run(None, dict(inputs))
    return outputs


def write_onnx(
    graph: nn.Module,
    example: Tensor,
    path: str | Path,
    takes: str,
    gives: Sequence[str],
    metadata: Mapping[str, str],
    *,
    strict: bool = False,
) -> None:
    """Write a module as an ONNX file.

    Args:
        graph: Module of one tensor, whose first side is the number of images, in eval mode.
        example: A tensor for two images.
        path: File to write; its folder exists.
        takes: Name of the input.
        gives: Names of the outputs.
        metadata: Stored in the file.
        strict: Follow the Python code itself, which takes longer: for a module that asks for
            `len` of its input, which would otherwise be that of the example for ever.

    Raises:
        MissingPackage: onnx or onnxscript is not installed.
    """
    _require_packages()
    with _quiet():
        traced = torch.export.export(
            graph, (example,), dynamic_shapes=({0: torch.export.Dim("n")},), strict=strict
        )
        program: Any = torch.onnx.export(
            traced, dynamo=True, verbose=False, input_names=[takes], output_names=list(gives)
        )
        program.model.metadata_props.update(metadata)
        program.save(path, external_data=False)


def _require_packages() -> None:
    """Refuse a missing package before the export, which takes up to a minute."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise _missing(error) from error


def _missing(error: ImportError) -> MissingPackage:
    return MissingPackage(
        f"An export needs onnx, onnxscript and onnxruntime, but: {error}; pip install "
        "'balancer[export]'."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the notes of the exporter on its own work from the user: the check decides."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _resize_matrix(side: int, seen: int) -> NDArray[np.float64]:
    """Return the weights (seen, side) by which OpenCV resizes one axis."""
    interpolation = cv2.INTER_CUBIC if seen >= side else cv2.INTER_AREA
    weights = cv2.resize(np.eye(side), (side, seen), interpolation=interpolation)
    return np.asarray(weights, np.float64)


def _turn_grid(degrees: float, side: int) -> Tensor:
    """Return the places (1, side, side, 2) that a turned square is sampled at.

    A constant, because the exporter cannot follow torchvision's own computation of it.
    """
    angle = math.radians(degrees)
    turn = [[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]]
    return F.affine_grid(torch.tensor([turn]), [1, 1, side, side], align_corners=False)
