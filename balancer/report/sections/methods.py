"""The methods paragraph that a paper can paste, from the records of the run."""

from collections.abc import Iterator

from balancer.drawing.wording import cell, listing
from balancer.report.blocks import Code, Paragraph, Section
from balancer.report.records import ReportRecords
from balancer.report.sections import claims_of_data as data
from balancer.report.sections import claims_of_study as study
from balancer.report.sections import claims_of_tests as tests
from balancer.report.sections.facts import Claim, Facts

METHODS_NAME = "methods.txt"


def methods_text(records: ReportRecords) -> str:
    """Return the paragraph; a sentence whose facts are not on record is left out."""
    facts = Facts(records)
    return " ".join(sentence for sentence in _sentences(facts) if sentence)


def methods_section(text: str) -> Section:
    """Return the paragraph as a section, to be copied."""
    return Section("methods", "Methods, to paste into a paper", [
        Paragraph(f"From the records of this run, also as {METHODS_NAME}. What the records do not "
                  "have is left out: origin and approval of the data, labels, patients.", "note"),
        Code(text),
    ])  # fmt: skip


def _sentences(facts: Facts) -> Iterator[str]:
    yield _images(facts)
    yield _named("Images were divided", data.partitions(facts))
    yield _named("Preprocessing:", data.preprocessing(facts))
    yield _classifier(facts)
    yield _named("Training:", study.training(facts))
    yield _named("", study.selection(facts))
    yield _arms(facts)
    yield _named("Metrics:", study.metrics(facts))
    yield _named("Uncertainty:", study.uncertainty(facts))
    yield _registered(facts)
    yield _named("", tests.blinding(facts))
    yield _named("Software:", study.software(facts))


def _images(facts: Facts) -> str:
    found = facts.index.get(lambda index: index.metrics)
    if found is None:
        return ""
    totals: dict[str, int] = {}
    for counts in found.splits.values():
        for label, n in counts.items():
            totals[label] = totals.get(label, 0) + n
    listed = listing([f"{n} {label}" for label, n in totals.items()], 12)
    return f"We used {found.images} images ({listed}) in {found.groups.number} groups."


def _classifier(facts: Facts) -> str:
    state, answer = study.model(facts)
    if state == "not known":
        return ""
    _, first = study.initialisation(facts)
    return _named(
        "The classifier was", ("in part", f"{answer.removesuffix('; see Recipes.')}.")
    ) + (f" First weights: {first}")


def _arms(facts: Facts) -> str:
    arms = list(facts.arms) or list(facts.tests)
    if not arms:
        return ""
    steps = facts.ablation.get(lambda one: one.metrics.design)
    same = f", each for {cell(steps.n_steps)} steps" if steps is not None and steps.n_steps else ""
    return f"Compared were {listing(arms, 20)}{same}, on the same splits and from the same seeds."


def _registered(facts: Facts) -> str:
    found = facts.ablation.get(lambda one: one.metrics.registration)
    if found is None or found.time is None:
        return "The study was not registered." if facts.arms else ""
    if not found.covers_headline:
        changed = "The question was asked after a first look, in place of a registered one"
        return f"{changed}: {found.label}."
    return f"The protocol was registered on {found.time} (SHA-256 {found.hash[:12]})."


def _named(begin: str, claim: Claim) -> str:
    """Return the answer as a sentence of a paper, without hints at this report."""
    state, answer = claim
    if state == "not known":
        return ""
    for hint in ("; the rest under Recipes", "; the rest, augmentation included, under Recipes",
                 "; no settings on record", "; no primary metric is on record",
                 " What the images themselves give away is under Shortcuts."):  # fmt: skip
        answer = answer.replace(hint, "")
    if begin and not begin.endswith(":"):
        answer = answer[:1].lower() + answer[1:]
    return f"{begin} {answer}".strip()
