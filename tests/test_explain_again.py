"""Redrawn pictures of `balancer explain`, and options that are refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from balancer.config import BalancerConfig
from balancer.errors import ConfigurationError
from balancer.stages import explain
from balancer.workspace import Workspace
from support.tiny_pipeline import config_for


def draw_masks(folder: Path, data: Path, columns: int) -> None:
    """Masks whose lungs are the first columns of every film."""
    lungs = np.zeros((40, 40), np.uint8)
    lungs[:, :columns] = 255
    for film in data.glob("*/*.png"):
        (folder / film.parent.name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / film.parent.name / film.name), lungs)


def test_new_masks_are_measured_again(copied: Workspace, data: Path, tmp_path: Path) -> None:
    draw_masks(tmp_path, data, 20)
    config = config_for(data, f"ablation.masks={tmp_path}")
    first = explain.run(config, copied, per_class=0)
    assert explain.run(config, copied, per_class=0) == first
    draw_masks(tmp_path, data, 10)
    assert explain.run(config, copied, per_class=0).metrics.models != first.metrics.models


def test_a_layer_without_an_image_is_refused(copied: Workspace, config: BalancerConfig) -> None:
    with pytest.raises(ConfigurationError, match="--layer"):
        explain.run(config, copied, per_class=0, layer="anything")
