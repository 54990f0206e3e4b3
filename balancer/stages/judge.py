"""`balancer judge`: a verdict on the images of any generator, with no index and no split."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from balancer.config import BalancerConfig
from balancer.data.collection import Collection
from balancer.data.roots import base_folder
from balancer.errors import IntegrityError
from balancer.manifest import fingerprint
from balancer.quality.checks import CHECKS
from balancer.quality.choice import ChosenBy, chosen_by
from balancer.quality.extractors import Extractor, check_names, load_configured
from balancer.quality.pictures import save_pictures
from balancer.quality.release import refuse_release
from balancer.quality.summary import class_summary
from balancer.referee.judge import judge_class, verdict_sentence
from balancer.referee.records import JudgeMetrics
from balancer.referee.sides import Sides, Source, open_sides
from balancer.report.render.markdown import render_markdown
from balancer.report.render.page import render_page
from balancer.report.sections.judgement import judgement_page
from balancer.results import StageResult, perform, standing_result
from balancer.synthetic.gates import outside_sources
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

PAGE = "judge.html"


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    real: Source,
    synthetic: Source,
    holdout: Source | None = None,
    classes: Sequence[str] = (),
    strict: bool = False,
    strict_release: bool = False,
    force: bool = False,
) -> StageResult[JudgeMetrics]:
    """Compare synthetic images with real ones, and decide whether they pass the gate.

    Args:
        config: Sections `data`, `quality`, `gate` and `seed` are used.
        workspace: Writes `judge/`.
        real: Real images that the generator may have seen.
        synthetic: Images of any generator.
        holdout: Real images that it did not see.
        classes: Classes to judge; none: all that have synthetic images.
        strict: Refuse images that do not pass, after everything is written.
        strict_release: Refuse images that should not be shared, likewise.
        force: Judge again even if the result is up to date.

    Raises:
        ConfigurationError: A place or an extractor does not exist, or the class of the images
            cannot be told.
        DataError: A side cannot be read, or has too few images.
        IntegrityError: A real image is synthetic; or images do not pass, with `strict`.
        EnvironmentFault: The weights of a configured extractor are not on this machine.
    """
    for place in (real, synthetic, holdout):
        if isinstance(place, Path):
            workspace.refuse_overlap(base_folder(place))
    chosen = config.quality.without_own()
    check_names(chosen)
    sides = open_sides(
        real, synthetic, holdout=holdout, classes=classes, data=config.data, seed=config.seed
    )
    source = _source_workspace(synthetic)
    if holdout is None and source is not None:
        sides = _of_known_lineage(sides, source)
    extractors = load_configured(chosen, sides.channels)
    settings = {
        "seed": config.seed,
        "size": sides.size,
        "channels": sides.channels,
        "unseen": sides.unseen,
        "quality": config.quality.as_record(),
        "gate": config.gate.model_dump(mode="json"),
    }
    inputs = {
        "real": _fingerprint(sides.real.values()),
        "held_out": _fingerprint(sides.held_out.values()),
        "synthetic": _fingerprint(sides.synthetic.values()),
        "extractors": {name: part.weights_sha256 for name, part in extractors.items()},
        "checks": [check.name for check in CHECKS],  # a result of fewer is measured again
    }
    chosen_of = {n: {} if source is None else chosen_by(n, source) for n in sides.synthetic}
    if any(chosen_of.values()):
        inputs["chosen_by"] = chosen_of
    directory = workspace.judge_dir
    result = standing_result(
        directory, JudgeMetrics, settings=settings, inputs=inputs, force=force, files=[PAGE]
    )
    if result is None:
        result = perform(
            "judge",
            workspace,
            directory,
            settings=settings,
            inputs=inputs,
            work=lambda folder: _judge(sides, extractors, config, workspace, folder, chosen_of),
        )
    log.info("Open %s in a browser.", directory / PAGE)
    _refuse(result.metrics, strict=strict, strict_release=strict_release)
    return result


def summary(result: StageResult[JudgeMetrics]) -> list[RenderableType]:
    """Lay out a result for the terminal."""
    metrics = result.metrics
    parts: list[RenderableType] = [
        part for label, one in metrics.classes.items() for part in class_summary(label, one.quality)
    ]
    return [*(Text(f"- {note}") for note in metrics.notes), *parts, Text(metrics.sentence)]


def _source_workspace(synthetic: Source) -> Workspace | None:
    """Return the workspace whose synthetic images are judged; None: they are from elsewhere."""
    if not isinstance(synthetic, Path):
        return None
    place = synthetic.resolve()
    found = Workspace.containing(place)
    if found is None or not (place == found.root or place.is_relative_to(found.synthetic_dir)):
        return None
    return found


def _of_known_lineage(sides: Sides, source: Workspace) -> Sides:
    """Take no validation image for unseen by a generator of unknown lineage."""
    outside = outside_sources(source)
    unknown = [n for n in sides.synthetic if n in outside and outside[n].lineage == "unknown"]
    if not unknown:
        return sides
    note = f"The lineage of {', '.join(unknown)} is unknown, so no image is known to be unseen."
    return replace(sides, unseen=False, notes=(*sides.notes, note))


def _fingerprint(sides: Iterable[Collection]) -> str:
    lines = [f"{one.label}\0{one.image_id}" for side in sides for one in side.images]
    return fingerprint("\n".join(lines).encode())


def _judge(
    sides: Sides,
    extractors: dict[str, Extractor],
    config: BalancerConfig,
    workspace: Workspace,
    folder: Path,
    chosen: Mapping[str, ChosenBy],
) -> JudgeMetrics:
    classes = {}
    for label in sides.synthetic:
        log.info("Judging %d images of %s.", len(sides.synthetic[label].images), label)
        classes[label], images, nearest = judge_class(
            label,
            sides,
            extractors=extractors,
            quality=config.quality,
            gate=config.gate,
            seed=config.seed,
            directory=workspace.judge_cache_dir,
            cache=workspace.feature_cache_dir,
            chosen=chosen[label],
        )
        save_pictures(images, nearest, extractors, folder, cache=workspace.feature_cache_dir)
    metrics = JudgeMetrics(
        unseen=sides.unseen,
        size=sides.size,
        channels=sides.channels,
        notes=(*sides.notes, *_beyond(sides, config.quality.max_images)),
        classes=classes,
        sentence=verdict_sentence(classes, unseen=sides.unseen),
    )
    page = judgement_page(metrics, folder)
    (folder / PAGE).write_text(render_page(page, folder, name="judge"), encoding="utf-8")
    (folder / "judge.md").write_text(render_markdown(page), encoding="utf-8")
    text = json.dumps(metrics.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / "judge.json").write_text(text + "\n", encoding="utf-8")
    return metrics


def _beyond(sides: Sides, most: int) -> Iterator[str]:
    for label, made in sides.synthetic.items():
        if len(made.images) > most:
            yield (
                f"Of {len(made.images)} synthetic images of {label} the first {most} were judged "
                "(quality.max_images)."
            )


def _refuse(metrics: JudgeMetrics, *, strict: bool, strict_release: bool) -> None:
    if strict and metrics.passed is not True:
        raise IntegrityError(
            f"The images should pass every check, but: {metrics.sentence} The page says why."
        )
    if strict_release:
        refuse_release({n: one.quality.release for n, one in metrics.classes.items()})
