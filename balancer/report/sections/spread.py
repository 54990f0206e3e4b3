"""Both sources of variance, tests within runs, every run, and class balance."""

from collections.abc import Iterator, Mapping

from balancer.ablation.arm_records import DeLongOfRuns, McNemarOfRuns, RunScores, UndefinedDeLong
from balancer.ablation.records import MeanImages
from balancer.drawing.wording import cell, number, probability, scalar
from balancer.report.blocks import Block, Figure, Folded, Heading, Paragraph, Section, Table
from balancer.report.records import Pictures, Study


def variance_section(pictures: Pictures, study: Study) -> Section:
    """Show the spread of runs and of test cases, DeLong, McNemar, and a row per run."""
    blocks: list[Block] = [Paragraph(_how_often(study))]
    if pictures.has_picture("variance"):
        blocks.append(Figure(
            "variance",
            f"{study.title} of every run of every arm; lines join the runs of one split and seed. "
            "The table of runs has the same numbers.",
            "Each dot is a run, each line one split and seed: arms are compared along the lines, "
            "so an easy split helps all of them equally.", kind="wide",
        ))  # fmt: skip
    blocks.append(_sources(study))
    for reference in study.references:
        blocks.append(_tests(study, reference))
    failed = study.metrics.failed
    if failed:
        columns = ["arm", "split", "seed", "reason"]
        rows = [[run.arm, run.fold, str(run.seed), run.reason] for run in failed]
        blocks += [Heading("Runs that failed"),
                   Table("Not in any figure", columns, rows, text_columns=(1, 2, 3))]  # fmt: skip
    blocks.append(Folded("Every run", [_runs(study)]))
    return Section("variance", "Two sources of variance", blocks)


def balance_section(pictures: Pictures, study: Study) -> Section | None:
    """Show training images before and after, per arm; None where they were not recorded."""
    design = study.design
    if design is None or not design.before:
        return None
    before, after = design.before, design.after
    labels = list(before)
    rows = [["before", *(f"{before[label]:g}" for label in labels), _ratio(before)]]
    rows += [
        [arm, *(f"{counts.get(label, 0):g}" for label in labels), _ratio(counts)]
        for arm, counts in after.items()
        if counts
    ]
    blocks: list[Block] = []
    if pictures.has_picture("balance"):
        counts_of_rows = "; ".join(f"{row[0]}: {', '.join(row[1:-1])}" for row in rows)
        blocks.append(Figure(
            "balance", f"Training images of {', '.join(labels)}. {counts_of_rows}.",
            "Training images, mean over the splits. Arms that weigh the loss, or the order of the "
            "images, do not change the counts.", kind="wide",
        ))  # fmt: skip
    blocks.append(Table("Training images before and after", ["arm", *labels, "largest : smallest"],
                        rows))  # fmt: skip
    blocks.append(Folded("Real and added images of each arm", [_added(design.training_images)]))
    return Section("balance", "Class balance before and after", blocks)


def _how_often(study: Study) -> str:
    design = study.design
    if design is None:
        return "How the images were split was not recorded."
    is_random = design.resampling == "splits"
    kind = "repeated random splits" if is_random else "repeated cross-validation"
    folds = f" of {design.folds} folds" if design.folds else ""
    seeds = "one training" if design.seeds == 1 else f"{design.seeds} trainings"
    return (
        f"{design.n_runs} runs per arm: {kind}{folds}, {design.repeats} times, {seeds} each; "
        f"{design.n_train} training, {design.n_val} validation, {design.n_test} test images on "
        "average. Groups are never divided, and the generators of a split are trained on its own "
        "training part alone."
    )


def _sources(study: Study) -> Table:
    rows = []
    for name, arm in study.arms.items():
        level = arm.metrics[study.primary]
        rows.append([name, str(arm.n_runs), scalar(level), number(level.sd_runs, ".4f"),
                     number(level.sd_cases, ".4f")])  # fmt: skip
    columns = ["arm", "runs", study.title, "SD between runs", "SD of the test cases"]
    return Table(
        "Where the spread comes from", columns, rows,
        note="Between runs: splits, seeds and generators change together. Test cases: the effect "
        "of other test patients alone, by bootstrap within a run.",
    )  # fmt: skip


def _tests(study: Study, reference: str) -> Table:
    columns = [
        "arm", "difference (Nadeau-Bengio)", "p, two-sided", "test cases alone",
        "DeLong: median p", "significant runs", "DeLong, combined p", "McNemar: median p",
        "only the arm right", f"only {reference} right",
    ]  # fmt: skip
    rows: list[list[str]] = []
    notes: list[str] = []
    for name, arm in study.arms.items():
        if reference not in arm.against:
            continue
        tests = arm.against[reference]
        difference = tests.metrics[study.primary]
        low, high = difference.bootstrap.low, difference.bootstrap.high
        rows.append([
            name, scalar(difference, sign=True), probability(difference.p),
            "undefined" if low is None or high is None else f"{low:+z.3f} to {high:+z.3f}",
            *_delong(tests.delong), *_mcnemar(tests.mcnemar),
        ])  # fmt: skip
        if isinstance(tests.delong, UndefinedDeLong):
            notes.append(tests.delong.reason)
        if tests.mcnemar.reason:
            notes.append(tests.mcnemar.reason)
    why = "".join(f" Undefined: {reason}." for reason in dict.fromkeys(notes))
    return Table(
        f"Tests against {reference}, {study.title} and errors", columns, rows,
        note="Test cases alone: bootstrap of whole groups, with the trainings as they are; it is "
        "narrower than the interval, and no test of the arm. DeLong and McNemar use the test cases "
        "of one run at a time. They ignore other trainings, and that images of one patient belong "
        "together; McNemar's counts are summed over the runs. DeLong is of "
        f"{study.question.positive_class} against the rest." + why,
    )  # fmt: skip


def _delong(tests: DeLongOfRuns | UndefinedDeLong) -> Iterator[str]:
    if isinstance(tests, UndefinedDeLong):
        yield from ("undefined",) * 3
        return
    yield probability(tests.median_p)
    yield f"{tests.n_significant} of {len(tests.p)}"
    yield probability(tests.combined_p)


def _mcnemar(tests: McNemarOfRuns) -> Iterator[str]:
    if tests.median_p is None:
        yield from ("undefined",) * 3
        return
    yield probability(tests.median_p)
    yield str(tests.only_arm_right)
    yield str(tests.only_reference_right)


def _runs(study: Study) -> Table:
    given = {
        key for arm in study.arms.values() for run in arm.per_run for key in run.model_fields_set
    }
    keys = [key for key in RunScores.model_fields if key in given - {"fold", "seed"}]
    rows = [
        [name, run.fold, str(run.seed), *(_score(run.value(key)) for key in keys)]
        for name, arm in study.arms.items()
        for run in arm.per_run
    ]
    columns = [
        "arm",
        "split",
        "seed",
        *(study.titles.get(key, key.replace("_", " ")) for key in keys),
    ]
    return Table("Every run", columns, rows, text_columns=(1, 2),
                 note="“-”: no threshold with more than two classes, or undefined.")  # fmt: skip


def _score(value: float | None) -> str:
    return "-" if value is None else cell(value)


def _ratio(counts: Mapping[str, float]) -> str:
    smallest = min(counts.values(), default=0)
    return "undefined" if not smallest else f"{max(counts.values()) / smallest:.2f} : 1"


def _added(images: Mapping[str, Mapping[str, MeanImages]]) -> Table:
    rows = [
        [arm, label, f"{counts.real:g}", f"{counts.added:g}"]
        for arm, classes in images.items()
        for label, counts in classes.items()
    ]
    return Table("Real and added training images, mean over the splits",
                 ["arm", "class", "real", "added"], rows, text_columns=(1,))  # fmt: skip
