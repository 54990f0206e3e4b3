"""Every look at test images is written down before it is taken, whichever command takes it."""

import json
import os
from pathlib import Path

import pytest

from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.errors import EnvironmentFault, IntegrityError
from balancer.evaluation.ledger import (
    fingerprint_of_images,
    ledger_summary,
    n_reads,
    note_read,
    read_ledger,
)
from balancer.stages import classify, explain, report
from balancer.workspace import Workspace
from support.tiny_pipeline import metrics_of


def test_ids_of_images_count_in_their_order() -> None:
    assert fingerprint_of_images(["a", "b"]) == fingerprint_of_images(iter("ab"))
    assert len({fingerprint_of_images(ids) for ids in (["a", "b"], ["b", "a"], ["ab"])}) == 3


def test_a_run_reads_the_test_images_once_per_classifier(copied: Workspace) -> None:
    index = load_index(copied.index_dir)
    test_ids = [record.image_id for record in index.records if record.split == "test"]
    reads = read_ledger(copied.ledger_dir)
    assert {(read.what, read.fold, read.arm) for read in reads} == {
        ("test", "index", "real"), ("test", "index", "real+synthetic")
    }  # fmt: skip
    assert len(reads) == 2
    assert {read.images for read in reads} == {len(test_ids)}
    assert {read.images_sha256 for read in reads} == {fingerprint_of_images(test_ids)}
    assert metrics_of(copied.classify_dir("real"))["test_reads"] == 1


def test_a_second_training_is_told_that_the_test_images_were_read(
    copied: Workspace, config: BalancerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        result = classify.run(config, copied, force=True)
    assert result.metrics["test_reads"] == 2
    assert "have tested a classifier of real before (once)" in caplog.text
    classify.run(config, copied)  # what stands is not tested again
    report.run(config, copied, force=True)
    told = json.loads((copied.report_dir / "report.json").read_text())
    section = next(part for part in told["sections"] if part["id"] == "ledger")
    assert "more than once" in str(section)
    summary = ledger_summary(read_ledger(copied.ledger_dir))
    assert summary.read_again == {"real, index, seed 0": 2}


def test_a_read_that_cannot_be_written_is_not_taken(
    copied: Workspace, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    tested: list[object] = []
    monkeypatch.setattr("balancer.stages.classify.note_read", full)
    monkeypatch.setattr("balancer.stages.classify.test_classifier", tested.append)
    with pytest.raises(EnvironmentFault, match="No space"):
        classify.run(config, copied, force=True)
    assert not tested


def test_maps_of_test_images_are_a_look_of_their_own(
    copied: Workspace, config: BalancerConfig
) -> None:
    pytest.importorskip("pytorch_grad_cam")
    explain.run(config, copied, per_class=1)
    summary = ledger_summary(read_ledger(copied.ledger_dir))
    assert summary.explained == {"real": 1, "real+synthetic": 1}
    assert summary.most_reads_of_a_case_per_arm_and_seed == 1
    assert (
        "Maps of test images by `balancer explain`: real 1, real+synthetic 1." in summary.sentence
    )
    explain.run(config, copied, per_class=1)  # what stands is not drawn again
    assert ledger_summary(read_ledger(copied.ledger_dir)) == summary


def test_reads_of_other_images_or_arms_do_not_count(tmp_path: Path) -> None:
    for what, arm, images in (
        ("test", "real", "a" * 64),
        ("test", "real", "b" * 64),
        ("test", "gan", "a" * 64),
        ("explain", "real", "a" * 64),
        ("external:test", "real", "a" * 64),
    ):
        note_read(
            tmp_path, what=what, fold="index", seed=0, arm=arm, images=3, images_sha256=images
        )
    assert n_reads(tmp_path, arm="real", images_sha256="a" * 64) == 1
    assert n_reads(tmp_path / "none", arm="real", images_sha256="a" * 64) == 0


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    (tmp_path / f"{os.getpid()}.json").write_text("{")
    with pytest.raises(IntegrityError, match="restore it"):
        read_ledger(tmp_path)


def test_a_damaged_ledger_is_told_before_anything_is_trained(
    copied: Workspace, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[object] = []
    monkeypatch.setattr("classifier.training.train", lambda *_, **__: trained.append(0))
    (copied.ledger_dir / "damaged.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"damaged\.json"):
        classify.run(config, copied, force=True)
    assert not trained
