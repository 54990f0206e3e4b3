"""Facts and flags of drawn images with known faults."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from balancer.data.audit.suspects import (
    BROKEN,
    INVERTED,
    LATERAL,
    TEXT_HEAVY,
    UPSIDE_DOWN,
    are_chests,
    collect_flags,
)
from balancer.data.config import DataConfig
from balancer.data.film.examine import Examined, examine_images
from balancer.data.film.facts import measure, seam_strength
from balancer.data.film.fingerprint import thumbnail_of
from balancer.data.film.lettering import text_share
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage
from samples.phantom import draw_phantom

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


@cache
def chest(seed: int) -> np.ndarray:
    return draw_phantom(seed, covid=seed % 3 == 0, size=192)


def lateral(seed: int) -> np.ndarray:
    """Draw a lateral chest: one dark lung between sternum and spine, the heart low in front."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:192, 0:192] / 192.0
    film = np.full((192, 192), 20.0)
    film[np.abs(column - 0.5) < 0.42] = 150
    lean = column + 0.1 * (row - 0.5)

    def blob(x: float, y: float, wide: float, tall: float) -> np.ndarray:
        return np.exp(-((((lean - x) / wide) ** 2 + ((row - y) / tall) ** 2) ** 2))

    film += 70 * (np.abs(lean - 0.78) < 0.07) + 60 * blob(0.45, 0.05, 0.5, 0.2)
    film -= 110 * blob(0.5 + rng.uniform(-0.03, 0.03), 0.45, 0.24, 0.33)
    film += 90 * blob(0.33, 0.6, 0.14, 0.16) + 60 * blob(0.5, 1.0, 0.5, 0.25)
    film = cv2.GaussianBlur(film + rng.normal(0, 3, film.shape), (0, 0), 2)
    return np.clip(film, 0, 255).astype(np.uint8)


def examined(pixels: np.ndarray, number: int = 0) -> Examined:
    return Examined(
        path=f"COVID/{number}.png",
        label="COVID",
        image_id=str(number),
        pixel_hash=str(number),
        width=pixels.shape[1],
        height=pixels.shape[0],
        thumbnail=thumbnail_of(pixels),
        synthetic=False,
        flags=(),
        facts=measure(pixels, 0.0),
    )


def flagged(*odd: np.ndarray) -> dict[str, list[str]]:
    """Return the flags of odd images, numbered from 100, among a dozen good ones."""
    films = [examined(chest(seed), seed) for seed in range(12)]
    return collect_flags([*films, *(examined(film, 100 + n) for n, film in enumerate(odd))])


def test_good_films_have_no_flags() -> None:
    assert flagged() == {}


def test_negatives_are_found_one_by_one_and_all_together() -> None:
    assert flagged(255 - chest(40)) == {INVERTED: ["COVID/100.png"]}
    films = [examined(255 - chest(seed), seed) for seed in range(10)]
    assert len(collect_flags(films)[INVERTED]) == 10


def test_film_from_the_side() -> None:
    found = flagged(*(lateral(seed) for seed in range(4)))
    assert found == {LATERAL: [f"COVID/{number}.png" for number in range(100, 104)]}


def test_film_that_breaks_off() -> None:
    broken = chest(43).copy()
    broken[90:] = np.roll(broken[90:], 60, axis=1) // 2 + 20
    assert flagged(broken)[BROKEN] == ["COVID/100.png"]
    assert seam_strength(chest(43)) < 0.2
    assert seam_strength(np.zeros((300, 20), np.uint8)) == 0


def test_film_upside_down() -> None:
    assert flagged(chest(41)[::-1]) == {UPSIDE_DOWN: ["COVID/100.png"]}


@pytest.mark.parametrize("grey", [255, 0])
def test_captions_are_text_and_a_side_marker_is_none(grey: int) -> None:
    film = cv2.resize(chest(42), (384, 384))
    film = np.clip(film, 70, 170)
    marker, caption = film.copy(), film.copy()
    cv2.putText(marker, "R", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.2, grey, 3)
    cv2.putText(caption, "2020-02-05 day 3", (20, 360), cv2.FONT_HERSHEY_SIMPLEX, 1.0, grey, 2)
    assert text_share(film) == 0
    assert text_share(marker) == 0
    assert 0.015 < text_share(caption) < 0.12
    assert flagged(caption) == {TEXT_HEAVY: ["COVID/100.png"]}


def test_images_that_are_no_chests_are_not_judged_by_their_pose() -> None:
    rng = np.random.default_rng(0)
    noise = [cv2.GaussianBlur(rng.normal(128, 90, (96, 96)), (0, 0), 6) for _ in range(30)]
    films = [examined(np.clip(n, 0, 255).astype(np.uint8), i) for i, n in enumerate(noise)]
    assert not are_chests([film.facts for film in films])
    assert not {LATERAL, UPSIDE_DOWN} & set(collect_flags(films))


def test_borders_have_their_share() -> None:
    film = np.full((200, 100), 128, np.uint8) + np.arange(100, dtype=np.uint8)
    film[:20] = 3
    film[-30:] = 0
    facts = measure(film, 0.0)
    assert facts.dark_border == pytest.approx(0.25)
    assert facts.bright_border == 0
    film[20:170, :10] = 255
    assert measure(film, 0.0).bright_border == pytest.approx(0.1 * 0.75)


def test_plain_statistics() -> None:
    film = np.zeros((100, 100), np.uint8)
    film[:, 50:] = 255
    facts = measure(film, 0.25)
    assert facts.mean == pytest.approx(127.5)
    assert facts.deviation == pytest.approx(127.5)
    assert (facts.black, facts.white, facts.colour) == (0.5, 0.5, 0.25)
    assert facts.rim_mean == pytest.approx(127.5)
    assert measure(np.full((50, 70), 9, np.uint8), 0.0).sharpness == 0


def test_blur_is_less_sharp_and_mirroring_changes_nothing_but_the_side() -> None:
    film = chest(1)
    facts = measure(film, 0.0)
    assert measure(cv2.GaussianBlur(film, (0, 0), 2), 0.0).sharpness < facts.sharpness
    mirrored = measure(np.ascontiguousarray(film[:, ::-1]), 0.0)
    assert mirrored.symmetry == pytest.approx(facts.symmetry, abs=1e-4)
    assert mirrored.mean == pytest.approx(facts.mean)


def test_negative_has_the_reverse_pose() -> None:
    facts = measure(chest(2), 0.0)
    assert facts.frontal > 0.4
    assert measure(255 - chest(2), 0.0).frontal == pytest.approx(-facts.frontal, abs=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (2, 500), (33, 32), (3000, 40)])
def test_odd_shapes_are_measured(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    facts = measure(pixels, 0.0)
    assert all(np.isfinite(getattr(facts, name)) for name in facts.__slots__)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real radiographs beside the project")
@pytest.mark.parametrize("name", ["radiography-bam", "darkcovid-3class"])
def test_few_real_films_are_suspected(name: str) -> None:
    paths = sorted((REAL / name).glob("*/*.*g"))[::4]
    found = [FoundImage(p.relative_to(REAL / name).as_posix(), p.parent.name) for p in paths]
    images, _ = examine_images(Roots.of([REAL / name]), found, DataConfig())
    flags = collect_flags(images)
    for flag in (BROKEN, INVERTED, LATERAL, UPSIDE_DOWN, TEXT_HEAVY):
        assert len(flags.get(flag, [])) <= 0.01 * len(images)
