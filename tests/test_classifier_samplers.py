import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from classifier.data import BatchOrder
from classifier.samplers import BalancedBatchSampler

STRATA = np.array([0] * 17 + [5] * 4 + [-2] * 9)


@st.composite
def plans(draw: st.DrawFn) -> tuple[np.ndarray, int, int, dict[int, float], int]:
    names = draw(st.lists(st.integers(-5, 50), min_size=1, max_size=6, unique=True))
    sizes = draw(st.lists(st.integers(1, 12), min_size=len(names), max_size=len(names)))
    parts = draw(st.lists(st.integers(1, 30), min_size=len(names), max_size=len(names)))
    shares = {name: part / sum(parts) for name, part in zip(names, parts, strict=True)}
    batch_size = draw(st.integers(len(names), 20))
    strata = np.random.default_rng(0).permutation(np.repeat(names, sizes))
    return strata, batch_size, draw(st.integers(0, 40)), shares, draw(st.integers(0, 2**40))


@settings(max_examples=60, deadline=None)
@given(plans())
def test_shares_are_exact_batch_by_batch_and_in_the_long_run(
    plan: tuple[np.ndarray, int, int, dict[int, float], int],
) -> None:
    strata, batch_size, n_batches, shares, seed = plan
    sampler = BalancedBatchSampler(strata, batch_size, n_batches, shares, seed)
    batches = list(sampler)
    assert len(batches) == len(sampler) == n_batches
    total: Counter[int] = Counter()
    for number, batch in enumerate(batches, 1):
        assert len(batch) == batch_size
        found = Counter(int(strata[row]) for row in batch)
        total += found
        for name, share in shares.items():
            assert abs(found[name] - batch_size * share) < 1 + 1e-9
            assert abs(total[name] - number * batch_size * share) < 2


@settings(max_examples=60, deadline=None)
@given(plans())
def test_no_row_comes_again_before_all_others_of_its_stratum(
    plan: tuple[np.ndarray, int, int, dict[int, float], int],
) -> None:
    strata, *rest = plan
    flat = list(itertools.chain.from_iterable(BalancedBatchSampler(strata, *rest)))
    for name in np.unique(strata):
        rows = np.flatnonzero(strata == name).tolist()
        shown = [row for row in flat if strata[row] == name]
        for start in range(0, len(shown), len(rows)):
            once = shown[start : start + len(rows)]
            assert len(set(once)) == len(once)
            assert set(once) <= set(rows)


@settings(max_examples=40, deadline=None)
@given(plans(), st.integers(0, 60))
def test_a_batch_depends_on_the_seed_and_its_number_alone(
    plan: tuple[np.ndarray, int, int, dict[int, float], int], first: int
) -> None:
    strata, batch_size, n_batches, shares, seed = plan
    whole = list(BalancedBatchSampler(strata, batch_size, first + n_batches, shares, seed))
    later = BalancedBatchSampler(strata, batch_size, n_batches, shares, seed, first=first)
    assert list(later) == whole[first:]
    assert list(later) == whole[first:]  # again


@pytest.mark.parametrize(
    ("shares", "batch_size", "expected"),
    [
        (None, 6, [(2, 2, 2)] * 4),
        (None, 4, [(2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 1, 1)]),
        (None, 5, [(2, 2, 1), (2, 1, 2), (1, 2, 2), (2, 2, 1)]),
        ({-2: 0.5, 0: 0.3, 5: 0.2}, 10, [(5, 3, 2)] * 4),
        ({-2: 0.29, 0: 0.14, 5: 0.57}, 100, [(29, 14, 57)] * 4),  # 0.29 * 100 < 29 in floats
        ({-2: 0.5, 0: 0.25, 5: 0.25}, 6, [(3, 2, 1), (3, 1, 2), (3, 2, 1), (3, 1, 2)]),
        ({-2: 0.7, 0: 0.1, 5: 0.2}, 5, [(4, 0, 1), (3, 1, 1), (4, 0, 1), (3, 1, 1)]),  # true ties
    ],
)
def test_sizes_by_hand(
    shares: dict[int, float] | None, batch_size: int, expected: list[tuple[int, ...]]
) -> None:
    sampler = BalancedBatchSampler(STRATA, batch_size, 4, shares, seed=1)
    sizes = [tuple(int((STRATA[batch] == s).sum()) for s in (-2, 0, 5)) for batch in sampler]
    assert sizes == expected


def test_shares_that_no_float_holds_never_drift() -> None:
    """After 3000 batches of 4 with thirds, each stratum has 4000 rows to the row."""
    rows = list(itertools.chain.from_iterable(BalancedBatchSampler(STRATA, 4, 3000)))
    assert Counter(STRATA[rows].tolist()) == {-2: 4000, 0: 4000, 5: 4000}


def test_every_other_row_of_a_batch_has_the_shares_too() -> None:
    for batch in BalancedBatchSampler(STRATA, 12, 20):
        for rank in (0, 1):
            names = Counter(STRATA[batch[rank::2]].tolist())
            assert set(names.values()) == {2}


def test_seeds_differ_and_leave_torch_alone() -> None:
    state = torch.random.get_rng_state()
    orders = [list(BalancedBatchSampler(STRATA, 6, 5, seed=seed)) for seed in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert orders[0] == orders[1] != orders[2]


def test_strata_are_shuffled_apart() -> None:
    """Strata of equal size do not go through their rows in the same order."""
    strata = np.repeat([0, 1, 2], 20)
    (batch,) = BalancedBatchSampler(strata, 60, 1)
    orders = {tuple(row % 20 for row in batch[start : start + 20]) for start in (0, 20, 40)}
    assert len(orders) == 3


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("num_workers", [0, 1])
def test_it_works_alone_with_a_data_loader(num_workers: int) -> None:
    labels = torch.tensor([0] * 90 + [1] * 10)
    data = TensorDataset(torch.arange(100), labels)
    sampler = BalancedBatchSampler(labels.tolist(), batch_size=8, n_batches=5, seed=2)
    loader = DataLoader(data, batch_sampler=sampler, num_workers=num_workers)
    assert len(loader) == 5
    rows = []
    for row, label in loader:
        assert label.tolist() == [0] * 4 + [1] * 4
        rows.append(row.tolist())
    assert rows == list(sampler)


def test_strata_may_be_of_any_integer_type() -> None:
    expected = list(BalancedBatchSampler([0, 0, 1, 3], 3, 4))
    for strata in (np.array([0, 0, 1, 3], np.uint8), torch.tensor([0, 0, 1, 3])):
        given_strata: Any = strata
        assert list(BalancedBatchSampler(given_strata, 3, 4)) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": {0: 0.5, 5: 0.3, -2: 0.1}}, "shares"),
        ({"shares": {0: 1.2, 5: 0.3, -2: -0.5}}, "shares"),
        ({"shares": {0: 0.5, 5: 0.5, -2: 0.0}}, "shares"),
        ({"shares": {0: float("nan"), 5: 0.5, -2: 0.5}}, "shares"),
        ({"shares": {0: 0.4, 5: 0.2, -2: 0.2, 7: 0.2}}, "shares.*7"),
        ({"shares": {0: 0.5, 5: 0.5}}, "shares.*-2"),
        ({"batch_size": 2}, "3 strata"),
        ({"strata": []}, "strata"),
        ({"strata": [0.5, 1.0]}, "strata"),
        ({"strata": [[0, 1]]}, "strata"),
        ({"strata": ["a", "b"]}, "strata"),
        ({"n_batches": -1}, "n_batches, first and seed"),
        ({"seed": -1}, "n_batches, first and seed"),
        ({"first": -1}, "n_batches, first and seed"),
    ],
)
def test_bad_plans_are_refused_in_one_sentence(changes: dict[str, Any], message: str) -> None:
    options: dict[str, Any] = {"strata": STRATA, "batch_size": 6, "n_batches": 3}
    with pytest.raises(ValueError, match=message) as caught:
        BalancedBatchSampler(**{**options, **changes})
    assert "\n" not in str(caught.value)


def test_the_order_of_a_run_takes_its_batches_from_the_sampler() -> None:
    order = BatchOrder(30, 7, first=3, last=9, seed=4, strata=STRATA, offset=100)
    sampler = BalancedBatchSampler(STRATA, 7, 6, seed=4, first=3)
    assert [[row - 100 for _, row in batch] for batch in order] == list(sampler)
    keys = [
        key for batch in BatchOrder(30, 7, first=0, last=40, seed=4, strata=STRATA) for key in batch
    ]
    assert len(set(keys)) == len(keys)


def test_one_stratum_is_drawn_as_it_always_was() -> None:
    """Streams of runs without strata must not change: the same seed gives the same weights."""
    for visit, batch in enumerate(BatchOrder(30, 30, first=0, last=3, seed=4)):
        expected = np.random.default_rng((4, visit)).permutation(30).tolist()
        assert batch == [(visit, row) for row in expected]
