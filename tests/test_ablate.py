import json
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import balancer.ablation.unit
from balancer.ablation.records import DryRunMetrics
from balancer.cli import main
from balancer.config import BalancerConfig
from balancer.errors import BalancerError, ConfigurationError, DataError, Diverged, IntegrityError
from balancer.evaluation.ledger import read_ledger
from balancer.evaluation.predictions import read_predictions
from balancer.manifest import fingerprint
from balancer.report.summary import ReportMetrics
from balancer.results import StageResult, new_result, read_result
from balancer.stages import ablate, prepare
from balancer.synthetic.records import SynthesizeMetrics
from balancer.workspace import Workspace
from support.forked_commands import ForkedCommands
from support.tiny_pipeline import arguments, config_for, metrics_of, tree

pytestmark = pytest.mark.blank_pictures

ARMS = ("real", "oversample", "gan", "noise", "held-back-real")
STUDY = ("ablation.repeats=2", f"ablation.arms=[{', '.join(ARMS)}]")
FIRST_SPLIT = ("ablation.repeats=1", STUDY[1])
"""The same study with half of its trainings."""


@pytest.fixture(scope="module")
def study(data: Path) -> BalancerConfig:
    return config_for(data, *STUDY)


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory, study: BalancerConfig) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("ablated") / "work")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as other processes will have them that must find the same
    with workspace.lock():
        prepare.run(study, workspace)
        ablate.run(study, workspace)
    torch.set_num_threads(threads)
    return workspace


@pytest.fixture(autouse=True)
def no_page(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    """The page takes seconds to draw; that of `ablated` is drawn, and the report has its tests."""
    request.getfixturevalue("ablated")

    def written(config: BalancerConfig, workspace: Workspace) -> StageResult[ReportMetrics]:
        page = str(workspace.report_dir / "report.html")
        metrics = ReportMetrics(ablation=None, page=page)
        return new_result("report", settings={}, inputs={}, seconds=0, metrics=metrics)

    monkeypatch.setattr(ablate.report, "run", written)


@pytest.fixture
def mine(tmp_path: Path, ablated: Workspace) -> Workspace:
    shutil.copytree(ablated.root, tmp_path / "work", symlinks=True)
    return Workspace(tmp_path / "work")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, study: BalancerConfig) -> Path:
    workspace = Workspace(tmp_path_factory.mktemp("prepared") / "work")
    with workspace.lock():
        prepare.run(study, workspace)
    return workspace.root


@pytest.fixture
def fresh(tmp_path: Path, prepared: Path) -> Workspace:
    return Workspace(shutil.copytree(prepared, tmp_path / "fresh"))


def units(workspace: Workspace, fold: str = "") -> dict[str, bytes]:
    found = tree(workspace.root / "runs" / "units" / fold)
    return {path: content for path, content in found.items() if path.endswith("test.csv")}


def finished(workspace: Workspace) -> int:
    """Units that stand; their folders may be renamed while this looks, which `walk` bears."""
    return sum(
        "result.json" in names and not folder.endswith(".partial")
        for folder, _, names in os.walk(workspace.root / "runs" / "units")
    )


def test_every_arm_is_trained_on_every_split(ablated: Workspace) -> None:
    metrics = metrics_of(ablated.ablation_dir)
    assert set(metrics["arms"]) == set(ARMS)
    assert {arm["n_runs"] for arm in metrics["arms"].values()} == {2}
    assert len(units(ablated)) == 2 * len(ARMS)
    assert metrics["failed"] == []


def test_arms_share_test_images_steps_and_order_but_not_rows(ablated: Workspace) -> None:
    for fold in ("split-0", "split-1"):
        folders = [ablated.unit_dir(fold, 0, arm) for arm in ARMS]
        metrics = [metrics_of(folder) for folder in folders]
        assert len({entry["n_steps"] for entry in metrics}) == 1
        tables = [read_predictions(folder / "test.csv") for folder in folders]
        assert len({tuple(table.image_ids) for table in tables}) == 1
        added = {entry["arm"]: entry["training_images"]["COVID"]["added"] for entry in metrics}
        assert added["real"] == 0
        assert len({added[arm] for arm in ARMS if arm != "real"}) == 1


def test_the_page_is_written(ablated: Workspace) -> None:
    names = {path.name for path in ablated.report_dir.iterdir()}
    assert {"report.html", "report.md", "report.json", "forest.png"} <= names


def test_the_cost_of_a_gan_arm_includes_its_generator(ablated: Workspace) -> None:
    arms = metrics_of(ablated.ablation_dir)["arms"]
    images = [
        read_result(place.synthetic_dir, SynthesizeMetrics) or pytest.fail("no images")
        for place in ablated.folds()
    ]
    trained = [
        record for place in ablated.folds() for record in place.root.glob("gan/*/result.json")
    ]
    seconds = sum(json.loads(path.read_text())["seconds"] for path in trained)
    seconds += sum(result.seconds for result in images)
    gan, real = arms["gan"], arms["real"]
    assert len(trained) == 2
    assert gan["minutes_per_split"] - gan["minutes"] == pytest.approx(seconds / 2 / 60)
    assert real["minutes_per_split"] == pytest.approx(real["minutes"])
    assert arms["noise"]["minutes_per_split"] == pytest.approx(arms["noise"]["minutes"])


def test_each_generator_saw_its_own_training_part_alone(ablated: Workspace) -> None:
    for fold in ("split-0", "split-1"):
        place = ablated.fold(fold)
        rows = (place.index_dir / "index.csv").read_text().splitlines()
        names = rows[0].split(",")
        split = {
            fields[names.index("image_id")]: fields[names.index("split")]
            for fields in (row.split(",") for row in rows[1:])
        }
        seen = json.loads((place.gan_dir("COVID") / "generator.json").read_text())["training_ids"]
        assert {split[image] for image in seen} == {"train"}


def test_the_ledger_counts_one_read_of_each_test_case(ablated: Workspace) -> None:
    reads = read_ledger(ablated.ledger_dir)
    assert Counter((r.fold, r.seed, r.arm) for r in reads) == {
        (fold, 0, arm): 1 for fold in ("split-0", "split-1") for arm in ARMS
    }
    ledger = metrics_of(ablated.ablation_dir)["ledger"]
    assert ledger["most_reads_of_a_case_per_arm_and_seed"] == 1


def test_a_second_call_changes_nothing(mine: Workspace, study: BalancerConfig) -> None:
    before = tree(mine.root)
    with mine.lock():
        ablate.run(study, mine)
    assert tree(mine.root) == before


def test_the_times_of_trainings_are_no_inputs_of_the_comparison(
    mine: Workspace, data: Path
) -> None:
    """Those of the units, and those of the copies that are kept as registered."""
    for path in mine.root.glob("runs/*/*/*/*/result.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"seconds": record["seconds"] + 1}, indent=2) + "\n")
    stands_as_it_is(mine, data)


def test_a_comparison_of_an_earlier_version_stands(mine: Workspace, data: Path) -> None:
    """Its fingerprints of the runs are of all bytes of their records, the times among them."""
    path = mine.ablation_dir / "result.json"
    result = json.loads(path.read_text())
    for name in result["inputs"]["runs"]:
        arm, fold, seed = name.split(", ")
        unit = mine.unit_dir(fold, int(seed.removeprefix("seed ")), arm)
        result["inputs"]["runs"][name] = fingerprint((unit / "result.json").read_bytes())
    path.write_text(json.dumps(result, indent=2) + "\n")
    stands_as_it_is(mine, data)


def stands_as_it_is(workspace: Workspace, data: Path) -> None:
    before = tree(workspace.root)
    done = CliRunner().invoke(main, ["ablate", *arguments(data, workspace.root, *STUDY)])
    assert (done.exit_code, "ablate: up to date" in done.stderr) == (0, True), done.stderr
    assert tree(workspace.root) == before


def test_a_lost_unit_comes_back_the_same(mine: Workspace, study: BalancerConfig) -> None:
    before = units(mine)
    shutil.rmtree(mine.unit_dir("split-1", 0, "gan"))
    with mine.lock():
        ablate.run(study, mine)
    assert units(mine) == before
    assert metrics_of(mine.ablation_dir)["ledger"]["read_again"] == {"gan, split-1, seed 0": 2}


def test_several_processes_find_the_same(
    fresh: Workspace, ablated: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with fresh.lock():
        ablate.run(config_for(data, *FIRST_SPLIT), fresh, jobs=2)
    assert units(fresh, "split-0") == units(ablated, "split-0")


def test_arms_and_repeats_can_be_added_later(mine: Workspace, data: Path) -> None:
    before = units(mine)
    more = config_for(
        data, "ablation.repeats=3", f"ablation.arms=[{', '.join(ARMS)}, gan ratio=1:1, focal]"
    )
    with mine.lock():
        ablate.run(more, mine)
    after = units(mine)
    assert {path: after[path] for path in before} == before
    arms = metrics_of(mine.ablation_dir)["exploratory"]["arms"]
    assert arms["gan ratio=1:1"]["n_runs"] == 3
    assert "oversample" in arms["gan"]["against"]
    assert "oversample ratio=1:1" in arms["gan ratio=1:1"]["against"]


def test_other_settings_are_refused_before_anything_is_trained(mine: Workspace, data: Path) -> None:
    before = tree(mine.root)
    other = config_for(data, *STUDY, "classifier.learning_rate=0.01")
    with mine.lock(), pytest.raises(ConfigurationError, match="learning_rate"):
        ablate.run(other, mine)
    assert tree(mine.root) == before


def test_force_reads_the_test_images_again_and_says_so(
    mine: Workspace, study: BalancerConfig
) -> None:
    before = units(mine)
    with mine.lock():
        ablate.run(study, mine, force=True)
    assert units(mine) == before
    ledger = metrics_of(mine.ablation_dir)["ledger"]
    assert ledger["most_reads_of_a_case_per_arm_and_seed"] == 2
    assert "no longer untouched" in ledger["sentence"]


def test_changed_predictions_are_refused(mine: Workspace, study: BalancerConfig) -> None:
    for place in (mine.unit_dir, mine.registered_dir):
        path = place("split-0", 0, "real") / "test.csv"
        kept = path.read_text()
        path.write_text(kept.replace("COVID", "Normal", 1))
        shutil.rmtree(mine.ablation_dir, ignore_errors=True)
        with mine.lock(), pytest.raises(IntegrityError, match=r"test\.csv"):
            ablate.run(study, mine)
        path.write_text(kept)


def test_a_failed_unit_is_named_and_the_others_are_compared(
    mine: Workspace, study: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (mine.unit_dir, mine.registered_dir):
        shutil.rmtree(place("split-1", 0, "noise"))

    def diverge(*args: Any, **kwargs: Any) -> None:
        raise Diverged("Training the classifier diverged: its loss was nan.")

    monkeypatch.setattr(balancer.ablation.unit, "fit_and_test", diverge)
    with mine.lock():
        ablate.run(study, mine)
    metrics = metrics_of(mine.ablation_dir)
    assert [(f["arm"], f["fold"]) for f in metrics["failed"]] == [("noise", "split-1")]
    assert metrics["arms"]["noise"]["n_runs"] == 1


def test_without_real_there_is_nothing_to_compare(
    fresh: Workspace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*args: Any, **kwargs: Any) -> None:
        raise Diverged("Training the classifier diverged: its loss was nan.")

    monkeypatch.setattr(balancer.ablation.unit, "fit_and_test", diverge)
    config = config_for(data, "ablation.repeats=1", "ablation.arms=[real, focal]")
    with fresh.lock(), pytest.raises(DataError, match="`real`"):
        ablate.run(config, fresh)
    assert not fresh.ablation_dir.exists()


def test_a_dry_run_writes_nothing(fresh: Workspace, study: BalancerConfig) -> None:
    before = tree(fresh.root)
    with fresh.lock():
        result = ablate.run(study, fresh, dry_run=True, pilot=False)
    assert tree(fresh.root) == before
    assert isinstance(result.metrics, DryRunMetrics)
    assert result.metrics.plan.units == 2 * len(ARMS)
    assert result.metrics.plan.estimated_seconds > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ablation.arms=[gna]", "did you mean gan"),
        ("ablation.arms=[gan ratio=20:1]", "ratio=20:1"),
        ("evaluation.positive_class=Flu", "COVID, Normal"),
    ],
)
def test_wrong_plans_are_refused(fresh: Workspace, data: Path, change: str, message: str) -> None:
    before = tree(fresh.root)
    with fresh.lock(), pytest.raises(BalancerError, match=message):
        ablate.run(config_for(data, change), fresh)
    assert tree(fresh.root) == before


def test_models_are_tested_on_other_images(
    mine: Workspace, study: BalancerConfig, tmp_path: Path
) -> None:
    from samples.phantom import write_samples

    write_samples(tmp_path / "test", n_covid=8, n_normal=9, size=44, seed=99)
    with mine.lock():
        ablate.run(study, mine, external=[tmp_path / "test"])
    found = metrics_of(mine.ablation_dir)["external"]["test"]
    assert found["classes"] == {"COVID": 8, "Normal": 9}
    assert set(found["arms"]) == set(ARMS)
    reads = [read for read in read_ledger(mine.ledger_dir) if read.what == "external:test"]
    assert len(reads) == 2 * len(ARMS)
    metrics = metrics_of(mine.ablation_dir)
    assert metrics["ledger"]["reads_elsewhere"] == {"test": 2 * len(ARMS)}
    assert metrics["ledger"]["most_reads_of_a_case_per_arm_and_seed"] == 1
    assert (mine.ablation_dir / "ledger.csv").read_text().count("external:test") == len(reads)


def test_the_images_of_the_run_are_no_other_data_set(
    mine: Workspace, study: BalancerConfig, data: Path
) -> None:
    with mine.lock(), pytest.raises(DataError):
        ablate.run(study, mine, external=[data])


def test_a_killed_ablation_goes_on_where_it_was(
    fresh: Workspace, ablated: Workspace, data: Path, commands: ForkedCommands
) -> None:
    words = ["ablate", *arguments(data, fresh.root, *FIRST_SPLIT), "-q"]
    for number in (signal.SIGKILL, signal.SIGTERM):
        wanted = finished(fresh) + 2
        command = commands.start(*words)
        deadline = time.monotonic() + 120
        while finished(fresh) < wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(command.pid, number)
        assert command.wait(60) in (-signal.SIGKILL, 128 + signal.SIGTERM), command.said
    with fresh.lock():
        ablate.run(config_for(data, *FIRST_SPLIT), fresh)
    assert units(fresh, "split-0") == units(ablated, "split-0")
