"""The three views of a film by its lungs."""

import numpy as np
import pytest

from balancer.imaging.lungs.views import lung_view


@pytest.fixture
def film():
    return np.random.default_rng(0).integers(1, 256, (40, 60), dtype=np.uint8)


@pytest.fixture
def lungs():
    mask = np.zeros((40, 60), np.bool_)
    mask[10:20, 15:25] = mask[12:26, 35:45] = True
    return mask


def test_without_a_margin_the_two_views_share_out_the_film(film, lungs):
    shown = lung_view(film, lungs, "lungs-only", margin=0)
    hidden = lung_view(film, lungs, "lungs-blacked-out", margin=0)
    assert np.array_equal(shown > 0, lungs)
    assert np.array_equal(hidden == 0, lungs)
    assert np.array_equal(shown + hidden, film)


def test_a_margin_grows_the_lungs_by_its_share_of_the_longer_side(film, lungs):
    lungs[:] = False
    lungs[20, 30] = True
    shown = lung_view(film, lungs, "lungs-only", margin=0.1) > 0
    down, across = np.nonzero(shown)
    assert (across.min(), across.max()) == (24, 36)  # 6 = 0.1 * 60
    assert (down.min(), down.max()) == (14, 26)
    hidden = lung_view(film, lungs, "lungs-blacked-out", margin=0.1)
    assert np.array_equal(hidden == 0, shown)


def test_a_crop_is_the_box_around_the_lungs(film, lungs):
    assert np.array_equal(lung_view(film, lungs, "crop-to-lungs", margin=0), film[10:26, 15:45])
    assert np.array_equal(lung_view(film, lungs, "crop-to-lungs", margin=0.05), film[7:29, 12:48])
    assert np.array_equal(lung_view(film, lungs, "crop-to-lungs", margin=1), film)


def test_an_empty_mask_shows_what_it_says(film, lungs):
    none = np.zeros_like(lungs)
    assert not lung_view(film, none, "lungs-only").any()
    assert np.array_equal(lung_view(film, none, "lungs-blacked-out"), film)
    assert np.array_equal(lung_view(film, none, "crop-to-lungs"), film)


def test_a_full_mask(film, lungs):
    every = np.ones_like(lungs)
    assert np.array_equal(lung_view(film, every, "lungs-only"), film)
    assert not lung_view(film, every, "lungs-blacked-out").any()
    assert np.array_equal(lung_view(film, every, "crop-to-lungs"), film)


@pytest.mark.parametrize("view", ["lungs-only", "lungs-blacked-out", "crop-to-lungs"])
def test_the_film_itself_is_left_alone(film, lungs, view):
    before = film.copy()
    result = lung_view(film, lungs, view)
    result[:] = 0
    assert np.array_equal(film, before)


def test_bad_arguments_are_refused(film, lungs):
    with pytest.raises(ValueError, match="lungs-only, lungs-blacked-out, crop-to-lungs"):
        lung_view(film, lungs, "heart")
    with pytest.raises(ValueError, match="shape"):
        lung_view(film, lungs[:-1], "lungs-only")
    for margin in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="margin"):
            lung_view(film, lungs, "lungs-only", margin=margin)
