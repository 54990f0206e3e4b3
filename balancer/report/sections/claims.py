"""What a run knows of each item of the checklist; every function answers one item."""

from typing import Any, Literal

from balancer.drawing.wording import listing, scalar
from balancer.report.records import ReportRecords, Study
from classifier.cards import BUNDLED

Known = Literal["filled in", "in part", "not known", "for the authors"]
Claim = tuple[Known, str]


def _study(material: ReportRecords) -> Study | None:
    return None if material.ablation is None else Study(material.ablation["metrics"])


def _settings(material: ReportRecords) -> dict[str, Any]:
    """Settings of the classifiers, wherever a stage recorded them."""
    records = [material.ablation, material.arms.get("real")]
    found: dict[str, Any] = {}
    for record in records:
        if record is not None:
            found = dict(record["settings"]) | found
    return found


def _association(material: ReportRecords, name: str) -> Any:
    return material.audit.get(name)


def kind_of_study(material: ReportRecords) -> Claim:
    """Item 1."""
    gan = "GANs and " if material.generators or material.synthetic or material.ablation else ""
    return "in part", f"Deep learning: {gan}convolutional classifiers. The title is the authors'."


def summary(material: ReportRecords) -> Claim:
    """Item 2."""
    return "in part", "The first screen of this report; the abstract is the authors'."


def aims(material: ReportRecords) -> Claim:
    """Item 4."""
    study = _study(material)
    if study is None:
        return "in part", "Whether synthetic images change a classifier; no hypothesis was fixed."
    asked = study.question
    return "filled in", (
        f"Whether balancing changes {study.title} for {asked['positive_class']}; margin "
        f"{asked['margin']:g} and level {asked['alpha']:g} stood in the configuration."
    )


def goal(material: ReportRecords) -> Claim:
    """Item 6."""
    return "in part", "A comparison of ways to train, not a device; its clinical goal is not known."


def sources(material: ReportRecords) -> Claim:
    """Item 7."""
    found = _association(material, "source")
    if found is None:
        return "not known", "No metadata name the source of an image."
    return "in part", f"Sources in the metadata: {listing(list(found['table']))}."


def inclusion(material: ReportRecords) -> Claim:
    """Item 8."""
    metrics = material.index["metrics"]
    return "in part", (
        f"Every readable image of the folder: {metrics['images']}, {metrics['copies']} exact "
        f"copies left out, {metrics['quarantined']} set aside. Clinical criteria are not known."
    )


def preprocessing(material: ReportRecords) -> Claim:
    """Item 9."""
    study = _study(material)
    size = None if study is None else study.design.get("image_size")
    size = size or _settings(material).get("image_size")
    pixels = "" if size is None else f" at {size} px"
    return "filled in", f"8-bit grey{pixels}; real and synthetic images are read alike."


def subsets(material: ReportRecords) -> Claim:
    """Item 10."""
    study = _study(material)
    held_back = {} if study is None else study.design.get("held_back") or {}
    if not held_back:
        return "filled in", "None: all images of the folder are used."
    kept = ", ".join(f"{n} of {label}" for label, n in held_back.items())
    return "filled in", f"Held back in training for the positive control: {kept}."


def missing(material: ReportRecords) -> Claim:
    """Item 12."""
    n = material.index["metrics"]["quarantined"]
    return "in part", f"{n} unusable files were set aside; how missing cases arose is not known."


def reference(material: ReportRecords) -> Claim:
    """Item 14."""
    return "not known", "The folder an image lies in is its label; how it was found is not known."


def test_annotation(material: ReportRecords) -> Claim:
    """Item 17."""
    return "not known", "Test labels are folder names like the others."


def partitions(material: ReportRecords) -> Claim:
    """Item 19."""
    study = _study(material)
    kind = material.index["metrics"]["groups"]["kind"]
    if study is None:
        return "filled in", f"At random by {kind}, each class in proportion."
    design = study.design
    return "filled in", (
        f"{design.get('repeats', '?')} repeats of {design.get('resampling', 'splits')}, at random "
        f"by {kind}, each class in proportion."
    )


def disjoint(material: ReportRecords) -> Claim:
    """Item 20."""
    groups = material.index["metrics"]["groups"]
    without = groups.get("images_without_patient")
    if without:
        return "in part", (
            f"By {groups['kind']}; {without} images have no patient, so that patients may be in "
            "two partitions."
        )
    return "filled in", f"By {groups['kind']}; no group is in two partitions."


def sample_size(material: ReportRecords) -> Claim:
    """Item 21."""
    study = _study(material)
    found = {} if study is None else {
        name: arm["verdict"].get("detectable") for name, arm in study.arms.items()
    }  # fmt: skip
    known = [value for value in found.values() if value is not None]
    if not known:
        return "not known", "No sample size was planned and none was computed."
    return "in part", (
        "Not planned. Afterwards: with 80 % power differences of "
        f"{min(known):.3f} to {max(known):.3f} could be shown, depending on the arm."
    )


def model(material: ReportRecords) -> Claim:
    """Item 22."""
    recipe = _settings(material).get("classifier") or {}
    if not recipe:
        return "not known", "No settings of a classifier are on record."
    study = _study(material)
    size = recipe.get("input_size") or ("" if study is None else study.design.get("input_size"))
    return "filled in", f"{recipe.get('model')}, input {size} px; all settings under Recipes."


def software(material: ReportRecords) -> Claim:
    """Item 23."""
    versions = (material.ablation or material.index)["versions"]
    named = [f"{name} {versions[name]}" for name in ("balancer", "torch") if name in versions]
    return "filled in", f"{listing(named)}; the rest under Recipes."


def initialisation(material: ReportRecords) -> Claim:
    """Item 24."""
    recipe = _settings(material).get("classifier") or {}
    weights = recipe.get("weights")
    bundled = recipe.get("model") in BUNDLED and weights == "auto"
    where = str(weights)
    if weights in ("auto", "none", None):
        where = "ImageNet weights that are bundled" if bundled else "random weights"
    return "in part", f"{recipe.get('model', 'The network')}: {where}; the rest by seed."


def training(material: ReportRecords) -> Claim:
    """Item 25."""
    study = _study(material)
    design = {} if study is None else study.design
    steps = design.get("n_steps")
    told = "" if steps is None else f" {steps} steps of {design.get('batch_size')} images,"
    return "filled in", f"All arms alike:{told} same schedule and seeds; settings under Recipes."


def selection(material: ReportRecords) -> Claim:
    """Item 26."""
    recipe = _settings(material).get("classifier") or {}
    if recipe.get("keep") == "last":
        return "filled in", (
            "The weights of the end, which no image chose; threshold and temperature by validation "
            "images, never by test images."
        )
    return "filled in", "Checkpoint and threshold by validation images, never by test images."


def ensembles(material: ReportRecords) -> Claim:
    """Item 27."""
    recipe = _settings(material).get("classifier") or {}
    members, views = recipe.get("members") or 1, len(recipe.get("views") or ("plain",))
    if (members, views) == (1, 1):
        return "filled in", "None."
    return "filled in", (
        f"Mean of the probabilities of {members} {'network' if members == 1 else 'networks'} and "
        f"{views} {'view' if views == 1 else 'views'} of each image."
    )


def metrics(material: ReportRecords) -> Claim:
    """Item 28."""
    study = _study(material)
    primary = "AUROC" if study is None else study.title
    return "filled in", f"Primary: {primary}; others, calibration included, beside it."


def uncertainty(material: ReportRecords) -> Claim:
    """Item 29."""
    if material.ablation is None:
        return "in part", "Bootstrap over the test groups; one training run, so no more."
    return "filled in", (
        "Nadeau-Bengio intervals and tests over the runs, bootstrap by group, DeLong, McNemar; "
        "Holm over the arms."
    )


def robustness(material: ReportRecords) -> Claim:
    """Item 30."""
    study = _study(material)
    if study is None:
        return "not known", "One split, one seed, no control."
    probed = "probes of shortcuts, " if study.metrics.get("probes") else ""
    return (
        "filled in",
        f"Several splits and seeds, {probed}{len(study.of_kind('control'))} controls.",
    )


def internal(material: ReportRecords) -> Claim:
    """Item 32."""
    return "filled in", "Test images of the same folder, each read once per run."


def external(material: ReportRecords) -> Claim:
    """Item 33."""
    study = _study(material)
    found = {} if study is None else study.metrics.get("external") or {}
    if not found:
        return "not known", "No data from elsewhere were tested."
    return "filled in", f"Tested on {listing(list(found))}."


def flow(material: ReportRecords) -> Claim:
    """Item 35."""
    found = material.index["metrics"]
    return "in part", (
        f"{found['images']} images in {found['groups']['number']} groups; excluded: "
        f"{found['copies']} copies, {found['quarantined']} unusable. Patients before that are not "
        "known."
    )


def performance(material: ReportRecords) -> Claim:
    """Item 37."""
    return "filled in", "With 95 % intervals in every table."


def diagnostic(material: ReportRecords) -> Claim:
    """Item 38."""
    study = _study(material)
    if study is None:
        return "filled in", "Sensitivity and specificity with intervals, in the table."
    first = next(iter(study.arms))
    found = study.arms[first]["metrics"]
    return "filled in", (
        f"{first}: sensitivity {scalar(found.get('sensitivity'))}, specificity "
        f"{scalar(found.get('specificity'))}; others in the tables."
    )


def failures(material: ReportRecords) -> Claim:
    """Item 39."""
    return "in part", "Confusion of the classes; no single case was looked at."


def limitations(material: ReportRecords) -> Claim:
    """Item 40."""
    n = len(material.index["metrics"]["warnings"])
    return "in part", f"“What this does not say”, and {n} warnings of the audit."


def protocol(material: ReportRecords) -> Claim:
    """Item 42."""
    return "in part", "The configuration, in full, under Recipes; no protocol is registered."


def availability(material: ReportRecords) -> Claim:
    """Item 43."""
    return "in part", "Versions, settings and hashes under Recipes; access to data is not known."
