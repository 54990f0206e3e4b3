"""The report page: one HTML file that loads nothing from anywhere."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from balancer.report.tables import interval


def render_report(
    *,
    index: Mapping[str, Any],
    synthetic: Mapping[str, Any] | None,
    quality: Mapping[str, Any] | None,
    arms: Mapping[str, Mapping[str, Any]],
    comparison: Mapping[str, Any],
    pictures: Path,
) -> str:
    """Fill the template.

    Args:
        index: `result.json` of `prepare`.
        synthetic: The same of `synthesize`, if it has run.
        quality: The same of `quality`, if it has run.
        arms: The same of both arms of `classify`.
        comparison: The metrics of `report`.
        pictures: Folder of PNGs; each is put into the page.

    Returns:
        HTML; every text from the data is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("balancer.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["interval"] = interval
    return environment.get_template("report.html").render(
        index=index,
        synthetic=synthetic,
        quality=quality,
        arms=arms,
        comparison=comparison,
        pictures={path.stem: _data_uri(path) for path in sorted(pictures.glob("*.png"))},
    )


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
