"""Shortcut probes: how far one gets with the wrong part of a film, or with no film at all.

A probe is a logistic regression: on frozen features of the four quarters of an image together with
its pixels, or on file facts. It is weaker than a network that is trained on the images, so what a
probe reads there, a classifier can read too; a probe that fails proves nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from balancer.data.index import Index
from balancer.data.masks.read import MaskStack
from balancer.errors import ConfigurationError, IntegrityError
from balancer.manifest import HELD_BACK, SPLITS
from balancer.quality.extractors import Extractor
from balancer.quality.features import features_of
from balancer.shortcuts.file_facts import FileFacts, file_facts
from balancer.shortcuts.scoring import Fold, Task, folds_of, score_folds
from balancer.shortcuts.views import Images, lungs_blacked_out, lungs_only

_SPLITS = (*SPLITS, HELD_BACK)
LIMIT = 0.90
"""AUROC from which on, at the lower end of its interval, a shortcut caps the verdicts."""
_CHANCE = 0.5

# Features of a network are many and correlated: with C=1 they separate any few. Facts are few.
_C_FEATURES, _C_FACTS = 0.01, 1.0
_PIXELS_SIDE = 64
_WEIGHT = 1280
"""Total weight of all features, and of all pixels: that of the features of one image by Lite0."""

WHOLE, BORDER = "whole-image", "border-only"
METADATA, FILE = "metadata-only", "metadata-without-lungs"
BLACKED_OUT, LUNGS, SOURCE = "lungs-blacked-out", "lungs-only", "source-from-image"
SHORTCUTS = {
    BORDER: "The rim of the image tells the classes apart",
    METADATA: "Facts about the file tell the classes apart",
    FILE: "Facts about the file and its rim tell the classes apart",
    BLACKED_OUT: "The image without its lungs tells the classes apart",
}
"""Probes that look at no lung, and what it means if they find the class all the same."""

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
    LUNGS: "The class from the lungs alone, all else blacked out by their masks.",
    SOURCE: "The source, not the class, from the whole image: whether films betray where they were "
    "made.",
}


@dataclass(frozen=True, slots=True)
class _Bench:
    """What all probes share."""

    folds: tuple[Fold, ...]
    task: Task
    pixels: Images
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
) -> list[dict[str, Any]]:
    """Ask every probe in every fold: trained on its training images, tested on its test images.

    Args:
        index: The images.
        splits: Name of a fold, and image id to `train`, `val`, `test` or `held-back`; only the
            first and the third are used, and images that are not named take no part.
        positive: Class whose AUROC is given.
        size: Side in pixels of the images, as classifiers see them.
        extractor: Of the frozen features.
        masks: Of the lungs, of the same size, for the records of the index; None: there are none.
        cache: Folder of kept features; None: nothing is kept.
        seed: Of the bootstrap.

    Returns:
        For each probe `{"probe", "describes", "predicts", "shortcut"}` with what `score_folds`
        gives, or with `reason` where it could not be asked. JSON-ready.

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
    bench = _Bench(
        folds=tuple(folds_of([record.image_id for record in index.records], splits)),
        task=Task(labels, groups, positive, frozenset(index.classes), "class"),
        pixels=index.image_set(size).pixels,
        features=lambda images: features_of(extractor, images, cache=cache),
        seed=seed,
    )
    facts = file_facts(index, size)
    return [
        _entry(WHOLE, _seen(bench, bench.task, bench.pixels)),
        _entry(BORDER, _seen(bench, bench.task, lungs_blacked_out(bench.pixels))),
        _entry(METADATA, _known(bench, facts)),
        _entry(FILE, _known(bench, facts.without_lungs())),
        _entry(BLACKED_OUT, _masked(bench, masks, lungs_blacked_out)),
        _entry(LUNGS, _masked(bench, masks, lungs_only)),
        _entry(SOURCE, _source(bench, index)),
    ]


def shortcut_caps(
    probes: Sequence[Mapping[str, Any]],
    association: Mapping[str, Any] | None,
    limit: float = LIMIT,
) -> list[str]:
    """Say why no verdict about a classifier's skill can be trusted on these images.

    `metadata-only` counts if its part that no disease can change, `metadata-without-lungs`, tells
    more than chance; `source-from-image` does not count, for that films betray their source harms
    nobody as long as the source does not give the class away.

    Args:
        probes: Of `run_probes`.
        association: The entry `source` of `audit.json`; None: no source is known.
        limit: A shortcut counts from this AUROC on, at the lower end of its interval.

    Returns:
        A sentence per reason; empty where there is none.
    """
    caps = []
    if association is not None and association["gives_label_away"]:
        strength = association["cramers_v"]
        known = "" if strength is None else f" (Cramer's V {strength:.2f})"
        caps.append(f"The source of an image gives its class away{known}.")
    lows = {
        probe["probe"]: probe["auroc"]["low"]
        for probe in probes
        if probe["shortcut"] and "auroc" in probe and probe["auroc"]["low"] is not None
    }
    reached = {name for name, low in lows.items() if low >= limit}
    # Alone, the mean of a whole film or its file size may be the disease.
    if METADATA in reached and lows.get(FILE, 1.0) <= _CHANCE:
        reached.remove(METADATA)
    return caps + [
        f"{SHORTCUTS[probe['probe']]}: the probe {probe['probe']} reaches AUROC "
        f"{probe['auroc']['value']:.3f} (95 % interval {probe['auroc']['low']:.3f} to "
        f"{probe['auroc']['high']:.3f}; the limit for its lower end is {limit:.2f})."
        for probe in probes
        if probe["probe"] in reached
    ]


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


def _entry(name: str, found: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "probe": name,
        "describes": _DESCRIBES[name],
        "predicts": "source" if name == SOURCE else "class",
        "shortcut": name in SHORTCUTS,
    }
    if "reason" not in found and not found["n_folds"]:
        first = found["skipped"][0] if found["skipped"] else None
        reason = "there is no fold" if first is None else f"{first['fold']}: {first['reason']}"
        found = {"reason": f"no fold can answer; {reason}"}
    return entry | found


def _seen(
    bench: _Bench, task: Task, images: Images, rows: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    half = images.shape[-1] // 2
    # Pooled over a whole image, the features of a mark in its corner are lost among the rest.
    blocks: list[NDArray[np.float32]] = [
        bench.features(np.ascontiguousarray(images[:, top : top + half, left : left + half]))
        for top in (0, images.shape[-1] - half)
        for left in (0, images.shape[-1] - half)
    ]
    pixels = _pixels(images)
    n_features = sum(block.shape[1] for block in blocks)
    # Features and pixels weigh the same together, however many they are.
    weights = np.repeat(
        np.sqrt([_WEIGHT / n_features, _WEIGHT / max(1, pixels.shape[1])]),
        [n_features, pixels.shape[1]],
    )
    return score_folds(
        np.concatenate([*blocks, pixels], axis=1),
        np.arange(len(images)) if rows is None else rows,
        task,
        bench.folds,
        c=_C_FEATURES,
        seed=bench.seed,
        weights=weights,
    )


def _pixels(images: Images) -> NDArray[np.float32]:
    """Grey values at 64 px at most, without the places that are equal in all images."""
    side = min(_PIXELS_SIDE, images.shape[-1])
    small = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images]
    flat = np.stack(small).reshape(len(images), -1)
    return flat[:, np.ptp(flat, axis=0) > 0].astype(np.float32)


def _known(bench: _Bench, facts: FileFacts) -> dict[str, Any]:
    rows = np.arange(len(bench.pixels))
    found = score_folds(facts.values, rows, bench.task, bench.folds, c=_C_FACTS, seed=bench.seed)
    return {**found, "facts": list(facts.names)}


def _masked(
    bench: _Bench, masks: MaskStack | None, view: Callable[[Images, NDArray[np.bool_]], Images]
) -> dict[str, Any]:
    if masks is None:
        return {"reason": "no lung masks were given"}
    rows = np.flatnonzero(masks.present)
    images = view(bench.pixels[rows], masks.lungs[rows])
    return {
        **_seen(bench, bench.task, images, rows),
        "without_mask": len(bench.pixels) - len(rows),
    }


def _source(bench: _Bench, index: Index) -> dict[str, Any]:
    sources = [record.source for record in index.records]
    if len(set(sources) - {""}) < 2:
        return {"reason": "the metadata give fewer than two sources"}
    task = Task(sources, bench.task.groups, None, frozenset(), "source")
    return _seen(bench, task, bench.pixels)
