"""Damaged images and DICOM files never surprise `prepare`."""

import io
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from support.mutations import Damage, ask, damaged, damaged_start, seeds, with_png_checksums
from support.radiograph_folders import class_folders, film

PER_FOLDER = 24
"""Damaged files that one command reads: each command costs more than many files."""


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _originals() -> dict[str, list[bytes]]:
    """Small valid files of every format that is read, in several forms."""
    grey = Image.fromarray(film(77))
    deep = Image.fromarray(film(78).astype(np.uint16) * 257)
    colors = Image.merge("RGB", [Image.fromarray(film(seed)) for seed in (79, 80, 81)])
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        ".png": [
            _encoded(grey, "PNG"),
            _encoded(deep, "PNG"),
            _encoded(grey.convert("RGBA"), "PNG"),
            _encoded(grey.convert("P"), "PNG", exif=exif),
            _encoded(grey.convert("1"), "PNG"),
        ],
        ".jpg": [
            _encoded(grey, "JPEG", exif=exif),
            _encoded(colors, "JPEG", progressive=True),
            _encoded(colors.convert("CMYK"), "JPEG"),
        ],
        ".tif": [
            _encoded(grey, "TIFF"),
            _encoded(deep, "TIFF"),
            _encoded(colors, "TIFF", compression="tiff_lzw"),
            _encoded(grey, "TIFF", compression="tiff_adobe_deflate"),
            _encoded(Image.fromarray(film(82).astype(np.float32)), "TIFF"),
        ],
        ".webp": [_encoded(colors, "WEBP"), _encoded(grey, "WEBP", lossless=True)],
    }


def _prepare_with(tmp_path: Path, suffix: str, files: list[bytes], number: int) -> None:
    """Run `prepare` on damaged files among whole ones, and on the first of them alone."""
    root = class_folders(tmp_path / f"films-{number}", {"a": 9, "b": 9})
    for index, content in enumerate(files):
        (root / "a" / f"damaged-{index:03}{suffix}").write_bytes(content)
    workspace = str(tmp_path / f"work-{number}")
    words = ["--data", str(root), "-w", workspace, "--set", "data.max_memory_mb=256"]
    done = ask("prepare", *words, "--skip-bad")
    assert (done.exit_code == 0) == (Path(workspace) / "index" / "index.csv").exists()
    for content in files[1:]:  # refused, if it is, file by file
        (root / "a" / f"damaged-{files.index(content):03}{suffix}").unlink(missing_ok=True)
    ask("prepare", *words, "--force")


@pytest.mark.fault(70)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_damaged_images_are_foreseen(tmp_path: Path, suffix: str) -> None:
    """Bytes of images."""
    originals = _originals()[suffix]
    for seed in seeds(1):
        random = Random(f"{suffix} {seed}")
        files = []
        for _ in range(PER_FOLDER):
            damage: Damage = random.choice((damaged, damaged_start))
            content = damage(random.choice(originals), random)
            files.append(with_png_checksums(content) if random.random() < 0.7 else content)
        _prepare_with(tmp_path, suffix, files, seed)


@pytest.mark.fault(70)
def test_damaged_dicom_files_are_foreseen(tmp_path: Path) -> None:
    """Bytes of DICOM files."""
    pytest.importorskip("pydicom", reason="the extra [dicom] is not installed")
    from support.made_dicom import content, dataset

    deep = film(83).astype(np.uint16) * 16
    originals = [
        content(dataset(film(84), PatientID="p1", ViewPosition="PA")),
        content(dataset(deep, WindowCenter=2000, WindowWidth=400, PixelPaddingValue=0)),
        content(dataset(deep, PhotometricInterpretation="MONOCHROME1", RescaleSlope=2)),
    ]
    for seed in seeds(1):
        random = Random(f"dicom {seed}")
        damage = [random.choice((damaged, damaged_start, damaged_start)) for _ in range(PER_FOLDER)]
        files = [one(random.choice(originals), random) for one in damage]
        _prepare_with(tmp_path, ".dcm", files, seed)
