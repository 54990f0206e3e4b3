"""The arms in numbers: tables of metrics, differences and verdicts, and the positive control."""

from collections.abc import Iterator

from balancer.ablation.arm_records import ArmResult, ArmVerdict, ReferenceVerdict
from balancer.ablation.elsewhere_records import ExternalResult
from balancer.ablation.headline import shown_difference
from balancer.ablation.runs import REAL
from balancer.drawing.inks import KINDS
from balancer.drawing.numbers import HasReason
from balancer.drawing.wording import TITLES, WORDS, number, probability, reasons, scalar
from balancer.report.blocks import Block, Bullets, Folded, Heading, Paragraph, Section, Table
from balancer.report.records import Study
from balancer.statistics.verdict import REFERENCE

_AT_SPECIFICITY = "sensitivity_at_specificity"


def arms_section(study: Study) -> Section:
    """Describe every arm, its results and its verdict."""
    return Section("arms", "The arms", [
        _main_table(study),
        _second_table(study),
        *_at_home(study),
        Paragraph(_how_to_read(study), "note"),
        Heading("What each arm is"),
        Bullets([f"{name}: {arm.describes}" for name, arm in study.arms.items()]),
        Heading("Verdicts"),
        _verdicts(study),
        Bullets([f"{name}: {arm.verdict.sentence}" for name, arm in study.arms.items()
                 if arm.verdict.word != REFERENCE]),
        *_negative_controls(study),
        Paragraph("The words: " + "; ".join(f"{w}: {what}" for w, what in WORDS.items()) + ".",
                  "note"),
        Folded("Every metric of every arm", list(_metric_tables(study))),
    ])  # fmt: skip


def _at_home(study: Study) -> list[Block]:
    """Show the test splits beside another data set that carries the verdict."""
    key = study.primary
    rows = [
        [name, str(arm.n_runs), scalar(arm.metrics.get(key)),
         "-" if arm.difference_to_real is None
         else scalar(arm.difference_to_real.get(key), sign=True)]
        for name, arm in study.metrics.home.items()
    ]  # fmt: skip
    if not rows:
        return []
    columns = ["arm", "runs", study.title, "difference to real"]
    note = f"No verdict is about these; it is about the images of {study.question.verdict_on}."
    return [Table(f"At home, on the test splits: {study.title}", columns, rows, note=note)]


def control_section(study: Study) -> Section | None:
    """Show the gain from held-back real images; None without that arm."""
    control = study.metrics.control
    if control is None:
        return None
    rows = [
        [control.arm, "real images that no other arm had, each repeated",
         scalar(control.bought, sign=True)],
        [control.gan_arm, "images of the generator", scalar(control.gan_bought, sign=True)],
    ]  # fmt: skip
    held_back = {} if study.design is None else study.design.held_back
    kept = ", ".join(f"{n} of {label}" for label, n in held_back.items())
    note = f"Held back from every other arm, mean over the splits: {kept}." if kept else ""
    columns = ["arm", "what was added", f"difference in {study.title} to real"]
    return Section("control", "What real images would have added", [
        Paragraph(control.sentence, "strong"),
        Table("The positive control beside the generator", columns, rows, text_columns=(1,),
              note=note),
        Paragraph(
            "If even real images bring no measurable gain, no generator could have been shown to "
            "help with this many cases and runs.", "note",
        ),
    ])  # fmt: skip


def _main_table(study: Study) -> Table:
    """Compare the arms in the primary metric."""
    columns = ["arm", "verdict", study.title, "difference to real", "p (Holm)",
               "difference to repeated real images"]  # fmt: skip
    rows = []
    scalars: list[tuple[str, HasReason | None]] = []
    for name, arm in study.arms.items():
        to_real, metrics = study.difference(name, REAL), arm.metrics
        scalars += [(name, found) for found in (metrics.get(study.primary), to_real) if found]
        rows.append([
            name, arm.verdict.word, scalar(metrics.get(study.primary)),
            "-" if to_real is None else scalar(to_real, sign=True),
            "-" if to_real is None else probability(to_real.p_holm),
            _to_repeated(study, name),
        ])  # fmt: skip
    return Table(f"{study.title} of every arm{_where(study)}", columns, rows, text_columns=(1,),
                 word_column=1, note=reasons(scalars))  # fmt: skip


def _where(study: Study) -> str:
    asked = study.question
    elsewhere = f" on the {asked.verdict_images} images of {asked.verdict_on}"
    return "" if asked.verdict_on is None else elsewhere


def _second_table(study: Study) -> Table:
    """Compare the arms in what else matters: operating point, probabilities, other data, cost."""
    specificity, main = study.question.specificity, study.question.verdict_on
    external = {name: found for name, found in study.metrics.external.items() if name != main}
    columns = [
        "arm", "kind", f"sensitivity at specificity {specificity:g}",
        *_co_primary_columns(study), *(f"{study.title} on {name}" for name in external),
        "minutes per split, images included",
    ]  # fmt: skip
    rows = [
        [
            name, KINDS[arm.kind][2], scalar(arm.metrics.get(_AT_SPECIFICITY)),
            *_co_primary_cells(study, name),
            *(scalar(_external(found, name, study.primary)) for found in external.values()),
            _minutes(arm),
        ]
        for name, arm in study.arms.items()
    ]  # fmt: skip
    return Table("Operating point, probabilities and cost", columns, rows, text_columns=(1,))


def _co_primary_columns(study: Study) -> list[str]:
    key = study.question.co_primary
    return [] if key is None else [f"{study.titles[key]}, difference to real", "its p (Holm)"]


def _co_primary_cells(study: Study, name: str) -> list[str]:
    key = study.question.co_primary
    if key is None:
        return []
    found = study.difference(name, REAL, key)
    if found is None:
        return ["-", "-"]
    return [scalar(found, sign=True), probability(found.p_holm)]


def _minutes(arm: ArmResult) -> str:
    """Return the minutes of a split; early versions know the training of the classifier alone."""
    if arm.minutes_per_split is None and arm.minutes is not None:
        return f"{arm.minutes:.1f} without the images"
    return number(arm.minutes_per_split, ".1f")


def _to_repeated(study: Study, name: str) -> str:
    repeated = study.repeated(name)
    if repeated is None:
        return "-"
    text = scalar(study.difference(name, repeated), sign=True)
    # With several ratios, several arms repeat images, and the one is named.
    several = [other for other in study.references if other != REAL]
    return f"{text} ({repeated})" if len(several) > 1 else text


def _external(found: ExternalResult, arm: str, key: str) -> HasReason | None:
    return found.arms[arm].metrics.get(key) if arm in found.arms else None


def _how_to_read(study: Study) -> str:
    prior = study.question.deployment_prior
    shares = ", ".join(f"{label} {share:.3f}" for label, share in prior.items())
    return (
        "Mean over the runs, in brackets its 95 % interval (Nadeau-Bengio, which allows for "
        "overlapping training sets); differences are paired by split and seed; p is two-sided, "
        "corrected by Holm over the arms that are no controls. An interval that excludes zero can "
        "go with “inconclusive”: claims are corrected for the number of arms, intervals are not. "
        "Of a log loss less is better. "
        "Thresholds come from validation images, never from test images."
        f" Class shares assumed for use: {shares}."
    )


def _verdicts(study: Study) -> Table:
    capped, margin = bool(study.metrics.caps), study.question.margin
    rows = []
    for name, arm in study.arms.items():
        verdict = arm.verdict
        without_cap = "-" if verdict.uncapped == verdict.word else verdict.uncapped
        rows.append([
            name, verdict.word, *([without_cap] if capped else []),
            "-" if verdict.p_holm is None else probability(verdict.p_holm),
            shown_difference(verdict), *_shares(verdict), _ROLES[_role(verdict)],
        ])  # fmt: skip
    columns = [
        "arm",
        "verdict",
        *(["without the cap"] if capped else []),
        "p of the claim (Holm)",
        "could have shown",
        f"better by > {margin:g}",
        f"within {margin:g}",
        f"worse by > {margin:g}",
        "place in the order of tests",
    ]
    return Table(
        f"Verdicts on {study.title}", columns, rows,
        text_columns=(1, 2, len(columns) - 1) if capped else (1, len(columns) - 1), word_column=1,
        note="“Could have shown”: the smallest difference to real (of generated images: to real "
        "and to repeated real images at once) that this many cases and splits find with 80 % "
        "power, and its 95 % interval, since few splits say little of their own spread. The p of a "
        "claim is one-sided. Better, within, worse: probability of each for the true difference to "
        "real (Bayesian correlated t, Benavoli 2017). The first generator is tested first, alone.",
    )  # fmt: skip


_ROLES = {
    "main": "main question",
    "after": "after the main question",
    "exploratory": "exploratory",
    "control": "control",
    None: "-",
}


def _role(verdict: ArmVerdict | ReferenceVerdict) -> str | None:
    return None if isinstance(verdict, ReferenceVerdict) else verdict.role


def _shares(verdict: ArmVerdict | ReferenceVerdict) -> list[str]:
    found = None if isinstance(verdict, ReferenceVerdict) else verdict.shares
    if found is None:
        return ["-"] * 3
    return [f"{share:.2f}" for share in (found.better, found.within, found.worse)]


def _negative_controls(study: Study) -> Iterator[Block]:
    """Compare each generator with the controls that must not help; nothing without any."""
    rows = [
        [name, control, scalar(difference, sign=True)]
        for name, arm in study.arms.items()
        if isinstance(arm.verdict, ArmVerdict)
        for control, difference in arm.verdict.to_controls.items()
    ]
    if rows:
        yield Table(
            f"Generators against the controls that must not help, difference in {study.title}",
            ["arm", "control", "arm minus control"], rows, text_columns=(1,),
            note="Images of a generator help only if they beat each of them, by the same test.",
        )  # fmt: skip


def _metric_tables(study: Study) -> Iterator[Block]:
    keys = [key for key in TITLES if any(key in arm.metrics for arm in study.arms.values())]
    titles = [study.titles[key] for key in keys]
    rows = [
        [name, *(scalar(arm.metrics.get(key)) for key in keys)] for name, arm in study.arms.items()
    ]
    why = reasons(
        (f"{name}, {study.titles[key]}", arm.metrics.get(key))
        for name, arm in study.arms.items()
        for key in keys
    )
    yield Table("Metrics of every arm, mean over the runs", ["arm", *titles], rows, note=why)
    for reference in study.references:
        yield _differences(study, reference)


def _differences(study: Study, reference: str) -> Table:
    names = [name for name, arm in study.arms.items() if reference in arm.against]
    known = {key for name in names for key in study.arms[name].against[reference].metrics}
    keys = [key for key in TITLES if key in known]
    rows = []
    for name in names:
        cells = [name]
        for key in keys:
            found = study.difference(name, reference, key)
            p = "" if found is None else f"; p {probability(found.p_holm)}"
            cells.append(scalar(found, sign=True) + p)
        rows.append(cells)
    return Table(
        f"Differences to {reference}", ["arm", *(study.titles[key] for key in keys)], rows,
        note="p: two-sided, Nadeau-Bengio, corrected by Holm over the arms that are no controls, "
        "each metric on its own. Brier score and log loss: lower is better.",
    )  # fmt: skip
