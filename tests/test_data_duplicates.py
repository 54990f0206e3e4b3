import io
from collections.abc import Callable
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps
from radiograph_folders import film, save

from balancer.data.duplicates import find_near_duplicates
from balancer.data.examine import Examined, examine_images
from balancer.data.grouping import group_images
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage
from balancer.sections import DataConfig

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "radiography-bam"


def examined(folder: Path, images: list[Image.Image]) -> list[Examined]:
    for number, image in enumerate(images):
        (folder / f"{number}.png").parent.mkdir(exist_ok=True)
        image.save(folder / f"{number}.png")
    found = [FoundImage(f"{number}.png", "COVID") for number in range(len(images))]
    usable, unusable = examine_images(Roots.of([folder]), found, DataConfig())
    assert not unusable
    return usable


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def brighter(image: Image.Image, levels: int) -> Image.Image:
    return image.point(lambda grey: min(255, max(0, grey + levels)))


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
    "all": lambda image: jpeg(ImageOps.mirror(brighter(scaled(image, 0.6), 2)), 60),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copy_is_found_among_strangers(tmp_path: Path, kind: str) -> None:
    originals = [Image.fromarray(film(seed, 224)) for seed in range(6)]
    images = examined(tmp_path, [*originals, COPIES[kind](originals[3])])
    pairs = find_near_duplicates(images, DataConfig().duplicate_distance)
    assert [(pair.first, pair.second) for pair in pairs] == [(3, 6)]
    assert pairs[0].correlation > 0.97


def test_hash_alone_joins_nobody() -> None:
    """Strangers whose hashes are equal by accident, as those of chest films are."""
    images = [
        Examined("a", "x", "1", "1", 32, 32, film(seed, 32), np.zeros(4, np.uint64), False, ())
        for seed in range(20)
    ]
    assert find_near_duplicates(images, 16) == []


def test_blocks_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    originals = [Image.fromarray(film(seed, 64)) for seed in range(7)]
    images = examined(tmp_path, [*originals, *(ImageOps.mirror(image) for image in originals)])
    monkeypatch.setattr("balancer.data.duplicates._BLOCK", 3)
    pairs = find_near_duplicates(images, 4)
    assert [(pair.first, pair.second) for pair in pairs] == [(seed, seed + 7) for seed in range(7)]


def test_hashes_are_those_of_imagehash(tmp_path: Path) -> None:
    image = Image.fromarray(film(2, 32))
    ours = examined(tmp_path, [image])[0].hashes
    for flip, mine in zip(
        (image, ImageOps.mirror(image), ImageOps.flip(image)), ours, strict=False
    ):
        theirs = np.packbits(imagehash.phash(flip).hash.ravel()).view(np.uint64)[0]
        assert int(np.bitwise_count(mine ^ theirs)) == 0


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real radiographs beside the project")
def test_real_films_are_told_apart() -> None:
    paths = sorted(REAL.glob("*/*.png"))[::4]
    found = [FoundImage(path.relative_to(REAL).as_posix(), path.parent.name) for path in paths]
    usable, _ = examine_images(Roots.of([REAL]), found, DataConfig())
    for pair in find_near_duplicates(usable, 10):
        assert pair.correlation > 0.99  # copies in the database itself, nothing doubtful


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
