"""Hook of MkDocs: pages of the repository outside `docs/`, and the links that lead there.

A link works on the site as it works in the repository: it leads to the page that shows the file, or
to a copy of the file. Notebooks are shown with the outputs that are kept in them.
"""

import os
import re
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "benchmarks.md": "benchmarks/README.md",
}
"""Page of the site to the file that it shows."""
_COPIES = "repository"
_NOTEBOOKS = "notebooks"
_OF_PANDAS = re.compile(
    r'<style scoped>.*?</style>\s*<table border="1" class="dataframe">', re.DOTALL
)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)([^)\s]*)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages, and a copy of each file that a page links to."""
    for name, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))
    for path in sorted((ROOT / "docs" / _NOTEBOOKS).glob("*.ipynb")):
        page = File.generated(config, f"{_NOTEBOOKS}/{path.stem}.md", content=_shown(path))
        files.append(page)
    for file in [one for one in files if one.is_documentation_page()]:
        text = file.content_string
        for target, _ in _LINK.findall(text):
            path = _place(file.src_uri, target)
            copy = f"{_COPIES}/{path.as_posix()}"
            if _is_foreign(path) and (ROOT / path).is_file() and copy not in files.src_uris:
                files.append(File.generated(config, copy, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point each link to the place that its file has on the site."""

    def on_site(match: re.Match[str]) -> str:
        path = _place(page.file.src_uri, match[1])
        shown = {source: name for name, source in PAGES.items()}
        if path.as_posix() in shown:
            target = shown[path.as_posix()]
        elif _is_foreign(path):
            target = f"{_COPIES}/{path.as_posix()}"
        else:
            target = path.relative_to("docs").as_posix().replace(".ipynb", ".md")
        start = Path(page.file.src_uri).parent.as_posix()
        return f"]({os.path.relpath(target, start)}{match[2]})"

    return _LINK.sub(on_site, markdown)


def _shown(path: Path) -> str:
    """Return a notebook as Markdown; a table of pandas stays HTML, in the style of the site."""
    book = nbformat.read(path, as_version=4)
    markdown, _ = MarkdownExporter().from_notebook_node(book)
    return str(_OF_PANDAS.sub("<table>", markdown))


def _place(page: str, target: str) -> Path:
    """Return the path in the repository that a link of a page leads to."""
    source = Path(PAGES.get(page, f"docs/{page}"))
    return Path(os.path.normpath(source.parent / target))


def _is_foreign(path: Path) -> bool:
    """Return True for a file that is neither in `docs/` nor a page of its own."""
    return path.parts[0] != "docs" and path.as_posix() not in PAGES.values()
