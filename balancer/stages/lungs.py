"""`balancer lungs train` and `apply`: a U-Net for lungs, and lung masks for every image."""

import logging
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import RenderableType

from balancer.config import BalancerConfig
from balancer.data.index import Index, load_index
from balancer.data.preprocessed import INDEX_NAME
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.lungs.segment import DOUBTFUL, dice, segment_lungs
from balancer.lungs.applying import OUTLINES, VIEWS, Network, apply_to_index
from balancer.lungs.known import fingerprint_masks, known_masks
from balancer.lungs.material import Examples, Parts, choose_parts, read_examples
from balancer.lungs.sheets import Shown, save_outlines
from balancer.lungs.table import (
    CLASSICAL,
    TABLE_NAME,
    UNET,
    LungRow,
    dice_line,
    dice_summary,
    mask_names,
    table_of_lungs,
)
from balancer.manifest import fingerprint
from balancer.results import UntypedResult, perform, read_result, standing_result
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


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    action: Literal["train", "apply"],
    force: bool = False,
) -> UntypedResult:
    """Train a U-Net on known lung masks, or write a mask for every image.

    Args:
        config: `lungs`, `hardware` and `seed` are used.
        workspace: Reads `index/`; `train` writes `lungs/model/`, `apply` the rest of `lungs/`.
        action: Which of the two.
        force: Do it again whatever stands there.

    Raises:
        MissingStage: There is no index.
        ConfigurationError: The U-Net is asked for and was not trained.
        DataError: There are no masks to learn from, or one cannot be read.
        IntegrityError: Films or the U-Net were changed.
        EnvironmentFault: The accelerator is not there, or the training diverged.
    """
    index = load_index(workspace.index_dir)
    masks = known_masks(index, config.lungs.masks)
    work = _train if action == "train" else _apply
    return work(config, workspace, index, masks, force)


def summary(result: UntypedResult) -> list[RenderableType]:
    """What the terminal shows of a result."""
    metrics = result.metrics
    if result.stage == TRAIN:
        lines = [
            f"U-Net trained on {metrics['train_images']} films with masks; judged on "
            f"{metrics['validation_images']} others",
            "  " + dice_line("U-Net", metrics["validation"]["unet"]),
            "  " + dice_line("without training", metrics["validation"]["classical"]),
            f"The worst of them: {VALIDATION} in lungs/{MODEL}/ of the workspace",
        ]
        return ["\n".join(lines)]
    lines = [
        f"Lung masks of {metrics['images']} images ({metrics['method']}); {metrics['doubtful']} of "
        f"quality below {DOUBTFUL} should be looked at"
    ]
    if metrics["flags"]:
        flags = ", ".join(f"{flag} {number}" for flag, number in metrics["flags"].items())
        lines.append(f"  flags: {flags}")
    words = {"unseen": "masks that it has not learnt from", "seen": "masks that it learnt from"}
    for kind, text in words.items():
        if metrics["dice"][kind]:
            lines.append("  " + dice_line(text, metrics["dice"][kind]))
    lines.append(f"The pictures: {OUTLINES} and {VIEWS} in lungs/ of the workspace")
    return ["\n".join(lines)]


def _train(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    masks: dict[str, Path],
    force: bool,
) -> UntypedResult:
    if not masks:
        raise DataError(
            "`balancer lungs train` wants lung masks, but the archive of this index has none; give "
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
        directory, settings=settings, inputs=inputs, force=force, keep_on_new_inputs=True
    )
    if standing is not None:
        return standing
    fill = partial(_fill_model, config, index, parts, used)
    return perform(TRAIN, workspace, directory, settings=settings, inputs=inputs, work=fill)


def _fill_model(
    config: BalancerConfig, index: Index, parts: Parts, masks: dict[str, Path], folder: Path
) -> dict[str, Any]:
    from balancer.imaging.lungs.unet import LungUNet, lung_mask, predict_lungs, save_unet
    from balancer.lungs.training import train_unet
    from balancer.resources import training_hardware

    side = config.lungs.image_size
    train = read_examples(parts.train, masks, index.roots, side)
    val = read_examples(parts.val, masks, index.roots, side)
    log.info(
        "Training a lung U-Net on %d films; %d are held back", len(train.films), len(val.films)
    )
    hardware = training_hardware(config.hardware)
    network: LungUNet = train_unet(train, config.lungs, seed=config.seed, hardware=hardware)
    found = [lung_mask(predict_lungs(network, film[None])[0], film.shape) for film in val.films]
    unet = [dice(one, mask) for one, mask in zip(found, val.masks, strict=True)]
    plain = [
        dice(segment_lungs(film).mask, mask)
        for film, mask in zip(val.films, val.masks, strict=True)
    ]
    validation = {"unet": dice_summary(unet), "classical": dice_summary(plain)}
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
            "validation": validation,
        },
    )
    save_outlines(_worst(val, found, unet), folder / VALIDATION)
    return {
        "weights_sha256": weights,
        "train_images": len(train.films),
        "validation_images": len(val.films),
        "validation": validation,
    }


def _worst(val: Examples, found: list[Any], agreements: list[float]) -> list[Shown]:
    order = sorted(range(len(agreements)), key=lambda row: (agreements[row], row))[:_SHOWN]
    return [
        Shown(
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
) -> UntypedResult:
    model = workspace.lungs_dir / MODEL
    trained = read_result(model)
    method: str = config.lungs.method
    if method == "auto":
        method = CLASSICAL if trained is None else UNET
    if method == UNET and trained is None:
        raise ConfigurationError(
            f"lungs.method=unet wants a trained U-Net, but there is none in {model}; run `balancer "
            "lungs train --masks DIR` first."
        )
    weights = trained.metrics["weights_sha256"] if trained is not None else None
    settings = {"method": config.lungs.method, "seed": config.seed}
    inputs = {
        "index": _table_hash(index),
        "unet": weights if method == UNET else None,
        "masks": fingerprint_masks(masks) if masks else None,
    }
    directory = workspace.lungs_dir
    standing = standing_result(directory, settings=settings, inputs=inputs, force=force)
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
) -> dict[str, Any]:
    network, seen = _network(config, model) if method == UNET else (None, frozenset[str]())
    if model.is_dir():
        shutil.copytree(model, folder / MODEL)  # the folder is published as a whole
    rows = apply_to_index(index, network, masks, folder, seed=config.seed)
    table = table_of_lungs(rows)
    (folder / TABLE_NAME).write_bytes(table)
    flags = Counter(flag for row in rows for flag in row.flags)
    return {
        "images": len(rows),
        "method": method,
        "doubtful": sum(row.quality < DOUBTFUL for row in rows),
        "flags": dict(flags.most_common()),
        "dice": {"unseen": _agreement(rows, seen, False), "seen": _agreement(rows, seen, True)},
        "table_sha256": fingerprint(table),
    }


def _network(config: BalancerConfig, model: Path) -> tuple[Network, frozenset[str]]:
    """The trained U-Net, and the images that it learnt from."""
    from balancer.imaging.lungs.unet import UNetError, load_unet, predict_lungs
    from balancer.resources import inference_device

    try:
        loaded = load_unet(model)
    except UNetError as error:
        raise IntegrityError(str(error)) from error
    network = loaded.network.to(inference_device(config.hardware))
    seen = frozenset(map(str, loaded.card.provenance.get("training_ids", ())))
    return Network(partial(predict_lungs, network), loaded.card.image_size), seen


def _agreement(rows: list[LungRow], seen: frozenset[str], learnt: bool) -> dict[str, Any] | None:
    return dice_summary(
        [row.dice for row in rows if row.dice is not None and (row.image_id in seen) == learnt]
    )


def _table_hash(index: Index) -> str:
    """Of the table alone: masks are of films as they are, whatever preprocessing comes after."""
    return fingerprint((index.directory / INDEX_NAME).read_bytes())


def _refuse_changed(standing: UntypedResult, directory: Path, index: Index) -> None:
    table = directory / TABLE_NAME
    names = mask_names([record.path for record in index.records]).values()
    changed = not table.is_file() or (
        fingerprint(table.read_bytes()) != standing.metrics["table_sha256"]
    )
    missing = [name for name in names if not (directory / "masks" / name).is_file()]
    if changed or missing:
        what = f"lacks {missing[0]!r}" if missing else f"has another {TABLE_NAME}"
        raise IntegrityError(
            f"{directory} should be as `balancer lungs apply` wrote it, but {what}; run it again "
            "with --force."
        )
