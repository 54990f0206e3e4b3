"""Images of a folder, a table or an archive, read with no index and in no split.

It serves images that somebody else made or keeps: real ones to compare with, or those of any
generator.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from balancer.data.audit.admission import refuse_unusable
from balancer.data.build import build_index, real_record
from balancer.data.cache import open_cache
from balancer.data.channels import decide_channels
from balancer.data.config import DataConfig
from balancer.data.entries import entries, is_folder, links_followed
from balancer.data.film.examine import Examined, examine_images
from balancer.data.formats import DICOM_SUFFIXES, IMAGE_SUFFIXES, is_image
from balancer.data.index import Index
from balancer.data.io import Pixels
from balancer.data.layouts.archives import read_archives
from balancer.data.layouts.files import ArchiveFiles
from balancer.data.layouts.recognition import is_archive
from balancer.data.metadata import UNKNOWN, ImageMetadata
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage, Scan, Unusable
from balancer.errors import ConfigurationError, DataError
from balancer.imaging.config import ImageRecipe
from balancer.imaging.preprocess import preprocessor
from balancer.manifest import ImageRecord, fingerprint, table_bytes

REJECTED = "rejected by the screen"
"""Reason to leave out the rows of a `manifest.csv` of ours that did not pass."""
_NO_SPLIT = "none"


@dataclass(frozen=True, slots=True)
class Collection:
    """Usable images of one place; copies and images that are marked as synthetic are included.

    Attributes:
        name: Name of the place, for people.
        roots: Start of the paths of the images.
        images: The images, sorted by path. The label is empty where the place has no classes.
        unusable: Files that are no usable images, with the reason; empty unless `data.skip_bad`.
        left_out: Kind of entry that was not read, or reason for it, to number.
        metadata: Path of an image to what tables, tags and names say of it.
    """

    name: str
    roots: Roots
    images: tuple[Examined, ...]
    unusable: tuple[Unusable, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, ImageMetadata] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the images, sorted; one empty label where there are no classes."""
        return tuple(sorted({image.label for image in self.images}))

    @property
    def patients(self) -> list[str]:
        """Patient of each image, else its lesion or slide; empty where none is known."""
        known = [self.metadata.get(image.path, UNKNOWN) for image in self.images]
        return [one.patient_id or one.unit for one in known]

    def of(self, label: str) -> "Collection":
        """Return the images of one label."""
        own = tuple(file for file in self.unusable if file.label == label)
        return replace(self.keep([image.label == label for image in self.images]), unusable=own)

    def keep(self, wanted: Sequence[bool]) -> "Collection":
        """Return the images for which `wanted`, one word per image, is true."""
        chosen = zip(self.images, wanted, strict=True)
        return replace(self, images=tuple(image for image, is_wanted in chosen if is_wanted))

    def labelled(self, label: str) -> "Collection":
        """Return the same images, all of one class."""
        return replace(
            self,
            images=tuple(replace(image, label=label) for image in self.images),
            unusable=tuple(replace(file, label=label) for file in self.unusable),
        )

    def files(self) -> list[Path]:
        """Return the path of the file of each image."""
        return [self.roots.locate(image.path) for image in self.images]

    def as_scan(self) -> Scan:
        """Return the files as a scan, to build an index or an audit from."""
        scan = Scan(labels=self.labels)
        scan.images = [FoundImage(image.path, image.label) for image in self.images]
        scan.metadata = dict(self.metadata)
        scan.ignored = Counter(self.left_out)
        return scan

    def as_index(self, config: DataConfig, directory: Path) -> Index:
        """Return an index in memory, with groups; its splits are not to be used.

        Args:
            config: Limits; `channels` decides how pixels are read.
            directory: Folder for decoded pixels.

        Raises:
            DataError: A class has too few images or groups.
            IntegrityError: An image is synthetic, or is in two classes.
        """
        scan = self.as_scan()
        drawn = config.model_copy(update={"official_split": False})
        built = build_index(scan, self.images, self.unusable, drawn, seed=0)
        recipe = {"channels": decide_channels(config, self.roots, scan.images)}
        return Index(
            built.records,
            fingerprint(table_bytes(built.records, ImageRecord)),
            self.roots,
            directory,
            ImageRecipe.model_validate(recipe),
        )

    def pixels(self, size: int, directory: Path, *, channels: int = 1) -> Pixels:
        """Decode all images at one size, by the path that every other image takes.

        Args:
            size: Side in pixels.
            directory: Folder that keeps the decoded pixels, in `cache/` inside it.
            channels: 1 for grey, 3 for sRGB.

        Returns:
            uint8 (N, size, size) or (N, size, size, 3), memory-mapped, in the order of the images.

        Raises:
            IntegrityError: A file has changed since it was read.
        """
        records = [real_record(image, "", self.metadata, _NO_SPLIT) for image in self.images]
        recipe = preprocessor(ImageRecipe.model_validate({"channels": channels}))
        return open_cache(directory, self.roots, records, size, recipe)


def read_collection(place: Path, config: DataConfig) -> Collection:
    """Read the images of a place with classes, such as a folder per class, or of a plain folder.

    A plain folder has images of its own and is no archive; the images of the folders inside it are
    read too. Rows of a `manifest.csv` of ours that the screen rejected are left out.

    Args:
        place: A plain folder, or an archive of any layout: a folder per class, a table of paths and
            labels, a MedMNIST file, ...
        config: Layout, choice of labels and views, and limits of a usable image; the shares of the
            splits are not used.

    Raises:
        ConfigurationError: There is no such place.
        DataError: It cannot be read, has no usable image, or a file is no usable image and
            `skip_bad` is off.
        EnvironmentFault: An extra is missing.
    """
    place = place.expanduser().resolve()
    if not place.exists():
        raise ConfigurationError(
            f"Images should be read from {str(place)!r}, but it does not exist; name a folder, or "
            "a table of paths."
        )
    roots = Roots.of([place])
    with links_followed(config.follow_links):
        plain = _scan_plain(place) if _is_plain(place) else None
    scan = read_archives(roots, config, min_classes=1) if plain is None else plain
    _leave_rejected(scan)
    return _examined(place.stem if place.is_file() else place.name, roots, scan, config)


def image_files(folder: Path) -> list[Path]:
    """List the files below a plain folder that are named like images, and links to nowhere."""
    files = ArchiveFiles(folder)
    return [folder / path for path in sorted([*files.images(_SUFFIXES), *files.strange])]


def collection_of(
    files: Sequence[Path],
    config: DataConfig,
    *,
    name: str,
    labels: Sequence[str] | None = None,
    patients: Sequence[str] | None = None,
) -> Collection:
    """Read images by the paths of their files.

    Args:
        files: The files, each given once.
        config: Limits of a usable image.
        name: Name of the collection.
        labels: Class of each file; None: they have none.
        patients: Patient of each file, empty where unknown; None: none is known.

    Raises:
        ConfigurationError: A file is given twice.
        DataError: There is no usable image, or a file is none and `skip_bad` is off.
    """
    paths = [path.expanduser().resolve() for path in files]
    twice = [path for path, number in Counter(paths).items() if number > 1]
    if twice:
        raise ConfigurationError(
            f"Each file should be given once, but {len(twice)} are given again, first {twice[0]}; "
            "remove the repeats."
        )
    words = [""] * len(paths) if labels is None else labels
    scan = Scan(labels=tuple(sorted({*words})))
    # Names that pages show are relative to what the files share, not to the root of this machine.
    base = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path("/")
    found = [
        FoundImage(path.relative_to(base).as_posix(), word)
        for path, word in zip(paths, words, strict=True)
    ]
    if patients is not None:
        scan.metadata = {
            image.path: ImageMetadata(patient_id=patient)
            for image, patient in zip(found, patients, strict=True)
        }
    scan.images = sorted(found, key=lambda image: image.path)
    return _examined(name, Roots.of([base]), scan, config)


def _is_plain(place: Path) -> bool:
    """Return whether a folder has images of its own, and neither a table nor several classes."""
    if not place.is_dir():
        return False
    own = any(is_image(entry) for entry in entries(place) if not is_folder(entry))
    return own and not is_archive(place)


def _scan_plain(place: Path) -> Scan:
    files = ArchiveFiles(place)
    scan = Scan(labels=("",))
    scan.images = [FoundImage(path, "") for path in files.images(_SUFFIXES)]
    scan.refused = [Unusable(path, "", reason) for path, reason in files.strange.items()]
    others = len(files.paths) - len(scan.images)
    scan.ignored = Counter({"file not named like an image": others} if others else {})
    return scan


def _leave_rejected(scan: Scan) -> None:
    def is_rejected(image: FoundImage) -> bool:
        known = scan.metadata.get(image.path, UNKNOWN)
        return known.columns.get("accepted", "").lower() == "false"

    rejected = {image for image in scan.images if is_rejected(image)}
    for image in rejected:
        scan.leave_out(image.label, REJECTED)
    scan.images = [image for image in scan.images if image not in rejected]


def _examined(name: str, roots: Roots, scan: Scan, config: DataConfig) -> Collection:
    config = config.with_side_of(scan.min_side)
    strange = [label for label in scan.labels if label in (".", "..") or {*label} & {*"/\0"}]
    if strange:  # it names pictures and folders
        raise DataError(
            f"A class should have a name that a file can have, but one is called {strange[0]!r}; "
            "rename it."
        )
    images, unusable = examine_images(roots, scan.images, config)
    unusable = sorted([*unusable, *scan.refused], key=lambda file: file.path)
    if not config.skip_bad:
        refuse_unusable(unusable, len(scan.images) + len(scan.refused))
    if not images:
        raise DataError(
            f"{name!r} should hold usable images, but has none of {len(unusable)} files; give "
            "another folder."
        )
    return Collection(
        name, roots, tuple(images), tuple(unusable), dict(scan.ignored), scan.metadata
    )


_SUFFIXES = (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)
