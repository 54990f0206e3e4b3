"""`balancer explain`: its pictures, its numbers, and the images that it leaves out."""

import csv
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from balancer.cli import main
from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.errors import ConfigurationError, DataError, EnvironmentFault, IntegrityError
from balancer.explanation.cases import draw_cases
from balancer.explanation.map_shares import MapShares, region_shares, summarize
from balancer.explanation.models import _names
from balancer.explanation.records import ExplainMetrics
from balancer.explanation.sheets import NOTE_INK, Cell, Row, overlay, save_cam_sheet
from balancer.manifest import fingerprint
from balancer.results import MissingStage, StageResult
from balancer.shortcuts.views import central_region
from balancer.stages import classify, explain, prepare
from balancer.workspace import Workspace
from support.tiny_pipeline import config_for, tree

PICTURES = ("grad-cam.png", "activations.png", "where-it-looks.png")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, finished: Workspace) -> Workspace:
    """A copy of the finished run, which gets the pictures."""
    root = tmp_path_factory.mktemp("explained") / "work"
    shutil.copytree(finished.root, root)
    return Workspace(root)


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Masks whose lungs are the left half of every film."""
    folder = tmp_path_factory.mktemp("masks")
    half = np.zeros((40, 40), np.uint8)
    half[:, :20] = 255
    for film in data.glob("*/*.png"):
        (folder / film.parent.name).mkdir(exist_ok=True)
        cv2.imwrite(str(folder / film.parent.name / film.name), half)
    return folder


@pytest.fixture(scope="module")
def result(workspace: Workspace, data: Path, masks: Path) -> StageResult[ExplainMetrics]:
    return explain.run(config_for(data, f"ablation.masks={masks}"), workspace)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Workspace:
    """A classifier of the same films under another split."""
    config = config_for(data, "seed=7")
    other = Workspace(tmp_path_factory.mktemp("other") / "work")
    prepare.run(config, other)
    classify.run(config, other)
    return other


@pytest.fixture
def index(workspace: Workspace) -> Index:
    return load_index(workspace.index_dir)


def test_three_pictures_stand_beside_the_result(
    workspace: Workspace, result: StageResult[ExplainMetrics]
) -> None:
    for name in PICTURES:
        with Image.open(workspace.explain_dir / name) as image:
            low, high = image.convert("L").getextrema()
            assert low != high, f"{name} is blank"
    assert (workspace.explain_dir / "result.json").is_file()
    said = "\n".join(map(str, explain.summary(result)))
    assert "real+synthetic, Normal: border" in said
    assert str(workspace.explain_dir) in said


def test_both_arms_stand_side_by_side(result: StageResult[ExplainMetrics]) -> None:
    assert list(result.metrics.models) == ["real", "real+synthetic"]
    for shown in result.metrics.shown:
        assert list(shown.models) == ["real", "real+synthetic"]
        for answer in shown.models.values():
            assert 0 <= answer.probability <= 1
            assert answer.right == (answer.predicted == shown.label)
            assert not answer.has_seen


def test_cases_are_test_images_and_right_or_wrong_as_the_first_model_says(
    workspace: Workspace, result: StageResult[ExplainMetrics]
) -> None:
    with (workspace.classify_dir("real") / "predictions.csv").open() as file:
        rows = {row["image_id"]: row for row in csv.DictReader(file)}
    assert result.metrics.shown
    for shown in result.metrics.shown:
        row, answer = rows[shown.image_id], shown.models["real"]
        assert (shown.label, shown.split) == (row["label"], "test")
        assert answer.predicted == row["predicted"]
        assert shown.drawn_as == ("right" if row["predicted"] == row["label"] else "wrong")
        assert answer.probability == pytest.approx(float(row["p:COVID"]))


def test_shares_are_of_the_whole_test_split_beside_those_of_the_area(
    result: StageResult[ExplainMetrics], index: Index
) -> None:
    side = result.metrics.models["real"].input_size
    for model in result.metrics.models.values():
        for label, shares in model.where.items():
            assert shares.n == len(index.select("test", label))
            areas = {"border": 1 - central_region(side).mean(), "lungs": 0.5}
            assert shares.regions().keys() == areas.keys()
            for region, share in shares.regions().items():
                assert share.n == shares.n - shares.n_empty
                if share.value is not None:
                    assert 0 <= share.value <= 1
                    assert share.reference == pytest.approx(areas[region])
                if share.value is not None and share.low is not None and share.high is not None:
                    assert share.low <= share.value <= share.high


def test_a_second_run_changes_nothing_and_other_settings_need_no_force(
    copied: Workspace, config: BalancerConfig
) -> None:
    explain.run(config, copied, per_class=1)
    before = tree(copied.root)
    explain.run(config, copied, per_class=1)
    assert tree(copied.root) == before
    again = explain.run(config, copied, target="Normal", images=("COVID/COVID-003.png",))
    assert again.metrics.target_class == "Normal"
    assert [shown.drawn_as for shown in again.metrics.shown] == ["chosen"]


def test_images_are_chosen_by_id_path_or_file(
    copied: Workspace, config: BalancerConfig, data: Path, tmp_path: Path
) -> None:
    record = load_index(copied.index_dir).select("train")[0]
    stranger = tmp_path / "stranger.png"
    cv2.imwrite(str(stranger), np.random.default_rng(0).integers(0, 255, (50, 40), np.uint8))
    words = (record.image_id[:12], record.path, str(data / record.path), str(stranger))
    shown = explain.run(config, copied, images=words).metrics.shown
    assert [case.image_id for case in shown[:3]] == [record.image_id] * 3
    assert [case.label for case in shown] == [record.label] * 3 + [None]
    assert [case.models["real"].has_seen for case in shown] == [True] * 3 + [False]
    assert shown[3].models["real"].right is None


@pytest.mark.parametrize(
    ("asked", "fault", "named"),
    [
        ({"target": "Pox"}, ConfigurationError, "'Pox'"),
        ({"images": ("nothing.png",)}, ConfigurationError, "nothing.png"),
        ({"images": (__file__,)}, DataError, "--image"),
        ({"layer": "9x"}, ConfigurationError, "'9x'"),
        ({"models": (Path("/nowhere"),)}, ConfigurationError, "/nowhere"),
    ],
)
def test_what_does_not_exist_is_refused_and_nothing_is_written(
    copied: Workspace,
    config: BalancerConfig,
    asked: dict[str, object],
    fault: type[Exception],
    named: str,
) -> None:
    before = tree(copied.root)
    with pytest.raises(fault, match=named):
        explain.run(config, copied, **asked)  # type: ignore[arg-type]
    assert tree(copied.root) == before


def test_without_a_classifier_the_command_that_trains_one_is_named(
    tmp_path: Path, config: BalancerConfig
) -> None:
    workspace = Workspace(tmp_path / "work")
    prepare.run(config, workspace)
    with pytest.raises(MissingStage) as caught:
        explain.run(config, workspace)
    assert (caught.value.stage, caught.value.cheap) == ("classify", False)


def test_images_that_a_model_of_another_split_has_seen_are_left_out(
    copied: Workspace, elsewhere: Workspace, config: BalancerConfig
) -> None:
    models = (copied.classify_dir("real"), elsewhere.classify_dir("real"))
    metrics = explain.run(config, copied, models=models).metrics
    theirs = load_index(elsewhere.index_dir)
    clean = {record.image_id for record in theirs.select("test")}
    test = load_index(copied.index_dir).select("test")
    assert metrics.images.n == sum(record.image_id in clean for record in test) > 0
    assert metrics.images.left_out_as_seen == len(test) - metrics.images.n > 0
    assert {case.image_id for case in metrics.shown} <= clean
    assert len(set(metrics.models)) == 2


def test_a_model_whose_training_images_nobody_knows_is_refused(
    copied: Workspace, elsewhere: Workspace, config: BalancerConfig, tmp_path: Path
) -> None:
    stray = tmp_path / "stray"
    shutil.copytree(elsewhere.classify_dir("real"), stray)
    with pytest.raises(IntegrityError, match="stray"):
        explain.run(config, copied, models=(stray,))


def test_a_model_that_has_seen_every_test_image_is_refused(
    copied: Workspace, config: BalancerConfig
) -> None:
    card = copied.classify_dir("real") / "classifier.json"
    about = json.loads(card.read_text())
    fold = copied.root / "runs" / "folds" / "split-0" / "index"
    fold.mkdir(parents=True)
    text = (copied.index_dir / "index.csv").read_text().replace(",test,", ",train,")
    (fold / "index.csv").write_text(text)
    about["provenance"]["index_hash"] = fingerprint(text.encode())
    card.write_text(json.dumps(about))
    with pytest.raises(IntegrityError, match="real"):
        explain.run(config, copied)


def test_without_the_package_the_extra_is_named(
    copied: Workspace, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(EnvironmentFault, match=r"balancer\[explain\]"):
        explain.run(config, copied)


def test_the_command_hands_its_options_on(copied: Workspace) -> None:
    words = ["explain", "-w", str(copied.root), "--class", "Normal", "--per-class", "1", "--json"]
    words += [
        "--model",
        str(copied.classify_dir("real")),
        "--set",
        "evaluation.bootstrap_samples=100",
    ]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    metrics = json.loads(done.stdout)["metrics"]
    assert (metrics["target_class"], list(metrics["models"])) == ("Normal", ["real"])
    assert CliRunner().invoke(main, [*words, "--class", "Pox"]).exit_code == 2


def test_shares_of_known_maps() -> None:
    side = 8
    region = np.zeros((side, side), np.bool_)
    region[:, :2] = True
    maps = np.zeros((4, side, side), np.float32)
    maps[0] = 0.5  # even: the share of the area
    maps[1, 3, 1] = 1  # all of it inside
    maps[2, 3, 5] = 1  # all of it outside
    np.testing.assert_allclose(region_shares(maps, region), [0.25, 1, 0, np.nan])
    each = np.stack([region, ~region, region, region])
    np.testing.assert_allclose(region_shares(maps, each), [0.25, 0, 0, np.nan])


def test_means_leave_empty_maps_out_and_count_them() -> None:
    nan = np.nan
    maps = MapShares(
        shares={"border": np.array([0.2, 0.4, nan, 0.9])},
        areas={"border": np.array([0.3, 0.3, nan, 0.3])},
        empty=np.array([False, False, True, False]),
        grid=(4, 4),
    )
    chosen = np.array([True, True, True, False])
    found = summarize(maps, chosen, ["a", "b", "c", "d"], n_bootstrap=200, seed=0)
    assert (found.n, found.n_empty, found.border.n) == (3, 1, 2)
    assert found.border.value == pytest.approx(0.3)
    assert found.border.reference == pytest.approx(0.3)
    assert (found.border.low, found.border.high) == (0.2, 0.4)
    assert found.lungs is None
    none = summarize(maps, maps.empty, ["a", "b", "c", "d"], n_bootstrap=200, seed=0).border
    assert (none.value, none.low, none.n) == (None, None, 0)


def test_draws_depend_on_the_seed_alone(index: Index) -> None:
    records = index.select("train")
    predicted = ["COVID"] * len(records)  # every normal film is wrong
    draws = [draw_cases(index, records, predicted, per_class=3, seed=s) for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert [(case.label, case.drawn_as) for case in draws[0]] == (
        [("COVID", "right")] * 3 + [("Normal", "wrong")] * 3
    )


def test_where_a_map_is_zero_the_film_shows_untouched() -> None:
    film = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
    values = np.zeros((8, 8), np.float32)
    values[4:, 4:] = 1
    mixed = overlay(film, values)
    np.testing.assert_array_equal(mixed[:4], np.repeat(film[:4, :, None], 3, axis=2))
    assert np.ptp(mixed[4:, 4:].astype(int), axis=2).min() > 0


@pytest.mark.parametrize(("n_rows", "n_models"), [(1, 1), (3, 2)])
def test_the_sheet_grows_with_its_rows_and_models(
    tmp_path: Path, n_rows: int, n_models: int
) -> None:
    film, values = np.full((16, 16), 90, np.uint8), np.zeros((16, 16), np.float32)
    cell = Cell(film, values, "0.100: $No$rmal", NOTE_INK, "no positive evidence")
    rows = [Row("a $film", film, [cell] * n_models)] * n_rows
    save_cam_sheet(rows, ["m"] * n_models, target="COVID", about="", path=tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        width, height = image.size
    assert width == pytest.approx(110 * (1.5 + 2.1 * (1 + n_models)), abs=2)
    assert height == pytest.approx(110 * (1.2 + 2.6 * n_rows), abs=2)


def test_names_of_models_tell_them_apart() -> None:
    assert _names([Path("/w/classify/real")]) == ["real"]
    assert _names([Path("/v/classify/real"), Path("/w/classify/real")]) == ["v/real", "w/real"]
    assert _names([Path("/w/classify/real"), Path("/w/classify/other")]) == ["real", "other"]
