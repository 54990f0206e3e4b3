"""Sources of synthetic images: the DCGAN, and any other that keeps the protocol."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.data.io import Pixels
from balancer.errors import DataError, IntegrityError
from balancer.manifest import SyntheticRecord, read_table
from balancer.stages import quality, synthesize
from balancer.synthetic import catalog
from balancer.synthetic.dcgan import UntrainedSource, load_dcgan
from balancer.synthetic.gates import load_synthetic
from balancer.synthetic.records import ClassLineage, TrainingIds
from balancer.synthetic.source import SyntheticSource, draw_resized
from balancer.workspace import Workspace
from support.tiny_gan import recipe
from support.tiny_pipeline import tree


class OutsideImages:
    """Images brought from outside: no weights, no seed, and nothing known of their origin."""

    name = "outside"
    image_size = 32
    fingerprint = "f" * 64
    checkpoint = None

    def __init__(self, training_ids: TrainingIds = "unknown", count: int = 10_000) -> None:
        self.lineage = ClassLineage(checkpoint=None, training_ids=training_ids)
        self._count = count

    def draw(self, start: int, count: int, device: object = "cpu") -> Iterator[tuple[int, Pixels]]:
        for number in range(start, min(start + count, self._count)):
            rng = np.random.default_rng(number)
            yield number, rng.integers(0, 256, (1, 32, 32), dtype=np.uint8)


def use(monkeypatch: pytest.MonkeyPatch, source: OutsideImages) -> None:
    monkeypatch.setattr(catalog, "SOURCES", [lambda *_: source])


def test_images_from_outside_need_neither_seed_nor_checkpoint(
    copied: Workspace, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, OutsideImages())
    config = config.model_copy(
        update={"synthesis": config.synthesis.model_copy(update={"screen": ()})}
    )
    result = synthesize.run(config, copied, force=True)
    records = load_synthetic(copied, load_index(copied.index_dir))
    assert len(records) == result.metrics.made
    assert {(r.source, r.seed, r.checkpoint) for r in records} == {("outside", None, None)}
    assert records == read_table(copied.synthetic_dir / "manifest.csv", SyntheticRecord)
    lineage = json.loads((copied.synthetic_dir / "lineage.json").read_text())
    assert lineage == {"COVID": {"checkpoint": None, "training_ids": "unknown"}}
    entry = quality.run(config, copied, force=True).metrics.classes["COVID"]
    assert entry.membership is None  # that of the generator, which did not draw them
    assert not (copied.quality_dir / "interpolation-COVID.png").exists()


def test_a_source_made_from_a_test_image_is_refused(
    copied: Workspace, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = load_index(copied.index_dir)
    seen = index.select("test", "COVID")[0].image_id
    use(monkeypatch, OutsideImages(training_ids=(seen,)))
    config = config.model_copy(
        update={"synthesis": config.synthesis.model_copy(update={"screen": ()})}
    )
    synthesize.run(config, copied, force=True)
    with pytest.raises(IntegrityError, match="1 image"):
        load_synthetic(copied, index)


def test_a_source_that_runs_dry_leaves_the_existing_images(
    copied: Workspace, config: BalancerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(copied.synthetic_dir)
    use(monkeypatch, OutsideImages(count=2))
    with pytest.raises(DataError):
        synthesize.run(config, copied, force=True)
    assert tree(copied.synthetic_dir) == before


@pytest.fixture(scope="module")
def index(finished: Workspace) -> Index:
    return load_index(finished.index_dir)


@pytest.fixture(scope="module", params=["trained", "untrained"])
def source(request: pytest.FixtureRequest, finished: Workspace, index: Index) -> SyntheticSource:
    if request.param == "trained":
        return load_dcgan("COVID", finished, index)
    return UntrainedSource(recipe(), seed=3)


def drawn(source: SyntheticSource, start: int, count: int) -> list[np.ndarray]:
    return [image for _, batch in source.draw(start, count) for image in batch]


def test_an_image_is_the_same_whenever_it_is_drawn(source: SyntheticSource) -> None:
    together = drawn(source, 0, 70)
    assert len(together) == 70
    assert together[0].shape == (source.image_size, source.image_size)
    assert np.array_equal(drawn(source, 66, 1)[0], together[66])
    assert not np.array_equal(together[0], together[1])
    assert np.array_equal(draw_resized(source, 3, source.image_size), np.stack(together[:3]))
    assert draw_resized(source, 3, 16).shape == (3, 16, 16)


def test_the_lineage_of_a_dcgan_is_its_training_images(finished: Workspace, index: Index) -> None:
    source = load_dcgan("COVID", finished, index)
    assert set(source.training_ids) == {r.image_id for r in index.select("train", "COVID")}
    assert source.fingerprint == source.checkpoint
    assert UntrainedSource(recipe(), seed=1).fingerprint != (
        UntrainedSource(recipe(), seed=2).fingerprint
    )


def test_a_manifest_with_half_an_origin_is_refused(tmp_path: Path, finished: Workspace) -> None:
    text = (finished.synthetic_dir / "manifest.csv").read_text()
    seed = text.splitlines()[1].split(",")[9]
    (tmp_path / "manifest.csv").write_text(text.replace(f",{seed},", ",x,", 1))
    with pytest.raises(IntegrityError, match="column seed"):
        read_table(tmp_path / "manifest.csv", SyntheticRecord)
