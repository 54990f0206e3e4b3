"""Archives that lie at a URL, such as an object store; a configuration holds them as paths."""

import re
from pathlib import Path

# pathlib makes one slash of two. A letter alone would be a drive of Windows.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.IGNORECASE | re.DOTALL)


def url_of(place: Path) -> str:
    """The URL that a path was made from; empty where it is a plain path."""
    found = _URL.fullmatch(str(place))
    if found is None:
        return ""
    scheme, rest = found.groups()
    return f"{scheme}:///{rest}" if scheme == "file" else f"{scheme}://{rest}"


def resolved(place: Path) -> Path:
    """The absolute path of a place on this machine; a URL of another stays what it is.

    `file:///folder` is the folder.
    """
    url = url_of(place)
    if url.startswith("file:///"):
        return Path(url.removeprefix("file://")).resolve()
    return place if url else place.expanduser().resolve()
