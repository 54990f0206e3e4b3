"""What it takes to do it again: settings, seeds, versions, hashes and commands."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from balancer.report.blocks import Block, Code, Folded, Heading, Paragraph, Section, Table
from balancer.report.recipe import recipe_text
from balancer.report.records import Json, ReportRecords

RECIPE_NAME = "recipe.yaml"


def recipe_section(material: ReportRecords) -> Section:
    """Every record that a stage left, and the commands in order."""
    records = dict(_records(material))
    blocks: list[Block] = [
        Paragraph(
            "The same data, settings, versions and number of threads give the same files again. "
            "Folders of the machine are cut to their last name; the hashes say which files were "
            "read."
        ),
        Paragraph(
            f"{RECIPE_NAME} beside this page has the settings in full; DIR is the folder with one "
            "folder of images per class."
        ),
        Code("\n".join(_commands(material))),
        Folded(f"{RECIPE_NAME}", [Code(recipe_text(material))]),
        _versions(records),
    ]
    if material.generators:
        blocks.append(_generators(material.generators))
    blocks += [
        Folded(f"Settings and inputs: {name}", [
            Paragraph(f"Hash of the settings: {record['config_hash']}; "
                      f"{record['seconds']:.0f} seconds.", "note"),
            Heading("Settings"), Code(_text(record["settings"])),
            Heading("Fingerprints of what was read"), Code(_text(record["inputs"])),
        ])
        for name, record in records.items()
    ]  # fmt: skip
    return Section("recipes", "Recipes, versions and commands", blocks)


def _records(material: ReportRecords) -> Iterator[tuple[str, Json]]:
    yield "prepare", material.index
    if material.ablation is not None:
        yield "ablate", material.ablation
    if material.synthetic is not None:
        yield "synthesize", material.synthetic
    yield from material.arms.items()
    if material.quality is not None:
        yield "quality", material.quality


def _commands(material: ReportRecords) -> Iterator[str]:
    design = {} if material.ablation is None else material.ablation["metrics"].get("design") or {}
    if material.ablation is not None:
        plain = f"balancer ablate --config {RECIPE_NAME} --data DIR"
        yield str(design.get("command") or plain)
    if material.arms:
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
