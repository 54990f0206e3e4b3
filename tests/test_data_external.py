"""Another data set: what it may hold, and what of it finished models cannot be asked about."""

import numpy as np
import pytest
from PIL import Image

from balancer.data.index import evaluation_table
from balancer.data.io import png_bytes
from balancer.errors import DataError, IntegrityError
from balancer.evaluation.external import BYTES, FILM, GROUP, PIXELS, load_external
from support.radiograph_folders import class_folders, configured, film, in_workspace, index_of, save


@pytest.fixture
def index(tmp_path):
    root = class_folders(tmp_path / "data", {"COVID": 8, "Normal": 10})
    return index_of(root, in_workspace(tmp_path))


@pytest.fixture
def root(tmp_path):
    return class_folders(tmp_path / "other", {"COVID": 5, "Normal": 6}, first_seed=500)


def loaded(root, index, *assignments):
    return load_external(root, index, configured(root, *assignments).data)


def test_a_set_of_strangers_is_taken_whole(root, index, tmp_path):
    external = loaded(root, index)
    assert external.facts().model_dump() == {
        "classes": {"COVID": 5, "Normal": 6},
        "n_images": 11,
        "n_groups": 11,
        "dropped": {BYTES: 0, PIXELS: 0, FILM: 0, GROUP: 0},
        "unusable": 0,
        "copies": 0,
    }
    assert [record.path for record in external.records] == sorted(
        record.path for record in external.records
    )
    assert {(record.split, record.origin) for record in external.records} == {("test", "real")}
    images = external.image_set(tmp_path / "cache-of-others", 48)
    assert (images.pixels[0] == film(500)).all()
    assert len(evaluation_table(images, index.classes, "test")) == 11


def test_images_of_the_index_are_dropped_however_they_come_back(root, index):
    first = index.roots.locate("COVID/000.png")
    (root / "COVID" / "bytes.png").write_bytes(first.read_bytes())
    pixels = np.asarray(Image.open(index.roots.locate("COVID/001.png")))
    (root / "COVID" / "pixels.png").write_bytes(png_bytes(pixels, {"Comment": "again"}))
    large = Image.fromarray(film(2)).resize((96, 96), Image.Resampling.BICUBIC)
    save(root / "COVID" / "film.jpg", np.asarray(large)[:, ::-1], quality=80)
    # A copy of the copy, in the other class: what the index knows of it counts for both.
    save(root / "Normal" / "mirrored.png", np.asarray(large)[::-1])
    external = loaded(root, index)
    assert external.facts().dropped == {BYTES: 1, PIXELS: 1, FILM: 2, GROUP: 0}
    assert external.facts().n_images == 11


def test_the_other_images_of_a_known_patient_go_too(root, index):
    (root / "COVID" / "old.png").write_bytes(index.roots.locate("COVID/003.png").read_bytes())
    (root / "metadata.csv").write_text(
        "path,patient_id,source\nCOVID/old.png,7,x\nCOVID/000.png,7,x\nCOVID/001.png,8,x\n"
        "Normal/000.png,8,y\n"
    )
    external = loaded(root, index)
    assert external.facts().dropped == {BYTES: 1, PIXELS: 0, FILM: 0, GROUP: 1}
    by_path = {record.path: record for record in external.records}
    assert "COVID/000.png" not in by_path
    assert by_path["COVID/001.png"].group == by_path["Normal/000.png"].group
    assert by_path["Normal/000.png"].source == "y"


def test_copies_within_the_set_count_once(root, index):
    (root / "COVID" / "again.png").write_bytes((root / "COVID" / "000.png").read_bytes())
    external = loaded(root, index)
    assert external.n_copies == 1
    assert len(external.records) == 11


def test_class_names_match_without_regard_to_case(tmp_path, index):
    root = class_folders(tmp_path / "other", {"covid": 2, "NORMAL": 2}, first_seed=500)
    assert loaded(root, index).facts().classes == {"COVID": 2, "Normal": 2}


@pytest.mark.parametrize("names", [("COVID", "Healthy"), ("COVID", "covid")])
def test_other_classes_are_refused_with_both_lists(tmp_path, index, names):
    root = class_folders(tmp_path / "other", dict.fromkeys(names, 2), first_seed=500)
    both = rf"of the index \(COVID, Normal\), but has {names[0]}, {names[1]}"
    with pytest.raises(DataError, match=both):
        loaded(root, index)


def test_a_set_that_the_index_knows_is_refused(index):
    with pytest.raises(DataError):
        loaded(index.roots.archives[""], index)


def test_one_class_may_be_left(root, index):
    for path in (root / "Normal").iterdir():
        path.unlink()
    save(root / "Normal" / "known.png", film(9))
    assert loaded(root, index).facts().classes == {"COVID": 5}


def test_unusable_files_are_refused_or_counted(root, index):
    (root / "COVID" / "bad.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"COVID/bad\.png"):
        loaded(root, index)
    assert loaded(root, index, "data.skip_bad=true").facts().unusable == 1


def test_generated_images_are_refused(root, index):
    (root / "COVID" / "made.png").write_bytes(png_bytes(film(900), {"Synthetic": "true"}))
    with pytest.raises(IntegrityError, match=r"COVID/made\.png"):
        loaded(root, index)


@pytest.mark.parametrize("how", ["replaced", "damaged"])
def test_an_index_whose_files_changed_is_refused(root, index, how):
    path = index.roots.locate("COVID/004.png")
    if how == "replaced":
        save(path, film(901))
    else:
        path.write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"004\.png"):
        loaded(root, index)
