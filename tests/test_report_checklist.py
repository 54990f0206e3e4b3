"""The CLAIM checklist: every answer follows from fields of records, and changes with them."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from balancer.ablation.records import REGISTERED_RUNS, AblateMetrics, Registration, Status
from balancer.config import BalancerConfig
from balancer.data.audit.content import read_audit
from balancer.data.index import load_index
from balancer.data.layouts.recognition import OF_FOLDERS
from balancer.data.records import PrepareMetrics
from balancer.evaluation.ledger import ledger_summary, note_read, read_ledger
from balancer.report.records import EXPLAIN, INDEX, LEDGER, ReportRecords
from balancer.report.sections.answer import answer
from balancer.report.sections.checklist import CLAIM, OTHERS, answered, checklist_of
from balancer.report.sections.methods import methods_text
from balancer.results import StageResult, read_result
from balancer.stages import explain, prepare, report
from balancer.workspace import Workspace
from support.made_ablation import FACTS, read_json, write_ablation
from support.tiny_pipeline import config_for, draw_folder

EMPTY = ReportRecords(
    # No report lacks an index; without one, nothing at all is known.
    index=cast(StageResult[PrepareMetrics], None), audit=None,
    ablation=None, units={}, unit=None, comparison=None, arms={}, synthetic=None, quality=None,
    fold=None, fold_quality=None, generators={}, trainings={}, lungs=None, lung_model=None,
    explain=None, external={}, ledger=None, seed=0, folder=Path(),
)  # fmt: skip
Rows = dict[str, dict[str, str]]


def rows_of(workspace: Workspace) -> Rows:
    """Rows of the checklist by the number of the item."""
    found = read_json(workspace.report_dir / "report.json")
    return {row["number"]: row for row in found["checklist"]}


def prepared(root: Path, films: Path, *changes: str) -> Rows:
    """The checklist of an archive that was prepared, from the records of `prepare`."""
    workspace = Workspace(root / "work")
    index = prepare.run(config_for(films, "data.min_images=4", *changes), workspace)
    audit = read_audit(workspace.index_dir)
    rows = answered(dataclasses.replace(EMPTY, index=index, audit=audit))
    return {row["number"]: row for row in rows}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("few") / "films", n_covid=8, n_normal=14)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, films: Path) -> Rows:
    return prepared(tmp_path_factory.mktemp("plain"), films)


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, finished: Workspace, config: BalancerConfig
) -> Workspace:
    """Two classifiers, images of GANs, an ablation and a ledger."""
    workspace = Workspace(tmp_path_factory.mktemp("whole") / "work")
    shutil.copytree(finished.root, workspace.root)
    write_ablation(workspace, load_index(workspace.index_dir).index_hash, n_folds=3)
    report.run(config, workspace, force=True)
    return workspace


def field(workspace: Workspace, source: str) -> Any:
    """The field that a source names; raises KeyError where there is none."""
    file, _, path = source.partition(": ")
    value: Any
    if file == LEDGER:
        value = ledger_summary(read_ledger(workspace.root / file)).model_dump()
    else:
        value = read_json(workspace.root / file)
    for part in path.split("."):
        value = value[part]
    return value


@pytest.mark.parametrize(
    ("name", "n_items", "n_rows"), [("stard-ai", 40, 48), ("tripod-ai", 27, 52)]
)
def test_other_guidelines_are_whole(name: str, n_items: int, n_rows: int, whole: Workspace) -> None:
    """As many items and sub-items as the guidelines have, each answered once."""
    numbers = [item.number for item in checklist_of(name).item]
    assert (len(numbers), len(set(numbers))) == (n_rows, n_rows)
    assert len({number.rstrip("abcdefg") for number in numbers}) == n_items
    rows = read_json(whole.report_dir / "report.json")["checklists"][name]
    assert [row["number"] for row in rows] == numbers
    assert {"filled in", "in part", "not known", "for the authors"} == {r["state"] for r in rows}


def test_the_methods_paragraph_has_the_facts_of_the_run(whole: Workspace) -> None:
    text = (whole.report_dir / "methods.txt").read_text()
    index = read_result(whole.index_dir, PrepareMetrics)
    ablation = read_result(whole.ablation_dir, AblateMetrics)
    assert index is not None
    assert ablation is not None
    assert f"{index.metrics.images} images" in text
    assert f"{index.metrics.groups.number} groups" in text
    assert all(name in text for name in ablation.metrics.arms)
    assert ablation.metrics.question.primary_title in text
    for word in ("None", "unknown", "not known", "Recipes", "null", "..", "  "):
        assert word not in text, word
    assert text.strip() in (whole.report_dir / "report.md").read_text()


def test_every_source_is_a_field_of_a_file(whole: Workspace) -> None:
    rows = rows_of(whole)
    assert len(rows) == len(checklist_of(CLAIM).item) == 44
    others = read_json(whole.report_dir / "report.json")["checklists"]
    assert set(others) == {*OTHERS}
    for row in [*rows.values(), *(row for found in others.values() for row in found)]:
        if row["state"] in ("filled in", "in part"):
            assert row["source"], row
        for source in filter(None, row["source"].split("; ")):
            field(whole, source)


@pytest.mark.parametrize("name", [CLAIM, *OTHERS])
def test_without_records_nothing_is_claimed(name: str) -> None:
    rows = answered(EMPTY, name)
    assert {row["state"] for row in rows} == {"not known", "for the authors"}
    assert not any(row["source"] for row in rows)


def test_a_claim_is_withdrawn_with_its_record(whole: Workspace) -> None:
    """Without the settings of the classifiers, nothing is said of networks or training."""
    index = read_result(whole.index_dir, PrepareMetrics)
    ablation = read_result(whole.ablation_dir, AblateMetrics)
    assert index is not None
    assert ablation is not None
    unset = ablation.model_copy(update={"settings": {}})
    records = dataclasses.replace(EMPTY, index=index, ablation=unset)
    state = {row["number"]: row["state"] for row in answered(records)}
    assert {state[number] for number in ("1", "22", "24", "26", "27")} == {"not known"}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("preprocessing.border=remove", "border: remove"),
        ("preprocessing.lungs=lungs-only", "lungs-only"),
        ("preprocessing.lungs=crop-to-lungs", "crop-to-lungs"),
        ("preprocessing.contrast=clahe", "clahe"),
        ("preprocessing.contrast=window", "window"),
        ("preprocessing.frame=pad", "frame: pad"),
    ],
)
def test_preprocessing_is_in_its_answer(
    change: str, word: str, plain: Rows, films: Path, tmp_path: Path
) -> None:
    row = prepared(tmp_path, films, change)["9"]
    assert word in row["answer"]
    assert word not in plain["9"]["answer"]
    assert f"{INDEX}: settings.preprocessing" in row["source"]


def test_chosen_classes_are_in_their_answers(plain: Rows, films: Path, tmp_path: Path) -> None:
    shutil.copytree(films, tmp_path / "three")
    shutil.copytree(films / "Normal", tmp_path / "three" / "Other")
    for number, image in enumerate(sorted((tmp_path / "three" / "Other").glob("*.png"))):
        image.write_bytes(image.read_bytes() + bytes([number]))
    chosen = "data.classes={COVID: Sick, Normal: Well}"
    rows = prepared(tmp_path, tmp_path / "three", chosen)
    for number in ("8", "10"):
        assert "COVID as Sick" in rows[number]["answer"]
        assert "14 x" in rows[number]["answer"]  # the images of the third label
        assert "Sick" not in plain[number]["answer"]
        assert f"{INDEX}: settings.data.classes" in rows[number]["source"]
    assert "data.classes" in rows["14"]["answer"]
    assert rows["14"]["answer"] != plain["14"]["answer"]


def test_left_out_views_are_in_their_answers(plain: Rows, films: Path, tmp_path: Path) -> None:
    shutil.copytree(films, tmp_path / "films")
    sides = sorted((tmp_path / "films" / "Normal").glob("*.png"))[:3]
    with (tmp_path / "films" / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["path", "view"], *([f"Normal/{path.name}", "lateral"] for path in sides)]
        )
    frontal = prepared(tmp_path / "a", tmp_path / "films")
    everything = prepared(tmp_path / "b", tmp_path / "films", "data.views=all")
    for number in ("8", "10"):
        assert "3 x" in frontal[number]["answer"]
        assert "3 x" not in everything[number]["answer"]
        assert "data.views=all" in everything[number]["answer"]
        assert "3 x" not in plain[number]["answer"]
    assert plain["13"]["state"] == "not known"
    assert everything["13"]["state"] == "in part"


def test_labels_of_a_table_are_not_called_folders(plain: Rows, films: Path, tmp_path: Path) -> None:
    table = films.parent / "table.csv"
    with table.open("w", newline="") as file:
        paths = sorted(films.rglob("*.png"))
        rows = [[f"films/{path.parent.name}/{path.name}", path.parent.name] for path in paths]
        csv.writer(file).writerows([["path", "label"], *rows])
    found = prepared(tmp_path, table)
    for number in ("14", "17"):
        assert "manifest" in found[number]["answer"]
        assert not any(layout.name in found[number]["answer"] for layout in OF_FOLDERS)
        assert any(layout.name in plain[number]["answer"] for layout in OF_FOLDERS)
        assert found[number]["state"] == "not known"


def test_maps_of_single_cases_are_in_their_answers(
    copied: Workspace, config: BalancerConfig
) -> None:
    pytest.importorskip("pytorch_grad_cam")
    report.run(config, copied)
    before = rows_of(copied)
    assert before["31"]["state"] == "not known"
    explain.run(config, copied, per_class=1)
    report.run(config, copied)  # without --force: its inputs have changed
    after = rows_of(copied)
    for number in ("31", "39"):
        assert EXPLAIN in after[number]["source"]
        assert after[number]["answer"] != before[number]["answer"]
    assert after["31"]["state"] == "filled in"
    shutil.rmtree(copied.explain_dir)
    report.run(config, copied)
    without = rows_of(copied)
    assert without["31"]["state"] == "in part"  # the ledger knows
    assert f"{LEDGER}: explained" in without["39"]["source"]
    assert without["39"]["answer"] not in (before["39"]["answer"], after["39"]["answer"])


def test_maps_of_other_images_are_not_of_this_run(
    copied: Workspace, config: BalancerConfig
) -> None:
    pytest.importorskip("pytorch_grad_cam")
    explain.run(config, copied, per_class=0)
    path = copied.explain_dir / "result.json"
    record = read_json(path)
    record["inputs"]["index"] = "0" * 64
    path.write_text(json.dumps(record))
    report.run(config, copied)
    assert EXPLAIN not in rows_of(copied)["31"]["source"]


def test_a_second_read_of_the_test_images_is_in_its_answer(
    copied: Workspace, config: BalancerConfig
) -> None:
    report.run(config, copied)
    before = rows_of(copied)["32"]
    (read, _) = read_ledger(copied.ledger_dir)
    note_read(
        copied.ledger_dir, what=read.what, fold=read.fold, seed=read.seed, arm=read.arm,
        images=read.images, images_sha256=read.images_sha256,
    )  # fmt: skip
    report.run(config, copied)
    assert rows_of(copied)["32"]["answer"] != before["answer"]


def test_one_run_has_no_interval_and_no_robustness(films: Path, tmp_path: Path) -> None:
    workspace, config = Workspace(tmp_path), config_for(films, "data.min_images=4")
    prepare.run(config, workspace)
    index_hash = load_index(workspace.index_dir).index_hash
    write_ablation(workspace, index_hash, arms=FACTS[:2], n_folds=1, n=40, extras=False)
    report.run(config, workspace)
    rows = rows_of(workspace)
    assert rows["30"]["state"] == "not known"
    assert rows["37"]["state"] == "in part"
    assert "GAN" not in rows["1"]["answer"]  # no arm of it made images


def test_only_a_registered_question_is_called_registered(whole: Workspace) -> None:
    ablation = read_result(whole.ablation_dir, AblateMetrics)
    assert ablation is not None

    def said(status: Status, runs: str) -> tuple[str, str]:
        found = Registration(
            status=status, sentence="", label="EXPLORATORY: margin", hash="0" * 64,
            time="2026-01-02", reads=3, entries=(), runs=runs,
        )  # fmt: skip
        metrics = ablation.metrics.model_copy(update={"registration": found})
        study = ablation.model_copy(update={"metrics": metrics})
        records = dataclasses.replace(EMPTY, ablation=study)
        aims = next(row for row in answered(records) if row["number"] == "4")
        return aims["answer"], methods_text(records)

    for status, runs in (("confirmatory", "runs/units"), ("exploratory", REGISTERED_RUNS)):
        assert all("registered on 2026-01-02" in text for text in said(status, runs))
    aims, methods = said("exploratory", "runs/units")
    assert "registered" not in aims
    assert "EXPLORATORY: margin" in methods


def test_no_temperature_is_claimed_where_none_was_fitted(whole: Workspace) -> None:
    ablation = read_result(whole.ablation_dir, AblateMetrics)
    assert ablation is not None
    for calibration in ("temperature", "none"):
        recipe = {**ablation.settings["classifier"], "calibration": calibration}
        study = ablation.model_copy(update={"settings": {"classifier": recipe}})
        records = dataclasses.replace(EMPTY, ablation=study)
        rows = [row for name in (CLAIM, *OTHERS) for row in answered(records, name)]
        is_fitted = calibration == "temperature"
        assert any("temperature" in row["answer"] for row in rows) == is_fitted


def test_images_of_another_generator_are_not_called_ours(whole: Workspace) -> None:
    ablation = read_result(whole.ablation_dir, AblateMetrics)
    assert ablation is not None
    arms = {f"imported sd15 {name}" if arm.kind == "gan" else name: arm
            for name, arm in ablation.metrics.arms.items()}  # fmt: skip
    settings = {**ablation.settings, "gan": {"image_size": 64}}
    ours = ablation.model_copy(update={"settings": settings})
    metrics = ablation.metrics.model_copy(update={"arms": arms})
    for study, is_ours in ((ours, True), (ours.model_copy(update={"metrics": metrics}), False)):
        records = dataclasses.replace(EMPTY, ablation=study)
        said = {row["number"]: row["answer"] for row in answered(records)}
        assert ("DCGAN" in said["22"]) == is_ours
        assert ("imported sd15" in said["22"]) != is_ours
        assert "GAN" not in said["1"]


def test_seeds_of_a_split_are_no_more_splits(whole: Workspace) -> None:
    index = read_result(whole.index_dir, PrepareMetrics)
    ablation = read_result(whole.ablation_dir, AblateMetrics)
    assert index is not None
    assert ablation is not None
    arms = {
        name: arm.model_copy(update={"n_runs": 9}) for name, arm in ablation.metrics.arms.items()
    }
    study = ablation.model_copy(
        update={"metrics": ablation.metrics.model_copy(update={"arms": arms})}
    )
    limits = answer(dataclasses.replace(EMPTY, index=index, ablation=study)).limits
    assert any("9 runs of an arm on 3 splits" in limit for limit in limits)


def test_what_no_record_knows_is_not_known(whole: Workspace) -> None:
    state = {number: row["state"] for number, row in rows_of(whole).items()}
    for number in ("5", "7", "11", "14", "18", "36"):
        assert state[number] == "not known"
    assert state["20"] == "in part"  # no metadata.csv names the patients
    assert state["33"] == "filled in"  # another data set was tested
    assert state["44"] == "for the authors"
