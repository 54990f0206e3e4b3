"""Grad-CAM and activations against networks whose maps are known by hand."""

import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from classifier.config import ClassifierConfig
from classifier.explain import (
    NO_EVIDENCE,
    NOT_FINITE,
    LayerError,
    MissingPackage,
    activations,
    grad_cam,
    last_convolution_name,
    layer_names,
    require_library,
)
from classifier.models import ImageClassifier, build

SIDE = 16


class ByHand(nn.Module):
    """Two channels, the image and its negative, averaged; a linear head without bias."""

    def __init__(self, weights: list[list[float]], after: nn.Module | None = None) -> None:
        super().__init__()
        convolution = nn.Conv2d(1, 2, 1, bias=False)
        convolution.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1) / 255
        pool = nn.AdaptiveAvgPool2d(1)
        self.backbone = nn.Sequential(convolution, after or nn.Identity(), pool, nn.Flatten())
        self.head = nn.Linear(2, len(weights), bias=False)
        self.head.weight.data = torch.tensor(weights)

    @property
    def last_convolution(self) -> nn.Module:
        layer: nn.Module = self.backbone[0]
        return layer

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(images.float()))
        return logits


def by_hand(weights: list[list[float]], after: nn.Module | None = None) -> ImageClassifier:
    network: ImageClassifier = ByHand(weights, after)  # type: ignore[assignment]
    return network


def films(n: int = 3, side: int = SIDE) -> Tensor:
    draw = torch.Generator().manual_seed(5)
    return torch.randint(1, 256, (n, 1, side, side), dtype=torch.uint8, generator=draw)


def test_the_map_is_the_weighted_sum_of_the_channels() -> None:
    # The gradient of w . mean(channel) is w / (h w) everywhere, so the map is 2 x - (-x) = 3 x.
    found = grad_cam(by_hand([[2.0, -1.0], [0.0, 0.0]]), films(), 0)
    wanted = films()[:, 0].numpy() / films()[:, 0].numpy().max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found.maps, wanted, atol=1e-5)
    assert found.maps.dtype == np.float32
    assert found.grid == (SIDE, SIDE)
    assert not found.empty.any()
    assert found.reasons == ("", "", "")


def test_even_evidence_stays_even() -> None:
    """The library's own scaling takes the least value away, and would leave nothing."""
    even = torch.full((1, 1, SIDE, SIDE), 80, dtype=torch.uint8)
    found = grad_cam(by_hand([[1.0, 0.0], [0.0, 0.0]]), even, 0)
    np.testing.assert_allclose(found.maps, 1.0, atol=1e-6)


@pytest.mark.parametrize("weights", [[-1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
def test_a_map_without_positive_evidence_is_empty_and_says_so(weights: list[float]) -> None:
    found = grad_cam(by_hand([weights, [1.0, 0.0]]), films(), 0)
    assert found.empty.all()
    assert not found.maps.any()
    assert set(found.reasons) == {NO_EVIDENCE}


def test_channels_that_cancel_leave_no_map_of_rounding_errors() -> None:
    found = grad_cam(by_hand([[1 / 3, 1 / 3], [0.0, 0.0]]), films(), 0)
    assert found.empty.all()


def test_one_empty_map_leaves_the_others_alone() -> None:
    images = films()
    images[1] = 0
    found = grad_cam(by_hand([[1.0, 0.0], [0.0, 0.0]]), images, 0, batch_size=2)
    assert found.empty.tolist() == [False, True, False]
    assert found.reasons == ("", NO_EVIDENCE, "")
    np.testing.assert_allclose(found.maps.max(axis=(1, 2)), [1, 0, 1])


def test_a_map_that_is_no_number_is_empty_and_says_so() -> None:
    found = grad_cam(by_hand([[float("nan"), 0.0], [0.0, 0.0]]), films(), 0)
    assert found.empty.all()
    assert set(found.reasons) == {NOT_FINITE}
    assert not found.maps.any()


def test_a_relu_in_place_changes_neither_map_nor_activations() -> None:
    weights = [[2.0, -1.0], [0.0, 0.0]]
    inplace, plain = (by_hand(weights, nn.ReLU(inplace=flag)) for flag in (True, False))
    images = films()
    np.testing.assert_array_equal(
        grad_cam(inplace, images, 0).maps, grad_cam(plain, images, 0).maps
    )
    found = activations(inplace, images[:1])
    assert (found.maps < 0).any()


def test_the_map_of_several_networks_is_that_of_their_mean_logit() -> None:
    one, other = by_hand([[2.0, -1.0], [0.0, 0.0]]), by_hand([[0.0, 4.0], [0.0, 0.0]])
    # 3 x, and -4 x: together they speak against the class; 3 x and -2 x leave x.
    assert grad_cam([one, other], films(), 0).empty.all()
    weaker = by_hand([[0.0, 2.0], [0.0, 0.0]])
    found = grad_cam([one, weaker], films(), 0)
    np.testing.assert_allclose(found.maps, grad_cam(one, films(), 0).maps, atol=1e-5)


@pytest.mark.parametrize("target", [-1, 2, 7])
def test_a_class_that_does_not_exist_is_refused(target: int) -> None:
    with pytest.raises(IndexError, match=f"one of 0 to 1, not {target}"):
        grad_cam(by_hand([[1.0, 0.0], [0.0, 1.0]]), films(), target)


def test_mass_goes_to_the_planted_spot() -> None:
    """A network trained to find one bright quarter looks at it."""
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(60, 120, (64, 1, 32, 32), dtype=torch.uint8, generator=draw)
    labels = torch.arange(64) % 2
    images[labels == 1, :, 4:12, 20:28] = 230
    network = build(ClassifierConfig(model="bam-cnn", input_size=32, dropout=0.0), 2)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(12):
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    found = grad_cam(network.eval(), images[labels == 1][:8], 1)
    inside = found.maps[:, 2:14, 18:30].sum() / found.maps.sum()
    assert inside > 2 * 144 / 32**2


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_it_works_wherever_it_is_called_and_changes_nothing(
    frozen: bool, context: Callable[[], torch.inference_mode]
) -> None:
    torch.manual_seed(0)
    config = ClassifierConfig(model="bam-cnn", input_size=SIDE)
    network = build(config, 2).eval().requires_grad_(not frozen)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    plain = grad_cam(network, films(), 1).maps
    with context():
        found = grad_cam(network, films().clone(), 1)
    np.testing.assert_array_equal(found.maps, plain)
    assert all(weight.requires_grad is not frozen for weight in network.parameters())
    assert all(weight.grad is None for weight in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(part._forward_hooks for part in network.modules())


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_maps_do_not_depend_on_the_batch(batch_size: int) -> None:
    torch.manual_seed(0)
    network = build(ClassifierConfig(model="bam-cnn", input_size=SIDE), 2).eval()
    whole = grad_cam(network, films(5), 0)
    part = grad_cam(network, films(5), 0, batch_size=batch_size)
    np.testing.assert_allclose(part.maps, whole.maps, atol=1e-4)


def test_where_the_library_does_not_scale_it_agrees() -> None:
    """Maps that reach zero somewhere lose nothing to the library's subtraction."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    torch.manual_seed(3)
    network = build(ClassifierConfig(model="bam-cnn", input_size=32), 2).eval()
    images = films(4, 32)
    found = grad_cam(network, images, 1)
    theirs = GradCAM(model=network, target_layers=[network.last_convolution])
    maps = theirs(images.float().requires_grad_(), [ClassifierOutputTarget(1)] * len(images))
    rows = [n for n, ours in enumerate(found.maps) if ours.min() == 0 < ours.max()]
    assert rows
    np.testing.assert_allclose(found.maps[rows], maps[rows], atol=2e-3)


@pytest.mark.parametrize(
    "name", ["lite0", "densenet201", "vgg16", "squeezenet1_1", "inception_v3", "timm:resnet18"]
)
def test_networks_of_every_family_have_maps(name: str) -> None:
    torch.manual_seed(0)
    side = 96 if name == "inception_v3" else 64
    config = ClassifierConfig(model=name, input_size=side, weights="none")
    network = build(config, 3, pretrained=False).eval()
    found = grad_cam(network, films(2, side), 2)
    assert found.maps.shape == (2, side, side)
    assert (found.maps.max(axis=(1, 2)) == np.where(found.empty, 0, 1)).all()
    assert last_convolution_name(network) in layer_names(network)


def test_the_strongest_channels_come_first() -> None:
    network = by_hand([[1.0, 0.0], [0.0, 1.0]])
    next(network.backbone.parameters()).data *= torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
    image = films(1)
    found = activations(network, image, n=1)
    assert (found.layer, found.channels.tolist(), found.n_channels) == ("0", [1], 2)
    np.testing.assert_allclose(found.maps[0], image[0, 0].numpy() * (-3 / 255), rtol=1e-5)
    np.testing.assert_allclose(found.strengths, np.abs(found.maps).mean(axis=(1, 2)), rtol=1e-6)


def test_an_unknown_layer_names_its_neighbours() -> None:
    network = build(ClassifierConfig(model="lite0", input_size=32), 2, pretrained=False)
    with pytest.raises(LayerError, match="conv_stem"):
        activations(network, films(1, 32), "conv_stm")
    with pytest.raises(LayerError):
        activations(network, films(1, 32), "zzzzzz")
    assert activations(network, films(1, 32), "backbone.conv_stem").n_channels == 32


def test_a_layer_without_feature_maps_is_refused() -> None:
    with pytest.raises(LayerError, match="'3'"):
        activations(by_hand([[1.0, 0.0], [0.0, 1.0]]), films(1), "3")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(MissingPackage):
        require_library()
