"""The commands as functions: each runs one stage in a workspace and returns its typed result.

Missing stages that are quick, such as `prepare`, run first. A missing stage that takes long, such
as the training of a GAN, is an error that names the command. Nothing is printed: messages go to
the loggers `balancer`, `gan` and `classifier`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.config import BalancerConfig
from balancer.execution import DEFAULT_WORKSPACE, Place, execute
from balancer.results import StageResult

if TYPE_CHECKING:
    from balancer.ablation.records import AblateMetrics, DryRunMetrics, RegisterMetrics
    from balancer.data.records import AuditMetrics, PrepareMetrics
    from balancer.evaluation.records import ClassifyMetrics, EvaluateMetrics
    from balancer.explanation.records import ExplainMetrics
    from balancer.lungs.records import LungApplyMetrics, LungTrainMetrics
    from balancer.quality.records import QualityMetrics
    from balancer.report.summary import ReportMetrics
    from balancer.stages.lr_find import LrFindMetrics
    from balancer.synthetic.records import GanTrainMetrics, SynthesizeMetrics


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


def prepare(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    strict: bool = False,
    force: bool = False,
) -> "StageResult[PrepareMetrics]":
    """Read the images, audit them and split them without leaks.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        strict: Raise `IntegrityError` if the audit finds something, once all is written.
        force: Replace an existing result.

    Raises:
        DataError: Images cannot be used.
    """
    from balancer.stages import prepare as stage

    return execute("prepare", stage.run, config, workspace, force=force, strict=strict)


def audit_workspace(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    strict: bool = False,
    force: bool = False,
) -> "StageResult[AuditMetrics]":
    """Search for copies and suspicious images, and draw them in a page.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        strict: Raise `IntegrityError` if something is found, once all is written.
        force: Replace an existing result.
    """
    from balancer.stages import audit as stage

    return execute("audit", stage.run, config, workspace, force=force, strict=strict)


def train_lungs(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    force: bool = False,
) -> "StageResult[LungTrainMetrics]":
    """Train a small U-Net on lung masks.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        force: Replace an existing result.

    Raises:
        DataError: There are too few masks.
    """
    from balancer.stages import lungs as stage

    return execute("lungs train", stage.train, config, workspace, force=force)


def apply_lungs(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    force: bool = False,
) -> "StageResult[LungApplyMetrics]":
    """Write a lung mask and its quality for every image.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        force: Replace an existing result.
    """
    from balancer.stages import lungs as stage

    return execute("lungs apply", stage.apply, config, workspace, force=force)


def train_gan(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    classes: Sequence[str] = (),
    dry_run: bool = False,
    force: bool = False,
) -> "StageResult[GanTrainMetrics]":
    """Train a DCGAN for each rare class; resume an unfinished training.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        classes: Classes to train in place of those below the target ratio.
        dry_run: Return an estimate of the minutes, and train none.
        force: Replace an existing result.

    Raises:
        Interrupted: A signal stopped the training; call again to resume.
    """
    from balancer.stages import gan_train as stage

    return execute(
        "gan-train", stage.run, config, workspace, force=force, classes=classes, dry_run=dry_run
    )


def synthesize(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    dry_run: bool = False,
    force: bool = False,
) -> "StageResult[SynthesizeMetrics]":
    """Make the images that the target ratio needs.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        dry_run: Return the plan and make no image.
        force: Replace an existing result.

    Raises:
        MissingStage: A class has no generator; call `train_gan` first.
    """
    from balancer.stages import synthesize as stage

    return execute("synthesize", stage.run, config, workspace, force=force, dry_run=dry_run)


def measure_quality(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    strict: bool = False,
    strict_release: bool = False,
    force: bool = False,
) -> "StageResult[QualityMetrics]":
    """Compare synthetic images with real ones, and apply the gate.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        strict: Raise `IntegrityError` if a class fails the gate, once all is written.
        strict_release: Raise it unless the images are fit to share, likewise.
        force: Replace an existing result.

    Raises:
        MissingStage: There are no synthetic images; call `synthesize` first.
    """
    from balancer.stages import quality as stage

    asked = {"strict": strict, "strict_release": strict_release}
    return execute("quality", stage.run, config, workspace, force=force, **asked)


def classify(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    with_synthetic: bool = False,
    force: bool = False,
) -> "StageResult[ClassifyMetrics]":
    """Train a classifier and test it once on real images.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        with_synthetic: Train on real and synthetic images.
        force: Replace an existing result.

    Raises:
        IntegrityError: Synthetic images would reach the evaluation.
    """
    from balancer.stages import classify as stage

    return execute(
        "classify", stage.run, config, workspace, force=force, with_synthetic=with_synthetic
    )


def evaluate(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    images: Path | str,
    with_synthetic: bool = False,
    force: bool = False,
) -> "StageResult[EvaluateMetrics]":
    """Test a trained classifier on images of another archive.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        images: Path to the archive.
        with_synthetic: Test the classifier that was trained with synthetic images.
        force: Replace an existing result.

    Raises:
        MissingStage: There is no such classifier; call `classify` first.
    """
    from balancer.stages import evaluate as stage

    return execute(
        "evaluate",
        stage.run,
        config,
        workspace,
        force=force,
        images=Path(images),
        with_synthetic=with_synthetic,
    )


def explain(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    models: Sequence[Path] = (),
    target: str | None = None,
    images: Sequence[str] = (),
    per_class: int | None = None,
    layer: str | None = None,
    force: bool = False,
) -> "StageResult[ExplainMetrics]":
    """Draw where a classifier finds its evidence (Grad-CAM).

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        models: Folders of trained classifiers; those of the workspace by default.
        target: Class whose evidence is drawn; the positive class by default.
        images: Image ids or files to draw.
        per_class: Number of right cases, and of wrong ones, to draw per class.
        layer: Name of the layer of the activations.
        force: Replace an existing result.
    """
    from balancer.stages import explain as stage

    return execute(
        "explain",
        stage.run,
        config,
        workspace,
        force=force,
        models=models,
        target=target,
        images=images,
        per_class=per_class,
        layer=layer,
    )


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


def find_learning_rate(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    force: bool = False,
) -> "StageResult[LrFindMetrics]":
    """Plot the loss against the learning rate, and suggest a rate.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        force: Replace an existing result.
    """
    from balancer.stages import lr_find as stage

    return execute("lr-find", stage.run, config, workspace, force=force)
