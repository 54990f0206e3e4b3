import csv
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.metrics import roc_auc_score

from balancer.cli import main
from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.evaluation.classifier_recipe import complete_recipe
from balancer.evaluation.predictions import read_predictions
from balancer.evaluation.records import ClassifyMetrics, EvaluateMetrics
from balancer.manifest import fingerprint
from balancer.report.elsewhere import evaluations, known_elsewhere
from balancer.results import MissingStage, read_result
from balancer.stages import classify, evaluate, lr_find, prepare
from balancer.stages import run as everything
from balancer.workspace import Workspace
from samples.phantom import write_samples
from support.tiny_pipeline import arguments, metrics_of

pytestmark = pytest.mark.blank_pictures


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Other drawn patients, and two films of the index among them."""
    folder = tmp_path / "elsewhere"
    write_samples(folder, n_covid=6, n_normal=10, size=40, seed=7)
    return folder


def test_the_finished_classifier_is_tested_as_it_is(
    copied: Workspace, config: BalancerConfig, data: Path, elsewhere: Path
) -> None:
    known = sorted((data / "COVID").glob("*.png"))[0]
    shutil.copy(known, elsewhere / "COVID" / "known.png")
    trained = metrics_of(copied.classify_dir("real"))
    result = evaluate.run(config, copied, images=elsewhere)
    assert result.metrics.threshold == trained["threshold"]
    assert result.metrics.test.n == 16
    assert sum(result.metrics.external.dropped.values()) == 1
    found = read_predictions(next(copied.root.glob("evaluate/elsewhere-*/real/predictions.csv")))
    assert len(found.labels) == 16
    assert not set(found.image_ids) & {r.image_id for r in load_index(copied.index_dir).records}
    assert evaluate.run(config, copied, images=elsewhere) == result
    shown, *_ = evaluate.summary(result)
    assert "; 1 more" in str(shown)
    both = evaluate.run(config, copied, images=elsewhere, with_synthetic=True)
    assert both.metrics.arm == "real+synthetic"


def test_images_that_are_no_radiographs_are_named_and_the_score_is_given_without_them(
    copied: Workspace, data: Path, elsewhere: Path
) -> None:
    rng = np.random.default_rng(0)
    for number in range(3):
        noise = Image.fromarray(rng.integers(0, 256, (40, 40), dtype=np.uint8))
        noise.save(elsewhere / "COVID" / f"noise-{number}.png")
    words = arguments(data, copied.root)
    done = CliRunner().invoke(main, ["evaluate", str(elsewhere), *words])
    assert done.exit_code == 0
    assert evaluate.UNLIKE in done.output
    (folder,) = copied.root.glob("evaluate/elsewhere-*/real")
    with (folder / evaluate.UNLIKE).open(encoding="utf-8", newline="") as file:
        named = list(csv.DictReader(file))
    assert {row["path"] for row in named[:3]} == {f"COVID/noise-{n}.png" for n in range(3)}
    result = read_result(folder, EvaluateMetrics)
    assert result is not None
    assert result.metrics.test.n == 19  # they are tested too
    unlike = result.metrics.unlike
    assert unlike is not None
    counts = Counter(row["label"] for row in named)
    assert unlike.classes == {label: counts[label] for label in ("COVID", "Normal")}
    far = {fingerprint((elsewhere / row["path"]).read_bytes()) for row in named}
    found = read_predictions(folder / "predictions.csv")
    others = [row for row, image_id in enumerate(found.image_ids) if image_id not in far]
    expected = roc_auc_score(found.labels[others] == 0, found.probabilities[others, 0])
    assert unlike.auroc.value == pytest.approx(expected, abs=1e-6)
    assert f"({unlike.n} of 19 " in known_elsewhere(None, evaluations(copied), None)


def test_the_test_images_of_the_index_are_no_other_data(
    copied: Workspace, config: BalancerConfig, data: Path
) -> None:
    with pytest.raises(DataError, match=data.name):
        evaluate.run(config, copied, images=data)


def test_there_has_to_be_a_classifier_of_this_split(
    copied: Workspace, config: BalancerConfig, elsewhere: Path
) -> None:
    path = copied.classify_dir("real") / "result.json"
    text = path.read_text()
    path.write_text(text.replace(load_index(copied.index_dir).index_hash, "0" * 64))
    with pytest.raises(IntegrityError, match=r"index\.csv"):
        evaluate.run(config, copied, images=elsewhere)
    shutil.rmtree(copied.classify_dir("real"))
    with pytest.raises(MissingStage, match="balancer classify"):
        evaluate.run(config, copied, images=elsewhere)


def test_sizes_follow_the_network_or_the_generator() -> None:
    default = BalancerConfig()
    alone = complete_recipe(default, beside_generated=False).classifier
    assert (alone.image_size, alone.input_size) == (224, 224)
    beside = complete_recipe(default, beside_generated=True).classifier
    assert (beside.image_size, beside.input_size) == (64, 128)
    asked = BalancerConfig.model_validate({"classifier": {"input_size": 96}})
    assert complete_recipe(asked, beside_generated=False).classifier.image_size == 96
    read = BalancerConfig.model_validate({"classifier": {"image_size": 40}})
    assert complete_recipe(read, beside_generated=False).classifier.input_size == 80


def test_a_classifier_without_generated_images_beside_it_reads_them_sharp(
    tmp_path: Path, config: BalancerConfig
) -> None:
    recipe = config.classifier.model_copy(update={"input_size": None})
    config = config.model_copy(update={"classifier": recipe})
    workspace = Workspace(tmp_path / "fresh")
    prepare.run(config, workspace)
    alone = classify.run(config, workspace)
    assert alone.settings["image_size"] == 64  # that of bam-cnn; the generator's is 32
    (workspace.root / "gan" / "COVID").mkdir(parents=True)
    beside = classify.run(config, workspace, force=True)
    assert beside.settings["image_size"] == 32


def test_the_rate_search_suggests_a_rate_and_draws_it(
    tmp_path: Path, config: BalancerConfig
) -> None:
    workspace = Workspace(tmp_path / "fresh")
    prepare.run(config, workspace)
    result = lr_find.run(config, workspace)
    rates = np.array(result.metrics.rates)
    assert rates[0] < 1e-6
    factors = np.diff(np.log(rates))[1:]  # Lightning skips a step at the beginning
    assert np.allclose(factors, factors[0])
    assert factors[0] > 0
    assert result.metrics.suggestion is not None
    assert rates[0] < result.metrics.suggestion < rates[-1]
    assert (workspace.lr_find_dir / "lr-find.png").read_bytes().startswith(b"\x89PNG")
    assert "--set classifier.learning_rate" in str(lr_find.summary(result)[0])


def test_a_classifier_trained_for_use_alone_is_trained_again_for_the_comparison(
    copied: Workspace, config: BalancerConfig
) -> None:
    recipe = config.classifier.model_copy(update={"input_size": None})
    config = config.model_copy(update={"classifier": recipe})
    hidden = copied.root / "hidden"
    hidden.mkdir()
    for name in ("gan", "synthetic"):
        shutil.move(copied.root / name, hidden / name)
    shutil.rmtree(copied.classify_dir("real+synthetic"))
    assert classify.run(config, copied, force=True).settings["image_size"] == 64
    for name in ("gan", "synthetic"):
        shutil.move(hidden / name, copied.root / name)
    everything.run(config, copied)
    real = read_result(copied.classify_dir("real"), ClassifyMetrics)
    assert real is not None
    assert (real.setting("image_size"), real.setting("classifier.members")) == (32, 1)


def test_patience_is_refused_where_classifiers_are_compared(
    tmp_path: Path, config: BalancerConfig
) -> None:
    recipe = config.classifier.model_copy(update={"patience": 3})
    with pytest.raises(ConfigurationError, match=r"classifier\.patience"):
        everything.run(config.model_copy(update={"classifier": recipe}), Workspace(tmp_path / "w"))


def test_a_folder_that_is_none_is_named(copied: Workspace, config: BalancerConfig) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        evaluate.run(config, copied, images=copied.root / "nowhere")
