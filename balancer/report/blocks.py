"""What a report is made of: one content, which the page, the Markdown and the JSON all show.

Every text is plain: whoever renders it escapes it, and nothing in it is markup.
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
    """A list without order."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a caption; the first column names the row.

    Attributes:
        caption: What the table shows.
        columns: Headings.
        rows: As many cells each as there are columns.
        text_columns: Numbers of the columns to be read rather than compared.
        word_column: The column of verdict words, drawn as badges.
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
    """A picture that lies beside the page.

    Attributes:
        name: File name without `.png`.
        alt: What one would have to see in it, for those who cannot.
        caption: How to read it.
        narrow: Name of the same picture for narrow screens, if there is one.
        kind: `chart`, `wide` for the full width, or `pixels` for images to be shown unsmoothed.
    """

    name: str
    alt: str
    caption: str
    narrow: str | None = None
    kind: Literal["chart", "wide", "pixels"] = "chart"


@dataclass(frozen=True, slots=True)
class Code:
    """Text to be copied, such as commands or settings."""

    text: str


@dataclass(frozen=True, slots=True)
class Folded:
    """Parts that a reader opens if wanted."""

    title: str
    blocks: Sequence["Block"]


Block = Paragraph | Heading | Bullets | Table | Figure | Code | Folded


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page that the table of contents names."""

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
        blocks: What supports it.
        limits: What it does not say.
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
    """The name under which templates and JSON know a block."""
    return type(block).__name__.lower()


def as_json(block: Block) -> dict[str, Any]:
    """A block for `report.json`."""
    if isinstance(block, Folded):
        inner = [as_json(part) for part in block.blocks]
        return {"kind": kind(block), "title": block.title, "blocks": inner}
    return {"kind": kind(block)} | asdict(block)


def figures(blocks: Sequence[Block]) -> Iterator[Figure]:
    """All pictures, those of folded parts included."""
    for block in blocks:
        if isinstance(block, Figure):
            yield block
        elif isinstance(block, Folded):
            yield from figures(block.blocks)
