"""Write the gallery of studies from their records: `python docs/gallery.py > docs/gallery.md`."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
HEAD = """\
# Gallery of studies

Studies whose records are kept in this repository, each with its whole report. The word in bold is
the verdict ([answers.md](answers.md)). A page without a verdict is a measurement.
"""


def page() -> str:
    """Return the page: studies with their verdicts and forests, then measurements."""
    studies = [part for path in sorted(RESULTS.glob("*/report.json")) for part in study(path)]
    return "\n".join([HEAD, *studies, "## Measurements", "", *measurements(), ""])


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
