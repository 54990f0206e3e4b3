"""`balancer report`: both classifiers in one table, and one self-contained page."""

import csv
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType

from balancer.config import BalancerConfig
from balancer.data.dataset import Index, load_index
from balancer.data.synthetic import load_synthetic, synthetic_fingerprint
from balancer.errors import IntegrityError
from balancer.manifest import fingerprint
from balancer.quality.gate import failures
from balancer.report.plots import save_differences, save_precision_recall, save_roc
from balancer.report.render import render_report
from balancer.report.tables import (
    METRICS,
    Predictions,
    comparison_rows,
    comparison_table,
    interval,
    read_predictions,
)
from balancer.results import (
    MissingStage,
    StageResult,
    difference,
    perform,
    read_result,
    standing_result,
)
from balancer.workspace import Workspace
from classifier.metrics import paired_differences

log = logging.getLogger(__name__)

_ARMS = {"real": "balancer classify", "real+synthetic": "balancer classify --with-synthetic"}
Arms = dict[str, tuple[StageResult, Predictions]]


def run(config: BalancerConfig, workspace: Workspace, *, force: bool = False) -> StageResult:
    """Compare the classifier trained on real images with the one that had synthetic ones too.

    Args:
        config: Section `evaluation` and `seed` are used.
        workspace: Reads `index/`, `classify/` and, where they stand, `synthetic/`, `quality/` and
            `gan/`; writes `report/`.
        force: Write again whatever stands there.

    Raises:
        MissingStage: An arm has not been trained.
        IntegrityError: The arms were tested on different images.
    """
    index = load_index(workspace.index_dir)
    arms: Arms = {arm: _load(workspace.classify_dir(arm), arm, index) for arm in _ARMS}
    _refuse_unlike(arms)
    quality = read_result(workspace.quality_dir)
    synthetic = read_result(workspace.synthetic_dir)
    _refuse_stale(arms, quality, synthetic_fingerprint(load_synthetic(workspace, index)))
    settings = {"seed": config.seed, "evaluation": config.evaluation.model_dump(mode="json")}
    inputs = {
        "index": index.index_hash,
        "arms": {arm: result.model_dump(mode="json") for arm, (result, _) in arms.items()},
        "quality": None if quality is None else quality.metrics,
        "synthetic": None if synthetic is None else synthetic.metrics,
    }
    standing = standing_result(workspace.report_dir, settings=settings, inputs=inputs, force=force)
    if standing is not None:
        return _with_place(standing, workspace)

    def work(folder: Path) -> dict[str, Any]:
        comparison = _compare(config, arms, quality)
        _draw(arms, comparison, folder)
        _write_rows(comparison["rows"], folder / "comparison.csv")
        _copy_pictures(workspace, folder)
        page = render_report(
            index=json.loads((workspace.index_dir / "result.json").read_text(encoding="utf-8")),
            synthetic=None if synthetic is None else synthetic.model_dump(mode="json"),
            quality=None if quality is None else quality.model_dump(mode="json"),
            arms={arm: result.model_dump(mode="json") for arm, (result, _) in arms.items()},
            comparison=comparison,
            pictures=folder,
        )
        (folder / "report.html").write_text(page, encoding="utf-8")
        return comparison

    result = perform(
        "report", workspace, workspace.report_dir, settings=settings, inputs=inputs, work=work
    )
    return _with_place(result, workspace)


def summary(result: StageResult) -> list[RenderableType]:
    """What the terminal shows of a result: the table and one sentence."""
    metrics = result.metrics
    title = f"Test split: {metrics['n']} real images, {metrics['n_positive']} {metrics['positive']}"
    return [
        comparison_table(
            metrics["rows"], title, columns=shutil.get_terminal_size((100, 24)).columns
        ),
        metrics["sentence"],
        f"The page: {metrics['page']}",
    ]


def _with_place(result: StageResult, workspace: Workspace) -> StageResult:
    """The result and where its page lies today; a workspace may be moved."""
    page = {"page": str(workspace.report_dir / "report.html")}
    return result.model_copy(update={"metrics": result.metrics | page})


def _load(directory: Path, arm: str, index: Index) -> tuple[StageResult, Predictions]:
    result = read_result(directory)
    if result is None:
        raise MissingStage(
            "classify",
            f"The report compares two classifiers, but {directory} does not exist; run "
            f"`{_ARMS[arm]}` first.",
            cheap=False,
        )
    if result.inputs.get("index") != index.index_hash:
        raise IntegrityError(
            f"{directory} was trained on another split than today's index.csv; run "
            f"`{_ARMS[arm]} --force`."
        )
    path = directory / "predictions.csv"
    if not path.is_file() or fingerprint(path.read_bytes()) != result.metrics.get("predictions"):
        raise IntegrityError(
            f"{path} is missing or was changed after the test; run `{_ARMS[arm]} --force`."
        )
    return result, read_predictions(path)


def _refuse_unlike(arms: Arms) -> None:
    """Two classifiers say something of synthetic images only if nothing else differs."""
    (real, _), (synthetic, _) = arms["real"], arms["real+synthetic"]
    same = ("positive_class", "n_steps")
    unlike = difference(
        real.settings | {key: real.metrics[key] for key in same},
        synthetic.settings | {key: synthetic.metrics[key] for key in same},
    )
    if unlike:
        raise IntegrityError(
            f"Both classifiers should be trained alike, but with synthetic images {unlike}; train "
            "one again with `balancer classify --force`."
        )


def _refuse_stale(arms: Arms, quality: StageResult | None, images: str) -> None:
    if arms["real+synthetic"][0].inputs.get("synthetic") != images:
        raise IntegrityError(
            "The classifier with synthetic images was trained on others than stand in synthetic/ "
            f"today; run `{_ARMS['real+synthetic']}` again."
        )
    if quality is not None and quality.inputs.get("synthetic") != images:
        raise IntegrityError(
            "quality/ measured other images than stand in synthetic/ today; run "
            "`balancer quality` again."
        )


def _compare(config: BalancerConfig, arms: Arms, quality: StageResult | None) -> dict[str, Any]:
    (real, a), (synthetic, b) = arms["real"], arms["real+synthetic"]
    if a.image_ids != b.image_ids or a.class_names != b.class_names:
        raise IntegrityError(
            "Both arms should be tested on the same images, but their predictions.csv differ; run "
            "`balancer classify --force` and `balancer classify --with-synthetic --force`."
        )
    positive = a.class_names.index(real.metrics["positive_class"])
    differences = paired_differences(
        a.probabilities,
        real.metrics["threshold"],
        b.probabilities,
        synthetic.metrics["threshold"],
        a.labels,
        class_names=a.class_names,
        positive=positive,
        groups=a.groups,
        n_bootstrap=config.evaluation.bootstrap_samples,
        seed=config.seed,
    )
    rows = comparison_rows(real.metrics["test"], synthetic.metrics["test"], differences)
    return {
        "rows": rows,
        "sentence": _sentence(rows) + _gate_sentence(quality),
        "n": len(a.labels),
        "n_positive": int((a.labels == positive).sum()),
        "positive": a.class_names[positive],
    }


def _sentence(rows: Sequence[Mapping[str, Any]]) -> str:
    """What one run can say; more takes repeated splits, several seeds and controls.

    The first metric carries the answer; every other one whose interval excludes zero is named, so
    that neither a gain nor a loss hides behind it.
    """
    first = rows[0]
    if first["difference"]["value"] is None:
        return f"{first['metric']} is undefined here, so nothing can be said."
    said = f"{first['metric']} changed by {interval(first['difference'], sign=True)}"
    openings = {
        0: "The synthetic images did not measurably help",
        1: "With synthetic images the classifier did better in this run",
        -1: "With synthetic images the classifier did worse in this run",
    }
    others = {
        word: [row["metric"] for row in rows[1:] if _direction(row) == sign]
        for word, sign in (("better", 1), ("worse", -1))
    }
    also = "".join(
        f" Beyond the interval {word}: {', '.join(names)}."
        for word, names in others.items()
        if names
    )
    scope = (
        "This is one training run per arm, without a control that duplicates real images: the "
        "intervals speak of the test images alone, not of other splits or seeds."
    )
    return f"{openings[_direction(first)]}: {said}.{also} {scope}"


def _gate_sentence(quality: StageResult | None) -> str:
    if quality is None:
        return " The quality of the synthetic images was not measured."
    failed = {label: failures(entry["gate"]) for label, entry in quality.metrics["classes"].items()}
    return "".join(
        f" The synthetic images of {label} fail the quality gate ({', '.join(names)}), so this "
        "speaks of these images, not of what good ones would do."
        for label, names in failed.items()
        if names
    )


def _direction(row: Mapping[str, Any]) -> int:
    """1 where synthetic images did better beyond the interval, -1 where worse, 0 otherwise."""
    low, high = row["difference"]["low"], row["difference"]["high"]
    if low is None or low <= 0 <= high:
        return 0
    return int(np.sign(low)) * (-1 if row["metric"] == METRICS["ece"] else 1)


def _draw(arms: Arms, comparison: Mapping[str, Any], folder: Path) -> None:
    _, first = arms["real"]
    positive = first.class_names.index(comparison["positive"])
    scores = {arm: read.probabilities[:, positive] for arm, (_, read) in arms.items()}
    is_positive = np.asarray(first.labels == positive)
    save_roc(scores, is_positive, folder / "roc.png")
    save_precision_recall(scores, is_positive, folder / "precision-recall.png")
    defined = [
        {"metric": row["metric"], "difference": row["difference"]["value"]}
        | {end: row["difference"][end] for end in ("low", "high")}
        for row in comparison["rows"]
        if row["difference"]["low"] is not None
    ]
    save_differences(defined, folder / "differences.png")


def _write_rows(rows: list[dict[str, Any]], path: Path) -> None:
    names = ("real", "real+synthetic", "difference")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        ends = ("value", "low", "high")
        writer.writerow(["metric", *(f"{name} {end}" for name in names for end in ends)])
        for row in rows:
            writer.writerow([row["metric"], *(row[name][end] for name in names for end in ends)])


def _copy_pictures(workspace: Workspace, folder: Path) -> None:
    try:
        _copy(workspace, folder)
    except FileNotFoundError as error:
        raise IntegrityError(
            f"{error.filename} should stand where a stage wrote it, but is missing; run that stage "
            "again with --force."
        ) from None


def _copy(workspace: Workspace, folder: Path) -> None:
    for picture in sorted(workspace.quality_dir.glob("*.png")):
        shutil.copy(picture, folder / picture.name)
    for arm, prefix in (("real", "real"), ("real+synthetic", "with-synthetic")):
        for name in ("confusion", "learning-curves"):
            shutil.copy(
                workspace.classify_dir(arm) / f"{name}.png", folder / f"{prefix}-{name}.png"
            )
    for name in ("losses", "selection"):
        for picture in sorted(workspace.root.glob(f"gan/*/{name}.png")):
            shutil.copy(picture, folder / f"{name}-{picture.parent.name}.png")
