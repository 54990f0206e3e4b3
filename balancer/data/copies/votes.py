"""Pairs of images that share many local features, found among all images at once.

Every feature votes for the images that hold its nearest neighbours, by k-d trees (FLANN, Muja and
Lowe 2009). Trees are built for a block of images at a time, so that memory is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.copies.local_features import LocalFeatures, descriptor_distance
from balancer.data.threads import map_threaded

_BLOCK, _QUERIES = 2048, 32
"""Number of images in the trees, and of images whose features ask at a time."""
_KD_TREE, _TREES, _CHECKS = 1, 4, 24
_NEIGHBOURS = 7
_NEAR, _EQUAL = descriptor_distance(0.45), descriptor_distance(0.2)
_NEARER = 0.8
"""A neighbour counts if it is so much nearer than the last one, which shows what strangers have in
common (Lowe 2004), or if it is nearly equal: a family can fill all places."""
LEAST_VOTES = 10
"""Least number of votes of a pair; planted copies have 20 at least."""
_MOST_PAIRS = 24
"""Most pairs per image, those with the most votes; families are joined through each other."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Two images by position, `first < second`, that may show the same picture.

    Attributes:
        first: Position of the first image.
        second: Position of the second image.
        mirrored: Whether one is mirrored against the other.
        votes: Number of features of one that are near some of the other.
    """

    first: int
    second: int
    mirrored: bool
    votes: int


def propose_by_votes(
    images: Sequence[LocalFeatures], least_votes: int = LEAST_VOTES
) -> list[Proposal]:
    """Find pairs that share features, as they are or mirrored, those with the most votes first."""
    votes: dict[tuple[int, int, bool], int] = {}
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        owner = start + np.repeat(np.arange(len(block)), [len(one.points) for one in block])
        if len(owner) <= _NEIGHBOURS:
            continue
        descriptors = np.concatenate([one.descriptors for one in block]).astype(np.float32)
        cv2.setRNGSeed(0)  # the trees are drawn
        trees = cv2.flann.Index(descriptors, {"algorithm": _KD_TREE, "trees": _TREES})
        for one in _asked(images, trees, owner):
            for pair, number in one.items():
                votes[pair] = votes.get(pair, 0) + number
    return _strongest(votes, least_votes)


def _asked(
    images: Sequence[LocalFeatures], trees: "cv2.flann.Index", owner: NDArray[np.intp]
) -> list[dict[tuple[int, int, bool], int]]:
    def ask(start: int) -> dict[tuple[int, int, bool], int]:
        part = images[start : start + _QUERIES]
        asking = start + np.repeat(np.arange(len(part)), [len(one.points) for one in part])
        votes: dict[tuple[int, int, bool], int] = {}
        if not len(asking):
            return votes
        for mirrored in (False, True):
            queries = np.concatenate(
                [(one.mirrored() if mirrored else one).descriptors for one in part]
            )
            near, distances = trees.knnSearch(
                queries.astype(np.float32), _NEIGHBOURS, params={"checks": _CHECKS}
            )
            distances = np.sqrt(distances)
            alike = (distances < _NEAR) & (distances < _NEARER * distances[:, -1:])
            holder, asker = owner[near], np.broadcast_to(asking[:, None], near.shape)
            counted = (holder != asker) & (alike | (distances < _EQUAL))
            pairs = np.sort(np.stack([asker[counted], holder[counted]], axis=1), axis=1)
            found, number = np.unique(pairs, axis=0, return_counts=True)
            for (first, second), votes_of_pair in zip(found, number, strict=True):
                votes[int(first), int(second), mirrored] = int(votes_of_pair)
        return votes

    starts = range(0, len(images), _QUERIES)
    return map_threaded(ask, starts, task=f"Comparing local features, {_QUERIES} images at a time")


def _strongest(votes: dict[tuple[int, int, bool], int], least_votes: int) -> list[Proposal]:
    proposals = sorted(
        (Proposal(*pair, number) for pair, number in votes.items() if number >= least_votes),
        key=lambda one: (-one.votes, one.first, one.second, one.mirrored),
    )
    of_image: dict[int, int] = {}
    kept = []
    for one in proposals:
        if min(of_image.get(one.first, 0), of_image.get(one.second, 0)) >= _MOST_PAIRS:
            continue
        for place in (one.first, one.second):
            of_image[place] = of_image.get(place, 0) + 1
        kept.append(one)
    return kept
