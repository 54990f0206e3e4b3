"""Lungs found without training: on phantoms with exact masks, and on films that have none."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from balancer.data.io import read_radiograph
from balancer.imaging.lungs.segment import (
    DOUBTFUL,
    FLAGS,
    NO_LUNGS,
    ONE_LUNG,
    UNEQUAL,
    dice,
    judge_mask,
    segment_lungs,
)
from samples.phantom import draw_lung_field, draw_phantom

REAL = Path(__file__).parent.parent.parent / "shared" / "data" / "radiography-bam"
SEEDS = range(300, 340)


@pytest.fixture(scope="module")
def healthy():
    """Phantoms, what was found in them, and their exact lungs."""
    found = []
    for seed in SEEDS:
        film = draw_phantom(seed, covid=False)
        found.append((film, segment_lungs(film), draw_lung_field(seed)))
    return found


def test_the_exact_lungs_are_where_the_film_is_dark(healthy):
    """The mask of a phantom agrees with its pixels, and is the same with and without disease."""
    for film, _, lungs in healthy:
        around = cv2.dilate(lungs.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~lungs
        assert film[lungs].mean() < film[around].mean()
        assert 0.05 < lungs.mean() < 0.6
    left, right = draw_lung_field(5)[:, :64], draw_lung_field(5)[:, 64:]
    assert left.any()
    assert right.any()


def test_the_exact_lungs_keep_their_shape_at_another_size():
    small, large = draw_lung_field(7, size=64), draw_lung_field(7, size=256)
    again = cv2.resize(large.astype(np.uint8), (64, 64), interpolation=cv2.INTER_AREA) > 0
    assert dice(small, again) > 0.95


def test_healthy_phantoms_are_found(healthy):
    agreement = [dice(field.mask, lungs) for _, field, lungs in healthy]
    assert np.mean(agreement) > 0.9
    assert np.median(agreement) > 0.93


def test_quality_is_lower_where_the_mask_is_wrong(healthy):
    """Masks of trusted quality agree better with the truth than doubtful ones do."""
    pairs = [(field.quality, dice(field.mask, lungs)) for _, field, lungs in healthy]
    for seed in range(40):
        field = segment_lungs(draw_phantom(seed, covid=True))
        pairs.append((field.quality, dice(field.mask, draw_lung_field(seed))))
    trusted = [agreement for quality, agreement in pairs if quality >= DOUBTFUL]
    doubtful = [agreement for quality, agreement in pairs if quality < DOUBTFUL]
    assert len(trusted) > len(doubtful) > 0
    assert np.mean(trusted) > np.mean(doubtful) + 0.05


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (128, 128), (300, 200), (1100, 900)])
def test_the_mask_has_the_shape_of_the_film(shape):
    film = cv2.resize(draw_phantom(3, covid=False), shape[::-1], interpolation=cv2.INTER_LINEAR)
    field = segment_lungs(film)
    assert field.mask.shape == shape
    assert field.mask.dtype == np.bool_
    assert 0 <= field.quality <= 1
    assert set(field.flags) <= set(FLAGS)


def test_the_size_of_a_film_hardly_matters():
    film = draw_phantom(11, covid=False, size=512)
    small = cv2.resize(film, (256, 256), interpolation=cv2.INTER_AREA)
    again = cv2.resize(
        segment_lungs(small).mask.astype(np.uint8), (512, 512), interpolation=cv2.INTER_NEAREST
    )
    assert dice(segment_lungs(film).mask, again > 0) > 0.97


def test_the_same_film_gives_the_same_mask():
    film = draw_phantom(4, covid=True)
    one, other = segment_lungs(film), segment_lungs(film.copy())
    assert np.array_equal(one.mask, other.mask)
    assert (one.quality, one.flags) == (other.quality, other.flags)


def test_exposure_does_not_move_the_outline():
    film = draw_phantom(12, covid=False)
    darker = np.rint(film * 0.6 + 20).astype(np.uint8)
    assert dice(segment_lungs(film).mask, segment_lungs(darker).mask) > 0.97


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_film_has_no_lungs(grey):
    field = segment_lungs(np.full((100, 120), grey, np.uint8))
    assert not field.mask.any()
    assert (field.quality, field.flags) == (0.0, (NO_LUNGS,))


def test_noise_is_not_trusted():
    rng = np.random.default_rng(0)
    for _ in range(5):
        field = segment_lungs(rng.integers(0, 256, (128, 128), dtype=np.uint8))
        assert field.quality < DOUBTFUL


def test_a_hidden_lung_is_noticed():
    """Half of a film painted as white as its bones: one lung is left, and no good quality."""
    for seed in (0, 3, 8):
        film = draw_phantom(1000 + seed, covid=False)
        film[:, : film.shape[1] // 2] = 235
        assert segment_lungs(film).quality < DOUBTFUL


def test_masks_from_elsewhere_are_judged_alike():
    film, lungs = draw_phantom(2, covid=False), draw_lung_field(2)
    good, _ = judge_mask(film, lungs)
    one = lungs.copy()
    one[:, :64] = False
    half, flags = judge_mask(film, one)
    assert ONE_LUNG in flags
    assert half < DOUBTFUL < good
    assert judge_mask(film, np.zeros_like(lungs)) == (0.0, (NO_LUNGS,))
    small = one.copy()
    small[40:56, 36:48] = True
    assert UNEQUAL in judge_mask(film, small)[1]


def test_colour_is_refused():
    with pytest.raises(ValueError, match=r"uint8 \(H, W\)"):
        segment_lungs(np.zeros((8, 8, 3), np.uint8))


def test_dice_by_hand():
    one = np.array([[True, True, False, False]])
    other = np.array([[True, False, True, False]])
    assert dice(one, other) == pytest.approx(2 * 1 / 4)
    assert dice(one, one) == 1.0
    assert dice(one, ~one) == 0.0
    assert dice(one & ~one, one & ~one) == 1.0


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real films of ../shared/data")
def test_most_real_normal_films_are_trusted():
    files = sorted(REAL.glob("Normal/*.png"))[::40]
    fields = [segment_lungs(read_radiograph(file)) for file in files]
    assert np.mean([field.quality >= DOUBTFUL for field in fields]) > 0.75
    areas = [field.mask.mean() for field in fields if field.quality >= DOUBTFUL]
    assert 0.15 < np.median(areas) < 0.35
