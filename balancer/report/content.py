"""The content of a report: its sections in order, and the raw numbers."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from balancer.ablation.arm_records import Difference
from balancer.ablation.runs import REAL
from balancer.drawing.wording import printable, without_machine_paths
from balancer.report.blocks import Code, Report, Section, as_json
from balancer.report.curve_records import StudyCurves
from balancer.report.plots.arms import (
    Panel,
    save_balance,
    save_calibration,
    save_forest,
    save_variance,
)
from balancer.report.plots.decisions import save_decisions
from balancer.report.plots.travel import save_travel
from balancer.report.plots.worth import save_worth
from balancer.report.records import ReportRecords, Study, file_content
from balancer.report.sections.answer import answer, registration
from balancer.report.sections.arms import arms_section, control_section
from balancer.report.sections.checklist import CLAIM, OTHERS, Row, answered, checklist_section
from balancer.report.sections.curves import calibration_section, curves_section, draw_curves
from balancer.report.sections.data import audit_section, ledger_section, shortcuts_section
from balancer.report.sections.decisions import decisions_section, subgroups_section
from balancer.report.sections.images import images_section
from balancer.report.sections.methods import methods_section, methods_text
from balancer.report.sections.protocol import protocol_section
from balancer.report.sections.readers import readers_section
from balancer.report.sections.recipe import recipe_section
from balancer.report.sections.sharing import sharing_section
from balancer.report.sections.spread import balance_section, variance_section
from balancer.report.sections.travel import travel_section
from balancer.report.sections.two_arms import comparison_section
from balancer.report.sections.worth import worth_section


def compose(records: ReportRecords) -> tuple[Report, dict[str, Any]]:
    """Draw the pictures of an ablation, write every section, and collect the raw numbers.

    Args:
        records: Records of the stages; their folder already has the pictures of other stages.

    Returns:
        The content, its texts on one line and without folders of this machine; and `report.json`.
    """
    study = records.study
    curves: StudyCurves | None = None
    if study is not None:
        draw_arms(records.folder, study)
        _draw_measures(records.folder, study)
        curves = draw_curves(records, study)
    claim, others = answered(records), {name: answered(records, name) for name in OTHERS}
    sections = [
        *(_study_sections(records, study, curves) if study is not None else []),
        *(() if study is not None else _alone(records)),
        images_section(records),
        *_kept(_sharing(records)),
        *_kept(readers_section(records.readers)),
        *([] if study is None else [shortcuts_section(study, records.domain)]),
        audit_section(records),
        *([] if study is None else [protocol_section(study)]),
        *_kept(ledger_section(records)),
        *(_kept(comparison_section(records)) if study is not None else []),
        methods_section(methods_text(records)),
        checklist_section(claim, others),
        recipe_section(records),
    ]
    report = Report(answer(records), sections)
    cleaned: Report = clean_texts(report)
    return cleaned, without_machine_paths(_json(records, cleaned, curves, {CLAIM: claim, **others}))


def _study_sections(
    records: ReportRecords, study: Study, curves: StudyCurves | None
) -> list[Section]:
    return [
        *_kept(travel_section(study)),
        arms_section(study),
        *_kept(worth_section(records, study)),
        *_kept(control_section(study)),
        variance_section(records, study),
        *_kept(balance_section(records, study)),
        curves_section(records, study, curves),
        calibration_section(records, study),
        *_kept(decisions_section(records, study)),
        *_kept(subgroups_section(study)),
    ]


def _alone(records: ReportRecords) -> list[Section]:
    return _kept(comparison_section(records))


def _sharing(records: ReportRecords) -> Section | None:
    if records.quality is None:
        return None
    classes = records.quality.metrics.classes
    return sharing_section({label: one.release for label, one in classes.items()}, {})


def _kept(section: Section | None) -> list[Section]:
    return [] if section is None else [section]


def draw_arms(folder: Path, study: Study) -> None:
    """Draw differences, runs and class balance of the arms into a folder."""
    arms = study.arms
    panels = _panels(study)
    if panels:
        margin = study.question.margin
        save_forest(arms, panels, margin=margin, path=folder / "forest.png")
        save_forest(arms, panels, margin=margin, path=folder / "forest-narrow.png", narrow=True)
    save_variance(arms, primary=study.primary, title=study.title, path=folder / "variance.png")
    design = study.design
    if design is not None and design.before and study.metrics.travel is None:
        save_balance(design.before, design.after, folder / "balance.png")


def _draw_measures(folder: Path, study: Study) -> None:
    arms = study.arms
    save_calibration(arms, folder / "calibration.png")
    shown = {name: arms[name] for name in study.with_curves() if arms[name].decision}
    if shown:
        asked = study.question
        share = asked.deployment_prior[asked.positive_class]
        save_decisions(shown, share, asked.decision_threshold, folder / "decisions.png")
    worth = study.metrics.worth
    if worth is not None:
        kinds = {name: arms[name].kind for name in worth.arms}
        save_worth(worth, kinds, folder / "worth.png")
    travel = study.metrics.travel
    if travel is not None and travel.places:
        save_travel(travel, folder / "travel.png")


def _panels(study: Study) -> list[Panel]:
    to_real: dict[str, Difference] = {}
    to_repeated: dict[str, Difference] = {}
    for name in study.arms:
        found = study.difference(name, REAL)
        if found is not None:
            to_real[name] = found
        other = study.difference(name, study.repeated(name))
        if other is not None:
            to_repeated[name] = other
    words = {name: study.arms[name].verdict.word for name in to_real}
    values = {
        name: "undefined" if found.value is None else f"{found.value:+z.3f}"
        for name, found in to_repeated.items()
    }
    panels = [
        Panel(f"{study.title}: arm minus real", to_real, words),
        Panel(f"{study.title}: arm minus repeated real images", to_repeated, values),
    ]
    return [panel for panel in panels if panel.differences]


def _json(
    records: ReportRecords,
    report: Report,
    curves: StudyCurves | None,
    checklists: Mapping[str, list[Row]],
) -> dict[str, Any]:
    study = records.study
    return {
        "question": report.answer.question,
        "verdict": {
            "word": report.answer.word,
            "sentence": report.answer.sentence,
            **({} if study is None else {"registration": [p.text for p in registration(study)]}),
        },
        "limits": list(report.answer.limits),
        "ablation": file_content(records.ablation),
        "comparison": file_content(records.comparison),
        "curves": {} if curves is None else curves.model_dump(mode="json"),
        "classifiers": {arm: file_content(result) for arm, result in records.arms.items()},
        "synthetic": file_content(records.synthetic),
        "quality": file_content(records.quality),
        "index": file_content(records.index),
        "audit": file_content(records.audit) or {},
        "checklist": checklists[CLAIM],
        "checklists": {name: rows for name, rows in checklists.items() if name != CLAIM},
        "sections": [
            {"id": section.anchor, "title": section.title,
             "blocks": [as_json(block) for block in section.blocks]}
            for section in report.sections
        ],
    }  # fmt: skip


def clean_texts(value: Any) -> Any:
    """Return content with printable texts, without folders of this machine."""
    if isinstance(value, Code):
        lines = value.text.splitlines()
        return Code("\n".join(printable(without_machine_paths(line)) for line in lines))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value,
            **{
                field.name: clean_texts(getattr(value, field.name))
                for field in dataclasses.fields(value)
                # File names stay as they are, since they are not shown.
                if field.name not in ("name", "narrow")
            },
        )
    if isinstance(value, str):
        return printable(without_machine_paths(value))
    if isinstance(value, list | tuple):
        return [clean_texts(item) for item in value]
    return value
