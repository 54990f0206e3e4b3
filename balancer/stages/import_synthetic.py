"""`balancer import-synthetic`: images of any generator, in the place of those of ours."""

import logging
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from balancer.config import BalancerConfig
from balancer.data.collection import Collection, read_collection
from balancer.data.index import Index, load_index
from balancer.errors import ConfigurationError, DataError
from balancer.evaluation.ledger import INDEX_FOLD
from balancer.manifest import fingerprint
from balancer.ratio import TargetRatio, plan_synthesis
from balancer.results import StageResult, perform, read_result, standing_result
from balancer.stages import synthesize
from balancer.synthetic.catalog import has_source
from balancer.synthetic.import_images import import_images
from balancer.synthetic.lineage import read_training_ids, source_name
from balancer.synthetic.outside_images import ImportMetrics
from balancer.synthetic.real_copies import Search
from balancer.synthetic.records import ClassLineage, SynthesizeMetrics
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

_LIMITS = {"min_side", "max_aspect", "max_megapixels", "skip_bad", "layout"}


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    images: Path,
    label: str,
    name: str | None = None,
    licence: str | None = None,
    trained_on: Path | None = None,
    declared: bool = False,
    force: bool = False,
) -> StageResult[ImportMetrics]:
    """Keep the images in the workspace, and make `synthetic/` from them.

    Args:
        config: As for `synthesize`; `data` has the limits of a usable image.
        workspace: Reads `index/`, writes `imported/LABEL/`, `synthetic/` and the ledger.
        images: A folder, a table or an archive of images.
        label: Class of the images.
        name: Name of their source; None: that of the folder.
        licence: Their licence.
        trained_on: List of the images that their generator was trained on.
        declared: Somebody says that it saw no validation or test image.
        force: Replace images that were imported before.

    Raises:
        ConfigurationError: There is no such class, or the ratio needs no images of it.
        DataError: Images or the list cannot be used, or too few images pass the screen.
        IntegrityError: An image copies a validation or test image, or the list names one.
    """
    index = load_index(workspace.index_dir)
    wanted = _images_wanted(label, config, index)
    workspace.refuse_overlap(images)
    name = source_name(name or images.expanduser().resolve().stem)
    lineage = _lineage(name, licence, trained_on, declared, index)
    directory = workspace.imported_dir(label)
    settings = {
        "images": str(images.expanduser().resolve()),
        "label": label,
        "lineage": lineage.model_dump(mode="json", exclude={"training_ids"}),
        "data": config.data.model_dump(mode="json", include=_LIMITS),
    }
    found = read_collection(images, config.data)
    inputs = {
        "index": index.index_hash,
        "images": fingerprint("\n".join(one.image_id for one in found.images).encode()),
        "trained_on": fingerprint("\n".join(lineage.training_ids).encode()),
    }
    _refuse_few(found, label, wanted)
    search = Search(name=str(lineage.name), arm=label, fold=INDEX_FOLD, seed=config.seed)

    def work(folder: Path) -> ImportMetrics:
        return import_images(
            found, label, lineage, folder, index, search=search, ledger=workspace.ledger_dir
        )  # fmt: skip

    result = standing_result(
        directory, ImportMetrics, settings=settings, inputs=inputs, force=force
    )
    if result is None:
        result = perform(
            "import-synthetic", workspace, directory, settings=settings, inputs=inputs, work=work
        )
    _synthesize(config, workspace, index)
    return result


def summary(result: StageResult[ImportMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    found = result.metrics
    return [f"{found.label}: {found.sentence}"]


def _images_wanted(label: str, config: BalancerConfig, index: Index) -> int:
    """Return the number of images of a class that the ratio lacks."""
    ratio = TargetRatio.parse(config.synthesis.ratio)
    plans = plan_synthesis(index.counts("train"), ratio)
    growing = {plan.label: plan.to_make for plan in plans if plan.to_make}
    if label not in index.classes:
        raise ConfigurationError(
            f"--class should be one of {', '.join(index.classes)}, but is {label!r}; name one."
        )
    if label not in growing:
        raise ConfigurationError(
            f"Images of {label} are wanted only where the ratio {ratio} lacks some, but the "
            f"training split has enough (it lacks {', '.join(growing) or 'none'}); ask for "
            "another --ratio."
        )
    return growing[label]


def _refuse_few(found: Collection, label: str, wanted: int) -> None:
    """Refuse too few images before the search for copies looks at test images."""
    own = found.of(label) if label in found.labels else found
    if (n := len({image.image_id for image in own.images})) < wanted:
        raise DataError(
            f"The ratio needs {wanted} images of {label}, but {found.name!r} has {n} different "
            "ones; let its generator draw more, or ask for fewer (--ratio)."
        )


def _lineage(
    name: str, licence: str | None, trained_on: Path | None, declared: bool, index: Index
) -> ClassLineage:
    given: dict[str, Any] = {"licence": licence} if licence else {}
    if trained_on is not None:
        ids = read_training_ids(trained_on, index)
        return ClassLineage(checkpoint=None, training_ids=ids, name=name, **given)
    given |= {"declared": True} if declared else {}
    return ClassLineage(checkpoint=None, training_ids="unknown", name=name, **given)


def _synthesize(config: BalancerConfig, workspace: Workspace, index: Index) -> None:
    """Make `synthetic/`, once every class that has to grow has a source."""
    plans = plan_synthesis(index.counts("train"), TargetRatio.parse(config.synthesis.ratio))
    lacking = [
        plan.label for plan in plans if plan.to_make and not has_source(plan.label, workspace)
    ]
    if lacking:
        log.warning(
            "No synthetic image is made yet, since %s has no source: import images of it too, or "
            "run `balancer gan-train`, then `balancer synthesize`.",
            ", ".join(lacking),
        )
        return
    made = read_result(workspace.synthetic_dir, SynthesizeMetrics)
    replaces = made is not None and made.settings != synthesize.settings_of(config)
    synthesize.run(config, workspace, force=replaces)
