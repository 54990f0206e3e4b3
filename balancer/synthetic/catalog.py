"""The kinds of sources that a class can take its synthetic images from.

Small because a new kind of source is a file beside this one and an entry here.
"""

from collections.abc import Callable, Mapping

from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.synthetic import dcgan
from balancer.synthetic.source import SyntheticSource
from balancer.workspace import Workspace

Opener = Callable[[str, BalancerConfig, Workspace, Index], SyntheticSource]
"""Open the source of a class, given the label, if it may be used with the index."""


def _dcgan(
    label: str, config: BalancerConfig, workspace: Workspace, index: Index
) -> SyntheticSource:
    return dcgan.load_dcgan(label, workspace, index)


SOURCES: Mapping[str, Opener] = {dcgan.NAME: _dcgan}


def open_source(
    label: str, config: BalancerConfig, workspace: Workspace, index: Index
) -> SyntheticSource:
    """Open the source of the synthetic images of a class.

    Raises:
        MissingStage: It is not there yet.
        IntegrityError: It may not be used with today's training split.
    """
    # The only kind so far; the setting that chooses one comes with the second.
    return SOURCES[dcgan.NAME](label, config, workspace, index)
