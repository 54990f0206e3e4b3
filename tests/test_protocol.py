"""After the answer, the question cannot be changed: every way that the command line allows."""

import shutil
from pathlib import Path

import pytest

from balancer.evaluation.ledger import read_ledger
from support.planted_units import ablated, answer, plant
from support.registered_study import CLAIMS, entries, prepared, texts
from support.tiny_pipeline import tree

pytestmark = [pytest.mark.blank_pictures, pytest.mark.usefixtures("planted")]


def test_an_unchanged_study_is_confirmatory(answered: Path, films: Path) -> None:
    (entry,) = entries(answered)
    assert (entry["kind"], entry["reads"], entry["previous"]) == ("registration", 0, None)
    asked = entry["question"]
    assert (asked["primary"], asked["margin"], asked["alpha"]) == ("auroc", 0.01, 0.05)
    assert asked["arms"] == ["real", "oversample", "class-weights"]
    assert (asked["repeats"], asked["seeds"], asked["positive_class"]) == (3, 1, "COVID")
    assert entry["data"]["images"] == {"COVID": 40, "Normal": 120}
    assert entry["time"] < min(read.time for read in read_ledger(answered / "runs/ledger"))
    metrics = answer(answered)
    assert metrics["registration"]["status"] == "confirmatory"
    assert metrics["registration"]["hash"] == entry["hash"]
    assert metrics["registration"]["label"] == ""
    assert "exploratory" not in metrics
    assert metrics["verdict"]["word"] == "inconclusive"
    again = ablated(films, answered)
    assert "confirmatory: as registered on" in " ".join(again.stdout.split())
    assert "before any look" in " ".join(again.stdout.split())
    assert "EXPLORATORY" not in again.stdout


CHANGES = {
    "margin": (["ablation.margin=0.2"], "EXPLORATORY: margin 0.01 -> 0.2 after 9 looks"),
    "alpha": (["ablation.alpha=0.4"], "EXPLORATORY: alpha 0.05 -> 0.4 after 9 looks"),
    "primary": (
        ["ablation.primary=specificity", "ablation.alpha=0.4"],
        "EXPLORATORY: primary auroc -> specificity, alpha 0.05 -> 0.4 after 9 looks",
    ),
    "an arm less": (
        ["ablation.arms=[real, class-weights]", "ablation.alpha=0.3"],
        "EXPLORATORY: alpha 0.05 -> 0.3, arms -oversample after 9 looks",
    ),
    "an arm more": (
        ["ablation.arms=[real, oversample, class-weights, focal]"],
        "EXPLORATORY: arms +focal after 9 looks",
    ),
    "more splits": (["ablation.repeats=4"], "EXPLORATORY: repeats 3 -> 4 after 9 looks"),
    "fewer splits": (["ablation.repeats=2"], "EXPLORATORY: repeats 3 -> 2 after 9 looks"),
    "seeds": (["ablation.seeds=2"], "EXPLORATORY: seeds 1 -> 2 after 9 looks"),
    "looks": (["ablation.looks=[5, 10]", "ablation.repeats=5"], "EXPLORATORY: looks"),
    "specificity": (["evaluation.specificity=0.8"], "specificity 0.95 -> 0.8 after 9 looks"),
    "prior": (
        ["evaluation.deployment_prior={COVID: 0.5, Normal: 0.5}"],
        "deployment_prior.COVID 0.25 -> 0.5",
    ),
    "bootstrap": (["evaluation.bootstrap_samples=200"], "bootstrap_samples 100 -> 200"),
    "caps": (["ablation.max_probe_auroc=1.0"], "max_probe_auroc 0.9 -> 1.0"),
    "recipe that no arm uses": (["gan.images_shown=128"], "gan.images_shown 64 -> 128"),
}


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("change", CHANGES)
def test_a_question_changed_after_the_look_is_exploratory(
    change: str, mine: Path, films: Path
) -> None:
    settings, label = CHANGES[change]
    before = answer(mine)
    done = ablated(films, mine, settings=tuple(settings))
    assert done.exit_code == 0, done.stderr
    metrics = answer(mine)
    # The registered answer is the headline, to the last digit.
    for part in ("question", "arms", "verdict"):
        assert metrics[part] == before[part], part
    assert metrics["registration"]["status"] == "exploratory"
    assert label in metrics["registration"]["label"]
    assert metrics["registration"]["label"] == metrics["exploratory"]["label"]
    shown = " ".join(done.stdout.split())
    assert label in shown
    assert "confirmatory" not in shown
    assert [entry["kind"] for entry in entries(mine)] == ["registration", "amendment"]
    assert entries(mine)[1]["reads"] == 9
    # Asked as registered again, it is confirmatory again; the amendment stays on record.
    assert ablated(films, mine).exit_code == 0
    assert answer(mine)["registration"]["status"] == "confirmatory"
    assert len(entries(mine)) == 3


@pytest.mark.usefixtures("no_page")
def test_the_defect_would_have_claimed(mine: Path, films: Path) -> None:
    """With changes that claim, the claims are there, and below the headline."""
    for settings, word in (("ablation.margin=0.2", "equivalent"), ("ablation.alpha=0.4", "helps")):
        assert ablated(films, mine, settings=(settings,)).exit_code == 0
        metrics = answer(mine)
        assert metrics["exploratory"]["verdict"]["word"] == word
        assert not CLAIMS & set(texts(metrics))


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("words", [["--arm", "real", "--arm", "class-weights"], ["-c", "my.yaml"]])
def test_arms_and_files_of_settings_count_too(
    words: list[str], mine: Path, films: Path, tmp_path: Path
) -> None:
    (tmp_path / "my.yaml").write_text("ablation: {margin: 0.2, held_back_share: 0.2}\n")
    words = [str(tmp_path / word) if word == "my.yaml" else word for word in words]
    assert ablated(films, mine, *words).exit_code == 0
    label = answer(mine)["registration"]["label"]
    expected = "margin 0.01 -> 0.2, held_back_share" if words[0] == "-c" else "arms -oversample"
    # `--set ablation.arms` of the study stands behind -c and before --arm.
    assert expected in label
    assert "after 9 looks" in label
    assert answer(mine)["verdict"]["word"] == "inconclusive"


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("lost", [["ablation"], ["runs/units"], ["ablation", "runs/units"]])
def test_deleting_results_does_not_delete_the_protocol(
    lost: list[str], mine: Path, films: Path
) -> None:
    before = answer(mine)
    for name in lost:
        shutil.rmtree(mine / name)
    if "runs/units" in lost:  # trained again, the first predictions count
        assert ablated(films, mine).exit_code == 0
        assert (
            "9 classifiers read their test images more than once"
            in (answer(mine)["registration"]["sentence"])
        )
    done = ablated(films, mine, settings=("ablation.margin=0.2",))
    assert done.exit_code == 0, done.stderr
    metrics = answer(mine)
    assert metrics["arms"] == before["arms"]
    looks = 18 if "runs/units" in lost else 9
    assert f"margin 0.01 -> 0.2 after {looks} looks" in metrics["registration"]["label"]


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize(
    "settings",
    ["classifier.epochs=2", "evaluation.positive_class=Normal", "classifier.views=[plain]"],
)
def test_another_training_needs_force_and_is_exploratory(
    settings: str, mine: Path, films: Path
) -> None:
    before, written = answer(mine), tree(mine / "runs")
    refused = ablated(films, mine, settings=(settings,))
    assert refused.exit_code == 2
    assert tree(mine / "runs") == written
    done = ablated(films, mine, "--force", settings=(settings,))
    assert done.exit_code == 0, done.stderr
    metrics = answer(mine)
    assert (metrics["arms"], metrics["verdict"]) == (before["arms"], before["verdict"])
    assert metrics["registration"]["label"].startswith("EXPLORATORY: ")
    assert metrics["registration"]["label"].endswith("after 9 looks")
    assert settings.partition(".")[2].partition("=")[0] in metrics["registration"]["label"]


@pytest.mark.usefixtures("no_page")
def test_force_alone_is_noted_and_replaces_no_answer(
    mine: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = answer(mine)
    plant(monkeypatch, {"class-weights": 40.0})  # a luckier training
    assert ablated(films, mine, "--force").exit_code == 0
    metrics = answer(mine)
    assert metrics["arms"] == before["arms"]
    assert "trained again after 9 looks" in metrics["registration"]["label"]
    assert metrics["exploratory"]["arms"]["class-weights"] != before["arms"]["class-weights"]
    assert entries(mine)[1]["forced"]
    # It stays so, whatever is deleted between.
    shutil.rmtree(mine / "ablation")
    assert ablated(films, mine).exit_code == 0
    assert answer(mine)["arms"] == before["arms"]


@pytest.mark.usefixtures("no_page")
def test_force_that_finds_the_same_stays_confirmatory(mine: Path, films: Path) -> None:
    assert ablated(films, mine, "--force").exit_code == 0
    found = answer(mine)["registration"]
    assert found["status"] == "confirmatory"
    assert "trained again after 9 looks" in found["sentence"]


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("words", [["--seed", "1"], ["--set", "data.split=[0.6, 0.2, 0.2]"]])
def test_other_splits_are_refused_and_then_exploratory(
    words: list[str], mine: Path, films: Path
) -> None:
    before = answer(mine)
    assert ablated(films, mine, *words).exit_code == 2
    assert prepared(mine, films, "--force", *words).exit_code == 0
    assert ablated(films, mine, *words).exit_code == 2
    done = ablated(films, mine, "--force", *words)
    assert done.exit_code == 0, done.stderr
    metrics = answer(mine)
    assert (metrics["arms"], metrics["verdict"]) == (before["arms"], before["verdict"])
    key = "seed 0 -> 1" if "--seed" in words else "split 0.7, 0.15, 0.15 -> 0.6, 0.2, 0.2"
    assert f"EXPLORATORY: {key} after 9 looks" in metrics["registration"]["label"]


@pytest.mark.usefixtures("no_page")
def test_other_images_leave_no_registered_answer_and_make_no_claim(
    mine: Path, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(films, tmp_path / "other")
    next((tmp_path / "other" / "Normal").iterdir()).unlink()
    other = tmp_path / "other"
    plant(monkeypatch, {"class-weights": 40.0}, noise=0.1)
    assert prepared(mine, other, "--force").exit_code == 0
    settings = ("ablation.alpha=0.4",)
    done = ablated(other, mine, "--force", settings=settings)
    assert done.exit_code == 0, done.stderr
    metrics = answer(mine)
    assert "images" in metrics["registration"]["label"]
    assert "after 9 looks" in metrics["registration"]["label"]
    assert metrics["verdict"]["word"] == "exploratory"
    assert metrics["arms"]["class-weights"]["verdict"]["uncapped"] in CLAIMS
    assert not CLAIMS & set(texts(metrics))
    assert "EXPLORATORY" in done.stdout


@pytest.mark.usefixtures("no_page")
def test_splits_are_fixed_by_the_last_entry_before_the_look(
    tmp_path: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, {"class-weights": 40.0}, noise=0.1)
    work = tmp_path / "work"
    five = ("ablation.repeats=5",)
    assert ablated(films, work, "--register", settings=five).exit_code == 0
    assert ablated(films, work, settings=("ablation.repeats=3",)).exit_code == 0
    # Before any look, a change is an amendment.
    assert answer(work)["registration"]["status"] == "confirmatory"
    assert answer(work)["arms"]["real"]["n_runs"] == 3
    # After it, more splits are exploratory.
    assert ablated(films, work, settings=five).exit_code == 0
    assert answer(work)["arms"]["real"]["n_runs"] == 3
    assert answer(work)["exploratory"]["arms"]["real"]["n_runs"] == 5


@pytest.mark.usefixtures("no_page")
def test_registered_runs_that_are_missing_make_no_claim(mine: Path, films: Path) -> None:
    shutil.rmtree(mine / "runs/registered/split-2")
    shutil.rmtree(mine / "runs/units/split-2")
    done = ablated(films, mine, settings=("ablation.repeats=2", "ablation.alpha=0.4"))
    assert done.exit_code == 0, done.stderr
    metrics = answer(mine)
    assert "3 of its 9 runs are missing" in metrics["verdict"]["sentence"]
    assert set(texts(metrics)) == {"inconclusive", "reference"}


@pytest.mark.usefixtures("no_page")
def test_planned_looks_are_no_change(tmp_path: Path, films: Path) -> None:
    work, looks = tmp_path / "work", "ablation.looks=[5, 7]"
    assert ablated(films, work, settings=(looks, "ablation.repeats=5")).exit_code == 0
    first = answer(work)
    assert "planned look 1 of 2" in first["registration"]["sentence"]
    assert ablated(films, work, settings=(looks, "ablation.repeats=7")).exit_code == 0
    second = answer(work)
    assert second["registration"]["status"] == "confirmatory"
    assert "planned look 2 of 2" in second["registration"]["sentence"]
    assert second["arms"]["real"]["n_runs"] == 7
    assert (second["question"]["looks"], second["question"]["look"]) == ([5, 7], 1)
    assert len(entries(work)) == 1
    # The level of a look is smaller, so the same difference has a larger p.
    alone = tmp_path / "alone"
    assert ablated(films, alone, settings=("ablation.repeats=5",)).exit_code == 0
    (planned, single) = (
        metrics["arms"]["class-weights"]["verdict"] for metrics in (first, answer(alone))
    )
    assert planned["difference"] == single["difference"]
    assert planned["p_helps"] > single["p_helps"]
    # Between and after the planned looks there is none.
    assert ablated(films, work, settings=(looks, "ablation.repeats=6")).exit_code == 2
    assert ablated(films, work, settings=("ablation.repeats=8",)).exit_code == 0
    assert answer(work)["arms"] == second["arms"]
    assert "looks" in answer(work)["registration"]["label"]
