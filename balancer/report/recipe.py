"""One file of settings that repeats a run: the records of the stages as a configuration."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from balancer.config import BalancerConfig
from balancer.data.records import PrepareMetrics
from balancer.drawing.wording import printable, without_machine_paths
from balancer.imaging.preprocess import from_record
from balancer.lungs.records import LungApplyMetrics
from balancer.quality.config import GateConfig
from balancer.report.records import ReportRecords
from balancer.results import StageResult
from balancer.synthetic.records import GeneratorMetrics, SynthesizeMetrics

RECIPE_NAME = "recipe.yaml"
_WEIGHTS = ("auto", "none", "torchvision", "timm")
"""Values of `classifier.weights` that are not paths."""
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters that JSON allows in a string and YAML does not."""
Sections = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A configuration from records.

    Attributes:
        values: Settings that `BalancerConfig` takes, by section.
        files: Settings that name a file of the machine, such as `data.same_film`, to the name of
            the file; not in `values`.
        unlike: Settings of a record that differ from those in `values`, one per line.
        missing: Settings in no record, which have their defaults; a section that is missing as a
            whole is listed by its name.
    """

    values: Sections
    files: Mapping[str, str]
    unlike: tuple[str, ...]
    missing: tuple[str, ...]


def recipe_text(records: ReportRecords) -> str:
    """Return the settings as JSON, which is YAML too, below comments on what they lack."""
    found = recipe(records)
    lines = [f"Settings of a finished run. Repeat it with --config {RECIPE_NAME} --data DIR."]
    if found.files:
        named = ", ".join(f"{key} ({name})" for key, name in found.files.items())
        lines.append(f"Files that the run used; add your own paths: {named}.")
    lines += [f"Another stage had other settings: {line}." for line in found.unlike]
    if found.missing:
        lines.append(f"Not recorded, so the defaults apply: {', '.join(found.missing)}.")
    comments = [
        f"# {part}"
        for line in lines
        for part in textwrap.wrap(printable(line), 96, break_on_hyphens=False)
    ]
    text = json.dumps(found.values, indent=2, ensure_ascii=False, allow_nan=False)
    return "\n".join([*comments, _UNPRINTABLE.sub(_escape, text)])


def recipe(records: ReportRecords) -> Recipe:
    """Join the settings of all records; where two differ, the earlier in `results` counts."""
    values: Sections = {}
    files: dict[str, str] = {}
    unlike: list[str] = []
    for file, settings in _settings(records):
        for key, value in _flat(settings):
            section, _, name = key.partition(".")
            if key == "data.root":
                continue
            if value is not None and _is_path(section, name, value):
                files.setdefault(key, Path(str(value)).name)
                continue
            place = values.setdefault(section, {}) if name else values
            kept = place.setdefault(name or section, value)
            if kept != value:
                found, here = (json.dumps(without_machine_paths(v)) for v in (value, kept))
                unlike.append(f"{file} has {key}={found}, not {here}")
    ordered = {name: values[name] for name in BalancerConfig.model_fields if name in values}
    return Recipe(ordered, files, tuple(unlike), tuple(_missing(values, files)))


def _settings(records: ReportRecords) -> Iterator[tuple[str, Sections]]:
    """Yield the file of each record and its settings as sections of the configuration."""
    for file, result in records.results.items():
        yield file, _sections(file, result)
    if records.unit is not None:
        precision = records.unit.setting("precision")
        yield "a run of the ablation", {"hardware": {"precision": precision}} if precision else {}


def _sections(file: str, result: StageResult[Any]) -> Sections:
    """Map the settings that a stage records to the sections they were read from."""
    settings, metrics = result.settings, result.metrics
    found = {key: settings[key] for key in BalancerConfig.model_fields if key in settings}
    if "precision" in settings:
        found["hardware"] = {"precision": settings["precision"]}
    if isinstance(metrics, PrepareMetrics):
        # Left out of the settings of an index; files were set aside only if it was on.
        found["data"] = {**found["data"], "skip_bad": bool(metrics.quarantined)}
        done = from_record(settings.get("preprocessing", {}), file)
        found["data"]["channels"] = done.channels
        found["preprocessing"] = done.preprocessing.model_dump(mode="json")
    if isinstance(metrics, GeneratorMetrics):
        shared = "classes" in settings  # those that one network learnt
        found["synthesis"] = {"networks": "shared" if shared else "per-class"}
    if isinstance(metrics, SynthesizeMetrics):
        screen = dict(settings["screen"])
        found["synthesis"] = {"ratio": settings["ratio"], "screen": screen["reasons"]}
        if "max_attempts" in screen:
            found["synthesis"]["max_attempts"] = screen["max_attempts"]
        found["gate"] = {key: screen[key] for key in GateConfig.model_fields if key in screen}
    if isinstance(metrics, LungApplyMetrics):
        found["lungs"] = {"method": settings["method"]}
    return found


def _flat(sections: Sections) -> Iterator[tuple[str, Any]]:
    """Yield `section.setting`, or `seed`, and its value."""
    for section, value in sections.items():
        if isinstance(value, Mapping):
            yield from ((f"{section}.{name}", inner) for name, inner in value.items())
        else:
            yield section, value


def _is_path(section: str, name: str, value: object) -> bool:
    """Return whether a setting names a file or folder of the machine."""
    if (section, name) == ("classifier", "weights"):
        return value not in _WEIGHTS
    model = BalancerConfig.model_fields[section].annotation
    if not (name and isinstance(model, type) and issubclass(model, BaseModel)):
        return False
    field = model.model_fields.get(name)
    return field is not None and Path in get_args(field.annotation)


def _missing(values: Sections, files: Mapping[str, str]) -> Iterator[str]:
    for section, field in BalancerConfig.model_fields.items():
        model = field.annotation
        if section not in values:
            yield section
        elif isinstance(model, type) and issubclass(model, BaseModel):
            for name in model.model_fields:
                key = f"{section}.{name}"
                if name not in values[section] and key not in files and key != "data.root":
                    yield key


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
