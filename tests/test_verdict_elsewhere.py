"""A verdict on the images of another data set: all trainings are tested on the same cases."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from balancer.config import BalancerConfig
from balancer.errors import ConfigurationError
from balancer.stages import ablate, prepare
from balancer.statistics.resampled_t import resampled_t, t_on_shared_cases
from balancer.workspace import Workspace
from samples.phantom import write_samples
from support.registered_study import entries
from support.tiny_pipeline import config_for, metrics_of

pytestmark = pytest.mark.blank_pictures

RATIO = 0.176
STUDY = (
    "ablation.repeats=2",
    "ablation.arms=[real, oversample, held-back-real]",
    "ablation.verdict_on=elsewhere",
)


def planted(
    rng: np.random.Generator, k: int, n: int, *, trainings: float, cases: float, own: float
) -> tuple[np.ndarray, np.ndarray]:
    """Differences of k trainings on the same n cases, and of resamples of these; none is true."""
    rho = RATIO / (1 + RATIO)
    of_training = trainings * (rng.normal() * np.sqrt(rho) + rng.normal(size=k) * np.sqrt(1 - rho))
    of_case = cases * rng.normal(size=n) + own * rng.normal(size=(k, n)) + of_training[:, None]
    weights = rng.multinomial(n, np.full(n, 1 / n), size=200) / n
    return of_case.mean(1), of_case @ weights.T


@pytest.mark.parametrize(
    "parts",
    [
        {"trainings": 0.2, "cases": 0.0, "own": 0.5},
        {"trainings": 0.0, "cases": 1.0, "own": 0.5},
        {"trainings": 0.1, "cases": 1.0, "own": 0.5},
        {"trainings": 0.1, "cases": 1.0, "own": 1.0},
    ],
)
@pytest.mark.parametrize(("k", "n"), [(3, 60), (5, 60), (10, 200)])
def test_without_a_difference_5_percent_claim_one(k: int, n: int, parts: dict[str, float]) -> None:
    rng = np.random.default_rng(k)
    claims = covered = 0
    for _ in range(400):
        found = t_on_shared_cases(*planted(rng, k, n, **parts), RATIO)
        low, high = found.interval() or (np.nan, np.nan)
        claims += (found.p_greater() or 0.0) <= 0.05
        covered += low <= 0 <= high
    assert claims / 400 <= 0.085
    assert covered / 400 >= 0.915


def test_trainings_alone_as_the_unit_would_claim_too_much() -> None:
    rng = np.random.default_rng(0)
    claims = 0
    for _ in range(400):
        values, _ = planted(rng, 5, 60, trainings=0.0, cases=1.0, own=0.5)
        claims += (resampled_t(values, RATIO).p_greater() or 0.0) <= 0.05
    assert claims / 400 > 0.2


def test_without_variance_of_cases_it_is_the_resampled_t() -> None:
    values = np.array([0.01, 0.03, 0.02, 0.05])
    same = t_on_shared_cases(values, np.repeat(values[:, None], 50, axis=1), RATIO)
    plain = resampled_t(values, RATIO)
    assert (same.mean, same.k) == (plain.mean, plain.k)
    assert same.se == pytest.approx(plain.se)
    assert same.df == pytest.approx(plain.df)


def test_one_training_has_no_interval() -> None:
    found = t_on_shared_cases(np.array([0.02]), np.zeros((1, 10)), RATIO)
    assert found.interval() is None


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "elsewhere"
    write_samples(folder, n_covid=12, n_normal=14, size=44, seed=99)
    return folder


@pytest.fixture(scope="module")
def answered(
    tmp_path_factory: pytest.TempPathFactory, data: Path, elsewhere: Path
) -> tuple[Workspace, BalancerConfig]:
    workspace, config = (
        Workspace(tmp_path_factory.mktemp("study") / "work"),
        config_for(data, *STUDY),
    )
    with workspace.lock():
        prepare.run(config, workspace)
        ablate.run(config, workspace, external=[elsewhere])
    return workspace, config


def test_the_verdict_is_on_the_other_images(answered: tuple[Workspace, BalancerConfig]) -> None:
    metrics = metrics_of(answered[0].ablation_dir)
    asked = metrics["question"]
    assert (asked["verdict_on"], asked["verdict_images"]) == ("elsewhere", 26)
    assert "26 images of elsewhere" in metrics["verdict"]["sentence"]
    for name, arm in metrics["arms"].items():
        there, home = metrics["external"]["elsewhere"]["arms"][name], metrics["home"][name]
        assert arm["metrics"]["auroc"]["value"] == pytest.approx(there["metrics"]["auroc"]["value"])
        folder = answered[0].unit_dir("split-0", 0, name)
        assert folder.is_dir()
        assert home["n_runs"] == 2
    registered = entries(answered[0].root)[0]["question"]
    assert registered["verdict_on"] == "elsewhere"
    assert len(registered["verdict_images"]) == 64
    assert metrics["registration"]["status"] == "confirmatory"
    page = (answered[0].report_dir / "report.md").read_text()
    assert "At home, on the test splits" in page


def test_it_cannot_be_moved_after_the_look(
    answered: tuple[Workspace, BalancerConfig], data: Path, elsewhere: Path, tmp_path: Path
) -> None:
    shutil.copytree(answered[0].root, tmp_path / "work", symlinks=True)
    workspace = Workspace(tmp_path / "work")
    before = metrics_of(workspace.ablation_dir)["verdict"]
    with workspace.lock():
        ablate.run(config_for(data, *STUDY[:2]), workspace, external=[elsewhere])
    metrics = metrics_of(workspace.ablation_dir)
    assert metrics["registration"]["status"] == "exploratory"
    assert "verdict_on elsewhere -> None" in metrics["registration"]["label"]
    assert metrics["verdict"] == before


def test_other_images_of_that_name_are_a_change(
    answered: tuple[Workspace, BalancerConfig], tmp_path: Path
) -> None:
    shutil.copytree(answered[0].root, tmp_path / "work", symlinks=True)
    workspace = Workspace(tmp_path / "work")
    write_samples(tmp_path / "elsewhere", n_covid=9, n_normal=9, size=44, seed=77)
    with workspace.lock():
        ablate.run(answered[1], workspace, external=[tmp_path / "elsewhere"])
    label = metrics_of(workspace.ablation_dir)["registration"]["label"]
    assert label.startswith("EXPLORATORY: verdict_images")


def test_the_folder_has_to_be_given(answered: tuple[Workspace, BalancerConfig]) -> None:
    workspace, config = answered
    with workspace.lock(), pytest.raises(ConfigurationError, match="elsewhere"):
        ablate.run(config, workspace)


def test_planned_looks_are_for_test_splits(data: Path) -> None:
    with pytest.raises(ConfigurationError, match="verdict_on"):
        config_for(data, *STUDY, "ablation.looks=[5, 10]", "ablation.repeats=5")
