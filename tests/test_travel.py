"""`balancer travel` at the command, on planted hospitals of drawn chests."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from scipy.stats import binomtest

import balancer.ablation.quick
from balancer.ablation.records import AblateMetrics
from balancer.ablation.travel import square_and_add
from balancer.ablation.travel_records import Travel
from balancer.cli import main
from balancer.evaluation.ledger import EXTERNAL, QUICK, read_ledger
from balancer.evaluation.records import Scalar
from balancer.results import read_result
from balancer.workspace import Workspace
from support.planted_hospitals import Pixels, as_it_is, blurred, framed, marked, write_hospital
from support.radiograph_folders import class_folders

pytestmark = pytest.mark.blank_pictures

SETTINGS = ("frozen_splits=4", "repeats=1")
EACH = 40
LUNGS, BORDER, CONTROL = "view lungs=lungs-only", "view border=remove", "no-lungs"


def travel(data: Path, workspace: Path, *words: str) -> Result:
    settings = [word for one in SETTINGS for word in ("--set", f"ablation.{one}")]
    settings += ["--set", "evaluation.bootstrap_samples=200", "--set", "travel.largest_fall=0.15"]
    return CliRunner().invoke(
        main, ["travel", "-q", "--data", str(data), "-w", str(workspace), *settings, *words]
    )


def seen(*views: str) -> list[str]:
    return [word for view in views for word in ("--view", view)]


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "away"
    return write_hospital(folder, as_it_is, each=EACH, first_seed=50_000)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marked") / "home"
    return write_hospital(folder, marked, each=EACH, first_seed=0)


@pytest.fixture(scope="module")
def of_marks(
    tmp_path_factory: pytest.TempPathFactory, home: Path, away: Path
) -> tuple[Path, dict[str, Any]]:
    workspace = tmp_path_factory.mktemp("work") / "work"
    views = seen(LUNGS, CONTROL)
    done = travel(home, workspace, "--json", "--external", str(away), *views)
    assert done.exit_code == 0, done.output
    return workspace, json.loads(done.stdout)


def found(result: dict[str, Any]) -> Travel:
    return Travel.model_validate(result["metrics"]["travel"])


@pytest.fixture
def no_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time, and no part of what travels."""
    monkeypatch.setattr(balancer.ablation.quick, "find_caps", lambda study: ([], []))


def planted(
    scanner: Callable[[Pixels], Pixels], view: str, fall: float, away: Path, folder: Path
) -> Travel:
    data = write_hospital(folder / "home", scanner, each=EACH, first_seed=0)
    words = ["--external", str(away), "--set", f"travel.largest_fall={fall}", *seen(view)]
    done = travel(data, folder / "work", "--json", *words)
    assert done.exit_code == 0, done.output
    return found(json.loads(done.stdout))


def test_a_mark_beside_the_lungs_makes_whole_films_fall(
    of_marks: tuple[Path, dict[str, Any]],
) -> None:
    study = found(of_marks[1])
    assert study.views["real"].word == "falls"
    assert study.views[LUNGS].word != "falls"
    control = study.views[CONTROL].home.low
    assert control is not None
    assert control > 0.5  # the mark is outside the lungs
    assert "real" not in study.safe
    assert CONTROL not in study.safe


@pytest.mark.usefixtures("no_probes")
def test_a_frame_at_home_is_no_loss_where_borders_are_removed(away: Path, tmp_path: Path) -> None:
    study = planted(framed, BORDER, 0.3, away, tmp_path)
    assert study.views["real"].word == "falls"
    assert study.safe == (BORDER,)


@pytest.mark.usefixtures("no_probes")
def test_no_view_is_safe_from_a_blur(away: Path, tmp_path: Path) -> None:
    study = planted(blurred, LUNGS, 0.15, away, tmp_path)
    assert study.views["real"].word == "falls"
    assert study.safe == ()


def test_the_study_is_registered_and_its_reads_are_noted(
    of_marks: tuple[Path, dict[str, Any]],
) -> None:
    workspace, result = of_marks
    place = Workspace(workspace).travel
    entry = json.loads(place.protocol_file.read_text())["entries"][0]
    assert result["metrics"]["registration"]["status"] == "confirmatory"
    reads = read_ledger(place.ledger_dir)
    assert {read.protocol for read in reads} == {entry["hash"]}
    assert sum(read.what.startswith(QUICK) for read in reads) == 4 * 3
    assert sum(read.what == f"{EXTERNAL}away" for read in reads) == 4 * 3
    assert not Workspace(workspace).protocol_file.exists()  # a study in the workspace is free


def test_another_question_after_the_look_is_exploratory(
    of_marks: tuple[Path, dict[str, Any]], home: Path, tmp_path: Path
) -> None:
    workspace = tmp_path / "work"
    shutil.copytree(of_marks[0], workspace)
    words = ("--json", *seen(LUNGS))
    assert travel(home, workspace, *words).exit_code == 2  # it would replace an answer
    done = travel(home, workspace, *words, "--force")
    assert done.exit_code == 0, done.output
    metrics = json.loads(done.stdout)["metrics"]
    assert metrics["registration"]["status"] == "exploratory"
    assert metrics["verdict"]["word"] == "exploratory"
    assert metrics["travel"]["word"] == "not tested elsewhere"


def test_the_page_shows_home_and_elsewhere_first(of_marks: tuple[Path, dict[str, Any]]) -> None:
    place = Workspace(of_marks[0]).travel
    page = (place.quick_dir / "report.html").read_text(encoding="utf-8")
    first = page[: page.index("</header>")]
    assert "hospital" in first
    assert re.search(r"<img[^>]+alt=.AUROC elsewhere", first)
    result = read_result(place.quick_dir, AblateMetrics)
    assert result is not None
    assert result.metrics.travel is not None
    score = result.metrics.travel.views["real"].elsewhere["away"].score.value
    assert f"{score:.3f}" in first
    assert (place.quick_dir / "travel.png").is_file()


def test_films_with_doubtful_lungs_are_counted_and_left_out(
    of_marks: tuple[Path, dict[str, Any]],
) -> None:
    study = found(of_marks[1])
    assert set(study.doubtful) == {"home", "away"}
    for name, films in study.doubtful.items():
        assert films.of == 2 * EACH
        assert set(films.n) == {"COVID", "Normal"}
        assert bool(films.without) == bool(films.of_all), name


def test_every_page_says_what_is_known_elsewhere(
    of_marks: tuple[Path, dict[str, Any]], home: Path
) -> None:
    from balancer.data.index import load_index
    from balancer.report.elsewhere import UNKNOWN_ELSEWHERE, known_elsewhere, travel_study

    assert known_elsewhere(None, {}, None) == UNKNOWN_ELSEWHERE
    workspace = Workspace(of_marks[0])
    study = travel_study(workspace, load_index(workspace.index_dir).index_hash)
    assert study is not None
    assert "on away" in known_elsewhere(None, {}, study)
    assert travel_study(workspace, "another index") is None


@pytest.mark.parametrize(("sources", "proposed"), [(("a", "b"), True), (("a", "a"), False)])
def test_prepare_proposes_it_where_the_source_gives_the_class_away(
    sources: tuple[str, str], proposed: bool, tmp_path: Path
) -> None:
    data = class_folders(tmp_path / "films", {"COVID": 8, "Normal": 8})
    rows = [
        f"{label}/{number:03}.png,{source if number else 'a'}"
        for label, source in zip(("COVID", "Normal"), sources, strict=True)
        for number in range(8)
    ]
    (data / "metadata.csv").write_text("\n".join(["path,source", *rows]) + "\n")
    words = ["prepare", "--data", str(data), "-w", str(tmp_path / "work")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert ("balancer travel" in done.output) == proposed


@pytest.mark.parametrize("view", ["view", "view lungs=none-such", "view depth=2"])
def test_a_wrong_view_is_refused(
    view: str, home: Path, of_marks: tuple[Path, dict[str, Any]]
) -> None:
    before = len(read_ledger(Workspace(of_marks[0]).travel.ledger_dir))
    assert travel(home, of_marks[0], "--view", view).exit_code == 2
    assert len(read_ledger(Workspace(of_marks[0]).travel.ledger_dir)) == before


def test_the_ends_of_a_difference_by_square_and_add() -> None:
    """Newcombe 1998, Statistics in Medicine 17:873, method 10, case (a): 56/70 and 48/80."""
    shares = [(56, 70), (48, 80)]
    ends = [binomtest(*share).proportion_ci(method="wilson") for share in shares]
    first, other = (
        Scalar(value=k / n, low=end.low, high=end.high)
        for (k, n), end in zip(shares, ends, strict=True)
    )
    difference = square_and_add(first, other)
    assert difference.value == pytest.approx(0.2)
    assert difference.low == pytest.approx(0.0524, abs=1e-4)
    assert difference.high == pytest.approx(0.3339, abs=1e-4)
