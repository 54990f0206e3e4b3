"""The page of a study of travel: its first screen, and every view at home and elsewhere."""

from collections.abc import Iterator

from balancer.ablation.runs import REAL
from balancer.ablation.travel_records import Travel
from balancer.drawing.numbers import interval
from balancer.drawing.wording import listing, scalar
from balancer.report.blocks import Answer, Block, Figure, Paragraph, Section, Table
from balancer.report.records import ReportRecords, Study

RESEARCH_ONLY = "For research only; not for diagnosis."
_WORDS = {
    "travels": "the score is shown to fall by no more than counts",
    "falls": "it is shown to fall by more",
    "undetermined": "too few films to tell, or no score better than a guess",
    "given away": "films there do as well without their lungs, so nothing is claimed",
}


def travel_answer(records: ReportRecords, study: Study, found: Travel) -> Answer:
    """Write the first screen of a study of travel."""
    positive, verdict = study.question.positive_class, study.metrics.verdict
    blocks: list[Block] = []
    if records.has_picture("travel"):
        blocks.append(_figure(found))
    if found.without_lungs is not None:
        blocks.append(Paragraph(found.without_lungs, "strong"))
    registration = study.metrics.registration
    if registration is not None:
        blocks.append(Paragraph(f"{registration.sentence} Protocol {registration.hash}."))
    return Answer(
        f"Will a classifier of {positive} work at a hospital that it has not seen?",
        verdict.word,
        verdict.sentence,
        blocks,
        list(_limits(study, found)),
    )


def travel_section(study: Study) -> Section | None:
    """Show every view at home and elsewhere; None of a study without views."""
    found = study.metrics.travel
    if found is None:
        return None
    blocks: list[Block] = [_scores(found)]
    blocks += [_place(found, place) for place in found.places]
    if found.places:
        blocks.append(Paragraph("; ".join(f"{w}: {what}" for w, what in _WORDS.items()) + ".",
                                "note"))  # fmt: skip
    blocks += _doubtful(found)
    return Section("travel", "At home and elsewhere", blocks)


def _figure(found: Travel) -> Figure:
    described = "; ".join(
        f"{name}: {interval(view.home)} at home"
        + "".join(f", {interval(one.score)} on {place}" for place, one in view.elsewhere.items())
        for name, view in found.views.items()
    )
    return Figure(
        "travel",
        f"{found.primary_title} elsewhere over {found.primary_title} at home. {described}.",
        f"{found.primary_title} elsewhere over that at home, with 95 % intervals. On the line a "
        f"view loses nothing; in the band below it, at most {found.largest_fall:g}. no-lungs: "
        "films with the lungs blacked out.",
        kind="wide",
    )


def _limits(study: Study, found: Travel) -> Iterator[str]:
    yield RESEARCH_ONLY
    if not found.places:
        yield (
            "Not tested on another hospital: give films of one with `balancer travel --external "
            "DIR`, or name the source of each film in metadata.csv."
        )
    else:
        places = "this place" if len(found.places) == 1 else "these places"
        yield f"It speaks of films such as those of {places}, not of every hospital."
        yield (
            f"{len(found.views)} views were tried on the same films; the best of them looks better "
            "than it is, and needs a test on films of a further hospital."
        )
        yield (
            "A fall can also mean that the disease is harder to see there: the patients differ, "
            "not the machines alone."
        )
    if study.metrics.tier:
        yield (
            "A linear head on frozen features was trained in place of the network; `balancer "
            "travel --trained` trains the network."
        )
    yield (
        "Lungs that were found without training can miss dense parts of ill lungs, and the outline "
        "they leave can show the disease."
    )
    yield from (
        f"The source {source} was not left out: {why}." for source, why in found.reasons.items()
    )
    yield from (f"At home, no claim is possible: {cap}" for cap in study.metrics.caps)


def _scores(found: Travel) -> Table:
    columns = ["view", "answer", "at home", *found.places]
    rows = [
        [
            _named(name),
            "control" if name == found.control else view.word if found.places else "-",
            scalar(view.home),
            *(
                scalar(view.elsewhere[p].score) if p in view.elsewhere else "-"
                for p in found.places
            ),
        ]
        for name, view in found.views.items()
    ]
    return Table(f"{found.primary_title} at home and elsewhere", columns, rows, text_columns=(1,),
                 word_column=1)  # fmt: skip


def _place(found: Travel, place: str) -> Table:
    tested = found.places[place]
    counts = ", ".join(f"{n} {label}" for label, n in tested.n.items())
    rows = [
        [_named(name), one.word, scalar(one.score), scalar(one.fall),
         "-" if one.gain is None else scalar(one.gain, sign=True)]
        for name, view in found.views.items()
        if (one := view.elsewhere.get(place)) is not None
    ]  # fmt: skip
    columns = ["view", "here", found.primary_title, "fall from home", "difference to whole films"]
    note = "Differences are paired, and not corrected for the number of views."
    if tested.of_others:
        lacking = listing(list(tested.of_others))
        note += f" This source has no {lacking}: films of others that no training had stand in."
    title = f"{place}: {counts}"
    return Table(title, columns, rows, text_columns=(1,), word_column=1, note=note)


def _doubtful(found: Travel) -> Iterator[Block]:
    for place, films in found.doubtful.items():
        counts = ", ".join(f"{n} {label}" for label, n in films.n.items())
        sentence = (
            f"Lungs found with doubt, {place}: {films.of_all} of {films.of} films ({counts})."
        )
        yield Paragraph(sentence)
        if not films.without:
            continue
        rows = []
        for name, view in found.views.items():
            known = (
                view.home if place == "home" else getattr(view.elsewhere.get(place), "score", None)
            )
            rows.append([_named(name), scalar(known), scalar(films.without.get(name))])
        yield Table(
            f"{place}: with and without films whose lungs are doubtful",
            ["view", "all films", "without them"], rows,
        )  # fmt: skip


def _named(view: str) -> str:
    return "whole film" if view == REAL else view.removeprefix("view ")
