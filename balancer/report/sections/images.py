"""The images themselves: real and synthetic side by side, and what the quality gate says."""

from collections.abc import Iterator, Mapping
from typing import Any

from balancer.drawing.wording import number
from balancer.report.blocks import Block, Figure, Folded, Heading, Paragraph, Section, Table
from balancer.report.records import ReportRecords

_NOT_ASKED = "not asked"
_GATE = {
    True: "passes the gate",
    None: "fails nothing, but not everything could be asked",
    False: "fails the gate",
}


def images_section(material: ReportRecords) -> Section:
    """Pictures and gate of each class that has synthetic images."""
    blocks: list[Block] = []
    folds = (material.ablation or {}).get("metrics", {}).get("quality") or {}
    if material.fold_quality is not None:
        blocks.append(Paragraph(
            f"Every split has generators of its own; these are the images of {material.fold}, the "
            "first."))  # fmt: skip
        for label, entry in material.fold_quality["metrics"]["classes"].items():
            blocks += _class(material, label, entry, "split-")
    if folds:
        blocks += [Heading("Generators of all splits"), _folds(folds)]
    if material.quality is not None:
        own = [
            block
            for label, entry in material.quality["metrics"]["classes"].items()
            for block in _class(material, label, entry, "")
        ]
        blocks += (
            own if material.fold_quality is None
            else [Folded("Images made for the two classifiers below", own)]
        )  # fmt: skip
    if not blocks:
        blocks.append(Paragraph(
            "The quality of synthetic images was not measured in this workspace; "
            "`balancer quality` does it.", "warning"))  # fmt: skip
    blocks += _training(material)
    return Section("images", "Real and synthetic images", blocks)


def _class(
    material: ReportRecords, label: str, entry: Mapping[str, Any], prefix: str
) -> Iterator[Block]:
    def named(name: str) -> str:
        return f"{prefix}{name}-{label}"

    yield Heading(f"{label}: {_GATE[entry['gate']['passed']]}")
    if material.has_picture(named("beside")):
        yield Figure(
            named("beside"), f"Real training images left, synthetic ones right, of {label}.",
            f"Real training images (left) and synthetic ones (right): {label}", kind="pixels",
        )  # fmt: skip
    yield _gate(entry["gate"]["checks"])
    yield _others(label, entry)
    if material.has_picture(named("closest")):
        yield Figure(
            named("closest"),
            f"The synthetic images of {label} most like a training image, each above that image.",
            f"Closest pairs of a synthetic and a training image: {label}", kind="wide",
        )  # fmt: skip
    folded: list[Block] = [_distances(entry["against"])]
    folded += [
        Figure(name, f"Main axes of the features ({space}) of real and synthetic images.",
               f"Features of real and synthetic images, {space}: {label}")
        for space in entry["memorization"]["distance"]
        if material.has_picture(name := named(f"map-{space}"))
    ]  # fmt: skip
    if material.has_picture(named("interpolation")):
        folded.append(Figure(
            named("interpolation"), f"Images between pairs of latent vectors, {label}.",
            f"From latent to latent, row by row: {label}", kind="pixels"))  # fmt: skip
    yield Folded(f"Distances and features: {label}", folded)


def _gate(checks: Any) -> Table:
    words = {True: "pass", False: "fail", None: _NOT_ASKED}
    rows = [[check["name"], words[check["passed"]], check["sentence"]] for check in checks]
    return Table("Quality gate", ["check", "answer", "what was found"], rows, text_columns=(1, 2),
                 word_column=1)  # fmt: skip


def _distances(against: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    rows = []
    for reference, metrics in against.items():
        for name, metric in metrics.items():
            arrow = "↓" if metric["better"] == "lower" else "↑"
            rows.append([f"{name} {arrow}", reference, _value(metric), *_same_n(metric["same_n"])])
    return Table(
        "Synthetic beside real images in their place",
        ["metric", "reference", "value", "at n", "synthetic", "real (floor)", "ratio"], rows,
        text_columns=(1,),
        note="↓ lower is closer, ↑ higher is better. Compare a value only with that of real images "
        "in place of the synthetic ones, at the same n: training images against training images, "
        "or training against validation images.",
    )  # fmt: skip


def _value(metric: Mapping[str, Any]) -> str:
    text = f"{metric['value']:.3f}"
    if "interval" in metric:
        low, high = metric["interval"]
        text += f" ({low:.3f} to {high:.3f})"
    if metric.get("infinity") is not None:
        text += f", {metric['infinity']:.3f} at infinite n"
    if not metric.get("reliable", True):
        text += f", not reliable at n = {min(metric['n_fake'], metric['n_reference'])}"
    return text


def _same_n(found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield from "----"
        return
    yield str(found["n"])
    yield number(found["value"])
    yield number(found["real_against_real"])
    yield "-" if found["ratio"] is None else f"{found['ratio']:.2f}"


def _others(label: str, entry: Mapping[str, Any]) -> Table:
    return Table("Copies, tells and diversity", ["figure", "synthetic", "real"],
                 list(_figures(label, entry)))  # fmt: skip


def _figures(label: str, entry: Mapping[str, Any]) -> Iterator[list[str]]:
    memorization, tells, useful = entry["memorization"], entry["tells"], entry["usefulness"]
    copies = memorization["near_copies"]
    yield ["near copies of training images (real: held-out images)",
           number(copies["generated"]), number(copies["held_out"])]  # fmt: skip
    for space, distance in memorization["distance"].items():
        yield [f"distance to training images, {space}, over that of held-out images",
               number(distance["generated"]), number(distance["held_out"])]  # fmt: skip
        yield [f"closer to training than to held-out images, {space} (honest: 0.5)",
               number(distance["closer_to_training"]), "-"]  # fmt: skip
    for key, title in (
        ("features", "told from real by features, AUROC"),
        ("trivial_statistics", "told from real by grey levels, borders and sharpness, AUROC"),
    ):
        if tells[key]:
            floor = tells[key]["real_against_real"]
            yield [title, number(tells[key]["value"]),
                   "-" if floor is None else number(floor["value"])]  # fmt: skip
    similar = entry["diversity"]["ms_ssim"]
    if similar:
        yield [f"mean MS-SSIM of pairs (lower is more diverse), {similar['ratio']:.2f} of real",
               number(similar["generated"]), number(similar["real"])]  # fmt: skip
    if entry["membership"]:
        yield ["training images told from validation images by the discriminator, AUROC "
               "(private: 0.5)", number(entry["membership"]["auroc"]), "-"]  # fmt: skip
    yield [
        f"probe trained on real, or with synthetic {label} in its place; balanced accuracy on real "
        "validation images",
        number(useful["train_synthetic_test_real"]["balanced_accuracy"]),
        number(useful["train_real_test_real"]["balanced_accuracy"]),
    ]


def _folds(folds: Mapping[str, Mapping[str, Any]]) -> Table:
    words = {True: "pass", False: "fail", None: _NOT_ASKED}
    rows = [
        [fold, label, words[entry["passed"]], ", ".join(entry["failures"]) or "-"]
        for fold, classes in folds.items()
        for label, entry in classes.items()
    ]
    return Table("Quality gate of the images of every split",
                 ["split", "class", "answer", "failed checks"], rows, text_columns=(1, 2, 3),
                 word_column=2)  # fmt: skip


def _training(material: ReportRecords) -> Iterator[Block]:
    figures: list[Block] = []
    for prefix, what in (("losses", "Losses"), ("selection", "Snapshots, against validation")):
        for path in sorted(material.folder.glob(f"{prefix}-*.png")):
            label = path.stem.removeprefix(f"{prefix}-")
            figures.append(Figure(path.stem, f"{what} of the GAN of {label} over its training.",
                                  f"{what} of the GAN: {label}"))  # fmt: skip
    if figures:
        yield Folded("How the generators were trained", figures)
