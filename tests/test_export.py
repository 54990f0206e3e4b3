"""Models for other programs: `balancer export`, on drawn chests."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

import classifier
import gan
from balancer.cli import main
from classifier import onnx_export
from classifier.metrics import predict_classes
from samples.phantom import write_samples
from support.tiny_pipeline import arguments, draw_folder, metrics_of, tree

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
pytest.importorskip("onnxscript", reason="needs the extra export")

DOCS = Path(__file__).parent.parent / "docs"
# Another size than the network's, several views and networks: all parts of the graph.
CHANGES = (
    *("classifier.image_size=40", "classifier.members=2"),
    "classifier.views=[plain,flip,zoom-in,turn-left]",
)


def balancer(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def export(workspace: Path, *words: str) -> Result:
    return balancer("export", "-w", str(workspace), "--json", *words)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("export")
    words = arguments(draw_folder(root / "data"), root / "w", *CHANGES)
    assert balancer("classify", *words).exit_code == 0
    assert balancer("gan-train", "--class", "COVID", *words).exit_code == 0
    return root / "w"


@pytest.fixture(scope="module")
def exported(workspace: Path) -> Path:
    done = export(workspace, "--licence", "mit")
    assert done.exit_code == 0, done.output
    return workspace / "export" / "classifier" / "real"


@pytest.fixture(scope="module")
def predictions(workspace: Path) -> list[dict[str, str]]:
    with (workspace / "classify" / "real" / "predictions.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_script_of_the_page_repeats_the_predictions_of_classify(
    workspace: Path, exported: Path, predictions: list[dict[str, str]], tmp_path: Path
) -> None:
    """From the files of the archive, by another program, to the same numbers and decisions."""
    (script,) = re.findall(r"```python\n(.*?)```", (DOCS / "export.md").read_text(), re.DOTALL)
    assert script.strip() in (exported / "README.md").read_text()
    (tmp_path / "predict.py").write_text(script)
    with (workspace / "index" / "index.csv").open(encoding="utf-8") as file:
        path_of = {row["image_id"]: row["path"] for row in csv.DictReader(file)}
    films = [str(workspace.parent / "data" / path_of[row["image_id"]]) for row in predictions]
    words = [sys.executable, str(tmp_path / "predict.py"), str(exported), *films]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert len(lines) == len(predictions) > 5
    for line, row in zip(lines, predictions, strict=True):
        _, predicted, scores = line.split(" ", 2)
        for name, score in json.loads(scores).items():
            assert score == pytest.approx(float(row[f"p:{name}"]), abs=1e-4)
        assert predicted == row["predicted"]


def test_the_file_says_how_it_is_used(exported: Path) -> None:
    recipe = json.loads((exported / "recipe.json").read_text())
    session = onnxruntime.InferenceSession(exported / "classifier.onnx")
    inside = json.loads(session.get_modelmeta().custom_metadata_map[recipe["metadata_key"]])
    assert inside | {"check": recipe["check"]} == recipe
    assert [one.name for one in session.get_inputs()] == [recipe["input"]]
    assert [one.name for one in session.get_outputs()] == recipe["outputs"]
    card = json.loads((exported / "classifier.json").read_text())
    assert (recipe["temperature"], recipe["members"]) == (card["temperature"], 2)
    assert recipe["threshold"] == metrics_of(exported.parents[2] / "classify" / "real")["threshold"]
    assert recipe["size"] == [40, 40]
    assert recipe["check"]["largest_difference"] <= recipe["check"]["tolerance"] == 1e-4
    assert not recipe["before"]
    # The weights can be used too, in our own library.
    loaded = classifier.load(exported)
    images = np.random.default_rng(0).integers(0, 256, (5, 40, 40), dtype=np.uint8)
    probabilities, predicted = session.run(None, {"images": images})
    wanted = classifier.predict(loaded, images)
    np.testing.assert_allclose(probabilities, wanted, atol=1e-4)
    positive = loaded.class_names.index(recipe["positive_class"])
    decided = predict_classes(wanted, positive=positive, threshold=recipe["threshold"])
    assert predicted.tolist() == decided.tolist()


def _head(card: str) -> dict[str, Any]:
    head: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return head


def test_the_card_is_filled_from_the_records(workspace: Path, exported: Path) -> None:
    card = (exported / "README.md").read_text()
    metrics = metrics_of(workspace / "classify" / "real")
    head = _head(card)
    assert head["license"] == "mit"
    (model,) = head["model-index"]
    (result,) = model["results"]
    found = {one["type"]: one["value"] for one in result["metrics"]}
    assert found["roc_auc"] == metrics["test"]["auroc"]["value"]
    assert found["recall"] == metrics["test"]["sensitivity"]["value"]
    low, high = (metrics["test"]["auroc"][end] for end in ("low", "high"))
    assert f"({low:.3f} to {high:.3f})" in card.replace("0.999", f"{high:.3f}")
    assert "Not tested on another hospital" in card
    for word in ("TODO", "[More Information Needed]", "None", "unknown", "{"):
        assert word not in card.partition("# ")[2].partition("## How to run it")[0], word
    assert str(workspace) not in card


def test_a_file_that_disagrees_with_torch_is_refused_and_nothing_is_written(
    workspace: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = onnx_export.run_onnx
    monkeypatch.setattr(onnx_export, "run_onnx", lambda *args: [run(*args)[0] + 2e-4, None])
    before = tree(exported)
    done = export(workspace, "--force", "--licence", "mit")
    assert done.exit_code == 4, done.output
    assert tree(exported) == before
    assert [path.name for path in exported.parent.iterdir()] == ["real"]


@pytest.mark.parametrize("package", ["onnxruntime", "onnxscript"])
def test_a_missing_package_names_the_extra(
    package: str, workspace: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    before = tree(exported)
    done = export(workspace, "--force")
    assert done.exit_code == 5, done.output
    assert "pip install 'balancer[export]'" in done.stderr
    assert tree(exported) == before


def test_a_generator_draws_the_same_images_elsewhere(workspace: Path) -> None:
    done = export(workspace, "--generator", "COVID")
    assert done.exit_code == 0, done.output
    folder = workspace / "export" / "generator" / "COVID"
    loaded = gan.load(workspace / "gan" / "COVID")
    copied = gan.load(folder)
    assert copied.metadata.training_ids == () != loaded.metadata.training_ids
    np.testing.assert_array_equal(gan.sample(copied, 3), gan.sample(loaded, 3))
    session = onnxruntime.InferenceSession(folder / "generator.onnx")
    latents = gan.sampling.block_of_latents(loaded.config.latent_dim, 0, 0).numpy()
    _, images = session.run(None, {"latents": latents[:5]})
    drawn = gan.sample(loaded, 5, seed=0)
    assert images.shape == drawn.shape
    assert np.abs(images.astype(int) - drawn).max() <= 1
    assert (images == drawn).mean() > 0.99
    card = (folder / "README.md").read_text()
    assert _head(card)["pipeline_tag"] == "unconditional-image-generation"
    assert "not measured" in card


def test_the_script_of_a_generators_card_runs(workspace: Path, tmp_path: Path) -> None:
    from balancer.sharing.generator_card import SCRIPT

    folder = workspace / "export" / "generator" / "COVID"
    if not folder.is_dir():
        assert export(workspace, "--generator", "COVID").exit_code == 0
    assert SCRIPT.strip() in (folder / "README.md").read_text()
    words = [sys.executable, "-c", SCRIPT, str(folder), "3", "7"]
    subprocess.run(words, check=True, cwd=tmp_path)
    assert len(list(tmp_path.glob("COVID-7-*.png"))) == 3


def test_what_cannot_be_exported_is_said(workspace: Path, tmp_path: Path) -> None:
    assert export(workspace, "--with-synthetic").exit_code == 2  # it was not trained
    assert export(workspace, "--generator", "Normal").exit_code == 2
    assert export(workspace, "--generator", "COVID", "--with-synthetic").exit_code == 2
    shutil.copytree(workspace, tmp_path / "w")
    weights = tmp_path / "w" / "classify" / "real" / "classifier.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert export(tmp_path / "w", "--force").exit_code == 4


def test_an_export_is_up_to_date_until_the_card_changes(workspace: Path, exported: Path) -> None:
    before = tree(exported)
    assert export(workspace, "--licence", "mit").exit_code == 0
    assert tree(exported) == before
    ledger = tree(workspace / "runs")
    elsewhere = workspace.parent / "elsewhere"
    write_samples(elsewhere, n_covid=8, n_normal=12, size=44, seed=99)
    assert balancer("evaluate", str(elsewhere), "-w", str(workspace)).exit_code == 0
    assert tree(workspace / "runs") != ledger
    ledger = tree(workspace / "runs")
    assert export(workspace).exit_code == 0
    card = (exported / "README.md").read_text()
    assert "license" not in _head(card)
    assert "Not tested on another hospital" not in card
    assert len(_head(card)["model-index"][0]["results"]) == 2
    assert tree(workspace / "runs") == ledger  # an export reads no test image
