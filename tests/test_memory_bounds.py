"""Hostile or huge files at the command: memory and disk stay within bounds, and the file is named.

What would take gigabytes is made small: a header says more than there is, or a limit is lowered.
"""

import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.lib import format as npy
from numpy.typing import NDArray
from openpyxl import Workbook

from balancer.cli import main
from balancer.errors import DataError, EnvironmentFault
from balancer.workspace import Workspace
from support import made_archives as made
from support.made_dicom import content as dicom_content
from support.made_dicom import dataset as dicom_dataset
from support.radiograph_folders import film, save
from support.tiny_pipeline import draw_folder

Shape = tuple[int, ...]
MIB = 2**20
BOMB = 64 * MIB
"""Bytes of an inflated bomb: far above what an honest file of these tests needs."""


def prepared(data: Path, tmp_path: Path, *options: str) -> Result:
    """Run `balancer prepare` on an archive."""
    few = ("--set", "data.min_images=3")
    return CliRunner().invoke(
        main, ["prepare", "--data", str(data), "-w", str(tmp_path / "w"), *few, *options]
    )


def refused(result: Result, name: str, code: int = DataError.exit_code) -> None:
    """Check the exit code, that the sentence names something, and that it is one."""
    assert result.exit_code == code, result.output
    last = result.output.splitlines()[-1]
    assert last.startswith("Error: ")
    assert name in last
    assert len(last) < 800


def npz(
    path: Path,
    *,
    claimed: Mapping[str, Shape] | None = None,
    inflated: Mapping[str, int] | None = None,
) -> Path:
    """Write a MedMNIST file of 24 images of 32 px, some of whose arrays are not what they say.

    Args:
        path: The file.
        claimed: Name of an array to the shape that its header has instead.
        inflated: Name of an array to a number of zeros that follow its values.
    """
    labels = np.arange(24, dtype=np.uint8)[:, None] % 2
    images = np.stack([film(number, 32) for number in range(24)])
    arrays = {"train_images": images, "train_labels": labels}
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            shape = (claimed or {}).get(name, array.shape)
            with archive.open(f"{name}.npy", "w") as member:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                npy.write_array_header_1_0(member, header)
                member.write(array.tobytes())
                member.write(bytes((inflated or {}).get(name, 0)))
    return path


def unpacked_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what is read from members of zip files."""
    counted: list[int] = []
    read = zipfile.ZipExtFile.read

    def counting(self: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        found = read(self, n)
        counted.append(len(found))
        return found

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counting)
    return counted


BOMBS: dict[str, tuple[dict[str, Shape], dict[str, int]]] = {
    "labels inflate": ({"train_labels": (BOMB + 24, 1)}, {"train_labels": BOMB}),
    "labels inflate behind an honest header": ({}, {"train_labels": BOMB}),
    "labels of many columns": ({"train_labels": (24, MIB)}, {"train_labels": 24 * (MIB - 1)}),
    "images inflate behind an honest header": ({}, {"train_images": BOMB}),
    "images of another number": ({"train_images": (2**33, 32, 32)}, {}),
}


@pytest.mark.parametrize("how", BOMBS)
def test_an_npz_bomb_is_refused_from_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    claimed, inflated = BOMBS[how]
    file = npz(tmp_path / "x.npz", claimed=claimed, inflated=inflated)
    counted = unpacked_bytes(monkeypatch)
    refused(prepared(file, tmp_path), "x.npz")
    assert sum(counted) < MIB


def test_an_npz_bomb_is_refused_where_a_model_is_tested_on_it(
    tmp_path: Path, copied: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = npz(tmp_path / "x.npz", inflated={"train_labels": BOMB})
    counted = unpacked_bytes(monkeypatch)
    command = ["evaluate", str(file), "-w", str(copied.root)]
    refused(CliRunner().invoke(main, command), "x.npz")
    assert sum(counted) < MIB


def test_an_npz_of_more_than_is_ever_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balancer.data.npz._MOST_UNPACKED", 24 * 32 * 32 - 1)
    refused(prepared(npz(tmp_path / "x.npz"), tmp_path), "x.npz")


def test_a_healthy_npz_is_read(tmp_path: Path) -> None:
    assert prepared(npz(tmp_path / "x.npz"), tmp_path).exit_code == 0


def test_a_healthy_npz_is_not_blamed_for_a_temporary_folder_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    result = prepared(npz(tmp_path / "x.npz"), tmp_path)
    refused(result, "TMPDIR", EnvironmentFault.exit_code)


def test_a_healthy_npz_is_not_blamed_for_a_full_temporary_folder(tmp_path: Path) -> None:
    file = npz(tmp_path / "x.npz")

    code = (
        "import resource\n"
        "from balancer.cli import main\n"
        "room = 16 * 2**10  # the 24 images take 24 KiB\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))\n"
        "main()\n"
    )
    command = [sys.executable, "-c", code, "prepare", "--data", str(file)]
    done = subprocess.run(
        [*command, "-w", str(tmp_path / "w")], capture_output=True, text=True, check=False
    )
    assert done.returncode == EnvironmentFault.exit_code, done.stderr
    assert "TMPDIR" in done.stderr.splitlines()[-1]


MEASURED = """
import pathlib, re, sys
from balancer.data.ingest import passes, pool
pool.available_cores, passes._CHUNK = lambda: 8, 1
from balancer.cli import main
try:
    main()
finally:
    # Not ru_maxrss, which begins with the memory of the parent.
    status = pathlib.Path("/proc/self/status").read_text()
    print("peak", int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024, file=sys.stderr)
"""


def peak_mb(data: Path, workspace: Path, limit_mb: int) -> tuple[int, str]:
    """Run `balancer prepare` as on 8 cores; return its peak memory in MiB, and what it said."""
    options = ("--set", "data.min_images=3", "--set", f"data.max_memory_mb={limit_mb}")
    command = [sys.executable, "-c", MEASURED, "prepare", "--data", str(data), "-w", str(workspace)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.rpartition("peak ")[2]), done.stderr


def deep_film(seed: int, side: int) -> NDArray[np.uint16]:
    """Enlarge a film to 16 bits and four channels, in BGRA order; a file of it is small."""
    grey = film(seed, 64).repeat(side // 64, axis=0).repeat(side // 64, axis=1)
    return np.dstack([grey, grey, grey, np.full_like(grey, 255)]).astype(np.uint16) * 257


@pytest.mark.fault(7)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_huge_films_together_stay_within_the_setting(tmp_path: Path) -> None:
    small, huge = tmp_path / "small", tmp_path / "huge"
    for number in range(8):
        label = ("COVID", "Normal")[number % 2]
        for folder, side in ((small, 64), (huge, 2560)):
            place = folder / label / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(place), deep_film(number, side))
    before, _ = peak_mb(small, tmp_path / "a", 128)
    peak, said = peak_mb(huge, tmp_path / "b", 128)
    assert peak - before < 128
    assert "data.max_memory_mb=128" in said


def test_an_image_that_needs_more_than_the_setting_is_refused_or_quarantined(
    tmp_path: Path,
) -> None:
    data = draw_folder(tmp_path / "data", 12, 12)
    assert cv2.imwrite(str(data / "COVID" / "deep.png"), deep_film(0, 2560))
    low = ("--set", "data.max_memory_mb=64")
    result = prepared(data, tmp_path, *low)
    refused(result, "COVID/deep.png")
    assert "data.max_memory_mb" in result.output
    result = prepared(data, tmp_path, *low, "--skip-bad")
    assert result.exit_code == 0
    quarantine = (tmp_path / "w" / "index" / "quarantine.csv").read_text()
    assert "COVID/deep.png" in quarantine
    assert prepared(data, tmp_path, "--set", "data.max_memory_mb=256", "--force").exit_code == 0


def huge_webp(kind: bytes) -> bytes:
    """Return the start of a WebP file of 16,000 x 16,000 px, whose canvas takes 2 GB."""
    side = 15_999
    if kind == b"VP8X":
        chunk = bytes(4) + side.to_bytes(3, "little") * 2
    elif kind == b"VP8L":
        chunk = b"\x2f" + (side | side << 14).to_bytes(4, "little")
    else:
        chunk = b"\0\0\0\x9d\x01\x2a" + side.to_bytes(2, "little") * 2
    chunk += bytes(64)
    body = b"WEBP" + kind + len(chunk).to_bytes(4, "little") + chunk
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def tagged_tiff(tags: Mapping[int, int]) -> bytes:
    """Return a compressed grey TIFF of 64 x 64 px with further tags."""
    every = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, **tags}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, one) for tag, one in sorted(every.items()))
    return b"II*\0\x08\0\0\0" + len(every).to_bytes(2, "little") + entries + bytes(4 + 64)


GIF_SCREEN = b"GIF89a" + (20_000).to_bytes(2, "little") * 2 + bytes(3)
GIF_FRAME = b"," + bytes(4) + (20_000).to_bytes(2, "little") * 2 + b"\0\x08\0;"
HUGE = {
    "extended.webp": (huge_webp(b"VP8X"), "data.max_megapixels"),
    "lossless.webp": (huge_webp(b"VP8L"), "data.max_megapixels"),
    "lossy.webp": (huge_webp(b"VP8 "), "data.max_megapixels"),
    "screen.gif": (GIF_SCREEN + GIF_FRAME, "data.max_megapixels"),
    "sides.tif": (
        tagged_tiff({256: 20_000, 257: 20_000, 273: 8, 278: 20_000, 279: 8}),
        "data.max_megapixels",
    ),
    "tile.tif": (
        tagged_tiff({322: 40_000, 323: 40_000, 324: 8, 325: 8}),
        "data.max_memory_mb",
    ),
}


@pytest.mark.fault(7)
@pytest.mark.parametrize("name", HUGE)
def test_a_huge_image_is_refused_from_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    content, setting = HUGE[name]
    data = draw_folder(tmp_path / "data", 8, 8)
    (data / "COVID" / name).write_bytes(content)
    # The canvas of a WebP file is allocated where its header is read.
    monkeypatch.setattr("PIL.WebPImagePlugin._webp.WebPAnimDecoder", lambda data: 1 / 0)
    result = prepared(data, tmp_path, "--set", "data.max_memory_mb=1024")
    refused(result, name)
    assert setting in result.output


def test_a_huge_dicom_is_refused_before_it_becomes_floats(tmp_path: Path) -> None:
    data = draw_folder(tmp_path / "data", 8, 8)
    deep = np.zeros((2048, 2048), np.uint16)
    (data / "COVID" / "deep.dcm").write_bytes(dicom_content(dicom_dataset(deep)))
    result = prepared(data, tmp_path, "--set", "data.max_memory_mb=128")
    refused(result, "deep.dcm")
    assert "data.max_memory_mb" in result.output


def test_a_huge_lung_mask_is_refused(tmp_path: Path) -> None:
    for number in range(16):
        folder = tmp_path / "data" / ("COVID", "Normal")[number % 2]
        save(folder / "images" / f"{number}.png", film(number))
        save(folder / "masks" / f"{number}.png", np.full((48, 48), 255, np.uint8))
    save(folder / "masks" / "15.png", np.zeros((8000, 8000), np.uint8))
    lungs = ("--set", "preprocessing.lungs=crop-to-lungs", "--set", "data.max_memory_mb=128")
    result = prepared(tmp_path / "data", tmp_path, *lungs)
    refused(result, "masks/15.png")
    assert "data.max_memory_mb" in result.output


def workbook(folder: Path, sheet: bytes) -> Path:
    """Put a workbook beside the class folders, whose sheet has other bytes."""
    book = Workbook()
    book.active.append(["FILE NAME", "URL"])
    path = folder / "COVID.metadata.xlsx"
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, sheet if name.endswith("sheet1.xml") else content)
    return path


SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
ROW = b'<row><c t="inlineStr"><is><t>x</t></is></c></row>'
LAST_ROW = b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row>'
END = b"</sheetData></worksheet>"


@pytest.mark.parametrize("rows", [ROW * 200, ROW + LAST_ROW])
def test_a_workbook_of_endless_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: bytes
) -> None:
    monkeypatch.setattr("balancer.data.tables.MOST_WORKBOOK_ROWS", 100)
    data = draw_folder(tmp_path / "data", 8, 8)
    workbook(data, SHEET + rows + END)
    result = prepared(data, tmp_path)
    refused(result, "COVID.metadata.xlsx")
    assert "100" in result.output.splitlines()[-1]


def test_a_workbook_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balancer.data.tables.MOST_BYTES", MIB)
    data = draw_folder(tmp_path / "data", 8, 8)
    workbook(data, SHEET + b" " * BOMB + ROW + END)
    counted = unpacked_bytes(monkeypatch)
    refused(prepared(data, tmp_path), "COVID.metadata.xlsx")
    assert sum(counted) < MIB


@pytest.mark.parametrize("limit", ["MOST_ROWS", "MOST_BYTES"])
@pytest.mark.parametrize("name", ["list.csv", "metadata.csv", "list.parquet"])
def test_a_table_of_absurd_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: str
) -> None:
    data = draw_folder(tmp_path / "data", 8, 8)
    rows = [
        {"path": path.relative_to(data).as_posix(), "label": path.parent.name, "note": "x" * 5_000}
        for path in sorted(data.rglob("*.png"))
    ]
    table = data / name
    if name.endswith(".parquet"):
        parquet = pytest.importorskip("pyarrow.parquet")
        arrow = pytest.importorskip("pyarrow")
        # Of equal texts the file has one.
        parquet.write_table(arrow.Table.from_pylist(rows), table)
        assert table.stat().st_size < 20_000
    else:
        made.write_csv(table, list(rows[0])[: 3 if limit == "MOST_BYTES" else 2], rows)
    given = data if name == "metadata.csv" else table
    assert prepared(given, tmp_path).exit_code == 0
    few = {"MOST_ROWS": 10, "MOST_BYTES": 30_000}[limit]
    for place in ("tables", "metadata", "layouts.path_table"):
        monkeypatch.setattr(f"balancer.data.{place}.{limit}", few, raising=False)
    refused(prepared(given, tmp_path, "--force"), name)
