"""Export of models, and exchange of images with other generators, from Python."""

from pathlib import Path
from typing import TYPE_CHECKING

from balancer.config import BalancerConfig
from balancer.execution import DEFAULT_WORKSPACE, Place, execute
from balancer.results import StageResult

if TYPE_CHECKING:
    from balancer.stages.export import ModelExport
    from balancer.stages.export_split import ExportMetrics
    from balancer.synthetic.outside_images import ImportMetrics


def export_model(
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    with_synthetic: bool = False,
    generator: str | None = None,
    licence: str | None = None,
    force: bool = False,
) -> "StageResult[ModelExport]":
    """Write a model as ONNX with its card, for other programs.

    Args:
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        with_synthetic: Export the classifier that was trained with synthetic images.
        generator: Export the generator of this class in place of a classifier.
        licence: Licence of the model for its card, such as `mit`.
        force: Write again even if the export is up to date.

    Raises:
        IntegrityError: The ONNX file does not compute what torch does.
    """
    from balancer.stages import export as stage

    return execute(
        "export", stage.run, config, workspace, force=force,
        with_synthetic=with_synthetic, generator=generator, licence=licence,
    )  # fmt: skip


def export_split(
    label: str,
    folder: Path | str,
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    size: int | None = None,
    force: bool = False,
) -> "StageResult[ExportMetrics]":
    """Write the training images of a class, and `ids.csv`, for a generator of your own.

    Args:
        label: The class.
        folder: Folder to write, outside the workspace.
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        size: Side of preprocessed squares in pixels; None: the files as they are.
        force: Replace an earlier export.
    """
    from balancer.stages import export_split as stage

    return execute(
        "export-split", stage.run, config, workspace, force=force,
        label=label, folder=Path(folder), size=size,
    )  # fmt: skip


def import_synthetic(
    images: Path | str,
    label: str,
    config: BalancerConfig | None = None,
    workspace: Place = DEFAULT_WORKSPACE,
    *,
    name: str | None = None,
    licence: str | None = None,
    trained_on: Path | str | None = None,
    declared: bool = False,
    force: bool = False,
) -> "StageResult[ImportMetrics]":
    """Take images of any generator in the place of ours.

    Args:
        images: A folder, a table or an archive of images.
        label: Class of the images.
        config: All settings; None for the defaults.
        workspace: Folder that every stage writes to.
        name: Name of their generator; None: that of the folder.
        licence: Licence of the images.
        trained_on: List of the images that the generator was trained on.
        declared: You declare that it saw no validation or test image.
        force: Replace images that were imported before.

    Raises:
        IntegrityError: An image copies a validation or test image, or the list names one.
    """
    from balancer.stages import import_synthetic as stage

    listed = None if trained_on is None else Path(trained_on)
    return execute(
        "import-synthetic", stage.run, config, workspace, force=force, images=Path(images),
        label=label, name=name, licence=licence, trained_on=listed, declared=declared,
    )  # fmt: skip
