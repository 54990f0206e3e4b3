"""Each read of test images is in the ledger before it happens, for every command."""

import json
from pathlib import Path

import numpy as np
import pytest

import classifier
from balancer.config import BalancerConfig
from balancer.data.index import RadiographTable, evaluation_table, load_index
from balancer.errors import EnvironmentFault, IntegrityError
from balancer.evaluation import fit_and_test
from balancer.evaluation.fit_and_test import Reader, note_images, predict_noted
from balancer.evaluation.ledger import (
    fingerprint_of_images,
    ledger_summary,
    n_reads,
    note_read,
    read_ledger,
)
from balancer.evaluation.trained_classifier import load_trained
from balancer.stages import classify, explain, report
from balancer.workspace import Workspace
from classifier.checkpoint import LoadedClassifier
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


@pytest.mark.fault(62)
def test_a_second_training_is_told_that_the_test_images_were_read(
    copied: Workspace, config: BalancerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        result = classify.run(config, copied, force=True)
    assert result.metrics.test_reads == 2
    assert any(
        record.levelname == "WARNING" and "real" in record.message for record in caplog.records
    )
    classify.run(config, copied)  # an existing result is not tested again
    report.run(config, copied, force=True)
    content = json.loads((copied.report_dir / "report.json").read_text())
    section = next(part for part in content["sections"] if part["id"] == "ledger")
    (table,) = [block for block in section["blocks"] if "rows" in block]
    assert table["rows"] == [["real", "2"], ["real+synthetic", "1"]]
    summary = ledger_summary(read_ledger(copied.ledger_dir))
    assert summary.read_again == {"real, index, seed 0": 2}


def test_a_read_that_cannot_be_written_is_not_taken(
    copied: Workspace, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    predicted: list[int] = []
    predict = classifier.predict

    def noting(loaded: LoadedClassifier, table: RadiographTable) -> np.ndarray:
        predicted.extend(table.labels)
        assert {record.split for record in table.records} == {"val"}
        return predict(loaded, table)

    monkeypatch.setattr(fit_and_test, "note_read", full)
    monkeypatch.setattr(classifier, "predict", noting)
    with pytest.raises(EnvironmentFault):
        classify.run(config, copied, force=True)
    assert predicted


def test_images_of_other_data_are_not_predicted_without_the_note(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = load_index(copied.index_dir)
    trained = load_trained(copied.classify_dir("real"))
    table = evaluation_table(index.image_set(trained.image_size), index.classes, "test")
    reader = Reader(copied.ledger_dir, "index", 0, "real")
    before = len(read_ledger(copied.ledger_dir))
    expected = predict_noted(trained.loaded, table, reader, what="external:other")
    assert len(read_ledger(copied.ledger_dir)) == before + 1
    part = note_images(trained.loaded, table, reader, rows=[3, 1])
    assert part.table.records == [table.records[3], table.records[1]]
    np.testing.assert_allclose(
        part.predict().probabilities, expected.probabilities[[3, 1]], atol=1e-5
    )
    last = read_ledger(copied.ledger_dir)[-1]
    assert (last.what, last.images) == ("explain", 2)
    assert last.images_sha256 == fingerprint_of_images(part.predict().image_ids)
    monkeypatch.setattr(classifier, "predict", lambda *_: pytest.fail("predicted"))
    copied.ledger_dir.rename(copied.root / "runs" / "aside")
    copied.ledger_dir.write_text("a file, so nothing can be noted")
    with pytest.raises(OSError, match="ledger"):
        predict_noted(trained.loaded, table, reader, what="external:other")


def test_maps_of_test_images_are_a_read_of_their_own(
    copied: Workspace, config: BalancerConfig
) -> None:
    pytest.importorskip("pytorch_grad_cam")
    explain.run(config, copied, per_class=1)
    summary = ledger_summary(read_ledger(copied.ledger_dir))
    assert summary.explained == {"real": 1, "real+synthetic": 1}
    assert summary.most_reads_of_a_case_per_arm_and_seed == 1
    assert "real 1, real+synthetic 1" in summary.sentence
    explain.run(config, copied, per_class=1)  # an existing result is not drawn again
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
    (tmp_path / "entry.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"entry\.json"):
        read_ledger(tmp_path)


def test_a_damaged_ledger_is_refused_before_anything_is_trained(
    copied: Workspace, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[object] = []
    monkeypatch.setattr("classifier.training.train", lambda *_, **__: trained.append(0))
    (copied.ledger_dir / "damaged.json").write_text("{")
    with pytest.raises(IntegrityError, match=r"damaged\.json"):
        classify.run(config, copied, force=True)
    assert not trained
