"""`balancer run`: every stage in order, skipping what is up to date.

Small because each command is a file of `stages`.
"""

import logging

from rich.console import RenderableType

from balancer.config import BalancerConfig
from balancer.errors import ConfigurationError
from balancer.evaluation.classifier_recipe import refuse_patience
from balancer.report.summary import ReportMetrics
from balancer.results import StageResult
from balancer.stages import classify, gan_train, prepare, quality, report, synthesize
from balancer.workspace import Workspace

log = logging.getLogger(__name__)


def run(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False
) -> StageResult[ReportMetrics]:
    """Answer the question: train with and without synthetic images and compare.

    Args:
        config: All sections are used.
        workspace: Every stage writes its own folder.
        force: Do everything again.

    Returns:
        The result of `report`.

    Raises:
        ConfigurationError: The classes reach the target ratio already: nothing to compare.
        BalancerError: As each stage says.
    """
    prepare.run(config, workspace, force=force)
    quality.check(config)
    classify.check(config, workspace, beside_generated=True)
    refuse_patience(config)
    gan_train.run(config, workspace, force=force)
    plan = synthesize.run(config, workspace, force=force)
    if not any(row.to_make for row in plan.metrics.plan):
        raise ConfigurationError(
            f"`balancer run` compares training with and without synthetic images, but the classes "
            f"reach {plan.metrics.ratio} without any; ask for a ratio closer to 1:1."
        )
    alone = classify.stands_alone(config, workspace)
    # The real arm comes first, since its features serve quality too.
    classify.run(config, workspace, force=force or alone)
    quality.run(config, workspace, force=force)
    classify.run(config, workspace, force=force, with_synthetic=True)
    return report.run(config, workspace, force=force)


def summary(result: StageResult[ReportMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    return report.summary(result)
