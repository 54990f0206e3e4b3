"""`tracking`: finished stages and trainings as runs of MLflow, TensorBoard or another logger."""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from lightning.pytorch.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from balancer.cli import main
from support.tiny_pipeline import TINY, arguments, draw_folder, metrics_of, tree

UNITS = ("runs/units/split-00/0/real", "runs/units/split-00/0/gan", "runs/units/split-01/0/real")


class FullDisk(CSVLogger):
    """A tracker that fails."""

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        raise OSError("no room\non the server")


def balancer(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("data") / "images")


@pytest.fixture(scope="module")
def tracked(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after `classify`, in TensorBoard."""
    workspace = tmp_path_factory.mktemp("tracked") / "w"
    done = balancer("classify", *arguments(data, workspace), "--set", "tracking=tensorboard")
    assert done.exit_code == 0, done.output
    return workspace


@pytest.fixture
def studied(tracked: Path, tmp_path: Path) -> Path:
    """The same with three units of an ablation and a page, which no tracker has seen."""
    workspace = tmp_path / "w"
    shutil.copytree(tracked, workspace)
    for unit in UNITS:
        shutil.copytree(workspace / "classify/real", workspace / unit)
    shutil.copytree(workspace / "runs/units", workspace / "runs/registered")
    (workspace / "report").mkdir()
    shutil.copy(workspace / "index/result.json", workspace / "report")
    (workspace / "report/report.html").write_text("<title>What was found</title>")
    return workspace


@pytest.fixture
def again(data: Path) -> Callable[..., Result]:
    """Run a command that has nothing to do."""

    def run(workspace: Path, *assignments: str) -> Result:
        more = [word for one in assignments for word in ("--set", one)]
        return balancer("prepare", *arguments(data, workspace), *more)

    return run


def events(folder: Path) -> EventAccumulator:
    (version,) = folder.iterdir()
    read = EventAccumulator(str(version))
    read.Reload()
    return read


def test_tensorboard_has_what_the_files_have(tracked: Path) -> None:
    root = tracked / "tracking/tensorboard"
    found = events(root / "classify/real")
    test = metrics_of(tracked / "classify/real")["test"]
    (auroc,) = found.Scalars("test/auroc")
    (low,) = found.Scalars("test/auroc/low")
    assert auroc.value == pytest.approx(test["auroc"]["value"])
    assert low.value == pytest.approx(test["auroc"]["low"])
    with (tracked / "classify/real/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    networks = {row["member"] for row in rows}
    assert len(networks) > 1
    for network in networks:
        name = "val_loss" if network == "0" else f"network {network}/val_loss"
        mine = [row for row in rows if row["member"] == network]
        curve = found.Scalars(name)
        assert [one.step for one in curve] == [int(row["step"]) for row in mine]
        values = [float(row["val_loss"]) for row in mine]
        assert [one.value for one in curve] == pytest.approx(values)
    (parameters,) = (root / "classify/real").glob("*/hparams.yaml")
    assert "classifier.model: bam-cnn" in parameters.read_text()
    assert events(root / "index").Tags()["scalars"]


def test_a_run_is_recorded_once_and_changes_no_result(
    tracked: Path, tmp_path: Path, data: Path
) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(tracked, workspace)
    before = tree(workspace)
    for tracking in ("tensorboard", "none"):
        words = (*arguments(data, workspace), "--set", f"tracking={tracking}")
        assert balancer("classify", *words).exit_code == 0
    assert tree(workspace) == before


def test_mlflow_has_each_training_of_an_earlier_study(
    studied: Path, again: Callable[..., Result]
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs pip install 'balancer[mlflow]'")
    done = again(studied, "tracking=mlflow")
    assert (done.exit_code, "did not take" in done.output) == (0, False), done.output
    folder = studied / "tracking/mlflow"
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("w")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"index", "classify/real", "report", *UNITS}
    test = metrics_of(studied / "classify/real")["test"]
    for unit in UNITS:
        assert runs[unit].info.status == "FINISHED"
        assert runs[unit].data.metrics["test/auroc"] == test["auroc"]["value"]
        assert runs[unit].data.params["classifier.model"] == "bam-cnn"
        curve = client.get_metric_history(runs[unit].info.run_id, "val_loss")
        assert [one.step for one in curve] != [0]
    (page,) = client.list_artifacts(runs["report"].info.run_id)
    assert page.path == "report.html"
    (kept,) = (folder / "artifacts").rglob("report.html")
    assert kept.read_bytes() == (studied / "report/report.html").read_bytes()


def test_any_lightning_logger_is_taken_by_its_class(
    studied: Path, again: Callable[..., Result]
) -> None:
    changes = ("tracking.logger=CSVLogger", "tracking.options={prefix: mine}")
    assert again(studied, *changes).exit_code == 0
    (table,) = (studied / "tracking/CSVLogger" / UNITS[0]).glob("*/metrics.csv")
    assert "mine-test/auroc" in table.read_text()
    (parameters,) = (studied / "tracking/CSVLogger/report").glob("*/hparams.yaml")
    assert (studied / "report/report.html").as_uri() in parameters.read_text()


def test_a_tracker_that_fails_spoils_nothing_and_is_tried_again(
    studied: Path, again: Callable[..., Result]
) -> None:
    failing = f"tracking={__name__}.FullDisk"
    done = again(studied, failing)
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.output.splitlines() if "no room on the server" in line]
    assert "FullDisk" in line
    recorded = json.loads((studied / "tracking/recorded.json").read_text())
    assert [json.loads(key)["logger"] for key in recorded] == ["tensorboard"]
    assert "no room" in again(studied, failing).output


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        (("tracking=NoSuchLogger",), 2, "NoSuchLogger"),
        (("tracking=no.such.Logger",), 2, "no.such.Logger"),
        (("tracking=pathlib.Path",), 2, "pathlib.Path"),
        (("tracking.logger=CSVLogger", "tracking.options={colour: red}"), 2, "colour"),
        (("tracking=mlflow",), 5, "balancer[mlflow]"),
        (("tracking=tensorboard",), 5, "balancer[tensorboard]"),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_work(
    changes: tuple[str, ...],
    code: int,
    named: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for package in ("mlflow", "tensorboard"):
        monkeypatch.setitem(sys.modules, package, None)
    words = [word for one in (*TINY, *changes) for word in ("--set", one)]
    done = balancer("prepare", "--data", str(data), "-w", str(tmp_path / "w"), *words)
    assert done.exit_code == code, done.output
    assert named in done.stderr
    assert not (tmp_path / "w").exists()
