"""Uploads that are accepted, and the reason of each refusal."""

import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from balancer.app.models import RefusedModelError, find_models, receive_model
from balancer.app.uploads import RefusedFilmError, read_film
from balancer.data.config import DataConfig
from balancer.data.io import png_bytes
from balancer.errors import ConfigurationError
from balancer.workspace import Workspace
from classifier.checkpoint import CARD, WEIGHTS
from samples.phantom import draw_phantom

LIMITS = DataConfig()
NOISE = np.random.default_rng(0)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_film_is_read_with_the_hash_that_the_index_knows(finished: Workspace, data: Path) -> None:
    path = next(data.rglob("*.png"))
    film = read_film(path, LIMITS)
    assert film.image_id in (finished.index_dir / "index.csv").read_text()
    assert film.pixels.shape == (40, 40)
    assert not film.synthetic
    assert not film.marked


def test_a_generated_image_is_read_and_known_for_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "made.png"
    path.write_bytes(png_bytes(draw_phantom(0, covid=True, size=64), {"Synthetic": "true"}))
    assert read_film(path, LIMITS).synthetic


def test_a_film_with_a_coloured_mark_is_read_and_told_of(tmp_path: Path) -> None:
    pixels = np.repeat(draw_phantom(0, covid=True, size=256)[..., None], 3, axis=2)
    pixels[10:20, 10:50] = (255, 0, 0)
    path = tmp_path / "marked.png"
    path.write_bytes(png(pixels))
    assert read_film(path, LIMITS).marked


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"the film is in the post", "content is text"),
        (b"\0" * 128 + b"DICM" + b"\0" * 64, "DICOM"),
        (png(draw_phantom(0, covid=True, size=64))[:-40], "truncated"),
        (png(NOISE.integers(0, 256, (64, 64, 3), dtype=np.uint8)), "colour picture"),
        (png(np.full((64, 64), 128, np.uint8)), "one even grey"),
        (png(NOISE.integers(0, 256, (20, 64), dtype=np.uint8)), "64 x 20 pixels, under"),
        (png(NOISE.integers(0, 256, (40, 200), dtype=np.uint8)), "over the aspect ratio"),
    ],
    ids=["empty", "text", "dicom", "cut", "colour", "blank", "small", "long"],
)
def test_what_is_no_film_is_refused_in_one_sentence(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(content)
    with pytest.raises(RefusedFilmError, match=reason) as caught:
        read_film(path, LIMITS)
    assert "PNG or JPEG" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_the_classifiers_of_a_workspace_are_found_with_their_thresholds(
    finished: Workspace, tmp_path: Path
) -> None:
    models = find_models(finished, [])
    assert list(models) == ["real", "real+synthetic"]
    for name, model in models.items():
        result = json.loads((finished.classify_dir(name) / "result.json").read_text())
        trained = model.trained
        assert trained.threshold == result["metrics"]["threshold"]
        assert trained.image_size == result["settings"]["image_size"]
        assert trained.positive is not None
        names = trained.loaded.class_names
        assert names[trained.positive] == result["metrics"]["positive_class"]
    assert "generated" in models["real+synthetic"].training
    with pytest.raises(ConfigurationError, match="--model"):
        find_models(finished, [tmp_path])


def test_a_folder_named_twice_is_there_once_and_hides_no_arm(
    finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished.classify_dir("real+synthetic"), tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    folders = [Path("real"), tmp_path / "real", finished.classify_dir("real")]
    assert list(find_models(finished, folders)) == [
        *("real", "real+synthetic"), str(tmp_path / "real"),
    ]  # fmt: skip


@pytest.fixture
def handed_in(finished: Workspace, tmp_path: Path) -> list[Path]:
    """Copies of a classifier's two files."""
    directory = finished.classify_dir("real")
    return [Path(shutil.copy(directory / name, tmp_path)) for name in (WEIGHTS, CARD)]


def test_both_files_of_a_classifier_are_taken_whatever_they_are_called(
    handed_in: list[Path], finished: Workspace, tmp_path: Path
) -> None:
    weights, card = handed_in
    renamed = [weights.rename(tmp_path / "w.safetensors"), card.rename(tmp_path / "c.json")]
    model = receive_model(renamed)
    own = find_models(finished, [])["real"]
    assert model.trained.loaded.weights_sha256 == own.trained.loaded.weights_sha256
    assert model.trained.image_size == own.trained.image_size
    assert model.trained.threshold is None


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("exploded"),))


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.pt", archive(), "may hold pickled objects"),
        ("model.pth", pickle.dumps(Bomb()), "may hold pickled objects"),
        ("classifier.safetensors", pickle.dumps(Bomb()), "may hold pickled objects"),
        ("classifier.safetensors", archive(), "is an archive"),
        ("model.zip", archive(), "is an archive"),
        ("model.onnx", b"onnx", "is neither"),
        ("classifier.safetensors", b"damaged", "has"),
    ],
)
def test_other_checkpoints_are_refused_unopened(
    name: str,
    content: bytes,
    reason: str,
    handed_in: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RefusedModelError, match=reason):
        receive_model([path, handed_in[1]])
    assert not list(Path.cwd().iterdir())


def test_one_file_alone_or_foreign_weights_are_refused(
    handed_in: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(RefusedModelError):
        receive_model(handed_in[:1])
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(RefusedModelError):
        receive_model([tmp_path / "other.safetensors", handed_in[1]])
    handed_in[1].write_text('{"kind": "generator"}')
    with pytest.raises(RefusedModelError):
        receive_model(handed_in)


@pytest.mark.parametrize("size", [0, 10**6])
def test_a_card_that_would_take_all_memory_is_refused(handed_in: list[Path], size: int) -> None:
    card = json.loads(handed_in[1].read_text())
    card["provenance"]["image_size"] = size
    handed_in[1].write_text(json.dumps(card))
    with pytest.raises(RefusedModelError, match=f"but says {size};"):
        receive_model(handed_in)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"kind": ' + "9" * 5_000 + "}"])
def test_a_card_beyond_reading_is_refused(handed_in: list[Path], text: str) -> None:
    handed_in[1].write_text(text)
    with pytest.raises(RefusedModelError):
        receive_model(handed_in)
