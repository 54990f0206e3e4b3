"""Hash of everything in the archives that an index depends on: names, bytes and metadata."""

import hashlib
from collections.abc import Sequence

from balancer.data.io import UnusableImageError, read_bytes
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage, Scan
from balancer.data.threads import map_threaded
from balancer.manifest import fingerprint


def hash_archives(scan: Scan, digests: Sequence[str]) -> str:
    """Return one SHA-256 over a scan.

    It covers the reasons of unusable files and the kinds of ignored ones too: another wording of
    either makes existing indexes out of date.

    Args:
        scan: Files and their metadata.
        digests: For each image of the scan: SHA-256 of its bytes, or why they cannot be read.
    """
    parts = [
        f"{image.path}\0{image.label}\0{digest}"
        for image, digest in zip(scan.images, digests, strict=True)
    ]
    parts += [f"{file.path}\0{file.label}\0{file.reason}" for file in scan.refused]
    parts += [f"{kind}\0{number}" for kind, number in sorted(scan.ignored.items())]
    parts += [f"{path}\0{known}" for path, known in sorted(scan.metadata.items())]
    parts += [
        f"{path}\0{sorted(known.columns.items())}"
        for path, known in sorted(scan.metadata.items())
        if known.columns
    ]
    parts += [
        f"{path}\0{known.unit}" for path, known in sorted(scan.metadata.items()) if known.unit
    ]
    parts += [f"{path}\0{mask}" for path, mask in sorted(scan.masks.items())]
    parts += [f"{path}\0{part}" for path, part in sorted(scan.parts.items())]
    return fingerprint("\n".join([scan.layout, *parts]).encode())


def digests_of(roots: Roots, images: Sequence[FoundImage]) -> list[str]:
    """Hash the bytes of files without decoding them."""

    def digest(image: FoundImage) -> str:
        try:
            return hashlib.sha256(read_bytes(roots.locate(image.path))).hexdigest()
        except UnusableImageError as error:
            return error.reason

    return map_threaded(digest, images, task=f"Hashing {len(images)} files")
