"""Effects of the preprocessing of an index: its pixels, its fingerprint, and its readers."""

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from balancer.ablation.folds import Fold
from balancer.ablation.workspaces import write_fold
from balancer.data.index import Index, load_index
from balancer.data.index_settings import as_standing, refuse_other_settings
from balancer.data.io import PIXEL_RECIPE, png_bytes, read_radiograph, resize_square
from balancer.data.masks.read import load_masks, masks_of_index
from balancer.data.preprocessing import hash_of_index
from balancer.data.records import PrepareMetrics
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.lungs.views import lung_view
from balancer.imaging.preprocess import preprocessor
from balancer.results import read_result
from balancer.stages import prepare
from support.radiograph_folders import configured, in_workspace, save
from support.tiny_pipeline import draw_folder

CROPPED = ("preprocessing.border=remove", "preprocessing.contrast=clahe")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms with a planted bar each, of any width."""
    folder = draw_folder(tmp_path_factory.mktemp("bars") / "films", 10, 12, 64)
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        film = read_radiograph(path)
        path.write_bytes(png_bytes(np.pad(film, ((0, number % 9), (3, 0))), {}))
    return folder


@pytest.fixture(scope="module")
def plain(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    return prepared(root, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def cropped(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    return prepared(root, tmp_path_factory.mktemp("cropped"), *CROPPED)


def prepared(root: Path, place: Path, *assignments: str) -> Index:
    workspace = in_workspace(place)
    prepare.run(configured(root, *assignments), workspace)
    return load_index(workspace.index_dir)


def test_by_default_every_key_and_byte_is_as_without_preprocessing(plain: Index) -> None:
    table = (plain.directory / "index.csv").read_bytes()
    assert plain.index_hash == hashlib.sha256(table).hexdigest() == hash_of_index(plain.directory)
    ids = [record.image_id for record in plain.records]
    key = hashlib.sha256("\n".join([PIXEL_RECIPE, "32", *ids]).encode()).hexdigest()[:16]
    pixels = plain.image_set(32).pixels
    assert (plain.directory / "cache" / f"32-{key}.npy").is_file()
    for record, square in zip(plain.records, pixels, strict=True):
        film = read_radiograph(plain.roots.locate(record.path))
        np.testing.assert_array_equal(square, resize_square(film, 32))
    assert (
        "preprocessing" not in json.loads((plain.directory / "result.json").read_text())["settings"]
    )
    assert not (plain.directory / "preprocessing.png").exists()
    assert not (plain.directory / "masks.csv").exists()


def test_settings_that_change_nothing_are_the_default(
    root: Path, tmp_path: Path, plain: Index
) -> None:
    same = prepared(root, tmp_path, "preprocessing.clahe_clip=9", "preprocessing.masks=classical")
    assert same.index_hash == plain.index_hash


def test_pixels_are_those_of_the_preprocessed_films(cropped: Index) -> None:
    for record, square in zip(cropped.records, cropped.image_set(32).pixels, strict=True):
        film = read_radiograph(cropped.roots.locate(record.path))
        np.testing.assert_array_equal(square, resize_square(cropped.preprocessor.apply(film), 32))


def test_the_index_has_another_name_and_says_why(plain: Index, cropped: Index) -> None:
    assert (plain.directory / "index.csv").read_bytes() == (
        cropped.directory / "index.csv"
    ).read_bytes()
    assert plain.index_hash != cropped.index_hash == hash_of_index(cropped.directory)
    assert cropped.preprocessing.border == "remove"
    settings = json.loads((cropped.directory / "result.json").read_text())["settings"]
    assert settings["preprocessing"]["contrast"] == "clahe"


def test_the_sheet_shows_every_step(cropped: Index) -> None:
    sheet = read_radiograph(cropped.directory / "preprocessing.png")
    assert min(sheet.shape) > 500
    assert sheet.std() > 20


def test_prepared_again_nothing_is_done(root: Path, tmp_path: Path) -> None:
    first = prepared(root, tmp_path, *CROPPED)
    result = (first.directory / "result.json").read_bytes()
    assert prepared(root, tmp_path, *CROPPED).index_hash == first.index_hash
    assert (first.directory / "result.json").read_bytes() == result


@pytest.mark.parametrize("other", [(), ("preprocessing.border=remove",)])
def test_other_settings_need_force(root: Path, tmp_path: Path, other: tuple[str, ...]) -> None:
    prepared(root, tmp_path, *CROPPED)
    with pytest.raises(ConfigurationError, match=r"preprocessing\.\w+=.* --force"):
        prepared(root, tmp_path, *other)


def test_a_later_command_cannot_ask_for_others(root: Path, cropped: Index) -> None:
    from balancer.config import load_config
    from balancer.workspace import Workspace

    workspace = Workspace(cropped.directory.parent)
    for fitting in ((), CROPPED, CROPPED[:1], ("preprocessing.frame=stretch",)):
        refuse_other_settings(load_config(assignments=fitting), workspace)
    defaults = ("preprocessing.border=keep", "preprocessing.contrast=none")
    for other in ("preprocessing.frame=pad", "preprocessing.contrast=window", *defaults):
        with pytest.raises(ConfigurationError, match=r"preprocessing\."):
            refuse_other_settings(load_config(assignments=(other,)), workspace)


def test_a_later_command_may_name_the_data_again(root: Path, cropped: Index) -> None:
    from balancer.config import load_config
    from balancer.workspace import Workspace

    workspace = Workspace(cropped.directory.parent)
    again = as_standing(load_config(options={"data.root": root}), workspace)
    assert prepare.run(again, workspace) == read_result(workspace.index_dir, PrepareMetrics)
    other = as_standing(
        load_config(assignments=("data.min_images=3",), options={"data.root": root}), workspace
    )
    with pytest.raises(ConfigurationError, match=r"data\.min_images"):
        prepare.run(other, workspace)
    elsewhere = load_config(options={"data.root": root.parent})
    assert as_standing(elsewhere, workspace) == elsewhere


def test_another_version_of_the_preprocessing_is_refused(cropped: Index, tmp_path: Path) -> None:
    shutil.copytree(cropped.directory, tmp_path / "index")
    path = tmp_path / "index" / "result.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 7'))
    with pytest.raises(IntegrityError, match=r"result\.json"):
        load_index(tmp_path / "index")


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """Folders as the COVID-19 Radiography Database has them, two images without a mask."""
    folder = tmp_path_factory.mktemp("masked") / "films"
    for path in sorted(root.rglob("*.png")):
        save(folder / path.parent.name / "images" / path.name, read_radiograph(path))
        height, width = read_radiograph(path).shape
        lungs = np.zeros((height, width), np.uint8)
        cv2.ellipse(lungs, (width // 2, height // 2), (width // 3, height // 4), 0, 0, 360, 255, -1)
        if path.stem[-1] != "3":
            save(folder / path.parent.name / "masks" / path.name, lungs)
    return folder


def mask_of(index: Index, path: str) -> np.ndarray | None:
    place = index.roots.locate(path.replace("/images/", "/masks/"))
    return read_radiograph(place) > 0 if place.is_file() else None


def test_lung_views_take_the_masks_of_the_archive(masked: Path, tmp_path: Path) -> None:
    index = prepared(masked, tmp_path, "preprocessing.lungs=lungs-only")
    assert index.masks is not None
    counts = index.masks.counts()
    assert set(counts) == {"archive", "classical"}
    for record, square in zip(index.records, index.image_set(32).pixels, strict=True):
        film, mask = read_radiograph(index.roots.locate(record.path)), mask_of(index, record.path)
        if mask is None:
            wanted = index.preprocessor.apply(film)
        else:
            wanted = lung_view(film, mask, "lungs-only")
        np.testing.assert_array_equal(square, resize_square(wanted, 32))


def test_a_mask_that_was_drawn_anew_is_another_index(masked: Path, tmp_path: Path) -> None:
    shutil.copytree(masked, tmp_path / "films")
    first = prepared(tmp_path / "films", tmp_path, "preprocessing.lungs=crop-to-lungs")
    name = next(record.path for record in first.records if mask_of(first, record.path) is not None)
    place = first.roots.locate(name.replace("/images/", "/masks/"))
    place.write_bytes(png_bytes(255 - read_radiograph(place), {}))
    shutil.rmtree(first.directory / "cache")
    with pytest.raises(IntegrityError, match=place.name):
        first.image_set(32)
    again = prepared(tmp_path / "films", tmp_path, "preprocessing.lungs=crop-to-lungs")
    assert again.index_hash != first.index_hash
    assert [r.image_id for r in again.records] == [r.image_id for r in first.records]


def test_images_without_a_mask_are_named_where_all_should_have_one(
    masked: Path, tmp_path: Path
) -> None:
    wanted = ("preprocessing.lungs=lungs-only", "preprocessing.masks=archive")
    with pytest.raises(DataError, match="masks=archive"):
        prepared(masked, tmp_path, *wanted)
    assert not in_workspace(tmp_path).index_dir.exists()


def test_masks_of_the_u_net_are_read_from_the_workspace(root: Path, tmp_path: Path) -> None:
    wanted = ("preprocessing.lungs=lungs-blacked-out", "preprocessing.masks=unet")
    with pytest.raises(DataError, match="lungs apply"):
        prepared(root, tmp_path, *wanted)
    lungs = in_workspace(tmp_path).root / "lungs" / "masks"
    for path in root.rglob("*.png"):
        mask = np.zeros((32, 32), np.uint8)
        mask[8:24, 8:24] = 255
        save(lungs / path.relative_to(root), mask)
    index = prepared(root, tmp_path, *wanted)
    assert index.masks is not None
    assert index.masks.counts() == {"unet": 22}
    shutil.rmtree(index.directory / "cache")
    # In the index of a fold, deeper in the same workspace, they are found too.
    workspace = in_workspace(tmp_path)
    fold = write_fold(workspace, index, Fold("one", 0, tuple(index.records)), force=False)
    assert fold.masks is not None
    assert fold.index_hash == index.index_hash
    np.testing.assert_array_equal(fold.image_set(32).pixels, index.image_set(32).pixels)
    first = index.records[0]
    film = read_radiograph(index.roots.locate(first.path))
    mask = np.zeros((32, 32), bool)
    mask[8:24, 8:24] = True
    config = index.preprocessing
    np.testing.assert_array_equal(
        index.image_set(32).pixels[0], resize_square(preprocessor(config).apply(film, mask), 32)
    )


def test_masks_for_the_probes_lie_where_the_preprocessing_puts_them(
    masked: Path, tmp_path: Path
) -> None:
    index = prepared(masked, tmp_path, "preprocessing.border=remove", "preprocessing.frame=pad")
    found = masks_of_index(index, None, index.records, 48)
    given = load_masks(masked, index.roots, index.records, 48, index)
    assert found is not None
    np.testing.assert_array_equal(found.lungs, given.lungs)
    for record, lungs, present in zip(index.records, found.lungs, found.present, strict=True):
        mask = mask_of(index, record.path)
        assert present == (mask is not None)
        if mask is not None:
            film = read_radiograph(index.roots.locate(record.path))
            area = index.preprocessor.region(film, None, mask).astype(np.uint8)
            assert area.shape != film.shape
            wanted = cv2.resize(area, (48, 48), interpolation=cv2.INTER_NEAREST_EXACT)
            np.testing.assert_array_equal(lungs, wanted > 0)
