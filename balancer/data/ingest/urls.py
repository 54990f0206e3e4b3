"""URLs of archives, such as in an object store, which a configuration stores as paths.

Small, but needed by the settings, the command line and both engines.
"""

import re
from pathlib import Path

# pathlib turns `//` into `/`. A single letter would be a Windows drive.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.IGNORECASE | re.DOTALL)


def url_of(place: Path) -> str:
    """Return the URL that a path was made from; empty for a plain path."""
    found = _URL.fullmatch(str(place))
    if found is None:
        return ""
    scheme, rest = found.groups()
    return f"{scheme}:///{rest}" if scheme == "file" else f"{scheme}://{rest}"


def resolved(place: Path) -> Path:
    """Return the absolute path of a local folder or file; a remote URL stays unchanged.

    `file:///folder` becomes the folder.
    """
    url = url_of(place)
    if url.startswith("file:///"):
        return Path(url.removeprefix("file://")).resolve()
    return place if url else place.expanduser().resolve()
