"""Snapshots: the best is exported, a collapse ends the training, and stopping changes nothing."""

import csv
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gan.module
from gan import GANDiverged, SnapshotEvaluation, load, sample
from gan.evaluator import membership_auroc
from gan.module import LitDCGAN
from gan.selection import kept_snapshot, reason_to_stop
from support.tiny_gan import noise, recipe, train, watched

pytestmark = pytest.mark.usefixtures("one_thread")


def weights(out_dir: Path) -> bytes:
    return (out_dir / "generator.safetensors").read_bytes()


def rows(out_dir: Path) -> list[dict[str, str]]:
    with (out_dir / "selection.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_best_snapshot_is_exported(tmp_path: Path) -> None:
    result = train(tmp_path / "best", validation=watched(0.9, 0.4, 0.7, 0.8))
    train(tmp_path / "until then", images_shown=48, decay_share=0, ema_half_life=2000)
    assert result.selected is not None
    assert (result.selected.images_shown, result.selected.kid) == (48, 0.4)
    assert load(tmp_path / "best").metadata.images_shown == 48
    assert result.images_shown == 96
    assert result.stop_reason is None
    assert [(row["images_shown"], row["kid"]) for row in rows(tmp_path / "best")] == [
        ("24", "0.9"), ("48", "0.4"), ("72", "0.7"), ("96", "0.8"),
    ]  # fmt: skip
    with Image.open(tmp_path / "best" / "selection.png") as plot:
        plot.verify()


def test_the_exported_weights_are_those_of_a_training_that_ended_there(tmp_path: Path) -> None:
    train(tmp_path / "best", validation=watched(0.9, 0.4, 0.7, 0.8), decay_share=0)
    train(tmp_path / "short", images_shown=48, decay_share=0)
    assert weights(tmp_path / "best") == weights(tmp_path / "short")


def test_keep_last_exports_the_last_snapshot(tmp_path: Path) -> None:
    kept = train(tmp_path / "kept", validation=watched(0.9, 0.4, 0.7, 0.8), keep="last")
    train(tmp_path / "plain")
    assert weights(tmp_path / "kept") == weights(tmp_path / "plain")
    assert kept.selected is not None
    assert kept.selected.images_shown == 96


def test_stopped_and_resumed_chooses_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validation = watched(0.9, 0.4, 0.7, 0.8)
    train(tmp_path / "whole", validation=validation)
    original, taken = LitDCGAN.training_step, 0

    def step(self: LitDCGAN, images: torch.Tensor, batch_idx: int) -> None:
        nonlocal taken
        taken += 1
        if taken == 7:
            os.kill(os.getpid(), signal.SIGINT)
        original(self, images, batch_idx)

    again = watched(0.9, 0.4, 0.7, 0.8)
    with monkeypatch.context() as patch:
        patch.setattr(LitDCGAN, "training_step", step)
        stopped = train(tmp_path / "parts", validation=again)
    assert stopped.interrupted_by == signal.SIGINT
    finished = train(tmp_path / "parts", validation=again)
    assert finished.selected is not None
    assert finished.selected.images_shown == 48
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")


def test_patience_ends_the_training(tmp_path: Path) -> None:
    result = train(tmp_path, validation=watched(0.3, 0.4, 0.5), patience=2)
    assert result.images_shown == 72
    assert result.interrupted_by is None
    assert result.stop_reason is not None
    assert "KID" in result.stop_reason
    assert load(tmp_path).metadata.images_shown == 24
    again = train(tmp_path, validation=watched(), patience=2)
    assert (again.images_shown, again.stop_reason) == (72, result.stop_reason)


def test_a_collapse_ends_the_training(tmp_path: Path) -> None:
    validation = watched(0.5, 0.6, 0.6, 0.6, diversities=(0.9, 0.3, 0.2, 0.2))
    result = train(tmp_path, validation=validation, images_shown=960, checkpoint_every=480)
    assert result.images_shown == 96
    assert result.stop_reason is not None
    assert "collapsed" in result.stop_reason
    assert load(tmp_path).metadata.images_shown == 24


def test_a_training_that_comes_to_its_end_was_not_stopped(tmp_path: Path) -> None:
    result = train(tmp_path, validation=watched(0.3, 0.4, 0.5, 0.6), patience=3)
    assert (result.images_shown, result.stop_reason) == (96, None)


def test_companions_share_the_training_and_only_the_own_class_is_drawn(tmp_path: Path) -> None:
    own = torch.full((16, 1, 32, 32), 40, dtype=torch.uint8)
    companions = torch.full((24, 1, 32, 32), 220, dtype=torch.uint8)
    train(
        tmp_path,
        images=own,
        companions=companions,
        companion_share=0.5,
        images_shown=2400,
        learning_rate_generator=2e-3,
        learning_rate_discriminator=2e-3,
        augment=(),
        ema_half_life=200,
        grid_every=2400,
        checkpoint_every=2400,
    )
    made = sample(load(tmp_path), 64)
    assert abs(made.mean() - 40) < abs(made.mean() - 220) / 2


def test_companions_and_their_share_belong_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="companion_share"):
        train(tmp_path, companions=noise(9))
    with pytest.raises(ValueError, match="companion_share"):
        train(tmp_path, companion_share=0.5)


def test_nan_after_a_good_snapshot_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = gan.module.generator_loss
    steps = 0

    def loss(logits: torch.Tensor) -> torch.Tensor:
        nonlocal steps
        steps += 1
        return original(logits) * (float("nan") if steps > 8 else 1)

    monkeypatch.setattr(gan.module, "generator_loss", loss)
    with pytest.raises(GANDiverged):
        train(tmp_path / "none", checkpoint_every=40)
    steps = 0
    result = train(tmp_path / "some", validation=watched(0.5, 0.3, 0.1), checkpoint_every=24)
    assert result.stop_reason is not None
    assert "not finite" in result.stop_reason
    assert result.selected is not None
    assert result.selected.images_shown == 48
    assert result.stop_reason in caplog.text
    assert all(torch.isfinite(w).all() for w in load(tmp_path / "some").generator.parameters())


def entry(**changes: Any) -> SnapshotEvaluation:
    values = {"images_shown": 8, "kid": 1.0, "diversity": 0.8, "closer_to_training": 0.5}
    return SnapshotEvaluation(**values | {"loss_d": 1.0, "membership_auroc": 0.5} | changes)


@pytest.mark.parametrize(
    ("evaluations", "words"),
    [
        ([entry()], None),
        ([entry(loss_d=0.001)] * 2, None),
        ([entry(loss_d=0.001)] * 3, "certain of every image"),
        ([entry(loss_d=0.001), entry(), entry(loss_d=0.001)], None),
        ([entry(), *[entry(diversity=0.39)] * 3], "collapsed"),
        ([entry(), *[entry(diversity=0.41)] * 3], None),
        ([*[entry(diversity=0.1)] * 3, entry()], None),  # early images are alike; no collapse
        ([entry(diversity=0.1)] * 4, "collapsed"),
        ([entry(), *[entry(diversity=0.3, kid=1 - 0.1 * n) for n in range(1, 4)]], None),
        ([entry(kid=0.5), *[entry()] * 4], "not improved for 4"),
        ([entry(), entry(kid=0.5), *[entry()] * 3], None),
    ],
)
def test_reasons_to_stop(evaluations: list[SnapshotEvaluation], words: str | None) -> None:
    found = reason_to_stop(evaluations, patience=4)
    assert (found is None) if words is None else (found is not None and words in found)


def per_image(kids: float, recall: float, *, noise: float) -> SnapshotEvaluation:
    """An evaluation on 50 validation images, each with its own noise."""
    random = np.random.default_rng([round(kids * 1e6), round(recall * 100)])
    parts = kids + noise * random.standard_normal(50)
    recalled = tuple((np.arange(50) < recall * 50).tolist())
    return entry(kid=float(parts.mean()), kid_parts=tuple(parts.tolist()), recalled=recalled)


@pytest.mark.parametrize(
    ("evaluations", "kept"),
    [
        # What every image agrees on decides; the later worse ones are not kept.
        ([(0.9, 0.1), (0.4, 0.5), (0.7, 0.3), (0.8, 0.2)], 1),
        # The lowest KID is of little use where recall is lost.
        ([(0.90, 0.10), (0.50, 0.30), (0.40, 0.60), (0.39, 0.05)], 2),
        ([(0.9, 0.1), (0.4, 0.5)], 1),
    ],
)
def test_clear_differences_decide_which_snapshot_is_kept(
    evaluations: list[tuple[float, float]], kept: int
) -> None:
    assert kept_snapshot([per_image(*values, noise=1e-6) for values in evaluations]) == kept


def test_of_snapshots_that_validation_cannot_tell_apart_a_late_one_is_kept() -> None:
    """Nine are equal but for noise: the lowest KID is any of them, the kept one a late one."""
    kept, lowest = [], []
    for draw in range(12):
        equal = [per_image(0.4 + (9 * draw + n) / 1e5, 0.5, noise=3) for n in range(9)]
        kept.append(kept_snapshot([per_image(3.0, 0.0, noise=1e-6), *equal]))
        unknown = [replace(evaluation, recalled=()) for evaluation in equal]
        lowest.append(1 + kept_snapshot(unknown))  # without values per image, the lowest KID
        assert equal[lowest[-1] - 1].kid == min(evaluation.kid for evaluation in equal)
    assert np.mean(kept) > 7 > 6 > np.mean(lowest)


def test_membership_is_the_area_under_the_curve() -> None:
    module = LitDCGAN(recipe(), seed=0)
    training, other = noise(12), 255 - noise(7)
    assert membership_auroc(module, training, training) == pytest.approx(0.5)
    value = membership_auroc(module, training, other)
    assert membership_auroc(module, other, training) == pytest.approx(1 - value)
    assert module.discriminator.training
