"""`balancer prepare`: from a folder of radiographs to `index/`."""

import csv
import hashlib
import importlib.resources
import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from balancer.config import BalancerConfig
from balancer.data.audit_text import audit_page
from balancer.data.build import BuiltIndex, build_index
from balancer.data.dataset import INDEX_NAME, load_index
from balancer.data.io import UnusableImageError, read_bytes
from balancer.data.scan import METADATA_NAME, FoundImage, Scan, Unusable, scan_folder
from balancer.data.threads import map_threaded
from balancer.errors import ConfigurationError
from balancer.manifest import ImageRecord, fingerprint, table_bytes
from balancer.results import StageResult, difference, perform, read_result, standing_result
from balancer.sections import DataConfig
from balancer.workspace import Workspace

log = logging.getLogger(__name__)


def run(config: BalancerConfig, workspace: Workspace, *, force: bool = False) -> StageResult:
    """Check the images of the data folder and split them.

    Writes `index.csv`, `audit.json`, `audit.md` and `quarantine.csv`.

    Raises:
        ConfigurationError: Data and workspace overlap, or another index stands there.
        DataError: Images or the metadata cannot be used as they are.
        IntegrityError: An image is synthetic, or stands in two classes.
    """
    root = _data_root(config.data, workspace)
    workspace.refuse_overlap(root)
    scan = scan_folder(root)
    settings = _settings(config, root)
    inputs = {"data_sha256": fingerprint_folder(root, scan)}
    standing = standing_result(workspace.index_dir, settings=settings, inputs=inputs, force=force)
    if standing is not None:
        load_index(workspace.index_dir)  # refuses what was changed since
        return standing
    return perform(
        "prepare",
        workspace,
        workspace.index_dir,
        settings=settings,
        inputs=inputs,
        work=partial(_prepare, root, scan, config),
    )


def refuse_other_settings(config: BalancerConfig, workspace: Workspace) -> None:
    """Refuse settings of `data` that the standing index was not made with, unless they are unset.

    Raises:
        ConfigurationError: A setting was given and differs.
    """
    standing = read_result(workspace.index_dir)
    if standing is None:
        return
    root = Path(str(standing.settings.get("data", {}).get("root")))
    made, wanted = standing.settings.get("data", {}), _settings(config, root)["data"]
    unset = _settings(BalancerConfig(), root)["data"]
    given = {key: value for key, value in wanted.items() if value != unset[key]}
    unlike = difference({key: made.get(key) for key in given}, given)
    if unlike:
        raise ConfigurationError(
            f"{workspace.index_dir} was made with {unlike}; add --force to `balancer prepare` to "
            "replace it, or choose another --workspace to keep it."
        )


def fingerprint_folder(root: Path, scan: Scan) -> str:
    """SHA-256 of everything the index depends on: the names and bytes of images and metadata."""
    parts = map_threaded(
        partial(_file_fingerprint, root), scan.images, task=f"Hashing {len(scan.images)} files"
    )
    parts += [f"{file.path}\0{file.reason}" for file in scan.refused]
    parts += [f"{kind}\0{number}" for kind, number in sorted(scan.ignored.items())]
    metadata = root / METADATA_NAME
    if metadata.is_file():
        parts.append(fingerprint(read_bytes(metadata)))
    return fingerprint("\n".join(parts).encode())


def summary(result: StageResult) -> list[RenderableType]:
    """What the terminal shows of a result."""
    splits: dict[str, dict[str, int]] = result.metrics["splits"]
    labels = list(next(iter(splits.values())))
    table = Table("split", title="Images per split and class", title_justify="left")
    for label in labels:
        table.add_column(Text(label), justify="right")
    for split, counts in splits.items():
        table.add_row(split, *(str(counts[label]) for label in labels))
    groups = result.metrics["groups"]
    line = f"{groups['number']} groups by {groups['kind']}; no group is in two splits."
    return [table, Text(line)]


def _data_root(config: DataConfig, workspace: Workspace) -> Path:
    if config.root is not None:
        return config.root.expanduser().resolve()
    standing = read_result(workspace.index_dir)
    if standing is not None:
        return Path(standing.settings["data"]["root"])
    samples = Path(str(importlib.resources.files("samples"))).resolve()
    log.info("No --data given: using the bundled samples, drawings of chests (%s).", samples)
    return samples


def _settings(config: BalancerConfig, root: Path) -> dict[str, Any]:
    # Not `skip_bad`: it decides whether there is an index, not what stands in it, and later
    # commands that are given --data have no such option.
    data = config.data.model_dump(mode="json", exclude={"skip_bad"})
    return {"seed": config.seed, "data": data | {"root": str(root)}}


def _file_fingerprint(root: Path, image: FoundImage) -> str:
    try:
        content = hashlib.sha256(read_bytes(root / image.path)).hexdigest()
    except UnusableImageError as error:
        content = error.reason
    return f"{image.path}\0{content}"


def _prepare(root: Path, scan: Scan, config: BalancerConfig, directory: Path) -> dict[str, Any]:
    built = build_index(root, scan, config.data, seed=config.seed)
    for sentence in built.audit["warnings"]:
        log.warning("%s", sentence)
    table = table_bytes(built.records, ImageRecord)
    (directory / INDEX_NAME).write_bytes(table)
    _write_quarantine(directory / "quarantine.csv", built.quarantine)
    text = json.dumps(built.audit, indent=2, ensure_ascii=False, allow_nan=False)
    (directory / "audit.json").write_text(text + "\n", encoding="utf-8")
    (directory / "audit.md").write_text(audit_page(built.audit), encoding="utf-8")
    return _metrics(built, fingerprint(table))


def _write_quarantine(path: Path, files: Sequence[Unusable]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "reason"])
        writer.writerows([unusable.path, unusable.label, unusable.reason] for unusable in files)


def _metrics(built: BuiltIndex, index_hash: str) -> dict[str, Any]:
    audit = built.audit
    source = audit["source"]
    return {
        "index_sha256": index_hash,
        "images": len(built.records),
        "splits": audit["splits"],
        "groups": audit["groups"],
        "quarantined": audit["quarantined"],
        "copies": len(audit["copies"]),
        "near_duplicates": len(audit["near_duplicates"]),
        "source_gives_class_away": None if source is None else source["gives_label_away"],
        "warnings": audit["warnings"],
    }
