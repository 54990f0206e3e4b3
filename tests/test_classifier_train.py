import csv
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import classifier
from classifier.data import Pretraining
from classifier.history import EpochRecord
from classifier.models import build
from classifier.module import ClassifierDiverged, ClassifierModule
from classifier.phases import one_cycle
from classifier.tables import ArrayTable
from support.tiny_training import TINY, table, train, weights


def test_it_learns_and_leaves_its_files(tmp_path: Path) -> None:
    result = train(tmp_path / "a", n_steps=24, steps_per_epoch=8)
    loaded = classifier.load(result.checkpoint)
    unseen = table(40, 3)
    probabilities = classifier.predict(loaded, unseen)
    assert (probabilities.argmax(1) == unseen.labels).mean() > 0.9
    names = {path.name for path in result.checkpoint.iterdir()}
    assert names == {
        "classifier.safetensors",
        "classifier.json",
        "history.csv",
        "learning-curves.png",
    }
    with (result.checkpoint / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["8", "16", "24"]
    assert loaded.provenance["split"] == "abc"
    assert loaded.provenance["best"][0]["epoch"] == result.best_epoch
    assert (result.checkpoint / "learning-curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("n_images", "n_steps", "steps_per_epoch", "expected"),
    [
        (20, 7, 3, [3, 6, 7]),
        (50, 7, 3, [3, 6, 7]),
        (20, 2, 5, [2]),
        (20, 4, 1, [1, 2, 3, 4]),
        (3, 5, 5, [5]),
    ],
)
def test_steps_are_exact_whatever_the_number_of_images(
    tmp_path: Path, n_images: int, n_steps: int, steps_per_epoch: int, expected: list[int]
) -> None:
    result = train(
        tmp_path, train=table(n_images, 0), n_steps=n_steps, steps_per_epoch=steps_per_epoch
    )
    assert [row["step"] for row in result.history] == expected


@pytest.mark.fault(47, 51)
# Python 3.12 warns of a fork beside threads, which is how torch starts workers.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_same_seed_same_weights_and_workers_do_not_matter(tmp_path: Path) -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = weights(train(tmp_path / "a"))
    assert torch.equal(torch.random.get_rng_state(), state)  # the caller's generator is untouched
    torch.rand(3)
    again = weights(train(tmp_path / "b", TINY.model_copy(update={"num_workers": 1})))
    other = weights(train(tmp_path / "c", seed=1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.1.weight"], other["head.1.weight"])


def test_the_weights_kept_are_those_of_the_best_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.5, 0.9, 0.7])
    snapshots: list[torch.Tensor] = []

    def scripted(probabilities: np.ndarray, labels: np.ndarray) -> float:
        return next(values)

    def remember(self: ClassifierModule) -> None:
        snapshots.append(self.network.head[1].weight.detach().clone())

    monkeypatch.setattr("classifier.module.macro_auroc", scripted)
    monkeypatch.setattr(ClassifierModule, "on_validation_epoch_start", remember)
    result = train(tmp_path, n_steps=9)
    assert result.best_epoch == 2
    assert torch.equal(weights(result)["head.1.weight"], snapshots[1])
    assert not torch.equal(snapshots[1], snapshots[2])


def test_rank_of_validations() -> None:
    def record(loss: float, auroc: float | None) -> EpochRecord:
        return EpochRecord(1, 1, 0.0, loss, auroc, 0.0)

    assert record(9.0, 0.8).rank > record(0.1, 0.7).rank
    assert record(0.1, 0.8).rank > record(0.2, 0.8).rank
    assert record(0.1, None).rank > record(0.2, None).rank


def test_validation_of_one_class_falls_back_to_its_loss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one_class = ArrayTable.of(table(10, 2).sources[0], np.zeros(10, np.int64))
    result = train(tmp_path, val=one_class)
    losses = [row["val_loss"] for row in result.history]
    assert result.best_epoch == 1 + losses.index(min(losses))
    assert any(record.levelname == "WARNING" for record in caplog.records)


def test_the_head_trains_first_and_alone(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"model": "lite0", "input_size": 32, "batch_size": 4})
    result = train(tmp_path, config, n_steps=2, steps_per_epoch=2, train=table(4, 0))
    torch.manual_seed(0)
    start = build(config, 2).state_dict()
    found = weights(result)
    changed = {name for name in start if not torch.equal(start[name], found[name])}
    assert changed == {"head.1.weight", "head.1.bias"}
    after = weights(train(tmp_path, config, n_steps=3, steps_per_epoch=1, train=table(4, 0)))
    assert not torch.equal(after["head.1.weight"], start["head.1.weight"])


def test_all_layers_train_after_the_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = iter(range(5))
    monkeypatch.setattr(
        "classifier.module.macro_auroc", lambda *_: float(next(order))
    )  # keeps the last
    config = TINY.model_copy(update={"model": "lite0", "input_size": 32, "batch_size": 4})
    result = train(tmp_path, config, n_steps=3, steps_per_epoch=1, train=table(4, 0))
    torch.manual_seed(0)
    start = build(config, 2).state_dict()
    found = weights(result)
    name = "backbone.conv_stem.weight"
    assert not torch.equal(start[name], found[name])
    assert found["backbone.bn1.num_batches_tracked"] == 2  # not in the frozen step


def test_few_images_make_smaller_batches_and_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path, train=table(3, 0), n_steps=1)
    [warning] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.args == (3, 8)


def test_a_loss_that_is_not_finite_stops_the_run_and_writes_nothing(tmp_path: Path) -> None:
    hot = TINY.model_copy(
        update={
            "model": "torchvision:squeezenet1_1",
            "input_size": 32,
            "learning_rate": 1e30,  # past the range of the settings, to be sure
        }
    )
    with pytest.raises(ClassifierDiverged, match=r"classifier\.learning_rate"):
        train(tmp_path / "out", hot)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_stays_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ClassifierModule, "on_validation_epoch_end", interrupt)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "out")
    assert signal.getsignal(signal.SIGINT) is handler
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": table(0, 0)}, "training table"),
        ({"val": table(0, 0)}, "validation table"),
        ({"class_names": ["one"]}, "training table"),
        ({"n_steps": 0}, "n_steps"),
        ({"pretrain": Pretraining(table(0, 0), 0.5)}, "pretraining table"),
        ({"pretrain": Pretraining(table(4, 0), 0.95)}, "Pretraining"),
    ],
)
def test_bad_input(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_one_cycle_is_torchs() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=1001)
    assert one_cycle(0) == pytest.approx(torchs.get_last_lr()[0])
    for step in range(1, 1001):
        optimizer.step()
        torchs.step()
        # torch ends its rise one step earlier, at 0.3 * total - 1
        assert one_cycle(step / 1000) == pytest.approx(torchs.get_last_lr()[0], abs=0.01)


def test_nothing_is_printed_by_default(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_the_bar_is_on_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "6/6" in err
    assert "images/s" in err
