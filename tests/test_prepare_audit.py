"""The audit of `prepare` on suspicious data."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from balancer.data.audit.content import AUDIT_NAME, audit_text, read_audit
from balancer.data.audit.findings import how
from balancer.data.records import PrepareMetrics
from balancer.errors import IntegrityError
from balancer.results import read_result, result_json
from balancer.stages import prepare
from balancer.workspace import Workspace
from support.radiograph_folders import (
    audit_of,
    class_folders,
    configured,
    film,
    in_workspace,
    index_of,
    save,
    warnings_of,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "data", {"COVID": 10, "Normal": 20})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return in_workspace(tmp_path)


def with_sources(root: Path, source: dict[str, str]) -> None:
    rows = [
        f"{path.relative_to(root).as_posix()},{number},{source[path.parent.name]}"
        for number, path in enumerate(sorted(root.glob("*/*.png")))
    ]
    (root / "metadata.csv").write_text("\n".join(["path,patient_id,source", *rows]))


@pytest.mark.fault(25)
def test_source_that_gives_the_class_away_is_loud(
    root: Path, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    with_sources(root, {"COVID": "hospital a", "Normal": "hospital b"})
    prepare.run(configured(root), workspace)
    assert "THE SOURCE ALONE GIVES THE CLASS AWAY (Cramer's V 1.00)" in caplog.text
    assert audit_of(workspace)["source"]["table"] == {
        "hospital a": {"COVID": 10, "Normal": 0},
        "hospital b": {"COVID": 0, "Normal": 20},
    }


def test_source_that_tells_nothing_is_silent(root: Path, workspace: Workspace) -> None:
    with_sources(root, {"COVID": "hospital a", "Normal": "hospital a"})
    prepare.run(configured(root), workspace)
    assert "SOURCE" not in warnings_of(workspace)
    assert audit_of(workspace)["source"]["cramers_v"] is None


@pytest.mark.fault(24)
def test_without_patients_leakage_is_not_excluded(
    root: Path, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    prepare.run(configured(root), workspace)
    assert "Patient leakage NOT excluded" in caplog.text
    assert "Patient leakage NOT excluded" in (workspace.index_dir / "audit.md").read_text()


@pytest.mark.fault(63)
def test_patient_ids_reach_no_output(
    root: Path, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    paths = sorted(path.relative_to(root).as_posix() for path in root.glob("*/*.png"))
    rows = [f"{path},doe-john-{number // 2}" for number, path in enumerate(paths)]
    (root / "metadata.csv").write_text("\n".join(["path,patient_id", *rows]))
    index = index_of(root, workspace)
    assert "leakage" not in warnings_of(workspace)
    group = [record.group for record in index.records]
    assert group[0::2] == group[1::2]
    written = b"".join(path.read_bytes() for path in workspace.index_dir.glob("*.*"))
    assert b"doe-john" not in written
    assert "doe-john" not in caplog.text


@pytest.mark.fault(13)
def test_flags(root: Path, workspace: Workspace) -> None:
    marked = np.repeat(film(90)[..., None], 3, axis=2)
    marked[3:8, 3:20] = (255, 255, 0)
    save(root / "COVID" / "marked.png", marked)
    save(root / "COVID" / "dim.png", film(91) // 16)
    save(root / "COVID" / "named.jpg", film(92), format="PNG")
    prepare.run(configured(root), workspace)
    flags = audit_of(workspace)["flags"]
    assert flags["coloured marks or text"] == ["COVID/marked.png"]
    assert flags["fewer than 32 grey levels"] == ["COVID/dim.png"]
    assert flags["content is of another format than the name says"] == ["COVID/named.jpg"]


@pytest.mark.fault(11)
def test_negative_film_is_flagged(tmp_path: Path, workspace: Workspace) -> None:
    vignette = np.hypot(*np.mgrid[-1:1:48j, -1:1:48j]) * 120
    for label, first in (("COVID", 0), ("Normal", 10)):
        for number in range(first, first + 10):
            pixels = vignette + film(number) * 0.2
            save(tmp_path / "data" / label / f"{number}.png", pixels.astype(np.uint8))
    negative = 255 - vignette - film(30) * 0.2
    save(tmp_path / "data" / "COVID" / "negative.png", negative.clip(0).astype(np.uint8))
    prepare.run(configured(tmp_path / "data"), workspace)
    assert audit_of(workspace)["flags"] == {
        "looks inverted beside the others": ["COVID/negative.png"]
    }


def test_an_audit_and_its_metrics_are_read_back_to_the_byte(root: Path, tmp_path: Path) -> None:
    workspace = in_workspace(tmp_path)
    prepare.run(configured(root), workspace)
    text = (workspace.index_dir / AUDIT_NAME).read_text(encoding="utf-8")
    assert audit_text(read_audit(workspace.index_dir)) == text
    result = read_result(workspace.index_dir, PrepareMetrics)
    assert result is not None
    written = json.loads((workspace.index_dir / "result.json").read_text())
    assert result_json(result) == written
    assert "masks_sha256" not in written["metrics"]


def test_an_audit_of_an_older_version_is_read(root: Path, tmp_path: Path) -> None:
    """Before findings and statistics there were distances of near duplicates."""
    workspace = in_workspace(tmp_path)
    prepare.run(configured(root), workspace)
    path = workspace.index_dir / AUDIT_NAME
    audit = json.loads(path.read_text(encoding="utf-8"))
    later = ("masks", "patients_in_several_classes", "statistics", "unusable", "clusters")
    for name in (*later, "same_image_in_several_classes", "findings", "labels"):
        del audit[name]
    pair = {"first": "a.png", "second": "b.png", "across_classes": True}
    audit["near_duplicates"] = [pair | {"distance": 3, "correlation": 0.99}]
    path.write_text(json.dumps(audit, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    old = read_audit(workspace.index_dir)
    assert audit_text(old) == path.read_text(encoding="utf-8")
    assert how(old.near_duplicates[0]) == "correlation 0.990"
    path.write_text("{}")
    with pytest.raises(IntegrityError, match=r"audit\.json"):
        read_audit(workspace.index_dir)
