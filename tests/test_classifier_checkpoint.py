import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import classifier
from classifier.checkpoint import CARD, WEIGHTS, ClassifierCheckpointError, save_classifier
from classifier.config import ClassifierConfig
from classifier.models import build
from classifier.tables import ArrayTable

CONFIG = ClassifierConfig(model="bam-cnn", input_size=32)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = build(CONFIG, 2)
    save_classifier(
        tmp_path / "made" / "here",
        [network],
        CONFIG,
        class_names=["covid", "normal"],
        provenance={"split": "abc"},
        temperature=1.5,
    )
    return tmp_path / "made" / "here"


def rewrite(directory: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Replace the weights and let the card vouch for them."""
    save_file(tensors, directory / WEIGHTS)
    change(directory, weights_sha256=hashlib.sha256((directory / WEIGHTS).read_bytes()).hexdigest())


def change(directory: Path, **values: object) -> None:
    card = json.loads((directory / CARD).read_text())
    (directory / CARD).write_text(json.dumps({**card, **values}))


def test_what_was_saved_comes_back(saved: Path) -> None:
    loaded = classifier.load(saved)
    torch.manual_seed(0)
    original = build(CONFIG, 2).eval()
    images = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    assert torch.equal(loaded.network(images), original(images))
    assert loaded.config == CONFIG
    assert loaded.class_names == ("covid", "normal")
    assert loaded.provenance == {"split": "abc"}
    assert loaded.temperature == 1.5
    assert not loaded.network.training
    assert sorted(path.name for path in saved.iterdir()) == [CARD, WEIGHTS]


def test_a_card_from_before_a_setting_was_there_has_its_default(saved: Path) -> None:
    config = json.loads((saved / CARD).read_text())["config"]
    for name in ("loss", "focal_gamma", "logit_adjustment_tau", "batches", "mixup_alpha"):
        del config[name]
    change(saved, config=config)
    assert classifier.load(saved).config == CONFIG


def test_a_checkpoint_needs_no_file_of_first_weights(saved: Path) -> None:
    config = ClassifierConfig(model="torchvision:squeezenet1_1", input_size=32)
    network = build(config, 2)
    stated = config.model_copy(update={"weights": "/gone.pth"})
    save_classifier(saved, [network], stated, class_names=["a", "b"], provenance={})
    assert classifier.load(saved).config.weights == "/gone.pth"


def test_predictions_are_probabilities_in_order_whatever_the_batch(saved: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (70, 16, 16), dtype=np.uint8)  # more than one batch, resized
    loaded = classifier.load(saved)
    found = classifier.predict(loaded, ArrayTable.of(images, np.zeros(70, np.int64)))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-12)
    last = classifier.predict(loaded, ArrayTable.of(images[69:], np.zeros(1, np.int64)))
    np.testing.assert_allclose(found[69:], last, atol=1e-6)


@pytest.mark.parametrize("name", [CARD, WEIGHTS])
@pytest.mark.parametrize("fault", ["missing", "empty", "truncated", "flipped"])
def test_a_damaged_file_is_refused(saved: Path, name: str, fault: str) -> None:
    path = saved / name
    content = path.read_bytes()
    middle = len(content) // 2
    if fault == "missing":
        path.unlink()
    else:
        flipped = content[:middle] + bytes([content[middle] ^ 0x80]) + content[middle + 1 :]
        path.write_bytes({"empty": b"", "truncated": content[:middle], "flipped": flipped}[fault])
    with pytest.raises(ClassifierCheckpointError, match=name):
        classifier.load(saved)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "generator"}, CARD),
        ({"format": 1}, CARD),
        ({"class_names": ["only"]}, "only"),
        ({"class_names": ["a", 1]}, CARD),
        ({"class_names": None}, "class_names"),
        ({"class_names": ["a", "b", "c"]}, r"0\.head\.1"),
        ({"config": {"model": "bam-cnn", "colour": 1}}, "colour"),
        ({"config": {"model": "nothing"}}, "classifier.model"),
        ({"preprocessing": {"input_size": 31}}, "preprocessing"),
        ({"weights_sha256": "0" * 64}, WEIGHTS),
        ({"provenance": []}, "provenance"),
        ({"class_names": ["a", "a"]}, CARD),
        ({"members": True}, "members"),
        ({"members": 0}, "members"),
        ({"members": 2}, r"tensor 1\."),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": 1}, "temperature"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(saved: Path, values: dict, message: str) -> None:
    change(saved, **values)
    with pytest.raises(ClassifierCheckpointError, match=message):
        classifier.load(saved)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"classifier"', "{"])
def test_a_card_of_other_json_is_refused(saved: Path, text: str) -> None:
    (saved / CARD).write_text(text)
    with pytest.raises(ClassifierCheckpointError, match=CARD):
        classifier.load(saved)


@pytest.mark.parametrize("fault", ["nan", "infinite", "lacks", "foreign", "shape", "dtype"])
def test_weights_that_do_not_fit_are_refused(saved: Path, fault: str) -> None:
    tensors = load_file(saved / WEIGHTS)
    bias = tensors["0.head.1.bias"]
    if fault == "lacks":
        del tensors["0.head.1.bias"]
    elif fault == "foreign":
        tensors["head.2.bias"] = bias.clone()
    else:
        tensors["0.head.1.bias"] = {
            "nan": torch.full_like(bias, float("nan")),
            "infinite": torch.full_like(bias, float("inf")),
            "shape": torch.zeros(5),
            "dtype": bias.double(),
        }[fault]
    rewrite(saved, tensors)
    with pytest.raises(ClassifierCheckpointError, match=r"head\.[12]\.bias"):
        classifier.load(saved)


def test_no_safetensors_at_all(saved: Path) -> None:
    (saved / WEIGHTS).write_bytes(b"PK something else")
    change(saved, weights_sha256=hashlib.sha256(b"PK something else").hexdigest())
    with pytest.raises(ClassifierCheckpointError, match="safetensors"):
        classifier.load(saved)
