"""The list of layouts as text, for `balancer prepare --list-layouts`."""

import textwrap

from balancer.data.layouts.layout import Layout
from balancer.data.layouts.recognition import LAYOUTS

_WIDTH = 98
_INDENT = 4
_KEY = 14


def layout_page() -> str:
    """All layouts, a paragraph each, and how they are used."""
    head = (
        "Archives that `balancer prepare --data` reads. Give --data again to merge several; "
        "--layout NAME where one is not recognised. docs/layouts.md tells more."
    )
    parts = [textwrap.fill(head, _WIDTH), *(_paragraph(layout) for layout in LAYOUTS)]
    return "\n\n".join(parts)


def _paragraph(layout: Layout) -> str:
    facts = {
        "recognised by": layout.marks,
        "cite": layout.citation,
        "licence": layout.licence,
        "from": layout.url,
        "note": layout.notes,
    }
    lines = [_line(key, text) for key, text in facts.items() if text]
    return "\n".join([f"{layout.name}: {layout.title}", *lines])


def _line(key: str, text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=" " * _INDENT + key.ljust(_KEY),
        subsequent_indent=" " * (_INDENT + _KEY),
        break_long_words=False,
        break_on_hyphens=False,
    )
