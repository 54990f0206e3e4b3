"""The section on repeating a run: settings, seeds, versions, hashes and commands."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from balancer.report.blocks import Block, Code, Folded, Heading, Paragraph, Section, Table
from balancer.report.recipe import RECIPE_NAME, recipe_text
from balancer.report.records import Json, ReportRecords


def recipe_section(records: ReportRecords) -> Section:
    """Return the records of the stages and the commands in order."""
    named = dict(_records(records))
    blocks: list[Block] = [
        Paragraph(
            "The same data, settings, versions and number of threads give the same files again. "
            "Folders of the machine are cut to their last name; the hashes identify the files."
        ),
        Paragraph(
            f"{RECIPE_NAME} beside this page has all settings on record; its comments name those "
            "that no stage recorded. DIR is the archive of images (layout: "
            f"{records.index['metrics'].get('layout', 'not known')})."
        ),
        Code("\n".join(_commands(records))),
        Folded(f"{RECIPE_NAME}", [Code(recipe_text(records))]),
        _versions(named),
    ]
    if records.generators:
        blocks.append(_generators(records.generators))
    blocks += [
        Folded(f"Settings and inputs: {name}", [
            Paragraph(f"Hash of the settings: {record['config_hash']}; "
                      f"{record['seconds']:.0f} seconds.", "note"),
            Heading("Settings"), Code(_text(record["settings"])),
            Heading("Hashes of the inputs"), Code(_text(record["inputs"])),
        ])
        for name, record in named.items()
    ]  # fmt: skip
    return Section("recipes", "Recipes, versions and commands", blocks)


def _records(records: ReportRecords) -> Iterator[tuple[str, Json]]:
    yield "prepare", records.index
    if records.ablation is not None:
        yield "ablate", records.ablation
    if records.synthetic is not None:
        yield "synthesize", records.synthetic
    for label, record in records.trainings.items():
        yield f"gan-train {label}", record
    yield from records.arms.items()
    if records.quality is not None:
        yield "quality", records.quality


def _commands(records: ReportRecords) -> Iterator[str]:
    if records.ablation is not None:
        quick = " --quick" if records.ablation["metrics"].get("tier") else ""
        yield f"balancer ablate{quick} --config {RECIPE_NAME} --data DIR"
    if records.arms:
        yield f"balancer run --config {RECIPE_NAME} --data DIR"


def _versions(records: Mapping[str, Json]) -> Table:
    packages: list[str] = []
    for record in records.values():
        packages += [name for name in record["versions"] if name not in packages]
    rows = [
        [package, *(str(record["versions"].get(package, "-")) for record in records.values())]
        for package in packages
    ]
    return Table("Versions that each stage ran with", ["package", *records], rows,
                 text_columns=tuple(range(1, len(records) + 1)))  # fmt: skip


def _generators(generators: Mapping[str, Json]) -> Table:
    keys = ("training_ids", "images_shown")
    rows = []
    for label, card in generators.items():
        cells = [card.get(key) for key in keys]
        rows.append([label, *(
            str(len(cell)) if isinstance(cell, list) else "not recorded" if cell is None
            else str(cell) for cell in cells
        )])  # fmt: skip
    return Table("Generators of this workspace", ["class", "training images", "images shown"], rows)


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
