"""Decide what the images of archives are: grey or in colour, and of which domain."""

import logging
from collections.abc import Sequence
from pathlib import Path

from balancer.data.config import DataConfig
from balancer.data.ingest.urls import url_of
from balancer.data.io import UnusableImageError, is_coloured
from balancer.data.roots import Roots
from balancer.data.scan import FoundImage, Scan
from balancer.data.threads import map_threaded
from balancer.domains.domain import propose_domain
from balancer.imaging.pixels import COLOUR, GREY

log = logging.getLogger(__name__)

_SAMPLE = 48
"""Number of images that are looked at."""


def decide_channels(config: DataConfig, roots: Roots, images: Sequence[FoundImage]) -> int:
    """Return the number of channels that images are read in, and say what was chosen.

    Args:
        config: `channels` is used.
        roots: Archives of the images.
        images: All images; some of them, evenly spread, are looked at where the choice is ours.

    Returns:
        1, or 3 if most of them are coloured.
    """
    if config.channels != "auto":
        return config.channels
    if any(url_of(archive) for archive in roots.archives.values()):
        log.info("Images on other machines are read as grey; data.channels=3 reads them in colour.")
        return GREY
    some = images[:: max(1, -(-len(images) // _SAMPLE))]

    def look(image: FoundImage) -> bool | None:
        try:
            return is_coloured(roots.locate(image.path))
        except UnusableImageError:
            return None  # named, with its reason, when all files are read

    seen = [one for one in map_threaded(look, some, task="Looking for colours") if one is not None]
    coloured = sum(seen)
    channels = COLOUR if 2 * coloured > len(seen) else GREY
    log.info(
        "Images are read %s: %d of %d looked at are coloured (data.channels=auto).",
        "in colour" if channels == COLOUR else "as grey",
        coloured,
        len(seen),
    )
    return channels


def decide_domain(config: DataConfig, roots: Roots, scan: Scan, channels: int) -> str:
    """Return the domain of the images, and say what was proposed and what is usual there.

    Args:
        config: `domain` is used.
        roots: Archives of the images.
        scan: Their content.
        channels: Channels that images are read in.
    """
    if config.domain != "auto":
        return config.domain
    tops = {image.path.partition("/")[0] for image in scan.images}
    words = [*scan.labels, *(Path(place).name for place in roots.places), *tops]
    domain = propose_domain(words, in_colour=channels == COLOUR)
    if not domain.lungs:
        log.info(
            "Domain: %s (%s), by the names of folders and classes; data.domain names another.",
            domain.name,
            domain.title,
        )
    return domain.name
