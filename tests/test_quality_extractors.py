"""Extractors: what they refuse, what torch-fidelity makes of them, what the cache keeps."""

import hashlib
import io

import numpy as np
import pytest
import torch
import torch_fidelity
from torch_fidelity import feature_extractor_inceptionv3 as inception_module

from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.quality import features
from balancer.quality.extractors import INCEPTION_FILES, Extractor, inception, load_extractor
from balancer.quality.features import features_of
from balancer.quality.measure import measure

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 32, 32), dtype=np.uint8)
OTHERS = RNG.integers(0, 128, (7, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def lite0():
    return load_extractor("lite0")


@pytest.fixture(scope="module")
def inception_bytes():
    """Random weights of Inception-v3's shape."""
    kind, empty = inception_module.FeatureExtractorInceptionV3, io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "load_state_dict", lambda self, state: None)
        torch.manual_seed(0)
        network = kind("random", ["2048"], feature_extractor_weights_path=empty)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    return file.getvalue()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty local cache of torch hub, on a machine where a download would be seen."""

    def download(*args, **kwargs):
        raise AssertionError("tried to download")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(inception_module, "load_state_dict_from_url", download)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


class Rgb(torch.utils.data.Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return torch.from_numpy(self.images[index]).expand(3, -1, -1)


def their_metrics(name, **options):
    return torch_fidelity.calculate_metrics(
        input1=Rgb(IMAGES),
        input2=Rgb(OTHERS),
        fid=True,
        kid=True,
        feature_extractor=name,
        kid_subsets=5,
        kid_subset_size=3,
        cuda=False,
        save_cpu_ram=True,
        cache=False,
        verbose=False,
        **options,
    )


def test_torch_fidelity_gives_our_values(lite0):
    theirs = their_metrics(lite0.registered_name)
    ours = measure(IMAGES, OTHERS, extractor=lite0, subsets=5)
    assert ours["kid[lite0]"].recipe["subset_size"] == 3
    fid = theirs[torch_fidelity.KEY_METRIC_FID]
    kid = theirs[torch_fidelity.KEY_METRIC_KID_MEAN]
    assert ours["fid[lite0]"].value == pytest.approx(fid, rel=1e-4)
    assert ours["kid[lite0]"].value == pytest.approx(kid, rel=1e-4)


def test_name_and_recipe_hold_the_hash(lite0):
    assert lite0.weights_sha256[:8] in lite0.registered_name
    assert lite0.weights_sha256.startswith("57934424")
    assert "128 px" in lite0.recipe["input"]


def test_features_do_not_depend_on_the_batch(lite0):
    many = np.concatenate([IMAGES, OTHERS, IMAGES])
    assert np.allclose(features_of(lite0, many)[:6], features_of(lite0, IMAGES), atol=1e-5)


def test_extractor_never_trains(lite0):
    parent = torch.nn.Sequential(lite0.network).train()
    assert not any(module.training for module in parent[0].modules())
    assert not any(parameter.requires_grad for parameter in parent.parameters())


@pytest.mark.parametrize("bad", [IMAGES.astype(np.float32), IMAGES[0]])
def test_other_arrays_are_refused(lite0, bad):
    with pytest.raises(ValueError, match="uint8"):
        features_of(lite0, bad)


def test_read_only_memory_maps_are_read(lite0, tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert np.array_equal(features_of(lite0, mapped), features_of(lite0, IMAGES))


def test_cache_is_used_and_keyed_by_pixels_and_recipe(lite0, tmp_path, monkeypatch):
    first = features_of(lite0, IMAGES, cache=tmp_path)
    extract = features._extract
    monkeypatch.setattr(features, "_extract", lambda *_: pytest.fail("extracted again"))
    assert np.array_equal(features_of(lite0, IMAGES, cache=tmp_path), first)
    monkeypatch.setattr(features, "_extract", extract)
    changed = IMAGES.copy()
    changed[0, 0, 0] ^= 1
    features_of(lite0, changed, cache=tmp_path)
    other_weights = Extractor(
        **{**vars(lite0), "recipe": {**lite0.recipe, "weights_sha256": "0" * 64}}
    )
    features_of(other_weights, IMAGES, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert all(path.suffix == ".npy" for path in tmp_path.iterdir())


@pytest.mark.parametrize("damage", [lambda b: b[:-100], lambda b: b"", lambda b: b"x" * 500])
def test_damaged_cache_is_replaced(lite0, tmp_path, damage):
    first = features_of(lite0, IMAGES, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    path.write_bytes(damage(good))
    assert np.array_equal(features_of(lite0, IMAGES, cache=tmp_path), first)
    assert path.read_bytes() == good


def test_unknown_extractor():
    with pytest.raises(ConfigurationError, match=r"quality\.extractors"):
        load_extractor("vgg")


def test_absent_inception_says_how_to_get_it(hub):
    with pytest.raises(EnvironmentFault) as fault:
        load_extractor("inception")
    for part in (INCEPTION_FILES[0], str(hub), "quality.weights={inception: FILE}", "https://"):
        assert part in str(fault.value)


@pytest.mark.fault(54)
@pytest.mark.parametrize("name", INCEPTION_FILES)
def test_wrong_hash_in_the_cache_is_refused(hub, name, inception_bytes):
    (hub / name).write_bytes(inception_bytes)
    with pytest.raises(EnvironmentFault):
        load_extractor("inception")


@pytest.mark.fault(54)
def test_half_downloaded_cache_is_refused(hub, inception_bytes):
    (hub / INCEPTION_FILES[0]).write_bytes(inception_bytes[: len(inception_bytes) // 2])
    with pytest.raises(EnvironmentFault, match="incomplete"):
        load_extractor("inception")


def test_a_name_that_is_no_file(hub, tmp_path):
    with pytest.raises(ConfigurationError):
        load_extractor("inception", weights={"inception": tmp_path / "none.pth"})


def test_given_file_half_copied(hub, tmp_path, inception_bytes):
    path = tmp_path / "half.pth"
    path.write_bytes(inception_bytes[: len(inception_bytes) // 2])
    with pytest.raises(EnvironmentFault, match=r"half\.pth"):
        load_extractor("inception", weights={"inception": path})


@pytest.mark.parametrize("state", [{"a": torch.zeros(1)}, [1, 2]])
def test_given_file_of_another_network(hub, tmp_path, state):
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(EnvironmentFault):
        load_extractor("inception", weights={"inception": path})


class Attack:
    def __reduce__(self):
        return (pytest.fail, ("the file ran code",))


@pytest.mark.fault(44)
def test_given_file_cannot_run_code(hub, tmp_path):
    path = tmp_path / "attack.pth"
    torch.save({"a": Attack()}, path)
    with pytest.raises(EnvironmentFault):
        load_extractor("inception", weights={"inception": path})


def test_given_weights_are_named_by_their_hash(hub, tmp_path, inception_bytes):
    path = tmp_path / "mine.pth"
    path.write_bytes(inception_bytes)
    extractor = load_extractor("inception", weights={"inception": path})
    sha256 = extractor.weights_sha256
    assert extractor.suffix == f"[inception-{sha256[:8]}]"
    ours = measure(IMAGES, OTHERS, extractor=extractor, subsets=5)
    theirs = their_metrics("inception-v3-compat", feature_extractor_weights_path=str(path))
    fid = ours[f"fid{extractor.suffix}"].value
    assert fid == pytest.approx(theirs[torch_fidelity.KEY_METRIC_FID], rel=1e-4)


def test_right_weights_in_the_cache_give_plain_fid(hub, inception_bytes, monkeypatch):
    (hub / INCEPTION_FILES[1]).write_bytes(inception_bytes)
    sha256 = hashlib.sha256(inception_bytes).hexdigest()
    monkeypatch.setattr(inception, "INCEPTION_SHA256", sha256)
    values = measure(IMAGES[:2], OTHERS[:2], extractor=load_extractor("inception"))
    assert list(values) == ["fid", "kid"]


def test_undefined_features_are_refused(lite0, monkeypatch):
    def broken(images):
        return (torch.full((len(images), 1280), torch.nan),)

    monkeypatch.setattr(lite0.network, "forward", broken)
    with pytest.raises(EnvironmentFault, match="finite features"):
        features_of(lite0, IMAGES)
