"""A mark in the films of one class is in the first line of all that `ablate` says."""

import json
from pathlib import Path

import pytest
from PIL import Image

from balancer.results import read_result
from balancer.stages import ablate, prepare
from balancer.stages.report import ReportMetrics
from balancer.workspace import Workspace
from samples.phantom import draw_phantom
from support.tiny_pipeline import config_for, metrics_of

pytestmark = [pytest.mark.blank_pictures, pytest.mark.usefixtures("one_thread")]

REASON = "a few places outside the lungs tell the classes apart, as marks do"


def studied(root: Path, *, marked: bool) -> tuple[Workspace, str]:
    """Ablate healthy chests of two names; returns the workspace and the terminal's first line."""
    for label, first, count in (("Rare", 1_000, 50), ("Common", 5_000, 110)):
        (root / "films" / label).mkdir(parents=True)
        for number in range(count):
            film = draw_phantom(first + number, covid=False, size=96)
            if marked and label == "Rare":
                film[9:15, 24:30] = 250
            Image.fromarray(film).save(root / "films" / label / f"{number:03}.png")
    config = config_for(
        root / "films",
        "ablation.repeats=2",
        "ablation.arms=[real, oversample]",
        "evaluation.positive_class=Rare",
    )
    workspace = Workspace(root / "work")
    with workspace.lock():
        prepare.run(config, workspace)
        result = ablate.run(config, workspace)
    first, *_ = ablate.summary(result)
    return workspace, str(first)


@pytest.mark.fault(25)
def test_a_mark_at_the_shoulder_is_in_the_first_line(tmp_path: Path) -> None:
    workspace, first = studied(tmp_path, marked=True)
    assert first.startswith("INCONCLUSIVE: No claim can be made from these data: ")
    assert REASON in first.partition(". ")[0]
    metrics = metrics_of(workspace.ablation_dir)
    assert REASON in metrics["verdict"]["caps"]
    assert metrics["verdict"]["word"] == "inconclusive"
    probes = {probe["probe"]: probe for probe in metrics["probes"]}
    assert probes["lungs-blacked-out"]["masks"] == "found"
    lost = probes["lungs-blacked-out"]["left_out"]
    assert sum(lost.values()) == probes["lungs-blacked-out"]["without_mask"] > 0
    page = (workspace.report_dir / "report.md").read_text(encoding="utf-8")
    headline = next(line for line in page.splitlines() if line.startswith(">"))
    assert REASON in headline
    assert "Left out, since their lungs are not known well enough" in page
    record = json.loads((workspace.report_dir / "report.json").read_text(encoding="utf-8"))
    assert REASON in record["verdict"]["sentence"]
    summary = read_result(workspace.report_dir, ReportMetrics)
    assert summary is not None
    assert summary.metrics.ablation is not None
    assert REASON in summary.metrics.ablation.sentence


def test_without_a_mark_nothing_is_capped(tmp_path: Path) -> None:
    workspace, first = studied(tmp_path, marked=False)
    assert metrics_of(workspace.ablation_dir)["caps"] == []
    assert "No claim" not in first
