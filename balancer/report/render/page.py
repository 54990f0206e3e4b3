"""The report page: one HTML file that loads no other file."""

import base64
import re
from pathlib import Path

import jinja2
from PIL import Image

from balancer.drawing.wording import printable
from balancer.report.blocks import Report, figures, kind

_CSS_DPI = 108
"""Pixels of a page per inch of a picture: more than the 96 of CSS, for small type."""


def page_templates() -> jinja2.Environment:
    """Return the templates: every text is escaped and printable, a missing value is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("balancer.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: object) -> object:
    """Write the codes of characters that a terminal obeys: a page is also read with `less`."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return printable(value, keep="\n\t")
    return value


def render_page(report: Report, pictures: Path, *, name: str = "report") -> str:
    """Fill the templates.

    Args:
        report: The content.
        pictures: Folder of PNGs; those that the content names are embedded in the page.
        name: Name of the Markdown and of the JSON with the same content, without suffix.

    Returns:
        HTML; every text from the data is escaped.
    """
    environment = page_templates()
    environment.filters["kind"] = kind
    blocks = [*report.answer.blocks, *(b for section in report.sections for b in section.blocks)]
    names = {
        name
        for figure in figures(blocks)
        for name in (figure.name, figure.narrow)
        if name is not None
    }
    page = environment.get_template("report.html").render(
        report=report,
        name=name,
        images={name: _image(pictures / f"{name}.png") for name in sorted(names)},
    )
    return re.sub(r"(\d) %", r"\1&nbsp;%", page)  # a line should not begin with the sign


def _image(path: Path) -> dict[str, str | int]:
    """Return a picture for the page, scaled so that all pictures have text of one size."""
    content = path.read_bytes()
    with Image.open(path, formats=("PNG",)) as image:
        width, height = image.size
        dpi = float(image.info.get("dpi", (_CSS_DPI,))[0])
    scale = _CSS_DPI / dpi
    return {
        "uri": "data:image/png;base64," + base64.b64encode(content).decode(),
        "width": round(width * scale),
        "height": round(height * scale),
    }
