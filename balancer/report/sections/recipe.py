"""The section on repeating a run: settings, seeds, versions, hashes and commands."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from balancer.report.blocks import Block, Code, Folded, Heading, Paragraph, Section, Table
from balancer.report.recipe import RECIPE_NAME, recipe_text
from balancer.report.records import ReportRecords
from balancer.results import StageResult
from balancer.synthetic.records import GeneratorCard


def recipe_section(records: ReportRecords) -> Section:
    """Return the records of the stages and the commands in order."""
    named = dict(_results(records))
    blocks: list[Block] = [
        Paragraph(
            "The same data, settings, versions and number of threads give the same files again. "
            "Folders of the machine are cut to their last name; the hashes identify the files."
        ),
        Paragraph(
            f"{RECIPE_NAME} beside this page has all settings on record; its comments name those "
            "that no stage recorded. DIR is the archive of images (layout: "
            f"{records.index.metrics.layout or 'not known'})."
        ),
        Code("\n".join(_commands(records))),
        Folded(f"{RECIPE_NAME}", [Code(recipe_text(records))]),
        _versions(named),
    ]
    if records.generators:
        blocks.append(_generators(records.generators))
    blocks += [
        Folded(f"Settings and inputs: {name}", [
            Paragraph(f"Hash of the settings: {result.config_hash}; "
                      f"{result.seconds:.0f} seconds.", "note"),
            Heading("Settings"), Code(_text(result.settings)),
            Heading("Hashes of the inputs"), Code(_text(result.inputs)),
        ])
        for name, result in named.items()
    ]  # fmt: skip
    return Section("recipes", "Recipes, versions and commands", blocks)


def _results(records: ReportRecords) -> Iterator[tuple[str, StageResult[Any]]]:
    yield "prepare", records.index
    if records.ablation is not None:
        yield "ablate", records.ablation
    if records.synthetic is not None:
        yield "synthesize", records.synthetic
    for label, result in records.trainings.items():
        yield f"gan-train {label}", result
    yield from records.arms.items()
    if records.quality is not None:
        yield "quality", records.quality


def _commands(records: ReportRecords) -> Iterator[str]:
    if records.ablation is not None:
        quick = " --quick" if records.ablation.metrics.tier else ""
        yield f"balancer ablate{quick} --config {RECIPE_NAME} --data DIR"
    if records.arms:
        yield f"balancer run --config {RECIPE_NAME} --data DIR"


def _versions(results: Mapping[str, StageResult[Any]]) -> Table:
    packages: list[str] = []
    for result in results.values():
        packages += [name for name in result.versions if name not in packages]
    rows = [
        [package, *(result.versions.get(package, "-") for result in results.values())]
        for package in packages
    ]
    return Table("Versions that each stage ran with", ["package", *results], rows,
                 text_columns=tuple(range(1, len(results) + 1)))  # fmt: skip


def _generators(generators: Mapping[str, GeneratorCard]) -> Table:
    rows = []
    for label, card in generators.items():
        n_images = None if card.training_ids is None else len(card.training_ids)
        counts = (n_images, card.images_shown)
        rows.append([label, *("not recorded" if n is None else str(n) for n in counts)])
    return Table("Generators of this workspace", ["class", "training images", "images shown"], rows)


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
