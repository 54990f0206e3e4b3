"""A result that is a page: it can be saved, and a notebook shows it."""

import html
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from balancer.files import replacing


class ShownPage(ABC):
    """A result with a page; a notebook shows its first screen.

    Attributes:
        page: The page as HTML, which loads no other file.
    """

    def __init__(self, page: str) -> None:
        self.page = page

    @property
    @abstractmethod
    def sentence(self) -> str:
        """The answer in one or a few sentences."""

    def to_html(self, path: Path | str) -> None:
        """Write the page, whole or not at all."""
        with replacing(Path(path).expanduser()) as partial:
            partial.write_text(self.page, encoding="utf-8")

    def _repr_html_(self) -> str:
        frame = html.escape(self.page, quote=True)
        return f'<iframe srcdoc="{frame}" style="width:100%;height:40rem;border:0"></iframe>'

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sentence!r})"


@contextmanager
def folder_or_none(out: Path | str | None) -> Iterator[Path]:
    """Yield the folder that is named, or one that is removed afterwards."""
    if out is not None:
        yield Path(out).expanduser()
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)
