"""DICOM files as people have them, at the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from balancer.cli import main
from balancer.data.io import read_radiograph
from support.made_dicom import dataset, write
from support.radiograph_folders import film, save


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def prepare(place: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["prepare", "--data", str(place), "-w", "w", *words])


def prepared(place: Path, *words: str) -> dict[str, Any]:
    done = prepare(place, *words)
    assert done.exit_code == 0, done.stderr
    metrics: dict[str, Any] = json.loads(Path("w/index/result.json").read_text())["metrics"]
    return metrics


def deep(number: int) -> np.ndarray:
    return film(number, size=64).astype(np.uint16) * 16


def test_one_bright_pixel_does_not_decide_the_scale(place: Path) -> None:
    for number in range(20):
        pixels = deep(number)
        pixels[0, 0] = 65535
        write(place / ("COVID", "Normal")[number % 2] / f"{number}.dcm", pixels)
    metrics = prepared(place)
    assert not any("grey levels" in told for told in metrics["warnings"])
    read = read_radiograph(place / "COVID" / "0.dcm")
    assert len(np.unique(read)) > 150
    assert np.corrcoef(read.ravel()[1:], film(0, size=64).ravel()[1:])[0, 1] > 0.999


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("suffix", [".dcm", "", ".ima"])
def test_files_without_the_preamble_are_read(place: Path, syntax: str, suffix: str) -> None:
    for number in range(18):
        made = dataset(deep(number), PatientID=f"P{number // 2}")
        file = place / ("COVID", "Normal")[number // 9] / f"{number}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        del made.file_meta
        made.save_as(file, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
        assert file.read_bytes()[128:132] != b"DICM"
    metrics = prepared(place)
    assert metrics["images"] == 18
    assert metrics["groups"]["kind"] == "patient"
    assert metrics["groups"]["number"] == 9
    assert any("preamble" in told for told in metrics["warnings"])


def test_one_patient_id_for_a_class_is_said_and_can_be_ignored(place: Path) -> None:
    for number in range(20):
        label = ("COVID", "Normal")[number % 2]
        write(place / label / f"{number}.dcm", deep(number), PatientID=f"ANON-{label}")
    done = prepare(place)
    assert done.exit_code == 3
    assert "all 10 of its images" in done.stderr
    assert "data.patients=ignored" in done.stderr
    assert "ANON-" not in done.stderr
    metrics = prepared(place, "--set", "data.patients=ignored")
    assert metrics["groups"]["number"] == 20


@pytest.mark.parametrize("word", ["unknown", "0", "000", "Anonymous", "-", "NONE"])
def test_placeholders_in_the_tags_are_those_of_tables(place: Path, word: str) -> None:
    for number in range(20):
        patient = f"P{number}" if number < 4 else word
        write(
            place / ("COVID", "Normal")[number % 2] / f"{number}.dcm",
            deep(number),
            PatientID=patient,
        )
    metrics = prepared(place)
    assert metrics["groups"]["images_without_patient"] == 16


def test_dicom_beside_other_images_is_read_and_said(place: Path) -> None:
    for number in range(20):
        save(place / ("COVID", "Normal")[number % 2] / f"{number}.png", film(number))
    for number in range(30, 36):
        write(place / "COVID" / f"{number}.dcm", deep(number))
    metrics = prepared(place)
    assert metrics["images"] == 26
    assert any("COVID 6 of 16" in told for told in metrics["warnings"])


def test_padding_is_black_in_both_polarities(tmp_path: Path) -> None:
    for interpretation in ("MONOCHROME1", "MONOCHROME2"):
        pixels = deep(3) + 100
        pixels[:8] = 0
        tags = {"PixelPaddingValue": 0, "PhotometricInterpretation": interpretation}
        read = read_radiograph(write(tmp_path / f"{interpretation}.dcm", pixels, **tags))
        assert (read[:8] == 0).all()


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    pixels = (film(4, size=64) > 128).astype(np.uint8)
    read = read_radiograph(write(tmp_path / "one.dcm", pixels, BitsStored=1, HighBit=0))
    assert set(np.unique(read)) == {0, 255}


def test_a_preamble_that_begins_as_a_tiff_is_dicom(tmp_path: Path) -> None:
    path = write(tmp_path / "both.dcm", deep(5))
    plain = read_radiograph(path)
    content = path.read_bytes()
    path.write_bytes(b"II*\0\x54\x18\x08\0" + content[8:])
    assert (read_radiograph(path) == plain).all()
