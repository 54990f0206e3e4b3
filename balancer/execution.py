"""The run of one stage: under the lock of the workspace, after quick stages that are missing."""

import importlib
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from balancer.config import BalancerConfig, load_config
from balancer.errors import ConfigurationError, sentence_of
from balancer.results import MissingStage
from balancer.team import join
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

DEFAULT_WORKSPACE = Path("balancer-workspace")
P = ParamSpec("P")
R = TypeVar("R")
Place = Workspace | Path | str
"""A workspace, or the path to its folder."""


def execute(
    command: str,
    stage: Callable[Concatenate[BalancerConfig, Workspace, P], R],
    config: BalancerConfig | None,
    workspace: Place,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Run one stage as its command does: under the lock, after quick stages that are missing.

    Args:
        command: Name of the command.
        stage: Function `run` of the stage.
        config: All settings; None for the defaults. A data folder that it names is prepared first.
        workspace: Folder that every stage writes to.
        args: Further arguments of the stage.
        kwargs: The same, by name.

    Returns:
        The result of the stage.

    Raises:
        BalancerError: As the stage says.
    """
    from balancer.data.index_settings import as_standing, refuse_other_settings
    from balancer.data.ingest.urls import url_of
    from balancer.data.memory import limit_decoding
    from balancer.tracking.loggers import check_tracking
    from balancer.tracking.tracker import Tracker

    config = load_config() if config is None else config
    if not isinstance(config, BalancerConfig):
        raise ConfigurationError(
            f"config should be a BalancerConfig but is of type {type(config).__name__}; make one "
            "with load_config(...)."
        )
    if not isinstance(workspace, Workspace | Path | str):
        raise ConfigurationError(
            "workspace should be the path to a folder but is of type "
            f"{type(workspace).__name__}; name a folder."
        )
    workspace = workspace if isinstance(workspace, Workspace) else Workspace(Path(workspace))
    for place in config.data.places:
        if not url_of(place):
            workspace.refuse_overlap(place)
    check_tracking(config.tracking)
    limit_decoding(config.data.max_memory_mb)
    join()
    with workspace.lock():
        if command not in ("prepare", "run"):
            if config.data.root is not None:
                stage_of("prepare").run(as_standing(config, workspace), workspace)
            else:
                refuse_other_settings(config, workspace)
        try:
            run = partial(stage, config, workspace, *args, **kwargs)
            return _with_missing(run, config, workspace)
        finally:  # what was finished before a stop is recorded too
            Tracker(config.tracking, workspace).update()


def stage_of(command: str) -> Any:
    """Return the module of the stage that a command runs."""
    stage = command.partition(" ")[0]  # `lungs train` and `lungs apply` share a stage
    return importlib.import_module(f"balancer.stages.{stage.replace('-', '_')}")


def _with_missing(stage: Callable[[], R], config: BalancerConfig, workspace: Workspace) -> R:
    ran: set[str] = set()
    while True:
        try:
            return stage()
        except MissingStage as missing:
            if not missing.cheap or missing.stage in ran:
                raise
            log.info("%s Running `balancer %s` first.", sentence_of(missing), missing.stage)
            run = stage_of(missing.stage).run
            _with_missing(partial(run, config, workspace, force=False), config, workspace)
            ran.add(missing.stage)
