"""Answers of the checklists about the tests: thresholds, tables, groups, other data, outputs."""

from balancer.drawing.wording import cell, listing
from balancer.evaluation.records import ExternalFacts
from balancer.report.records import REPORT
from balancer.report.sections.facts import Claim, Facts, existing


def counts(facts: Facts) -> Claim:
    """Return the claim on the number of images of each class in each split."""
    splits = facts.index.get(lambda index: index.metrics.splits)
    if not splits:
        return "not known", "No record has the counts."
    said = [
        f"{split}: {', '.join(f'{n} {label}' for label, n in found.items())}"
        for split, found in splits.items()
    ]
    return "in part", f"{'; '.join(said)}. Age, sex and severity are not on record."


def cut_offs(facts: Facts) -> Claim:
    """Return the claim on the thresholds."""
    asked = facts.ablation.get(lambda study: study.metrics.question)
    positive = None if asked is None else asked.positive_class
    positive = positive or facts.real.get(lambda arm: arm.metrics.positive_class)
    if positive is None:
        return "not known", "No record names a positive class."
    threshold = facts.real.get(lambda arm: arm.metrics.threshold)
    shown = "" if threshold is None else f" ({threshold:.3f} for real images alone)"
    scaled = facts.setting("classifier.calibration") == "temperature"
    also = ", divided by a temperature fitted on them" if scaled else ""
    classes = len(asked.class_names) if asked is not None else 0
    if classes > 2 or (asked is None and threshold is None):
        return "filled in", f"Probabilities{also}; the most probable class is predicted."
    return "filled in", (
        f"Probability of {positive}{also}; threshold chosen on validation images, before the test"
        f"{shown}."
    )


def blinding(facts: Facts) -> Claim:
    """Return the claim on what the classifier knew of the test's labels."""
    reads = facts.ledger.get(lambda ledger: ledger.sentence)
    reads = reads or facts.ablation.get(lambda study: existing(study.metrics.ledger).sentence)
    if reads is None:
        return "not known", "No ledger of test reads is on record."
    return "in part", (
        f"The classifier saw the pixels alone; {_fixed(facts)} were fixed before the test images "
        f"were read. Ledger: {reads.rstrip('.')}. What the images themselves give "
        "away is under Shortcuts."
    )


def _fixed(facts: Facts) -> str:
    return listing(["weights", *facts.fitted])


def indeterminate(facts: Facts) -> Claim:
    """Return the claim on images without a result."""
    bad = facts.index.get(lambda index: index.metrics.quarantined)
    if bad is None:
        return "not known", "No record says it."
    return "in part", (
        f"Every usable image is given a class, without a reader; unusable files were set aside "
        f"before: {bad}."
    )


def fairness(facts: Facts) -> Claim:
    """Return the claim on subgroups of patients."""
    found = facts.ablation.get(lambda study: study.metrics.subgroups) or ()
    columns = list(dict.fromkeys(one.column for one in found))
    if not columns:
        return "not known", "No subgroups are on record (columns of metadata.csv)."
    return "in part", (
        f"Results in {len(found)} subgroups by {listing(columns)}; other groups are not on record."
    )


def clusters(facts: Facts) -> Claim:
    """Return the claim on sources and hospitals."""
    known = facts.audit.get(lambda audit: existing(audit.source).table)
    left_out = facts.ablation.get(lambda study: study.metrics.sources.tested)
    elsewhere = facts.ablation.get(lambda study: study.metrics.external) or {}
    said = [f"sources on record: {listing(list(known))}"] if known else []
    said += [f"left out in turn: {listing(list(left_out))}"] if left_out else []
    said += [f"other data sets: {listing(list(elsewhere))}"] if elsewhere else []
    if not said:
        return "not known", "No record has centres or sources."
    return "in part", f"{'; '.join(said).capitalize()}. Centres beyond that are not on record."


def prevalence(facts: Facts) -> Claim:
    """Return the claim on the class shares of the test images."""
    found = (facts.index.get(lambda index: index.metrics.splits) or {}).get("test", {})
    total = sum(found.values())
    if not total:
        return "not known", "No record has the counts."
    shares = listing([f"{label} {100 * n / total:.1f} %" for label, n in found.items()])
    return "in part", f"Shares in the test split: {shares}. Those of patients are for the authors."


def other_classes(facts: Facts) -> Claim:
    """Return the claim on the diagnoses of images without the disease."""
    found = facts.index.get(lambda index: index.metrics.splits) or {}
    labels = sorted({label for split in found.values() for label in split})
    if not labels:
        return "not known", "No record has the classes."
    return "in part", f"Classes: {listing(labels, 12)}. Diagnoses within a class are not known."


def external_data(facts: Facts) -> Claim:
    """Return the claim on how data from elsewhere differ."""
    found: list[tuple[str, ExternalFacts]] = []
    for test in facts.external:
        images = test.get(lambda result: result.metrics.external)
        if images is not None:
            found.append((str(test.setting("name")), images))
    names = list(facts.ablation.get(lambda study: study.metrics.external) or {})
    if not found and not names:
        return "not known", "No test on other data is on record."
    said = [
        f"{name}: {', '.join(f'{n} {label}' for label, n in one.classes.items())}, "
        f"{sum(one.dropped.values())} left out as already known"
        for name, one in found
    ]
    return "in part", f"{'; '.join(said or names)}. How the patients differ is not known."


def cross_table(facts: Facts) -> Claim:
    """Return the claim on the table of predicted by true classes."""
    if facts.records.units:
        facts.note(f"{REPORT}: curves.confusion")
    elif not facts.tests:
        return "not known", "No table of predicted by true classes is on record."
    return "filled in", "Confusion of the classes, as a picture and in report.json."


def imbalance(facts: Facts) -> Claim:
    """Return the claim on what was done against unequal classes."""
    arms = [name for name, arm in facts.arms.items() if arm.kind != "reference"]
    arms = arms or [name for name in facts.tests if name != "real"]
    if not arms:
        return "not known", "No record has a remedy."
    loss, batches = facts.setting("classifier.loss"), facts.setting("classifier.batches")
    scaled = facts.setting("classifier.calibration") == "temperature"
    after = "; recalibrated by a temperature on validation images" if scaled else ""
    return "filled in", (
        f"Compared: {listing(arms, 12)}; all with loss {cell(loss)} and {cell(batches)} batches "
        f"unless an arm says otherwise{after}."
    )


def updating(facts: Facts) -> Claim:
    """Return the claim on changes of a model after its test."""
    tested = facts.external or facts.tests or facts.arms
    if not tested:
        return "not known", "No test is on record."
    return "filled in", f"None: {_fixed(facts)} were tested unchanged."


def stored_outputs(facts: Facts) -> Claim:
    """Return the claim on what is kept of each prediction."""
    digest = facts.real.get(lambda arm: arm.metrics.predictions)
    if digest is not None:
        return "filled in", (
            f"A probability per test image, predictions.csv (SHA-256 {digest[:12]}), with weights "
            "and settings by hash."
        )
    runs = sum(arm.n_runs for arm in facts.arms.values())
    if not runs:
        return "not known", "No record says what was kept."
    return "filled in", f"A probability per test image of each of {runs} runs, by hash."
