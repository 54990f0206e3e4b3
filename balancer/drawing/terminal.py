"""Tables on a terminal, which obeys some characters in place of showing them.

Small because each medium that the program draws on is a file.
"""

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from balancer.drawing.wording import printable


@dataclass(frozen=True, slots=True)
class Shown:
    """A table or text of `rich` without control characters in its cells.

    It cleans what `rich` has laid out, so that no table has to remember to. Colours and other
    styles, which `rich` adds afterwards, stay.

    Attributes:
        part: The table or text.
    """

    part: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the cleaned text."""
        for segment in console.render(self.part, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text, keep="\n"), segment.style)
