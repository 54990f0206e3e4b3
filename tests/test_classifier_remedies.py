from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import classifier
from classifier.losses import ClassLoss
from classifier.module import ClassifierModule
from classifier.tables import ArrayTable
from classifier.transforms import Mixup, mix
from support.tiny_training import TINY, skewed, spied_batches, table, train

pytestmark = pytest.mark.blank_pictures


def test_the_loss_counts_the_classes_of_the_training_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ClassLoss] = []
    original = ClassifierModule.__init__

    def spy(self: ClassifierModule, *args: Any, loss: ClassLoss, **rest: Any) -> None:
        seen.append(loss)
        original(self, *args, loss=loss, **rest)

    monkeypatch.setattr(ClassifierModule, "__init__", spy)
    balanced = TINY.model_copy(update={"class_weights": "balanced"})
    train(tmp_path, balanced, train=skewed(), n_steps=1)
    train(tmp_path, train=skewed(), n_steps=1)
    assert seen[1].weights is None
    assert seen[0].weights is not None
    torch.testing.assert_close(seen[0].weights, torch.tensor([2 / 3, 2.0]))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"loss": "focal", "focal_gamma": 0}, True),
        ({"loss": "focal"}, False),
        ({"loss": "logit-adjusted"}, False),
        ({"batches": "balanced"}, False),
        ({"mixup_alpha": 0.4}, False),
    ],
)
def test_each_setting_reaches_the_training_and_nothing_else(
    tmp_path: Path, changes: dict[str, Any], same: bool
) -> None:
    """All start alike; the validation loss after one step is the same or it is not."""
    plain = train(tmp_path / "a", train=skewed(), n_steps=1)
    other = TINY.model_copy(update=changes)
    changed = train(tmp_path / "b", other, train=skewed(), n_steps=1)
    assert (plain.history[0]["val_loss"] == changed.history[0]["val_loss"]) is same
    again = train(tmp_path / "c", other, train=skewed(), n_steps=1)
    assert again.history == changed.history
    assert classifier.load(changed.checkpoint).config == other


def test_validation_is_plain_cross_entropy_whatever_the_loss(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"loss": "focal", "mixup_alpha": 1.0, "batches": "balanced"})
    result = train(tmp_path, config, n_steps=3)
    val = table(10, 2)
    probabilities = classifier.predict(classifier.load(result.checkpoint), val)
    expected = -np.log(probabilities[np.arange(10), val.labels]).mean()
    assert result.history[0]["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_balanced_batches_hold_the_classes_in_equal_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = spied_batches(monkeypatch)
    train(tmp_path, TINY.model_copy(update={"batches": "balanced"}), train=skewed())
    assert [labels.tolist() for _, labels in batches] == [[0] * 4 + [1] * 4] * 6
    batches.clear()
    train(tmp_path, train=skewed())
    assert sum(int(labels.sum()) for _, labels in batches[:5]) == 10  # two rounds, a quarter each


def test_balanced_batches_need_images_and_room(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"batches": "balanced"})
    two_of_three = ArrayTable.of(table(6, 0).sources[0], np.arange(6) % 2)
    with pytest.raises(ValueError, match="class 2"):
        train(tmp_path / "out", config, train=two_of_three, class_names=["a", "b", "c"])
    three = ArrayTable.of(table(6, 0).sources[0], np.arange(6) % 3)
    small = config.model_copy(update={"batch_size": 2})
    with pytest.raises(ValueError, match="3 strata"):
        train(tmp_path / "out", small, train=three, class_names=["a", "b", "c"])
    assert not (tmp_path / "out").exists()


def test_remedies_that_leave_each_other_nothing_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = TINY.model_copy(update={"batches": "balanced"})
    once = train(tmp_path / "a", config, train=skewed(), n_steps=2)
    assert not caplog.records
    config = config.model_copy(update={"loss": "logit-adjusted"})
    twice = train(tmp_path / "b", config, train=skewed(), n_steps=2)
    assert "balanced batches and logit adjustment" in caplog.text
    assert twice.history[0]["train_loss"] == pytest.approx(once.history[0]["train_loss"], rel=1e-3)


def test_mixup_that_mixes_nothing_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(self: Mixup, images: torch.Tensor, labels: torch.Tensor, *, step: int) -> Any:
        soft = torch.nn.functional.one_hot(labels, self.n_classes)
        partners = torch.arange(len(labels)).flip(0)
        return mix(images, partners, 1.0), mix(soft, partners, 1.0)

    config = TINY.model_copy(update={"class_weights": "balanced"})
    plain = train(tmp_path / "a", config, train=skewed(), n_steps=2)
    monkeypatch.setattr(Mixup, "__call__", whole)
    mixed = config.model_copy(update={"mixup_alpha": 0.4})
    same = train(tmp_path / "b", mixed, train=skewed(), n_steps=2)
    assert same.history[0]["train_loss"] == pytest.approx(plain.history[0]["train_loss"], rel=1e-3)
