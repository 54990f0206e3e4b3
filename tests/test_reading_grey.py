"""Grey levels, depths and colours of images, at the command."""

import json
from pathlib import Path

import numpy as np
import pytest

from balancer.data.io import read_radiograph
from support.radiograph_folders import class_folders, film, save
from support.reading_command import prepared


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return class_folders(tmp_path / "data", {"COVID": 10, "Normal": 12})


def test_grey_images_in_colour_modes_are_not_coloured(data: Path) -> None:
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        save(path, np.repeat(film(number)[..., None], 3, axis=2))
    _, metrics = prepared(data)
    assert not any("colour" in told.lower() for told in metrics["warnings"])


@pytest.mark.parametrize(("bits", "suffix"), [(12, "png"), (10, "png"), (14, "tif"), (8, "png")])
@pytest.mark.parametrize("bright", [False, True])
def test_a_depth_that_is_not_used_is_recognised(
    data: Path, bits: int, suffix: str, bright: bool
) -> None:
    for number in range(8):
        deep = (film(200 + number, size=64) / 255 * (2**bits - 1)).astype(np.uint16)
        if bright:
            deep[0, 0] = 65535
        save(data / "Deep" / f"{number}.{suffix}", deep)
    _, metrics = prepared(data)
    assert any(f"{bits} bits in a file of 16" in told for told in metrics["warnings"])
    assert not any("grey levels" in told for told in metrics["warnings"])


def test_few_levels_are_flagged_whatever_the_extremes(data: Path) -> None:
    posterised = film(80) // 64 * 85
    squeezed = film(81) // 20
    squeezed[0, 0] = 255
    save(data / "COVID" / "tones.png", posterised)
    save(data / "COVID" / "marker.png", squeezed)
    prepared(data)
    flags = json.loads(Path("w/index/audit.json").read_text())["flags"]
    found = [paths for reason, paths in flags.items() if "grey levels in use" in reason]
    assert found == [["COVID/marker.png", "COVID/tones.png"]]


def test_a_large_marker_does_not_decide_the_depth(data: Path) -> None:
    for number in range(8):
        deep = (film(200 + number, size=64) / 255 * 4095).astype(np.uint16)
        deep[:6, :12] = 65535
        save(data / "Deep" / f"{number}.png", deep)
    _, metrics = prepared(data)
    assert any("8 images: 12 bits" in told for told in metrics["warnings"])


@pytest.mark.fault(10)
def test_true_16_bits_are_read_as_such(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    for name in ("deep.png", "deep.tif"):
        read = read_radiograph(save(tmp_path / name, deep))
        assert (read == np.round(deep / 257)).all()


def test_a_floating_tiff_is_spread(tmp_path: Path) -> None:
    values = film(3).astype(np.float32) * 0.01 - 1
    values[0, 0] = 1e6
    read = read_radiograph(save(tmp_path / "float.tif", values))
    assert np.corrcoef(read.ravel()[1:], film(3).ravel()[1:])[0, 1] > 0.999
