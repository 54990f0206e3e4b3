"""`balancer export-split`: the training images of a class as files, for any other program."""

import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from rich.console import RenderableType

from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.errors import ConfigurationError, EnvironmentFault
from balancer.results import Record, StageResult, new_result
from balancer.synthetic.export import IDS_NAME, IMAGES, export_training_images
from balancer.workspace import Workspace


class ExportMetrics(Record):
    """The result of `balancer export-split`.

    Attributes:
        label: Class of the images.
        folder: Folder that was written.
        images: Number of images.
        groups: Number of patients, or of other groups that should stay together.
        image_size: Side in pixels; None: the files of the archive as they are.
    """

    label: str
    folder: str
    images: int
    groups: int
    image_size: int | None


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    label: str,
    folder: Path,
    size: int | None = None,
    force: bool = False,
) -> StageResult[ExportMetrics]:
    """Write the training images of a class and `ids.csv` to a folder outside the workspace.

    Args:
        config: No section is used.
        workspace: Reads `index/`.
        label: The class.
        folder: Folder to write; it must not exist, or be empty.
        size: Side of the images in pixels; None: the files of the archive as they are.
        force: Replace a folder that an earlier export wrote.

    Raises:
        ConfigurationError: There is no such class, or the folder is in use.
        EnvironmentFault: The folder cannot be written.
    """
    index = load_index(workspace.index_dir)
    folder = folder.expanduser().absolute()
    _refuse_place(folder, workspace, index.roots.archives.values(), force=force)
    partial = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.mkdir(parents=True)
        export = export_training_images(index, label, partial, size=size)
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
    except OSError as error:
        raise EnvironmentFault(
            f"The images should be written to {folder}, but: {error.strerror}; choose another "
            "folder."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    metrics = ExportMetrics(
        label=label,
        folder=str(folder),
        images=export.images,
        groups=export.groups,
        image_size=size,
    )
    inputs = {"index": index.index_hash}
    return new_result("export-split", settings={}, inputs=inputs, seconds=0, metrics=metrics)


def summary(result: StageResult[ExportMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    found = result.metrics
    kind = "files as they are" if found.image_size is None else f"squares of {found.image_size} px"
    return [
        f"{found.images} training images of {found.label}, of {found.groups} groups, as {kind}: "
        f"{found.folder}/{IMAGES}",
        f"{IDS_NAME} lists them; give it back with the generator's images: balancer "
        f"import-synthetic DIR --class {found.label} --trained-on {found.folder}/{IDS_NAME}",
    ]


def _refuse_place(
    folder: Path, workspace: Workspace, archives: Iterable[Path], *, force: bool
) -> None:
    """Refuse a folder where the images would be read as data or be in the way of a stage."""
    place = folder.resolve()
    for kind, other in [
        ("workspace", workspace.root),
        *(("data", one) for one in archives),
    ]:
        if place.is_relative_to(other.resolve()) or other.resolve().is_relative_to(place):
            raise ConfigurationError(
                f"The folder of an export should lie apart from the {kind} {other}, but is "
                f"{folder}; choose another."
            )
    names = {one.name for one in folder.iterdir()} if folder.is_dir() else {folder.name}
    is_earlier = IDS_NAME in names and names <= {IDS_NAME, IMAGES}
    if folder.exists() and names and not (force and is_earlier):
        found = min(names - {IDS_NAME, IMAGES} or names)
        raise ConfigurationError(
            "The folder of an export should be new or empty, or with --force hold an earlier "
            f"export and nothing else, but {folder} has {found!r}; choose another."
        )
