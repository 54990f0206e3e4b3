"""The kinds of sources that a class can take its synthetic images from.

Small because a new kind of source is a file beside this one and an entry here.
"""

import logging
from collections.abc import Callable, Sequence

from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.synthetic import dcgan, outside_images
from balancer.synthetic.source import SyntheticSource
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

Opener = Callable[[str, BalancerConfig, Workspace, Index], SyntheticSource | None]
"""Open the source of a class, given the label, if it may be used with the index; None: the class
has no source of this kind."""


def _dcgan(
    label: str, config: BalancerConfig, workspace: Workspace, index: Index
) -> SyntheticSource:
    return dcgan.load_dcgan(label, workspace, index)


SOURCES: Sequence[Opener] = (outside_images.load_imported, _dcgan)
"""All kinds; the first that a class has serves it, and whoever imports images wants these."""


def open_source(
    label: str, config: BalancerConfig, workspace: Workspace, index: Index
) -> SyntheticSource:
    """Open the source of the synthetic images of a class.

    Raises:
        MissingStage: It is not there yet.
        IntegrityError: It may not be used with today's training split.
    """
    found = (opener(label, config, workspace, index) for opener in SOURCES)
    source = next(one for one in found if one is not None)
    if source.lineage.name is not None and workspace.gan_dir(label).exists():
        log.info(
            "Images of %s are those imported as %s; remove %s to draw them from our generator.",
            label, source.name, workspace.imported_dir(label),
        )  # fmt: skip
    return source


def has_source(label: str, workspace: Workspace) -> bool:
    """Return whether a class has a source of any kind."""
    return workspace.imported_dir(label).exists() or workspace.gan_dir(label).exists()
