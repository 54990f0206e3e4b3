"""The tracker of a workspace: every finished stage and training is one run, recorded once.

It reads the files that stages leave. No training knows of it, a fault of it spoils nothing, and
what was trained earlier, or on another machine, is recorded too.
"""

import csv
import json
import logging
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from balancer.errors import IntegrityError
from balancer.files import replacing
from balancer.results import Record, fingerprint_of_result, flat, read_result
from balancer.tracking.config import TrackingConfig
from balancer.tracking.loggers import TrackedRun, log_run
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

_CURVES = ("history.csv", "metrics.csv", "selection.csv")
"""Tables that a training leaves: a row per validation of a classifier or per losses of a GAN."""
_STEPS = ("step", "images_shown")
_RECORDED: TypeAdapter[dict[str, dict[str, str]]] = TypeAdapter(dict[str, dict[str, str]])
_SIGNS = str.maketrans({"[": ".", "]": None, "=": "-", ":": "-"})


class AnyMetrics(Record):
    """Metrics of any stage."""

    model_config = ConfigDict(extra="allow")


class Tracker:
    """Records what is new in a workspace; does nothing if no tracker is configured.

    Args:
        config: The tracker.
        workspace: A workspace, whose lock is held.
    """

    def __init__(self, config: TrackingConfig, workspace: Workspace) -> None:
        self._config = config
        self._workspace = workspace.main.resolved()
        self._seen: dict[Path, int] = {}
        self._is_on = config.is_on

    def update(self) -> None:
        """Record every result that the tracker lacks; a fault is logged and ends the recording."""
        if not self._is_on:
            return
        folder = None
        try:
            for folder in self._workspace.results():
                self._record(folder)
        except Exception as error:  # of the tracker, which may raise anything
            self._is_on = False
            reason = " ".join(str(error).split()) or type(error).__name__
            log.warning(
                "tracking.logger=%s did not take %s (%s); the result itself is complete, and the "
                "next command with a working tracker records it.",
                self._config.logger, "its runs" if folder is None else folder, f"{reason:.300}",
            )  # fmt: skip

    def _record(self, folder: Path) -> None:
        changed = (folder / "result.json").stat().st_mtime_ns
        if self._seen.get(folder) == changed:
            return
        name = folder.relative_to(self._workspace.root).as_posix()
        version = fingerprint_of_result(folder)
        path = self._workspace.tracking_dir / "recorded.json"
        recorded = _RECORDED.validate_json(path.read_bytes()) if path.is_file() else {}
        # Another server is another tracker, and gets all runs.
        mine = recorded.setdefault(self._config.model_dump_json(), {})
        if mine.get(name) != version:
            place = self._workspace.tracking_dir / self._config.logger
            log_run(self._config, place, self._run(folder, name, version))
            mine[name] = version
            with replacing(path) as file:
                file.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
        self._seen[folder] = changed

    def _run(self, folder: Path, name: str, version: str) -> TrackedRun:
        result = read_result(folder, AnyMetrics)
        if result is None:
            raise IntegrityError(f"{folder} should hold a result, but it is gone; run it again.")
        measured = result.metrics.model_dump(mode="json")
        return TrackedRun(
            name=name,
            version=version[:12],
            experiment=self._workspace.root.name,
            parameters={"stage": result.stage, **flat(result.settings)},
            metrics=_numbers({**measured, "seconds": result.seconds}),
            curves=[row for table in _CURVES for row in _rows(folder / table)],
            pages=sorted(folder.glob("*.html")),
        )


def _numbers(measured: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a result by names that every tracker takes."""
    numbers: dict[str, float] = {}
    for key, value in flat(measured, separator="/").items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            name = _plain(key.removesuffix("/value"))
            while name in numbers:
                name += "_"
            numbers[name] = float(value)
    return numbers


def _plain(name: str) -> str:
    return re.sub(r"[^\w/. -]", "_", name.translate(_SIGNS), flags=re.ASCII)


def _rows(table: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the rows of a table of a training; one of several networks is part of the name."""
    if not table.is_file():
        return
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = next(row.pop(name) for name in _STEPS if name in row)
            member = row.pop("member", "0")
            prefix = f"network {member}/" if member != "0" else ""
            values = {prefix + _plain(name): float(text) for name, text in row.items() if text}
            yield int(step), {name: one for name, one in values.items() if math.isfinite(one)}
