"""Number of films above which Spark is faster than the local engine on the same machine.

python benchmarks/spark_crossover.py --data FOLDER [--films 250 1000 4000]

Measures the engines: listing and the pass over the files, each in its own process after all
imports; for Spark also the start of its session, on as many cores. The rest of `balancer prepare`
is the same for both. Two sizes give the fixed and marginal costs, and these the crossover for a
cluster of any number of cores, if Spark scales perfectly.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from large_sets import cores, draw_films, make_set

HERE = Path(__file__).resolve()


def seconds_of(engine: str, folder: Path, place: Path) -> float:
    """Measure one engine in this process."""
    from balancer.config import load_config
    from balancer.data.ingest.engine import engine_of
    from balancer.data.ingest.reader import FileReader
    from balancer.data.roots import Roots
    from balancer.evaluation.sizes import sizes_read

    config = load_config(options={"data.root": str(folder)})
    roots = Roots.of([folder])
    sizes = sizes_read(config)
    started = time.perf_counter()
    with engine_of(engine, f"local[{cores()}]" if engine == "spark" else None) as opened:
        scan = opened.scan(roots, config.data)
        files = FileReader(roots=roots, config=config.data, sizes=sizes)
        opened.read(files, scan.images, place)
        return time.perf_counter() - started


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--films", "sizes", multiple=True, type=int, default=(250, 1000, 4000))
@click.option("--side", default=224, show_default=True)
@click.option("--rounds", default=2, show_default=True)
@click.option("--only", type=click.Choice(["local", "spark"]), hidden=True)
@click.option("--place", type=click.Path(path_type=Path), hidden=True)
def main(
    data: Path | None,
    sizes: tuple[int, ...],
    side: int,
    rounds: int,
    only: str | None,
    place: Path | None,
) -> None:
    """Print seconds by number of films, and the crossover."""
    if only and data and place:
        print(json.dumps(seconds_of(only, data, place)))
        return
    found: dict[str, list[float]] = {"local": [], "spark": []}
    with tempfile.TemporaryDirectory() as temporary:
        films = data or draw_films(Path(temporary) / "drawn", side)
        print(f"{'films':>8} {'local s':>9} {'spark s':>9}   ({cores()} cores)")
        for n_films in sorted(sizes):
            folder = Path(temporary) / f"films-{n_films}"
            make_set(films, folder, n_films, side)
            times: dict[str, list[float]] = {"local": [], "spark": []}
            for number in range(rounds):
                for engine, own in times.items():
                    target = Path(temporary) / f"{engine}-{n_films}-{number}"
                    own.append(_measured(engine, folder, target))
            for engine, own in times.items():
                found[engine].append(min(own))
            print(f"{n_films:8} {found['local'][-1]:9.2f} {found['spark'][-1]:9.2f}", flush=True)
    _tell(sorted(sizes), found)


def _measured(engine: str, folder: Path, place: Path) -> float:
    asked = [sys.executable, str(HERE), "--data", str(folder), "--only", engine]
    done = subprocess.run(
        [*asked, "--place", str(place)], check=True, stdout=subprocess.PIPE, text=True
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def _tell(sizes: list[int], found: dict[str, list[float]]) -> None:
    if len(sizes) < 2:
        return
    films = sizes[-1] - sizes[0]
    per_film = {name: (times[-1] - times[0]) / films for name, times in found.items()}
    fixed = {name: times[0] - per_film[name] * sizes[0] for name, times in found.items()}
    for name in found:
        print(f"{name}: {fixed[name]:.1f} s and {per_film[name] * 1e3:.2f} ms per film")
    for factor in (1, 2, 4, 8, 16):
        gained = per_film["local"] - per_film["spark"] / factor
        crossing = (fixed["spark"] - fixed["local"]) / gained if gained > 0 else float("inf")
        at = f"{crossing:,.0f} films" if crossing < float("inf") else "never"
        print(f"on {factor * cores()} cores of a cluster Spark is sooner from: {at}")


if __name__ == "__main__":
    main()
