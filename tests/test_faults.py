"""One thing wrong among drawn films, at the command: refused by name, and nothing half-written."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load, save

import gan.module
from balancer.cli import main
from balancer.data.index import load_index
from balancer.manifest import ImageRecord, fingerprint, read_table, table_bytes
from balancer.workspace import Workspace
from support.radiograph_folders import class_folders, film
from support.radiograph_folders import save as save_film
from support.reading_command import groups, prepared, refused
from support.tiny_pipeline import arguments, tree

pytestmark = pytest.mark.blank_pictures
PLAIN = film(900, 96)


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return class_folders(Path("films"), {"COVID": 10, "Normal": 12})


@pytest.mark.fault(1)
@pytest.mark.parametrize("kind", ["missing", "file"])
def test_data_that_are_no_folder(kind: str, films: Path) -> None:
    place = Path("there")
    if kind == "file":
        place.write_text("no folder")
    assert "there" in refused(place, 3)


@pytest.mark.fault(2, 3)
@pytest.mark.parametrize("counts", [{"COVID": 0}, {}, {"COVID": 1}, {"COVID": 2}, {"COVID": 7}])
def test_too_few_images_or_classes(
    counts: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = class_folders(Path("films"), counts | {"Normal": 12})
    for label in counts:
        (place / label).mkdir(exist_ok=True)
    said = refused(place, 3)
    assert all(label in said for label in counts)


def png(*chunks: tuple[bytes, bytes], side: tuple[int, int] = (64, 64)) -> bytes:
    """Return a PNG of one grey value with chunks of one's own."""
    header = struct.pack(">IIBBBBB", *side, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\7" * side[0]) * min(side[1], 100))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def encoded(name: str, pixels: np.ndarray = PLAIN, share: float = 1.0) -> bytes:
    """Return the first bytes of the plain film as a file of a format."""
    path = Path(name)
    save_film(path, pixels)
    content = path.read_bytes()
    path.unlink()
    return content[: int(share * len(content))]


SPOILT: list[tuple[int, str, Callable[[], bytes]]] = [
    (4, "empty.png", lambda: b""),
    (5, "half.png", lambda: encoded("x.png", share=0.5)),
    (5, "half.jpg", lambda: encoded("x.jpg", share=0.5)),
    (5, "most.jpg", lambda: encoded("x.jpg", share=0.95)),
    (6, "page.png", lambda: b"<html>not found</html>"),
    (7, "bomb.png", lambda: png(side=(30_000, 30_000))),
    (8, "text.png", lambda: png((b"zTXt", b"a\0\0" + zlib.compress(b"x" * 80_000_000, 1)))),
    (9, "drawing.png", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    (9, "drawing.jpg", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n"),
    (13, "black.png", lambda: encoded("x.png", np.zeros((64, 64), np.uint8))),
    (14, "white.png", lambda: encoded("x.png", np.full((64, 64), 255, np.uint8))),
    (15, "dot.png", lambda: encoded("x.png", PLAIN[:1, :1])),
    (
        15,
        "tall.png",
        lambda: encoded("x.png", np.asarray(Image.fromarray(PLAIN).resize((8, 4000)))),
    ),
    (
        15,
        "wide.png",
        lambda: encoded("x.png", np.asarray(Image.fromarray(PLAIN).resize((10_000, 10)))),
    ),
]


@pytest.mark.parametrize(
    ("name", "content"),
    [pytest.param(name, made, id=name, marks=pytest.mark.fault(row)) for row, name, made in SPOILT],
)
def test_a_file_that_is_no_usable_image(
    name: str, content: Callable[[], bytes], films: Path
) -> None:
    (films / "COVID" / name).write_bytes(content())
    assert name in refused(films, 3)


@pytest.mark.fault(4, 5, 6, 7, 8, 9, 13, 14, 15)
def test_unusable_files_are_set_aside_on_request_and_counted(films: Path) -> None:
    for _, name, content in SPOILT:
        (films / "COVID" / name).write_bytes(content())
    _, metrics = prepared(films, "--skip-bad")
    assert (metrics["images"], metrics["quarantined"]) == (22, len(SPOILT))
    table = Path("w/index/quarantine.csv").read_text()
    assert all(f"COVID/{name}," in table for _, name, _ in SPOILT)


def turned(pixels: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the film on its side, with the word of EXIF that puts it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    return np.rot90(pixels), {"exif": exif}


DISGUISES: dict[str, tuple[tuple[int, ...], Callable[[Path], None]]] = {
    "sixteen.png": ((10,), lambda path: save_image(path, PLAIN.astype(np.uint16) * 257)),
    "alpha.png": ((11,), lambda path: Image.fromarray(PLAIN).convert("LA").save(path)),
    "colours.png": ((11,), lambda path: Image.fromarray(PLAIN).convert("RGBA").save(path)),
    "palette.png": ((11,), lambda path: Image.fromarray(PLAIN).convert("P").save(path)),
    "turned.png": ((12,), lambda path: save_image(path, turned(PLAIN)[0], **turned(PLAIN)[1])),
    "named.jpg": ((6,), lambda path: path.write_bytes(encoded("x.png"))),
    "SHOUTED.PNG": ((18,), lambda path: path.write_bytes(encoded("y.png"))),
    "=cmd|' {\u00e9}\n.png": ((16,), lambda path: path.write_bytes(encoded("z.png"))),
    "-" + 240 * "n" + ".png": ((16,), lambda path: path.write_bytes(encoded("n.png"))),
}
"""Name of a file, the rows that it is of, and what writes the plain film into it."""


def save_image(path: Path, pixels: np.ndarray, **options: Any) -> None:
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, **options)


@pytest.mark.fault(6, 10, 11, 12, 16, 18)
def test_one_film_in_many_files_is_read_as_one(films: Path) -> None:
    """Whatever the depth, the mode, the orientation and the name: the same pixels."""
    (films / "COVID" / "plain.png").write_bytes(encoded("x.png"))
    for name, (_, write) in DISGUISES.items():
        write(films / "COVID" / name)
    for litter in ("Thumbs.db", ".DS_Store"):
        (films / "COVID" / litter).write_bytes(b"litter")
    prepared(films)
    index = load_index(Path("w/index"))
    pixels = index.image_set(32).pixels
    rows = {one.path: row for row, one in enumerate(index.records)}
    copies = json.loads(Path("w/index/audit.json").read_text())["copies"]
    dropped = {one["dropped"]: one["kept"] for one in copies}
    same = {f"COVID/{name}" for name in (*DISGUISES, "plain.png")}
    assert same <= rows.keys() | dropped.keys()
    kept = [rows[name] for name in same & rows.keys()]
    assert np.ptp(pixels[kept].astype(int), axis=0).max() <= 1
    assert {dropped[name] in same for name in same & dropped.keys()} <= {True}
    assert len({group for group, names in groups().items() if names & same}) == 1


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    ("content", "row"),
    [
        ("file,patient_id\nCOVID/000.png,p1\n", "row 1"),
        ("path;patient_id\r\nCOVID/000.png;p1\r\n", "row 1"),
        ("path,patient_id\nCOVID/000.png,p1,\n", "row 2"),
        ("\ufeffpath,patient_id\r\nCOVID/000.png,p1\r\nCOVID/000.png,p2\r\n", "row 3"),
        ("path,patient_id\nCOVID/000.png,p1\nCOVID/absent.png,p2\n", "row 3"),
    ],
)
def test_a_table_with_a_fault_names_its_row(content: str, row: str, films: Path) -> None:
    (films / "metadata.csv").write_text(content, encoding="utf-8", newline="")
    said = refused(films, 3)
    assert row in said
    assert "p1" not in said


@pytest.mark.fault(21, 22)
@pytest.mark.parametrize("same", ["group", "image_id"])
def test_an_index_with_a_leak_is_refused_though_its_hash_fits(same: str, films: Path) -> None:
    """A patient, or the bytes of an image, in training and in test."""
    prepared(films)
    folder = Path("w/index")
    records = read_table(folder / "index.csv", ImageRecord)
    seen = next(one for one in records if one.split == "train")
    forged = [
        ImageRecord(
            **{name: getattr(one, name) for name in one.__slots__} | {same: getattr(seen, same)}
        )
        if one.split == "test" and one.label == seen.label
        else one
        for one in records
    ]
    table = table_bytes(forged, ImageRecord)
    (folder / "index.csv").write_bytes(table)
    result = json.loads((folder / "result.json").read_text())
    result["metrics"]["index_sha256"] = fingerprint(table)
    (folder / "result.json").write_text(json.dumps(result))
    done = CliRunner().invoke(main, ["classify", "-w", "w"])
    assert done.exit_code == 4, done.output
    assert not Path("w/classify").exists()


@pytest.mark.fault(37)
def test_images_made_again_are_the_same_and_never_twice_as_many(
    copied: Workspace, data: Path
) -> None:
    def images() -> dict[str, bytes]:
        found = tree(copied.synthetic_dir)
        return {name: found[name] for name in found if name.endswith((".png", "manifest.csv"))}

    before = images()
    for more in ([], ["--force"]):
        done = CliRunner().invoke(main, ["synthesize", *arguments(data, copied.root), *more])
        assert done.exit_code == 0, done.output
        assert images() == before


@pytest.mark.fault(49)
def test_a_loss_that_is_no_number_ends_the_command(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = gan.module.generator_loss, 0

    def poisoned(logits: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return original(logits) * (float("nan") if calls == 5 else 1)

    monkeypatch.setattr(gan.module, "generator_loss", poisoned)
    work = tmp_path / "w"
    words = arguments(data, work, "gan.checkpoint_every=8", "gan.evaluate_every=0")
    done = CliRunner().invoke(main, ["gan-train", *words])
    assert done.exit_code == 5, done.output
    assert (work / "gan" / "COVID.unfinished" / "last.ckpt").is_file()
    assert not (work / "gan" / "COVID").exists()


def _longer_header(content: bytes) -> bytes:
    return struct.pack("<Q", 10**9) + content[8:]


def _overlapping(content: bytes) -> bytes:
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    names = [name for name in header if name != "__metadata__"]
    header[names[1]]["data_offsets"] = header[names[0]]["data_offsets"]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


def _changed(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[bytes], bytes]:
    def apply(content: bytes) -> bytes:
        weights = load(content)
        change(weights)
        return save(weights)

    return apply


FORGED: dict[str, Callable[[bytes], bytes]] = {
    "header": _longer_header,
    "overlap": _overlapping,
    "missing": _changed(lambda w: w.pop("draw.bias")),
    "extra": _changed(lambda w: w.update(extra=torch.zeros(1))),
    "shape": _changed(lambda w: w.update({"draw.bias": torch.zeros(2)})),
    "dtype": _changed(lambda w: w.update({"draw.bias": torch.zeros(1).double()})),
    "nan": _changed(lambda w: w["draw.bias"].fill_(float("nan"))),
}


@pytest.mark.fault(45)
@pytest.mark.parametrize("kind", FORGED)
def test_forged_weights_are_refused_though_their_hash_fits(
    kind: str, copied: Workspace, data: Path
) -> None:
    folder = copied.gan_dir("COVID")
    forged = FORGED[kind]((folder / "generator.safetensors").read_bytes())
    (folder / "generator.safetensors").write_bytes(forged)
    card = json.loads((folder / "generator.json").read_text())
    card["weights_sha256"] = fingerprint(forged)
    (folder / "generator.json").write_text(json.dumps(card))
    before = tree(copied.synthetic_dir)
    words = ["synthesize", "--force", *arguments(data, copied.root)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 4, done.output
    assert "generator" in done.stderr.splitlines()[-1]
    assert tree(copied.synthetic_dir) == before
