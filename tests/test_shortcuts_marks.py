"""Marks and blur planted outside the lungs of drawn chests, which have no disease, are found."""

import cv2
import numpy as np
import pytest

from balancer.ablation.caps import shortcut_caps
from balancer.data.split import split_groups
from balancer.shortcuts.lungs import LungsOfSet, find_lungs, given_lungs
from balancer.shortcuts.probes import PLACES, SHARPNESS, SHORTCUTS
from balancer.shortcuts.records import ProbeResult
from balancer.shortcuts.scoring import ProbeTarget, difference_of_folds, folds_of, score_folds
from balancer.shortcuts.tables import places, quarters_and_pixels, sharpness
from balancer.shortcuts.views import lungs_blacked_out, lungs_only
from samples.phantom import draw_phantom

pytestmark = [pytest.mark.blank_pictures, pytest.mark.usefixtures("one_thread")]

SIZE, FINEST, RARE, COMMON = 96, 128, 60, 160
MARKS = {
    "in the corner": (slice(2, 8), slice(2, 8)),
    "10 % inside": (slice(9, 15), slice(9, 15)),
    "at the shoulder": (slice(9, 15), slice(24, 30)),
}


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    films = [draw_phantom(1_000 + i, covid=False, size=SIZE) for i in range(RARE)]
    films += [draw_phantom(5_000 + i, covid=False, size=SIZE) for i in range(COMMON)]
    return np.stack(films)


def labels() -> list[str]:
    return ["Rare"] * RARE + ["Common"] * COMMON


def enlarged(films: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(film, (FINEST, FINEST)) for film in films])


Tables = dict[str, tuple[np.ndarray, int | None]]


def tables_of(films: np.ndarray, lungs: LungsOfSet) -> Tables:
    rows = np.flatnonzero(lungs.present)
    return {
        PLACES: (places(films[rows], lungs.near_finest[rows]), 4),
        SHARPNESS: (sharpness(films[rows], lungs.hidden_finest[rows]), None),
    }


def probed(tables: Tables, lungs: LungsOfSet, words: list[str]) -> dict[str, ProbeResult]:
    """The two probes without features, on three splits."""
    names = [str(i) for i in range(len(words))]
    splits = []
    for seed in range(3):
        split = split_groups(names, words, shares=(0.7, 0.15, 0.15), seed=seed)
        splits.append((f"split-{seed}", {name: split[name] for name in names}))
    rows = np.flatnonzero(lungs.present)
    target = ProbeTarget(words, names, "Rare", frozenset(words), "class")
    folds = list(folds_of(names, splits))
    found = {}
    for name, (table, keep) in tables.items():
        scores = score_folds(table, rows, target, folds, c=1.0, seed=0, keep=keep)
        found[name] = ProbeResult(
            probe=name, describes="", predicts="class", shortcut=name in SHORTCUTS, **dict(scores)
        )
    return found


def capped(found: dict[str, ProbeResult]) -> list[str]:
    return [name for name in found if shortcut_caps([found[name]])]


@pytest.mark.parametrize("where", list(MARKS))
def test_a_mark_outside_the_lungs_caps(drawn: np.ndarray, where: str) -> None:
    films = drawn.copy()
    films[(slice(RARE), *MARKS[where])] = 250
    large = enlarged(films)
    lungs = find_lungs(large, 32, cache=None)
    found = probed(tables_of(large, lungs), lungs, labels())
    assert PLACES in capped(found)
    assert found[PLACES].auroc is not None
    assert (found[PLACES].auroc.value or 0) > 0.97


def test_a_slight_blur_of_one_class_caps(drawn: np.ndarray) -> None:
    films = drawn.copy()
    films[:RARE] = [cv2.GaussianBlur(film, (0, 0), 0.6) for film in films[:RARE]]
    large = enlarged(films)
    lungs = find_lungs(large, 32, cache=None)
    assert capped(probed(tables_of(large, lungs), lungs, labels())) == [SHARPNESS]


def test_classes_without_a_difference_are_never_capped(drawn: np.ndarray) -> None:
    """Forty draws of the labels; at an AUROC of 0.5 a lower end of 0.90 is out of reach."""
    large = enlarged(drawn)
    lungs = find_lungs(large, 32, cache=None)
    rng = np.random.default_rng(0)
    tables = tables_of(large, lungs)
    values = []
    for _ in range(40):
        found = probed(tables, lungs, rng.permutation(labels()).tolist())
        assert capped(found) == []
        values += [one.auroc.value for one in found.values() if one.auroc is not None]
    assert len(values) == 80
    assert abs(np.mean(np.array(values, float)) - 0.5) < 0.05


def test_a_disease_of_the_lungs_does_not_cap(drawn: np.ndarray) -> None:
    ill = [draw_phantom(1_000 + i, covid=True, size=SIZE) for i in range(RARE)]
    large = enlarged(np.concatenate([np.stack(ill), drawn[RARE:]]))
    lungs = find_lungs(large, 32, cache=None)
    assert set(lungs.left_out(labels())) == {"Common", "Rare"}
    assert capped(probed(tables_of(large, lungs), lungs, labels())) == []


def test_found_lungs_are_hidden_and_so_is_their_outline(drawn: np.ndarray, tmp_path) -> None:
    large = enlarged(drawn[:40])
    lungs = find_lungs(large, 32, cache=tmp_path)
    present = lungs.present
    assert 20 < present.sum() < 40
    assert lungs.shown.shape == lungs.hidden.shape == (40, 32, 32)
    assert not lungs.shown[~present].any()
    assert (lungs.hidden_finest >= lungs.near_finest).all()
    # Where every fifth of the trusted images has lungs, all are hidden.
    assert lungs.hidden_finest.all(axis=0).mean() > 0.3
    assert lungs.near_finest.all(axis=0).mean() < 0.1
    (kept,) = tmp_path.glob("*.npz")
    again = find_lungs(large, 32, cache=tmp_path)
    assert np.array_equal(again.hidden_finest, lungs.hidden_finest)
    kept.write_bytes(b"damaged")
    assert np.array_equal(find_lungs(large, 32, cache=tmp_path).shown, lungs.shown)


def test_places_do_not_show_what_is_hidden() -> None:
    """Whatever is under the mask, and wherever the mask lies, the table stays the same."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 16, 16), dtype=np.uint8)
    hidden = np.zeros(images.shape, bool)
    hidden[:, 4:9, 4:9] = rng.random((30, 5, 5)) < 0.5
    changed = np.where(hidden, np.uint8(255) - images, images)
    table = places(images, hidden)
    assert np.array_equal(table, places(changed, hidden))
    covered = hidden.reshape(30, -1)
    for column in np.flatnonzero(covered.any(axis=0)):
        seen = table[~covered[:, column], column]
        assert table[covered[:, column], column] == pytest.approx(seen.mean())


def test_sharpness_ignores_what_is_hidden_and_falls_with_a_blur() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 32, 32), dtype=np.uint8)
    hidden = np.zeros(images.shape, bool)
    hidden[:, 10:20, 10:20] = True
    inside = np.zeros(images.shape, bool)
    inside[:, 12:18, 12:18] = True  # filters reach two pixels
    changed = np.where(inside, np.uint8(0), images)
    assert np.array_equal(sharpness(images, hidden), sharpness(changed, hidden))
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), 1.0) for image in images])
    assert (sharpness(blurred, hidden) < sharpness(images, hidden)).all()
    flat = sharpness(np.zeros_like(images), np.ones_like(hidden))
    assert np.isfinite(flat).all()


def test_the_rest_of_the_image_is_the_difference_of_two_probes(drawn: np.ndarray) -> None:
    from balancer.data.masks.read import MaskStack

    films = drawn[:100].copy()
    films[(slice(RARE), *MARKS["at the shoulder"])] = 250
    words, names = labels()[:100], [str(i) for i in range(100)]
    masks = np.zeros(films.shape, bool)
    masks[:, 30:70, 30:70] = True
    lungs = given_lungs(MaskStack(masks, np.ones(100, bool), 0, 0), FINEST)
    split = split_groups(names, words, shares=(0.6, 0.1, 0.3), seed=0)
    folds = list(folds_of(names, [("a", {name: split[name] for name in names})] * 2))
    target = ProbeTarget(words, names, "Rare", frozenset(words), "class")

    def means(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).mean(axis=1, keepdims=True).astype(np.float32)

    rows = np.arange(100)
    both = [quarters_and_pixels(films, means), quarters_and_pixels(lungs_only(films, masks), means)]
    apart = [
        score_folds(table, rows, target, folds, c=0.01, seed=0, weights=weights).auroc
        for table, weights in both
    ]
    found = difference_of_folds(both[0], both[1], rows, target, folds, c=0.01, seed=0).auroc
    assert found is not None
    assert apart[0] is not None
    assert apart[1] is not None
    assert found.value == pytest.approx((apart[0].value or 0) - (apart[1].value or 0))
    assert (found.low or 0) < (found.value or 0) < (found.high or 0)
    assert np.array_equal(lungs.hidden, masks)
    assert not lungs_blacked_out(films, lungs.hidden)[:, 30:70, 30:70].any()
