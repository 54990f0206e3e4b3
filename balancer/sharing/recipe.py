"""`recipe.json`, which says how other programs use an exported model; and a script that does."""

import importlib.metadata
from collections.abc import Iterator
from typing import Literal

from balancer.evaluation.trained_classifier import TrainedClassifier
from balancer.imaging.config import ImageRecipe
from balancer.imaging.pixels import GREY
from balancer.results import Record
from classifier.onnx_export import INPUT, PREDICTED, PROBABILITIES, TOLERANCE

CLASSIFIER_FILE, GENERATOR_FILE, RECIPE_FILE = "classifier.onnx", "generator.onnx", "recipe.json"
SCRIPT = """\
import io
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageCms, ImageOps

folder, *films = map(Path, sys.argv[1:])
recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
session = onnxruntime.InferenceSession(folder / "classifier.onnx")
for film in films:
    image = ImageOps.exif_transpose(Image.open(film))
    if image.mode not in ("1", "L", "P", "RGB") or image.has_transparency_data:
        sys.exit(f"{film} should be grey or RGB, 8 bits and opaque, but is {image.mode}")
    if recipe["before"]:
        sys.exit(f"{film} needs more than this script does: {recipe['before']}")
    square = image.convert("RGB") if image.mode == "P" else image
    profile = image.info.get("icc_profile")
    if profile and recipe["mode"] == square.mode == "RGB":
        square = ImageCms.profileToProfile(
            square, io.BytesIO(profile), ImageCms.createProfile("sRGB")
        )
    square = square.convert(recipe["mode"]).resize(recipe["size"], Image.Resampling.BICUBIC)
    probabilities, predicted = session.run(None, {"images": np.asarray(square)[None]})
    scores = dict(zip(recipe["class_names"], probabilities[0].tolist(), strict=True))
    print(film.name, recipe["class_names"][predicted[0]], json.dumps(scores))
"""
"""A program that needs onnxruntime, NumPy and Pillow alone."""


class ExportCheck(Record):
    """The comparison of an exported file with torch.

    Attributes:
        images: Number of images that were compared.
        largest_difference: Largest absolute difference, of the same pixels.
        tolerance: Largest difference that is accepted.
        with_resize: Largest difference where each side resizes by itself, which rounds a few pixels
            otherwise; null of a generator.
        versions: Versions of both sides.
    """

    images: int
    largest_difference: float
    tolerance: float = TOLERANCE
    with_resize: float | None = None
    versions: dict[str, str]

    @classmethod
    def of(cls, images: int, difference: float, with_resize: float | None = None) -> "ExportCheck":
        """Record a comparison just made."""
        names = ("torch", "onnx", "onnxruntime")
        versions = {name: importlib.metadata.version(name) for name in names}
        return cls(
            images=images,
            largest_difference=difference,
            tolerance=TOLERANCE,
            with_resize=with_resize,
            versions=versions,
        )

    @property
    def sentence(self) -> str:
        """Say how far the exported file and torch are apart, and on which images."""
        resized = self.with_resize
        rounding = (
            f" Where each resizes by itself it is {resized:.1e}, for they round pixels apart."
            if resized is not None and resized > self.tolerance
            else ""
        )
        return (
            f"Checked against torch on {self.images} images: the largest difference is "
            f"{self.largest_difference:.1e} (at most {self.tolerance:g} is accepted).{rounding}"
        )


class ClassifierRecipe(Record):
    """The way from a film to a class by `classifier.onnx`.

    Attributes:
        kind: Kind of the model.
        file: Name of the model's file.
        input: Name of its input: squares, uint8 (N, S, S) or (N, S, S, 3).
        outputs: Names of its outputs: probabilities, float32 (N, C), and classes, int64 (N,).
        mode: Mode of the images in the words of Pillow: grey (`L`) or `RGB`.
        size: Width and height of the squares.
        resize: Way from a film to a square.
        before: Steps that neither the file nor the resize does, in order; empty for most models.
        inside: Steps that the file does, in order.
        class_names: Names of the classes, by number.
        positive_class: Class that the threshold is about.
        threshold: Threshold of its probability; null: the most probable class is predicted.
        temperature: Divisor of the logits.
        views: Views of each image whose probabilities are averaged.
        members: Number of networks whose probabilities are averaged.
        model: Name of the network.
        weights_sha256: SHA-256 of the weights that the file was made from.
        metadata_key: Key of this recipe in the metadata of the file, without the check.
        check: Comparison with torch; null in the metadata of the file.
    """

    kind: Literal["classifier"] = "classifier"
    file: str = CLASSIFIER_FILE
    input: str = INPUT
    outputs: tuple[str, ...] = (PROBABILITIES, PREDICTED)
    mode: Literal["L", "RGB"]
    size: tuple[int, int]
    resize: str = "Pillow, Image.Resampling.BICUBIC, to 8 bits; the shape is stretched to a square"
    before: tuple[str, ...]
    inside: tuple[str, ...]
    class_names: tuple[str, ...]
    positive_class: str | None
    threshold: float | None
    temperature: float
    views: tuple[str, ...]
    members: int
    model: str
    weights_sha256: str
    metadata_key: str = "balancer"
    check: ExportCheck | None = None


def classifier_recipe(trained: TrainedClassifier) -> ClassifierRecipe:
    """Return the recipe of a classifier that has not been checked yet."""
    loaded, side = trained.loaded, trained.image_size
    positive = None if trained.positive is None else loaded.class_names[trained.positive]
    return ClassifierRecipe(
        mode="L" if trained.preprocessing.channels == GREY else "RGB",
        size=(side, side),
        before=tuple(_before(trained)),
        inside=tuple(_inside(trained)),
        class_names=loaded.class_names,
        positive_class=positive,
        threshold=trained.threshold,
        temperature=loaded.temperature,
        views=loaded.config.views,
        members=len(loaded.networks),
        model=loaded.config.model,
        weights_sha256=loaded.weights_sha256,
    )


def _before(trained: TrainedClassifier) -> Iterator[str]:
    settings = ImageRecipe.settings(trained.preprocessing)
    changed = [f"{key}={value}" for key, value in settings.items() if key != "channels"]
    if changed:
        yield f"before the resize, preprocessing of the balancer: {', '.join(changed)}"
    if trained.loaded.config.contrast != "none":
        side = trained.loaded.network.preprocessing.input_size
        yield (
            f"after the resize, OpenCV to {side} x {side} px (INTER_CUBIC up, INTER_AREA down) and "
            "CLAHE (clip limit 2.0, 8 x 8 tiles)"
        )


def _inside(trained: TrainedClassifier) -> Iterator[str]:
    loaded, seen = trained.loaded, trained.loaded.network.preprocessing
    if loaded.config.contrast == "none" and trained.image_size != seen.input_size:
        yield f"resize to {seen.input_size} x {seen.input_size} px as OpenCV does"
    yield f"views: {', '.join(loaded.config.views)}"
    yield f"normalisation: minus {seen.mean:g}, divided by {seen.std:g}"
    yield f"{loaded.config.model}, {len(loaded.networks)} network(s)"
    yield "mean of the probabilities over views and networks"
    yield f"temperature {loaded.temperature:.6g}"
    if trained.threshold is not None and trained.positive is not None:
        name = loaded.class_names[trained.positive]
        yield f"threshold: {name} from a probability of {trained.threshold:.6g}"
    else:
        yield "the most probable class"
