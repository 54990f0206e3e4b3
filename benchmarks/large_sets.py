"""Time and memory of `balancer prepare` for a large set, against only decoding its files.

python benchmarks/large_sets.py --data FOLDER [--films 13800] [--rounds 3] [--out docs/results]

FOLDER holds films, a folder per class; without it, films are drawn. The set is made of them by
slight, always different rotation, zoom and shift, so that no two files are equal; it is in a
temporary folder and is removed. Both sides use as many workers as cores, are whole commands from
the start of Python to the end, and alternate; the best round counts. CPU seconds are shown too:
they depend less on other work of the machine.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from PIL import Image

HERE = Path(__file__).resolve()
DECODERS = ("product", "pillow", "opencv")
COMMAND = "from balancer.cli import main; main()"


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds of one command, and the peak memory of its largest process in MiB."""

    wall: float
    cpu: float
    peak: float


def cost_of(arguments: list[str]) -> Cost:
    """Run a command to its end, quietly."""
    started = time.perf_counter()
    child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise click.ClickException(f"{' '.join(arguments)} ended with {child.returncode}.")
    seconds = time.perf_counter() - started
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def cores() -> int:
    """Return the number of usable processors."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def another(films: list[str], side: int, folder: Path, number: int) -> None:
    """Write film number N: first the originals, then changed ones."""
    source = Path(films[number % len(films)])
    pixels = np.asarray(Image.open(source).convert("L").resize((side, side)))
    if number >= len(films):
        draw = np.random.default_rng(number)
        turn = cv2.getRotationMatrix2D(
            (side / 2, side / 2), draw.uniform(-12, 12), draw.uniform(1.05, 1.35)
        )
        turn[:, 2] += draw.uniform(-0.08, 0.08, 2) * side
        grey = cv2.warpAffine(pixels, turn, (side, side), borderMode=cv2.BORDER_REFLECT)
        noise = draw.normal(0, 1, grey.shape)
        pixels = np.clip(grey * draw.uniform(0.85, 1.15) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / source.parent.name / f"{number:06}.png")


def make_set(data: Path, folder: Path, n_films: int, side: int) -> None:
    """Write the set with all cores."""
    films = sorted(str(path) for path in data.glob("*/*.png"))
    np.random.default_rng(0).shuffle(films)  # so that a small set has all classes
    for name in {Path(film).parent.name for film in films}:
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(cores()) as pool:
        list(pool.map(partial(another, films, side, folder), range(n_films), chunksize=64))


def draw_films(folder: Path, side: int) -> Path:
    """Draw phantoms if no films are given."""
    from samples.phantom import draw_phantom

    for label in ("COVID", "Normal"):
        (folder / label).mkdir(parents=True)
        for number in range(40):
            film = draw_phantom(number, covid=label == "COVID", size=side)
            Image.fromarray(film).save(folder / label / f"{number:03}.png")
    return folder


def product(path: str) -> None:
    """Decode as `balancer` does."""
    from balancer.data.io import decode_radiograph

    decode_radiograph(Path(path).read_bytes(), Path(path))


def pillow(path: str) -> None:
    """Decode with Pillow alone."""
    with Image.open(path) as image:
        np.asarray(image.convert("L"))


def opencv(path: str) -> None:
    """Decode with OpenCV alone."""
    cv2.imdecode(np.frombuffer(Path(path).read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)


def decode_all(folder: Path, decoder: str) -> None:
    """Read and decode every file in as many processes as cores, and keep nothing."""
    paths = sorted(str(path) for path in folder.glob("*/*.png"))
    function: Callable[[str], None] = {"product": product, "pillow": pillow, "opencv": opencv}[
        decoder
    ]
    with ProcessPoolExecutor(cores()) as pool:
        for _ in pool.map(function, paths, chunksize=256):
            pass


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that ended."""
    return sum(os.times()[:4])


def stages_of(
    folder: Path, workspace: Path, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Measure the seconds of the parts of one `prepare`, in this process."""
    started = clock()
    from balancer.config import load_config
    from balancer.data import build
    from balancer.data.ingest import engine
    from balancer.stages import prepare
    from balancer.workspace import Workspace

    seconds = {"imports": clock() - started}

    def timed(place: Any, name: str, what: str) -> None:
        function = getattr(place, name)

        def call(*args: object, **named: object) -> object:
            begun = clock()
            try:
                return function(*args, **named)
            finally:
                seconds[what] = seconds.get(what, 0) + clock() - begun

        setattr(place, name, call)

    timed(engine.LocalEngine, "scan", "listing")
    timed(engine.LocalEngine, "read", "the pass: read, hash, decode, examine, write pixels")
    timed(prepare, "build_index", "audit, groups and splits")
    timed(build, "find_near_duplicates", "of that, near duplicates")
    timed(prepare.PassResult, "keep_pixels", "closing up the caches")
    begun = clock()
    prepare.run(load_config(options={"data.root": str(folder)}), Workspace(workspace), force=True)
    seconds["all of prepare"] = clock() - begun
    return {name: round(value, 3) for name, value in seconds.items()}


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--films", "n_films", default=13_800, show_default=True)
@click.option("--side", default=224, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write large-sets.{md,json} there.")
@click.option("--only-decode", type=click.Choice(DECODERS), hidden=True)
@click.option("--only-stages", type=click.Path(path_type=Path), hidden=True)
def main(
    data: Path | None,
    n_films: int,
    side: int,
    rounds: int,
    out: Path | None,
    only_decode: str | None,
    only_stages: Path | None,
) -> None:
    """Print the share of the decoders' pace that `prepare` keeps."""
    if only_decode and data:
        decode_all(data, only_decode)
        return
    if only_stages and data:
        print(json.dumps(stages_of(data, only_stages)))
        return
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        folder = place / "films"
        make_set(data or draw_films(place / "drawn", side), folder, n_films, side)
        found = measure(folder, place, rounds)
    found |= {"films": n_films, "side": side, "drawn": data is None, "cores": cores()}
    found["machine"] = f"{platform.system()} {platform.machine()}, Python "
    found["machine"] += platform.python_version()
    text = told(found)
    print(text)
    if out is not None:
        (out / "large-sets.json").write_text(json.dumps(found, indent=2) + "\n")
        (out / "large-sets.md").write_text(page(text, found))


def measure(folder: Path, place: Path, rounds: int) -> dict[str, Any]:
    """Alternate both sides, after a first reading that brings all files into the page cache."""
    decode = [sys.executable, str(HERE), "--data", str(folder), "--only-decode"]
    prepare = [sys.executable, "-c", COMMAND, "prepare", "--data", str(folder), "-q"]
    cost_of([*decode, "opencv"])
    costs: dict[str, list[Cost]] = {name: [] for name in (*DECODERS, "prepare", "up to date")}
    load = os.getloadavg()[0]
    for number in range(rounds):
        for name in DECODERS:
            costs[name].append(cost_of([*decode, name]))
        workspace = ["-w", str(place / f"workspace-{number}")]
        costs["prepare"].append(cost_of([*prepare, *workspace]))
        costs["up to date"].append(cost_of([*prepare, *workspace]))
    stages = subprocess.run(
        [sys.executable, str(HERE), "--data", str(folder), "--only-stages", str(place / "stages")],
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        "costs": {name: [asdict(cost) for cost in all_] for name, all_ in costs.items()},
        "stages": json.loads(stages.stdout),
        "load": load,
    }


def best(found: dict[str, Any], name: str, what: str) -> float:
    """Return the least of the rounds."""
    return min(cost[what] for cost in found["costs"][name])


def told(found: dict[str, Any]) -> str:
    """Return the figures as text."""
    n = found["films"]
    kind = "drawn" if found["drawn"] else "real"
    lines = [
        f"{n} {kind} films of {found['side']} px, {found['cores']} cores, {found['machine']}, "
        f"load {found['load']:.1f} at the start",
        f"{'':22} {'wall s':>8} {'films/s':>8} {'CPU s':>8} {'peak MiB':>9}",
    ]
    for name in found["costs"]:
        label = name if name not in DECODERS else f"decoding, {name}"
        wall, cpu, peak = (best(found, name, what) for what in ("wall", "cpu", "peak"))
        lines.append(f"{label:22} {wall:8.2f} {n / wall:8.0f} {cpu:8.2f} {peak:9.0f}")
    for name in DECODERS:
        wall, cpu = (best(found, name, w) / best(found, "prepare", w) for w in ("wall", "cpu"))
        lines.append(f"prepare keeps {wall:.2f} of the pace of {name}, {cpu:.2f} by CPU seconds")
    lines.append("one prepare by parts, seconds:")
    lines += [f"  {seconds:8.2f}  {name}" for name, seconds in found["stages"].items()]
    return "\n".join(lines)


def page(text: str, found: dict[str, Any]) -> str:
    """Return the page for `docs/results`."""
    return (
        "# A large set: `balancer prepare` beside decoding alone\n\n"
        "    python benchmarks/large_sets.py --data FOLDER --out docs/results\n\n"
        f"The set is made of {'drawn' if found['drawn'] else 'real'} films, each turned, zoomed "
        "and shifted anew, so that no two files show the same. `product` decodes as the product "
        "does; `prepare` also hashes, examines, audits, searches for duplicates, splits, and "
        "caches pixels at all sizes that the default recipe reads. Whole commands, best of "
        f"{len(found['costs']['prepare'])} rounds that took turns. The aim was 0.7 of the pace of "
        "decoding.\n\n" + "\n".join(f"    {line}" for line in text.splitlines()) + "\n"
    )


if __name__ == "__main__":
    main()
