"""How sure it is: both sources of variance, tests within runs, every run, and class balance."""

from collections.abc import Iterator, Mapping
from typing import Any

from balancer.drawing.wording import TITLES, cell, number, probability, scalar
from balancer.report.blocks import Block, Figure, Folded, Heading, Paragraph, Section, Table
from balancer.report.records import ReportRecords, Study


def variance_section(material: ReportRecords, study: Study) -> Section:
    """Training against test cases, DeLong, McNemar, and a row per run."""
    blocks: list[Block] = [Paragraph(_how_often(study))]
    if material.has_picture("variance"):
        blocks.append(Figure(
            "variance",
            f"{study.title} of every run of every arm; lines join the runs of one split and seed. "
            "The table of runs has the same numbers.",
            "Each dot is a run, each line one split and seed: arms are compared along the lines, "
            "so that an easy split helps all of them alike.", kind="wide",
        ))  # fmt: skip
    blocks.append(_sources(study))
    for reference in study.references:
        blocks.append(_tests(study, reference))
    failed = study.metrics.get("failed") or []
    if failed:
        columns = ["arm", "split", "seed", "reason"]
        rows = [[str(run[key]) for key in ("arm", "fold", "seed", "reason")] for run in failed]
        blocks += [Heading("Runs that failed"),
                   Table("Not in any figure", columns, rows, text_columns=(1, 2, 3))]  # fmt: skip
    blocks.append(Folded("Every run", [_runs(study)]))
    return Section("variance", "Two sources of variance", blocks)


def balance_section(material: ReportRecords, study: Study) -> Section | None:
    """Training images before and after, per arm; None where they were not recorded."""
    before, after = study.design.get("before") or {}, study.design.get("after") or {}
    if not before or not after:
        return None
    labels = list(before)
    rows = [["before", *(f"{before[label]:g}" for label in labels), _ratio(before)]]
    rows += [
        [arm, *(f"{counts.get(label, 0):g}" for label in labels), _ratio(counts)]
        for arm, counts in after.items()
        if counts
    ]
    blocks: list[Block] = []
    if material.has_picture("balance"):
        said = "; ".join(f"{row[0]}: {', '.join(row[1:-1])}" for row in rows)
        blocks.append(Figure(
            "balance", f"Training images of {', '.join(labels)}. {said}.",
            "Training images, mean over the splits. Arms that weigh the loss, or the order of the "
            "images, leave the counts as they are.", kind="wide",
        ))  # fmt: skip
    blocks.append(Table("Training images before and after", ["arm", *labels, "largest : smallest"],
                        rows))  # fmt: skip
    images = study.design.get("training_images") or {}
    if images:
        blocks.append(Folded("Real and added images of each arm", [_added(images)]))
    return Section("balance", "Class balance before and after", blocks)


def _how_often(study: Study) -> str:
    design = study.design
    if not design:
        return "How the images were split was not recorded."
    kind = {"splits": "repeated random splits", "folds": "repeated cross-validation"}.get(
        str(design.get("resampling")), "splits"
    )
    folds = f" of {design['folds']} folds" if design.get("folds") else ""
    sizes = ", ".join(
        f"{number(design.get(key), '.0f')} {title}"
        for key, title in (("n_train", "training"), ("n_val", "validation"), ("n_test", "test"))
    )
    seeds = "one training" if design.get("seeds") == 1 else f"{design.get('seeds')} trainings"
    return (
        f"{design.get('n_runs')} runs per arm: {kind}{folds}, {design.get('repeats')} times, "
        f"{seeds} each; {sizes} images on average. Groups are never "
        "torn apart, and every split has generators trained on its own training part alone."
    )


def _sources(study: Study) -> Table:
    rows = []
    for name, arm in study.arms.items():
        found = arm["metrics"].get(study.primary) or {}
        rows.append([name, str(arm["n_runs"]), scalar(found), number(found.get("sd_runs"), ".4f"),
                     number(found.get("sd_cases"), ".4f")])  # fmt: skip
    columns = ["arm", "runs", study.title, "SD between runs", "SD of the test cases"]
    return Table(
        "Where the spread comes from", columns, rows,
        note="Between runs: splits, seeds and generators change together. Test cases: what "
        "drawing other test patients alone would do, by bootstrap within a run.",
    )  # fmt: skip


def _tests(study: Study, reference: str) -> Table:
    columns = [
        "arm", "difference (Nadeau-Bengio)", "p, two-sided", "bootstrap by group",
        "DeLong: median p", "significant runs", "DeLong, combined p", "McNemar: median p",
        "only the arm right", f"only {reference} right",
    ]  # fmt: skip
    rows, notes = [], []
    for name, arm in study.arms.items():
        found = arm["against"].get(reference)
        if not found:
            continue
        difference = study.difference(name, reference) or {}
        bootstrap = difference.get("bootstrap") or {}
        low, high = bootstrap.get("low"), bootstrap.get("high")
        rows.append([
            name, scalar(difference, sign=True), probability(difference.get("p")),
            "undefined" if low is None or high is None else f"{low:+z.3f} to {high:+z.3f}",
            *_delong(found.get("delong")), *_mcnemar(found.get("mcnemar")),
        ])  # fmt: skip
        for key in ("delong", "mcnemar"):
            reason = (found.get(key) or {}).get("reason")
            if reason and str(reason) not in notes:
                notes.append(str(reason))
    why = "".join(f" Undefined: {reason}." for reason in notes)
    return Table(
        f"Tests against {reference}, {study.title} and errors", columns, rows,
        note="DeLong and McNemar look at the test cases of one run at a time and know nothing of "
        "other trainings, nor of images of one patient; McNemar's counts are summed over the "
        f"runs. DeLong is of {study.question['positive_class']} against the rest." + why,
    )  # fmt: skip


def _delong(found: Mapping[str, Any] | None) -> Iterator[str]:
    if not found or found.get("median_p") is None:
        yield from ("undefined",) * 3
        return
    yield probability(found.get("median_p"))
    yield f"{found.get('n_significant')} of {len(found['p'])}"
    yield probability(found.get("combined_p"))


def _mcnemar(found: Mapping[str, Any] | None) -> Iterator[str]:
    if not found or found.get("median_p") is None:
        yield from ("undefined",) * 3
        return
    yield probability(found.get("median_p"))
    yield str(found.get("only_arm_right"))
    yield str(found.get("only_reference_right"))


def _runs(study: Study) -> Table:
    keys: list[str] = []
    for arm in study.arms.values():
        for run in arm["per_run"]:
            keys += [key for key in run if key not in (*keys, "fold", "seed")]
    rows = [
        [name, str(run["fold"]), str(run["seed"]),
         *(_of_run(run.get(key)) for key in keys)]
        for name, arm in study.arms.items()
        for run in arm["per_run"]
    ]  # fmt: skip
    columns = ["arm", "split", "seed", *(TITLES.get(key, key.replace("_", " ")) for key in keys)]
    return Table("Every run", columns, rows, text_columns=(1, 2),
                 note="“-”: no threshold with more than two classes, or undefined.")  # fmt: skip


def _of_run(value: Any) -> str:
    return "-" if value is None else cell(value)


def _ratio(counts: Mapping[str, float]) -> str:
    smallest = min(counts.values(), default=0)
    return "undefined" if not smallest else f"{max(counts.values()) / smallest:.2f} : 1"


def _added(images: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    rows = [
        [arm, label, f"{counts.get('real', 0):g}", f"{counts.get('added', 0):g}"]
        for arm, classes in images.items()
        for label, counts in classes.items()
    ]
    return Table("Real and added training images, mean over the splits",
                 ["arm", "class", "real", "added"], rows, text_columns=(1,))  # fmt: skip
