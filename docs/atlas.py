"""Write the atlas of studies from their records: `python docs/atlas.py > docs/atlas.md`."""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from balancer.domains.domain import CHEST, domain_of

RESULTS = Path(__file__).parent / "results"
HEAD = """\
# Atlas of studies

Studies whose records are kept in this repository: one table, then each with its picture and its
whole report. The word is the verdict ([answers.md](answers.md)). A page without a verdict is a
measurement.

To add yours: `python benchmarks/publish_report.py WORKSPACE/report docs/results/NAME` copies a
report without pictures of patients, and `python docs/atlas.py > docs/atlas.md` writes this page.
"""
_COLUMNS = (
    *("study", "images", "rare class", "word", "main arm"),
    *("worth in real images", "best without a generator"),
)


def page() -> str:
    """Return the page: studies with their verdicts and forests, then measurements."""
    paths = sorted(RESULTS.glob("*/report.json"))
    table = [_row(_COLUMNS), _row(["---"] * len(_COLUMNS)), *map(in_short, paths), ""]
    studies = [part for path in paths for part in study(path)]
    return "\n".join([HEAD, *table, *studies, "## Measurements", "", *measurements(), ""])


def in_short(path: Path) -> str:
    """Return the row of a study.

    Worth is that of the main arm, or of more real images where no arm has a generator.
    """
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    metrics, index = report["ablation"]["metrics"], report["index"]
    question, arms = metrics["question"], metrics["arms"]
    rare, primary = question["positive_class"], question["primary"]
    counts = [split.get(rare, 0) for split in index["metrics"]["splits"].values()]
    trained_on = question.get("rare_images")
    domain = domain_of(index["settings"]["data"].get("domain", CHEST))
    main = question.get("main_arm") or ("gan" if "gan" in arms else "")
    worth: dict[str, Any] = metrics.get("worth") or {"sentence": "not asked"}
    worth = worth.get("arms", {}).get(main, worth)
    level = {name: arm["metrics"][primary]["value"] for name, arm in arms.items()}
    cheap = [name for name, arm in arms.items() if arm["kind"] in ("reference", "cheap")]
    best = max(cheap, key=lambda name: level[name] or 0.0)
    return _row([
        f"[{path.parent.name}](#{path.parent.name})",
        f"{index['metrics']['images']} {domain.title}",
        f"{sum(counts)} {rare}" + (f", {trained_on} of them trained on" if trained_on else ""),
        f"**{report['verdict']['word']}**",
        f"{main}: {question['primary_title']} {level[main]:.3f}" if main else "none",
        worth["sentence"],
        f"{best}: {level[best]:.3f}",
    ])  # fmt: skip


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def study(path: Path) -> Iterator[str]:
    """Yield the lines of a study."""
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    place, verdict = f"results/{path.parent.name}", report["verdict"]
    design = report["ablation"]["metrics"].get("design") or {}
    arms = ", ".join(report["ablation"]["metrics"]["arms"])
    registration = verdict.get("registration") or ["made before questions were registered."]
    yield f"## {path.parent.name}"
    yield f"\n**{verdict['word']}**: {verdict['sentence']}\n"
    yield f"- Question: {report['question']}"
    yield f"- Arms: {arms}."
    if design.get("repeats"):
        n, folds = design["repeats"], design.get("folds")
        yield f"- Splits: {f'{folds} folds, drawn {n} x' if folds else f'{n} at random'}."
    yield f"- Registration: {registration[0]}"
    yield f"- [The report]({place}/report.md), [its recipe]({place}/recipe.yaml)"
    yield f"\n![Differences of the arms of {path.parent.name}]({place}/forest.png)\n"


def measurements() -> Iterator[str]:
    """Yield a line for each page of results that is no study: its title and its link."""
    for path in sorted([*RESULTS.glob("*.md"), *RESULTS.glob("*/*.md")]):
        if path.name == "report.md":
            continue
        title = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        name = path.stem if title is None else title[1]
        yield f"- [{name}](results/{path.relative_to(RESULTS).as_posix()})"


if __name__ == "__main__":
    sys.stdout.write(page())
