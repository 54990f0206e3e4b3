import cv2
import numpy as np
import pytest

from balancer.imaging.borders import MAX_ROUNDING, MAX_SHARE, Box, find_film
from samples.phantom import draw_lung_field, draw_phantom

SIDE = 160
WHOLE = Box(0, SIDE, 0, SIDE)


def _film_in(image: np.ndarray) -> np.ndarray:
    return find_film(image).of(image)


@pytest.fixture(scope="module")
def films() -> list[np.ndarray]:
    """The middle of phantoms: dark air at their rim could rightly be taken for border."""
    drawn = [draw_phantom(seed, covid=seed % 2 == 0, size=SIDE + 64) for seed in range(12)]
    return [film[32:-32, 32:-32] for film in drawn]


def framed(film: np.ndarray, widths: tuple[int, int, int, int], level: int) -> np.ndarray:
    top, bottom, left, right = widths
    return np.pad(film, ((top, bottom), (left, right)), constant_values=level)


def inside(film: np.ndarray, widths: tuple[int, int, int, int]) -> Box:
    top, _, left, _ = widths
    height, width = film.shape
    return Box(top, top + height, left, left + width)


def test_a_film_without_border_stays(films: list[np.ndarray]) -> None:
    for film in films:
        assert find_film(film) == WHOLE


@pytest.mark.parametrize("level", [0, 17, 255])
@pytest.mark.parametrize(
    "widths", [(12, 12, 12, 12), (30, 0, 0, 0), (25, 41, 0, 0), (0, 0, 33, 20), (1, 2, 3, 40)]
)
def test_planted_bars_and_frames_are_found_to_the_pixel(
    films: list[np.ndarray], widths: tuple[int, int, int, int], level: int
) -> None:
    for film in films:
        planted = framed(film, widths, level)
        assert find_film(planted) == inside(film, widths)
        np.testing.assert_array_equal(_film_in(planted), film)


def test_frames_in_frames(films: list[np.ndarray]) -> None:
    for film in films:
        planted = framed(framed(framed(film, (2, 2, 2, 2), 255), (9, 7, 5, 0), 0), (4, 4, 4, 4), 99)
        np.testing.assert_array_equal(_film_in(planted), film)


def test_a_bar_goes_with_the_letters_on_it(films: list[np.ndarray]) -> None:
    for film in films:
        planted = framed(film, (30, 0, 0, 0), 0)
        cv2.putText(planted, "PORTABLE AP", (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1)
        np.testing.assert_array_equal(_film_in(planted), film)


def test_bars_may_be_noisy(films: list[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    for film in films:
        planted = framed(film, (20, 20, 20, 20), 60)
        noise = rng.integers(-3, 4, planted.shape)
        noise[20:-20, 20:-20] = 0
        np.testing.assert_array_equal(_film_in((planted + noise).astype(np.uint8)), film)


def test_bars_of_a_recompressed_film_go_but_for_a_pixel_or_two(films: list[np.ndarray]) -> None:
    for film in films:
        planted = framed(film, (24, 16, 32, 8), 0)
        _, encoded = cv2.imencode(".jpg", planted, (cv2.IMWRITE_JPEG_QUALITY, 75))
        found = find_film(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE))
        wanted = inside(film, (24, 16, 32, 8))
        assert max(abs(a - b) for a, b in zip(corners(found), corners(wanted), strict=True)) <= 2


def corners(box: Box) -> tuple[int, int, int, int]:
    return box.top, box.bottom, box.left, box.right


@pytest.mark.parametrize("level", [0, 40, 255])
@pytest.mark.parametrize("radius", [8, 16, 32])
def test_of_a_rounded_frame_nothing_is_left_and_little_more_goes(
    films: list[np.ndarray], radius: int, level: int
) -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    from_edge = [np.minimum(place, SIDE - place) for place in (rows, columns)]
    beyond = [np.maximum(radius - distance, 0) for distance in from_edge]
    frame = np.hypot(*beyond) > radius
    rounding = int(np.ceil(radius * (1 - np.sqrt(0.5))))
    for film in films:
        # Nowhere of the frame's grey value, so that it is known where the frame ends.
        film = np.clip(film, 60, 240)
        planted = framed(np.where(frame, np.uint8(level), film), (10, 6, 0, 14), level)
        box = find_film(planted)
        kept = framed(frame, (10, 6, 0, 14), 1)
        assert not box.of(kept.astype(np.uint8)).any()
        least = inside(film, (10, 6, 0, 14))
        cut = np.subtract(corners(box), corners(least)) * (1, -1, 1, -1)
        assert cut.min() >= 0
        assert cut.max() <= rounding + 1


def test_a_round_collimation_that_would_cost_lung_stays() -> None:
    film = draw_phantom(1, covid=False, size=SIDE)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    outside = np.hypot(rows - SIDE / 2, columns - SIDE / 2) > SIDE / 2
    box = find_film(np.where(outside, np.uint8(0), film))
    assert min(box.bottom - box.top, box.right - box.left) > (1 - 2 * MAX_ROUNDING) * SIDE - 2


def test_dark_air_above_the_shoulders_is_no_frame() -> None:
    film = np.full((SIDE, SIDE), 120, np.uint8) + np.arange(SIDE, dtype=np.uint8)[:, None] // 2
    film[:, ::3] += 20
    rows, columns = np.mgrid[:SIDE, :SIDE]
    film[(rows + columns < 20) | (rows + SIDE - columns < 20)] = 0
    assert find_film(film) == WHOLE


def test_no_pixel_of_a_lung_ever_goes() -> None:
    for seed in range(30):
        film = draw_phantom(seed, covid=seed % 2 == 0, size=SIDE)
        lungs = draw_lung_field(seed, size=SIDE)
        lost = lungs.copy()
        find_film(film).of(lost)[:] = False
        assert not lost.any()


def test_no_side_loses_more_than_its_share() -> None:
    film = draw_phantom(0, covid=False, size=SIDE)
    planted = framed(film, (0, 200, 300, 0), 0)
    box = find_film(planted)
    height, width = planted.shape
    assert height - box.bottom == int(MAX_SHARE * height)
    assert box.left == int(MAX_SHARE * width)


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (8, 8), (40, 9), (64, 64)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_something_is_left_of_an_image_without_content(shape: tuple[int, int], level: int) -> None:
    left = _film_in(np.full(shape, level, np.uint8))
    assert min(left.shape) >= min(8, *shape)
