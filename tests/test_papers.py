"""The papers' systems: their recipe files, and parameter counts against the references'."""

import functools
import importlib.resources
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import get_model, get_model_weights

from balancer.config import bundled_recipes, load_config
from classifier.config import ClassifierConfig
from classifier.models import ImageClassifier, build, model_card

PAPERS = [name for name in bundled_recipes() if name.startswith("papers/")]
RECIPES = [name.removeprefix("papers/") for name in PAPERS]
SYSTEMS = {
    "bam-net": {"bam-cnn", "vgg16"},
    "six-networks": {
        "squeezenet1_1",
        "mobilenet_v2",
        "resnet18",
        "vgg19",
        "densenet201",
        "eight-conv",
    },
    "lightweight": {"mobilenet_v2", "resnet50v2", "inception_v3", "xception"},
    "covid-resnet": {"resnet50"},
    "covid-net": {"covid-net", "resnet18", "resnet50"},
}


def recipe(name: str) -> ClassifierConfig:
    return load_config(f"papers/{name}").classifier


@functools.cache
def drawn(name: str) -> ImageClassifier:
    """The network of a recipe for three classes, without numbers."""
    with torch.device("meta"):
        return build(recipe(name), 3)


def network(model: str) -> ImageClassifier:
    return drawn(next(name for name in RECIPES if recipe(name).model == model))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def stem(model: ImageClassifier) -> nn.Conv2d:
    return next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))


def as_reference(model: ImageClassifier) -> int:
    """Parameters with a stem for three channels and one layer to 1,000 classes."""
    n_features = next(m for m in model.head if isinstance(m, nn.Linear)).in_features
    return count(model.backbone) + 2 * stem(model).weight.numel() + 1000 * n_features + 1000


def test_every_system_of_the_papers_has_a_recipe() -> None:
    found: dict[str, set[str]] = {}
    for name in RECIPES:
        paper = next(prefix for prefix in SYSTEMS if name.startswith(prefix))
        found.setdefault(paper, set()).add(recipe(name).model)
    assert found == SYSTEMS


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_the_paper_does_and_what_is_changed(name: str) -> None:
    text = (importlib.resources.files("configs") / "papers" / f"{name}.yaml").read_text()
    assert "The paper" in text
    assert "Changed:" in text
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_none_of_our_own_improvements(name: str) -> None:
    config = recipe(name)
    assert (config.ema_half_life, config.label_smoothing, config.mixup_alpha) == (0, 0, 0)
    assert (config.views, config.calibration) == (("plain",), "none")
    assert (config.class_weights, config.members, config.keep) == ("none", 1, "best")
    assert (config.loss == "focal") == name.startswith("lightweight")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_builds_for_every_size_it_trains_at(name: str) -> None:
    config, model = recipe(name), drawn(name)
    assert model.preprocessing.contrast == config.contrast
    for side in {phase.input_size for phase in config.phases} - {None}:
        assert side is not None
        assert model.eval()(torch.empty(2, 1, side, side, device="meta")).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "dense"),
    [
        ("squeezenet1_1", ()),
        ("mobilenet_v2", ()),
        ("resnet18", ()),
        ("resnet50", ()),
        ("vgg16", (25088, 4096, 4096, 1000)),
        ("vgg19", (25088, 4096, 4096, 1000)),
        ("densenet201", ()),
        ("inception_v3", ()),
    ],
)
def test_parameters_are_those_of_torchvision(name: str, dense: tuple[int, ...]) -> None:
    ours = as_reference(network(name))
    if dense:  # in place of the pool and one layer
        ours += sum(n_in * n_out + n_out for n_in, n_out in pairwise(dense))
        ours -= 512 * 1000 + 1000
    if name == "inception_v3":
        with torch.device("meta"):
            auxiliary = get_model(name, weights=None, init_weights=False).AuxLogits
        ours += count(auxiliary)
    assert ours == get_model_weights(name).DEFAULT.meta["num_params"]


@pytest.mark.parametrize(
    ("name", "keras_trainable", "difference"),
    [
        ("mobilenet_v2", 3_504_872, 0),
        # Keras has biases in the stem, in shortcut convolutions and in the last one of each block.
        (
            "resnet50v2",
            25_568_360,
            64 + (256 + 512 + 1024 + 2048) + (3 * 256 + 4 * 512 + 6 * 1024 + 3 * 2048),
        ),
        ("inception_v3", 23_817_352, -17_216),  # Keras: batch norm without scales
        ("xception", 22_855_952, 0),
    ],
)
def test_parameters_are_those_of_keras_but_for_known_terms(
    name: str, keras_trainable: int, difference: int
) -> None:
    assert as_reference(network(name)) + difference == keras_trainable


def test_inceptions_batch_norm_has_the_scales_that_keras_leaves_out() -> None:
    layers = [m for m in network("inception_v3").modules() if isinstance(m, nn.BatchNorm2d)]
    assert sum(layer.num_features for layer in layers) == 17_216


@pytest.mark.parametrize(("name", "timm"), [("resnet50v2", 25_549_352), ("xception", 22_855_952)])
def test_parameters_are_those_of_timm(name: str, timm: int) -> None:
    assert as_reference(network(name)) == timm


def test_covid_net_has_the_size_and_the_cost_of_its_paper() -> None:
    model = drawn("covid-net")
    assert count(model) + 2 * stem(model).weight.numel() == pytest.approx(11.75e6, rel=0.002)
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.empty(1, 1, 480, 480, device="meta"))
    colours = 2 * 49 * 64 * 240 * 240  # multiplications of the two that grey lacks
    assert counter.get_total_flops() / 2 + colours == pytest.approx(7.50e9, rel=0.01)


def test_covid_nets_block_count_is_the_sum_of_its_convolutions() -> None:
    def block(n_in: int, projected: int, expanded: int, n_out: int) -> int:
        weights = n_in * projected + 2 * projected * expanded + 9 * expanded + projected * n_out
        return weights + 2 * (2 * projected + 2 * expanded + n_out)

    wanted = 49 * 64 + 2 * 64
    n_in = 64
    for n_blocks, *widths in (
        (3, 50, 64, 256),
        (4, 100, 128, 512),
        (6, 200, 256, 1024),
        (3, 400, 512, 2048),
    ):
        for _ in range(n_blocks):
            wanted += block(n_in, *widths)
            n_in = widths[-1]
    wanted += 2048 * 1024 + 1024 + 1024 * 256 + 256 + 256 * 3 + 3
    assert count(drawn("covid-net")) == wanted


@pytest.mark.parametrize("name", ["mobilenet", "resnet50v2", "inception", "xception"])
def test_lightweight_heads_and_phases(name: str) -> None:
    config = recipe(f"lightweight-{name}")
    head = drawn(f"lightweight-{name}").head
    widths = [layer.out_features for layer in head if isinstance(layer, nn.Linear)]
    assert widths == [64, 64, 64, 32, 32, 3]
    assert [phase.unfrozen for phase in config.phases] == [0, 0.44]
    assert (config.loss, config.patience, config.augment.classes) == ("focal", 10, "rare")


def test_covid_resnet_has_three_sizes_of_two_phases_each() -> None:
    config = recipe("covid-resnet")
    sizes = [(phase.input_size, phase.unfrozen) for phase in config.phases]
    assert sizes == [(128, 0), (128, 1), (224, 0), (224, 1), (229, 0), (229, 1)]
    assert config.n_epochs == 41
    assert config.input_size == 229
    head = drawn("covid-resnet").head
    assert isinstance(head[0], nn.BatchNorm1d)
    assert head[0].num_features == 2 * 2048


def test_recipes_look_for_no_weights_so_that_each_starts_offline() -> None:
    for name in RECIPES:
        config = recipe(name)
        assert config.weights == "auto"
        library = model_card(config.model).library
        text = (importlib.resources.files("configs") / "papers" / f"{name}.yaml").read_text()
        assert (f"classifier.weights={library}" in text) == (library != "own")
