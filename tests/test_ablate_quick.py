"""`ablate --dry-run` with its pilot and `ablate --quick`, at the command, on drawn chests."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from balancer.ablation.frozen_tier import TIER
from balancer.ablation.plan import make_plan
from balancer.ablation.records import AblateMetrics
from balancer.cli import main
from balancer.data.index import load_index
from balancer.evaluation.ledger import (
    QUICK,
    fingerprint_of_images,
    ledger_summary,
    read_ledger,
)
from balancer.results import read_result
from balancer.workspace import Workspace
from support.tiny_pipeline import arguments, config_for, metrics_of, tree

pytestmark = pytest.mark.blank_pictures

SPLITS = ("ablation.frozen_splits=4", "ablation.repeats=3")


def invoke(*args: str) -> Result:
    return CliRunner().invoke(main, ["ablate", *args])


@pytest.fixture(scope="module")
def quick(
    tmp_path_factory: pytest.TempPathFactory, finished: Workspace, data: Path
) -> tuple[Workspace, Any]:
    workspace = Workspace(tmp_path_factory.mktemp("quick") / "work")
    shutil.copytree(finished.root, workspace.root)
    done = invoke("--quick", "--json", *arguments(data, workspace.root, *SPLITS))
    assert done.exit_code == 0, done.output
    return workspace, json.loads(done.stdout)


def test_a_dry_run_has_a_pilot(copied: Workspace, data: Path) -> None:
    before = tree(copied.root)
    done = invoke("--dry-run", "--json", *arguments(data, copied.root, *SPLITS))
    assert done.exit_code == 0, done.output
    pilot = json.loads(done.stdout)["metrics"]["pilot"]
    assert pilot["tier"] == TIER
    assert pilot["study_splits"] == 3
    assert set(pilot["arms"]) == {
        "oversample", "class-weights", "logit-adjustment", "held-back-real",
    }  # fmt: skip
    assert pilot["worth"]["self_test"]
    after = tree(copied.root)
    changed = {path for path in after if after[path] != before.get(path)}
    assert all(path.startswith(("cache/", "index/cache/")) for path in changed)


def test_the_sentences_of_a_pilot_are_on_the_terminal(copied: Workspace, data: Path) -> None:
    done = invoke("--dry-run", "-q", *arguments(data, copied.root, *SPLITS))
    text = " ".join(done.stdout.split())
    for part in ("3 splits will show", "To decide within 0.01", "more real images of COVID are"):
        assert part in text


def test_a_plan_alone_trains_no_head(copied: Workspace, data: Path) -> None:
    before = tree(copied.root)
    done = invoke("--dry-run", "--no-pilot", "--json", *arguments(data, copied.root, *SPLITS))
    assert "pilot" not in json.loads(done.stdout)["metrics"]
    assert tree(copied.root) == before


@pytest.mark.parametrize("other", [("--dry-run",), ("--ray", "auto")])
def test_what_a_quick_study_cannot_do_is_refused(
    other: tuple[str, ...], tmp_path: Path, data: Path
) -> None:
    assert invoke("--quick", *other, *arguments(data, tmp_path / "work")).exit_code == 2


def test_a_quick_study_bears_its_name(quick: tuple[Workspace, Any]) -> None:
    workspace, result = quick
    metrics = result["metrics"]
    assert metrics["tier"] == TIER
    assert metrics["verdict"]["sentence"].startswith(TIER)
    for name in ("report.html", "report.md", "report.json"):
        text = (workspace.quick_dir / name).read_text(encoding="utf-8")
        assert text.lower().count(TIER) >= 2, name
    assert set(metrics["left_out"]) == {
        "gan", "gan-filtered", "noise", "classic-augmentation of=rare",
    }  # fmt: skip
    page = (workspace.quick_dir / "report.md").read_text(encoding="utf-8")
    assert all(name in page for name in metrics["left_out"])
    assert "ablate --quick" in page


def test_it_stands_beside_a_study_and_is_read_back(quick: tuple[Workspace, Any]) -> None:
    workspace, _ = quick
    assert not workspace.ablation_dir.exists()
    found = read_result(workspace.quick_dir, AblateMetrics)
    assert found is not None
    assert found.metrics.worth is not None
    assert set(found.metrics.arms) == set(found.metrics.worth.arms) | {"real"}
    assert all(arm.n_runs == 4 for arm in found.metrics.arms.values())
    assert (workspace.quick_dir / "worth.png").is_file()


def test_its_reads_are_in_the_ledger_under_its_name(quick: tuple[Workspace, Any]) -> None:
    workspace, result = quick
    reads = [read for read in read_ledger(workspace.ledger_dir) if read.what.startswith(QUICK)]
    counted = Counter((read.arm, read.fold) for read in reads)
    n_curve = len(result["metrics"]["worth"]["curve"]) - 1  # `real` is a point of it
    names = dict.fromkeys(result["metrics"]["arms"], 1) | {"learning curve": n_curve}
    assert counted == {
        (name, f"split-{number}"): n for name, n in names.items() for number in range(4)
    }
    others = [read for read in read_ledger(workspace.ledger_dir) if read not in reads]
    summary = ledger_summary([*reads, *others])
    alone = ledger_summary(others)
    assert summary.quick == len(reads)
    assert (summary.reads, summary.reads_elsewhere) == (alone.reads, alone.reads_elsewhere)
    assert alone.quick == 0
    assert "quick" not in alone.model_dump(exclude_unset=True)


def test_its_test_splits_are_not_those_of_the_study(
    quick: tuple[Workspace, Any], data: Path
) -> None:
    workspace, _ = quick
    plan = make_plan(config_for(data, *SPLITS), load_index(workspace.index_dir))
    of_study = {
        fingerprint_of_images(one.image_id for one in fold.records if one.split == "test")
        for fold in plan.folds
    }
    of_quick = {
        read.images_sha256
        for read in read_ledger(workspace.ledger_dir)
        if read.what.startswith(QUICK)
    }
    assert len(of_quick) == 4
    assert not of_study & of_quick


def test_a_second_call_reads_nothing_again(quick: tuple[Workspace, Any], data: Path) -> None:
    workspace, result = quick
    before = tree(workspace.root)
    done = invoke("--quick", "--json", *arguments(data, workspace.root, *SPLITS))
    assert json.loads(done.stdout)["metrics"] == result["metrics"]
    assert tree(workspace.root) == before


def test_another_question_is_refused_without_force(
    quick: tuple[Workspace, Any], data: Path
) -> None:
    workspace, _ = quick
    before = metrics_of(workspace.quick_dir)
    wider = (*SPLITS, "ablation.margin=0.2")
    done = invoke("--quick", *arguments(data, workspace.root, *wider))
    assert done.exit_code == 2
    assert "ablation.margin" in done.output
    assert metrics_of(workspace.quick_dir) == before
