"""Suspicious images by their measurements: negatives, laterals, damage, text, colour."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from balancer.data.film.examine import Examined, thumbnails_of
from balancer.data.film.facts import ImageFacts
from balancer.domains.domain import CHEST, Domain, domain_of

INVERTED = "looks inverted beside the others"
UPSIDE_DOWN = "looks upside down"
LATERAL = "looks like no frontal film, lateral perhaps"
TEXT_HEAVY = "much text"
BROKEN = "looks broken: a band does not fit the rest"

_UNLIKE_OTHERS = -0.3
_NEGATIVE = -0.25
_CHEST, _MOST = 0.35, 0.5
_UPSIDE_DOWN, _BY_FAR = 0.4, 0.5
_NOT_FRONTAL, _NOT_AT_ALL, _LOPSIDED = 0.2, 0.05, 0.75
_ONE_FIELD = 0.58
_TEXT = 0.01
_SEAM = 0.45
_BLOCK = 1024


def collect_flags(images: Sequence[Examined], domain: Domain | None = None) -> dict[str, list[str]]:
    """Return the paths of images that a person should check, by reason.

    Args:
        images: The images.
        domain: Their kind; None: chest radiographs.
    """
    checks = domain or domain_of(CHEST)
    flags: dict[str, list[str]] = defaultdict(list)
    for image in images:
        for flag in image.flags:
            flags[flag].append(image.path)
    posed = are_chests([image.facts for image in images])
    for image, unlike in zip(images, _reversed(images), strict=True):
        if checks.pose and (pose := _pose(image.facts, unlike, posed)):
            flags[pose].append(image.path)
        if image.facts.seam >= _SEAM:
            flags[BROKEN].append(image.path)
        if checks.text and image.facts.text >= _TEXT:
            flags[TEXT_HEAVY].append(image.path)
    return dict(sorted(flags.items()))


def are_chests(facts: Sequence[ImageFacts]) -> bool:
    """Return whether most images show a frontal chest, so that the others are suspicious."""
    shown = [max(abs(fact.frontal), fact.upside_down) >= _CHEST for fact in facts]
    return sum(shown) >= _MOST * len(shown)


def _pose(facts: ImageFacts, unlike: bool, posed: bool) -> str:
    unlike = unlike and (facts.frontal < _NOT_AT_ALL or not posed)
    if unlike or (posed and facts.frontal <= _NEGATIVE):
        return INVERTED
    if not posed:
        return ""
    if facts.upside_down >= _UPSIDE_DOWN and facts.upside_down - facts.frontal >= _BY_FAR:
        return UPSIDE_DOWN
    lopsided = facts.symmetry < _LOPSIDED
    one_field = facts.frontal + facts.two_lungs < _ONE_FIELD
    if one_field or facts.frontal < (_NOT_FRONTAL if lopsided else _NOT_AT_ALL):
        return LATERAL
    return ""


def _reversed(images: Sequence[Examined]) -> list[bool]:
    """Return whether each image resembles the negative of the mean image."""
    parts = [images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK)]
    typical = sum(_patterns(part).sum(axis=0, dtype=np.float64) for part in parts)
    typical = np.asarray(typical / max(float(np.linalg.norm(typical)), 1e-9), np.float32)
    correlation = np.concatenate([_patterns(part) @ typical for part in parts])
    return [bool(value < _UNLIKE_OTHERS) for value in correlation]


def _patterns(images: Sequence[Examined]) -> NDArray[np.float32]:
    """Return small images without their brightness and contrast, unit vectors (N, 1024)."""
    flat = thumbnails_of(images)[:, ::2, ::2].reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    return flat
