"""Precision and recall of the search for duplicates, on copies planted among real films.

Measures quality, not speed. Copies of every kind are made of random films, each with its own
parameters, and hidden among all films of a folder; the search of `balancer prepare` should find
every copy with its original and nothing else. Copies exist in memory only. Pairs that are already
in a folder count as false unless they were checked by eye and are listed here as one film.

    python benchmarks/planted_duplicates.py --data FOLDER --data FOLDER --out docs/results
"""

import argparse
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from balancer.data.config import DataConfig
from balancer.data.copies.duplicates import find_near_duplicates
from balancer.data.film.examine import Examined, examine_bytes, examine_images
from balancer.data.layouts.archives import read_archives
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage

Pixels = NDArray[np.uint8]
Make = Callable[[Pixels, np.random.Generator], Pixels]

SAME_FILM = {
    frozenset(pair)
    for pair in (
        ("COVID-1291.png", "COVID-461.png"),
        ("COVID-385.png", "COVID-535.png"),
        ("00002658_001.jpg", "00002658_002.jpg"),
        ("E63574A7-4188-4C8D-8D17-9D67A18A1AFA.jpg", "F4341CE7-73C9-45C6-99C8-8567A5484B63.jpg"),
    )
}
"""Pairs of original files that show one film, checked by eye."""
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def rescaled(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Rescale by 0.4 to 2, with one of three filters."""
    factor, height, width = np.exp(rng.uniform(np.log(0.4), np.log(2))), *film.shape
    size = (max(32, round(width * factor)), max(32, round(height * factor)))
    return np.asarray(Image.fromarray(film).resize(size, _FILTERS[rng.integers(3)]))


def recompressed(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Recompress as JPEG of quality 30 to 95."""
    return _jpeg(film, int(rng.integers(30, 96)))


def brighter(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Change all pixels by one or two grey levels."""
    return np.clip(film.astype(np.int16) + rng.choice([-2, -1, 1, 2]), 0, 255).astype(np.uint8)


def noisy(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Change each pixel independently by up to two grey levels."""
    off = rng.integers(-2, 3, film.shape)
    return np.clip(film.astype(np.int16) + off, 0, 255).astype(np.uint8)


def cropped(share: float) -> Make:
    """Cut off a random part of each side, up to a share of the film."""

    def make(film: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = film.shape
        top, bottom, left, right = rng.uniform(0, share, 4)
        rows = slice(round(top * height), height - round(bottom * height))
        return film[rows, round(left * width) : width - round(right * width)]

    return make


def flipped(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Mirror left to right, top to bottom, or both."""
    return _flip(film, int(rng.integers(1, 4)))


def everything(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Crop by up to 5 %, perhaps mirror, rescale, brighten, recompress."""
    film = _flip(cropped(0.05)(film, rng), int(rng.integers(0, 4)))
    return _jpeg(brighter(rescaled(film, rng), rng), int(rng.integers(40, 96)))


KINDS: dict[str, Make] = {
    "rescaled (0.4 to 2)": rescaled,
    "recompressed (JPEG 30 to 95)": recompressed,
    "brighter or darker (1 or 2 levels)": brighter,
    "noisy (up to 2 levels per pixel)": noisy,
    "flipped": flipped,
    "cropped (up to 3 % a side)": cropped(0.03),
    "cropped (up to 5 % a side)": cropped(0.05),
    "cropped (up to 8 % a side)": cropped(0.08),
    "all at once (crop up to 5 %)": everything,
}


@dataclass
class Tally:
    """Results of a search for planted pairs."""

    planted: int = 0
    found: int = 0
    false: int = 0
    lowest: float = 1.0
    seconds: float = 0.0

    def add(self, other: "Tally") -> None:
        """Add the results of another folder."""
        for name in ("planted", "found", "false", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.lowest = min(self.lowest, other.lowest)

    def as_json(self) -> dict[str, Any]:
        """Return JSON types, with 95 % Wilson intervals."""
        total = self.found + self.false
        return {
            "planted": self.planted,
            "found": self.found,
            "false_pairs": self.false,
            "recall": self.found / self.planted,
            "recall_interval": wilson(self.found, self.planted),
            "precision": self.found / total if total else None,
            "precision_interval": wilson(self.found, total) if total else None,
            "lowest_similarity_found": round(self.lowest, 3),
            "seconds": round(self.seconds, 1),
        }


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927)."""
    z, p = 1.959964, hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return round(float(middle - half), 4), round(float(middle + half), 4)


def main() -> None:
    """Plant, search, count, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER")
    parser.add_argument("--copies", type=int, default=500, help="per kind and folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    config = DataConfig()
    totals = {kind: Tally() for kind in KINDS}
    inside: dict[str, list[dict[str, Any]]] = {}
    numbers: dict[str, int] = {}
    for folder in options.data:
        films = _films(folder, config)
        numbers[folder.name] = len(films)
        inside[folder.name] = _pairs_inside(films, config.duplicate_correlation - 0.1)
        rng = np.random.default_rng(options.seed)
        for kind, make in KINDS.items():
            tally = measure(films, folder, make, options.copies, rng, config)
            totals[kind].add(tally)
            print(f"{folder.name}: {kind}: {tally.as_json()}", flush=True)
    record = {
        "films": numbers,
        "copies_per_kind_and_folder": options.copies,
        "seed": options.seed,
        "duplicate_correlation": config.duplicate_correlation,
        "kinds": {kind: tally.as_json() for kind, tally in totals.items()},
        "pairs_inside": inside,
    }
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "planted-duplicates.json").write_text(json.dumps(record, indent=2) + "\n")
        (options.out / "planted-duplicates.md").write_text(page(record, options.data))


def measure(
    films: list[Examined],
    folder: Path,
    make: Make,
    n_copies: int,
    rng: np.random.Generator,
    config: DataConfig,
) -> Tally:
    """Plant copies of one kind in one folder and search."""
    drawn = rng.choice(len(films), min(n_copies, len(films)), replace=False)
    copies = [_copy(films[place], folder, make, rng, config) for place in drawn]
    started = time.monotonic()
    found = find_near_duplicates([*films, *copies], config.duplicate_correlation)
    tally = Tally(planted=len(drawn), seconds=time.monotonic() - started)
    origin = {len(films) + number: int(place) for number, place in enumerate(drawn)}
    for pair in found:
        one, other = origin.get(pair.first, pair.first), origin.get(pair.second, pair.second)
        if one == other:
            tally.found += 1
            tally.lowest = min(tally.lowest, pair.correlation)
        elif not _known(films[one], films[other]):
            tally.false += 1
    return tally


def page(record: dict[str, Any], folders: list[Path]) -> str:
    """Return the table as Markdown."""
    films = " and ".join(f"{n} films of `{name}`" for name, n in record["films"].items())
    lines = [
        "# Planted duplicates",
        "",
        f"Copies of each kind, {record['copies_per_kind_and_folder']} per folder, hidden among "
        f"{films}; the search of `balancer prepare` with `data.duplicate_correlation` "
        f"{record['duplicate_correlation']}. The seed is {record['seed']}. Every kind is planted "
        "and searched by itself; 95 % Wilson intervals. A pair is false if it joins two films, "
        "whether by their copies or as they are, that were not looked at and found to be one "
        "(see below).",
        "",
        "| kind | planted | found | recall | false pairs | precision | least similarity found |",
        "|---|---:|---:|---|---:|---|---:|",
    ]
    for kind, row in record["kinds"].items():
        low, high = row["recall_interval"]
        precision = "-"
        if row["precision"] is not None:
            a, b = row["precision_interval"]
            precision = f"{row['precision']:.4f} ({a:.4f} to {b:.4f})"
        lines.append(
            f"| {kind} | {row['planted']} | {row['found']} | {row['recall']:.4f} ({low:.4f} to "
            f"{high:.4f}) | {row['false_pairs']} | {precision} "
            f"| {row['lowest_similarity_found']:.3f} |"
        )
    lines += [
        "",
        "## What the folders hold by themselves",
        "",
        "Pairs whose similarity is above the limit, or less than 0.1 below it. Those that are one "
        "film were looked at side by side.",
        "",
        "| folder | pair | similarity | taken for copies | one film |",
        "|---|---|---:|---|---|",
    ]
    for name, pairs in record["pairs_inside"].items():
        for pair in pairs:
            taken = "yes" if pair["similarity"] >= record["duplicate_correlation"] else "no"
            known = "yes" if pair["one_film"] else "no"
            lines.append(
                f"| {name} | {pair['first']}, {pair['second']} | {pair['similarity']:.3f} "
                f"| {taken} | {known} |"
            )
    data = " ".join(f"--data {folder.name}" for folder in folders)
    lines += ["", f"    python benchmarks/planted_duplicates.py {data} --out docs/results", ""]
    return "\n".join(lines)


def _films(folder: Path, config: DataConfig) -> list[Examined]:
    """Return all usable films; of those with equal pixels only the first."""
    roots = Roots.of([folder.resolve()])
    images, _ = examine_images(roots, read_archives(roots, config).images, config)
    return list({image.pixel_hash: image for image in reversed(images)}.values())[::-1]


def _pairs_inside(films: list[Examined], correlation: float) -> list[dict[str, Any]]:
    pairs = [
        {
            "first": Path(films[pair.first].path).name,
            "second": Path(films[pair.second].path).name,
            "similarity": round(pair.correlation, 3),
            "one_film": _known(films[pair.first], films[pair.second]),
        }
        for pair in find_near_duplicates(films, correlation)
    ]
    return sorted(pairs, key=lambda pair: -pair["similarity"])


def _known(one: Examined, other: Examined) -> bool:
    return frozenset((Path(one.path).name, Path(other.path).name)) in SAME_FILM


def _copy(
    film: Examined, folder: Path, make: Make, rng: np.random.Generator, config: DataConfig
) -> Examined:
    with Image.open(folder / film.path) as image:
        pixels = np.asarray(image.convert("L"))
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(make(pixels, rng))).save(stream, "PNG")
    found = FoundImage(f"copy of {film.path}.png", film.label)
    outcome = examine_bytes(stream.getvalue(), folder / film.path, found, config).outcome
    if not isinstance(outcome, Examined):
        raise SystemExit(f"A planted copy of {film.path} cannot be used: {outcome.reason}.")
    return outcome


def _jpeg(film: Pixels, quality: int) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(film).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def _flip(film: Pixels, flip: int) -> Pixels:
    film = film[:, ::-1] if flip & 1 else film
    return np.ascontiguousarray(film[::-1] if flip & 2 else film)


if __name__ == "__main__":
    main()
