"""Ask `balancer travel` which views are safe where one class comes from a scanner of its own.

Usage: python benchmarks/planted_hospitals.py --work FOLDER [--seeds 3]

At home every film of COVID was made by a scanner with a mark, a frame or a blur; elsewhere no film
was. All films are drawn. A view is safe from a mark or a frame that it hides; from a blur none is.
"""

import argparse
import shutil
import sys
from pathlib import Path

from balancer import load_config, travel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.planted_hospitals import as_it_is, blurred, framed, marked, write_hospital

EACH = 40
SCANNERS = {"mark": marked, "frame": framed, "blur": blurred}
VIEWS = ("view lungs=lungs-only", "view border=remove")
SETTINGS = (
    "ablation.frozen_splits=4",
    "evaluation.bootstrap_samples=200",
    "travel.largest_fall=0.15",
    f"travel.views=[{','.join(VIEWS)}]",
)


def main() -> None:
    """Print a line for each plant and seed: the word of each view, and its two scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    print(f"| plant | seed | whole film | {' | '.join(VIEWS)} |\n|---|---|{'---|' * 3}")
    for seed in range(asked.seeds):
        for plant, scanner in SCANNERS.items():
            folder = asked.work / f"{plant}-{seed}"
            shutil.rmtree(folder, ignore_errors=True)
            first = 1_000 * seed
            home = write_hospital(folder / "home", scanner, each=EACH, first_seed=first)
            away = write_hospital(folder / "away", as_it_is, each=EACH, first_seed=50_000 + first)
            config = load_config(data=home, assignments=SETTINGS)
            study = travel(config, folder / "work", external=[away]).metrics.travel
            cells = []
            for view in ("real", *VIEWS):
                found = study.views[view]
                there = found.elsewhere["away"]
                cells.append(f"{there.word}: {found.home.value:.2f}, away {there.score.value:.2f}")
            print(f"| {plant} | {seed} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
