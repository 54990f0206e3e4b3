"""The report as GitHub Markdown, with its pictures as files in the same folder."""

import html
import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from balancer.report.blocks import (
    Block,
    Bullets,
    Code,
    Figure,
    Folded,
    Heading,
    Paragraph,
    Report,
    Table,
)

_MARKUP = re.compile(r"([\\`*_\[\]|$~])")
_TONES = {"plain": "{}", "note": "{}", "warning": "**Warning:** {}", "strong": "**{}**"}


def render_markdown(report: Report) -> str:
    """Return the content as Markdown; names from the data are never markup."""
    answer = report.answer
    parts = [f"# {escape(answer.question)}"]
    verdict = "" if answer.word is None else f"**{escape(answer.word.upper())}** "
    parts.append(f"> {_at_line_start(verdict + escape(answer.sentence))}")
    parts += _blocks(answer.blocks, level=2)
    parts += ["## What this does not say", *_blocks([Bullets(answer.limits)], level=3)]
    for section in report.sections:
        parts.append(f"## {escape(section.title)}")
        parts += _blocks(section.blocks, level=3)
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Return Markdown that shows a plain text on one line, inside a table or outside."""
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _MARKUP.sub(r"\\\1", line)
    # A scheme or www. would become a link by itself.
    line = re.sub(r"(?i)\b(https?|ftp):", r"\1&#58;", line)
    line = re.sub(r"(?i)\bwww\.", "www&#46;", line)
    return line.replace("@", "&#64;")


def _blocks(blocks: Sequence[Block], *, level: int) -> Iterator[str]:
    for block in blocks:
        yield from _block(block, level)


def _block(block: Block, level: int) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield _at_line_start(_TONES[block.tone].format(escape(block.text)))
    elif isinstance(block, Heading):
        yield f"{'#' * level} {escape(block.text)}"
    elif isinstance(block, Bullets):
        yield "\n".join(f"- {_at_line_start(escape(item))}" for item in block.items)
    elif isinstance(block, Table):
        yield from _table(block)
    elif isinstance(block, Figure):
        yield f"![{escape(block.alt)}]({quote(block.name, safe='')}.png)"
        yield f"*{escape(block.caption)}*"
    elif isinstance(block, Code):
        fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`+", block.text))])
        yield f"{fence}\n{block.text}\n{fence}"
    elif isinstance(block, Folded):
        # Inside a block of HTML, the escapes of Markdown would be visible.
        yield f"<details>\n<summary>{html.escape(' '.join(block.title.split()))}</summary>"
        yield from _blocks(block.blocks, level=level + 1)
        yield "</details>"


def _table(table: Table) -> Iterator[str]:
    yield f"**{escape(table.caption)}**"
    rules = ["---"] + [
        "---" if place in table.text_columns else "---:" for place in range(1, len(table.columns))
    ]
    lines = [_row(table.columns), "| " + " | ".join(rules) + " |"]
    yield "\n".join([*lines, *(_row(row) for row in table.rows)])
    if table.note:
        yield _at_line_start(escape(table.note.strip()))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape(cell) or "&nbsp;" for cell in cells) + " |"


def _at_line_start(text: str) -> str:
    """Escape text at the start of a line, so that it begins no heading, list or quotation."""
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", re.sub(r"^([#+>=-])", r"\\\1", text))
