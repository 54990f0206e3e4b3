"""Lists of the images that an outside generator was trained on, compared with the splits."""

import csv
import re
from pathlib import Path

from balancer.data.index import Index
from balancer.errors import ConfigurationError, DataError
from balancer.synthetic.gates import check_training_ids

_COLUMNS = ("image_id", "path")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def source_name(text: str) -> str:
    """Return the name of a source from outside, which is shown everywhere and names folders.

    Raises:
        ConfigurationError: It has other than letters, digits, dots, dashes and underscores, or is
            longer than 40.
    """
    if not _NAME.fullmatch(text):
        raise ConfigurationError(
            "The name of a source should have up to 40 letters, digits, dots, dashes and "
            f"underscores, but is {text!r:.60}; choose another."
        )
    return text


def read_training_ids(path: Path, index: Index) -> tuple[str, ...]:
    """Read which images a generator was trained on: all of them today's training images.

    Args:
        path: `ids.csv` of an export, another table with a column `image_id` or `path`, or a text
            file with an id or a path per line. Ids are content hashes; paths are those of the
            index, or lead to the same files.
        index: Today's index.

    Returns:
        Content hashes, sorted.

    Raises:
        ConfigurationError: The file cannot be read.
        DataError: It lists nothing, or something that is no image of the index.
        IntegrityError: It lists validation or test images.
    """
    words = _words(path)
    id_of = {record.path: record.image_id for record in index.records}
    id_of |= {str(index.roots.locate(name).resolve()): found for name, found in id_of.items()}
    id_of |= {found: found for found in id_of.values()}
    strange = [word for word in words if _key(word) not in id_of]
    if strange or not words:
        found = f"{len(strange)} of {len(words)} are not" if words else "it is empty"
        first = f", first {strange[0]!r:.80}" if strange else ""
        raise DataError(
            f"{path} should list images of the index, by content hash or path, but {found}{first}; "
            "give the ids.csv of `balancer export-split`, or leave --trained-on out and say "
            "--declared if the generator saw no validation or test image."
        )
    ids = {id_of[_key(word)] for word in words}
    check_training_ids(ids, index, str(path), advice="train it on the export of today's split")
    return tuple(sorted(ids))


def _words(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(
            f"--trained-on should name a table or a text file of images, but {path} cannot be read "
            f"({error}); give the ids.csv of `balancer export-split`."
        ) from None
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    column = next((header.index(name) for name in _COLUMNS if name in header), None)
    if column is None:
        return [row[0].strip() for row in rows]
    return [row[column].strip() if column < len(row) else "" for row in rows[1:]]


def _key(word: str) -> str:
    """Return an id or a path of the index as it is, any other path in full."""
    return str(Path(word).resolve()) if Path(word).is_absolute() else word
