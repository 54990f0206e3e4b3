import cv2
import numpy as np
import pytest

from balancer.imaging.contrast import clahe, equalize, histogram, window
from balancer.imaging.pixels import crop_square, pad_square
from samples.phantom import draw_phantom


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    return draw_phantom(3, covid=True, size=128)


def test_equalisation_is_that_of_opencv_and_a_mask_of_all_changes_nothing(film: np.ndarray) -> None:
    wanted = cv2.equalizeHist(film)
    np.testing.assert_array_equal(equalize(film), wanted)
    np.testing.assert_array_equal(equalize(film, np.ones(film.shape, bool)), wanted)


def test_equalised_grey_values_cover_shares_of_the_film() -> None:
    """By the formula: (pixels up to a value - those of the least) / (all others) of 255."""
    steps = np.repeat(np.uint8([10, 20, 30, 40, 50]), [5, 1, 2, 3, 4])[None]
    assert np.unique(equalize(steps)).tolist() == [0, 26, 76, 153, 255]


def test_hidden_pixels_do_not_count(film: np.ndarray) -> None:
    shown = np.zeros(film.shape, bool)
    shown[20:90, 30:100] = True
    part = film[20:90, 30:100]
    hidden = np.where(shown, film, np.uint8(0))
    for step in (equalize, window):
        changed = step(hidden, shown=shown)[20:90, 30:100]
        np.testing.assert_array_equal(changed, step(part))


def test_window_between_percentiles() -> None:
    ramp = np.arange(100, dtype=np.uint8)[None].repeat(3, 0)  # each value is 1 % of the film
    np.testing.assert_array_equal(
        window(ramp, (10, 60))[0],
        np.clip(np.rint((np.arange(100) - 9) * 255 / 50), 0, 255),
    )


def test_window_from_the_least_to_the_greatest(film: np.ndarray) -> None:
    values = np.array([[30, 40, 80]], np.uint8)
    assert window(values, (0, 100)).tolist() == [[0, 51, 255]]


@pytest.mark.parametrize("level", [0, 7, 255])
def test_a_film_of_one_value_stays(level: int) -> None:
    flat = np.full((16, 16), level, np.uint8)
    hidden = np.zeros(flat.shape, bool)
    for step in (equalize, window):
        np.testing.assert_array_equal(step(flat), flat)
        np.testing.assert_array_equal(step(flat, shown=hidden), flat)


def test_clahe_is_that_of_opencv(film: np.ndarray) -> None:
    wanted = cv2.createCLAHE(2.0, (8, 8)).apply(film)
    np.testing.assert_array_equal(clahe(film), wanted)
    assert (clahe(film, tiles=4, clip=9.0) != wanted).any()


def test_a_histogram_counts_every_pixel(film: np.ndarray) -> None:
    np.testing.assert_array_equal(histogram(film), np.bincount(film.ravel(), minlength=256))


def test_none_of_them_writes_into_its_film(film: np.ndarray) -> None:
    frozen = film.copy()
    frozen.flags.writeable = False
    for step in (clahe, equalize, window):
        assert step(frozen) is not frozen
    np.testing.assert_array_equal(frozen, film)


def test_squares() -> None:
    wide = np.arange(1, 16, dtype=np.uint8).reshape(3, 5)
    np.testing.assert_array_equal(crop_square(wide), wide[:, 1:4])
    np.testing.assert_array_equal(crop_square(wide.T), wide.T[1:4])
    padded = pad_square(wide)
    np.testing.assert_array_equal(padded[1:4], wide)
    assert padded.shape == (5, 5)
    assert not padded[[0, 4]].any()
    np.testing.assert_array_equal(crop_square(padded.T), padded.T)
    np.testing.assert_array_equal(pad_square(padded), padded)
