from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from classifier.checkpoint import save_classifier
from classifier.config import ClassifierConfig
from classifier.models import ModelError, build

GREY = torch.randint(0, 256, (2, 1, 64, 64), generator=torch.Generator().manual_seed(0)).float()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fixture: caches of torch.hub and huggingface_hub in a temporary folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("name", ["squeezenet1_1", "torchvision:squeezenet1_1"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_of_imagenet_weights_is_adapted_to_grey_and_its_head_dropped(
    tmp_path: Path, suffix: str, name: str
) -> None:
    original = torchvision.models.squeezenet1_1(weights=None).eval()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(original.state_dict(), path)
    else:
        save_file(original.state_dict(), path)
    model = build(ClassifierConfig(model=name, weights=str(path), input_size=64), 2).eval()
    recipe = model.preprocessing
    normal = ((GREY - recipe.mean) / recipe.std).expand(-1, 3, -1, -1)
    expected = original.features(normal).mean((2, 3))
    assert model.pretrained
    torch.testing.assert_close(model.features(GREY), expected, rtol=1e-3, atol=1e-4)


def test_timm_weights_from_a_file(tmp_path: Path) -> None:
    original = timm.create_model("mobilenetv3_small_050", num_classes=7).eval()
    torch.save({"state_dict": original.state_dict()}, tmp_path / "weights.pth")
    config = ClassifierConfig(
        model="timm:mobilenetv3_small_050", weights=str(tmp_path / "weights.pth"), input_size=64
    )
    model = build(config, 2).eval()
    normal = (GREY - model.preprocessing.mean) / model.preprocessing.std
    original.reset_classifier(0)
    expected = original(normal.expand(-1, 3, -1, -1))
    torch.testing.assert_close(model.features(GREY), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121", "googlenet"])
def test_networks_compute_what_the_librarys_do(tmp_path: Path, name: str) -> None:
    options = {"init_weights": False} if name == "googlenet" else {}
    original = torchvision.models.get_model(name, weights=None, **options).eval()
    path = tmp_path / "weights.pth"
    torch.save(original.state_dict(), path)  # googlenet's holds auxiliary heads
    config = ClassifierConfig(model=f"torchvision:{name}", weights=str(path), input_size=64)
    model = build(config, 2).eval()
    last = [layer for layer in original.modules() if isinstance(layer, torch.nn.Linear)][-1]
    seen: list[torch.Tensor] = []
    last.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    recipe = model.preprocessing
    with torch.no_grad():
        original(((GREY - recipe.mean) / recipe.std).expand(-1, 3, -1, -1))
        features = model.features(GREY)
    torch.testing.assert_close(features, seen[0], rtol=1e-3, atol=1e-4)


def test_a_classifier_of_our_own_can_be_where_another_starts(tmp_path: Path) -> None:
    config = ClassifierConfig(model="bam-cnn", input_size=64)
    trained = build(config, 2)
    other = build(config, 2)
    save_classifier(tmp_path, [trained, other], config, class_names=["a", "b"], provenance={})
    weights = str(tmp_path / "classifier.safetensors")
    model = build(config.model_copy(update={"weights": weights}), 4)
    assert model.pretrained
    torch.testing.assert_close(model.eval().features(GREY), trained.eval().features(GREY))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "weights.pth"),
        (b"", "weights.pth"),
        (b"no weights", "weights.pth"),
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, "bn1"),
        ("foreign", "extra"),
        ("shape", "layer1.0.bn1.bias"),
        ([1, 2], "weights.pth"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "weights.pth"
    config = ClassifierConfig(model="resnet18", weights=str(path), input_size=32)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        if isinstance(content, str):
            weights = torchvision.models.resnet18(weights=None).state_dict()
            name, size = {"foreign": ("extra", 1), "shape": ("layer1.0.bn1.bias", 2)}[content]
            weights[name] = torch.zeros(size)
            content = weights
        torch.save(content, path)
    with pytest.raises(ModelError, match=message):
        build(config, 2)


@pytest.mark.fault(44)
def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    path = tmp_path / "weights.pth"
    torch.save({"weight": Bomb()}, path)
    with pytest.raises(ModelError, match=r"weights\.pth"):
        build(ClassifierConfig(model="resnet18", weights=str(path)), 2)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("lite0", "torchvision", "lite0.*auto, none or a file"),
        ("resnet18", "timm", "resnet18.*torchvision"),
        ("resnet50v2", "torchvision", "resnet50v2.*timm"),
        ("torchvision:mnasnet0_5", "timm", "torchvision"),
        ("timm:resnet18d_no", "timm", "resnet18d_no"),
        ("timm:resnetv2_101d", "timm", "timm:resnetv2_101d"),
        ("resnet18", "imagenet", "auto, none, torchvision, timm"),
    ],
)
def test_weights_are_refused_where_they_mean_nothing(
    home: Path, name: str, weights: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        build(ClassifierConfig(model=name, weights=weights), 2)
    assert "\n" not in str(caught.value)


def test_absent_library_weights_are_not_fetched_but_named(home: Path) -> None:
    wanted = {
        ("resnet18", "torchvision"): (
            "https://download.pytorch.org/models/resnet18-f37072fd.pth",
            home / "torch/hub/checkpoints/resnet18-f37072fd.pth",
        ),
        ("xception", "timm"): (
            "xception-43020ad28.pth",
            home / "torch/hub/checkpoints/xception-43020ad28.pth",
        ),
        ("resnet50v2", "timm"): (
            "https://huggingface.co/timm/resnetv2_50.a1h_in1k/resolve/main/model.safetensors",
            home / "torch/hub/checkpoints/resnetv2_50.a1h_in1k.safetensors",
        ),
    }
    for (name, weights), (url, place) in wanted.items():
        with pytest.raises(ModelError, match=r"classifier\.weights") as caught:
            build(ClassifierConfig(model=name, weights=weights), 2)
        assert url in str(caught.value)
        assert f" to {place}, " in str(caught.value)


def test_library_weights_are_found_where_torch_keeps_them(home: Path) -> None:
    original = torchvision.models.resnet18(weights=None).eval()
    torch.save(original.state_dict(), home / "torch/hub/checkpoints/resnet18-f37072fd.pth")
    model = build(ClassifierConfig(model="resnet18", weights="torchvision", input_size=32), 2)
    assert model.pretrained
    ours = model.backbone.state_dict()
    torch.testing.assert_close(
        ours["conv1.weight"], original.conv1.weight.detach().sum(1, keepdim=True)
    )
    assert torch.equal(ours["layer4.1.conv2.weight"], original.layer4[1].conv2.weight)


@pytest.mark.parametrize(
    "place",
    [
        "torch/hub/checkpoints/mobilenetv3_small_050.lamb_in1k.safetensors",
        "hf/hub/models--timm--mobilenetv3_small_050.lamb_in1k/snapshots/abc/model.safetensors",
    ],
)
def test_timm_weights_are_found_in_either_cache(home: Path, place: str) -> None:
    original = timm.create_model("mobilenetv3_small_050")
    path = home / place
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(original.state_dict(), path)
    config = ClassifierConfig(model="timm:mobilenetv3_small_050", weights="timm", input_size=32)
    model = build(config, 2)
    assert model.pretrained
    assert torch.equal(model.backbone.state_dict()["conv_head.weight"], original.conv_head.weight)


def test_what_auto_and_none_mean() -> None:
    assert build(ClassifierConfig(input_size=32), 2).pretrained
    assert not build(ClassifierConfig(input_size=32, weights="none"), 2).pretrained
    assert not build(ClassifierConfig(model="resnet18", input_size=32), 2).pretrained
    assert not build(ClassifierConfig(input_size=32), 2, pretrained=False).pretrained


def test_a_checkpoint_needs_no_library_weights(home: Path) -> None:
    config = ClassifierConfig(model="resnet18", weights="torchvision", input_size=32)
    assert not build(config, 2, pretrained=False).pretrained
