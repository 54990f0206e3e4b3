"""Colours from the file to the pixels of an index, at the command."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from balancer.data.index import load_index
from balancer.data.io import decode_radiograph, png_bytes, resize_square
from balancer.imaging.pixels import luma
from support.made_dicom import content, dataset
from support.radiograph_folders import class_folders, film, save
from support.reading_command import prepare, prepared, refused

NAME = Path("x.png")
SIDE = "gan.image_size=32"


def tinted(seed: int, size: int = 48) -> np.ndarray:
    """A smooth image of three different channels, uint8 (size, size, 3)."""
    return np.stack([film(1000 * channel + seed, size) for channel in (1, 2, 3)], axis=2)


def colours(data: bytes, path: Path = NAME) -> np.ndarray:
    read = decode_radiograph(data, path, channels=3).colours
    assert read is not None
    return read


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def skin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number in range(22):
        save(tmp_path / "skin" / ("mel" if number < 10 else "nv") / f"{number}.png", tinted(number))
    return tmp_path / "skin"


def test_coloured_images_are_read_in_colour_and_kept_so(skin: Path) -> None:
    done, metrics = prepared(skin, "--set", SIDE)
    assert not any("colour" in sentence.lower() for sentence in metrics["warnings"])
    assert "in colour" in done.stderr
    index = load_index(Path("w/index"))
    assert index.preprocessing.channels == 3
    pixels = index.image_set(32).pixels
    for record, square in zip(index.records, pixels, strict=True):
        stored = np.asarray(Image.open(skin / record.path))
        np.testing.assert_array_equal(square, resize_square(stored, 32))
    assert prepare(skin, "--set", SIDE).stderr.count("up to date") == 1


def test_the_choice_of_grey_is_kept_and_said(skin: Path) -> None:
    _, metrics = prepared(skin, "--set", "data.channels=1", "--set", SIDE)
    assert "colour is dropped: 22 of 22 images" in metrics["warnings"][0].lower()
    index = load_index(Path("w/index"))
    assert index.image_set(32).pixels.shape == (22, 32, 32)
    assert prepare(skin, "--set", "data.channels=3").exit_code == 2


def test_grey_images_leave_no_trace_of_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = class_folders(tmp_path / "data", {"COVID": 10, "Normal": 12})
    save(data / "COVID" / "one.png", tinted(1))
    prepared(data)
    settings = json.loads(Path("w/index/result.json").read_text())["settings"]
    assert "channels" not in json.dumps(settings)
    index = load_index(Path("w/index"))
    assert index.preprocessing.channels == 1
    # As many channels as asked for, three equal ones of a grey image.
    prepared(data, "--force", "--set", "data.channels=3", "--set", SIDE)
    pixels = load_index(Path("w/index")).image_set(32).pixels
    assert pixels.shape == (23, 32, 32, 3)
    assert sum(bool((np.ptp(image, axis=2) > 0).any()) for image in pixels) == 1


def test_other_numbers_of_channels_are_refused(skin: Path) -> None:
    assert "channels" in refused(skin, 2, "--set", "data.channels=2")


def test_preprocessing_keeps_the_hue(skin: Path) -> None:
    words = ("preprocessing.contrast=clahe", "preprocessing.frame=pad", SIDE)
    prepared(skin, *(word for change in words for word in ("--set", change)))
    pixels = load_index(Path("w/index")).image_set(32).pixels
    assert pixels.shape == (22, 32, 32, 3)
    assert (np.ptp(pixels, axis=3) > 20).mean() > 0.5
    assert Path("w/index/preprocessing.png").is_file()


def test_a_profile_decides_what_colours_mean() -> None:
    image = Image.fromarray(tinted(1))
    other = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_allclose(colours(encoded(image, icc_profile=srgb)), tinted(1), atol=1)
    # A profile that does not fit the file is said, and the colours stay.
    read = decode_radiograph(encoded(image, icc_profile=other), NAME, channels=3)
    assert any("profile" in flag for flag in read.flags)
    np.testing.assert_array_equal(colours(encoded(image, icc_profile=other)), tinted(1))


@pytest.mark.fault(11)
def test_cmyk_ends_as_srgb() -> None:
    image = Image.fromarray(tinted(2)).convert("CMYK")
    read = colours(encoded(image, "JPEG", quality=100, subsampling=0), Path("x.jpg"))
    assert np.abs(read.astype(int) - tinted(2)).mean() < 3


@pytest.mark.parametrize("bits", [16, 12])
def test_colours_of_16_bits_share_the_depth_that_they_use(bits: int) -> None:
    import cv2

    deep = np.round(tinted(3).astype(np.float64) / 255 * (2**bits - 1)).astype(np.uint16)
    deep[0, 0] = 2**bits - 1
    done, data = cv2.imencode(".png", np.ascontiguousarray(deep[..., ::-1]))
    assert done
    expected = np.round(deep / (2**bits - 1) * 255)
    assert np.abs(colours(data.tobytes()) - expected).max() <= 1


@pytest.mark.fault(12)
def test_an_upright_image_has_upright_colours() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.ascontiguousarray(np.rot90(tinted(4)))
    read = decode_radiograph(encoded(Image.fromarray(turned), exif=exif), NAME, channels=3)
    np.testing.assert_array_equal(read.colours, tinted(4))
    assert np.abs(read.pixels.astype(int) - luma(tinted(4)[None])[0]).max() <= 1


def test_dicom_of_ybr_ends_as_srgb() -> None:
    pytest.importorskip("pydicom")
    rgb = tinted(5, 64)
    tags = {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
    ybr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    for pixels, kind in ((rgb, "RGB"), (ybr, "YBR_FULL")):
        data = content(dataset(pixels, PhotometricInterpretation=kind, **tags))
        assert np.abs(colours(data, Path("x.dcm")).astype(int) - rgb).max() <= 3


def test_written_colours_are_read_back() -> None:
    data = png_bytes(tinted(6), {"Synthetic": "true"})
    read = decode_radiograph(data, NAME, channels=3)
    assert read.synthetic
    np.testing.assert_array_equal(read.colours, tinted(6))
