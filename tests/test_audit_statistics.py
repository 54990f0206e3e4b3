from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from balancer.data.audit.statistics_by_class import STATISTICS, auroc
from balancer.stages import prepare
from support.radiograph_folders import audit_of, class_folders, configured, film, in_workspace, save


def test_auroc_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        positive, negative = rng.integers(0, 6, rng.integers(1, 9)), rng.integers(0, 6, 7)
        labels = [1] * len(positive) + [0] * len(negative)
        theirs = roc_auc_score(labels, np.concatenate([positive, negative]))
        ours = auroc(positive.astype(float), negative.astype(float))
        assert ours == pytest.approx(theirs, abs=1e-4)
    assert auroc(np.array([]), np.array([1.0])) is None


def test_size_that_gives_the_class_away_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = class_folders(tmp_path / "data", {"Normal": 20})
    for number in range(15):
        save(root / "COVID" / f"{number}.png", film(100 + number, 60))
    prepare.run(configured(root), in_workspace(tmp_path))
    audit = audit_of(in_workspace(tmp_path))
    given = {(one["statistic"], one["class"]) for one in audit["statistics"]["gives_away"]}
    assert ("width", "COVID") in given
    assert audit["statistics"]["table"]["width"]["classes"]["COVID"] == {
        "median": 60,
        "auroc": 1.0,
    }
    assert audit["statistics"]["strongest"]["strength"] == 1.0
    # With two classes, a statistic separates both equally.
    titles = [one["title"] for one in audit["findings"]]
    assert [title for title in titles if title.startswith("The width")] == [
        "The width in pixels gives COVID away"
    ]
    assert "alone tells COVID from the rest with an AUROC of 1.00" in caplog.text


def test_equal_classes_give_nothing_away(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"COVID": 30, "Normal": 30})
    prepare.run(configured(root), in_workspace(tmp_path))
    found = audit_of(in_workspace(tmp_path))["statistics"]
    assert found["gives_away"] == []
    assert set(found["table"]) == {statistic.name for statistic in STATISTICS}
    assert found["table"]["width"]["classes"]["COVID"]["auroc"] == 0.5
