import io
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.fft import dctn

from balancer.data.config import DataConfig
from balancer.data.copies.duplicates import find_near_duplicates
from balancer.data.copies.grouping import clusters_of, group_images
from balancer.data.copies.registration import flip_cuts, register
from balancer.data.film.examine import Examined, examine_images
from balancer.data.film.fingerprint import (
    DECIDE,
    FLIPS,
    SEARCH,
    SIDE,
    Space,
    WaveBand,
    even_contrast,
    flip_images,
    thumbnail_of,
    waves,
    waves_with_slopes,
)
from balancer.data.roots import Roots
from balancer.data.row_file import RowFile
from balancer.data.scan import FoundImage
from samples.phantom import draw_phantom
from support.radiograph_folders import film, save

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "radiography-bam"
LIMIT = DataConfig().duplicate_correlation


def examined(folder: Path, images: list[Image.Image]) -> list[Examined]:
    for number, image in enumerate(images):
        (folder / f"{number}.png").parent.mkdir(exist_ok=True)
        image.save(folder / f"{number}.png")
    found = [FoundImage(f"{number}.png", "COVID") for number in range(len(images))]
    usable, unusable = examine_images(Roots.of([folder]), found, DataConfig())
    assert not unusable
    return usable


def thumbnails(*seeds: int) -> np.ndarray:
    return np.stack([thumbnail_of(draw_phantom(seed, covid=False, size=128)) for seed in seeds])


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def brighter(image: Image.Image, levels: int) -> Image.Image:
    return image.point(lambda grey: min(255, max(0, grey + levels)))


def cropped(image: Image.Image, *shares: float) -> Image.Image:
    left, top, right, bottom = shares
    return image.crop(
        (
            round(left * image.width),
            round(top * image.height),
            round((1 - right) * image.width),
            round((1 - bottom) * image.height),
        )
    )


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half": lambda image: scaled(image, 0.5),
    "double": lambda image: scaled(image, 2),
    "other aspect": lambda image: image.resize((300, 190)),
    "quality 50": lambda image: jpeg(image, 50),
    "quality 90": lambda image: jpeg(image, 90),
    "+2": lambda image: brighter(image, 2),
    "-2": lambda image: brighter(image, -2),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "both flips": lambda image: ImageOps.flip(ImageOps.mirror(image)),
    "cropped evenly": lambda image: cropped(image, 0.04, 0.04, 0.04, 0.04),
    "cropped at a corner": lambda image: cropped(image, 0.06, 0.05, 0, 0),
    "cropped below": lambda image: cropped(image, 0, 0, 0.01, 0.07),
    "all": lambda image: jpeg(
        ImageOps.mirror(brighter(scaled(cropped(image, 0.03, 0, 0.04, 0.05), 0.6), 2)), 60
    ),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copy_is_found_among_strangers(tmp_path: Path, kind: str) -> None:
    originals = [Image.fromarray(draw_phantom(seed, covid=False, size=224)) for seed in range(6)]
    images = examined(tmp_path, [*originals, COPIES[kind](originals[3])])
    pairs = find_near_duplicates(images, LIMIT)
    assert [(pair.first, pair.second) for pair in pairs] == [(3, 6)]


@pytest.mark.parametrize("flip", range(4))
def test_flip_and_crop_of_a_copy_are_found(tmp_path: Path, flip: int) -> None:
    originals = [Image.fromarray(draw_phantom(seed, covid=False, size=224)) for seed in range(4)]
    copy = cropped(originals[1], 0.05, 0, 0, 0)
    copy = Image.fromarray(np.ascontiguousarray(flip_images(np.asarray(copy), flip)))
    (pair,) = find_near_duplicates(examined(tmp_path, [*originals, copy]), LIMIT)
    assert FLIPS[pair.flip] == FLIPS[flip]
    assert pair.cropped == pytest.approx(0.05, abs=0.01)


def test_order_of_the_images_changes_nothing(tmp_path: Path) -> None:
    originals = [Image.fromarray(draw_phantom(seed, covid=False, size=128)) for seed in range(5)]
    copy = ImageOps.mirror(cropped(originals[0], 0.05, 0.02, 0, 0.03))
    images = examined(tmp_path, [*originals, copy])
    (forward,) = find_near_duplicates(images, LIMIT)
    (backward,) = find_near_duplicates(images[::-1], LIMIT)
    assert (forward.first, forward.second) == (0, 5)
    assert (backward.first, backward.second) == (0, 5)
    assert backward.correlation == pytest.approx(forward.correlation, abs=0.02)


def test_strangers_are_not_joined(tmp_path: Path) -> None:
    drawn = [Image.fromarray(draw_phantom(seed, covid=seed % 2 == 0)) for seed in range(60)]
    noise = [Image.fromarray(film(seed, 128)) for seed in range(30)]
    assert find_near_duplicates(examined(tmp_path, [*drawn, *noise]), LIMIT) == []


def test_blocks_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    originals = [Image.fromarray(draw_phantom(seed, covid=False, size=64)) for seed in range(7)]
    images = examined(tmp_path, [*originals, *(ImageOps.mirror(image) for image in originals)])
    whole = find_near_duplicates(images, LIMIT)
    monkeypatch.setattr("balancer.data.copies.duplicates._BLOCK", 3)
    monkeypatch.setattr("balancer.data.copies.duplicates._PAIRS", 2)
    monkeypatch.setattr("balancer.data.copies.proposals._BLOCK", 3)
    monkeypatch.setattr("balancer.data.copies.proposals._ACROSS", 2)
    pairs = find_near_duplicates(images, LIMIT)
    assert [(pair.first, pair.second) for pair in pairs] == [(seed, seed + 7) for seed in range(7)]
    assert [(p.first, p.second, p.flip) for p in whole] == [
        (p.first, p.second, p.flip) for p in pairs
    ]


def test_memory_of_the_search_does_not_grow_with_the_films(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thumbnails and what is computed of them stay in files; no film of noise is a candidate.

    One thread alone: whether two are at their largest at once is chance.
    """
    monkeypatch.setattr("balancer.data.threads.available_cores", lambda: 1)

    def peak(n_films: int) -> int:
        rows = RowFile(tmp_path / f"{n_films}.npy", n_films, (SIDE, SIDE))
        draw = np.random.default_rng(0)
        for row in range(n_films):
            rows.write(row, draw.integers(0, 256, (SIDE, SIDE), np.uint8))
        images = [replace(one, thumbnail=rows.at(row)) for row in range(n_films)]
        tracemalloc.start()
        assert find_near_duplicates(images, LIMIT) == []
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        rows.close()
        return most

    (one,) = examined(tmp_path, [Image.fromarray(film(1, 64))])
    few, many = 1024, 4096
    assert (peak(many) - peak(few)) / (many - few) < 256  # bytes a film, whose thumbnail has 4096


def test_few_or_flat_images_are_no_duplicates(tmp_path: Path) -> None:
    assert find_near_duplicates([], LIMIT) == []
    one = examined(tmp_path, [Image.fromarray(film(1, 64))])
    assert find_near_duplicates(one, LIMIT) == []


def test_coefficients_are_those_of_the_cosine_transform() -> None:
    even = even_contrast(thumbnails(0, 1))
    ours = SEARCH.coefficients(even)
    theirs = dctn(even, axes=(1, 2), norm="ortho")[:, : SEARCH.n_waves, : SEARCH.n_waves]
    # Waves along one side alone are scaled by sqrt(2) against the orthonormal transform.
    theirs[:, 0] *= np.sqrt(2)
    theirs[:, :, 0] *= np.sqrt(2)
    np.testing.assert_allclose(ours, SEARCH.choose(theirs.astype(np.float32)), atol=1e-3)


@pytest.mark.parametrize("flip", range(4))
@pytest.mark.parametrize("band", [SEARCH, DECIDE], ids=["search", "decide"])
def test_flips_are_signs(flip: int, band: WaveBand) -> None:
    even = even_contrast(thumbnails(2, 3))
    turned = band.coefficients(np.ascontiguousarray(flip_images(even, flip)))
    np.testing.assert_allclose(turned, band.coefficients(even) * band.flip_signs(flip), atol=1e-3)


def test_slopes_of_the_waves() -> None:
    begin, end, step = np.array([0.031]), np.array([0.012]), 1e-3
    cosine, (by_begin, by_end) = waves_with_slopes(9, begin, end)
    np.testing.assert_allclose(cosine, waves(9, begin, end), atol=1e-6)
    for slope, (one, other) in ((by_begin, (step, 0.0)), (by_end, (0.0, step))):
        ahead = waves(9, begin + one, end + other)
        behind = waves(9, begin - one, end - other)
        # The amplitude moves too, by the same share for all; only the inside is compared.
        numeric = ((ahead - behind) / (2 * step))[0, 1:, 6:-6]
        scale = 1 / (1 - 0.031 - 0.012)
        numeric = numeric - scale * cosine[0, 1:, 6:-6]
        np.testing.assert_allclose(numeric, slope[0, 1:, 6:-6], atol=0.05)


def test_registration_finds_a_known_crop() -> None:
    films = np.stack([draw_phantom(seed, covid=False, size=256) for seed in range(12)])
    cuts = np.array([0.05, 0.02, 0.0, 0.06])
    left, right, top, bottom = (round(256 * cut) for cut in cuts)
    parts = [film[top : 256 - bottom, left : 256 - right] for film in films]
    whole = even_contrast(np.stack([thumbnail_of(film) for film in films]))
    part = even_contrast(np.stack([thumbnail_of(np.ascontiguousarray(p)) for p in parts]))
    space = Space.of(SEARCH.coefficients(whole), SEARCH)
    start = np.tile([0.04, 0.0, 0.0, 0.04], (12, 1))
    _, found = register(whole, part, start, space, steps=6)
    np.testing.assert_allclose(np.median(found, axis=0), cuts, atol=0.012)
    _, swapped = register(part, whole, -start, space, steps=6)
    np.testing.assert_allclose(np.median(swapped, axis=0), -cuts, atol=0.012)


def test_cuts_turn_with_the_film() -> None:
    cuts = np.array([[1.0, 2.0, 3.0, 4.0]])
    assert flip_cuts(cuts, 1).tolist() == [[2, 1, 3, 4]]
    assert flip_cuts(cuts, 2).tolist() == [[1, 2, 4, 3]]
    assert flip_cuts(flip_cuts(cuts, 3), 3).tolist() == cuts.tolist()


def test_thumbnails_are_small_and_square() -> None:
    thumbnail = thumbnail_of(film(0, 100)[:70])
    assert thumbnail.shape == (SIDE, SIDE)
    assert thumbnail.dtype == np.uint8


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real radiographs beside the project")
def test_real_films_are_no_copies_of_each_other() -> None:
    paths = sorted(REAL.glob("*/*.png"))[::4]
    found = [FoundImage(path.relative_to(REAL).as_posix(), path.parent.name) for path in paths]
    usable, _ = examine_images(Roots.of([REAL]), found, DataConfig())
    for pair in find_near_duplicates(usable, LIMIT):
        assert pair.correlation > 0.99  # copies in the database itself, nothing doubtful


def test_pairs_are_clustered() -> None:
    clusters = clusters_of([(1, 4), (2, 9), (4, 7)])
    assert sorted(map(sorted, clusters)) == [[1, 4, 7], [2, 9]]
    assert clusters_of([]) == []


def test_patients_and_copies_are_joined() -> None:
    groups = group_images(
        image_ids=["a", "b", "c", "d", "e", "a"],
        patient_ids=["p1", "p1", "p2", "", "", ""],
        links=[(1, 2)],
    )
    assert len(set(groups)) == 3
    assert groups[0] == groups[1] == groups[2] == groups[5]
    assert groups[0].startswith("patient-")
    assert groups[3] != groups[4]
    assert groups[3].startswith("cluster-")


def test_group_names_depend_on_content_alone() -> None:
    ids, patients = ["a", "b", "c"], ["", "p", ""]
    forward = group_images(ids, patients, [(0, 2)])
    backward = group_images(ids[::-1], patients[::-1], [(0, 2)])
    assert forward == backward[::-1]


def test_names_of_groups_do_not_depend_on_patient_ids() -> None:
    assert group_images(["a", "b"], ["p", "p"], []) == group_images(["a", "b"], ["q", "q"], [])


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (film(1, 20), "smallest side"),
        (np.tile(film(1, 40), (1, 5)), "aspect ratio"),
        (np.zeros((64, 64), np.uint8), "even grey"),
        (np.full((64, 64), 255, np.uint8), "even grey"),
        (film(1, 1), "smallest side"),
    ],
)
def test_images_without_a_film(tmp_path: Path, pixels: np.ndarray, reason: str) -> None:
    save(tmp_path / "x.png", pixels)
    usable, unusable = examine_images(
        Roots.of([tmp_path]), [FoundImage("x.png", "COVID")], DataConfig()
    )
    assert not usable
    assert reason in unusable[0].reason
