"""Shortcut probes: models that see the wrong part of an image, or no image at all.

A probe is a logistic regression: on frozen features of the four quarters of an image together with
its pixels, or on file facts. It is weaker than a network that is trained on the images, so what a
probe finds, a classifier can find too; a probe that fails proves nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balancer.data.index import Index
from balancer.data.masks.read import MaskStack
from balancer.domains.domain import Domain
from balancer.errors import ConfigurationError, IntegrityError
from balancer.imaging.pixels import luma
from balancer.manifest import HELD_BACK, SPLITS
from balancer.quality.extractors import Extractor
from balancer.quality.features import features_of
from balancer.shortcuts.artefacts import ARTEFACTS
from balancer.shortcuts.file_facts import FileFacts, file_facts
from balancer.shortcuts.lungs import FINEST, find_lungs, given_lungs
from balancer.shortcuts.records import ProbeResult, ProbeScores
from balancer.shortcuts.scoring import (
    FoldRows,
    ProbeTarget,
    difference_of_folds,
    folds_of,
    score_folds,
)
from balancer.shortcuts.tables import SHARPNESS_FACTS, places, quarters_and_pixels, sharpness
from balancer.shortcuts.views import Images, lungs_blacked_out, lungs_only

_SPLITS = (*SPLITS, HELD_BACK)
# Features of a network are many and correlated: with C=1 they separate any few. Facts are few.
_C_FEATURES, _C_FACTS = 0.01, 1.0
_PLACES_KEPT = 4
"""A mark is a few pixels; of 4, 16 and 64 places and an L1 penalty, this found drawn marks best."""

WHOLE, BORDER = "whole-image", "border-only"
METADATA, FILE = "metadata-only", "metadata-without-lungs"
FILE_ELSEWHERE = "metadata-of-file"
"""Name of the latter where there are no lungs."""
BLACKED_OUT, LUNGS, SOURCE = "lungs-blacked-out", "lungs-only", "source-from-image"
PLACES, SHARPNESS, REST = "places-without-lungs", "sharpness-without-lungs", "whole-minus-lungs"
SHORTCUTS = {
    BORDER: "The rim of the image tells the classes apart",
    METADATA: "Facts about the file tell the classes apart",
    FILE: "Facts about the file and its rim tell the classes apart",
    FILE_ELSEWHERE: "Facts about the file or its rim tell the classes apart",
    BLACKED_OUT: "The image without its lungs tells the classes apart",
    PLACES: "A few places outside the lungs tell the classes apart, as marks do",
    SHARPNESS: "The sharpness of the image outside the lungs tells the classes apart",
    **{name: artefact.means for name, artefact in ARTEFACTS.items()},
}
"""Probes that see no lung, and what it means if they find the class nevertheless."""

_DESCRIBES = {
    WHOLE: "The class from the whole image: what this kind of small model can do.",
    BORDER: "The class from the rim of the image, its middle 88 % by 88 % with both lungs blacked "
    "out; on films that are cropped tightly a rim of lung remains.",
    METADATA: "The class from facts about the file and its grey values, without a look at the "
    "anatomy; an opacity can change some of them.",
    FILE: "The class from those of these facts that no disease of the lungs can change: size and "
    "type of the file, the view, and the grey values of the rim.",
    BLACKED_OUT: "The class from the image with the lungs blacked out by their masks; the outline "
    "of the lungs can still be seen.",
    PLACES: "The class from the grey values of the four places outside the lungs that differ most "
    "between the classes of the training images: letters, labels, marks.",
    SHARPNESS: "The class from grain and edges outside the lungs: how sharp and how noisy the "
    "image is.",
    LUNGS: "The class from the lungs alone, all else blacked out by their masks.",
    REST: "What the rest of the image adds: the scores from the whole image minus those from the "
    "lungs alone, on the same images.",
    SOURCE: "The source, not the class, from the whole image: whether films betray where they were "
    "made.",
    **{name: f"The class from {artefact.describes}." for name, artefact in ARTEFACTS.items()},
}


_WITHOUT_LUNGS = {
    BORDER: "The class from the rim of the image, its middle 88 % by 88 % blacked out.",
    METADATA: "The class from facts about the file and its grey values, without a look at "
    "{subject}; {disease} can change some of them.",
    FILE: "The class from size and type of the file{rim}.",
}
"""Words for domains without lungs."""
_OF_LUNGS = ("without_mask", "left_out", "masks")
_FOUND = " The built-in segmentation finds the lungs; images with doubtful lungs are left out."
_COMMON = (
    " Where one image in five has lungs, all are blacked out, so that an outline changed by a "
    "disease does not show."
)


@dataclass(frozen=True, slots=True)
class _Bench:
    """Images, folds and features that all probes share."""

    folds: tuple[FoldRows, ...]
    target: ProbeTarget
    pixels: Images
    whole: tuple[NDArray[np.float32], NDArray[np.float64]]
    features: Callable[[Images], NDArray[np.float32]]
    seed: int


def run_probes(
    index: Index,
    splits: Sequence[tuple[str, Mapping[str, str]]],
    *,
    positive: str,
    size: int,
    extractor: Extractor,
    masks: MaskStack | None,
    cache: Path | None,
    seed: int,
) -> list[ProbeResult]:
    """Train every probe on the training images of each fold and test it on its test images.

    Args:
        index: The images.
        splits: Name of a fold, and image id to `train`, `val`, `test` or `held-back`; only the
            first and the third are used, and images that are not named are left out.
        positive: Class whose AUROC is given.
        size: Side in pixels of the images, as classifiers see them.
        extractor: Extractor of the frozen features.
        masks: Lung masks of the same size, for the records of the index; None: the built-in
            segmentation finds the lungs.
        cache: Folder for cached features and lungs; None: no cache.
        seed: Seed for the bootstrap.

    Raises:
        ConfigurationError: `positive` is no class of the index.
        IntegrityError: A split names an image that the index lacks, or an unknown split; or see
            `Index.image_set`.
        DataError: `metadata.csv` cannot be used.
    """
    if positive not in index.classes:
        raise ConfigurationError(
            f"The positive class should be one of {', '.join(index.classes)}, but is {positive!r}; "
            "name one of them."
        )
    _verify(index, splits)
    groups = [record.group for record in index.records]
    labels = [record.label for record in index.records]
    pixels = index.image_set(size).pixels

    def features(images: Images) -> NDArray[np.float32]:
        return features_of(extractor, images, cache=cache)

    bench = _Bench(
        folds=tuple(folds_of([record.image_id for record in index.records], splits)),
        target=ProbeTarget(labels, groups, positive, frozenset(index.classes), "class"),
        pixels=pixels,
        whole=quarters_and_pixels(pixels, features),
        features=features,
        seed=seed,
    )
    facts = file_facts(index, size)
    of_file = facts.without_lungs() if index.domain.rim else facts.without_lungs().without_rim()
    results = [
        _result(WHOLE, _from_features(bench, bench.target, bench.whole)),
        _result(BORDER, _border(bench, index.domain)),
        _from_facts(METADATA, bench, facts),
        _from_facts(FILE, bench, of_file),
        *_without_lungs(bench, index, masks, size=size, cache=cache),
        *_of_artefacts(bench, index.domain.artefacts),
        _result(SOURCE, _source(bench, index)),
    ]
    return results if index.domain.lungs else [_elsewhere(one, index.domain) for one in results]


def _verify(index: Index, splits: Sequence[tuple[str, Mapping[str, str]]]) -> None:
    known = {record.image_id for record in index.records}
    for name, split_of in splits:
        strangers = sorted(set(split_of) - known)
        words = sorted(set(split_of.values()) - set(_SPLITS))
        if strangers or words:
            found = f"the image {strangers[0][:12]}" if strangers else f"the split {words[0]!r}"
            raise IntegrityError(
                f"The fold {name!r} should put images of the index into {', '.join(_SPLITS)}, "
                f"but names {found}; remove the folder of the runs and start again."
            )


def _result(name: str, found: ProbeScores | str, **more: Any) -> ProbeResult:
    """Name a probe's scores, or the reason why there are none."""
    if isinstance(found, ProbeScores) and not found.n_folds:
        first = found.skipped[0] if found.skipped else None
        reason = "there is no fold" if first is None else f"{first.fold}: {first.reason}"
        found = f"no fold can answer; {reason}"
    if isinstance(found, str):
        more = {key: more[key] for key in _OF_LUNGS if key in more} | {"reason": found}
    else:
        more = {key: getattr(found, key) for key in found.model_fields_set} | more
    describes = _DESCRIBES[name]
    if more.get("masks") == "found" and name != REST:
        describes += _FOUND + _COMMON * (name in (BLACKED_OUT, SHARPNESS))
    return ProbeResult(
        probe=name,
        describes=describes,
        predicts="source" if name == SOURCE else "class",
        shortcut=name in SHORTCUTS,
        **more,
    )


def _from_images(
    bench: _Bench, images: Images, rows: NDArray[np.int64] | None = None
) -> ProbeScores:
    table = quarters_and_pixels(images, bench.features)
    return _from_features(bench, bench.target, table, rows)


def _from_features(
    bench: _Bench,
    target: ProbeTarget,
    table: tuple[NDArray[np.float32], NDArray[np.float64]],
    rows: NDArray[np.int64] | None = None,
) -> ProbeScores:
    values, weights = table
    rows = np.arange(len(values)) if rows is None else rows
    return score_folds(
        values, rows, target, bench.folds, c=_C_FEATURES, seed=bench.seed, weights=weights
    )


def _border(bench: _Bench, domain: Domain) -> ProbeScores | str:
    if not domain.rim:
        return domain.say("{subject} reaches the rim of these {images}")
    return _from_images(bench, lungs_blacked_out(bench.pixels))


def _of_artefacts(bench: _Bench, names: Sequence[str]) -> Iterator[ProbeResult]:
    """Probe the artefacts that are usual in the domain."""
    for name in names:
        artefact = ARTEFACTS[name]
        table = artefact.table(bench.pixels)
        if table is None:
            yield _result(name, "the images are grey")
        else:
            yield _from_facts(name, bench, FileFacts(artefact.facts, table))


def _from_facts(name: str, bench: _Bench, facts: FileFacts) -> ProbeResult:
    rows = np.arange(len(bench.pixels))
    found = score_folds(facts.values, rows, bench.target, bench.folds, c=_C_FACTS, seed=bench.seed)
    return _result(name, found, facts=facts.names)


def _elsewhere(result: ProbeResult, domain: Domain) -> ProbeResult:
    """Describe a probe in the words of a domain without lungs."""
    is_vague = result.shortcut and result.probe not in ARTEFACTS
    usual = f" Usual there: {', '.join(domain.look_for)}." if is_vague else ""
    words = _WITHOUT_LUNGS.get(result.probe, result.describes).replace("films", "{images}")
    words = words.replace("{rim}", ", and the grey values of its rim" if domain.rim else "")
    name = FILE_ELSEWHERE if result.probe == FILE else result.probe
    return result.model_copy(update={"probe": name, "describes": domain.say(words) + usual})


def _without_lungs(
    bench: _Bench, index: Index, masks: MaskStack | None, *, size: int, cache: Path | None
) -> Iterator[ProbeResult]:
    """Probe what is left without the lungs, the lungs alone, and the difference they make.

    There are none in a domain without lungs.
    """
    if not index.domain.lungs:
        return
    finest = luma(index.image_set(max(size, FINEST)).pixels)
    lungs = (
        find_lungs(finest, size, cache=cache)
        if masks is None
        else given_lungs(masks, finest.shape[-1])
    )
    rows = np.flatnonzero(lungs.present)
    more: dict[str, Any] = {
        "without_mask": len(bench.pixels) - len(rows),
        "left_out": lungs.left_out(bench.target.words),
        "masks": lungs.origin,
    }
    if not len(rows):
        reason = "the lungs of no image are known well enough"
        for name in (BLACKED_OUT, PLACES, SHARPNESS, LUNGS, REST):
            yield _result(name, reason, **more)
        return
    pixels, hidden = bench.pixels[rows], lungs.hidden[rows]
    score = partial(score_folds, rows=rows, target=bench.target, folds=bench.folds, seed=bench.seed)
    yield _result(BLACKED_OUT, _from_images(bench, lungs_blacked_out(pixels, hidden), rows), **more)
    found = score(places(finest[rows], lungs.near_finest[rows]), c=_C_FACTS, keep=_PLACES_KEPT)
    yield _result(PLACES, found, **more)
    found = score(sharpness(finest[rows], lungs.hidden_finest[rows]), c=_C_FACTS)
    yield _result(SHARPNESS, found, facts=SHARPNESS_FACTS, **more)
    alone = quarters_and_pixels(lungs_only(pixels, lungs.shown[rows]), bench.features)
    yield _result(LUNGS, _from_features(bench, bench.target, alone, rows), **more)
    whole = bench.whole[0][rows], bench.whole[1]
    rest = difference_of_folds(
        whole, alone, rows, bench.target, bench.folds, c=_C_FEATURES, seed=bench.seed
    )
    yield _result(REST, rest, **more)


def _source(bench: _Bench, index: Index) -> ProbeScores | str:
    sources = [record.source for record in index.records]
    if len(set(sources) - {""}) < 2:
        return "the metadata give fewer than two sources"
    target = ProbeTarget(sources, bench.target.groups, None, frozenset(), "source")
    return _from_features(bench, target, bench.whole)
