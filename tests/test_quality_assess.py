"""The smallest sets that a run can bring to `balancer quality`: measured or not asked, no crash."""

import json

import numpy as np
import pytest

from balancer.quality import checks
from balancer.quality.assess import assess
from balancer.quality.checks import CHECKS, ask_all
from balancer.quality.config import GateConfig, QualityConfig
from balancer.quality.extractors import load_extractor
from balancer.quality.figures import Figures
from balancer.quality.sets import ClassImages
from support.brightness_check import BrightnessCheck


def images(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def measured(accepted: np.ndarray, made: np.ndarray, own: int, other: int) -> Figures:
    entry, nearest = assess(
        ClassImages(
            "rare",
            accepted=accepted,
            made=made,
            training={"common": images(other, 1), "rare": images(own, 2)},
            validation={"common": images(3, 3), "rare": images(2, 4)},
        ),
        extractors={"lite0": load_extractor("lite0")},
        quality=QualityConfig(ms_ssim_pairs=5),
        gate=GateConfig(),
        seed=0,
    )
    assert len(nearest.rows) == len(accepted)
    json.dumps(entry.model_dump(mode="json"), allow_nan=False)
    return entry


@pytest.mark.parametrize(("n", "own", "other"), [(1, 6, 12), (2, 6, 12), (6, 1, 12), (6, 6, 1)])
def test_tiny_sets_are_measured_as_far_as_they_go(n: int, own: int, other: int) -> None:
    made = images(n, 5)
    found = ask_all("rare", measured(made, made, own, other), GateConfig())
    assert None in [answer.passed for answer in found.checks]
    assert found.passed is not True


def test_copies_that_were_rejected_count_though_both_sets_are_equally_long() -> None:
    honest, copies = images(6, 5), images(6, 2)  # the latter are the training images
    entry = measured(honest, copies, own=6, other=12)
    assert entry.memorization.near_copies.generated == 1
    assert measured(honest, honest, 6, 12).memorization.near_copies.generated == 0


def test_a_check_of_its_own_is_measured_and_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    made = images(6, 5)
    assert "own" not in measured(made, made, 6, 12).model_dump(exclude_unset=True)
    monkeypatch.setattr(checks, "CHECKS", (*CHECKS, BrightnessCheck()))
    figures = measured(made, made, 6, 12)
    assert figures.own == {"brightness": {"mean": made.mean()}}
    assert "brightness" in ask_all("rare", figures, GateConfig()).failures
