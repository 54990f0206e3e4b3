"""The protocol: when it is written, what refuses an edited one, and where it is shown."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.evaluation.ledger import read_ledger
from balancer.stages import ablate
from support.planted_units import ablated, answer
from support.registered_study import CLAIMS, entries, texts
from support.tiny_pipeline import TINY, metrics_of, tree

pytestmark = [pytest.mark.blank_pictures, pytest.mark.usefixtures("planted")]


@pytest.mark.parametrize("looks", ["[3, 10]", "[10, 5]", "[5, 6, 7, 8, 9]", "[6, 10]"])
def test_looks_that_would_not_keep_the_level_are_refused(
    looks: str, tmp_path: Path, films: Path
) -> None:
    settings = (f"ablation.looks={looks}", "ablation.repeats=5")
    done = ablated(films, tmp_path / "work", settings=settings)
    assert done.exit_code == 2
    assert "ablation.looks" in done.stderr


@pytest.mark.usefixtures("no_page")
def test_a_study_of_before_is_not_registered(
    mine: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine / "runs/protocol.json").unlink()
    shutil.rmtree(mine / "runs/registered")
    for path in (mine / "runs/ledger").glob("*.json"):
        read = json.loads(path.read_text())
        del read["protocol"]
        path.write_text(json.dumps(read) + "\n")
    done = ablated(films, mine, settings=("ablation.alpha=0.4",))
    assert done.exit_code == 0, done.stderr
    metrics = answer(mine)
    assert metrics["registration"]["status"] == "not registered"
    assert "not registered before the first of 9 looks" in metrics["registration"]["label"]
    assert metrics["verdict"]["word"] == "exploratory"
    assert not CLAIMS & set(texts(metrics))
    assert "not registered" in done.stdout


def test_a_question_changed_before_any_look_is_an_amendment(tmp_path: Path, films: Path) -> None:
    work = tmp_path / "work"
    first = ablated(films, work, "--register")
    assert ablated(films, work, "--register", settings=("ablation.margin=0.02",)).exit_code == 0
    assert ablated(films, work, settings=("ablation.margin=0.02",)).exit_code == 0
    metrics = answer(work)
    assert metrics["registration"]["status"] == "confirmatory"
    assert metrics["question"]["margin"] == 0.02
    assert metrics["registration"]["hash"] in first.stdout
    assert [entry["changes"] for entry in metrics["registration"]["entries"]] == [
        "first entry", "margin 0.01 -> 0.02"
    ]  # fmt: skip


def test_register_writes_the_protocol_alone(tmp_path: Path, films: Path) -> None:
    work = tmp_path / "work"
    done = ablated(films, work, "--register")
    assert done.exit_code == 0, done.stderr
    assert sorted(path.name for path in (work / "runs").iterdir()) == ["protocol.json"]
    assert entries(work)[0]["hash"] in done.stdout
    again = ablated(films, work, "--register", "--json")
    assert json.loads(again.stdout)["metrics"]["hash"] == entries(work)[0]["hash"]
    assert len(entries(work)) == 1


def test_no_score_of_test_images_is_shown_while_it_runs(
    tmp_path: Path, films: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["ablate", "--data", str(films), "-w", str(tmp_path / "work"), "--set",
             "ablation.repeats=3", "--arm", "real", "--arm", "focal"]  # fmt: skip
    settings = [word for change in TINY for word in ("--set", change)]
    done = CliRunner().invoke(main, words + settings)
    assert done.exit_code == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert len(lines) == 6
    assert all("validation AUROC" in line for line in lines)
    runs = answer(tmp_path / "work")["arms"]["real"]["per_run"]
    assert not any(f"{run['auroc']:.3f}" in done.stderr for run in runs if run["auroc"] < 1)


def test_page_markdown_and_json_say_it(mine: Path, films: Path) -> None:
    label = "EXPLORATORY: margin 0.01 -> 0.2 after 9 looks"
    assert ablated(films, mine, settings=("ablation.margin=0.2",)).exit_code == 0
    report = mine / "report"
    found = json.loads((report / "report.json").read_text())
    assert found["verdict"]["word"] == "inconclusive"
    assert any(label in text for text in found["verdict"]["registration"])
    registration = found["ablation"]["metrics"]["registration"]
    page = (report / "report.html").read_text()
    markdown = (report / "report.md").read_text()
    for text in (page, markdown):
        assert registration["hash"] in text
        assert label in text.replace("-&gt;", "->")
    (item,) = [row for row in found["checklist"] if row["asks"].startswith("Protocol")]
    assert registration["hash"] in json.dumps(item)
    assert metrics_of(report)["ablation"]["word"] == "inconclusive"


class TestTampering:
    """An edited protocol is refused with exit code 4, before anything is read or written."""

    @pytest.mark.parametrize("edit", ["margin", "hash", "removed", "cut", "empty", "reordered"])
    def test_an_edit_is_refused(self, edit: str, mine: Path, films: Path) -> None:
        ablated(films, mine, settings=("ablation.repeats=4",))
        path = mine / "runs/protocol.json"
        content = json.loads(path.read_text())
        found = content["entries"]
        assert len(found) == 2
        if edit == "margin":
            found[0]["question"]["margin"] = 0.2
        elif edit == "hash":
            found[0]["hash"] = "0" * 64
        elif edit == "removed":
            del found[0]
        elif edit == "cut":  # the reads of the fourth split were made under the second entry
            del found[1]
        elif edit == "empty":
            found.clear()
        else:
            found.reverse()
        path.write_text(json.dumps(content))
        before = tree(mine)
        done = ablated(films, mine, settings=("ablation.margin=0.2",))
        assert done.exit_code == 4
        assert "protocol.json" in done.stderr
        assert tree(mine) == before

    def test_a_lost_protocol_is_refused_where_reads_name_it(self, mine: Path, films: Path) -> None:
        (mine / "runs/protocol.json").unlink()
        assert ablated(films, mine).exit_code == 4

    def test_no_test_image_is_read_without_a_protocol(
        self, mine: Path, films: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        n_reads = len(read_ledger(mine / "runs/ledger"))
        shutil.rmtree(mine / "runs/units")
        monkeypatch.setattr(
            ablate, "amend", lambda *args, **kwargs: (mine / "runs/protocol.json").unlink()
        )
        assert ablated(films, mine).exit_code == 4
        assert len(read_ledger(mine / "runs/ledger")) == n_reads
