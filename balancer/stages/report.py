"""`balancer report`: an ablation, or two classifiers, as a page, as Markdown and as JSON."""

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import RenderableType

from balancer.ablation.families.arm import slug_of
from balancer.ablation.records import AblateMetrics
from balancer.ablation.run_predictions import (
    RunPredictions,
    fingerprint_of_runs,
    read_predictions_of_runs,
)
from balancer.config import BalancerConfig
from balancer.data.audit.content import AUDIT_NAME, read_audit
from balancer.data.index import Index, load_index
from balancer.data.records import PrepareMetrics
from balancer.errors import IntegrityError
from balancer.evaluation.ledger import ledger_summary, read_ledger
from balancer.evaluation.readers import read_scores
from balancer.evaluation.records import Comparison, UnitMetrics
from balancer.evaluation.trained_classifier import ARMS
from balancer.explanation.records import ExplainMetrics
from balancer.lungs.records import LungApplyMetrics, LungTrainMetrics
from balancer.manifest import fingerprint
from balancer.quality.records import QualityMetrics
from balancer.report.content import compose
from balancer.report.elsewhere import evaluations, known_elsewhere, travel_study
from balancer.report.metric_files import write_metric_files
from balancer.report.recipe import RECIPE_NAME, recipe_text
from balancer.report.records import ReportRecords, Study, file_content
from balancer.report.render.markdown import render_markdown
from balancer.report.render.page import render_page
from balancer.report.render.pdf import find_browser, print_pdf
from balancer.report.render.slide import save_slide
from balancer.report.render.terminal import arms_table
from balancer.report.sections.methods import METHODS_NAME, methods_text
from balancer.report.summary import ReportMetrics, summarize
from balancer.report.two_arms import (
    Arms,
    compare_arms,
    comparison_table,
    draw_comparison,
    load_arm,
    refuse_stale,
    refuse_unlike,
    write_rows,
)
from balancer.results import (
    MissingStage,
    StageResult,
    perform,
    read_result,
    standing_result,
)
from balancer.synthetic.dcgan import read_cards
from balancer.synthetic.gates import load_synthetic, synthetic_fingerprint
from balancer.synthetic.records import GeneratorMetrics, SynthesizeMetrics
from balancer.workspace import TravelWorkspace, Workspace

log = logging.getLogger(__name__)

PAGE = "report.html"


@dataclass(frozen=True, slots=True)
class _Found:
    """Results in the workspace.

    Attributes:
        index: The verified index.
        ablation: Result of `ablate`.
        units: Predictions of its runs, per arm.
        arms: Both classifiers, or none.
        quality: Result of `quality`.
        synthetic: Result of `synthesize`.
        fold: The first split of the ablation whose images were measured.
    """

    index: Index
    ablation: StageResult[AblateMetrics] | None
    units: dict[str, list[RunPredictions]]
    arms: Arms
    quality: StageResult[QualityMetrics] | None
    synthetic: StageResult[SynthesizeMetrics] | None
    fold: str | None


def run(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False, pdf: bool = False
) -> StageResult[ReportMetrics]:
    """Write what an ablation found, and how the two classifiers compare, where each exists.

    Args:
        config: Section `evaluation` and `seed` are used.
        workspace: Reads `index/`, and if they exist `ablation/`, `runs/`, `classify/`,
            `synthetic/`, `quality/`, `gan/`, `lungs/`, `explain/` and `evaluate/`; writes
            `report/`.
        force: Write an existing report again.
        pdf: Also print the page as `report.pdf`, by a browser of this machine.

    Raises:
        MissingStage: There is neither an ablation nor both classifiers.
        IntegrityError: Results do not belong together, or were changed.
        EnvironmentFault: A PDF is wanted and no browser prints one.
    """
    browser = find_browser() if pdf else None
    found = _find(workspace)
    records = _records(config, workspace, found)
    content = {file: file_content(record) for file, record in records.by_file.items()}
    settings = {"seed": config.seed, "evaluation": config.evaluation.model_dump(mode="json")}
    inputs = {
        "index": found.index.index_hash,
        "ablation": None
        if found.ablation is None
        else fingerprint((workspace.ablation_dir / "result.json").read_bytes()),
        "predictions": fingerprint_of_runs(found.units),
        "arms": {arm: file_content(result) for arm, result in records.arms.items()},
        "quality": file_content(found.quality and found.quality.metrics),
        "synthetic": file_content(found.synthetic and found.synthetic.metrics),
        "records": fingerprint(json.dumps(content, sort_keys=True).encode()),
    }
    # Other settings need no --force: a page takes seconds, and nothing but the page is replaced.
    old = None if force else read_result(workspace.report_dir, ReportMetrics)
    standing = standing_result(
        workspace.report_dir,
        ReportMetrics,
        settings=settings,
        inputs=inputs,
        force=force or (old is not None and old.settings != settings),
        files=[PAGE],
    )
    if standing is None:
        standing = perform(
            "report",
            workspace,
            workspace.report_dir,
            settings=settings,
            inputs=inputs,
            work=lambda folder: _write(config, workspace, found, replace(records, folder=folder)),
        )
    page = workspace.report_dir / PAGE
    if browser is not None:
        print_pdf(browser, page, page.with_suffix(".pdf"))
    metrics = standing.metrics.model_copy(update={"page": str(page)})
    return standing.model_copy(update={"metrics": metrics})


def summary(result: StageResult[ReportMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    return summary_of(result.metrics)


def summary_of(metrics: ReportMetrics) -> list[RenderableType]:
    """Return what the terminal shows of a report; `ablate` shows the same."""
    columns = shutil.get_terminal_size((100, 24)).columns
    parts: list[RenderableType] = []
    if metrics.ablation is not None:
        ablation = metrics.ablation
        parts += [f"{ablation.word.upper()}: {ablation.sentence}", *ablation.registration]
        parts += [arms_table(ablation, columns=columns)]
        parts += [ablation.control] if ablation.control else []
    if metrics.rows:
        title = f"Test split: {metrics.n} real images, {metrics.n_positive} {metrics.positive}"
        parts += [comparison_table(metrics.rows, title, columns=columns), metrics.sentence]
    parts += [metrics.elsewhere] if metrics.elsewhere else []
    if metrics.page:
        parts.append(f"The page: {metrics.page}")
    return parts


def _find(workspace: Workspace) -> _Found:
    index = load_index(workspace.index_dir)
    ablation = _ablation(workspace, index)
    existing = [arm for arm in ARMS if workspace.classify_dir(arm).is_dir()]
    arms: Arms = {}
    if len(existing) == len(ARMS) or (ablation is None and existing):
        arms = {arm: load_arm(workspace.classify_dir(arm), arm, index) for arm in ARMS}
        refuse_unlike(arms)
    if ablation is None and not arms:
        raise MissingStage(
            "ablate",
            f"The report is of an ablation or of two classifiers, but {workspace.root} has "
            "neither; run `balancer ablate`, or `balancer classify` and `balancer classify "
            "--with-synthetic`, first.",
            cheap=False,
        )
    quality = read_result(workspace.quality_dir, QualityMetrics)
    if arms or quality is not None:
        refuse_stale(arms, quality, synthetic_fingerprint(load_synthetic(workspace, index)))
    units: dict[str, list[RunPredictions]] = {}
    if ablation is not None:
        held = ablation.metrics.registration
        runs = workspace.root / ("runs/units" if held is None else held.runs)
        units = read_predictions_of_runs(ablation.metrics, runs, workspace)
    synthetic = read_result(workspace.synthetic_dir, SynthesizeMetrics)
    fold = None if ablation is None else _first_measured(ablation.metrics)
    return _Found(index, ablation, units, arms, quality, synthetic, fold)


def _first_measured(study: AblateMetrics) -> str | None:
    places = (study.quality, *study.outside_quality.values())
    return next((fold for folds in places for fold in folds), None)


def _outside(workspace: Workspace, found: _Found) -> dict[str, Path]:
    """Return where the images of each arm from outside were measured in the first split."""
    if found.ablation is None or found.fold is None:
        return {}
    fold = workspace.fold(found.fold)
    return {
        arm: fold.outside(slug_of(arm)).quality_dir
        for arm, gates in found.ablation.metrics.outside_quality.items()
        if found.fold in gates
    }


def _ablation(workspace: Workspace, index: Index) -> StageResult[AblateMetrics] | None:
    result = read_result(workspace.ablation_dir, AblateMetrics)
    if result is not None and result.inputs.get("index") != index.index_hash:
        raise IntegrityError(
            f"{workspace.ablation_dir} is of other images or splits than today's index.csv; run "
            "`balancer ablate --force`."
        )
    return result


def _records(config: BalancerConfig, workspace: Workspace, found: _Found) -> ReportRecords:
    """Read every record that the report shows or takes a claim from."""
    ledger = ledger_summary(read_ledger(workspace.ledger_dir))
    unit = next((runs[0].unit for runs in found.units.values() if runs), None)
    fold = None if found.fold is None else workspace.fold(found.fold).quality_dir
    outside = _outside(workspace, found)
    measured = {arm: read_result(place, QualityMetrics) for arm, place in outside.items()}
    index = read_result(workspace.index_dir, PrepareMetrics)
    if index is None:
        raise RuntimeError(f"{workspace.index_dir} was loaded but has no result.json.")
    has_audit = (workspace.index_dir / AUDIT_NAME).is_file()
    return ReportRecords(
        index=index,
        audit=read_audit(workspace.index_dir) if has_audit else None,
        ablation=found.ablation,
        units=found.units,
        unit=None if unit is None else read_result(unit, UnitMetrics),
        comparison=None,
        arms={arm: result for arm, (result, _) in found.arms.items()},
        synthetic=found.synthetic,
        quality=found.quality,
        fold=found.fold,
        fold_quality=None if fold is None else read_result(fold, QualityMetrics),
        outside_quality={arm: one for arm, one in measured.items() if one is not None},
        generators=read_cards(workspace),
        trainings=_trainings(workspace),
        lungs=read_result(workspace.lungs_dir, LungApplyMetrics),
        lung_model=read_result(workspace.lungs_dir / "model", LungTrainMetrics),
        explain=_explained(workspace, found.index),
        external={
            place: result
            for place, result in evaluations(workspace).items()
            if place.rpartition("/")[2] in found.arms
        },
        travel=None
        if isinstance(workspace, TravelWorkspace)
        else travel_study(workspace, found.index.index_hash),
        ledger=ledger if ledger.reads or ledger.explained else None,
        readers=read_scores(workspace.readers_dir),
        seed=config.seed,
        folder=workspace.report_dir,
    )


def _trainings(workspace: Workspace) -> dict[str, StageResult[GeneratorMetrics]]:
    """Return the results of `gan-train`, by class."""
    folders = sorted(path.parent for path in workspace.root.glob("gan/*/result.json"))
    found = {folder.name: read_result(folder, GeneratorMetrics) for folder in folders}
    return {label: result for label, result in found.items() if result is not None}


def _explained(workspace: Workspace, index: Index) -> StageResult[ExplainMetrics] | None:
    """Return the result of `explain` for the images of this index."""
    result = read_result(workspace.explain_dir, ExplainMetrics)
    of_index = result is not None and result.inputs.get("index") == index.index_hash
    return result if of_index else None


def _write(
    config: BalancerConfig, workspace: Workspace, found: _Found, records: ReportRecords
) -> ReportMetrics:
    comparison: Comparison | None = None
    folder = records.folder
    if found.arms:
        comparison = compare_arms(config, found.arms, found.quality)
        draw_comparison(found.arms, comparison, folder)
        write_rows(comparison.rows, folder / "comparison.csv")
    _copy_pictures(_pictures(workspace, found), folder)
    records = replace(records, comparison=comparison)
    _write_page(records)
    write_metric_files(records)
    answer = None if found.ablation is None else summarize(Study(found.ablation.metrics))
    compared = {} if comparison is None else comparison.model_dump(exclude_unset=True)
    study = None if found.ablation is None else found.ablation.metrics
    elsewhere = known_elsewhere(study, records.external, records.travel)
    return ReportMetrics(ablation=answer, **compared, elsewhere=elsewhere)


def write_quick(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    result: StageResult[AblateMetrics],
    folder: Path,
) -> None:
    """Write the page of a quick study: the study alone, without other results of the workspace."""
    found = _Found(index, result, {}, {}, None, None, None)
    _write_page(replace(_records(config, workspace, found), folder=folder))


def _write_page(records: ReportRecords) -> None:
    folder = records.folder
    report, numbers = compose(records)
    (folder / PAGE).write_text(render_page(report, folder), encoding="utf-8")
    (folder / "report.md").write_text(render_markdown(report), encoding="utf-8")
    text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    (folder / RECIPE_NAME).write_text(recipe_text(records) + "\n", encoding="utf-8")
    (folder / METHODS_NAME).write_text(f"{methods_text(records)}\n", encoding="utf-8")
    save_slide(report.answer, folder)


def _copy_pictures(pictures: Iterator[tuple[Path, str]], folder: Path) -> None:
    for source, name in pictures:
        try:
            shutil.copy(source, folder / f"{name}.png")
        except FileNotFoundError as error:
            raise IntegrityError(
                f"{error.filename} should exist as a stage wrote it, but is missing; run that "
                "stage again with --force."
            ) from None


def _pictures(workspace: Workspace, found: _Found) -> Iterator[tuple[Path, str]]:
    for picture in sorted(workspace.quality_dir.glob("*.png")):
        yield picture, picture.stem
    for arm, prefix in (("real", "real"), ("real+synthetic", "with-synthetic")):
        for name in ("confusion", "learning-curves") if found.arms else ():
            yield workspace.classify_dir(arm) / f"{name}.png", f"{prefix}-{name}"
    fold = workspace if found.fold is None else workspace.fold(found.fold)
    owner = fold if (fold.root / "gan").is_dir() else workspace
    for name in ("losses", "selection"):
        for picture in sorted(owner.root.glob(f"gan/*/{name}.png")):
            yield picture, f"{name}-{picture.parent.name}"
    measured = {"split-": fold.quality_dir} if found.fold is not None else {}
    measured |= {f"split-{slug_of(arm)}-": at for arm, at in _outside(workspace, found).items()}
    for prefix, place in measured.items():
        for picture in sorted(place.glob("*.png")):
            yield picture, f"{prefix}{picture.stem}"
