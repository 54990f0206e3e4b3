"""`balancer lungs train` and `lungs apply`: a U-Net for lungs, and a lung mask of every image."""

import logging
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Literal

from rich.console import RenderableType

from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.data.masks.decode import fingerprint_masks
from balancer.data.masks.of_index import CLASSICAL, LUNGS_TABLE, UNET
from balancer.data.masks.read import mask_files
from balancer.data.preprocessing import INDEX_NAME
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.lungs.segment import DOUBTFUL, dice, segment_lungs
from balancer.imaging.pixels import Mask
from balancer.lungs.apply import OUTLINES, VIEWS, LungPredictor, apply_to_index
from balancer.lungs.examples import LungExamples, LungParts, choose_parts, read_examples
from balancer.lungs.records import (
    DiceOfImages,
    DiceOfMethods,
    DiceSummary,
    LungApplyMetrics,
    LungTrainMetrics,
    summarize_dice,
)
from balancer.lungs.sheets import SheetImage, save_outlines
from balancer.lungs.table import LungRow, mask_names, table_of_lungs
from balancer.manifest import fingerprint
from balancer.results import StageResult, perform, read_result, standing_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)

TRAIN, APPLY = "lungs train", "lungs apply"
MODEL = "model"
VALIDATION = "validation.png"
_SHOWN = 24
_RECIPE = (
    *("image_size", "filters", "images_shown", "batch_size", "learning_rate", "max_images"),
    *("validation_share", "rotation_degrees", "shift", "zoom", "brightness"),
)


LungsResult = StageResult[LungTrainMetrics] | StageResult[LungApplyMetrics]


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    action: Literal["train", "apply"],
    force: bool = False,
) -> LungsResult:
    """Train a U-Net on annotated lung masks, or write a mask for every image.

    Args:
        config: `lungs`, `hardware` and `seed` are used.
        workspace: Reads `index/`; `train` writes `lungs/model/`, `apply` the rest of `lungs/`.
        action: `train` or `apply`.
        force: Replace an existing result.

    Raises:
        MissingStage: There is no index.
        ConfigurationError: `lungs.method` is `unet`, and none was trained.
        DataError: There are no masks to learn from, or one cannot be read.
        IntegrityError: Images or the U-Net were changed.
        EnvironmentFault: The accelerator is missing, or the training diverged.
    """
    work = train if action == "train" else apply
    return work(config, workspace, force=force)


def train(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False
) -> StageResult[LungTrainMetrics]:
    """Train a U-Net on annotated lung masks; arguments and errors as in `run`."""
    index = load_index(workspace.index_dir)
    return _train(config, workspace, index, mask_files(index, config.lungs.masks), force)


def apply(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False
) -> StageResult[LungApplyMetrics]:
    """Write a lung mask for every image; arguments and errors as in `run`."""
    index = load_index(workspace.index_dir)
    return _apply(config, workspace, index, mask_files(index, config.lungs.masks), force)


def summary(result: LungsResult) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    metrics = result.metrics
    if isinstance(metrics, LungTrainMetrics):
        lines = [
            f"U-Net trained on {metrics.train_images} images with masks; judged on "
            f"{metrics.validation_images} others",
            f"  U-Net: {metrics.validation.unet}",
            f"  without training: {metrics.validation.classical}",
            f"The worst of them: {VALIDATION} in lungs/{MODEL}/ of the workspace",
        ]
        return ["\n".join(lines)]
    lines = [
        f"Lung masks of {metrics.images} images ({metrics.method}); check the {metrics.doubtful} "
        f"of quality below {DOUBTFUL}"
    ]
    if metrics.flags:
        flags = ", ".join(f"{flag} {number}" for flag, number in metrics.flags.items())
        lines.append(f"  flags: {flags}")
    if metrics.dice.unseen is not None:
        lines.append(f"  masks that it did not learn from: {metrics.dice.unseen}")
    if metrics.dice.seen is not None:
        lines.append(f"  masks that it learnt from: {metrics.dice.seen}")
    lines.append(f"The pictures: {OUTLINES} and {VIEWS} in lungs/ of the workspace")
    return ["\n".join(lines)]


def _train(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    masks: dict[str, Path],
    force: bool,
) -> StageResult[LungTrainMetrics]:
    if not masks:
        raise DataError(
            "`balancer lungs train` needs lung masks, but the archive of this index has none; give "
            "a folder of masks under the relative paths of the images with --masks."
        )
    from balancer.resources import check_accelerator

    check_accelerator(config.hardware)
    parts = choose_parts(index, masks, config.lungs, config.seed)
    used = {record.image_id: masks[record.image_id] for record in (*parts.train, *parts.val)}
    directory = workspace.lungs_dir / MODEL
    recipe = config.lungs.model_dump(mode="json", include=set(_RECIPE))
    settings = {"seed": config.seed, "lungs": recipe}
    inputs = {"index": _table_hash(index), "masks": fingerprint_masks(used)}
    standing = standing_result(
        directory,
        LungTrainMetrics,
        settings=settings,
        inputs=inputs,
        force=force,
        keep_on_new_inputs=True,
        files=[VALIDATION],
    )
    if standing is not None:
        _network(config, directory)  # refuses a U-Net that was damaged since
        return standing
    fill = partial(_fill_model, config, index, parts, used)
    return perform(TRAIN, workspace, directory, settings=settings, inputs=inputs, work=fill)


def _fill_model(
    config: BalancerConfig, index: Index, parts: LungParts, masks: dict[str, Path], folder: Path
) -> LungTrainMetrics:
    from balancer.imaging.lungs.unet import LungUNet, lung_mask, predict_lungs, save_unet
    from balancer.lungs.training import train_unet
    from balancer.resources import one_device

    side = config.lungs.image_size
    train = read_examples(parts.train, masks, index.roots, side)
    val = read_examples(parts.val, masks, index.roots, side)
    log.info(
        "Training a lung U-Net on %d images; %d are held back", len(train.films), len(val.films)
    )
    hardware = one_device(config.hardware, "lungs train")
    network: LungUNet = train_unet(train, config.lungs, seed=config.seed, hardware=hardware)
    found = [lung_mask(predict_lungs(network, film[None])[0], film.shape) for film in val.films]
    unet = [dice(one, mask) for one, mask in zip(found, val.masks, strict=True)]
    plain = [
        dice(segment_lungs(film).mask, mask)
        for film, mask in zip(val.films, val.masks, strict=True)
    ]
    validation = DiceOfMethods(unet=_summary(unet), classical=_summary(plain))
    weights = save_unet(
        folder,
        network,
        image_size=side,
        provenance={
            "index": index.index_hash,
            "seed": config.seed,
            "settings": config.lungs.model_dump(mode="json", include=set(_RECIPE)),
            "training_ids": [record.image_id for record in train.records],
            "validation_ids": [record.image_id for record in val.records],
            "validation": validation.model_dump(mode="json"),
        },
    )
    save_outlines(_worst(val, found, unet), folder / VALIDATION)
    return LungTrainMetrics(
        weights_sha256=weights,
        train_images=len(train.films),
        validation_images=len(val.films),
        validation=validation,
    )


def _summary(agreements: list[float]) -> DiceSummary:
    summary = summarize_dice(agreements)
    if summary is None:
        raise RuntimeError("A U-Net was judged on no image.")
    return summary


def _worst(val: LungExamples, found: list[Mask], agreements: list[float]) -> list[SheetImage]:
    order = sorted(range(len(agreements)), key=lambda row: (agreements[row], row))[:_SHOWN]
    return [
        SheetImage(
            val.films[row],
            found[row],
            val.masks[row],
            f"{val.records[row].image_id[:8]}  Dice {agreements[row]:.3f}",
        )
        for row in order
    ]


def _apply(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    masks: dict[str, Path],
    force: bool,
) -> StageResult[LungApplyMetrics]:
    model = workspace.lungs_dir / MODEL
    trained = read_result(model, LungTrainMetrics)
    method: str = config.lungs.method
    if method == "auto":
        method = CLASSICAL if trained is None else UNET
    if method == UNET and trained is None:
        raise ConfigurationError(
            f"lungs.method=unet needs a trained U-Net, but there is none in {model}; run `balancer "
            "lungs train --masks DIR` first."
        )
    weights = trained.metrics.weights_sha256 if trained is not None else None
    settings = {"method": config.lungs.method, "seed": config.seed}
    inputs = {
        "index": _table_hash(index),
        "unet": weights if method == UNET else None,
        "masks": fingerprint_masks(masks) if masks else None,
    }
    directory = workspace.lungs_dir
    standing = standing_result(
        directory, LungApplyMetrics, settings=settings, inputs=inputs, force=force
    )
    if standing is not None:
        _refuse_changed(standing, directory, index)
        return standing
    fill = partial(_fill_masks, config, index, masks, model, method)
    return perform(APPLY, workspace, directory, settings=settings, inputs=inputs, work=fill)


def _fill_masks(
    config: BalancerConfig,
    index: Index,
    masks: dict[str, Path],
    model: Path,
    method: str,
    folder: Path,
) -> LungApplyMetrics:
    network, seen = _network(config, model) if method == UNET else (None, frozenset[str]())
    if model.is_dir():
        shutil.copytree(model, folder / MODEL)  # the folder is published as a whole
    rows = apply_to_index(index, network, masks, folder, seed=config.seed)
    table = table_of_lungs(rows)
    (folder / LUNGS_TABLE).write_bytes(table)
    flags = Counter(flag for row in rows for flag in row.flags)
    return LungApplyMetrics(
        images=len(rows),
        method=method,
        doubtful=sum(row.quality < DOUBTFUL for row in rows),
        flags=dict(flags.most_common()),
        dice=DiceOfImages(unseen=_agreement(rows, seen, False), seen=_agreement(rows, seen, True)),
        table_sha256=fingerprint(table),
    )


def _network(config: BalancerConfig, model: Path) -> tuple[LungPredictor, frozenset[str]]:
    """Load the trained U-Net, and the ids of the images that it learnt from."""
    from balancer.imaging.lungs.unet import UNetError, load_unet, predict_lungs
    from balancer.resources import inference_device

    try:
        loaded = load_unet(model)
    except UNetError as error:
        raise IntegrityError(str(error)) from error
    network = loaded.network.to(inference_device(config.hardware))
    seen = frozenset(map(str, loaded.card.provenance.get("training_ids", ())))
    return LungPredictor(partial(predict_lungs, network), loaded.card.image_size), seen


def _agreement(rows: list[LungRow], seen: frozenset[str], learnt: bool) -> DiceSummary | None:
    return summarize_dice(
        [row.dice for row in rows if row.dice is not None and (row.image_id in seen) == learnt]
    )


def _table_hash(index: Index) -> str:
    """Hash the table alone: masks are of original images, regardless of the preprocessing."""
    return fingerprint((index.directory / INDEX_NAME).read_bytes())


def _refuse_changed(standing: StageResult[LungApplyMetrics], directory: Path, index: Index) -> None:
    table = directory / LUNGS_TABLE
    names = mask_names([record.path for record in index.records]).values()
    changed = not table.is_file() or (
        fingerprint(table.read_bytes()) != standing.metrics.table_sha256
    )
    missing = [name for name in names if not (directory / "masks" / name).is_file()]
    if changed or missing:
        what = f"lacks {missing[0]!r}" if missing else f"has another {LUNGS_TABLE}"
        raise IntegrityError(
            f"{directory} should be as `balancer lungs apply` wrote it, but {what}; run it again "
            "with --force."
        )
