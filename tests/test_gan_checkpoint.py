import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gan import GeneratorCheckpointError, load
from gan.checkpoint import save_generator
from gan.networks import Generator
from support.tiny_gan import PROVENANCE, recipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_generator(
        tmp_path, Generator(recipe()).eval(), provenance=PROVENANCE, seed=7, images_shown=96
    )
    return tmp_path


def edit(folder: Path, **changes: object) -> None:
    path = folder / "generator.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change tensors and make the checksum fit, as someone who forges a file would."""
    path = folder / "generator.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    edit(folder, weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_round_trip(folder: Path) -> None:
    loaded = load(folder)
    assert loaded.config == recipe()
    assert loaded.metadata.training_ids == ("01", "02")
    assert loaded.metadata.images_shown == 96
    assert loaded.metadata.seed == 7
    digest = hashlib.sha256((folder / "generator.safetensors").read_bytes()).hexdigest()
    assert loaded.checkpoint_hash == loaded.metadata.weights_sha256 == digest
    assert not loaded.generator.training
    again = load_file(folder / "generator.safetensors")
    state = loaded.generator.state_dict()
    assert state.keys() == again.keys()
    assert all(torch.equal(state[name], again[name]) for name in state)


def test_nothing_temporary_stays(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["generator.json", "generator.safetensors"]


@pytest.mark.parametrize("name", ["generator.json", "generator.safetensors"])
@pytest.mark.parametrize("fault", ["missing", "empty", "half", "last byte", "flipped", "text"])
def test_damaged_files_are_refused_by_name(folder: Path, name: str, fault: str) -> None:
    path = folder / name
    content = path.read_bytes()
    if fault == "missing":
        path.unlink()
    else:
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 0x80])
        path.write_bytes(
            {
                "empty": b"",
                "half": content[:middle],
                "last byte": content.rstrip()[:-1],
                "flipped": content[:middle] + flipped + content[middle + 1 :],
                "text": b"<html>",
            }[fault]
        )
    with pytest.raises(GeneratorCheckpointError, match=name):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"kind": "classifier"}, "kind"),
        ({"format": 1}, "format"),
        ({"seed": "seven"}, "seed"),
        ({"note": "hello"}, "note"),
        ({"config": recipe(image_size=64).model_dump()}, "tensor"),
        ({"config": recipe(latent_dim=9).model_dump()}, "project.weight"),
        ({"config": {"image_size": 48}}, "config.image_size"),
    ],
)
def test_metadata_of_something_else_is_refused(
    folder: Path, changes: dict[str, object], name: str
) -> None:
    edit(folder, **changes)
    with pytest.raises(GeneratorCheckpointError, match=name):
        load(folder)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda w: w.pop("draw.bias"), "draw.bias"),
        (lambda w: w.update(extra=torch.zeros(1)), "extra"),
        (lambda w: w.update({"draw.bias": torch.zeros(2)}), r"draw.bias.* \(2,\)"),
        (lambda w: w.update({"draw.bias": torch.zeros(1).double()}), "draw.bias.*float64"),
        (lambda w: w["draw.bias"].fill_(float("nan")), "draw.bias.*NaN"),
    ],
)
def test_foreign_tensors_are_refused_though_the_checksum_fits(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], object], name: str
) -> None:
    rewrite(folder, change)
    with pytest.raises(GeneratorCheckpointError, match=name):
        load(folder)


def test_nan_weights_are_not_saved_and_the_old_files_stay(folder: Path) -> None:
    before = (folder / "generator.safetensors").read_bytes()
    generator = Generator(recipe())
    torch.nn.init.constant_(generator.draw.bias, float("inf"))
    with pytest.raises(GeneratorCheckpointError, match=r"draw\.bias"):
        save_generator(
            folder,
            generator,
            provenance=PROVENANCE,
            seed=0,
            images_shown=1,
        )
    assert (folder / "generator.safetensors").read_bytes() == before
