"""Copy a report for publication: Markdown, JSON and plots, without a picture of any real film.

Usage: python benchmarks/publish_report.py WORKSPACE/report docs/results/NAME

Pictures that show patients stay behind, and so do their lines in the Markdown, which says so at
its end; `report.html` holds them inside and is not copied.
"""

import argparse
import re
import shutil
from pathlib import Path

FILMS = re.compile(r"(^|-)(beside|closest|real)-")
"""Names of pictures with real films in them, after `split-` and the name of an arm where there is
one; `real-confusion` and the like are plots."""
PLOTS = ("confusion", "learning-curves")
PICTURE = re.compile(r"!\[.*\]\(([^)]+)\)")


def main() -> None:
    """Copy, and say what was left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lines = (options.report / "report.md").read_text(encoding="utf-8").splitlines()
    kept, left_out = [], []
    for line in lines:
        found = PICTURE.search(line)
        if found and has_films(found[1]):
            left_out.append(found[1])
            continue
        if found:
            shutil.copy(options.report / found[1], options.out / found[1])
        kept.append(line)
    if left_out:
        kept += ["", f"Left out, since they show films of patients: {', '.join(left_out)}.", ""]
    (options.out / "report.md").write_text("\n".join(kept) + "\n", encoding="utf-8")
    for name in ("report.json", "recipe.yaml"):
        shutil.copy(options.report / name, options.out / name)
    print(f"{options.out}: without {len(left_out)} pictures of real films")


def has_films(picture: str) -> bool:
    """Return whether a picture of a report shows radiographs of patients."""
    name = Path(picture).stem
    return bool(FILMS.search(name)) and not name.endswith(PLOTS)


if __name__ == "__main__":
    main()
