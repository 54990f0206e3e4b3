"""Recall and false alarms of the audit on planted faults and edited copies.

Measures quality, not speed. Faults are made of random real films and hidden among the others of
their folder; edited copies are hidden among films whose features are compared. All exist in memory
only.

    python benchmarks/audit_checks.py --data FOLDER --data FOLDER --out docs/results
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import altered_films
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from balancer.data.audit.suspects import (
    BROKEN,
    INVERTED,
    TEXT_HEAVY,
    UPSIDE_DOWN,
    collect_flags,
)
from balancer.data.config import DataConfig
from balancer.data.film.examine import LOW_CONTRAST, Examined, examine_bytes, examine_images
from balancer.data.io import png_bytes, resize_square
from balancer.data.layouts.archives import read_archives
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage
from balancer.quality.extractors import LITE0_SIDE, load_extractor
from balancer.quality.features import Features, features_of
from balancer.quality.look_alikes import look_alikes

Pixels = NDArray[np.uint8]
Make = Callable[[Pixels, np.random.Generator], Pixels]


FAULTS: dict[str, tuple[str, Make]] = {
    "negative": (INVERTED, altered_films.negative),
    "upside down": (UPSIDE_DOWN, altered_films.upside_down),
    "torn along a row": (BROKEN, altered_films.torn),
    "two lines of text": (TEXT_HEAVY, altered_films.lettered),
    "20 grey levels": (LOW_CONTRAST, altered_films.faint),
}


EDITS: dict[str, Make] = {
    "gamma of 0.55 to 0.75, or its inverse": altered_films.gamma,
    "a caption": altered_films.captioned,
    "mirrored": altered_films.mirrored,
    "turned by 3 to 8 degrees": altered_films.turned,
    "CLAHE (2.0, 8 x 8)": altered_films.clahe,
    "framed by 8 to 14 %": altered_films.framed,
    "cropped by 10 to 18 % on each side": altered_films.cropped,
}
SIZES = (450, 150, 60)


def main() -> None:
    """Plant, check, count, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="FOLDER")
    parser.add_argument("--planted", type=int, default=80, help="per kind and folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    record: dict[str, Any] = {"planted": options.planted, "seed": options.seed, "folders": {}}
    for folder in options.data:
        rng = np.random.default_rng(options.seed)
        films, patients = _films(folder)
        record["folders"][folder.name] = {
            "films": len(films),
            "faults": _faults(films, folder, options.planted, rng),
            "look_alikes": _look_alikes(films, patients, folder, options.planted, rng),
        }
        print(json.dumps(record["folders"][folder.name], indent=1), flush=True)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "audit-checks.json").write_text(json.dumps(record, indent=2) + "\n")
        (options.out / "audit-checks.md").write_text(page(record))


def _faults(
    films: list[Examined], folder: Path, n_planted: int, rng: np.random.Generator
) -> dict[str, Any]:
    as_they_are = collect_flags(films)
    found: dict[str, Any] = {}
    for name, (flag, make) in FAULTS.items():
        before = set(as_they_are.get(flag, []))
        drawn = [
            int(place) for place in rng.permutation(len(films)) if films[place].path not in before
        ][:n_planted]
        changed = list(films)
        for place in drawn:
            changed[place] = _examined(make(_pixels(folder, films[place]), rng), films[place].path)
        told = set(collect_flags(changed).get(flag, []))
        planted = {films[place].path for place in drawn}
        found[name] = {
            "planted": len(planted),
            "found": len(told & planted),
            "others_flagged": sorted(told - planted),
        }
    return found


def _look_alikes(
    films: list[Examined],
    patients: list[str],
    folder: Path,
    n_planted: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    extractor = load_extractor("lite0")

    def features(images: list[Pixels]) -> Features:
        square = [resize_square(np.ascontiguousarray(image), LITE0_SIDE) for image in images]
        return features_of(extractor, np.stack(square))

    chosen = rng.choice(len(films), min(max(SIZES), len(films)), replace=False)
    pixels = [_pixels(folder, films[place]) for place in chosen]
    known = features(pixels)
    copies = {
        name: features([make(film, rng) for film in pixels[:n_planted]])
        for name, make in EDITS.items()
    }
    found: dict[str, Any] = {}
    for size in SIZES:
        n_copies = min(n_planted, size // 5)  # so that copies do not decide what varies
        found[str(size)] = {
            "copies_per_kind": n_copies,
            "found": {
                name: sum(
                    pair.second == size + pair.first
                    for pair in look_alikes(np.concatenate([known[:size], edited[:n_copies]]))
                )
                for name, edited in copies.items()
            },
            "among_the_films": _among(known[:size], [patients[place] for place in chosen]),
        }
    return found


def _among(known: Features, patients: list[str]) -> dict[str, int]:
    pairs = look_alikes(known)
    same = [
        bool(patients[pair.first]) and patients[pair.first] == patients[pair.second]
        for pair in pairs
    ]
    return {"pairs": len(pairs), "of_one_known_patient": sum(same)}


def page(record: dict[str, Any]) -> str:
    """Return the tables as Markdown."""
    folders = record["folders"]
    names = list(folders)
    lines = [
        "# Checks of the audit",
        "",
        f"{record['planted']} films of each folder are given a fault and put back among the "
        "others; the rest of the folder is as it is. Others flagged: films without the planted "
        "fault that get the flag, the same ones in every row of a flag if they have the fault by "
        f"themselves. Seed {record['seed']}.",
        "",
        "| planted | " + " | ".join(f"{name}: found | others flagged" for name in names) + " |",
        "|---|" + "---:|---:|" * len(names),
    ]
    for fault in FAULTS:
        cells = []
        for name in names:
            row = folders[name]["faults"][fault]
            others = len(row["others_flagged"])
            cells += [
                f"{row['found']} of {row['planted']}",
                f"{others} of {folders[name]['films']}",
            ]
        lines.append(f"| {fault} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Alike in feature space",
        "",
        "Copies found beside their originals by `balancer audit`, by the number of films that are "
        "compared: above 400 with 128 whitened components, above 100 with 64, below with plain "
        "features.",
        "",
    ]
    columns = [(name, size) for name in names for size in map(str, SIZES)]
    lines += [
        "| edited copy | " + " | ".join(f"{name}, {size}" for name, size in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for edit in EDITS:
        cells = []
        for name, size in columns:
            found = folders[name]["look_alikes"][size]
            cells.append(f"{found['found'][edit]} of {found['copies_per_kind']}")
        lines.append(f"| {edit} | " + " | ".join(cells) + " |")
    told = []
    for name, size in columns:
        among = folders[name]["look_alikes"][size]["among_the_films"]
        told.append(f"{among['pairs']} ({among['of_one_known_patient']})")
    lines.append(
        "| pairs among the films themselves (of one known patient) | " + " | ".join(told) + " |"
    )
    data = " ".join(f"--data {name}" for name in names)
    lines += ["", f"    python benchmarks/audit_checks.py {data} --out docs/results", ""]
    return "\n".join(lines)


def _films(folder: Path) -> tuple[list[Examined], list[str]]:
    """Return all usable films, one of those with equal pixels, and their patients."""
    config = DataConfig()
    roots = Roots.of([folder.resolve()])
    scan = read_archives(roots, config)
    images, _ = examine_images(roots, scan.images, config)
    films = list({image.pixel_hash: image for image in images}.values())
    known = [scan.metadata.get(film.path) for film in films]
    return films, ["" if found is None else found.patient_id for found in known]


def _pixels(folder: Path, film: Examined) -> Pixels:
    with Image.open(folder / film.path) as image:
        return np.asarray(image.convert("L"))


def _examined(pixels: Pixels, path: str) -> Examined:
    data = png_bytes(np.ascontiguousarray(pixels), {})
    outcome = examine_bytes(data, Path(path), FoundImage(path, "x"), DataConfig()).outcome
    if not isinstance(outcome, Examined):
        raise SystemExit(f"A planted fault of {path} cannot be used: {outcome.reason}.")
    return outcome


if __name__ == "__main__":
    main()
