"""Answers of the checklists about the images: sources, choice, preprocessing, labels, splits."""

from balancer.data.layouts.layout import Layout
from balancer.data.layouts.recognition import OF_FOLDERS, layouts_of
from balancer.domains.domain import CHEST, Domain, domain_of
from balancer.drawing.wording import cell, listing
from balancer.imaging.preprocess import from_record
from balancer.report.records import INDEX
from balancer.report.sections.facts import Claim, Facts, State, existing


def sources(facts: Facts) -> Claim:
    """Return the claim on sources."""
    found = facts.audit.get(lambda audit: existing(audit.source).table)
    archives = [one for one in _layouts(facts) if one.citation]
    said = [f"Sources on record: {listing(list(found))}."] if found else []
    said += [f"Read as {one.title} ({one.citation})." for one in archives]
    if not said:
        return "not known", "No record names the source of an image."
    return "in part", " ".join(said)


def inclusion(facts: Facts) -> Claim:
    """Return the claim on inclusion."""
    n, data = facts.index.get(lambda index: index.metrics.images), facts.index.setting("data") or {}
    limits = [f"{key}={data[key]:g}" for key in ("min_side", "max_aspect", "max_megapixels")
              if data.get(key) is not None]  # fmt: skip
    return "in part", (
        f"{n} images. {_chosen(facts)} {_left_out(facts)} Limits: {', '.join(limits)}. Clinical "
        "criteria are not known."
    )


def subsets(facts: Facts) -> Claim:
    """Return the claim on subsets."""
    held_back = facts.ablation.get(lambda study: existing(study.metrics.design).held_back) or {}
    kept = ", ".join(f"{n:.0f} of {label}" for label, n in held_back.items())
    also = f" Held back in training for the positive control: {kept}." if kept else ""
    return "filled in", f"{_chosen(facts)} {_left_out(facts)}{also}"


def preprocessing(facts: Facts) -> Claim:
    """Return the claim on preprocessing."""
    # An index records no preprocessing where it does none.
    record = facts.index.setting("preprocessing") or {}
    if not record:
        facts.index.get(lambda index: index.settings)
    done = from_record(record, INDEX)
    steps = [f"border: {done.border}", *([f"lungs: {done.lungs}"] if _domain(facts).lungs else [])]
    if done.lungs != "none":
        by = facts.index.get(lambda index: index.metrics.lungs_by) or {}
        counts = listing([f"{n} {method}" for method, n in by.items()])
        steps[-1] += f" by {done.masks} masks ({counts or 'counts not known'})"
    steps += [f"colour: {done.colour}"] if done.colour != "keep" else []
    contrast_at = len(steps)
    steps += [f"contrast: {done.contrast}", f"frame: {done.frame}"]
    named = ("border", "lungs", "masks", "colour", "contrast", "frame")
    settings = {key: value for key, value in done.settings().items() if key not in named}
    steps[contrast_at] += f" ({cell(settings)})" if settings else ""
    contrast = facts.setting("classifier.contrast")
    if contrast not in (None, "none"):
        steps.append(f"contrast before the network: {contrast}")
    size = facts.setting("image_size")
    state: State = "in part" if size is None else "filled in"
    return state, f"{'; '.join(steps)}; squares of {size or 'unknown'} px."


def missing(facts: Facts) -> Claim:
    """Return the claim on missing."""
    n = facts.index.get(lambda index: index.metrics.quarantined)
    without = facts.index.get(lambda index: index.metrics.groups.images_without_patient)
    return "in part", (
        f"{cell(n)} unusable files were set aside; images without a patient: {cell(without)}. How "
        "missing cases arose is not known."
    )


def acquisition(facts: Facts) -> Claim:
    """Return the claim on acquisition."""
    views = facts.audit.get(lambda audit: existing(audit.view).table)
    if not views:
        return "not known", "No record has devices, settings or protocols."
    return "in part", f"Views on record: {listing(list(views))}. Devices and settings are not."


def reference(facts: Facts) -> Claim:
    """Return the claim on reference."""
    return "not known", f"{_labels(facts)} How they were found is not known."


def test_annotation(facts: Facts) -> Claim:
    """Return the claim on test annotation."""
    return "not known", f"{_labels(facts)} No record has annotations of test images alone."


def partitions(facts: Facts) -> Claim:
    """Return the claim on partitions."""
    kind = facts.index.get(lambda index: index.metrics.groups.kind)
    shares, seed = facts.index.setting("data.split"), facts.index.setting("seed")
    design = facts.ablation.get(lambda study: study.metrics.design)
    by = f"At random by {kind}, shares {cell(shares)}, seed {cell(seed)}"
    if facts.index.setting("data.official_split"):
        by = f"The archive's own; images of a {kind} in several partitions are in one of them alone"
    if not facts.arms:
        return "filled in", f"{by}."
    if design is None:
        return "in part", f"{by}; how the ablation split them again is not recorded."
    folds = f" of {design.folds} folds" if design.folds else ""
    return (
        "filled in",
        f"{by}; resampling: {design.resampling}{folds}, {design.repeats} times.",
    )


def disjoint(facts: Facts) -> Claim:
    """Return the claim on disjoint."""
    kind = facts.index.get(lambda index: index.metrics.groups.kind)
    without = facts.index.get(lambda index: index.metrics.groups.images_without_patient)
    if without == 0:
        return "filled in", f"By {kind}; no group is in two partitions."
    return "in part", (
        f"By {kind}; images without a patient: {cell(without)}, so patients may be in two "
        "partitions."
    )


def flow(facts: Facts) -> Claim:
    """Return the claim on flow."""
    n = facts.index.get(lambda index: index.metrics.images)
    groups = facts.index.get(lambda index: index.metrics.groups.number)
    return "in part", (
        f"{n} images in {cell(groups)} groups. {_left_out(facts)} Patients before that are not "
        "known."
    )


def availability(facts: Facts) -> Claim:
    """Return the claim on availability."""
    digest = (facts.index.get(lambda index: index.metrics.index_sha256) or "")[:12]
    licences = [one.licence for one in _layouts(facts) if one.licence]
    licence = f" Licence of the archive: {listing(licences)}." if licences else ""
    return "in part", (
        f"Versions, settings and hashes under Recipes (index {digest}).{licence} Access to the "
        "data and models is not known."
    )


def _layouts(facts: Facts) -> list[Layout]:
    return layouts_of(facts.index.get(lambda index: index.metrics.layout))


def _chosen(facts: Facts) -> str:
    """Return the settings that choose among the images of an archive."""
    classes, views = facts.index.setting("data.classes"), facts.index.setting("data.views")
    said = "Labels are the classes (data.classes is not set)"
    if classes:
        pairs = listing([f"{label} as {name}" for label, name in classes.items()])
        said = f"Labels chosen by data.classes: {pairs}; images of other labels are left out"
    known = {"frontal": "frontal views, and those whose view is not known", "all": "all views"}
    if not _domain(facts).lungs:
        return f"{said}."
    return f"{said}; data.views={views}: {known.get(views, 'not known')}."


def _domain(facts: Facts) -> Domain:
    return domain_of(str(facts.index.setting("data.domain") or CHEST))


def _left_out(facts: Facts) -> str:
    """Return how many images were left out when the archive was read, and why."""
    ignored = facts.audit.get(lambda audit: audit.ignored) or {}
    copies = facts.index.get(lambda index: index.metrics.copies) or 0
    bad = facts.index.get(lambda index: index.metrics.quarantined) or 0
    counts = [f"{n} x {why}" for why, n in ignored.items()]
    return f"Left out: {listing([*counts, f'{copies} exact copies', f'{bad} unusable files'])}."


def _labels(facts: Facts) -> str:
    layouts = _layouts(facts)
    if not layouts:
        return "No record says where the labels are from."
    places = [
        f"the folders of the images ({one.name})" if one in OF_FOLDERS
        else f"the list or table of the archive ({one.name})"
        for one in layouts
    ]  # fmt: skip
    renamed = ", renamed by data.classes" if facts.index.setting("data.classes") else ""
    return f"Labels are from {listing(places)}{renamed}."
