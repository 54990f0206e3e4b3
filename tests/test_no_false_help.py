"""Whole runs of what cannot help never say that it helps."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.data.io import Pixels
from balancer.synthetic import catalog
from balancer.synthetic.records import ClassLineage
from balancer.workspace import Workspace
from support.tiny_pipeline import arguments, draw_folder

pytestmark = pytest.mark.blank_pictures
REPEATS = "ablation.repeats=2"


class NoiseSource:
    """A generator that learned nothing from the training images that it was given."""

    name = "noise"
    image_size = 32
    fingerprint = "f" * 64
    checkpoint = None

    def __init__(
        self, label: str, config: BalancerConfig, workspace: Workspace, index: Index
    ) -> None:
        seen = tuple(one.image_id for one in index.select("train", label))
        self.lineage = ClassLineage(checkpoint=None, training_ids=seen)

    def draw(self, start: int, count: int, device: object = "cpu") -> Iterator[tuple[int, Pixels]]:
        for number in range(start, start + count):
            random = np.random.default_rng(number)
            yield number, random.integers(0, 256, (1, 32, 32), dtype=np.uint8)


def _command(*words: str) -> None:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == 0, done.stderr


def _words_of_study(first: str, data: Path, workspace: Path, *arms: str) -> list[str | None]:
    """Run a command and a study; return the words of the study and of its arms."""
    words = arguments(data, workspace, REPEATS, f"ablation.arms=[real, {', '.join(arms)}]")
    _command(first, *words)
    _command("ablate", *words)
    study = json.loads((workspace / "report" / "report.json").read_text())["verdict"]
    result = json.loads((workspace / "ablation" / "result.json").read_text())["metrics"]
    found = [(one["verdict"] or {}).get("word") for one in result["arms"].values()]
    assert {"inconclusive", "equivalent", "hurts", "confounded", "helps"} & {*found}
    return [study["word"], *found]


@pytest.mark.fault(32)
def test_a_generator_of_noise_never_helps(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
) -> None:
    """The pipeline ends, and says of noise by the name of the rare class what it is."""
    monkeypatch.setattr(catalog, "SOURCES", (NoiseSource,))
    words = _words_of_study("run", data, tmp_path / "work", "gan")
    manifest = (tmp_path / "work" / "synthetic" / "manifest.csv").read_text()
    assert ",noise," in manifest  # the source was used
    assert "helps" not in words
    quality = json.loads((tmp_path / "work" / "quality" / "result.json").read_text())["metrics"]
    assert not quality["classes"]["COVID"]["gate"]["passed"]


@pytest.mark.fault(61)
def test_permuted_labels_never_help(tmp_path: Path, one_thread: None) -> None:
    """Images that were dealt to the classes at random, through the whole pipeline."""
    data = draw_folder(tmp_path / "films")
    files = sorted(data.glob("*/*.png"))
    contents = [path.read_bytes() for path in files]
    Random(0).shuffle(contents)
    for path, content in zip(files, contents, strict=True):
        path.write_bytes(content)
    words = _words_of_study("classify", data, tmp_path / "work", "oversample")
    assert "helps" not in words
    result = json.loads((tmp_path / "work" / "classify" / "real" / "result.json").read_text())
    auroc = result["metrics"]["test"]["auroc"]
    assert auroc["low"] <= 0.5 <= auroc["high"]
