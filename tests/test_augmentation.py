"""The seam around albumentations: its pixels are those of OpenCV, draw by draw."""

import ast
from pathlib import Path

import cv2
import numpy as np
import pytest

from classifier.augmentation import Augmentation
from support.opencv_augmentation import OpenCVAugmentation

ROOT = Path(__file__).parent.parent
RECIPES = {
    "default": {"rotation": 10.0, "shift": 0.05, "zoom": 0.0, "warp_probability": 0.5},
    "lungs": {"rotation": 10.0, "shift": 0.06, "zoom": 0.15, "warp_probability": 0.8},
    "all of it": {"rotation": 180.0, "shift": 0.5, "zoom": 0.5, "warp_probability": 1.0},
    "levels alone": {"rotation": 0.0, "shift": 0.0, "zoom": 0.0, "warp_probability": 1.0},
}
FLIPS = {
    "default": {},
    "lungs": {"horizontal_flip": 0.5, "brightness_probability": 0.8},
    "all of it": {"horizontal_flip": 0.5, "vertical_flip": 0.5},
    "levels alone": {"vertical_flip": 1.0},
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("shape", [(64, 64), (33, 47)])
def test_pixels_are_those_of_opencv(recipe: str, shape: tuple[int, int]) -> None:
    settings = {**RECIPES[recipe], "brightness": 0.25, **FLIPS[recipe]}
    ours, other = Augmentation(**settings), OpenCVAugmentation(**settings)
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, shape, dtype=np.uint8), (3, 3), 0)
    mask = (image > 128).astype(np.uint8)
    changed = 0
    for seed in [0, 2**32 - 1, *rng.integers(0, 2**32, 100).tolist()]:
        made, made_mask = ours.with_mask(image, mask, seed=seed)
        wanted, wanted_mask = other.with_mask(image, mask, seed=seed)
        np.testing.assert_array_equal(made, wanted)
        np.testing.assert_array_equal(made_mask, wanted_mask)
        np.testing.assert_array_equal(ours(image, seed=seed), made)
        changed += not np.array_equal(made, image)
    assert changed > 80


def test_one_module_uses_albumentations() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for package in ("balancer", "gan", "classifier")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import) and any("albumentations" in one.name for one in node.names)
    }
    assert users == {"classifier/augmentation.py"}
