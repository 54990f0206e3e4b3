"""`balancer quality`: measure the synthetic images, and decide whether they pass the gate."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from balancer.config import BalancerConfig
from balancer.data.cache import open_cache
from balancer.data.index import Index, load_index
from balancer.data.roots import Roots
from balancer.drawing.plots import save_image_grid
from balancer.errors import IntegrityError
from balancer.evaluation.records import ClassifyMetrics
from balancer.manifest import SyntheticRecord
from balancer.quality.choice import chosen_by
from balancer.quality.class_quality import class_images, measure_class, measured_by
from balancer.quality.config import OWN
from balancer.quality.extractors import Extractor, check_names, load_configured
from balancer.quality.own_classifier import classifier_extractor
from balancer.quality.records import ClassQuality, QualityMetrics
from balancer.quality.release import refuse_release
from balancer.quality.summary import NOT_ASKED, class_summary
from balancer.results import MissingStage, StageResult, perform, read_result, standing_result
from balancer.synthetic.card import write_card
from balancer.synthetic.dcgan import checkpoint_hash, load_dcgan
from balancer.synthetic.gates import (
    load_with_rejects,
    outside_sources,
    read_lineage,
    synthetic_fingerprint,
)
from balancer.synthetic.records import GeneratorMetrics, Membership, SynthesizeMetrics, bracketed
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

_WALKS, _STEPS = 6, 9


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    strict: bool = False,
    strict_release: bool = False,
) -> StageResult[QualityMetrics]:
    """Measure the synthetic images of each class against real training and validation images.

    Args:
        config: Sections `quality`, `gate` and `seed` are used.
        workspace: Reads `index/`, `synthetic/` and, if they exist, `gan/` and `classify/real/`;
            writes `quality/`.
        force: Replace an existing result.
        strict: Refuse images that fail the gate, after everything is written.
        strict_release: Refuse images that should not be shared, likewise.

    Raises:
        ConfigurationError: There is no such extractor, or the given weights do not exist.
        MissingStage: There is no index, there are no synthetic images, or the only extractor wanted
            is a classifier that is not trained.
        DataError: A class has no validation images to measure against.
        EnvironmentFault: The weights of a configured extractor are not on this machine.
        IntegrityError: A class fails the gate, with `strict`, or is not fit to share, with
            `strict_release`.
    """
    check_names(config.quality)
    index = load_index(workspace.index_dir)
    records = load_with_rejects(workspace, index)
    extractors = _extractors(config, workspace, index)
    # The size of these images; a generator trained with today's settings may have another.
    size = min(record.width for record in records)
    labels = sorted({record.label for record in records})
    settings, inputs = measured_by(config, size, extractors)
    inputs |= {
        "index": index.index_hash,
        "synthetic": synthetic_fingerprint([record for record in records if record.accepted]),
        "made": synthetic_fingerprint(records),
        "generators": {label: checkpoint_hash(label, workspace) for label in labels},
    }
    outside = outside_sources(workspace)
    if outside:  # what is known of their origin decides what can be asked
        inputs["lineage"] = {label: source.lineage for label, source in outside.items()}
    directory = workspace.quality_dir
    result = standing_result(
        directory, QualityMetrics, settings=settings, inputs=inputs, force=force
    )
    if result is None:

        def work(folder: Path) -> QualityMetrics:
            folder_of = workspace.synthetic_dir
            read_alike = index.preprocessor.alone
            pixels = open_cache(folder_of, Roots.of([folder_of]), records, size, read_alike)
            classes, most, cache = {}, config.quality.max_images, workspace.feature_cache_dir
            for label in labels:
                chosen = chosen_by(label, workspace)
                is_unseen = label not in outside or outside[label].lineage != "unknown"
                own = [row for row, record in enumerate(records) if record.label == label]
                images = class_images(
                    label,
                    index,
                    size,
                    made=pixels[own[:most]],
                    accepted=pixels[[row for row in own if records[row].accepted][:most]],
                    unseen=is_unseen,
                    chosen=chosen,
                )
                checkpoints = {record.checkpoint for record in records if record.label == label}
                checkpoint = checkpoint_hash(label, workspace)
                is_todays = checkpoint is not None and checkpoint in checkpoints
                membership = _membership(label, workspace) if is_todays else None
                classes[label] = measure_class(
                    images, extractors, config, folder, cache=cache, membership=membership
                )
                if is_todays:
                    walks = load_dcgan(label, workspace, index).walks(_WALKS, _STEPS)
                    save_image_grid(walks, folder / f"interpolation-{label}.png", columns=_STEPS)
            _write_card(workspace, folder, records, classes)
            return QualityMetrics(classes=classes, **({"outside": outside} if outside else {}))

        result = perform(
            "quality", workspace, directory, settings=settings, inputs=inputs, work=work
        )
    _refuse_failures(result, strict)
    if strict_release:
        refuse_release({n: one.release for n, one in result.metrics.classes.items()})
    return result


def _write_card(
    workspace: Workspace,
    folder: Path,
    records: Sequence[SyntheticRecord],
    classes: Mapping[str, ClassQuality],
) -> None:
    """Write the card of the images once more, with the word on sharing."""
    made = read_result(workspace.synthetic_dir, SynthesizeMetrics)
    if made is not None:
        write_card(
            folder,
            workspace.synthetic_dir,
            records,
            read_lineage(workspace.synthetic_dir),
            ratio=made.metrics.ratio,
            words={n: one.release.word for n, one in classes.items() if one.release is not None},
        )


def check(config: BalancerConfig) -> None:
    """Refuse a missing extractor before anything is made for it to measure.

    Raises:
        ConfigurationError: It is none.
        EnvironmentFault: Its weights are not on this machine.
    """
    load_configured(config.quality)


def summary(result: StageResult[QualityMetrics]) -> list[RenderableType]:
    """Lay out a result for the terminal."""
    found = result.metrics
    named = [Text(f"Images of {bracketed(found.outside)[2:-1]}.")] if found.outside else []
    parts = (class_summary(label, quality) for label, quality in found.classes.items())
    return [*named, *itertools.chain.from_iterable(parts)]


def _refuse_failures(result: StageResult[QualityMetrics], strict: bool) -> None:
    short = [
        f"{label} ({', '.join(quality.gate.failures) or NOT_ASKED})"
        for label, quality in result.metrics.classes.items()
        if quality.gate.passed is not True
    ]
    if short and strict:
        raise IntegrityError(
            f"The synthetic images should pass the quality gate, but these do not: "
            f"{'; '.join(short)}; see `balancer quality` without --strict."
        )


def _extractors(config: BalancerConfig, workspace: Workspace, index: Index) -> dict[str, Extractor]:
    found = load_configured(config.quality, index.preprocessing.channels)
    if OWN in config.quality.extractors:
        directory = workspace.classify_dir("real")
        if read_result(directory, ClassifyMetrics) is not None:
            found[OWN] = classifier_extractor(directory, index.index_hash)
        else:
            log.info("Without the run's own classifier, which is not trained: `balancer classify`.")
    if not found:
        raise MissingStage(
            "classify",
            "quality.extractors names the run's own classifier alone, but it is not trained; "
            "run `balancer classify` first.",
            cheap=False,
        )
    return {name: found[name] for name in config.quality.extractors if name in found}


def _membership(label: str, workspace: Workspace) -> Membership | None:
    """Read what gan-train recorded of the generator's privacy."""
    trained = read_result(workspace.gan_dir(label), GeneratorMetrics)
    return None if trained is None else trained.metrics.membership
