"""`balancer quality`: how good the synthetic images are, and whether they pass the gate."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from balancer.config import BalancerConfig
from balancer.data.cache import open_cache
from balancer.data.index import Index, load_index
from balancer.data.roots import Roots
from balancer.drawing.plots import save_image_grid
from balancer.errors import DataError, IntegrityError
from balancer.manifest import SyntheticRecord, fingerprint
from balancer.quality.assess import ClassImages, assess
from balancer.quality.extractors import Extractor, load_extractor
from balancer.quality.features import Images, features_of
from balancer.quality.gate import checks, failures, verdict
from balancer.quality.memorization import Nearest
from balancer.quality.own_classifier import classifier_extractor
from balancer.quality.pictures import save_closest_pairs, save_feature_map, save_side_by_side
from balancer.quality.terminal import class_summary
from balancer.results import MissingStage, UntypedResult, perform, read_result, standing_result
from balancer.synthetic.gates import load_generator_for, load_made, synthetic_fingerprint
from balancer.workspace import Workspace
from gan.checkpoint import WEIGHTS_NAME
from gan.sampling import interpolate

log = logging.getLogger(__name__)

_OWN = "classifier"
_GRID = 64
_WALKS, _STEPS = 6, 9


def run(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False, strict: bool = False
) -> UntypedResult:
    """Measure the synthetic images of each class against real training and validation images.

    Args:
        config: Sections `quality`, `gate` and `seed` are used.
        workspace: Reads `index/`, `synthetic/` and, where they stand, `gan/` and `classify/real/`;
            writes `quality/`.
        force: Measure again whatever stands there.
        strict: Refuse images that fail the gate, once all is written.

    Raises:
        MissingStage: There is no index, there are no synthetic images, or the only extractor wanted
            is a classifier that is not trained.
        DataError: A class has no validation images to measure against.
        EnvironmentFault: The weights of a wanted extractor are not on this machine.
        IntegrityError: A class fails the gate, with `strict`.
    """
    index = load_index(workspace.index_dir)
    records = load_made(workspace, index)
    extractors = _extractors(config, workspace, index)
    # The size that the images have, whatever size a generator trained today would have.
    size = min(record.width for record in records)
    labels = sorted({record.label for record in records})
    settings = {
        "seed": config.seed,
        "image_size": size,
        "quality": config.quality.model_dump(mode="json"),
        "gate": config.gate.model_dump(mode="json"),
    }
    inputs = {
        "index": index.index_hash,
        "synthetic": synthetic_fingerprint([record for record in records if record.accepted]),
        "made": synthetic_fingerprint(records),
        "generators": {label: _generator_of(label, workspace) for label in labels},
        "extractors": {name: part.recipe["weights_sha256"] for name, part in extractors.items()},
    }
    directory = workspace.quality_dir
    result = standing_result(directory, settings=settings, inputs=inputs, force=force)
    if result is None:

        def work(folder: Path) -> dict[str, Any]:
            pixels = open_cache(
                workspace.synthetic_dir, Roots.of([workspace.synthetic_dir]), records, size
            )
            classes = {}
            for label in labels:
                images = _images(label, records, pixels, size, config, index)
                makers = {record.checkpoint for record in records if record.label == label}
                classes[label] = _measure(images, makers, extractors, config, workspace, folder)
                _draw_walks(label, makers, workspace, index, folder)
            return {"classes": classes}

        result = perform(
            "quality", workspace, directory, settings=settings, inputs=inputs, work=work
        )
    _refuse_failures(result, strict)
    return result


def check(config: BalancerConfig) -> None:
    """Refuse an extractor that is not here, before anything is made for it to measure.

    Raises:
        EnvironmentFault: Its weights are not on this machine.
    """
    for name in config.quality.extractors:
        if name != _OWN:
            load_extractor(name, inception_weights=config.quality.inception_weights)


def summary(result: UntypedResult) -> list[RenderableType]:
    """What the terminal shows of a result."""
    return [
        part
        for label, entry in result.metrics["classes"].items()
        for part in class_summary(label, entry)
    ]


def _refuse_failures(result: UntypedResult, strict: bool) -> None:
    gates = {label: entry["gate"] for label, entry in result.metrics["classes"].items()}
    short = [
        f"{label} ({', '.join(failures(gate)) or 'too few images to ask everything'})"
        for label, gate in gates.items()
        if gate["passed"] is not True
    ]
    if short and strict:
        raise IntegrityError(
            f"The synthetic images should pass the quality gate, but these do not: "
            f"{'; '.join(short)}; see `balancer quality` without --strict."
        )


def _extractors(config: BalancerConfig, workspace: Workspace, index: Index) -> dict[str, Extractor]:
    found: dict[str, Extractor] = {}
    for name in config.quality.extractors:
        if name != _OWN:
            weights = config.quality.inception_weights
            found[name] = load_extractor(name, inception_weights=weights)
        elif read_result(workspace.classify_dir("real")) is not None:
            directory = workspace.classify_dir("real")
            found[name] = classifier_extractor(directory, index.index_hash)
        else:
            log.info("Without the run's own classifier, which is not trained: `balancer classify`.")
    if not found:
        raise MissingStage(
            "classify",
            "quality.extractors asks for the run's own classifier alone, but it is not trained; "
            "run `balancer classify` first.",
            cheap=False,
        )
    return found


def _images(
    label: str,
    records: Sequence[SyntheticRecord],
    pixels: Images,
    size: int,
    config: BalancerConfig,
    index: Index,
) -> ClassImages:
    most = config.quality.max_images
    own = [row for row, record in enumerate(records) if record.label == label]
    accepted = [row for row in own if records[row].accepted]
    validation = {name: index.pixels(size, "val", name) for name in index.classes}
    empty = [name for name, images in validation.items() if not len(images)]
    if empty:
        raise DataError(
            f"quality needs validation images of every class, but {', '.join(empty)} has none; "
            "enlarge data.split and prepare again."
        )
    return ClassImages(
        label=label,
        accepted=pixels[accepted[:most]],
        made=pixels[own[:most]],
        training={name: index.pixels(size, "train", name) for name in index.classes},
        validation=validation,
    )


def _measure(
    images: ClassImages,
    checkpoints: set[str],
    extractors: Mapping[str, Extractor],
    config: BalancerConfig,
    workspace: Workspace,
    folder: Path,
) -> dict[str, Any]:
    label = images.label
    log.info("Measuring %d images of %s", len(images.accepted), label)
    entry, nearest = assess(
        images,
        extractors=extractors,
        quality=config.quality,
        gate=config.gate,
        seed=config.seed,
        cache=workspace.feature_cache_dir,
    )
    entry["membership"] = _membership(label, checkpoints, workspace)
    found = checks(label, entry, config.gate)
    entry["gate"] = {
        "passed": verdict(found),
        "checks": [one.as_json() for one in found],
    }
    _draw(images, nearest, extractors, workspace, folder)
    return entry


def _membership(label: str, checkpoints: set[str], workspace: Workspace) -> dict[str, Any] | None:
    """What the discriminator gave away of its training images, as gan-train noted it."""
    trained = read_result(workspace.gan_dir(label))
    if trained is None or _generator_of(label, workspace) not in checkpoints:
        return None
    found: dict[str, Any] | None = trained.metrics.get("membership")
    return found


def _generator_of(label: str, workspace: Workspace) -> str | None:
    """Hash of the generator that stands today, if one does."""
    path = workspace.gan_dir(label) / WEIGHTS_NAME
    return fingerprint(path.read_bytes()) if path.is_file() else None


def _draw(
    images: ClassImages,
    nearest: Nearest,
    extractors: Mapping[str, Extractor],
    workspace: Workspace,
    folder: Path,
) -> None:
    label, made = images.label, images.accepted
    training, validation = images.training[label], images.validation[label]
    save_image_grid(made[:_GRID], folder / f"generated-{label}.png")
    save_image_grid(training[:_GRID], folder / f"real-{label}.png")
    save_side_by_side(training, made, folder / f"beside-{label}.png")
    save_closest_pairs(
        made, training, nearest.rows, nearest.correlations, folder / f"closest-{label}.png"
    )
    for name, extractor in extractors.items():
        sets = (
            features_of(extractor, some, cache=workspace.feature_cache_dir)
            for some in (training, validation, made)
        )
        save_feature_map(*sets, name=name, path=folder / f"map-{name}-{label}.png")


def _draw_walks(
    label: str, checkpoints: set[str], workspace: Workspace, index: Index, folder: Path
) -> None:
    """Walks through the latent space, if the generator that made the images still stands."""
    if _generator_of(label, workspace) in checkpoints:
        loaded = load_generator_for(label, workspace, index)
        walks = interpolate(loaded, walks=_WALKS, steps=_STEPS, seed=loaded.metadata.seed)
        save_image_grid(walks, folder / f"interpolation-{label}.png", columns=_STEPS)
