"""A verdict on another data set is held to what was registered, whatever is typed afterwards."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from balancer.cli import main
from balancer.evaluation.ledger import INDEX_FOLD, fingerprint_of_images, note_read
from samples.phantom import write_samples
from support.registered_study import entries
from support.tiny_pipeline import arguments, metrics_of

pytestmark = pytest.mark.blank_pictures

STUDY = ("ablation.repeats=2", "ablation.arms=[real, oversample, held-back-real]")
THERE = "ablation.verdict_on=elsewhere"
SWAPPED = "data.external_classes={COVID: Normal, Normal: COVID}"


def typed(
    command: str, data: Path, root: Path, *changes: str, words: tuple[Any, ...] = ()
) -> Result:
    return CliRunner().invoke(
        main, [command, *arguments(data, root, *changes), "-q", *map(str, words)]
    )


def ablated(data: Path, root: Path, *changes: str, words: tuple[Any, ...] = ()) -> Any:
    done = typed("ablate", data, root, *STUDY, *changes, words=words)
    assert done.exit_code == 0, done.stderr
    return metrics_of(root / "ablation")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "elsewhere"
    write_samples(folder, n_covid=12, n_normal=14, size=44, seed=99)
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    root = tmp_path_factory.mktemp("prepared") / "work"
    assert typed("prepare", data, root).exit_code == 0
    return root


@pytest.fixture(scope="module")
def answered(
    tmp_path_factory: pytest.TempPathFactory, prepared: Path, data: Path, elsewhere: Path
) -> Path:
    root = tmp_path_factory.mktemp("answered") / "work"
    shutil.copytree(prepared, root, symlinks=True)
    ablated(data, root, THERE, words=("--external", elsewhere))
    return root


@pytest.fixture
def mine(tmp_path: Path, answered: Path) -> Path:
    shutil.copytree(answered, tmp_path / "work", symlinks=True)
    return tmp_path / "work"


@pytest.fixture
def fresh(tmp_path: Path, prepared: Path) -> Path:
    shutil.copytree(prepared, tmp_path / "work", symlinks=True)
    return tmp_path / "work"


def test_reads_elsewhere_name_the_protocol(answered: Path) -> None:
    reads = [json.loads(path.read_text()) for path in (answered / "runs/ledger").glob("*.json")]
    there = [read for read in reads if read["what"] == "external:elsewhere"]
    assert len(there) == 6
    assert {read.get("protocol") for read in there} == {entries(answered)[0]["hash"]}


def test_measures_without_draws_of_the_cases_have_no_interval(answered: Path) -> None:
    for arm in metrics_of(answered / "ablation")["arms"].values():
        for name in ("ece", "slope", "intercept"):
            level = arm["calibration"]["raw"][name]
            assert level["value"] is not None
            assert level["low"] is level["high"] is None


def test_other_classes_of_the_same_images_are_a_change(
    mine: Path, data: Path, elsewhere: Path
) -> None:
    before = metrics_of(mine / "ablation")["verdict"]
    found = ablated(data, mine, THERE, SWAPPED, words=("--external", elsewhere))
    assert found["registration"]["label"].startswith("EXPLORATORY: verdict_labels")
    assert found["verdict"] == before
    real = found["exploratory"]["arms"]["real"]["metrics"]["auroc"]["value"]
    assert real != found["arms"]["real"]["metrics"]["auroc"]["value"]


def test_other_images_of_that_name_do_not_replace_the_answer(
    mine: Path, data: Path, elsewhere: Path, tmp_path: Path
) -> None:
    before = metrics_of(mine / "ablation")["verdict"]
    write_samples(tmp_path / "elsewhere", n_covid=9, n_normal=9, size=44, seed=77)
    found = ablated(data, mine, THERE, words=("--external", tmp_path / "elsewhere"))
    assert found["registration"]["status"] == "exploratory"
    assert found["verdict"] == before
    assert found["question"]["verdict_images"] == 26
    assert found["exploratory"]["question"]["verdict_images"] == 18
    again = ablated(data, mine, THERE, words=("--external", elsewhere))
    assert again["registration"]["status"] == "confirmatory"
    assert again["verdict"] == before


def test_the_answer_stays_without_the_folder_and_the_setting(mine: Path, data: Path) -> None:
    before = metrics_of(mine / "ablation")["verdict"]
    found = ablated(data, mine)
    assert "verdict_on elsewhere -> None" in found["registration"]["label"]
    assert found["verdict"] == before


def test_a_second_training_does_not_replace_the_answer(
    mine: Path, data: Path, elsewhere: Path
) -> None:
    before = metrics_of(mine / "ablation")["verdict"]
    words = ("--external", elsewhere, "--force")
    found = ablated(data, mine, THERE, "classifier.epochs=2", words=words)
    assert "classifier.epochs 1 -> 2" in found["registration"]["label"]
    assert found["verdict"] == before
    assert found["exploratory"]["question"]["verdict_images"] == 26
    assert found["ledger"]["reads_elsewhere"] == {"elsewhere": 12}


@pytest.mark.parametrize(
    ("folder", "asked"),
    [("registered-external", (THERE,)), ("external", (THERE, "ablation.margin=0.02"))],
)
def test_changed_predictions_are_refused(
    mine: Path, data: Path, elsewhere: Path, folder: str, asked: tuple[str, ...]
) -> None:
    path = mine / "runs" / folder / "elsewhere/split-0/0/real/predictions.csv"
    path.write_text(path.read_text().replace(",0.", ",0.1"))
    shutil.rmtree(mine / "ablation")
    done = typed("ablate", data, mine, *STUDY, *asked, words=("--external", elsewhere))
    assert done.exit_code == 4
    assert "was changed after the test" in done.stderr


@pytest.mark.parametrize(
    ("name", "images"), [("elsewhere", "of more images"), ("renamed", "of the same images")]
)
def test_an_earlier_read_of_these_images_is_a_look(
    fresh: Path, data: Path, elsewhere: Path, tmp_path: Path, name: str, images: str
) -> None:
    words = ("--external", elsewhere, "--register")
    other = tmp_path / "other"
    shutil.copytree(fresh, other, symlinks=True)
    assert typed("ablate", data, other, *STUDY, THERE, words=words).exit_code == 0
    same = entries(other)[0]["question"]["verdict_images"]
    note_read(
        fresh / "runs/ledger", what=f"external:{name}", fold=INDEX_FOLD, seed=0, arm="real",
        images=26, images_sha256=same if "same" in images else fingerprint_of_images(["more"]),
    )  # fmt: skip
    done = typed("ablate", data, fresh, *STUDY, THERE, words=words)
    assert "not registered" in done.stdout
    assert (entries(other)[0]["reads"], entries(fresh)[0]["reads"]) == (0, 1)


def test_an_earlier_read_of_another_set_is_none(fresh: Path, data: Path, elsewhere: Path) -> None:
    note_read(
        fresh / "runs/ledger", what="external:third", fold=INDEX_FOLD, seed=0, arm="real",
        images=5, images_sha256=fingerprint_of_images(["third"]),
    )  # fmt: skip
    words = ("--external", elsewhere, "--register")
    assert typed("ablate", data, fresh, *STUDY, THERE, words=words).exit_code == 0
    assert entries(fresh)[0]["reads"] == 0


def test_a_set_without_a_class_is_refused_before_anything_is_trained(
    fresh: Path, data: Path, elsewhere: Path, tmp_path: Path
) -> None:
    shutil.copytree(elsewhere / "COVID", tmp_path / "elsewhere" / "COVID")
    words = ("--external", tmp_path / "elsewhere")
    done = typed("ablate", data, fresh, *STUDY, THERE, words=words)
    assert done.exit_code == 3
    assert "none of Normal" in done.stderr
    assert not (fresh / "runs").exists()


def test_the_verdict_needs_the_weights(fresh: Path, data: Path, elsewhere: Path) -> None:
    without = "ablation.keep_models=false"
    done = typed("ablate", data, fresh, *STUDY, THERE, without, words=("--external", elsewhere))
    assert done.exit_code == 2
    assert "verdict_on needs the weights" in done.stderr


def test_a_quick_study_is_on_its_own_splits(fresh: Path, data: Path) -> None:
    settings = (*STUDY, THERE, "ablation.frozen_splits=3")
    done = typed("ablate", data, fresh, *settings, words=("--quick",))
    assert done.exit_code == 0, done.stderr
    found = metrics_of(fresh / "quick")
    assert "elsewhere" not in found["verdict"]["sentence"]
    assert "verdict_on" not in found["question"]


def test_evaluate_tests_again_if_the_classes_change(
    fresh: Path, data: Path, elsewhere: Path
) -> None:
    assert typed("classify", data, fresh).exit_code == 0
    found = []
    for changes in ((), (SWAPPED,)):
        done = typed("evaluate", data, fresh, *changes, words=(elsewhere,))
        assert done.exit_code == 0, done.stderr
        folder = next(fresh.glob("evaluate/elsewhere-*/real"))
        found.append(metrics_of(folder)["external"]["classes"])
    assert found == [{"COVID": 12, "Normal": 14}, {"COVID": 14, "Normal": 12}]
