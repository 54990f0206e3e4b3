"""`result.json`: what a stage did, from what, and whether it is still up to date."""

import importlib.metadata
import json
import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from balancer.errors import ConfigurationError, IntegrityError
from balancer.manifest import fingerprint
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

_PACKAGES = (
    *("balancer", "torch", "torchvision", "lightning", "torchmetrics", "torch-fidelity"),
    *("albumentations", "numpy", "pillow", "scikit-learn", "timm"),
)


class Record(BaseModel):
    """A part of a result that is kept as JSON.

    Fields are written in the order of their declaration. A field with a default that was never
    given is not written, so that a result read from disk is written back byte for byte.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


M = TypeVar("M", bound=Record)
"""Type of a stage's metrics."""


class StageResult(BaseModel, Generic[M]):
    """The record a stage leaves beside its files.

    Attributes:
        stage: Name of the command.
        config_hash: SHA-256 of the settings.
        settings: The configuration that the stage depends on.
        inputs: Fingerprints of the files it read; equal settings and inputs mean that there is
            nothing to do.
        versions: Versions of Python and of the packages that decide the numbers.
        seconds: Wall-clock time of the work.
        metrics: Measurements of the stage; a `Record` of the room that owns it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    config_hash: str
    settings: dict[str, Any]
    inputs: dict[str, Any]
    versions: dict[str, str]
    seconds: float
    metrics: M

    def setting(self, path: str, default: Any = None) -> Any:
        """Return a recorded setting by its path, such as `classifier.model`.

        Args:
            path: Names of the setting and of the sections around it.
            default: Value of a setting that was not recorded.
        """
        found: Any = self.settings
        for name in path.split("."):
            if not isinstance(found, Mapping) or name not in found:
                return default
            found = found[name]
        return found


class MissingStage(ConfigurationError):
    """A stage needs the result of an earlier one.

    Attributes:
        stage: Name of the command that writes it.
        cheap: True if it runs without being asked.
    """

    def __init__(self, stage: str, sentence: str, *, cheap: bool) -> None:
        super().__init__(sentence)
        self.stage = stage
        self.cheap = cheap


def result_json(result: StageResult[Any]) -> dict[str, Any]:
    """The content of `result.json`, JSON types."""
    return result.model_dump(mode="json", exclude_unset=True)


def read_result(directory: Path, kind: type[M]) -> StageResult[M] | None:
    """Read the result in a stage's folder; None where the stage has not run.

    Args:
        directory: The stage's folder.
        kind: Type of its metrics.

    Raises:
        IntegrityError: The file is damaged, or was written by a version with other records.
    """
    path = directory / "result.json"
    if not path.is_file():
        return None
    try:
        return StageResult[kind].model_validate_json(path.read_bytes())  # type: ignore[valid-type]
    except ValidationError as error:
        raise IntegrityError(
            f"{path} should be the record of a stage, but {error.errors()[0]['msg'].lower()}; "
            "run the stage again with --force."
        ) from None


def fingerprint_of_result(directory: Path, *, with_time: bool = False) -> str:
    """Return the SHA-256 of what a stage recorded: equal work has an equal one.

    Args:
        directory: Folder of a stage that has run.
        with_time: Count the time that it took, as earlier versions did.
    """
    content = (directory / "result.json").read_bytes()
    if with_time:
        return fingerprint(content)
    return _hash({key: one for key, one in json.loads(content).items() if key != "seconds"})


def write_result(directory: Path, result: StageResult[Any]) -> None:
    """Write `result.json`; refuse NaN, which JSON lacks."""
    text = json.dumps(result_json(result), indent=2, allow_nan=False)
    (directory / "result.json").write_text(text + "\n", encoding="utf-8")


def standing_result(
    directory: Path,
    kind: type[M],
    *,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    force: bool,
    keep_on_new_inputs: bool = False,
    announce: bool = True,
    files: Sequence[str] = (),
    earlier_inputs: Mapping[str, Any] | None = None,
) -> StageResult[M] | None:
    """Return the existing result if it is up to date; None if the stage has to run.

    Args:
        directory: The stage's folder.
        kind: Type of its metrics.
        settings: The configuration that the stage depends on, JSON types.
        inputs: Fingerprints of the files that it reads.
        force: Run even if the existing result is up to date.
        keep_on_new_inputs: Refuse instead of running again when only the inputs changed; for
            results that take long.
        announce: Log "up to date" at level INFO; False for many small parts.
        files: Names of files that belong to the result and must be there.
        earlier_inputs: The inputs as earlier versions took their fingerprints; a result of these
            is up to date too. None: they took the same.

    Raises:
        ConfigurationError: The existing result has other settings, and `force` is off.
        IntegrityError: A file of a result that is up to date is missing.
    """
    result = None if force else read_result(directory, kind)
    if result is None:
        return None
    if result.config_hash != _hash(settings):
        raise ConfigurationError(
            f"{directory} was made with {difference(result.settings, settings)}; add --force to "
            f"`balancer {result.stage}` to replace it, or choose another --workspace to keep it."
        )
    known = (inputs, inputs if earlier_inputs is None else earlier_inputs)
    if result.inputs in [_plain(one) for one in known]:
        _refuse_missing(result.stage, directory, files)
        log.log(logging.INFO if announce else logging.DEBUG, "%s: up to date", result.stage)
        return result
    if keep_on_new_inputs:
        raise ConfigurationError(
            f"{directory} was made from other inputs ({difference(result.inputs, inputs)}); add "
            f"--force to `balancer {result.stage}` to replace it, or choose another --workspace to "
            "keep it."
        )
    log.info("%s: its inputs changed; running again", result.stage)
    return None


def _refuse_missing(stage: str, directory: Path, files: Sequence[str]) -> None:
    for name in files:
        if not (directory / name).is_file():
            raise IntegrityError(
                f"{directory} should be as `balancer {stage}` left it, but lacks {name}; restore "
                "it, or make all of it again with --force."
            )


def perform(
    stage: str,
    workspace: Workspace,
    directory: Path,
    *,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    work: Callable[[Path], M],
) -> StageResult[M]:
    """Run `work` in an empty folder, add `result.json`, and publish both as `directory`.

    Args:
        stage: Name of the command.
        workspace: The workspace that holds `directory`.
        directory: The stage's folder.
        settings: As for `standing_result`.
        inputs: As for `standing_result`.
        work: Fills the folder and returns the metrics.
    """
    started = time.monotonic()
    with workspace.publish(directory) as partial:
        metrics = work(partial)
        seconds = time.monotonic() - started
        result = new_result(
            stage, settings=settings, inputs=inputs, seconds=seconds, metrics=metrics
        )
        write_result(partial, result)
    return result


def new_result(
    stage: str,
    *,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    seconds: float,
    metrics: M,
) -> StageResult[M]:
    """Record work just done with the packages installed now."""
    kind: Any = type(metrics)
    return StageResult[kind](
        stage=stage,
        config_hash=_hash(settings),
        settings=_plain(settings),
        inputs=_plain(inputs),
        versions=installed_versions(),
        seconds=round(seconds, 3),
        metrics=metrics,
    )


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers."""
    versions = {"python": platform.python_version()}
    return versions | {name: importlib.metadata.version(name) for name in _PACKAGES}


def _hash(values: Mapping[str, Any]) -> str:
    return fingerprint(json.dumps(_plain(values), sort_keys=True).encode())


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(values, default=str, allow_nan=False))
    return plain


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the keys whose values differ, as `a.b=1 (now 2)`; empty if none does."""
    before, after = flat(old), flat(_plain(new))
    changes = [
        f"{key}={before.get(key, 'unset')} (now {after.get(key, 'unset')})"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
    return ", ".join(changes[:3]) + (f" and {len(changes) - 3} more" if len(changes) > 3 else "")


def flat(values: Mapping[str, Any], prefix: str = "", *, separator: str = ".") -> dict[str, Any]:
    """Return nested values by one key each, such as `gan.batch_size`.

    Args:
        values: The values; an inner mapping is a section.
        prefix: Start of every key.
        separator: Text between the names of a key.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}{separator}", separator=separator)
        else:
            found[prefix + key] = value
    return found
