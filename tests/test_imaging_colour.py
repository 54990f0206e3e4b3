"""White balance and stain: closed forms, and what the command refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from balancer.imaging.colour import (
    _TARGET_MEAN,
    _TARGET_SPREAD,
    _TO_LMS,
    _TO_OPPONENT,
    reinhard,
    stain_directions,
    white_balance,
)
from balancer.imaging.config import ImageRecipe
from balancer.imaging.preprocess import preprocessor
from support.drawn_kinds import STAINS, tissue
from support.radiograph_folders import film, save
from support.reading_command import prepare, prepared, refused


def lit(seed: int, *light: float) -> np.ndarray:
    """Draw a grey scene under a coloured light."""
    scene = film(seed, 64)[..., None] / 255 * 150 + 20
    return np.rint(scene * np.array(light)).astype(np.uint8)


@pytest.mark.parametrize("power", [1.0, 6.0])
def test_white_balance_is_the_published_formula(power: float) -> None:
    pixels = lit(3, 1.2, 1.0, 0.7)
    light = (pixels.reshape(-1, 3).astype(float) ** power).mean(axis=0) ** (1 / power)
    wanted = pixels / (light / np.linalg.norm(light) * np.sqrt(3))
    np.testing.assert_allclose(white_balance(pixels, power), wanted.clip(0, 255), atol=0.51)
    # A grey scene is grey again, whatever the light, and grey stays grey.
    assert np.ptp(white_balance(pixels, power).astype(int), axis=-1).max() <= 2
    grey = np.repeat(film(1)[..., None], 3, axis=-1)
    np.testing.assert_array_equal(white_balance(grey, power), grey)


def test_a_channel_without_light_changes_nothing() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    assert white_balance(red, 1.0) is red


def test_the_stain_gets_mean_and_spread_of_the_reference() -> None:
    done = reinhard(tissue(1))
    stained = tissue(1).min(axis=-1) < 150
    values = np.log(np.maximum(done, 1) @ _TO_LMS.T) @ _TO_OPPONENT.T
    # Light colours are cut off at white, so that the two are met only nearly.
    np.testing.assert_allclose(values[stained].mean(axis=0), _TARGET_MEAN, atol=0.12)
    assert (values[stained].std(axis=0) < 1.3 * _TARGET_SPREAD + 0.02).all()
    other = tissue(1, np.array([[0.45, 0.80, 0.40], [0.20, 0.90, 0.35]]))

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs(a.astype(int) - b).mean())

    assert apart(reinhard(other), done) < 0.6 * apart(other, tissue(1))
    glass = np.full((16, 16, 3), 245, np.uint8)
    assert reinhard(glass) is glass


def test_the_directions_of_two_stains_do_not_depend_on_their_amounts() -> None:
    unit = STAINS / np.linalg.norm(STAINS, axis=1, keepdims=True)
    for seed in range(3):
        found = stain_directions(tissue(seed))
        assert ((found * unit).sum(axis=1) > 0.99).all()
    assert not stain_directions(np.full((16, 16, 3), 245, np.uint8)).any()


def test_steps_of_colour_come_before_contrast() -> None:
    done = preprocessor(ImageRecipe(channels=3, colour="shades-of-grey", contrast="window"))
    pixels = lit(3, 1.2, 1.0, 0.7)
    names = [step.name for step in done.steps(pixels)]
    assert names == ["film", "shades-of-grey", "window"]
    np.testing.assert_array_equal(done.steps(pixels)[1].pixels, white_balance(pixels, 6.0))


def test_the_domain_says_which_step_is_sane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(16):
        save(Path("skin") / "ab"[number % 2] / f"{number}.png", lit(number, 1.2, 1.0, 0.7))
    few = ("--set", "data.min_images=3", "--set", "preprocessing.colour=reinhard")
    assert "shades-of-grey" in refused("skin", 2, *few)
    grey = refused("skin", 2, *few, "--set", "data.channels=1", "--set", "data.domain=general")
    assert "data.channels" in grey
    prepared("skin", *few[:2], "--set", "preprocessing.colour=shades-of-grey")
    record = json.loads(Path("w/index/result.json").read_text())["settings"]["preprocessing"]
    assert record == {"version": 1, "channels": 3, "colour": "shades-of-grey"}
    assert Path("w/index/preprocessing.png").stat().st_size
    assert prepare("skin", *few[:2], "--set", "preprocessing.colour=grey-world").exit_code == 2
