"""Near copies are found whatever was done to them; other drawings of the same kind are not."""

import cv2
import numpy as np
import pytest

from balancer.quality.aligned import nearest_aligned
from support.tiny_pipeline import draw_folder


@pytest.fixture(scope="module")
def chests(tmp_path_factory):
    """24 drawn chests of one class, uint8 (24, 64, 64)."""
    folder = draw_folder(tmp_path_factory.mktemp("chests") / "films", n_covid=24, n_normal=8)
    paths = sorted(folder.glob("*/*.png"))
    images = [cv2.imread(str(p), cv2.IMREAD_GRAYSCALE) for p in paths if "covid" in str(p).lower()]
    return np.stack([cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA) for image in images])


def shifted(images, across, down):
    move = np.float32([[1, 0, across], [0, 1, down]])
    return np.stack(
        [cv2.warpAffine(i, move, i.shape[::-1], borderMode=cv2.BORDER_REPLICATE) for i in images]
    )


def noisy(images, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


CHANGES = {
    "none": lambda x: x,
    "flipped": lambda x: x[:, :, ::-1],
    "shifted": lambda x: shifted(x, 5, -4),
    "shifted by an odd number and flipped": lambda x: shifted(x[:, :, ::-1], -3, 1),
    "darker": lambda x: (x * 0.7).astype(np.uint8),
    "noisy": lambda x: noisy(x, 6),
    "blurred": lambda x: np.stack([cv2.GaussianBlur(i, (0, 0), 1.0) for i in x]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_copy_is_found(chests, change):
    found = nearest_aligned(np.ascontiguousarray(change(chests)), chests)
    assert found.rows.tolist() == list(range(len(chests)))
    assert found.correlations.min() > 0.85
    assert np.median(found.correlations) > 0.95


def test_others_are_less_alike_than_copies(chests):
    found = nearest_aligned(chests, chests, same_set=True)
    assert (found.rows != np.arange(len(chests))).all()
    assert np.median(found.correlations) < 0.9


def test_brightness_and_contrast_change_nothing(chests):
    half = (chests // 2 + 40).astype(np.uint8)
    assert nearest_aligned(half * 2 - 80, half).correlations.min() > 0.999


def test_one_result_per_image_whatever_the_batch(chests):
    together = nearest_aligned(chests[:9], chests[9:])
    apart = [nearest_aligned(chests[i : i + 1], chests[9:]) for i in range(9)]
    assert together.rows.tolist() == [one.rows[0] for one in apart]
    alone = np.concatenate([one.correlations for one in apart])
    assert together.correlations == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("side", [32, 128])
def test_other_sizes(chests, side):
    images = np.stack([cv2.resize(image, (side, side)) for image in chests])
    found = nearest_aligned(images[:, :, ::-1], images)
    assert found.rows.tolist() == list(range(len(chests)))


def test_a_flat_image_resembles_nothing(chests):
    flat = np.full((2, 64, 64), 90, np.uint8)
    assert nearest_aligned(flat, chests).correlations.tolist() == [0, 0]
