"""Real and synthetic images side by side, and the verdict of the quality gate."""

from collections.abc import Callable, Iterator, Mapping

from balancer.ablation.families.arm import slug_of
from balancer.ablation.records import AblateMetrics, Gates
from balancer.drawing.wording import number
from balancer.quality.choice import choice_sentence
from balancer.quality.figures import Distance, SameN
from balancer.quality.records import ClassQuality, GateResult
from balancer.quality.spread import Spreads
from balancer.quality.summary import map_name, spread_rows, title_of, value_of
from balancer.report.blocks import Block, Figure, Folded, Heading, Paragraph, Section, Table
from balancer.report.records import ReportRecords

_NOT_TOLD = "cannot be told"
_GATE = {
    True: "passes the gate",
    None: "fails nothing, but not everything can be told",
    False: "fails the gate",
}


def images_section(material: ReportRecords) -> Section:
    """Compose the pictures and the gate of each class that has synthetic images."""
    blocks: list[Block] = []
    study = None if material.ablation is None else material.ablation.metrics
    if material.fold is not None:
        blocks.append(Paragraph(
            f"Every split has generators of its own; these are the images of {material.fold}, the "
            "first."))  # fmt: skip
    if material.fold_quality is not None:
        for label, quality in material.fold_quality.metrics.classes.items():
            blocks += class_blocks(material.has_picture, label, quality, "split-")
    for arm, measured in material.outside_quality.items():
        for label, found in measured.metrics.classes.items():
            prefix = f"split-{slug_of(arm)}-"
            blocks += class_blocks(material.has_picture, label, found, prefix, source=arm)
    if study is not None and (study.quality or study.outside_quality):
        blocks += [Heading("Generators of all splits"), _folds(study)]
    if material.quality is not None:
        own = [
            block
            for label, quality in material.quality.metrics.classes.items()
            for block in class_blocks(material.has_picture, label, quality, "")
        ]
        blocks += (
            own if material.fold is None
            else [Folded("Images made for the two classifiers below", own)]
        )  # fmt: skip
    if not blocks:
        blocks.append(Paragraph(
            "The quality of synthetic images was not measured in this workspace; "
            "`balancer quality` does it.", "warning"))  # fmt: skip
    blocks += _training(material)
    return Section("images", "Real and synthetic images", blocks)


def class_blocks(
    has_picture: Callable[[str], bool],
    label: str,
    quality: ClassQuality,
    prefix: str,
    *,
    source: str = "",
) -> Iterator[Block]:
    """Compose the pictures, the gate and the figures of one class.

    Args:
        has_picture: Tests whether the folder of the report has a picture of this name.
        label: The class.
        quality: Its entry in the result of `balancer quality`.
        prefix: Prefix of the names of its pictures.
        source: Arm of the images; empty where there is one source.
    """

    def named(name: str) -> str:
        return f"{prefix}{name}-{label}"

    of = f"{label} of {source}" if source else label
    yield Heading(f"{of}: {_GATE[quality.gate.passed]}")
    if has_picture(named("beside")):
        yield Figure(
            named("beside"), f"Real training images left, synthetic ones right, of {label}.",
            f"Real training images (left) and synthetic ones (right): {label}", kind="pixels",
        )  # fmt: skip
    yield _gate(quality.gate)
    yield _others(label, quality)
    if quality.spread is not None:
        yield _spread(quality.spread)
    if has_picture(named("closest")):
        yield Figure(
            named("closest"),
            f"The synthetic images of {label} most like a training image, each above that image.",
            f"Closest pairs of a synthetic and a training image: {label}", kind="wide",
        )  # fmt: skip
    sentence = choice_sentence(quality.chosen_by, quality.main)
    if sentence is not None:
        yield Paragraph(sentence, "note")
    folded: list[Block] = [_distances(quality.against, sentence)]
    folded += [
        Figure(name, f"Main axes of the features ({space}) of real and synthetic images.",
               f"Features of real and synthetic images, {_marked(space, quality)}: {label}")
        for space in quality.memorization.distance
        if has_picture(name := named(map_name(space)))
    ]  # fmt: skip
    if has_picture(named("interpolation")):
        folded.append(Figure(
            named("interpolation"), f"Images between pairs of latent vectors, {label}.",
            f"From latent to latent, row by row: {label}", kind="pixels"))  # fmt: skip
    yield Folded(f"Distances and features: {label}", folded)


def _gate(gate: GateResult) -> Table:
    words = {True: "pass", False: "fail", None: _NOT_TOLD}
    rows = [[answer.name, words[answer.passed], answer.sentence] for answer in gate.checks]
    return Table("Quality gate", ["check", "answer", "what was found"], rows, text_columns=(1, 2),
                 word_column=1)  # fmt: skip


def _marked(space: str, quality: ClassQuality) -> str:
    return f"{space} *" if space in quality.chosen_by else space


def _distances(against: Mapping[str, Mapping[str, Distance]], sentence: str | None) -> Table:
    rows = [
        [title_of(name, distance), reference, value_of(distance), *_same_n(distance.same_n)]
        for reference, metrics in against.items()
        for name, distance in metrics.items()
    ]
    return Table(
        "Synthetic beside real images in their place",
        ["metric", "reference", "value", "at n", "synthetic", "real (floor)", "ratio"], rows,
        text_columns=(1,),
        note="↓ lower is closer, ↑ higher is better. Compare a value only with that of real images "
        "in place of the synthetic ones, at the same n: training images against training images, "
        f"or training against validation images.{f' {sentence}' if sentence else ''}",
    )  # fmt: skip


def _same_n(found: SameN | None) -> Iterator[str]:
    if found is None:
        yield from "----"
        return
    yield str(found.n)
    yield number(found.value)
    yield number(found.real_against_real)
    yield "-" if found.ratio is None else f"{found.ratio:.2f}"


def _others(label: str, quality: ClassQuality) -> Table:
    return Table("Copies, tells and diversity", ["figure", "synthetic", "real"],
                 list(_figures(label, quality)))  # fmt: skip


def _figures(label: str, quality: ClassQuality) -> Iterator[list[str]]:
    copies = quality.memorization.near_copies
    yield ["near copies of training images (real: held-out images)",
           number(copies.generated), number(copies.held_out)]  # fmt: skip
    for space, distance in quality.memorization.distance.items():
        space = _marked(space, quality)
        yield [f"distance to training images, {space}, over that of held-out images",
               number(distance.generated), number(distance.held_out)]  # fmt: skip
        yield [f"closer to training than to held-out images, {space} (honest: 0.5)",
               number(distance.closer_to_training), "-"]  # fmt: skip
    for tell, title in (
        (quality.tells.features, "separated from real by features, AUROC"),
        (quality.tells.trivial_statistics,
         "separated from real by grey levels, borders and sharpness, AUROC"),
    ):  # fmt: skip
        if tell is not None:
            floor = tell.real_against_real
            yield [title, number(tell.value), "-" if floor is None else number(floor.value)]
    similar = quality.diversity.ms_ssim
    if similar is not None:
        yield [f"mean MS-SSIM of pairs (lower is more diverse), {similar.ratio:.2f} of real",
               number(similar.generated), number(similar.real)]  # fmt: skip
    registered = quality.diversity.registered
    if registered is not None:
        yield [f"the same of registered images, {registered.ratio:.2f} of real",
               number(registered.generated), number(registered.real)]  # fmt: skip
    if quality.membership is not None:
        yield ["training images separated from validation images by the discriminator, AUROC "
               "(private: 0.5)", number(quality.membership.auroc), "-"]  # fmt: skip
    useful = quality.usefulness
    if useful is not None:
        yield [
            f"probe trained on real, or with synthetic {label} in its place; balanced accuracy on "
            "real validation images",
            number(useful.train_synthetic_test_real.balanced_accuracy),
            number(useful.train_real_test_real.balanced_accuracy),
        ]


def _spread(spreads: Spreads) -> Table:
    return Table(
        f"Place and exposure, over {spreads.n} images of each kind",
        ["standard deviation of", "synthetic", "real", "ratio (95 % interval)"],
        list(spread_rows(spreads)),
        note="1 is as real images vary; near 0, all images have one place, size or exposure. "
        "Place and size are found by registration to the mean real image.",
    )


def _folds(study: AblateMetrics) -> Table:
    words = {True: "pass", False: "fail", None: _NOT_TOLD}
    sources: dict[str, Gates] = {"our GAN": study.quality, **study.outside_quality}
    rows = [
        [fold, source, label, words[entry.passed], ", ".join(entry.failures) or "-"]
        for source, folds in sources.items()
        for fold, classes in folds.items()
        for label, entry in classes.items()
    ]
    return Table("Quality gate of the images of every split",
                 ["split", "images of", "class", "answer", "failed checks"], rows,
                 text_columns=(1, 2, 3, 4), word_column=3)  # fmt: skip


def _training(material: ReportRecords) -> Iterator[Block]:
    figures: list[Block] = []
    for prefix, what in (("losses", "Losses"), ("selection", "Snapshots, against validation")):
        for path in sorted(material.folder.glob(f"{prefix}-*.png")):
            label = path.stem.removeprefix(f"{prefix}-")
            figures.append(Figure(path.stem, f"{what} of the GAN of {label} over its training.",
                                  f"{what} of the GAN: {label}"))  # fmt: skip
    if figures:
        yield Folded("How the generators were trained", figures)
