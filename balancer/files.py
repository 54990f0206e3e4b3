"""Write a file whole or not at all."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`, renamed to `path` if the block succeeds.

    The name is unique, so that several processes can write one file: the last one to finish wins.
    If the block fails, the temporary file is removed and `path` is unchanged.

    Args:
        path: File to write; its folder exists.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
