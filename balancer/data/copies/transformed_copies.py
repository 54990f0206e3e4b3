"""Search for copies that were turned, zoomed, framed or cut before a set was shared.

Three steps: local features vote for pairs, features that fit one similarity transform confirm them,
and the correlation of the registered images decides. `docs/audit.md` has the measurement.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.cluster.hierarchy import DisjointSet

from balancer.data.copies.local_features import LocalFeatures
from balancer.data.copies.overlay import Overlay, overlay
from balancer.data.copies.votes import LEAST_VOTES, Proposal, propose_by_votes
from balancer.data.threads import map_threaded

_SAME = 0.93
"""Least similarity of copies. Planted ones reach 0.94, films of two patients 0.83; two films of one
patient in one position stay below, but for a few."""
_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class TransformedCopy:
    """Two images by position, `first < second`, of which one is made from the other.

    Attributes:
        first: Position of the first image.
        second: Position of the second image.
        similarity: Correlation of what both show, in [-1, 1].
        mirrored: Whether one is mirrored against the other.
        degrees: Turn of the second against the first, in (-180, 180], after mirroring it.
        zoom: Size of what the second shows against the first.
    """

    first: int
    second: int
    similarity: float
    mirrored: bool
    degrees: float
    zoom: float


def find_transformed_copies(
    images: Sequence[LocalFeatures], groups: Sequence[str], *, least_votes: int = LEAST_VOTES
) -> list[TransformedCopy]:
    """Find pairs of copies, enough of them to join each family.

    Two images that known pairs or the given groups join already are not compared again.

    Args:
        images: Features of each image.
        groups: Group of each image; images of one are joined already.
        least_votes: Number of features that a pair shares; more are faster and find less.

    Returns:
        Pairs in the order of the images.
    """
    families = DisjointSet(range(len(images)))
    first: dict[str, int] = {}
    for place, group in enumerate(groups):
        families.merge(first.setdefault(group, place), place)
    proposals = propose_by_votes(images, least_votes)
    found: list[TransformedCopy] = []

    def check(proposal: Proposal) -> Overlay | None:
        second = images[proposal.second]
        return overlay(images[proposal.first], second.mirrored() if proposal.mirrored else second)

    for start in range(0, len(proposals), _AT_A_TIME):
        open_ones = [
            one
            for one in proposals[start : start + _AT_A_TIME]
            if not families.connected(one.first, one.second)
        ]
        checked = map_threaded(check, open_ones, task="Registering pairs")
        for proposal, laid in zip(open_ones, checked, strict=True):
            if laid is None or laid.similarity < _SAME:
                continue
            if families.merge(proposal.first, proposal.second):
                found.append(_copy(proposal, laid))
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def _copy(proposal: Proposal, laid: Overlay) -> TransformedCopy:
    return TransformedCopy(
        first=proposal.first,
        second=proposal.second,
        similarity=laid.similarity,
        mirrored=proposal.mirrored,
        degrees=laid.degrees,
        zoom=laid.zoom,
    )
