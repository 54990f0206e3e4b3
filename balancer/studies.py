"""The commands that compare, as functions: the whole run, studies, and their report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.config import BalancerConfig
from balancer.execution import DEFAULT_WORKSPACE, Place, execute
from balancer.results import StageResult

if TYPE_CHECKING:
    from balancer.ablation.records import AblateMetrics, DryRunMetrics, RegisterMetrics
    from balancer.report.summary import ReportMetrics


def run(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    force: bool = False,
) -> "StageResult[ReportMetrics]":
    """Run every stage that is not up to date, and compare training with and without images.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        force: Replace an existing result.

    Raises:
        ConfigurationError: The classes already reach the target ratio.

    Example:
        >>> from balancer import load_config, run
        >>> config = load_config("smoke", data="radiographs")  # doctest: +SKIP
        >>> result = run(config, "workspace")  # doctest: +SKIP
        >>> result.metrics.sentence  # doctest: +SKIP
        'The synthetic images did not measurably help: ...'
    """
    from balancer.stages import run as stage

    return execute("run", stage.run, config, workspace, force=force)


def ablate(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    dry_run: bool = False,
    pilot: bool = True,
    quick: bool = False,
    jobs: int = 1,
    ray: str | None = None,
    slurm: Path | None = None,
    external: Sequence[Path] = (),
    register: bool = False,
    force: bool = False,
) -> "StageResult[AblateMetrics] | StageResult[DryRunMetrics] | StageResult[RegisterMetrics]":
    """Compare GAN images with cheaper remedies on many splits; resume a stopped study.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        dry_run: Return the plan with its duration, and train no network.
        pilot: With `dry_run`, also measure on frozen features what the study can decide.
        quick: Run a study on frozen features in its place, of the arms that need no generator.
        jobs: Number of trainings at a time.
        ray: Address of a Ray cluster to train on.
        slurm: Batch script of a Slurm cluster to train on.
        external: Other archives to test every classifier on.
        register: Write the protocol, and train nothing.
        force: Replace an existing result.

    Raises:
        DataError: A class has too few groups for the splits.
    """
    from balancer.stages import ablate as stage

    return execute(
        "ablate",
        stage.run,
        config,
        workspace,
        force=force,
        dry_run=dry_run,
        pilot=pilot,
        quick=quick,
        jobs=jobs,
        ray=ray,
        slurm=slurm,
        external=external,
        register=register,
    )


def travel(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    external: Sequence[Path | str] = (),
    trained: bool = False,
    jobs: int = 1,
    force: bool = False,
) -> "StageResult[AblateMetrics]":
    """Test views of the films at home and elsewhere; resume a stopped study.

    Args:
        config: All settings; `travel.views` names the views. None for the defaults.
        workspace: Folder that every stage writes to.
        external: Archives of other hospitals; sources that can be left out are tested too.
        trained: Train the network of the configuration in place of a head on frozen features.
        jobs: Number of trainings at a time.
        force: Replace an existing result.

    Returns:
        The study; its field `travel` says which views travel.

    Raises:
        DataError: A class has too few groups for the splits.

    Example:
        >>> from balancer import load_config, travel
        >>> config = load_config(data="radiographs")  # doctest: +SKIP
        >>> found = travel(config, external=["other-hospital"]).metrics.travel  # doctest: +SKIP
        >>> found.safe  # doctest: +SKIP
        ('view lungs=crop-to-lungs',)
    """
    from balancer.stages import travel as stage

    return execute(
        "travel", stage.run, config, workspace, force=force,
        external=[Path(folder) for folder in external], trained=trained, jobs=jobs,
    )  # fmt: skip


def write_report(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    pdf: bool = False,
    force: bool = False,
) -> "StageResult[ReportMetrics]":
    """Write the report: a page, Markdown and JSON.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        pdf: Also print the page as a PDF, by a browser.
        force: Replace an existing result.

    Raises:
        MissingStage: There is neither an ablation nor a pair of classifiers.
    """
    from balancer.stages import report as stage

    return execute("report", stage.run, config, workspace, force=force, pdf=pdf)
