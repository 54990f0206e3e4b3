"""Precision and recall of the search for copies that were turned, zoomed, framed or cut.

Measures quality, and the time of one thread. Each film is the original of one copy at most; copies
of all kinds are hidden among all films of a folder at once, and the search of `balancer audit`
should join every copy with its original and nothing else. Copies exist in memory only.

    python benchmarks/planted_transforms.py --data FOLDER --data FOLDER --out docs/results
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from planted_duplicates import SAME_FILM, wilson

from balancer.data.config import DataConfig
from balancer.data.copies.local_features import LocalFeatures, local_features
from balancer.data.copies.transformed_copies import find_transformed_copies
from balancer.data.film.examine import examine_images
from balancer.data.io import read_radiograph
from balancer.data.layouts.archives import read_archives
from balancer.data.roots import Roots

Pixels = NDArray[np.uint8]
Make = Callable[[Pixels, np.random.Generator], Pixels]
_BORDERS = (cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT)
_ORIGINALS = "originals"


def quarter_turned(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Turn by 90, 180 or 270 degrees."""
    return np.ascontiguousarray(np.rot90(film, int(rng.integers(1, 4))))


def turned(border: int) -> Make:
    """Turn by any angle, at the size of the film; the corners are black or reflected."""

    def make(film: Pixels, rng: np.random.Generator) -> Pixels:
        return _moved(film, rng.uniform(5, 355), 1.0, (0.0, 0.0), border)

    return make


def zoomed(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Zoom by 0.7 to 1.4, at the size of the film; black or reflected around it."""
    zoom = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4))))
    return _moved(film, 0.0, zoom, (0.0, 0.0), _BORDERS[rng.integers(2)])


def framed(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Add a black, grey or white frame, 5 to 20 % of the side at each side."""
    height, width = film.shape
    top, bottom, left, right = rng.uniform(0.05, 0.2, 4)
    edges = (round(top * height), round(bottom * height), round(left * width), round(right * width))
    grey = int(rng.choice([0, 128, 255]))
    return np.asarray(cv2.copyMakeBorder(film, *edges, cv2.BORDER_CONSTANT, value=grey), np.uint8)


def cropped(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Cut 10 to 30 % off the width and off the height, shared at random by both ends."""
    height, width = film.shape
    (down, across), (above, before) = rng.uniform(0.1, 0.3, 2), rng.uniform(0, 1, 2)
    top, left = round(above * down * height), round(before * across * width)
    return film[top : top + round((1 - down) * height), left : left + round((1 - across) * width)]


def stretched(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Cut as in `cropped` and stretch the rest to a square, as many sets are shared."""
    return np.asarray(cv2.resize(cropped(film, rng), (224, 224), interpolation=cv2.INTER_AREA))


def everything(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Turn by up to 30 degrees, zoom by 0.8 to 1.3, shift by up to 10 %, recompress."""
    shift = rng.uniform(-0.1, 0.1, 2)
    border = _BORDERS[rng.integers(2)]
    moved = _moved(film, rng.uniform(-30, 30), rng.uniform(0.8, 1.3), tuple(shift), border)
    _, data = cv2.imencode(".jpg", moved, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


KINDS: dict[str, Make] = {
    "turned by 90, 180 or 270 degrees": quarter_turned,
    "turned by any angle, black corners": turned(cv2.BORDER_CONSTANT),
    "turned by any angle, reflected corners": turned(cv2.BORDER_REFLECT),
    "zoomed by 0.7 to 1.4": zoomed,
    "framed, 5 to 20 % at each side": framed,
    "cropped, 10 to 30 % of width and height": cropped,
    "cropped likewise and stretched to a square": stretched,
    "turned, zoomed, shifted and recompressed": everything,
}


@dataclass
class Tally:
    """Counts of the planted copies of one kind: found, missed, and false pairs."""

    planted: int = 0
    found: int = 0
    true_pairs: int = 0
    false_pairs: int = 0
    lowest: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """Return JSON types, with 95 % Wilson intervals."""
        pairs = self.true_pairs + self.false_pairs
        return asdict(self) | {
            "recall": self.found / self.planted if self.planted else None,
            "recall_interval": wilson(self.found, self.planted) if self.planted else None,
            "precision": self.true_pairs / pairs if pairs else None,
            "precision_interval": wilson(self.true_pairs, pairs) if pairs else None,
        }


@dataclass
class Films:
    """Films of a folder and planted copies: for each its features, its original and its kind."""

    features: list[LocalFeatures] = field(default_factory=list)
    origin: list[int] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)

    def add(self, film: Pixels, origin: int, kind: str) -> None:
        """Add one film."""
        self.features.append(local_features(film))
        self.origin.append(origin)
        self.kind.append(kind)


def main() -> None:
    """Plant, search, count, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER")
    parser.add_argument("--films", type=int, help="a draw of so many films of each folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    tallies = {kind: Tally() for kind in (*KINDS, _ORIGINALS)}
    folders: dict[str, Any] = {}
    for folder in options.data:
        folders[folder.name] = measure(folder, options.films, options.seed, tallies)
        print(json.dumps(folders[folder.name]), flush=True)
    record = {
        "folders": folders,
        "seed": options.seed,
        "kinds": {kind: tally.as_json() for kind, tally in tallies.items()},
    }
    text = page(record, options.data)
    print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "planted-transforms.json").write_text(json.dumps(record, indent=2) + "\n")
        (options.out / "planted-transforms.md").write_text(text)


def measure(folder: Path, most: int | None, seed: int, tallies: dict[str, Tally]) -> dict[str, Any]:
    """Plant copies of every kind in one folder, search, and add to the tallies."""
    rng = np.random.default_rng(seed)
    paths = _distinct(folder)
    order = rng.permutation(len(paths))[:most]
    paths = [paths[place] for place in order]
    films = Films()
    started = time.process_time()
    for place, path in enumerate(paths):
        films.add(read_radiograph(folder / path), place, _ORIGINALS)
    reading = time.process_time() - started
    started = time.process_time()
    alone = find_transformed_copies(films.features, _apart(films))
    searching = time.process_time() - started
    kinds = list(KINDS)
    for place, path in enumerate(paths):
        kind = kinds[place % len(kinds)]
        copy = KINDS[kind](read_radiograph(folder / path), rng)
        films.add(_altered(copy, rng), place, kind)
        tallies[kind].planted += 1
    strangers = count(films, paths, tallies)
    return {
        "films": len(paths),
        "seconds_reading_and_features": round(reading, 1),
        "seconds_searching": round(searching, 1),
        "pairs_without_planted_copies": [
            [Path(paths[pair.first]).name, Path(paths[pair.second]).name, round(pair.similarity, 3)]
            for pair in alone
        ],
        "false_pairs": strangers,
    }


def count(films: Films, paths: list[str], tallies: dict[str, Tally]) -> list[list[Any]]:
    """Search once among all films, and return the pairs of different films."""
    strangers: list[list[Any]] = []
    for pair in find_transformed_copies(films.features, _apart(films)):
        one, other = films.origin[pair.first], films.origin[pair.second]
        kind = films.kind[pair.second]  # copies stand after all originals
        names = Path(paths[one]).name, Path(paths[other]).name
        if one == other:
            tallies[kind].found += 1
            tallies[kind].true_pairs += 1
            tallies[kind].lowest = min(tallies[kind].lowest, pair.similarity)
        elif frozenset(names) in SAME_FILM:
            tallies[kind].true_pairs += 1
        else:
            tallies[kind].false_pairs += 1
            strangers.append([*names, kind, round(pair.similarity, 3)])
    return strangers


def page(record: dict[str, Any], folders: list[Path]) -> str:
    """Return the table as Markdown."""
    films = " and ".join(f"{one['films']} of `{name}`" for name, one in record["folders"].items())
    lines = [
        "# Planted turned, zoomed, framed and cropped copies",
        "",
        f"Each film ({films}) is the original of one copy; half of the copies are mirrored, half "
        "have another exposure (gamma 0.8 to 1.25, gain 0.85 to 1.1, up to 8 levels). All are "
        "hidden among all films at once; the search of `balancer audit` has to join a copy with "
        f"its original. The seed is {record['seed']}; 95 % Wilson intervals. A pair is false if "
        "it joins two films that were not looked at and found to be one.",
        "",
        "| kind | planted | found | recall | false pairs | precision | least similarity found |",
        "|---|---:|---:|---|---:|---|---:|",
    ]
    for kind, row in record["kinds"].items():
        if not row["planted"]:
            continue
        lines.append(
            f"| {kind} | {row['planted']} | {row['found']} | {_share(row, 'recall')} "
            f"| {row['false_pairs']} | {_share(row, 'precision')} | {row['lowest']:.3f} |"
        )
    lines += ["", "Time of one thread, and pairs among the films without planted copies:", ""]
    for name, one in record["folders"].items():
        own = [f"{a}, {b} ({value})" for a, b, value in one["pairs_without_planted_copies"]]
        lines.append(
            f"- `{name}`: {one['films']} films, {one['seconds_reading_and_features']} s to read "
            f"them and find features, {one['seconds_searching']} s to search; "
            f"pairs: {'; '.join(own) or 'none'}."
        )
        if one["false_pairs"]:
            pairs = "; ".join(f"{a}, {b} ({kind}, {v})" for a, b, kind, v in one["false_pairs"])
            lines.append(f"  False pairs: {pairs}.")
    data = " ".join(f"--data {folder.name}" for folder in folders)
    lines += ["", f"    python benchmarks/planted_transforms.py {data} --out docs/results", ""]
    return "\n".join(lines)


def _share(row: dict[str, Any], name: str) -> str:
    if row[name] is None:
        return "-"
    low, high = row[f"{name}_interval"]
    return f"{row[name]:.4f} ({low:.4f} to {high:.4f})"


def _distinct(folder: Path) -> list[str]:
    """Return the paths of all usable images; of those with equal pixels only the first."""
    roots, config = Roots.of([folder.resolve()]), DataConfig()
    images, _ = examine_images(roots, read_archives(roots, config).images, config)
    first: dict[str, str] = {}
    for image in images:
        first.setdefault(image.pixel_hash, image.path)
    return list(first.values())


def _apart(films: Films) -> list[str]:
    return [str(place) for place in range(len(films.features))]


def _altered(film: Pixels, rng: np.random.Generator) -> Pixels:
    """Mirror one in two, and change the exposure of one in two."""
    if rng.random() < 0.5:
        film = film[:, ::-1]
    if rng.random() < 0.5:
        gamma = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
        gain, offset = rng.uniform(0.85, 1.1), rng.uniform(-8, 8)
        film = np.clip(255 * (film / 255) ** gamma * gain + offset, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(film)


def _moved(
    film: Pixels, degrees: float, zoom: float, shift: tuple[float, ...], border: int
) -> Pixels:
    height, width = film.shape
    moving = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees, zoom)
    moving[:, 2] += np.array(shift) * (width, height)
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    moved = cv2.warpAffine(film, moving, (width, height), flags=how, borderMode=border)
    return np.asarray(moved, np.uint8)


if __name__ == "__main__":
    main()
