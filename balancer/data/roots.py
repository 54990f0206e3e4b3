"""Where the files behind the paths of a table lie: one archive, or several under their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.errors import ConfigurationError

TABLE_SUFFIXES = (".csv", ".parquet")
"""Of files that list images; their paths start in the folder of the table."""


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
            raise ConfigurationError("--data wants at least one folder or file.")
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
        """The archives as they are written into settings."""
        return [str(place) for place in self.archives.values()]

    def locate(self, path: str) -> Path:
        """The file of a relative path of a table."""
        if "" in self.archives:
            return base_folder(self.archives[""]) / path
        name, _, rest = path.partition("/")
        return base_folder(self.archives[name]) / rest

    def __str__(self) -> str:
        return ", ".join(self.places)


def base_folder(place: Path) -> Path:
    """Where the paths of an archive start: in itself, or beside the table that it is."""
    if place.suffix.lower() in TABLE_SUFFIXES and not place.is_dir():
        return place.parent
    return place
