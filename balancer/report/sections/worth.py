"""The worth of every arm in real images of the rare class, read off a learning curve."""

from balancer.ablation.frozen_records import ArmWorth, Worth
from balancer.drawing.wording import scalar
from balancer.report.blocks import Block, Figure, Folded, Paragraph, Section, Table
from balancer.report.records import ReportRecords, Study


def worth_section(records: ReportRecords, study: Study) -> Section | None:
    """Show the curve and the arms on it; None where it was not measured."""
    worth = study.metrics.worth
    if worth is None:
        return None
    blocks: list[Block] = [Paragraph(worth.sentence, "strong")]
    if records.has_picture("worth"):
        blocks.append(_figure(worth))
    rows = [
        [name, arm.word, scalar(arm.difference, sign=True), _number(arm.value), _interval(arm),
         "-" if arm.truth is None else f"{arm.truth:.0f}"]
        for name, arm in worth.arms.items()
    ]  # fmt: skip
    blocks += [
        Table(
            f"Worth of every arm in more real images of {worth.label}",
            ["arm", "answer", f"difference in {worth.primary_title} to real", "images",
             "95 % interval", "truth"],
            rows, text_columns=(1,),
            note="Truth: the number of further real images that the arm has, where it has some.",
        ),
        *([Paragraph(worth.self_test)] if worth.self_test else []),
        *_elsewhere(study),
        Paragraph(_how_to_read(worth), "note"),
        Folded("The curve in numbers", [_points(worth)]),
    ]  # fmt: skip
    return Section("worth", "Worth in real images", blocks)


def _elsewhere(study: Study) -> list[Block]:
    name = study.question.verdict_on
    if name is None:
        return []
    text = (
        f"The curve is of the test splits, unlike the verdicts, which are of the images of {name}."
    )
    return [Paragraph(text, "note")]


def _figure(worth: Worth) -> Figure:
    points = "; ".join(f"{point.n:.0f}: {point.mean:.3f}" for point in worth.curve)
    arms = "; ".join(f"{name} {arm.sentence}" for name, arm in worth.arms.items())
    return Figure(
        "worth",
        f"{worth.primary_title} over the number of real images of {worth.label}. {points}. {arms}.",
        f"{worth.primary_title} over the number of real training images of {worth.label}: means "
        f"over {worth.n_splits} splits, fitted curve and 95 % band. Each arm is dropped from the "
        "curve to the axis, with its 95 % interval; arrows: the curve does not reach further.",
        kind="wide",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{round(value):+d}"


def _interval(arm: ArmWorth) -> str:
    if arm.word == "nothing to gain":
        return "-"
    low = "below the curve" if arm.low is None else f"{round(arm.low):+d}"
    high = "beyond the curve" if arm.high is None else f"{round(arm.high):+d}"
    return arm.word if arm.word in ("beyond the curve", "below the curve") else f"{low} to {high}"


def _how_to_read(worth: Worth) -> str:
    return (
        f"Every arm has {worth.base:.0f} real images of {worth.label}; the curve reaches "
        f"{worth.reach:.0f}, with nested subsets, the same budget of training and the same test "
        "images, and is not extended. Intervals draw the curve and the arm together from the "
        "splits, and allow for their overlap (Nadeau and Bengio 2003). After the exchange rates of "
        "Geiping 2023 and Wang 2025, and the effective data of Hernandez 2021. The largest "
        f"distance of a mean from the curve is {worth.misfit:.4f}."
    )


def _points(worth: Worth) -> Table:
    rows = [
        [f"{point.n:.0f}", f"{point.mean:.4f}", f"{point.fitted:.4f}",
         f"{point.low:.4f} to {point.high:.4f}"]
        for point in worth.curve
    ]  # fmt: skip
    columns = ["real images", "mean", "curve", "95 % interval of the curve"]
    return Table(f"{worth.primary_title} by number of images", columns, rows)
