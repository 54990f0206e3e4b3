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
    from balancer.data.records import AuditMetrics, PrepareMetrics
    from balancer.evaluation.records import ClassifyMetrics, EvaluateMetrics
    from balancer.explanation.records import ExplainMetrics
    from balancer.lungs.records import LungApplyMetrics, LungTrainMetrics
    from balancer.quality.records import QualityMetrics
    from balancer.stages.lr_find import LrFindMetrics
    from balancer.synthetic.records import GanTrainMetrics, SynthesizeMetrics


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
