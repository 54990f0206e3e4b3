"""The logger of one run: Lightning's MLflow or TensorBoard logger, or one that the user names."""

import importlib
import importlib.util
import inspect
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.tracking.config import MLFLOW, TENSORBOARD, TrackingConfig

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

_CLASSES = {MLFLOW: "MLFlowLogger", TENSORBOARD: "TensorBoardLogger"}
_BATCH = 500
"""Number of metrics in one call; MLflow takes at most 1,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRun:
    """A run as a tracker shows it.

    Attributes:
        name: Folder of its result in the workspace, such as `classify/real`.
        version: Fingerprint of the result, which differs if the stage runs again.
        experiment: Name of the workspace.
        parameters: Settings that the stage depends on, by dotted key.
        metrics: Numbers of the result, by name.
        curves: Values during the training: name of the number, step, value by name.
        pages: HTML pages of the stage.
    """

    name: str
    version: str
    experiment: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    curves: Sequence[tuple[int, Mapping[str, float]]]
    pages: Sequence[Path]


def check_tracking(config: TrackingConfig) -> None:
    """Refuse, before any work, a tracker that cannot be used.

    Raises:
        ConfigurationError: There is no such logger, or it has no such option.
        EnvironmentFault: An extra is missing.
    """
    if not config.is_on:
        return
    if config.logger in _CLASSES and importlib.util.find_spec(config.logger) is None:
        raise EnvironmentFault(
            f"tracking.logger={config.logger} needs packages that are not installed; run "
            f"`pip install 'balancer[{config.logger}]'`."
        )
    accepted = inspect.signature(_class(config)).parameters
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in accepted.values())
    unknown = sorted(set(config.options) - set(accepted))
    if unknown and not takes_any:
        raise ConfigurationError(
            f"tracking.options should be arguments of {config.logger} ({', '.join(accepted)}), but "
            f"{unknown[0]} is none."
        )


def log_run(config: TrackingConfig, folder: Path, run: TrackedRun) -> None:
    """Write one run into the tracker.

    Args:
        config: The tracker.
        folder: Folder of trackers that keep files.
        run: The run.

    Raises:
        Exception: As the tracker says.
    """
    from classifier.trainer import quiet

    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what libraries of the tracker say of each other
        logger = _open(config, folder, run)
        logger.log_hyperparams({"folder": run.name, **run.parameters})
        for step, values in run.curves:
            logger.log_metrics(dict(values), step)
        metrics = list(run.metrics.items())
        for start in range(0, len(metrics), _BATCH):
            logger.log_metrics(dict(metrics[start : start + _BATCH]))
        for page in run.pages:
            _keep_page(logger, page)
        logger.finalize("success")
        # A logger of a web service continues its open run, instead of the next one.
        finish = getattr(getattr(logger, "experiment", None), "finish", None)
        if finish is not None:
            finish()


def _class(config: TrackingConfig) -> "type[Logger]":
    from lightning.pytorch import loggers

    module, _, name = _CLASSES.get(config.logger, config.logger).rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else loggers, name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            "tracking.logger should be none, mlflow, tensorboard or a class of Lightning loggers, "
            f"but {config.logger} is not found: {error}."
        ) from error
    if not (inspect.isclass(found) and issubclass(found, loggers.Logger)):
        raise ConfigurationError(
            f"tracking.logger should be a subclass of Lightning's Logger, but {config.logger} is "
            f"none; choose one of {', '.join(loggers.__all__)}, or of your own."
        )
    return found


def _open(config: TrackingConfig, folder: Path, run: TrackedRun) -> "Logger":
    # Neither statistics of use for MLflow's makers, nor its messages about new tables.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    kind = _class(config)
    accepted = inspect.signature(kind).parameters
    folder.mkdir(parents=True, exist_ok=True)
    given: dict[str, Any] = {
        "save_dir": str(folder),
        "name": run.name,
        "version": run.version,
        "run_name": run.name,
        "experiment_name": run.experiment,
        "offline": True,
        "default_hp_metric": False,
        **config.options,
    }
    if config.logger == MLFLOW and "tracking_uri" not in given:
        given["tracking_uri"] = f"sqlite:///{folder / 'mlflow.db'}"
        given.setdefault("artifact_location", (folder / "artifacts").as_uri())
    return kind(**{key: value for key, value in given.items() if key in accepted})


def _keep_page(logger: "Logger", page: Path) -> None:
    """Keep a page with the run; a logger without files notes its path."""
    from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger

    if isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(page))
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_text("page", page.as_uri())
    else:
        logger.log_hyperparams({"page": page.as_uri()})
