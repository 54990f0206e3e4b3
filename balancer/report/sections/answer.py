"""The first screen: the question, the answer with its numbers, and its limits."""

from collections.abc import Iterator

from balancer.ablation.records import Design, Gates
from balancer.ablation.runs import GAN_IMAGES
from balancer.drawing.wording import listing, scalar
from balancer.report.blocks import Answer, Block, Figure, Paragraph
from balancer.report.elsewhere import UNKNOWN_ELSEWHERE, known_elsewhere
from balancer.report.records import Pictures, ReportRecords, Study
from balancer.report.sections.protocol import exploration_in_words, unregistered
from balancer.report.sections.travel import RESEARCH_ONLY, travel_answer


def answer(records: ReportRecords) -> Answer:
    """Write the first screen of an ablation; without one, that of two classifiers."""
    study = records.study
    if study is None:
        return _two_arms(records)
    if study.metrics.travel is not None:
        return travel_answer(records, study, study.metrics.travel)
    verdict, control = study.metrics.verdict, study.metrics.control
    blocks: list[Block] = [_elsewhere(records), *registration(study)]
    if records.has_picture("forest"):
        blocks.append(forest_figure(records, study))
    if control is not None:
        blocks.append(Paragraph(control.sentence, "strong"))
    return Answer(question_of_page(study), verdict.word, verdict.sentence, blocks,
                  list(_limits(records, study)))  # fmt: skip


def _elsewhere(records: ReportRecords) -> Paragraph:
    study = None if records.study is None else records.study.metrics
    sentence = known_elsewhere(study, records.external, records.travel)
    return Paragraph(sentence, "warning" if sentence == UNKNOWN_ELSEWHERE else "strong")


def registration(study: Study) -> Iterator[Paragraph]:
    """Say whether the question was fixed before any look, and what was asked after one."""
    found, explored = study.metrics.registration, study.metrics.exploratory
    if found is None:
        yield Paragraph(unregistered(study), "warning")
        return
    yield Paragraph(f"{found.sentence} Protocol {found.hash}.", "strong")
    if explored is not None:
        yield Paragraph(exploration_in_words(explored), "warning")
    elif found.label:
        yield Paragraph(f"{found.label}.", "warning")


def question_of_page(study: Study) -> str:
    """Return the question of a study, the title of its page."""
    positive = study.question.positive_class
    if study.metrics.tier:
        tier = study.metrics.tier[:1].upper() + study.metrics.tier[1:]
        return f"{tier}: does balancing the classes help to find {positive}?"
    if study.of_kind("gan"):
        images = study.question.main_images or GAN_IMAGES
        return f"Do {images} help a classifier to find {positive}, or would something cheaper do?"
    return f"Does balancing the classes help a classifier to find {positive}?"


def forest_figure(pictures: Pictures, study: Study) -> Figure:
    """Show the differences of all arms; the picture has to be in the folder."""
    sentences = []
    for name, arm in study.arms.items():
        against = [
            f"{scalar(difference, sign=True)} against {reference}"
            for reference in arm.against
            if (difference := study.difference(name, reference)) is not None
        ]
        if against:
            sentences.append(f"{name}: {', '.join(against)}; {arm.verdict.word}")
    margin = study.question.margin
    return Figure(
        "forest",
        f"Forest plot, difference in {study.title} with its 95 % interval. {'. '.join(sentences)}.",
        f"Difference in {study.title} of each arm to real images alone, and to as many repeated "
        "real images: mean over the runs and 95 % interval. Shaded: differences up to "
        f"{margin:g}, which count as none.",
        narrow="forest-narrow" if pictures.has_picture("forest-narrow") else None,
        kind="wide",
    )


def _limits(records: ReportRecords, study: Study) -> Iterator[str]:
    yield RESEARCH_ONLY
    n_runs = max((arm.n_runs for arm in study.arms.values()), default=0)
    external, elsewhere = study.metrics.external, study.question.verdict_on
    if elsewhere is not None:
        yield (
            f"The verdicts speak of new trainings on such images and of new images such as those "
            f"of {elsewhere}, with the trainings as the unit."
        )
    made = f"{n_runs} runs of an arm{_on_splits(study.design)}"
    yield (
        f"One data set of {records.index.metrics.images} images, {made}: the verdicts speak of new "
        "splits and new trainings on such images, not of other hospitals."
        if n_runs > 1 and elsewhere is None
        else f"Trained on one data set of {records.index.metrics.images} images, {made}."
        if n_runs > 1
        else "One data set and one run per arm: nothing is known of other splits, other "
        "trainings or other hospitals."
    )
    if external:
        yield f"Images from elsewhere were tested too: {listing(list(external))}; see below."
    if study.metrics.tier:
        yield (
            "A linear head on frozen features was trained in place of the network: a trained "
            "network is better, and what helps it can differ."
        )
    if study.metrics.left_out:
        yield f"Not tried, since no network was trained: {listing(list(study.metrics.left_out))}."
    margin = study.question.margin
    yield (
        f"Differences in {study.title} up to {margin:g} count as none. The margin was set in the "
        "configuration; whether it is small for patients is not known here."
    )
    if study.of_kind("gan"):
        pixels = "" if study.design is None else f" of {study.design.image_size} px"
        yield f"It speaks of these generators and their images{pixels}, not of every generator."
    if study.design is not None and study.design.held_back:
        held = listing([f"{n:.0f} of {label}" for label, n in study.design.held_back.items()])
        takers = [name for name in study.arms if name.startswith("held-back-real")]
        others = "all other arms" if takers else "all arms"
        yield (
            f"{'Only held-back-real' if takers else 'No arm'} trained on the images that were held "
            f"back ({held}, mean over the splits): {others}, the generators included, did without "
            "them, so nothing is said of classifiers and generators that have them."
        )
    yield (
        "The arms tune nothing, but the default recipes were chosen with results in sight: that of "
        "the GAN on images of the COVID-19 Radiography Database, that of the classifier on those "
        "and on images of darkcovid-3class. On these two sets their figures are optimistic."
    )
    for cap in study.metrics.caps:
        yield f"No claim is possible: {cap}"
    failed = study.metrics.failed
    if failed:
        runs = "1 run is" if len(failed) == 1 else f"{len(failed)} runs are"
        yield f"{runs} in no figure because of a failure; see “Two sources of variance”."
    yield from records.index.metrics.warnings
    yield from _gate(study)


def _on_splits(design: Design | None) -> str:
    """Say how many splits the runs are on: seeds of one split are no new test images."""
    if design is None:
        return ""
    n = design.repeats * (design.folds or 1)
    return f" on {n} splits" if n > 1 else " on one split"


def _gate(study: Study) -> Iterator[str]:
    """Say whether the images of the splits passed the quality gate."""
    outside = study.metrics.outside_quality
    yield from _failing("synthetic images", study.metrics.quality)
    for arm, gates in outside.items():
        yield from _failing(f"{arm} images", gates)
    if not study.metrics.quality and [arm for arm in study.of_kind("gan") if arm not in outside]:
        yield "The quality of the synthetic images was not measured on the splits."
    for arm, gates in outside.items():
        if not gates:
            yield f"The quality of the images of {arm} was not measured on the splits."


def _failing(what: str, gates: Gates) -> Iterator[str]:
    folds: dict[str, list[list[str]]] = {}
    for classes in gates.values():
        for label, entry in classes.items():
            folds.setdefault(label, []).append(list(entry.failures))
    for label, found in folds.items():
        failed = [names for names in found if names]
        if failed:
            checks = list(dict.fromkeys(name for names in failed for name in names))
            yield (
                f"The {what} of {label} fail the quality gate in {len(failed)} of "
                f"{len(found)} splits ({listing(checks)}); the effect of good ones is not known."
            )


def _two_arms(records: ReportRecords) -> Answer:
    sentence = "" if records.comparison is None else records.comparison.sentence
    limits = [
        RESEARCH_ONLY,
        "Two classifiers, one training run each: other splits, other seeds and cheaper remedies "
        "were not tried; `balancer ablate` does that.",
        *records.index.metrics.warnings,
    ]
    figure = Figure(
        "differences",
        "Difference of each metric, real + synthetic minus real, with its 95 % interval; the table "
        "below has the same numbers.",
        "Real + synthetic minus real: bootstrap over the test groups.",
    )
    blocks: list[Block] = [_elsewhere(records)]
    blocks += [figure] if records.has_picture("differences") else []
    return Answer("Did synthetic images help?", None, sentence, blocks, limits)
