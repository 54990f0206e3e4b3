"""Images of any place, read with no index: plain folders, class folders, tables, lists of files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from balancer.config import BalancerConfig
from balancer.data.collection import REJECTED, Collection, collection_of, read_collection
from balancer.data.io import read_radiograph, resize_square
from balancer.errors import ConfigurationError, DataError, IntegrityError
from samples.phantom import draw_phantom
from support.tiny_pipeline import draw_folder

DATA = BalancerConfig().data
TOLERANT = DATA.model_copy(update={"skip_bad": True})


def films(folder: Path, count: int, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        film = draw_phantom(number, covid=True, size=48)
        Image.fromarray(film).save(folder / f"{number:02d}{suffix}")
    return folder


def paths_of(found: Collection) -> list[str]:
    return [image.path for image in found.images]


def test_a_plain_folder_is_read_with_the_folders_inside_it_and_has_no_classes(
    tmp_path: Path,
) -> None:
    folder = films(tmp_path / "made", 3)
    films(folder / "more", 2, ".jpg")
    (folder / "notes.txt").write_text("seed 1")
    found = read_collection(folder, DATA)
    assert paths_of(found) == ["00.png", "01.png", "02.png", "more/00.jpg", "more/01.jpg"]
    assert found.labels == ("",)
    assert sum(found.left_out.values()) == 1
    assert found.files()[3] == folder / "more" / "00.jpg"


def test_pixels_are_those_of_the_one_door_at_any_size(tmp_path: Path) -> None:
    found = read_collection(films(tmp_path / "made", 3), DATA)
    for size in (48, 32):
        films_read = [resize_square(read_radiograph(path), size) for path in found.files()]
        assert np.array_equal(found.pixels(size, tmp_path / "work"), np.stack(films_read))
    found.files()[0].write_bytes(found.files()[1].read_bytes())
    with pytest.raises(IntegrityError):
        found.pixels(48, tmp_path / "other")


def test_folders_of_classes_and_a_list_of_files_give_the_same_images(tmp_path: Path) -> None:
    found = read_collection(draw_folder(tmp_path / "data", n_covid=5, n_normal=6), DATA)
    assert found.labels == ("COVID", "Normal")
    assert len(found.of("COVID").images) == 5
    labels = [image.label for image in found.images]
    listed = collection_of(found.files(), DATA, name="list", labels=labels)
    assert [(one.image_id, one.label) for one in listed.images] == [
        (one.image_id, one.label) for one in found.images
    ]
    assert found.of("COVID").labelled("x").labels == ("x",)
    with pytest.raises(ConfigurationError):
        collection_of([found.files()[0]] * 2, DATA, name="twice")


def test_rejected_rows_of_a_manifest_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = films(tmp_path / "made" / "COVID", 3).parent
    rows = [f"COVID/{n:02d}.png,COVID,{'false' if n == 1 else 'true'}" for n in range(3)]
    (folder / "manifest.csv").write_text("\n".join(["path,label,accepted", *rows]) + "\n")
    found = read_collection(folder, DATA)
    assert paths_of(found) == ["COVID/00.png", "COVID/02.png"]
    assert found.left_out[REJECTED] == 1


def test_a_damaged_file_stops_the_reading_or_is_named(tmp_path: Path) -> None:
    folder = films(tmp_path / "made", 3)
    (folder / "01.png").write_bytes((folder / "01.png").read_bytes()[:200])
    with pytest.raises(DataError, match=r"01\.png"):
        read_collection(folder, DATA)
    found = read_collection(folder, TOLERANT)
    assert [file.path for file in found.unusable] == ["01.png"]
    assert paths_of(found) == ["00.png", "02.png"]


def test_a_place_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        read_collection(tmp_path / "absent", DATA)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        read_collection(tmp_path / "empty", DATA)
    with pytest.raises(DataError):
        collection_of([], DATA, name="none")
