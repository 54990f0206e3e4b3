"""`balancer report`: the ablation, or two classifiers, as a page, as Markdown and as JSON."""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.errors import IntegrityError
from balancer.evaluation.trained import ARMS
from balancer.manifest import fingerprint
from balancer.report.content import compose
from balancer.report.metric_files import write_metric_files
from balancer.report.recipe import recipe_text
from balancer.report.records import ReportRecords, Study
from balancer.report.render.markdown import render_markdown
from balancer.report.render.page import render_page
from balancer.report.render.terminal import arms_table
from balancer.report.sections.recipe import RECIPE_NAME
from balancer.report.tables import comparison_table
from balancer.report.two_arms import (
    Arms,
    compare_arms,
    draw_comparison,
    load_arm,
    refuse_stale,
    refuse_unlike,
    write_rows,
)
from balancer.report.units import Unit, read_units, units_fingerprint
from balancer.results import MissingStage, UntypedResult, perform, read_result, standing_result
from balancer.synthetic.gates import load_synthetic, synthetic_fingerprint
from balancer.workspace import Workspace

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """What stands in the workspace."""

    index: Index
    ablation: UntypedResult | None
    units: dict[str, list[Unit]]
    arms: Arms
    quality: UntypedResult | None
    synthetic: UntypedResult | None
    fold: str | None
    """The first split of the ablation whose images were measured."""


def run(config: BalancerConfig, workspace: Workspace, *, force: bool = False) -> UntypedResult:
    """Tell what an ablation found, and how the two classifiers compare, where each was made.

    Args:
        config: Section `evaluation` and `seed` are used.
        workspace: Reads `index/`, and where they stand `ablation/`, `runs/`, `classify/`,
            `synthetic/`, `quality/` and `gan/`; writes `report/`.
        force: Write again whatever stands there.

    Raises:
        MissingStage: There is neither an ablation nor both classifiers.
        IntegrityError: Results do not belong together, or were changed since.
    """
    found = _find(workspace)
    settings = {"seed": config.seed, "evaluation": config.evaluation.model_dump(mode="json")}
    inputs = {
        "index": found.index.index_hash,
        "ablation": None
        if found.ablation is None
        else fingerprint((workspace.ablation_dir / "result.json").read_bytes()),
        "predictions": units_fingerprint(found.units),
        "arms": {arm: result.model_dump(mode="json") for arm, (result, _) in found.arms.items()},
        "quality": None if found.quality is None else found.quality.metrics,
        "synthetic": None if found.synthetic is None else found.synthetic.metrics,
    }
    # Other settings need no --force: a page takes seconds, and nothing but the page is replaced.
    old = read_result(workspace.report_dir)
    standing = standing_result(
        workspace.report_dir,
        settings=settings,
        inputs=inputs,
        force=force or (old is not None and old.settings != settings),
    )
    if standing is not None:
        return _with_place(standing, workspace)
    result = perform(
        "report",
        workspace,
        workspace.report_dir,
        settings=settings,
        inputs=inputs,
        work=lambda folder: _write(config, workspace, found, folder),
    )
    return _with_place(result, workspace)


def summary(result: UntypedResult) -> list[RenderableType]:
    """What the terminal shows of a result of `report` or of `ablate`."""
    metrics = result.metrics
    columns = shutil.get_terminal_size((100, 24)).columns
    told = _told(metrics) if "arms" in metrics else metrics.get("ablation")
    parts: list[RenderableType] = []
    if told:
        parts += [f"{told['word'].upper()}: {told['sentence']}", arms_table(told, columns=columns)]
        parts += [told["control"]] if told["control"] else []
    if "rows" in metrics:
        title = f"Test split: {metrics['n']} real images, {metrics['n_positive']} "
        title += str(metrics["positive"])
        parts += [comparison_table(metrics["rows"], title, columns=columns), metrics["sentence"]]
    if "page" in metrics:
        parts.append(f"The page: {metrics['page']}")
    return parts


def _with_place(result: UntypedResult, workspace: Workspace) -> UntypedResult:
    """The result and where its page lies today; a workspace may be moved."""
    page = {"page": str(workspace.report_dir / "report.html")}
    return result.model_copy(update={"metrics": result.metrics | page})


def _find(workspace: Workspace) -> _Found:
    index = load_index(workspace.index_dir)
    ablation = _ablation(workspace, index)
    standing = [arm for arm in ARMS if workspace.classify_dir(arm).is_dir()]
    arms: Arms = {}
    if len(standing) == len(ARMS) or (ablation is None and standing):
        arms = {arm: load_arm(workspace.classify_dir(arm), arm, index) for arm in ARMS}
        refuse_unlike(arms)
    if ablation is None and not arms:
        raise MissingStage(
            "ablate",
            f"The report tells of an ablation or of two classifiers, but {workspace.root} holds "
            "neither; run `balancer ablate`, or `balancer classify` and `balancer classify "
            "--with-synthetic`, first.",
            cheap=False,
        )
    quality = read_result(workspace.quality_dir)
    if arms or quality is not None:
        refuse_stale(arms, quality, synthetic_fingerprint(load_synthetic(workspace, index)))
    units = {} if ablation is None else read_units(ablation.metrics, workspace.root / "runs/units")
    synthetic = read_result(workspace.synthetic_dir)
    folds = {} if ablation is None else ablation.metrics.get("quality") or {}
    return _Found(index, ablation, units, arms, quality, synthetic, next(iter(folds), None))


def _ablation(workspace: Workspace, index: Index) -> UntypedResult | None:
    result = read_result(workspace.ablation_dir)
    if result is not None and result.inputs.get("index") != index.index_hash:
        raise IntegrityError(
            f"{workspace.ablation_dir} is of other images or splits than today's index.csv; run "
            "`balancer ablate --force`."
        )
    return result


def _write(
    config: BalancerConfig, workspace: Workspace, found: _Found, folder: Path
) -> dict[str, Any]:
    comparison: dict[str, Any] | None = None
    if found.arms:
        comparison = compare_arms(config, found.arms, found.quality)
        draw_comparison(found.arms, comparison, folder)
        write_rows(comparison["rows"], folder / "comparison.csv")
    _copy_pictures(_pictures(workspace, found), folder)
    material = ReportRecords(
        index=_json(workspace.index_dir / "result.json"),
        audit=_json(workspace.index_dir / "audit.json"),
        ablation=_dumped(found.ablation),
        units=found.units,
        comparison=comparison,
        arms={arm: result.model_dump(mode="json") for arm, (result, _) in found.arms.items()},
        synthetic=_dumped(found.synthetic),
        quality=_dumped(found.quality),
        fold=found.fold,
        fold_quality=None
        if found.fold is None
        else _dumped(read_result(workspace.fold(found.fold).quality_dir)),
        generators={
            path.parent.name: _json(path)
            for path in sorted(workspace.root.glob("gan/*/generator.json"))
        },
        seed=config.seed,
        folder=folder,
    )
    report, numbers = compose(material)
    (folder / "report.html").write_text(render_page(report, folder), encoding="utf-8")
    (folder / "report.md").write_text(render_markdown(report), encoding="utf-8")
    text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    (folder / RECIPE_NAME).write_text(recipe_text(material) + "\n", encoding="utf-8")
    write_metric_files(material)
    told = None if found.ablation is None else _told(found.ablation.metrics)
    return {"ablation": told, **(comparison or {})}


def _told(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What the terminal shows of an ablation."""
    study, control = Study(metrics), metrics.get("control")
    return {
        "word": metrics["verdict"]["word"],
        "sentence": metrics["verdict"]["sentence"],
        "control": control and control["sentence"],
        "primary_title": study.title,
        "rows": [
            {
                "arm": name,
                "word": arm["verdict"]["word"],
                "value": arm["metrics"].get(study.primary),
                "to_real": study.difference(name, "real"),
                "to_repeated": (other := study.repeated(name)) and study.difference(name, other),
            }
            for name, arm in study.arms.items()
        ],
    }


def _dumped(result: UntypedResult | None) -> dict[str, Any] | None:
    return None if result is None else result.model_dump(mode="json")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise IntegrityError(
            f"{path} should be JSON, but: {error}; run its stage again with --force."
        ) from None
    if not isinstance(found, dict):
        raise IntegrityError(f"{path} should be a record; run its stage again with --force.")
    return found


def _copy_pictures(pictures: Iterator[tuple[Path, str]], folder: Path) -> None:
    for source, name in pictures:
        try:
            shutil.copy(source, folder / f"{name}.png")
        except FileNotFoundError as error:
            raise IntegrityError(
                f"{error.filename} should stand where a stage wrote it, but is missing; run that "
                "stage again with --force."
            ) from None


def _pictures(workspace: Workspace, found: _Found) -> Iterator[tuple[Path, str]]:
    for picture in sorted(workspace.quality_dir.glob("*.png")):
        yield picture, picture.stem
    for arm, prefix in (("real", "real"), ("real+synthetic", "with-synthetic")):
        for name in ("confusion", "learning-curves") if found.arms else ():
            yield workspace.classify_dir(arm) / f"{name}.png", f"{prefix}-{name}"
    place = workspace if found.fold is None else workspace.fold(found.fold)
    for name in ("losses", "selection"):
        for picture in sorted(place.root.glob(f"gan/*/{name}.png")):
            yield picture, f"{name}-{picture.parent.name}"
    if found.fold is not None:
        for picture in sorted(place.quality_dir.glob("*.png")):
            yield picture, f"split-{picture.stem}"
