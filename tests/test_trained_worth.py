"""The worth of every arm in real images, from trained networks: `balancer ablate --worth`."""

import shutil
from pathlib import Path

import pytest

from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.errors import ConfigurationError
from balancer.stages import ablate, prepare
from balancer.workspace import Workspace
from support.planted_units import ablated, plant
from support.tiny_pipeline import config_for, metrics_of

pytestmark = pytest.mark.blank_pictures

STUDY = ("ablation.repeats=3", "ablation.arms=[real, oversample, held-back-real]")
WORTH = "ablation.worth=[0.25, 0.5]"
POINTS = ("real-images_share-0.25", "real-images_share-0.5", "real-images_share-all")


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("worth") / "work")
    config = config_for(data, *STUDY, WORTH)
    with workspace.lock():
        prepare.run(config, workspace)
        ablate.run(config, workspace)
    return workspace


def shown(workspace: Workspace, fold: str, slug: str) -> tuple[int, int]:
    """Real images of COVID that a run trained on, and all of its steps."""
    metrics = metrics_of(workspace.unit_dir(fold, 0, slug))
    images = metrics["training_images"]["COVID"]
    return images["real"] + images["added"], metrics["n_steps"]


def test_points_have_more_and_more_images_and_the_same_steps(answered: Workspace) -> None:
    for fold in ("split-0", "split-1", "split-2"):
        counts = [shown(answered, fold, slug) for slug in (*POINTS[:2], "real", POINTS[2])]
        sizes = [n for n, _ in counts]
        assert sizes == sorted(set(sizes))
        assert len({steps for _, steps in counts}) == 1
        records = load_index(answered.fold(fold).index_dir).records
        held = sum(one.split == "held-back" and one.label == "COVID" for one in records)
        assert sizes[3] - sizes[2] == held > 0


def test_the_worth_is_on_the_page_and_no_point_is_an_arm(answered: Workspace) -> None:
    metrics = metrics_of(answered.ablation_dir)
    assert set(metrics["arms"]) == {"real", "oversample", "held-back-real"}
    worth = metrics["worth"]
    assert worth["n_splits"] == 3
    assert set(worth["arms"]) == {"oversample", "held-back-real"}
    sizes = [point["n"] for point in worth["curve"]]
    assert sizes == sorted(sizes)
    assert len(sizes) == 4
    assert worth["reach"] - worth["base"] == worth["arms"]["held-back-real"]["truth"]
    page = (answered.report_dir / "report.md").read_text()
    assert "Worth in real images" in page
    assert (answered.report_dir / "worth.png").is_file()


def test_a_curve_can_be_asked_for_later_and_changes_no_claim(
    answered: Workspace, data: Path, tmp_path: Path
) -> None:
    with_worth = metrics_of(answered.ablation_dir)
    alone = Workspace(tmp_path / "work")
    shutil.copytree(answered.root, alone.root, symlinks=True)
    with alone.lock():
        ablate.run(config_for(data, *STUDY), alone)
    found = metrics_of(alone.ablation_dir)
    assert "worth" not in found
    assert found["verdict"] == with_worth["verdict"]
    assert found["registration"]["status"] == "confirmatory"
    with alone.lock():
        ablate.run(config_for(data, *STUDY, WORTH), alone)
    again = metrics_of(alone.ablation_dir)
    assert again["worth"] == with_worth["worth"]
    assert again["registration"]["status"] == "confirmatory"


@pytest.mark.parametrize(
    ("arms", "name"),
    [("[real, oversample]", "held-back-real"), ("[real-images share=0.5]", "real-images")],
)
def test_what_gives_no_curve_is_refused(tmp_path: Path, data: Path, arms: str, name: str) -> None:
    config: BalancerConfig = config_for(data, f"ablation.arms={arms}", WORTH)
    workspace = Workspace(tmp_path / "work")
    with workspace.lock():
        prepare.run(config, workspace)
        with pytest.raises(ConfigurationError, match=name):
            ablate.run(config, workspace)


@pytest.mark.parametrize("shares", ["[0.5, 0.5]", "[1.0]", "[0]"])
def test_shares_that_make_no_curve_are_refused(data: Path, shares: str) -> None:
    with pytest.raises(ConfigurationError, match="worth"):
        config_for(data, f"ablation.worth={shares}")


@pytest.mark.parametrize(
    ("first", "changes"),
    [
        ("[real, oversample, held-back-real]", ("classifier.epochs=2",)),
        ("[real, oversample]", ()),
    ],
)
def test_a_curve_of_a_changed_study_leaves_the_registered_answer(
    tmp_path: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: str,
    changes: tuple[str, ...],
) -> None:
    plant(monkeypatch, {})
    root = tmp_path / "work"
    done = ablated(data, root, settings=(f"ablation.arms={first}",))
    assert done.exit_code == 0, done.stderr
    before = metrics_of(root / "ablation")
    settings = ("ablation.arms=[real, oversample, held-back-real]", *changes)
    done = ablated(data, root, "--worth", "--force", settings=settings)
    assert done.exit_code == 0, done.stderr
    found = metrics_of(root / "ablation")
    assert found["registration"]["status"] == "exploratory"
    assert found["verdict"] == before["verdict"]
    assert found["failed"] == []
    assert "No worth in real images" in done.stderr
