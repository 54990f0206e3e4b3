"""The quality of the synthetic images of a class beside the real images of one split.

`balancer quality` and `balancer ablate` measure by these functions, so that our own GAN and the
generators of others pass the same gate.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.drawing.plots import save_image_grid
from balancer.errors import DataError
from balancer.quality.assess import assess
from balancer.quality.checks import CHECKS, ask_all
from balancer.quality.choice import ChosenBy
from balancer.quality.extractors import Extractor
from balancer.quality.features import Images
from balancer.quality.pictures import save_pictures
from balancer.quality.records import ClassQuality
from balancer.quality.sets import ClassImages
from balancer.synthetic.records import Membership

log = logging.getLogger(__name__)

_GRID = 64


def measured_by(
    config: BalancerConfig, size: int, extractors: Mapping[str, Extractor]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings and the inputs of a result that are not the images.

    Args:
        config: Sections `quality`, `gate` and `seed` are used.
        size: Side of the images in pixels.
        extractors: The extractors, by name.
    """
    settings = {
        "seed": config.seed,
        "image_size": size,
        "quality": config.quality.as_record(),
        "gate": config.gate.model_dump(mode="json"),
    }
    inputs = {
        "extractors": {name: part.weights_sha256 for name, part in extractors.items()},
        "checks": [check.name for check in CHECKS],  # a result of fewer is measured again
    }
    return settings, inputs


def class_images(
    label: str,
    index: Index,
    size: int,
    *,
    made: Images,
    accepted: Images,
    unseen: bool,
    chosen: ChosenBy,
) -> ClassImages:
    """Put the synthetic images of a class beside the real training and validation images.

    Args:
        label: The class.
        index: Index of the split; no test image is read.
        size: Side in pixels.
        made: All synthetic images, uint8 (N, size, size) or (N, size, size, 3).
        accepted: Those that join the training split.
        unseen: Whether the generator is known not to have seen the validation images.
        chosen: Name of an extractor that chose the accepted images to what it chose.

    Raises:
        DataError: A class has no validation images.
    """
    validation = {name: index.pixels(size, "val", name) for name in index.classes}
    empty = [name for name, images in validation.items() if not len(images)]
    if empty:
        raise DataError(
            f"quality needs validation images of every class, but {', '.join(empty)} has none; "
            "enlarge data.split and prepare again."
        )
    return ClassImages(
        label=label,
        accepted=accepted,
        made=made,
        training={name: index.pixels(size, "train", name) for name in index.classes},
        validation=validation,
        unseen=unseen,
        chosen_by=chosen,
    )


def measure_class(
    images: ClassImages,
    extractors: Mapping[str, Extractor],
    config: BalancerConfig,
    folder: Path,
    *,
    cache: Path,
    membership: Membership | None = None,
) -> ClassQuality:
    """Measure images, ask the gate, and draw them.

    Args:
        images: The images.
        extractors: Extractors by name; the gate rests on the first.
        config: Sections `quality`, `gate` and `seed` are used.
        folder: Gets the pictures.
        cache: Folder of kept features.
        membership: Privacy of the generator, if it is the one that drew the images.
    """
    label = images.label
    log.info("Measuring %d images of %s", len(images.accepted), label)
    figures, nearest = assess(
        images,
        extractors=extractors,
        quality=config.quality,
        gate=config.gate,
        seed=config.seed,
        cache=cache,
    )
    save_image_grid(images.accepted[:_GRID], folder / f"generated-{label}.png")
    save_image_grid(images.own_training[:_GRID], folder / f"real-{label}.png")
    save_pictures(images, nearest, extractors, folder, cache=cache)
    gate = ask_all(label, figures, config.gate)
    return ClassQuality.of(figures, membership=membership, gate=gate)
