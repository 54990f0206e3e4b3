"""`balancer travel`: views of the same films, tested at home and on films from elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from rich.console import RenderableType

from balancer.ablation.records import AblateMetrics
from balancer.config import BalancerConfig
from balancer.report.render.terminal import travel_table
from balancer.results import StageResult
from balancer.stages import ablate
from balancer.workspace import Workspace


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    external: Sequence[Path] = (),
    trained: bool = False,
    jobs: int = 1,
) -> StageResult[AblateMetrics]:
    """Compare views of the films, as an ablation of its own in `travel/`.

    Args:
        config: `travel` names the views; the rest is as for `ablate`.
        workspace: Workspace; `index/` is read, `travel/` is written.
        force: Train and test everything again; the ledger shows it.
        external: Folders of other data sets; sources that can be left out are tested too.
        trained: Train the network of the configuration in place of a head on frozen features.
        jobs: Number of classifiers trained at a time.

    Raises:
        BalancerError: As `ablate.run`.
    """
    views = {"arms": config.travel.views, "worth": (), "verdict_on": None}
    config = config.model_copy(update={"ablation": config.ablation.model_copy(update=views)})
    place = workspace.travel
    with place.lock():
        result = ablate.run(
            config, place, force=force, quick=not trained, jobs=jobs, external=external
        )
    # Neither a plan nor a protocol alone was asked for.
    return cast("StageResult[AblateMetrics]", result).model_copy(update={"stage": "travel"})


def summary(result: StageResult[AblateMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    metrics = result.metrics
    found, registration = metrics.travel, metrics.registration
    if found is None:
        return ablate.summary(result)
    doubt = [f"Lungs found with doubt: {films.of_all} of {films.of} films of {name}."
             for name, films in found.doubtful.items() if films.of_all]  # fmt: skip
    return [
        f"{metrics.verdict.word.upper()}: {metrics.verdict.sentence}",
        *([registration.sentence] if registration is not None else []),
        travel_table(found),
        *([found.without_lungs] if found.without_lungs else []),
        *doubt,
        *(f"Not left out: {source}, since {why}." for source, why in found.reasons.items()),
        f"The page: {metrics.page}",
    ]
