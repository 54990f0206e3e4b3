"""Growth of `balancer prepare` with the number of films: CPU seconds, memory, and copies found.

python benchmarks/scale.py [--films 12500 --films 25000 ...] [--folder FOLDER] [--out docs/results]

Every film is a phantom of its own; every hundredth is a copy of the one before it: trimmed by up
to 3 % of each side, brighter or darker, with noise, and as JPEG. Each size is the first part of the
same set, read from a table of paths, by a command of its own. Seconds are CPU seconds, which depend
less on other work of the machine. Drawing 100,000 films takes a quarter of an hour and 4 GB;
`--folder` keeps them, and goes on with what is there.
"""

import csv
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from large_sets import cores, cost_of, cpu_seconds, stages_of
from numpy.typing import NDArray

from samples.phantom import draw_phantom

HERE = Path(__file__).resolve()
SIDE, DRAWN = 224, 112
EVERY = 100
"""One film of so many is a copy of the film before it."""
RARE = 0.2
PASS, COPIES = "the pass: read, hash, decode, examine, write pixels", "of that, near duplicates"
MILLION = 1_000_000


def is_copy(number: int) -> bool:
    """Decide whether film `number` is a copy of the film before it."""
    return number % EVERY == EVERY - 1


def label_of(number: int) -> str:
    """Return the class of a film; a copy has the class of its original."""
    draw = np.random.default_rng(number - is_copy(number)).random()
    return "COVID" if draw < RARE else "Normal"


def name_of(number: int) -> str:
    """Return the path of a film in the folder of the set."""
    return f"{label_of(number)}/{number:07}.{'jpg' if is_copy(number) else 'png'}"


def film(number: int) -> NDArray[np.uint8]:
    """Draw an original film, uint8 (224, 224)."""
    small = draw_phantom(number, covid=label_of(number) == "COVID", size=DRAWN)
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def copy_of(pixels: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Trim, brighten and roughen a film."""
    draw = np.random.default_rng(number)
    left, right, top, bottom = (draw.uniform(0, 0.03, 4) * SIDE).round().astype(int)
    part = pixels[top : SIDE - bottom, left : SIDE - right].astype(np.float32)
    part = part * draw.uniform(0.9, 1.1) + draw.normal(0, 2, part.shape).astype(np.float32)
    return np.clip(part, 0, 255).astype(np.uint8)


def write_film(folder: Path, number: int) -> None:
    """Write a film unless it is there."""
    path = folder / name_of(number)
    if path.is_file():
        return
    pixels = copy_of(film(number - 1), number) if is_copy(number) else film(number)
    _, encoded = cv2.imencode(path.suffix, pixels)
    path.with_suffix(".part").write_bytes(encoded.tobytes())
    path.with_suffix(".part").replace(path)


def make_set(folder: Path, n_films: int) -> None:
    """Write the set with all cores."""
    for label in ("COVID", "Normal"):
        (folder / label).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(cores()) as pool:
        list(pool.map(partial(write_film, folder), range(n_films), chunksize=256))


def table_of(folder: Path, n_films: int) -> Path:
    """Write the table of the first films."""
    path = folder / f"first-{n_films}.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        rows.writerows([name_of(number), label_of(number)] for number in range(n_films))
    return path


def copies_found(index: Path) -> float:
    """Return the share of the planted copies that are in the group of their original."""
    with index.open(newline="") as file:
        group = {int(Path(row["path"]).stem): row["group"] for row in csv.DictReader(file)}
    copies = [number for number in group if is_copy(number)]
    return sum(group[number] == group[number - 1] for number in copies) / len(copies)


def measure(table: Path, n_films: int, place: Path) -> dict[str, Any]:
    """Measure a whole command, then the parts of another one."""
    command = [sys.executable, "-c", "from balancer.cli import main; main()", "prepare", "-q"]
    workspace = place / f"workspace-{n_films}"
    cost = cost_of([*command, "--data", str(table), "-w", str(workspace)])
    again = cost_of([*command, "--data", str(table), "-w", str(workspace)])
    parts = subprocess.run(
        [sys.executable, str(HERE), "--only-stages", str(table), "--folder", str(place / "parts")],
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        "films": n_films,
        "cpu": cost.cpu,
        "peak": cost.peak,
        "up to date": again.cpu,
        "copies found": copies_found(workspace / "index" / "index.csv"),
        "parts": json.loads(parts.stdout),
    }


def exponent(rows: Sequence[dict[str, Any]], part: str) -> float:
    """Return the growth of a part: 1 is linear, 2 is the square; from the two largest sets."""
    small, large = rows[-2:]
    grown = large["parts"][part] / small["parts"][part]
    return math.log(grown) / math.log(large["films"] / small["films"])


def told(rows: Sequence[dict[str, Any]]) -> str:
    """Return the figures as text."""
    lines = [
        f"{'films':>9} {'CPU s':>8} {'the pass':>9} {'copies':>8} {'again':>8} {'peak MiB':>9} "
        f"{'copies found':>13}"
    ]
    lines += [
        f"{row['films']:9,} {row['cpu']:8.0f} {row['parts'][PASS]:9.0f} "
        f"{row['parts'][COPIES]:8.0f} {row['up to date']:8.0f} {row['peak']:9.0f} "
        f"{row['copies found']:13.4f}"
        for row in rows
    ]
    if len(rows) > 1:
        last, pass_, copies = rows[-1], exponent(rows, PASS), exponent(rows, COPIES)
        more = MILLION / last["films"]
        slope = (last["peak"] - rows[-2]["peak"]) / (last["films"] - rows[-2]["films"])
        lines += [
            f"growth from the last but one: the pass n^{pass_:.2f}, the search n^{copies:.2f}, "
            f"memory {slope * 1024:.1f} KiB a film",
            f"extrapolated to {MILLION:,}, in hours of one core: the pass "
            f"{last['parts'][PASS] * more / 3600:.1f}, the search "
            f"{last['parts'][COPIES] * more**2 / 3600:.1f} by the square; memory "
            f"{(last['peak'] + slope * (MILLION - last['films'])) / 1024:.1f} GiB",
        ]
    return "\n".join(lines)


def page(text: str, machine: str, sizes: Sequence[int]) -> str:
    """Return the page for `docs/results`."""
    chosen = " ".join(f"--films {n_films}" for n_films in sizes)
    return (
        "# Growth of `balancer prepare` with the number of films\n\n"
        f"    python benchmarks/scale.py {chosen} --out docs/results\n\n"
        f"Drawn films of {SIDE} px, each of its own chest; every {EVERY}th is a copy of the film "
        "before it, trimmed, brighter or darker, with noise, as JPEG. Seconds are CPU seconds of "
        "all cores, and the parts are of a run of their own. `again` is the same command on an "
        "index that is up to date; `copies found` is the share of copies in the group of their "
        f"original. {machine}.\n\n" + "\n".join(f"    {line}" for line in text.splitlines())
    ) + "\n"


@click.command()
@click.option(
    "--films",
    "sizes",
    multiple=True,
    type=click.IntRange(min=2 * EVERY),
    default=(12_500, 25_000, 50_000, 100_000),
    show_default=True,
)
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the films there.")
@click.option("--out", type=click.Path(path_type=Path), help="Write scale.{md,json} there.")
@click.option("--only-stages", type=click.Path(path_type=Path), hidden=True)
def main(
    sizes: tuple[int, ...], folder: Path | None, out: Path | None, only_stages: Path | None
) -> None:
    """Print CPU seconds, memory and copies found for every size."""
    if only_stages and folder:
        print(json.dumps(stages_of(only_stages, folder, cpu_seconds)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        films = folder or place / "films"
        make_set(films, max(sizes))
        rows = []
        for n_films in sorted(sizes):
            rows.append(measure(table_of(films, n_films), n_films, place))
            click.echo(json.dumps(rows[-1]), err=True)
    text = told(rows)
    machine = f"{cores()} cores, {platform.system()} {platform.machine()}"
    machine += f", load {os.getloadavg()[0]:.1f} at the end"
    print(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "scale.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=2))
        (out / "scale.md").write_text(page(text, machine, sorted(sizes)))


if __name__ == "__main__":
    main()
