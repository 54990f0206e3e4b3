"""What the audit of `prepare` says of suspicious data."""

import logging
from pathlib import Path

import numpy as np
import pytest

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


def test_without_patients_leakage_is_not_excluded(
    root: Path, workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    prepare.run(configured(root), workspace)
    assert "Patient leakage NOT excluded" in caplog.text
    assert "Patient leakage NOT excluded" in (workspace.index_dir / "audit.md").read_text()


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
    assert flags["content is of the other format than the name says"] == ["COVID/named.jpg"]


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
