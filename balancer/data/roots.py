"""Find the files of the paths of a table: in one archive, or in several under their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.errors import ConfigurationError

TABLE_SUFFIXES = (".csv", ".parquet")
"""Suffixes of tables of images, whose paths are relative to the folder of the table."""


@dataclass(frozen=True, slots=True)
class Roots:
    """Archives of images.

    Attributes:
        archives: Name to folder or file. A single archive has the empty name, and paths start in
            it; of several, the first part of a path is the name of its archive.
    """

    archives: Mapping[str, Path]

    @classmethod
    def of(cls, places: Sequence[Path]) -> "Roots":
        """Name the archives after their folders.

        Raises:
            ConfigurationError: There is none, or two share a name.
        """
        if not places:
            raise ConfigurationError("--data needs at least one folder or file.")
        if len(places) == 1:
            return cls({"": places[0]})
        names = [place.stem if place.is_file() else place.name for place in places]
        for name, place in zip(names, places, strict=True):
            if names.count(name) > 1:
                raise ConfigurationError(
                    f"Archives that are merged should have different names, but two are called "
                    f"{name!r}, one of them {place}; rename one."
                )
        return cls(dict(zip(names, places, strict=True)))

    @property
    def places(self) -> list[str]:
        """Archives as they are written into settings."""
        return [str(place) for place in self.archives.values()]

    def locate(self, path: str) -> Path:
        """Return the file of a relative path of a table."""
        if "" in self.archives:
            return base_folder(self.archives[""]) / path
        name, _, rest = path.partition("/")
        return base_folder(self.archives[name]) / rest

    def __str__(self) -> str:
        return ", ".join(self.places)


def base_folder(place: Path) -> Path:
    """Return the folder that the paths of an archive start from; for a table, its own folder."""
    if place.suffix.lower() in TABLE_SUFFIXES and not place.is_dir():
        return place.parent
    return place
