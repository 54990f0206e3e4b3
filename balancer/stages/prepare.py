"""`balancer prepare`: from a folder of radiographs to `index/`."""

import csv
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from balancer.config import BalancerConfig
from balancer.data.audit.augmentation import with_augmentation
from balancer.data.audit.content import AUDIT_NAME, audit_text, read_audit
from balancer.data.audit.left_out import LOSES, percent
from balancer.data.audit.text import audit_page, refuse_findings
from balancer.data.build import BuiltIndex, build_index
from balancer.data.channels import decide_channels, decide_domain
from balancer.data.copies.grouping import pairs_hash
from balancer.data.details_table import DETAILS_NAME, details_bytes, details_of
from balancer.data.index import load_index
from balancer.data.index_settings import data_roots, image_recipe, index_settings
from balancer.data.ingest.archive_hash import hash_archives
from balancer.data.ingest.engine import LOCAL, Engine, engine_of
from balancer.data.ingest.passes import PassResult, pass_folder
from balancer.data.ingest.reader import FileReader
from balancer.data.ingest.urls import url_of
from balancer.data.masks.of_index import (
    ARCHIVE,
    CLASSICAL,
    UNET,
    LungMasks,
    MaskFile,
    choose_masks,
    masks_by_path,
    masks_of,
)
from balancer.data.metadata import SUBGROUP_COLUMNS
from balancer.data.official_split import note_official_split
from balancer.data.preprocessing import INDEX_NAME
from balancer.data.preprocessing_sheet import warn_of_lungs, write_preprocessing
from balancer.data.records import LeftOut, PrepareMetrics
from balancer.data.roots import Roots, base_folder
from balancer.data.scan import Scan, Unusable
from balancer.domains.domain import Domain, domain_of
from balancer.errors import ConfigurationError
from balancer.evaluation.classifier_recipe import image_sizes
from balancer.imaging.config import PreprocessingConfig
from balancer.imaging.pixels import COLOUR
from balancer.imaging.preprocess import preprocessor, recorded
from balancer.manifest import ImageRecord, fingerprint, table_bytes
from balancer.report.render.audit_page import pictures_of, render_audit
from balancer.results import StageResult, perform, read_result, standing_result
from balancer.workspace import Workspace

log = logging.getLogger(__name__)


def run(
    config: BalancerConfig,
    workspace: Workspace,
    *,
    force: bool = False,
    strict: bool = False,
    engine: str = LOCAL,
    master: str | None = None,
) -> StageResult[PrepareMetrics]:
    """Check the images of the data folder and split them.

    Writes `index.csv`, `details.csv`, `audit.json`, `audit.md`, `audit.html` and `quarantine.csv`,
    with preprocessing `preprocessing.png` and, for views of the lungs, `masks.csv`; and in `cache/`
    the pixels at the sizes that the configuration reads.

    Args:
        config: `data`, `preprocessing` and `seed` are used, and the image sizes that it names.
        workspace: Folder to write to.
        force: Replace an existing index.
        strict: Refuse findings that count, once all is written.
        engine: Reader of the files, `local` or `spark`; both write the same.
        master: Master of Spark; see `engine_of`.

    Raises:
        ConfigurationError: Data and workspace overlap, or an existing index has other settings.
        DataError: Images or the metadata cannot be used.
        IntegrityError: An image is synthetic, or is in two classes; or with `strict`, the audit
            found something.
        EnvironmentFault: The disk is full, or Spark cannot be used.
    """
    roots = data_roots(config.data, workspace)
    for archive in roots.archives.values():
        if url_of(archive):
            _refuse_preprocessing(config.preprocessing, url_of(archive))
        else:
            workspace.refuse_overlap(base_folder(archive))
    with engine_of(engine, master) as reader:
        result = _run(reader, roots, config, workspace, force=force)
    _propose_travel(workspace.index_dir)
    if strict:
        refuse_findings(workspace.index_dir)
    return result


def _propose_travel(index_dir: Path) -> None:
    """Propose a study of travel where sources give the classes away, or are not known."""
    source = read_audit(index_dir).source
    if source is not None and not source.gives_label_away:
        return
    found = "is not known" if source is None else "gives its class away"
    log.info(
        "The source of an image %s, so that a score here may be one at recognising hospitals: "
        "`balancer travel --external DIR` asks what works at another one.",
        found,
    )


def _run(
    reader: Engine, roots: Roots, config: BalancerConfig, workspace: Workspace, *, force: bool
) -> StageResult[PrepareMetrics]:
    scan = reader.scan(roots, config.data)
    if config.data.official_split:
        note_official_split(scan)
    scan.keep_columns((*SUBGROUP_COLUMNS, *config.evaluation.subgroups))
    channels = decide_channels(config.data, roots, scan.images)
    domain = decide_domain(config.data, roots, scan, channels)
    _refuse_steps(config.preprocessing, domain_of(domain), in_colour=channels == COLOUR)
    decided = {"channels": channels, "domain": domain}
    data = config.data.with_side_of(scan.min_side).model_copy(update=decided)
    config = config.model_copy(update={"data": data})
    settings = index_settings(config, roots)
    masks = choose_masks(
        [image.path for image in scan.images],
        config.preprocessing,
        roots,
        scan.masks,
        workspace.root,
    )
    inputs = _mask_inputs(masks) | pairs_hash(config.data.same_film)
    if not force and read_result(workspace.index_dir, PrepareMetrics) is not None:
        digests = reader.digests(roots, scan.images)
        found = inputs | {"data_sha256": hash_archives(scan, digests)}
        standing = standing_result(
            workspace.index_dir, PrepareMetrics, settings=settings, inputs=found, force=force
        )
        if standing is not None:
            load_index(workspace.index_dir)  # refuses files that were changed
            shutil.rmtree(workspace.unfinished_index_dir, ignore_errors=True)
            return standing
    with pass_folder(workspace.unfinished_index_dir) as unfinished_dir:

        def work(directory: Path) -> PrepareMetrics:
            looked = reader.read(
                _file_reader(config, roots, masks, workspace), scan.images, unfinished_dir
            )
            # Only now: the files are read once, by the work itself.
            inputs["data_sha256"] = hash_archives(scan, looked.digests)
            return _prepare(roots, scan, looked, config, masks, workspace, directory)

        return perform(
            "prepare",
            workspace,
            workspace.index_dir,
            settings=settings,
            inputs=inputs,
            work=work,
        )


def _refuse_steps(config: PreprocessingConfig, domain: Domain, *, in_colour: bool) -> None:
    if config.colour != "keep" and not (in_colour and config.colour in domain.colour):
        kept = "colour" if not in_colour else f"a domain where it is usual, not {domain.title}"
        usual = f"choose {' or '.join(domain.colour)}, " if in_colour and domain.colour else ""
        raise ConfigurationError(
            f"preprocessing.colour={config.colour} needs images in {kept}; {usual}leave it out, or "
            f"set {'data.domain' if in_colour else 'data.channels=3'}."
        )
    if config.lungs != "none" and not domain.lungs:
        raise ConfigurationError(
            f"preprocessing.lungs={config.lungs} needs images of a domain with lungs, not "
            f"{domain.title}; leave it out, or set data.domain."
        )


def _refuse_preprocessing(config: PreprocessingConfig, url: str) -> None:
    if recorded(config):
        raise ConfigurationError(
            f"preprocessing needs the images in a folder of this machine, not at {url!r}; copy "
            "them, or switch the preprocessing off."
        )


def summary(result: StageResult[PrepareMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    metrics = result.metrics
    lost = metrics.left_out or {}
    table = Table("class")
    for split in metrics.splits:
        table.add_column(split, justify="right")
    table.add_column("left out", justify="right")
    for label in next(iter(metrics.splits.values())):
        counts = [str(split[label]) for split in metrics.splits.values()]
        table.add_row(Text(label, overflow="fold"), *counts, _left_out(lost.get(label)))
    groups = metrics.groups
    line = f"{groups.number} groups by {groups.kind}; no group is in two splits."
    losses = [
        f"{label} {percent(one.share)} ({one.images})"
        for label, one in lost.items()
        if one.share > LOSES
    ]
    last = []
    if losses:
        last.append(
            Text(
                f"NOT ALL IMAGES ARE IN THE INDEX: {', '.join(losses)} left out; the reasons are "
                "above and in audit.md."
            )
        )
    unused = metrics.unused_columns
    columns = [Text(unused_columns_sentence(unused))] if unused else []
    return [Text("Images per class and split"), table, Text(line), *columns, *last]


def unused_columns_sentence(names: Sequence[str]) -> str:
    """Name the columns of the tables that nothing reads."""
    return (
        f"Columns of the metadata that are not used: {', '.join(names)}; list those that name "
        "subgroups in evaluation.subgroups."
    )


def _left_out(lost: LeftOut | None) -> str:
    return "0" if lost is None else f"{lost.images} ({percent(lost.share)})"


def _mask_inputs(masks: Mapping[str, MaskFile]) -> dict[str, str]:
    lines = [f"{path}\0{mask.method}\0{mask.sha256}" for path, mask in sorted(masks.items())]
    return {"masks_sha256": fingerprint("\n".join(lines).encode())} if masks else {}


def _file_reader(
    config: BalancerConfig, roots: Roots, masks: Mapping[str, MaskFile], workspace: Workspace
) -> FileReader:
    by_path = masks_by_path(masks, config.preprocessing, roots, workspace.root)
    lacking = config.preprocessing.masks in (ARCHIVE, UNET) and any(
        file.method == CLASSICAL for file in masks.values()
    )
    recipe = preprocessor(image_recipe(config))
    return FileReader(
        roots=roots,
        config=config.data,
        sizes=() if lacking else image_sizes(config),  # `masks_of` names a missing one
        preprocessor=recipe if recipe.changes else None,
        masks=by_path,
        channels=recipe.channels,
    )


def _prepare(
    roots: Roots,
    scan: Scan,
    looked: PassResult,
    config: BalancerConfig,
    masks: Mapping[str, MaskFile],
    workspace: Workspace,
    directory: Path,
) -> PrepareMetrics:
    built = build_index(
        scan, looked.images, looked.unusable, config.data, seed=config.seed, masks=masks
    )
    if any(url_of(archive) for archive in roots.archives.values()):
        log.info("Images on other machines are not sampled for signs of an augmentation.")
    else:
        by_name = config.data.same_film is None
        audit = with_augmentation(built.audit, built.records, roots, by_name=by_name)
        built = replace(built, audit=audit)
    for sentence in built.audit.warnings:
        log.warning("%s", sentence)
    if scan.unused_columns:
        log.warning("%s", unused_columns_sentence(scan.unused_columns))
    table = table_bytes(built.records, ImageRecord)
    (directory / INDEX_NAME).write_bytes(table)
    details = details_bytes(details_of(built.records, scan.metadata, scan.masks, scan.parts))
    (directory / DETAILS_NAME).write_bytes(details)
    _write_quarantine(directory / "quarantine.csv", built.quarantine)
    (directory / AUDIT_NAME).write_text(audit_text(built.audit), encoding="utf-8")
    (directory / "audit.md").write_text(audit_page(built.audit), encoding="utf-8")
    (directory / "audit.html").write_text(render_audit(built.audit, pictures_of(roots)), "utf-8")
    recipe = preprocessor(image_recipe(config))
    lungs = masks_of(built.records, masks, config.preprocessing, roots, workspace.root)
    write_preprocessing(directory, built.records, roots, recipe, lungs, seed=config.seed)
    looked.keep_pixels(directory, built.records, recipe, lungs)
    if lungs is not None:
        warn_of_lungs(directory, built.records, lungs)
    metrics = _metrics(scan.layout, fingerprint(details), fingerprint(table), built, lungs)
    if not scan.unused_columns:
        return metrics
    return metrics.model_copy(update={"unused_columns": scan.unused_columns})


def _write_quarantine(path: Path, files: Sequence[Unusable]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "label", "reason"])
        writer.writerows([unusable.path, unusable.label, unusable.reason] for unusable in files)


def _metrics(
    layout: str, details_hash: str, index_hash: str, built: BuiltIndex, masks: LungMasks | None
) -> PrepareMetrics:
    audit = built.audit
    metrics = PrepareMetrics(
        layout=layout,
        details_sha256=details_hash,
        index_sha256=index_hash,
        images=len(built.records),
        splits=audit.splits,
        groups=audit.groups,
        quarantined=audit.quarantined,
        copies=len(audit.copies),
        near_duplicates=len(audit.near_duplicates),
        findings=tuple(finding.name for finding in audit.findings if finding.counts),
        source_gives_class_away=None if audit.source is None else audit.source.gives_label_away,
        warnings=tuple(audit.warnings),
    )
    used: dict[str, object] = {}
    if masks is not None:
        used |= {"masks_sha256": masks.fingerprint, "lungs_by": masks.counts()}
    if audit.left_out:
        used["left_out"] = audit.left_out
    if audit.part is not None:
        used["parts"] = {part: sum(row.values()) for part, row in audit.part.table.items()}
    return metrics.model_copy(update=used)
