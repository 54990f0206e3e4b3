"""Cost of other work on the same cores: a whole run alone, and beside as many busy processes.

Usage: python benchmarks/busy.py [--recipe demo] [--rounds 1]

Both are timed in turn, from fresh folders and in processes of their own, without OMP_NUM_THREADS;
the ratio is that of the medians. Aim: at most 2.5.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def main() -> None:
    """Time the run both ways and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    n_busy = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    seconds: dict[int, list[float]] = {0: [], n_busy or 1: []}
    for _ in range(options.rounds):
        for count, found in seconds.items():
            found.append(_time_beside(count, options.recipe))
    for count, found in seconds.items():
        print(f"run -c {options.recipe} beside {count} busy processes: {min(found):.1f} s")
    alone, beside = (statistics.median(found) for found in seconds.values())
    print(f"slower by a factor of {beside / alone:.2f} on {n_busy} cores")


def _time_beside(n_busy: int, recipe: str) -> float:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_busy)]
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    program = "from balancer.cli import main; main()"
    command = [sys.executable, "-c", program, "run", "-q", "-c", recipe]
    try:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            subprocess.run(
                [*command, "--workspace", f"{folder}/work"],
                env={**environment, "PYTHONPATH": str(_ROOT)},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            return time.perf_counter() - started
    finally:
        for other in others:
            other.kill()
            other.wait()


if __name__ == "__main__":
    main()
