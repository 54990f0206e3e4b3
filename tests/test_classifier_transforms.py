import os

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from classifier.config import AugmentConfig, ClassifierConfig
from classifier.data import BatchOrder, EvaluationSet, TrainSet
from classifier.tables import ArrayTable, check_table, resize
from classifier.transforms import TrainTransform

OFF = {"warp_probability": 1, "rotation_degrees": 0, "shift": 0, "brightness": 0}


def table(n: int = 6, side: int = 16) -> ArrayTable:
    rng = np.random.default_rng(0)
    return ArrayTable.of(
        rng.integers(0, 256, (n, side, side), dtype=np.uint8), np.arange(n, dtype=np.int64) % 2
    )


def test_albumentations_asks_no_server() -> None:
    assert os.environ["NO_ALBUMENTATIONS_UPDATE"] == "1"


def test_draws_are_a_function_of_seed_visit_and_index() -> None:
    image = table().sources[0][0]
    one, two = TrainTransform(AugmentConfig(), 1), TrainTransform(AugmentConfig(), 2)
    reference = one(image, visit=0, index=0)
    two(image, visit=5, index=5)  # a call in between must not matter
    np.testing.assert_array_equal(one(image, visit=0, index=0), reference)
    for other in (
        one(image, visit=1, index=0),
        one(image, visit=0, index=1),
        two(image, visit=0, index=0),
    ):
        assert not np.array_equal(other, reference)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_batches_do_not_depend_on_the_number_of_workers() -> None:
    images = TrainSet(table(), ClassifierConfig(), seed=3, side=20)

    def run(workers: int) -> list[torch.Tensor]:
        order = BatchOrder(6, 4, first=0, last=4, seed=3)
        return [batch for batch, _ in DataLoader(images, batch_sampler=order, num_workers=workers)]

    alone = run(0)
    assert alone[0].shape == (4, 1, 20, 20)
    for workers in (1, 2):
        for batch, same in zip(alone, run(workers), strict=True):
            assert torch.equal(batch, same)


def test_everything_off_leaves_the_image_alone() -> None:
    image = table().sources[0][0]
    same = TrainTransform(AugmentConfig.model_validate(OFF), 0)(image, visit=0, index=0)
    np.testing.assert_array_equal(same, image)


def test_the_horizontal_flip_happens_only_when_asked() -> None:
    image = table().sources[0][0]
    flip = TrainTransform(AugmentConfig.model_validate({**OFF, "horizontal_flip": 0.5}), 0)
    results = [flip(image, visit=v, index=0) for v in range(20)]
    flipped = [np.array_equal(result, image[:, ::-1]) for result in results]
    kept = [np.array_equal(result, image) for result in results]
    assert any(flipped)
    assert any(kept)
    assert all(a or b for a, b in zip(flipped, kept, strict=True))


def test_what_moves_in_is_black() -> None:
    white = np.full((32, 32), 255, np.uint8)
    shift = TrainTransform(AugmentConfig.model_validate({**OFF, "shift": 0.5}), 0)
    values = {int(v) for n in range(5) for v in np.unique(shift(white, visit=n, index=0))}
    assert {0, 255} <= values


def test_brightness_stays_within_its_limit() -> None:
    grey = np.full((8, 8), 100, np.uint8)
    change = TrainTransform(AugmentConfig.model_validate({**OFF, "brightness": 0.1}), 0)
    levels = np.array([change(grey, visit=n, index=0)[0, 0] for n in range(50)], float)
    # 100 +- 10 % contrast, +- 10 % of 255 brightness, +- 1 rounding
    assert levels.min() >= 100 - 10 - 25.5 - 1
    assert levels.max() <= 100 + 10 + 25.5 + 1
    assert np.ptp(levels) > 20


@pytest.mark.parametrize(("n_images", "batch_size"), [(5, 2), (5, 5), (3, 7), (8, 3)])
def test_every_image_is_shown_once_per_visit(n_images: int, batch_size: int) -> None:
    steps = 4 * n_images
    batches = list(BatchOrder(n_images, batch_size, first=0, last=steps, seed=0))
    assert [len(batch) for batch in batches] == [batch_size] * steps
    flat = [key for batch in batches for key in batch]
    assert len(set(flat)) == len(flat)
    for visit in range(steps * batch_size // n_images):
        seen = [index for v, index in flat if v == visit]
        assert sorted(seen) == list(range(n_images))
    assert [i for v, i in flat if v == 0] != [i for v, i in flat if v == 1] or n_images < 4


def test_steps_do_not_depend_on_where_the_epochs_are_cut() -> None:
    whole = list(BatchOrder(7, 3, first=0, last=10, seed=1))
    parts = [
        *BatchOrder(7, 3, first=0, last=4, seed=1),
        *BatchOrder(7, 3, first=4, last=10, seed=1),
    ]
    assert whole == parts


def test_ranks_share_each_batch() -> None:
    whole = list(BatchOrder(9, 4, first=0, last=5, seed=1))
    halves = [BatchOrder(9, 4, first=0, last=5, seed=1, rank=r, n_ranks=2) for r in (0, 1)]
    for batch, one, two in zip(whole, *halves, strict=True):
        assert sorted(batch) == sorted(one + two)


def test_resize_keeps_constants_and_means() -> None:
    assert (resize(np.full((8, 8), 77, np.uint8), 20) == 77).all()
    checks = np.indices((8, 8)).sum(0) % 2 * 200
    assert (resize(checks.astype(np.uint8), 4) == 100).all()
    image = table().sources[0][0]
    assert resize(image, 16) is image


def test_read_only_images_are_served() -> None:
    images = table().sources[0]
    images.flags.writeable = False
    image, label = EvaluationSet(ArrayTable.of(images, table().labels), 16, "none")[1]
    np.testing.assert_array_equal(image[0], images[1])
    assert label == 1


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 8, 8)), np.zeros(2, np.int64), "images"),
        (np.zeros((2, 8), np.uint8), np.zeros(2, np.int64), "images"),
        (np.zeros((2, 8, 8), np.uint8), np.zeros(3, np.int64), "labels"),
        (np.zeros((2, 8, 8), np.uint8), np.zeros(2), "labels"),
    ],
)
def test_arrays_of_another_kind_are_refused(
    images: np.ndarray, labels: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ArrayTable.of(images, labels)


def test_empty_tables_and_unnamed_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="training table"):
        check_table(table(0), 2, "training")
    with pytest.raises(ValueError, match="training table"):
        check_table(table(4), 1, "training")


def test_only_the_asked_classes_are_transformed() -> None:
    images = TrainSet(table(), ClassifierConfig(), seed=3, side=32, transformed=frozenset({1}))
    for index, label in enumerate(table().labels):
        found, _ = images[(0, index)]
        same = np.array_equal(found[0].numpy(), resize(table().sources[0][index], 32))
        assert same == (label != 1)


def test_clahe_is_what_network_and_test_both_get() -> None:
    stored = ArrayTable.of(np.full((1, 32, 32), 90, np.uint8), np.zeros(1, np.int64))
    ramp = ArrayTable.of(
        np.linspace(100, 110, 32 * 32).reshape(1, 32, 32).astype(np.uint8), stored.labels
    )
    config = ClassifierConfig(contrast="clahe", augment=AugmentConfig.model_validate(OFF))
    (seen, _) = TrainSet(ramp, config, seed=0, side=32)[(0, 0)]
    (tested, _) = EvaluationSet(ramp, 32, "clahe")[0]
    assert torch.equal(seen, tested)
    expected = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(ramp.sources[0][0])
    np.testing.assert_array_equal(tested[0].numpy(), expected)
    assert np.ptp(expected.astype(int)) > np.ptp(ramp.sources[0].astype(int))


def test_zoom_enlarges_or_shrinks_about_the_middle() -> None:
    dot = np.zeros((65, 65), np.uint8)
    dot[28:37, 28:37] = 200
    zoom = TrainTransform(AugmentConfig.model_validate({**OFF, "zoom": 0.4}), 0)
    masses = []
    for visit in range(30):
        found = zoom(dot, visit=visit, index=0).astype(float)
        rows, columns = np.nonzero(found > 100)
        assert abs(rows.mean() - 32) < 1
        assert abs(columns.mean() - 32) < 1
        masses.append(len(rows) / 81)
    assert min(masses) < 0.7
    assert max(masses) > 1.4
    assert min(masses) > 0.6**2 * 0.7
    assert max(masses) < 1.4**2 * 1.3


def test_some_images_stay_as_sharp_as_those_of_the_test() -> None:
    image = table().sources[0][0]
    settings = {**OFF, "rotation_degrees": 30, "warp_probability": 0.3}
    warp = TrainTransform(AugmentConfig.model_validate(settings), 0)
    same = [np.array_equal(warp(image, visit=v, index=0), image) for v in range(200)]
    assert 0.6 < np.mean(same) < 0.8
