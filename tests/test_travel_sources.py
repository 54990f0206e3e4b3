"""`balancer travel` on sources that are left out: they are tested, and none of them trains."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import balancer.ablation.findings
import balancer.ablation.quick
from balancer import load_config
from balancer import travel as travel_in_python
from balancer.ablation.travel_records import Travel
from balancer.cli import main
from balancer.data.index import load_index
from balancer.evaluation.ledger import fingerprint_of_images, read_ledger
from balancer.workspace import Workspace
from support.planted_hospitals import as_it_is, marked, write_sources

LUNGS = "view lungs=lungs-only"
EACH = 24
NETWORK = ("classifier.model=bam-cnn", "classifier.input_size=32", "classifier.image_size=32",
           "classifier.epochs=1", "classifier.members=1", "hardware.accelerator=cpu")  # fmt: skip
SETTINGS = ("ablation.frozen_splits=3", "ablation.repeats=1", "evaluation.bootstrap_samples=100",
            *NETWORK)  # fmt: skip


def travel(data: Path, workspace: Path, *words: str) -> Result:
    settings = [word for one in SETTINGS for word in ("--set", one)]
    asked = ["travel", "-q", "--data", str(data), "-w", str(workspace), "--json", "--view", LUNGS]
    return CliRunner().invoke(main, [*asked, *settings, *words])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COVID bears a mark at every source but one, where Normal does; another has no Normal."""
    planted = {"COVID": marked, "Normal": as_it_is}
    crossed = {"COVID": as_it_is, "Normal": marked}
    sources = {"east": planted, "west": planted, "north": crossed, "south": {"COVID": marked}}
    root = write_sources(tmp_path_factory.mktemp("sources") / "home", sources, each=EACH)
    # Nearly the same film at two sources: one group, which must not train where it is tested.
    film = np.asarray(Image.open(root / "Normal/north-000.png"))
    Image.fromarray(np.clip(film, 0, 250) + np.uint8(3)).save(root / "Normal/east-000.png")
    return root


@pytest.fixture(scope="module")
def no_probes() -> Any:
    """Most of the time, and no part of what travels."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (balancer.ablation.quick, balancer.ablation.findings):
            patch.setattr(module, "find_caps", lambda study: ([], []))
        yield


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory, home: Path, no_probes: None) -> Path:
    workspace = tmp_path_factory.mktemp("frozen") / "work"
    done = travel(home, workspace)
    assert done.exit_code == 0, done.output
    (workspace / "said.json").write_text(done.stdout)
    return workspace


def said(workspace: Path) -> Travel:
    result = json.loads((workspace / "said.json").read_text())
    return Travel.model_validate(result["metrics"]["travel"])


def test_a_mark_is_no_help_at_the_source_that_marks_the_other_class(frozen: Path) -> None:
    study = said(frozen)
    assert set(study.places) == {f"source {name}" for name in ("east", "west", "north", "south")}
    words = {place: one.word for place, one in study.views["real"].elsewhere.items()}
    assert words["source north"] == "falls"
    assert "falls" not in (words["source east"], words["source west"])
    assert "real" not in study.safe
    assert study.views[LUNGS].elsewhere["source north"].word != "falls"


def test_a_source_of_one_class_is_ranked_against_films_that_no_training_had(frozen: Path) -> None:
    study = said(frozen)
    place = study.places["source south"]
    assert place.of_others == ("Normal",)
    assert place.n["COVID"] == EACH
    assert study.places["source north"].of_others == ()
    assert study.views["real"].elsewhere["source south"].score.value is not None


def test_the_reads_of_a_source_are_of_its_own_films(frozen: Path) -> None:
    workspace = Workspace(frozen)
    records = load_index(workspace.index_dir).records
    read = {one.images_sha256 for one in read_ledger(workspace.travel.ledger_dir)}
    for source in ("east", "west", "north"):
        own = [record.image_id for record in records if record.source == source]
        assert fingerprint_of_images(own) in read


def test_trained_classifiers_never_saw_the_source_that_they_are_tested_on(
    home: Path, tmp_path: Path, no_probes: None
) -> None:
    done = travel(home, tmp_path / "work", "--trained")
    assert done.exit_code == 0, done.output
    study = Travel.model_validate(json.loads(done.stdout)["metrics"]["travel"])
    assert all(one.score.value is not None for one in study.views[LUNGS].elsewhere.values())
    place = Workspace(tmp_path / "work").travel
    seen = set()
    for table in sorted(place.root.glob("runs/folds/without-source-*/index/index.csv")):
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
        source = {
            row["source"] for row in rows if row["split"] == "test" and row["label"] == "COVID"
        }
        rest = [row for row in rows if row["split"] != "test"]
        assert len(source) == 1
        assert rest
        assert not source & {row["source"] for row in rest}
        tested = {row["group"] for row in rows if row["split"] == "test"}
        assert not tested & {row["group"] for row in rest}
        seen |= source
    assert seen == {"east", "west", "north", "south"}


def test_python_runs_what_the_command_runs(home: Path, frozen: Path) -> None:
    config = load_config(data=home, assignments=[*SETTINGS, f"travel.views=['{LUNGS}']"])
    result = travel_in_python(config, frozen)
    assert result.metrics.travel == said(frozen)
