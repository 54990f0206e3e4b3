"""Extractors from other libraries, with made weights: beside the library's own forward pass."""

import hashlib
import json
import socket
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from click.testing import CliRunner
from PIL import Image
from timm.data import create_transform
from timm.data.config import resolve_model_data_config
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch_fidelity.feature_extractor_clip import CLIPVisual, FeatureExtractorCLIP

from balancer.cli import main
from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.quality.config import QualityConfig
from balancer.quality.extractors import load_configured, load_extractor
from balancer.quality.features import features_of
from samples.phantom import draw_phantom

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (2, 160, 160), dtype=np.uint8)
SMALL = "timm:mobilenetv3_small_050.lamb_in1k"
VIT = "timm:test_vit.r160_in1k"
WIDTH = 32


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No weights but those of the tests, on a machine where a download would be seen."""

    def connect(*args: object) -> None:
        raise AssertionError("opened a connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    for name in ("TORCH_HOME", "HF_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights of small networks, as files."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    files = {}
    for number, name in enumerate((SMALL, VIT)):
        files[name] = folder / f"{number}.safetensors"
        network = timm.create_model(name.removeprefix("timm:"), pretrained=False)
        safetensors.torch.save_file(network.state_dict(), files[name])
    files["clip-vit-b-32"] = folder / "clip.pt"
    torch.save(clip_state(clip_network()), files["clip-vit-b-32"])
    files["rad-dino"] = rad_dino_folder(folder / "rad-dino")
    return files


def clip_network() -> nn.Module:
    torch.manual_seed(1)
    network: nn.Module = CLIPVisual(8, 32, 1, 64, 16).half().float().eval()  # CLIP's are halves
    return network


def clip_state(network: nn.Module) -> dict[str, Tensor]:
    return {**network.state_dict(), "text_projection": torch.zeros(4, 8)}


def vision_transformer() -> VisionTransformer:
    torch.manual_seed(2)
    network = VisionTransformer(
        img_size=28, patch_size=14, num_classes=0, global_pool="token", embed_dim=WIDTH, depth=2,
        num_heads=4, init_values=0.5,
    )  # fmt: skip
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.eval()


def rad_dino_folder(folder: Path) -> Path:
    """The folder that Hugging Face would keep of the network above."""
    folder.mkdir()
    state: dict[str, Tensor] = {"embeddings.mask_token": torch.zeros(1, WIDTH)}
    for name, value in vision_transformer().state_dict().items():
        for ours, theirs in (
            ("pos_embed", "embeddings.position_embeddings"),
            ("cls_token", "embeddings.cls_token"),
            ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
            ("blocks.", "encoder.layer."), ("attn.proj", "attention.output.dense"),
            ("ls1.gamma", "layer_scale1.lambda1"), ("ls2.gamma", "layer_scale2.lambda1"),
        ):  # fmt: skip
            name = name.replace(ours, theirs)
        if name.startswith("norm."):
            name = f"layer{name}"
        if ".attn.qkv." in name:
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                state[name.replace("attn.qkv", f"attention.attention.{part}")] = third.clone()
            continue
        state[name] = value
    safetensors.torch.save_file(state, folder / "model.safetensors")
    shape = {
        "image_size": 28, "patch_size": 14, "hidden_size": WIDTH, "num_hidden_layers": 2,
        "num_attention_heads": 4, "mlp_ratio": 4, "layer_norm_eps": 1e-6,
    }  # fmt: skip
    prepared = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (folder / "config.json").write_text(json.dumps(shape))
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared))
    return folder


@pytest.mark.parametrize("name", [SMALL, VIT])
@pytest.mark.parametrize("channels", [1, 3])
def test_timm_prepares_and_answers_as_here(made: dict[str, Path], name: str, channels: int) -> None:
    extractor = load_extractor(name, weights=made, channels=channels)
    network: Any = timm.create_model(
        name.removeprefix("timm:"), pretrained=True, pretrained_cfg_overlay={"file": made[name]}
    ).eval()
    seen: Any = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    prepare: Any = create_transform(**{**seen, "crop_pct": 1.0}, is_training=False)
    side = seen["input_size"][-1]
    shape = (2, side, side) if channels == 1 else (2, side, side, 3)
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    ours = features_of(extractor, images)
    with torch.inference_mode():
        batch = torch.stack([prepare(Image.fromarray(image).convert("RGB")) for image in images])
        theirs = network.forward_head(network.forward_features(batch), pre_logits=True)
    assert extractor.suffix == f"[{name}]"
    assert ours.shape == (2, extractor.dimension)
    assert np.allclose(ours, theirs.numpy(), atol=1e-4 * float(theirs.abs().max()))


def test_images_of_another_size_are_resized_whole(made: dict[str, Path]) -> None:
    extractor = load_extractor(VIT, weights=made)
    plain = np.full((1, 40, 40), 200, np.uint8)
    framed = plain.copy()
    framed[:, :2] = framed[:, -2:] = framed[:, :, :2] = framed[:, :, -2:] = 0
    wide = np.full((1, 160, 160), 200, np.uint8)
    assert np.allclose(features_of(extractor, plain), features_of(extractor, wide), atol=1e-4)
    assert not np.allclose(features_of(extractor, plain), features_of(extractor, framed), atol=1e-2)


def test_clip_gives_what_torch_fidelity_gives(
    made: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "clip-vit-b-32"
    extractor = load_extractor(name, weights=made)
    archive = SimpleNamespace(state_dict=lambda: clip_state(clip_network()))
    monkeypatch.setattr(torch.jit, "load", lambda *_, **__: archive)
    theirs = FeatureExtractorCLIP(name, ["clip"], feature_extractor_weights_path="their.pt")
    rgb = torch.from_numpy(IMAGES)[:, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        assert np.allclose(features_of(extractor, IMAGES), theirs(rgb)[0].numpy(), atol=1e-5)
    # Not OpenAI's weights, so their hash is part of the name.
    assert extractor.suffix == f"[{name}-{extractor.weights_sha256[:8]}]"


def test_a_program_in_place_of_clips_weights_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)  # type: ignore[no-untyped-call]
    with pytest.raises(EnvironmentFault):
        load_extractor("clip-vit-b-32", weights={"clip-vit-b-32": path})


def test_dinov2_is_timms_network_on_torch_fidelitys_input(tmp_path: Path) -> None:
    name, path = "dinov2-vit-s-14", tmp_path / "dinov2_vits14_pretrain.pth"
    network: Any = timm.create_model("vit_small_patch14_dinov2", img_size=224, num_classes=0)
    positions = torch.randn(1, 1 + 37 * 37, 384)  # Meta's files are of 518 px
    state = {**network.eval().state_dict(), "pos_embed": positions}
    torch.save({**state, "mask_token": torch.zeros(1, 384)}, path)
    extractor = load_extractor(name, weights={name: path})
    resized = extractor.network.get_parameter("network.model.pos_embed")
    row = bicubic(positions[0, 1:, 0].view(37, 37).double().numpy())
    inside = slice(2, 14)
    found = resized[0, 1:, 0].view(16, 16).double().numpy()
    assert np.allclose(found[inside, inside], row[inside, inside], atol=1e-4)
    network.load_state_dict({**state, "pos_embed": resized})
    images = RNG.integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    colour = torch.from_numpy(images).movedim(-1, 1) / 255
    mean = torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1)
    std = torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1)
    with torch.inference_mode():
        theirs = network((colour - mean) / std).numpy()
    assert np.allclose(features_of(extractor, images), theirs, atol=1e-4)


def bicubic(square: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Resize 37 x 37 to 16 x 16 by Keys' kernel of -0.75, at the places of DINOv2's offset."""
    at = (np.arange(16) + 0.5) * 37 / 16.1 - 0.5
    far = np.abs(at[:, None] - np.arange(37))
    near = (1.25 * far - 2.25) * far**2 + 1
    tail = -0.75 * (((far - 5) * far + 8) * far - 4)
    kernel = np.where(far <= 1, near, np.where(far < 2, tail, 0))
    return np.asarray(kernel @ square @ kernel.T)


def test_rad_dino_is_read_from_the_folder_of_hugging_face(made: dict[str, Path]) -> None:
    extractor = load_extractor("rad-dino", weights=made)
    images = RNG.integers(0, 256, (2, 28, 28), dtype=np.uint8)
    normal = (torch.from_numpy(images)[:, None].expand(-1, 3, -1, -1) / 255 - 0.5) / 0.25
    with torch.inference_mode():
        theirs = vision_transformer()(normal).numpy()
    assert np.allclose(features_of(extractor, images), theirs, atol=1e-4)
    assert extractor.suffix == "[rad-dino]"


def test_torchxrayvision_sees_values_of_its_range(tmp_path: Path) -> None:
    library = pytest.importorskip("torchxrayvision", reason="the extra xray is not installed")
    torch.manual_seed(0)
    network = library.models.DenseNet(num_classes=18).eval()
    name, path = "torchxrayvision:densenet121-res224-all", tmp_path / "dense.pt"
    images = RNG.integers(0, 256, (2, 1, 64, 64), dtype=np.uint8)
    pixels = torch.from_numpy(library.utils.normalize(images, 255))
    network.input_resolution = 224
    with torch.inference_mode():
        theirs = network.features2(pixels).numpy()
    del network.input_resolution
    for stored in (network, network.state_dict()):  # the library publishes whole networks
        torch.save(stored, path)
        extractor = load_extractor(name, weights={name: path})
        ours = features_of(extractor, images[:, 0])
        assert np.allclose(ours, theirs, atol=1e-4 * float(np.abs(theirs).max()))
    torch.save(nn.Bilinear(1, 1, 1), path)  # a class that no DenseNet has
    with pytest.raises(EnvironmentFault):
        load_extractor(name, weights={name: path})
    with pytest.raises(ConfigurationError, match="densenet121-res224-nih"):
        load_extractor("torchxrayvision:densenet121")


def test_without_torchxrayvision_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    monkeypatch.setitem(sys.modules, "torchxrayvision.models", None)
    with pytest.raises(EnvironmentFault, match=r"balancer\[xray\]"):
        load_extractor("torchxrayvision:densenet121-res224-all")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("lite3", ["lite0", "lite2", "rad-dino", "dinov2-vit-b-14", "timm:NAME", "classifier"]),
        ("timm:resnt18", ["timm:resnet18"]),
        ("timm:resnet18.of_mine", ["timm:resnet18.a1_in1k"]),
        ("timm:hf-hub:timm/resnet18.a1_in1k", []),
    ],
)
def test_an_unknown_name_is_told_from_those_that_exist(name: str, known: list[str]) -> None:
    with pytest.raises(ConfigurationError) as fault:
        load_extractor(name)
    assert all(one in str(fault.value) for one in known)


@pytest.mark.parametrize(
    ("name", "url", "place"),
    [
        (SMALL, "https://huggingface.co/timm/", "mobilenetv3_small_050.lamb_in1k.safetensors"),
        ("dinov2-vit-b-14", "https://dl.fbaipublicfiles.com/", "dinov2_vitb14_pretrain.pth"),
        ("clip-rn50", "https://openaipublic.azureedge.net/", "clip-rn50-afeb0e10f9e5"),
        ("vgg16", "https://download.pytorch.org/", "vgg16-397923af.pth"),
        ("rad-dino", "https://huggingface.co/microsoft/rad-dino", "rad-dino"),
    ],
)
def test_absent_weights_are_named_with_their_place(
    tmp_path: Path, name: str, url: str, place: str
) -> None:
    with pytest.raises(EnvironmentFault) as fault:
        load_extractor(name)
    for part in (url, place, str(tmp_path / "home"), f"quality.weights={{{name}: "):
        assert part in str(fault.value)


def test_weights_in_the_place_that_is_named_are_found(
    made: dict[str, Path], tmp_path: Path
) -> None:
    place = tmp_path / "home" / "hub" / "checkpoints" / "test_vit.r160_in1k.safetensors"
    place.parent.mkdir(parents=True)
    place.write_bytes(made[VIT].read_bytes())
    assert load_extractor(VIT).weights_sha256 == load_extractor(VIT, weights=made).weights_sha256


@pytest.mark.parametrize("name", [VIT, "dinov2-vit-s-14", "clip-vit-b-32", "vgg16", "rad-dino"])
def test_damaged_weights_and_those_of_another_network_are_refused(
    made: dict[str, Path], tmp_path: Path, name: str
) -> None:
    with pytest.raises(ConfigurationError):
        load_extractor(name, weights={name: tmp_path / "none"})
    place = tmp_path / "weights.safetensors"
    if name == "rad-dino":
        place = tmp_path / "model.safetensors"
        for file in ("config.json", "preprocessor_config.json"):
            (tmp_path / file).write_bytes((made[name] / file).read_bytes())
    given = {name: tmp_path if name == "rad-dino" else place}
    contents = [made[SMALL].read_bytes()[:1000]]
    if name != "vgg16":  # whose random weights take seconds
        contents.append(made[SMALL].read_bytes())
    for content in contents:
        place.write_bytes(content)
        with pytest.raises(EnvironmentFault):
            load_extractor(name, weights=given)


def test_weights_of_an_extractor_that_is_not_measured_are_refused(tmp_path: Path) -> None:
    config = QualityConfig(extractors=("lite0",), weights={"rad-dino": tmp_path})
    with pytest.raises(ConfigurationError, match="rad-dino"):
        load_configured(config)
    with pytest.raises(ConfigurationError, match="lite0"):
        load_configured(QualityConfig(extractors=("lite0",), weights={"lite0": tmp_path}))


def test_the_setting_of_earlier_versions_is_read() -> None:
    old = QualityConfig.model_validate({"inception_weights": "w.pth"})
    assert old.weights == {"inception": Path("w.pth")}
    assert QualityConfig.model_validate({"inception_weights": None}) == QualityConfig()


def test_the_judge_takes_a_network_by_name(made: dict[str, Path], tmp_path: Path) -> None:
    for number in range(24):
        side = tmp_path / ("real" if number < 16 else "made")
        side.mkdir(exist_ok=True)
        film = draw_phantom(number, covid=True, size=32)
        Image.fromarray(film).save(side / f"{number}.png")

    def judge(*settings: str) -> int:
        words = [word for one in settings for word in ("--set", one)]
        places = [str(tmp_path / name) for name in ("real", "made")]
        out = ["--out", str(tmp_path / "out")]
        return CliRunner().invoke(main, ["judge", *places, *out, *words]).exit_code

    assert judge("quality.extractors=[timm:resnt18]") == 2
    assert judge(f"quality.extractors=[{VIT}]", f"quality.weights={{{VIT}: none.pth}}") == 2
    assert judge(f"quality.extractors=[{VIT}]") == 5
    assert not (tmp_path / "out" / "judge").exists()
    names = (f"quality.extractors=[{VIT}, classifier]", f"quality.weights={{{VIT}: {made[VIT]}}}")
    assert judge(*names, "quality.ms_ssim_pairs=10") == 0
    folder = tmp_path / "out" / "judge"
    (found,) = json.loads((folder / "judge.json").read_text())["classes"].values()
    kid = found["quality"]["against"]["training"][f"kid[{VIT}]"]
    assert kid["recipe"]["weights_sha256"] == hashlib.sha256(made[VIT].read_bytes()).hexdigest()
    assert f"kid[{VIT}]" in (folder / "judge.html").read_text()
    assert str(made[VIT]) not in (folder / "result.json").read_text()
    assert [*folder.glob("map-timm-test_vit.r160_in1k-*.png")]
