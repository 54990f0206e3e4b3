"""`balancer prepare` as typed, and what it leaves: for the tests of reading."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from balancer.cli import main


def prepare(place: Path | str, *words: str) -> Result:
    return CliRunner().invoke(main, ["prepare", "--data", str(place), "-w", "w", *words])


def prepared(place: Path | str, *words: str) -> tuple[Result, dict[str, Any]]:
    done = prepare(place, *words)
    assert done.exit_code == 0, done.stderr
    metrics: dict[str, Any] = json.loads(Path("w/index/result.json").read_text())["metrics"]
    return done, metrics


def refused(place: Path | str, code: int, *words: str) -> str:
    done = prepare(place, *words)
    assert done.exit_code == code, done.stderr
    assert not Path("w/index/result.json").exists()
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def images_of(metrics: Mapping[str, Any]) -> Counter[str]:
    return sum((Counter(counts) for counts in metrics["splits"].values()), Counter[str]())


def groups() -> dict[str, set[str]]:
    """Group to paths of the images of the index."""
    lines = Path("w/index/index.csv").read_text().splitlines()
    header = lines[0].split(",")
    found: dict[str, set[str]] = {}
    for line in lines[1:]:
        cells = dict(zip(header, line.split(","), strict=True))
        found.setdefault(cells["group"], set()).add(cells["path"])
    return found
