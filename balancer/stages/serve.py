"""`balancer serve`: the classifiers, the generators and the ablation in a page of this machine."""

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import RenderableType

from balancer.app import server
from balancer.app.middleware import LOOPBACK
from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.errors import ConfigurationError
from balancer.results import MissingStage, Record, StageResult, new_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

_running: list[server.Server] = []


class ServeMetrics(Record):
    """Metrics of `balancer serve`.

    Attributes:
        url: Address of the page.
        models: Names of the classifiers.
        generators: Classes that have a generator.
        is_open: Whether other machines reach it.
    """

    url: str
    models: tuple[str, ...]
    generators: tuple[str, ...]
    is_open: bool = False


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    models: Sequence[Path] = (),
    port: int = 0,
    browser: bool = False,
    host: str = LOOPBACK,
    studies: Path | None = None,
    upload_limit: int = server.UPLOAD_LIMIT,
) -> StageResult[ServeMetrics]:
    """Start the page and return; it is served until `close`, or as long as `wait` waits.

    Args:
        config: Section `data` says what size a film may have, `gate` what a near copy is.
        workspace: Reads `index/`, `classify/`, `gan/`, `ablation/` and `report/`; writes caches
            alone.
        force: Not used.
        models: Folders of further classifiers.
        port: Port to listen on; 0 for any free port.
        browser: Open the page in the user's browser.
        host: Address to listen on; beyond this machine, the page asks for a token.
        studies: Folder of workspaces whose studies are listed.
        upload_limit: Megabytes of all uploads together; beyond it the oldest are removed.

    Raises:
        ConfigurationError: There is nothing to show, a folder holds no classifier, or there is no
            such folder or host.
        IntegrityError: The index or a classifier was changed.
        EnvironmentFault: Gradio is missing, or the port is taken.
    """
    started = time.monotonic()
    server.require_gradio()
    server.is_loopback(host)
    server.choose_port(port, host)
    if studies is not None and not studies.is_dir():
        raise ConfigurationError(
            f"--studies should name a folder of workspaces, but {studies} is none; choose another."
        )
    # After the checks: these take seconds.
    from balancer.app.desk import Desk
    from balancer.app.generation import open_studios
    from balancer.app.models import find_models

    index = _index(workspace)
    served = find_models(workspace, models)
    studios, problems = open_studios(workspace, index, near_copy=config.gate.near_copy_correlation)
    shows = served or studios or problems or studies
    if not shows and not workspace.ablation_dir.is_dir():
        raise ConfigurationError(
            f"balancer serve shows classifiers, generators or an ablation, but {workspace.root} "
            "holds none; run `balancer classify` first, or name a classifier with --model, or "
            "workspaces with --studies."
        )
    trained = [model.trained for model in served.values()]
    own = [one for one in trained if index and one.index_hash == index.index_hash]
    familiarity = None
    if index is not None and own:
        from balancer.quality.extractors import load_extractor
        from balancer.quality.familiarity import measure_familiarity

        log.info("Measuring how far usual films lie from the training images")
        familiarity = measure_familiarity(
            index,
            min(one.image_size for one in own),
            load_extractor("lite0"),
            cache=workspace.feature_cache_dir,
        )
    desk = Desk(
        workspace=workspace,
        limits=config.data,
        index=index,
        models=served,
        familiarity=familiarity,
        studios=studios,
        problems=problems,
    )
    page = server.start(
        desk, port=port, browser=browser, host=host, studies=studies, upload_limit=upload_limit
    )
    _running.append(page)
    metrics = ServeMetrics(
        url=page.url, models=tuple(served), generators=tuple(studios), is_open=page.is_open
    )
    return new_result(
        "serve", settings={}, inputs={}, seconds=time.monotonic() - started, metrics=metrics
    )


def summary(result: StageResult[ServeMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    models = ", ".join(result.metrics.models) or "none"
    whom = "to whoever has this address" if result.metrics.is_open else "to this machine alone"
    return [
        f"Serving at {result.metrics.url} {whom}; Ctrl-C stops it.\n"
        f"Classifiers: {models}. For research only; not for diagnosis."
    ]


def wait() -> None:
    """Serve what `run` has started until a signal to stop."""
    sys.stdout.flush()  # the address, where somebody reads it through a pipe
    while _running:
        _running.pop().wait()


def _index(workspace: Workspace) -> Index | None:
    try:
        return load_index(workspace.index_dir)
    except MissingStage:
        return None
