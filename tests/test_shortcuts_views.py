"""Regions that the views hide and keep, and the masks of images."""

import shutil

import numpy as np
import pytest
from PIL import Image

from balancer.data.masks.read import load_masks
from balancer.errors import DataError
from balancer.shortcuts.views import central_region, lungs_blacked_out, lungs_only
from support.radiograph_folders import class_folders, film, in_workspace, index_of, save

IMAGES = np.stack([film(seed, 32) for seed in range(3)])
SIZE = 48


def lungs(low=12, high=36):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[low:high, low:high] = 255
    return mask


@pytest.mark.parametrize("side", [8, 32, 33, 224])
def test_the_central_region_is_symmetric_and_leaves_a_rim_with_its_corners(side):
    region = central_region(side)
    assert (region == region[::-1]).all()
    assert (region == region[:, ::-1]).all()
    assert (region == region.T).all()
    assert region[side // 2, side // 2]
    assert not region[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_a_rim_is_left_at_every_side():
    region = central_region(64)
    assert not region[:3].any()
    assert region[4].any()


def test_it_covers_72_percent():
    # Area of a superellipse of exponent 4 and semi-axis a: 4 a^2 Gamma(5/4)^2 / Gamma(3/2).
    assert central_region(512).mean() == pytest.approx(0.88**2 * 0.92704, abs=2e-3)


def test_black_inside_and_untouched_outside():
    region = central_region(32)
    view = lungs_blacked_out(IMAGES)
    assert not view[:, region].any()
    assert (view[:, ~region] == IMAGES[:, ~region]).all()
    assert view is not IMAGES


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_with_masks_the_two_views_add_up_to_the_image(dtype):
    masks = (np.random.default_rng(0).random(IMAGES.shape) < 0.4).astype(dtype)
    inside, outside = lungs_only(IMAGES, masks), lungs_blacked_out(IMAGES, masks)
    assert (inside + outside == IMAGES).all()
    assert not inside[masks == 0].any()
    assert not outside[masks != 0].any()


def test_masks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 32, 32\)"):
        lungs_only(IMAGES, np.ones((3, 16, 16), bool))


@pytest.fixture
def index(tmp_path):
    return index_of(class_folders(tmp_path / "data", {"A": 8, "B": 8}), in_workspace(tmp_path))


def test_masks_are_found_under_any_suffix_and_counted(index, tmp_path):
    folder = tmp_path / "drawn"
    save(folder / "A" / "000.png", lungs())
    save(folder / "A" / "001.jpg", lungs())
    save(folder / "B" / "000.png", lungs() // 255)  # 0 and 1
    save(folder / "B" / "001.png", np.zeros((SIZE, SIZE), np.uint8))
    save(folder / "B" / "002.png", np.full((SIZE, SIZE), 255, np.uint8))
    found = load_masks(folder, index.roots, index.records, 24)
    paths = [record.path for record in index.records]
    assert [path for path, there in zip(paths, found.present, strict=True) if there] == [
        "A/000.png",
        "A/001.png",
        "B/000.png",
    ]
    assert (found.n_missing, found.n_empty) == (11, 2)
    assert (found.lungs[0] == (lungs()[::2, ::2] > 0)).all()
    assert (found.lungs[found.present] == found.lungs[0]).all()
    assert not found.lungs[~found.present].any()


def test_the_data_folder_itself_may_hold_the_masks_but_images_are_none(tmp_path):
    root = class_folders(tmp_path / "data", {"A": 8, "B": 8})
    for label in ("A", "B"):
        (root / label / "images").mkdir()
        for image in sorted((root / label).glob("*.png")):
            shutil.move(image, root / label / "images" / image.name)
    index = index_of(root, in_workspace(tmp_path))
    with pytest.raises(DataError, match=root.name):
        load_masks(root, index.roots, index.records, 32)
    save(root / "A" / "masks" / "003.png", lungs())
    found = load_masks(root, index.roots, index.records, SIZE)
    assert found.n_missing == 15
    assert (found.lungs[3] == (lungs() > 0)).all()


def test_a_folder_of_no_masks_is_refused_by_name(index, tmp_path):
    with pytest.raises(DataError, match=r"absent.*A/000\.png"):
        load_masks(tmp_path / "absent", index.roots, index.records, 32)


def test_a_damaged_mask_is_refused_by_name(index, tmp_path):
    path = save(tmp_path / "drawn" / "A" / "000.png", lungs())
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"000\.png"):
        load_masks(tmp_path / "drawn", index.roots, index.records, 32)


def test_masks_keep_their_edges_hard(index, tmp_path):
    mask = lungs()
    save(tmp_path / "drawn" / "A" / "000.png", np.asarray(Image.fromarray(mask).resize((300, 300))))
    found = load_masks(tmp_path / "drawn", index.roots, index.records, SIZE)
    assert abs(int(found.lungs[0].sum()) - 24**2) <= 2 * 24
