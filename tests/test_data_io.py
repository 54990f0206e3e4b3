import contextlib
import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from balancer.data.io import (
    UnusableImageError,
    decode_radiograph,
    png_bytes,
    read_radiograph,
    resize_square,
)
from support.radiograph_folders import film, save

NAME = Path("film.png")


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return decode_radiograph(data, NAME).pixels


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of_one_value(width: int, height: int, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (width + 1) * min(height, 100))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            *extra,
            png_chunk(b"IDAT", rows),
            png_chunk(b"IEND", b""),
        ]
    )


def _is_marked(path: Path) -> bool:
    return decode_radiograph(path.read_bytes(), path).synthetic


def test_sixteen_bit_is_scaled_by_its_declared_range() -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (40, 50), dtype=np.uint16)
    samples[0, :3] = 0, 65535, 257
    pixels = decoded(encoded(Image.fromarray(samples)))
    np.testing.assert_array_equal(pixels, np.round(samples / 257).astype(np.uint8))
    assert pixels[0, :3].tolist() == [0, 255, 1]


def grey() -> Image.Image:
    return Image.fromarray(film(1))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_every_mode_of_a_grey_film_reads_the_same(mode: str) -> None:
    np.testing.assert_array_equal(decoded(encoded(grey().convert(mode))), film(1))


@pytest.mark.fault(11)
def test_one_bit_becomes_black_and_white() -> None:
    bits = film(1) > 128
    pixels = decoded(encoded(Image.fromarray(bits)))
    np.testing.assert_array_equal(pixels, np.where(bits, 255, 0))


@pytest.mark.fault(11)
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_lies_on_black(mode: str) -> None:
    image = grey().convert(mode)
    alpha = np.full((48, 48), 255, np.uint8)
    alpha[:, :24] = 0
    image.putalpha(Image.fromarray(alpha))
    pixels = decoded(encoded(image))
    assert pixels[:, :24].max() == 0
    np.testing.assert_array_equal(pixels[:, 24:], film(1)[:, 24:])


def test_transparent_palette_entry_is_black() -> None:
    image = Image.fromarray(np.tile(np.uint8([[0, 1]]), (40, 20)), "P")
    image.putpalette([255, 255, 255, 100, 100, 100])
    pixels = decoded(encoded(image, transparency=0))
    assert pixels[0, :2].tolist() == [0, 100]


@pytest.mark.parametrize(("mode", "clear"), [("L", 100), ("1", 255), ("RGB", (100, 100, 100))])
def test_transparent_value_is_black(mode: str, clear: object) -> None:
    image = Image.fromarray(np.tile(np.uint8([[200, 100]]), (40, 20))).convert(mode, dither=0)
    pixels = decoded(encoded(image, transparency=clear))
    assert pixels[:, ::2].max() == (0 if mode == "1" else 200)
    assert pixels[:, 1::2].max() == 0


def test_palette_with_graded_transparency_lies_on_black() -> None:
    image = Image.fromarray(np.tile(np.uint8([[0, 1]]), (40, 20)), "P")
    image.putpalette([255, 255, 255, 100, 100, 100])
    assert decoded(encoded(image, transparency=b"\x80\xff"))[0, :2].tolist() == [128, 100]


def test_cmyk_jpeg_is_a_positive() -> None:
    image = grey().convert("RGB").convert("CMYK")
    pixels = decoded(encoded(image, "JPEG", quality=95)).astype(int)
    assert np.abs(pixels - film(1)).mean() < 6


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, lambda film: film),
        (3, lambda film: np.rot90(film, 2)),
        (6, lambda film: np.rot90(film, 1)),  # the viewer turns it clockwise
        (8, lambda film: np.rot90(film, -1)),
    ],
)
def test_orientation_is_applied_once(orientation: int, stored) -> None:
    upright = film(3)[:, :30]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored(upright))), exif=exif)
    np.testing.assert_array_equal(decoded(data), upright)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_is_ignored() -> None:
    data = encoded(grey(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert decoded(data).shape == (48, 48)


JPEG = encoded(grey(), "JPEG")
PNG = encoded(grey())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:-1], "truncated"),
        (PNG[: len(PNG) // 2], "truncated"),
        (PNG[:-1], "truncated"),
        (PNG[: len(PNG) // 2] + png_chunk(b"IEND", b""), "truncated"),
        (PNG[:60] + b"\0\0\0\0" + PNG[64:], "broken"),
        (PNG[:8], "truncated"),
        (b"<html><body>404</body></html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"../../store/COVID/c000.png", "symbolic link"),
        (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
        (b"words", "text"),
        (bytes(600), "no image"),
        (encoded(grey(), "EPS"), "PostScript"),
    ],
)
def test_bad_content_is_refused_with_its_name_and_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnusableImageError, match=reason) as error:
        decoded(data)
    assert "film.png" in str(error.value)
    assert error.value.exit_code == 3


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = save(tmp_path / "film.jpg", film(1), format="PNG")
    np.testing.assert_array_equal(read_radiograph(path), film(1))


def test_trailing_bytes_do_no_harm() -> None:
    np.testing.assert_array_equal(decoded(JPEG + b"\0" * 100), decoded(JPEG))


def test_bomb_is_refused_from_the_header() -> None:
    bomb = png_of_one_value(30_000, 30_000)
    tracemalloc.start()
    with pytest.raises(UnusableImageError):
        decoded(bomb)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.fault(8)
@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_huge_compressed_chunk_is_bounded(kind: bytes) -> None:
    body = b"Comment\0\0" + zlib.compress(b"x" * 80_000_000, 1)
    data = png_of_one_value(64, 64, png_chunk(kind, body))
    tracemalloc.start()
    with contextlib.suppress(UnusableImageError):
        decoded(data)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


@pytest.mark.fault(8)
def test_many_text_chunks_take_no_time() -> None:
    chunks = [png_chunk(b"tEXt", b"key%d\0value" % number) for number in range(10_000)]
    started = time.monotonic()
    assert decoded(png_of_one_value(64, 64, *chunks)).shape == (64, 64)
    assert time.monotonic() - started < 3


def test_resize_keeps_a_constant_and_averages_a_checkerboard() -> None:
    assert np.unique(resize_square(np.full((70, 50), 93, np.uint8), 32)).tolist() == [93]
    board = np.indices((256, 256)).sum(axis=0) % 2 * 255
    small = resize_square(board.astype(np.uint8), 32)
    assert small.shape == (32, 32)
    assert 125 <= small.min() <= small.max() <= 130  # without antialiasing: 0 or 255


def test_resize_stretches() -> None:
    halves = np.zeros((64, 128), np.uint8)
    halves[:, 64:] = 200
    small = resize_square(halves, 32)
    assert small[:, :14].max() == 0
    assert small[:, 18:].min() == 200


def test_png_round_trip_with_its_text(tmp_path: Path) -> None:
    path = tmp_path / "made.png"
    path.write_bytes(png_bytes(film(5), {"Synthetic": "true", "Seed": "17"}))
    np.testing.assert_array_equal(read_radiograph(path), film(5))
    assert _is_marked(path)
    with Image.open(path) as image:
        assert image.info == {"Synthetic": "true", "Seed": "17"}


def test_mark_after_the_pixels_counts(tmp_path: Path) -> None:
    mark = png_chunk(b"tEXt", b"Synthetic\0true")
    end = PNG.rindex(b"IEND") - 4
    path = tmp_path / "made.png"
    path.write_bytes(PNG[:end] + mark + PNG[end:])
    assert _is_marked(path)


@pytest.mark.parametrize("text", [{}, {"Synthetic": "false"}, {"Comment": "Synthetic=true"}])
def test_other_text_is_no_mark(tmp_path: Path, text: dict[str, str]) -> None:
    info = PngImagePlugin.PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    assert not _is_marked(save(tmp_path / "film.png", film(1), pnginfo=info))


def test_colour_marks_are_measured() -> None:
    marked = np.repeat(film(1)[..., None], 3, axis=2)
    assert decode_radiograph(encoded(Image.fromarray(marked)), NAME).colour == 0
    marked[5:9, 5:20] = (255, 0, 0)
    assert decode_radiograph(encoded(Image.fromarray(marked)), NAME).colour == pytest.approx(
        60 / 48**2, rel=0.2
    )
