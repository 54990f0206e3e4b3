from pathlib import Path

import numpy as np
import pytest
import torch

import classifier
from classifier.config import AugmentConfig
from classifier.data import Pretraining
from classifier.losses import ClassLoss
from classifier.tables import ArrayTable
from support.tiny_training import TINY, skewed, spied_batches, table, train, weights


@pytest.mark.parametrize(("share", "n_first"), [(0.5, 4), (0.3, 2), (0.01, 0), (0.8, 6)])
def test_the_first_steps_read_the_table_of_the_pretraining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, n_first: int
) -> None:
    batches = spied_batches(monkeypatch)
    still = TINY.model_copy(
        update={"augment": AugmentConfig(rotation_degrees=0, shift=0, brightness=0)}
    )
    other = ArrayTable.of(np.full((5, 16, 16), 255, np.uint8), np.array([0, 1, 0, 1, 1]))
    plain = train(tmp_path / "a", still, n_steps=8)
    expected = [images.clone() for images, _ in batches]
    batches.clear()
    both = train(tmp_path / "b", still, n_steps=8, pretrain=Pretraining(other, share))
    assert [bool((images == 255).all()) for images, _ in batches] == [
        number < n_first for number in range(8)
    ]
    # The training itself starts at its own first batch.
    for (images, _), same in zip(batches[n_first:], expected, strict=False):
        assert torch.equal(images, same)
    for name in ("epoch", "step", "learning_rate"):
        assert [row[name] for row in both.history] == [row[name] for row in plain.history]
    facts = classifier.load(both.checkpoint).provenance["pretraining"]
    assert facts == {"steps": n_first, "images": 5}


def test_pretraining_for_no_step_is_none(tmp_path: Path) -> None:
    plain = weights(train(tmp_path / "a"))
    none = weights(train(tmp_path / "b", pretrain=Pretraining(table(9, 8), 0.0)))
    assert all(torch.equal(plain[name], none[name]) for name in plain)


def test_pretraining_on_the_training_images_changes_their_order_alone(tmp_path: Path) -> None:
    plain = train(tmp_path / "a", n_steps=40, steps_per_epoch=20)
    both = train(
        tmp_path / "b", n_steps=40, steps_per_epoch=20, pretrain=Pretraining(table(20, 1), 0.5)
    )
    for result in (plain, both):
        assert result.history[-1]["val_auroc"] == 1
    assert not torch.equal(weights(plain)["head.1.weight"], weights(both)["head.1.weight"])


@pytest.mark.parametrize(("n_first", "best"), [(0, 1), (2, 1), (3, 2), (5, 2), (6, 3), (8, 3)])
def test_only_validations_after_the_pretraining_choose_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_first: int, best: int
) -> None:
    """Validations at steps 3, 6 and 9, each worse than the one before."""
    values = iter([0.9, 0.8, 0.7])
    monkeypatch.setattr("classifier.module.macro_auroc", lambda *_: next(values))
    found = train(tmp_path, n_steps=9, pretrain=Pretraining(table(9, 8), n_first / 9))
    assert found.best_epoch == best
    assert len(found.history) == 3


def test_the_loss_of_a_pretraining_counts_its_own_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor | None] = []
    original = ClassLoss.forward

    def spy(self: ClassLoss, *batch: torch.Tensor, weighted: bool) -> torch.Tensor:
        seen.append(self.weights)
        return original(self, *batch, weighted=weighted)

    monkeypatch.setattr(ClassLoss, "forward", spy)
    balanced = TINY.model_copy(update={"class_weights": "balanced"})
    train(tmp_path, balanced, train=skewed(), n_steps=4, pretrain=Pretraining(table(8, 1), 0.5))
    for found, wanted in zip(seen, [[1.0, 1.0]] * 2 + [[2 / 3, 2.0]] * 2, strict=True):
        assert found is not None
        torch.testing.assert_close(found, torch.tensor(wanted))


def test_balanced_pretraining_is_of_the_classes_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = spied_batches(monkeypatch)
    balanced = TINY.model_copy(update={"batches": "balanced", "batch_size": 4})
    tables = {"train": skewed(), "pretrain": Pretraining(skewed(40), 0.5)}
    train(tmp_path, balanced, **tables)
    assert [labels.tolist() for _, labels in batches] == [[0, 0, 1, 1]] * 6


# Python 3.12 warns of a fork beside threads, which is how torch starts workers.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_everything_at_once_repeats_whatever_the_workers(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"loss": "focal", "mixup_alpha": 0.4, "batches": "balanced"})
    one, other = (
        train(
            tmp_path / str(workers),
            config.model_copy(update={"num_workers": workers}),
            train=skewed(),
            n_steps=8,
            pretrain=Pretraining(table(12, 5), 0.4),
        )
        for workers in (0, 1)
    )
    assert one.history == other.history
    first, second = weights(one), weights(other)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5, float("nan")])
def test_a_pretraining_has_a_share_of_the_steps(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Pretraining(table(4, 0), share)
