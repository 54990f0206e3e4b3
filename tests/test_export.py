"""Models for other programs: `balancer export`, on drawn chests."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from PIL import Image, ImageCms

import classifier
import gan
from balancer.cli import main
from balancer.data.io import decode_radiograph, resize_square
from balancer.sharing.recipe import SCRIPT as CLASSIFIER_SCRIPT
from classifier import ClassifierConfig, LoadedClassifier, onnx_export
from classifier.lite import SameConv2d
from classifier.metrics import predict_classes
from classifier.models import build
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


def test_a_network_that_no_file_can_hold_is_refused_in_a_sentence(
    workspace: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object, **options: object) -> None:
        raise RuntimeError("No operator of ONNX does this.")

    monkeypatch.setattr(onnx_export, "write_onnx", fails)
    before = tree(exported)
    done = export(workspace, "--force")
    assert done.exit_code == 4, done.output
    assert "No operator of ONNX" in done.stderr
    assert tree(exported) == before


@pytest.mark.parametrize("side", [8, 9])
def test_kernels_of_lite_networks_survive_the_export(tmp_path: Path, side: int) -> None:
    """onnxruntime loses the padding of a kernel of more than some thousand numbers."""
    network = SameConv2d(300, 300, 5, stride=2, groups=300).eval()
    images = torch.randn(2, 300, side, side, generator=torch.Generator().manual_seed(0))
    onnx_export.write_onnx(network, images, tmp_path / "m.onnx", "x", ["y"], {})
    (found,) = onnx_export.run_onnx(tmp_path / "m.onnx", {"x": images.numpy()})
    np.testing.assert_allclose(found, network(images).detach().numpy(), atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("channels", [1, 3])
def test_a_resize_that_rounds_otherwise_is_no_other_network(tmp_path: Path, channels: int) -> None:
    """Without Intel's library, OpenCV rounds a pixel in twenty to the neighbouring grey level."""
    config = ClassifierConfig(model="bam-cnn", input_size=25, weights="none", views=("plain",))
    network = build(config, 2, channels=channels).eval()
    with torch.no_grad():
        network.head[-1].weight.mul_(50)
    loaded = LoadedClassifier((network,), config, ("a", "b"), {}, "0" * 64)
    shape = (6, 16, 16) if channels == 1 else (6, 16, 16, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    is_used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        difference = classifier.export_onnx(loaded, tmp_path / "m.onnx", images)
    finally:
        cv2.ipp.setUseIPP(is_used)
    assert difference.same_pixels < 1e-4 < difference.resized


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


_RECORDER = """\
import numpy as np


class InferenceSession:
    def __init__(self, path):
        pass

    def run(self, names, inputs):
        np.save("seen.npy", inputs["images"])
        return np.ones((1, 1)), [0]
"""
"""Stands in for onnxruntime, and keeps what it is shown."""


def _profile_of_swapped_primaries() -> bytes:
    """A profile whose red is the blue of sRGB."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")


def _photograph(mode: str) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 4), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_script_reads_files_as_prepare_does(tmp_path: Path, mode: str) -> None:
    """Turned, with a palette, with a profile; what it cannot read alike it refuses."""
    turned = Image.Exif()
    turned[0x0112] = 6
    _photograph("RGB").save(tmp_path / "turned.png", exif=turned)
    _photograph("L").save(tmp_path / "grey.png", exif=turned)
    _photograph("RGB").quantize(7).save(tmp_path / "palette.png")
    _photograph("RGB").save(tmp_path / "profile.png", icc_profile=_profile_of_swapped_primaries())
    _photograph("RGBA").save(tmp_path / "clear.png")
    Image.fromarray(np.full((9, 9), 4000, np.uint16)).save(tmp_path / "deep.png")
    recipe = {"before": [], "mode": mode, "size": [16, 16], "class_names": ["a"]}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    (tmp_path / "onnxruntime.py").write_text(_RECORDER)
    for name, is_read in (
        *((name, True) for name in ("turned", "grey", "palette", "profile")),
        *((name, False) for name in ("clear", "deep")),
    ):
        path = tmp_path / f"{name}.png"
        words = [sys.executable, "-c", CLASSIFIER_SCRIPT, str(tmp_path), str(path)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (done.returncode == 0) == is_read, done.stderr
        if is_read:
            channels = {"L": 1, "RGB": 3}[mode]
            read = decode_radiograph(path.read_bytes(), path, channels=channels).as_read
            assert (np.load(tmp_path / "seen.npy")[0] == resize_square(read, 16)).all(), name
