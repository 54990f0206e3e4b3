"""Building blocks of a report: one content for the page, the Markdown and the JSON.

Every text is plain, without markup; the renderers escape it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Tone = Literal["plain", "note", "warning", "strong"]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A few sentences."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a part of a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """An unordered list."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a caption; the first column names the row.

    Attributes:
        caption: Content of the table.
        columns: Headings.
        rows: Cells of each row, one per column.
        text_columns: Numbers of the columns that hold text, aligned to the left.
        word_column: Number of the column of words that are drawn as badges.
        note: How to read it.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: Sequence[int] = ()
    word_column: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture in the folder of the page.

    Attributes:
        name: File name without `.png`.
        alt: Description for readers who cannot see it.
        caption: How to read it.
        narrow: File name of the same picture for narrow screens; None without one.
        kind: `chart`, `wide` for the full width, or `pixels` for images to be shown unsmoothed.
    """

    name: str
    alt: str
    caption: str
    narrow: str | None = None
    kind: Literal["chart", "wide", "pixels"] = "chart"


@dataclass(frozen=True, slots=True)
class Code:
    """Text to copy, such as commands or settings."""

    text: str


@dataclass(frozen=True, slots=True)
class Folded:
    """Blocks that are hidden until a reader opens them."""

    title: str
    blocks: Sequence["Block"]


Block = Paragraph | Heading | Bullets | Table | Figure | Code | Folded


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with an entry in the table of contents."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Answer:
    """The first screen.

    Attributes:
        question: The title of the page.
        word: The verdict in a word; None where only two classifiers were compared.
        sentence: The verdict with its numbers.
        blocks: Evidence for it.
        limits: Limits of the answer.
    """

    question: str
    word: str | None
    sentence: str
    blocks: Sequence[Block]
    limits: Sequence[str]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report."""

    answer: Answer
    sections: Sequence[Section]


def kind(block: Block) -> str:
    """Return the name of a block in templates and in JSON."""
    return type(block).__name__.lower()


def as_json(block: Block) -> dict[str, Any]:
    """Return a block as in `report.json`."""
    if isinstance(block, Folded):
        inner = [as_json(part) for part in block.blocks]
        return {"kind": kind(block), "title": block.title, "blocks": inner}
    return {"kind": kind(block)} | asdict(block)


def figures(blocks: Sequence[Block]) -> Iterator[Figure]:
    """Yield all pictures, those in folded parts included."""
    for block in blocks:
        if isinstance(block, Figure):
            yield block
        elif isinstance(block, Folded):
            yield from figures(block.blocks)
