"""Lite networks with static padding and folded batch norm give timm's own outputs."""

import pytest
import timm
import torch

from classifier.lite import frozen_lite_features, lite_features, lite_weights_path


@pytest.fixture(scope="module", params=["lite0", "lite1", "lite2"])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def plain(name):
    model = timm.create_model(f"tf_efficientnet_{name}", pretrained=False)
    bundled = torch.load(lite_weights_path(name), weights_only=True)
    model.load_state_dict(dict(zip(model.state_dict(), bundled.values(), strict=True)))
    model.reset_classifier(0)
    return model.eval()


# 47 and 100 meet odd sides on the way down, 40 x 65 both parities at once.
@pytest.mark.parametrize("size", [(64, 64), (47, 47), (100, 100), (40, 65)])
def test_outputs_equal_dynamic_padding(name, plain, size):
    images = torch.randn(3, 3, *size)
    with torch.inference_mode():
        expected = plain(images)
        trainable = lite_features(name, 3).eval()(images)
        frozen = frozen_lite_features(name, 3)(images)
    assert torch.allclose(trainable, expected, atol=2e-5)
    assert (frozen - expected).norm() < 1e-5 * expected.norm()


def test_symmetric_padding_would_fail_this_file(name, plain):
    wrong = timm.create_model(f"efficientnet_{name}", pretrained=False, num_classes=0).eval()
    wrong.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert (wrong(images) - plain(images)).norm() > 0.01 * plain(images).norm()


def test_one_channel_is_grey_repeated(name, plain):
    grey = torch.randn(2, 1, 64, 64)
    with torch.inference_mode():
        expected = plain(grey.expand(-1, 3, -1, -1))
        assert torch.allclose(lite_features(name, 1).eval()(grey), expected, atol=5e-5)


def test_gradients_equal_dynamic_padding(name, plain):
    images = torch.randn(2, 3, 64, 64)
    ours = lite_features(name, 3).eval()
    ours(images).sum().backward()
    plain.zero_grad()
    plain(images).sum().backward()
    expected = plain.conv_stem.weight.grad
    stem = ours.get_submodule("conv_stem")
    assert stem.weight.shape == (32, 3, 3, 3)
    assert (stem.weight.grad - expected).norm() < 1e-4 * expected.norm()


def test_state_dict_is_timms(name, plain):
    assert list(lite_features(name, 3).state_dict()) == list(plain.state_dict())


def test_two_channels_are_refused():
    with pytest.raises(ValueError, match="channels"):
        lite_features("lite0", 2)
