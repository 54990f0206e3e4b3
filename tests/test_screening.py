"""The screen in `synthesize`: rejected images are replaced, kept apart and never trained on."""

from pathlib import Path

import numpy as np
import pytest

from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.manifest import SyntheticRecord, read_table
from balancer.quality.screen import Screen
from balancer.results import result_json
from balancer.stages import synthesize
from balancer.synthetic.gates import load_synthetic, load_with_rejects
from balancer.workspace import Workspace
from support.tiny_pipeline import config_for, metrics_of, tree


@pytest.fixture
def every_third_is_good(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A screen that knows images by their position: 0, 3, 6, ... pass."""
    sizes: list[int] = []

    def reasons(self: Screen, images: np.ndarray) -> list[str]:
        first = sum(sizes)
        sizes.append(len(images))
        numbers = range(first, first + len(images))
        return ["" if n % 3 == 0 else ("near-copy", "outlier")[n % 2] for n in numbers]

    monkeypatch.setattr(Screen, "reasons", reasons)
    return sizes


def made(workspace: Workspace) -> list[SyntheticRecord]:
    return read_table(workspace.synthetic_dir / "manifest.csv", SyntheticRecord)


def test_rejected_images_are_replaced_until_the_plan_is_met(
    copied: Workspace, config: BalancerConfig, every_third_is_good: list[int]
) -> None:
    result = synthesize.run(config, copied, force=True)
    wanted = next(row.to_make for row in result.metrics.plan if row.to_make)
    records = made(copied)
    assert [record.seed for record in records] == list(range(3 * wanted - 2))
    assert [record.accepted for record in records] == [n % 3 == 0 for n in range(len(records))]
    assert sum(record.accepted for record in records) == wanted
    screening = result.metrics.screening["COVID"]
    assert screening.made == len(records)
    assert screening.keep_rate == pytest.approx(wanted / len(records))
    assert sum(screening.rejected.values()) == len(records) - wanted
    assert set(screening.rejected) == {"near-copy", "outlier"}
    shown = " ".join(str(part) for part in synthesize.summary(result))
    assert f"{wanted} of {len(records)} images made were accepted" in shown
    for record in records:
        assert (record.reason == "") == record.accepted
        assert record.path.startswith("COVID/" if record.accepted else "rejected/COVID/")
        assert (copied.synthetic_dir / record.path).is_file()


def test_only_accepted_images_reach_training(
    copied: Workspace, config: BalancerConfig, every_third_is_good: list[int]
) -> None:
    synthesize.run(config, copied, force=True)
    index = load_index(copied.index_dir)
    accepted, everything = load_synthetic(copied, index), load_with_rejects(copied, index)
    assert len(accepted) < len(everything)
    assert {record.image_id for record in accepted} == {
        record.image_id for record in everything if record.accepted
    }


def test_a_changed_rejected_image_is_noticed(
    copied: Workspace, config: BalancerConfig, every_third_is_good: list[int]
) -> None:
    synthesize.run(config, copied, force=True)
    rejected = next((copied.synthetic_dir / "rejected").rglob("*.png"))
    rejected.write_bytes(rejected.read_bytes()[:-1])
    with pytest.raises(IntegrityError):
        load_synthetic(copied, load_index(copied.index_dir))
    rejected.unlink()
    with pytest.raises(IntegrityError):
        load_synthetic(copied, load_index(copied.index_dir))


def test_a_rejected_image_moved_among_the_others_is_noticed(
    copied: Workspace, config: BalancerConfig, every_third_is_good: list[int]
) -> None:
    synthesize.run(config, copied, force=True)
    rejected = next((copied.synthetic_dir / "rejected").rglob("*.png"))
    rejected.rename(copied.synthetic_dir / "COVID" / rejected.name)
    with pytest.raises(IntegrityError, match=r"manifest\.csv"):
        load_synthetic(copied, load_index(copied.index_dir))


def test_a_plan_that_cannot_be_met_says_why_and_leaves_the_existing_images(
    copied: Workspace, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(copied.synthetic_dir)
    monkeypatch.setattr(Screen, "reasons", lambda self, images: ["near-copy"] * len(images))
    with pytest.raises(DataError, match=r"\(near-copy \d+\).*synthesis\.screen"):
        synthesize.run(config, copied, force=True)
    assert tree(copied.synthetic_dir) == before


def test_without_a_screen_every_image_is_taken(copied: Workspace, data: Path) -> None:
    config = config_for(data, "synthesis.screen=[]", "gate.near_copy_correlation=0.01")
    result = synthesize.run(config, copied, force=True)
    assert all(record.accepted for record in made(copied))
    assert not (copied.synthetic_dir / "rejected").exists()
    # A limit of a reason that is not used changes nothing.
    again = synthesize.run(config_for(data, "synthesis.screen=[]"), copied)
    assert again.metrics == result.metrics


def test_another_limit_is_another_set_of_images(copied: Workspace, data: Path) -> None:
    strict = config_for(data, "gate.near_copy_correlation=0.5")
    with pytest.raises(ConfigurationError):
        synthesize.run(strict, copied)
    other_reason = config_for(
        data, "gate.outlier_distance=9"
    )  # a reason that this recipe does not use
    assert result_json(synthesize.run(other_reason, copied))["metrics"] == metrics_of(
        copied.synthetic_dir
    )


def test_images_do_not_depend_on_the_screen(
    copied: Workspace, data: Path, every_third_is_good: list[int]
) -> None:
    synthesize.run(config_for(data), copied, force=True)
    screened = {record.seed: record.image_id for record in made(copied)}
    synthesize.run(config_for(data, "synthesis.screen=[]"), copied, force=True)
    for record in made(copied):
        assert screened[record.seed] == record.image_id
