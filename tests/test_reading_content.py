"""The content of a file decides how it is read; what is not read is named."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.radiograph_folders import class_folders, film, save
from support.reading_command import groups, images_of, prepare, prepared, refused


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return class_folders(tmp_path / "data", {"COVID": 10, "Normal": 12})


@pytest.mark.fault(6)
@pytest.mark.parametrize(
    ("suffix", "saved"),
    [
        (".jfif", "JPEG"),
        (".jpe", "JPEG"),
        ("", "PNG"),
        (".dat", "PNG"),
        (".txt", "JPEG"),
        (".tif", "TIFF"),
        (".TIFF", "TIFF"),
        (".webp", "WEBP"),
        (".bmp", "BMP"),
        (".gif", "GIF"),
        (".scan", "TIFF"),
        (".png", "WEBP"),
    ],
)
def test_content_decides(data: Path, suffix: str, saved: str) -> None:
    for number in range(5):
        options = {"lossless": True} if saved == "WEBP" else {}
        save(data / "COVID" / f"x{number}{suffix}", film(90 + number), format=saved, **options)
    done, metrics = prepared(data)
    assert images_of(metrics) == {"COVID": 15, "Normal": 12}
    assert "left_out" not in metrics
    assert "NOT ALL" not in done.stdout


def test_a_tiff_of_16_bits_whose_white_is_zero(data: Path) -> None:
    deep = film(95).astype(np.uint16) * 257
    for number, (name, tags) in enumerate((("plain", {}), ("reversed", {262: 0}))):
        save(data / "COVID" / f"{name}.tif", deep if number == 0 else 65535 - deep, tiffinfo=tags)
    _, metrics = prepared(data)
    # Equal pixels: both are one film, so they are one group.
    assert {"COVID/plain.tif", "COVID/reversed.tif"} in groups().values()
    assert metrics["images"] == 24


def test_what_is_not_read_is_named_with_its_share(data: Path) -> None:
    for number in range(3):
        (data / "COVID" / f"h{number}.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
        (data / "COVID" / f"j{number}").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40))
    (data / "COVID" / "notes.md").write_text("words\n")
    save(data / "Normal" / "more" / "deep.png", film(99))
    done, metrics = prepared(data)
    lost = metrics["left_out"]
    assert {label: (one["images"], one["share"]) for label, one in lost.items()} == {
        "COVID": (6, round(6 / 16, 4)),
        "Normal": (1, round(1 / 13, 4)),
    }
    assert sorted(lost["COVID"]["reasons"].values()) == [3, 3]
    assert any("HEIC" in reason for reason in lost["COVID"]["reasons"])
    assert any("JPEG 2000" in reason for reason in lost["COVID"]["reasons"])
    told = "\n".join(metrics["warnings"])
    assert "6 of 16" in told
    assert "6 of 16" in done.stderr
    assert "that is no image" in told  # notes.md
    assert "6 (38 %)" in done.stdout
    last = done.stdout.rstrip().splitlines()[-2:]
    assert "COVID 38 % (6)" in " ".join(last)
    assert prepare(data, "--strict").exit_code == 4


def test_a_class_that_loses_less_than_one_percent_is_no_last_line(data: Path) -> None:
    big = class_folders(data.parent / "big", {"COVID": 120, "Normal": 8})
    (big / "COVID" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    done, metrics = prepared(big)
    assert metrics["left_out"]["COVID"]["images"] == 1
    assert "NOT ALL" not in done.stdout
    assert "under 1 %" in done.stdout


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"../store/COVID/1.png", "cp -rL"),
        (b"%PDF-1.7", "PDF"),
        (b"", "empty"),
    ],
)
def test_a_reason_says_what_a_file_is(data: Path, content: bytes, word: str) -> None:
    (data / "COVID" / "x.png").write_bytes(content)
    assert word in refused(data, 3)
    done, metrics = prepared(data, "--skip-bad")
    assert metrics["left_out"]["COVID"]["images"] == 1
    assert "COVID 9 % (1)" in done.stdout


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_whole_file_with_more_behind_it_is_not_damaged(data: Path) -> None:
    whole = jpeg(film(80))
    scan = whole.index(b"\xff\xda")
    (data / "COVID" / "trailer.jpg").write_bytes(whole + whole[scan : scan + 60])
    (data / "COVID" / "sum.png").write_bytes(
        (data / "COVID" / "000.png").read_bytes()[:-4] + b"\1\2\3\4"
    )
    prepared(data)


def test_a_jpeg_of_12_bits_says_how_to_convert(data: Path) -> None:
    content = bytearray(jpeg(film(80)))
    frame = content.index(b"\xff\xc0")
    content[frame + 1], content[frame + 4] = 0xC1, 12
    (data / "COVID" / "deep.jpg").write_bytes(bytes(content))
    told = refused(data, 3)
    assert "12 bits" in told
    assert "gdcmconv" in told


def test_a_limit_names_its_setting_and_the_setting_lifts_it(data: Path) -> None:
    for number in range(9):
        save(data / "Tall" / f"{number}.png", np.tile(film(60 + number), (6, 1)))
    assert "data.max_aspect" in refused(data, 3)
    _, metrics = prepared(data, "--set", "data.max_aspect=7")
    assert images_of(metrics)["Tall"] == 9
    save(data / "Tall" / "small.png", film(1, size=20))
    assert "data.min_side" in prepare(data, "--force", "--set", "data.max_aspect=7").stderr


def test_links_are_followed_on_request(data: Path) -> None:
    place = data.parent / "links"
    for path in sorted(data.rglob("*.png")):
        link = place / path.relative_to(data)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    (place / "COVID" / "loop.png").symlink_to("loop.png")
    told = refused(place, 3)
    assert "data.follow_links" in told
    assert "cp -rL" in told
    _, metrics = prepared(place, "--skip-bad", "--set", "data.follow_links=true")
    assert images_of(metrics) == {"COVID": 10, "Normal": 12}
    assert metrics["quarantined"] == 1  # the loop


def test_linked_class_folders_are_followed_on_request(data: Path) -> None:
    place = data.parent / "links"
    place.mkdir()
    for label in ("COVID", "Normal"):
        (place / label).symlink_to(data / label)
    assert "data.follow_links" in refused(place, 3)
    _, metrics = prepared(place, "--set", "data.follow_links=true")
    assert images_of(metrics) == {"COVID": 10, "Normal": 12}


@pytest.mark.fault(17)
def test_a_circular_link_is_set_aside(data: Path) -> None:
    (data / "COVID" / "loop.png").symlink_to("loop.png")
    _, metrics = prepared(data, "--skip-bad")
    assert metrics["quarantined"] == 1


@pytest.mark.fault(9)
def test_pages_are_refused_and_previews_are_not(data: Path) -> None:
    page = Image.fromarray(film(70))
    other = Image.fromarray(film(71))
    page.save(data / "COVID" / "apng.png", save_all=True, append_images=[other])
    small = Image.fromarray(film(70, size=32))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(data / "COVID" / "preview.tif", save_all=True, append_images=[small])
    prepared(data)
    page.save(data / "COVID" / "pages.tif", save_all=True, append_images=[other])
    assert "2 pages" in prepare(data, "--force").stderr


def test_folders_of_masks_are_no_loss(data: Path) -> None:
    for label in ("COVID", "Normal"):
        for name in ("lung masks", "infection_mask"):
            save(data / label / name / "1.png", film(3))
    save(data / "Lung Masks" / "1.png", film(3))
    _, metrics = prepared(data)
    assert images_of(metrics) == {"COVID": 10, "Normal": 12}
    assert "left_out" not in metrics
    assert any("5 files or folders ignored: folder of masks" in one for one in metrics["warnings"])
