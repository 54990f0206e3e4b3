"""One file of settings that repeats a run: what the stages recorded, as a configuration."""

import json
from collections.abc import Mapping
from typing import Any

from balancer.config import BalancerConfig
from balancer.report.records import Json, ReportRecords

# Where things lay, and what only this machine has; whoever repeats the run names their own.
_LEFT_OUT = {"data": ("root",), "ablation": ("masks",), "quality": ("inception_weights",)}


def recipe_text(material: ReportRecords) -> str:
    """The settings as JSON, which is YAML too, for `--config`."""
    return json.dumps(recipe(material), indent=2, ensure_ascii=False, allow_nan=False)


def recipe(material: ReportRecords) -> dict[str, Any]:
    """Sections of the configuration, from the records of the stages; later ones add to earlier.

    Returns:
        Values that `BalancerConfig` takes; keys that it does not know are left out.
    """
    found: dict[str, Any] = {}
    for record in _records(material):
        settings = dict(record["settings"])
        for key, value in settings.items():
            if key in BalancerConfig.model_fields and key not in found:
                found[key] = _kept(key, value)
        if "ratio" in settings:
            found["synthesis"] = {"ratio": settings["ratio"]} | found.get("synthesis", {})
        if "screen" in settings:
            screen = {"screen": settings["screen"]["reasons"]}
            found["synthesis"] = screen | found.get("synthesis", {})
    return found


def _records(material: ReportRecords) -> list[Json]:
    wanted = [
        material.ablation,
        *material.arms.values(),
        material.quality,
        material.synthetic,
        material.index,
    ]
    return [record for record in wanted if record is not None]


def _kept(section: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: inner for key, inner in value.items() if key not in _LEFT_OUT.get(section, ())}
