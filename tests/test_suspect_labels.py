"""Planted wrong labels, as `balancer audit` ranks them."""

import csv
import shutil
import warnings

import numpy as np
import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.data.audit.content import read_audit
from balancer.quality.suspect_labels import out_of_fold_probabilities, rank_labels
from balancer.workspace import Workspace
from samples.phantom import draw_phantom
from support.radiograph_folders import save

FLIPPED = 3


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, set[str]]:
    """An audit of 48 drawn chests, of which three of each class lie in the folder of the other."""
    root = tmp_path_factory.mktemp("labels")
    for seed in range(48):
        label = "COVID" if seed < 24 else "Normal"
        film = draw_phantom(seed, covid=label == "COVID", size=64)
        film[16:48, 8:40] = 255 if label == "COVID" else 0  # told apart by every network
        save(root / "data" / label / f"{seed}.png", film)
    planted = set()
    for first, (one, other) in ((0, ("COVID", "Normal")), (24, ("Normal", "COVID"))):
        for seed in range(first, first + FLIPPED):
            shutil.move(root / "data" / one / f"{seed}.png", root / "data" / other)
            planted.add(f"{other}/{seed}.png")
    words = ["-w", str(root / "work"), "--data", str(root / "data")]
    for command in ("prepare", "audit"):
        done = CliRunner().invoke(main, [command, *words])
        assert done.exit_code == 0, done.output
    return Workspace(root / "work"), planted


def test_planted_flips_stand_first(audited: tuple[Workspace, set[str]]) -> None:
    workspace, planted = audited
    rows = list(csv.DictReader((workspace.audit_dir / "labels.csv").read_text().splitlines()))
    assert len(rows) == 48
    first = {row["path"] for row in rows[: len(planted)]}
    assert len(first & planted) >= len(planted) - 1  # by chance: fewer than one
    assert all(row["suspect"] == "yes" and row["likely"] != row["label"] for row in rows[:3])
    own = [float(row["p_label"]) for row in rows]
    assert own == sorted(own)


def test_suspects_are_a_finding_with_pictures(audited: tuple[Workspace, set[str]]) -> None:
    workspace, planted = audited
    (finding,) = (
        one for one in read_audit(workspace.audit_dir).findings if one.name == "suspect-labels"
    )
    assert not finding.counts
    shown = planted & {path for (path,) in finding.groups}
    assert len(shown) >= FLIPPED
    page = (workspace.audit_dir / "audit.html").read_text()
    assert all(path.rpartition("/")[2] in page for path in shown)


def test_no_image_is_predicted_from_its_group() -> None:
    """Groups of pairs with one random label: a model that saw the twin would know it."""
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(0, 1, (60, 200)), 2, axis=0).astype(np.float32)
    labels = np.repeat(rng.permutation(np.arange(60) % 2), 2)
    together = [str(number // 2) for number in range(120)]
    apart = [str(number) for number in range(120)]
    honest, leaking = (
        (out_of_fold_probabilities(features, labels, groups).argmax(1) == labels).mean()
        for groups in (together, apart)
    )
    assert honest < 0.65 < 0.75 < leaking


def test_a_class_of_one_group_is_not_ranked_and_missing_classes_have_no_warning() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(0, 1, (20, 4)).astype(np.float32), np.arange(20) % 2
    assert out_of_fold_probabilities(features, labels, ["a"] * 20) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = out_of_fold_probabilities(features, labels, [str(n) for n in range(20)])
    assert found.sum(1) == pytest.approx(1)


def test_a_suspect_reaches_the_threshold_of_another_class() -> None:
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.35, 0.65], [0.45, 0.55]])
    labels = np.array([0, 0, 1, 0, 0])
    ranked = rank_labels(probabilities, labels)
    # The mean of class 1 is 0.9: neither 0.65 nor 0.55 reaches it.
    assert [one.row for one in ranked[:2]] == [3, 4]
    assert not any(one.is_suspect for one in ranked)
    flipped = rank_labels(probabilities, np.array([0, 0, 1, 1, 0]))  # its mean is now 0.775
    assert not any(one.is_suspect for one in flipped)
    clear = rank_labels(np.vstack([probabilities, [0.05, 0.95]]), np.append(labels, 0))
    assert [one.row for one in clear if one.is_suspect] == [5]
