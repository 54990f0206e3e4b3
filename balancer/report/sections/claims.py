"""Answers to the items of the checklist, each from fields of records that are named with it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from balancer.data.layouts.recognition import LAYOUTS, OF_FOLDERS
from balancer.drawing.wording import TITLES, cell, listing, scalar
from balancer.imaging.preprocess import from_record
from balancer.report.records import (
    ABLATION,
    AUDIT,
    EXPLAIN,
    INDEX,
    LEDGER,
    QUALITY,
    REPORT,
    SYNTHETIC,
    Json,
    ReportRecords,
)
from classifier.cards import BUNDLED

State = Literal["filled in", "in part", "not known", "for the authors"]
Claim = tuple[State, str]
_REAL = "classify/real/result.json"


class Facts:
    """Fields of the records of a run, noting which were found; the sources of one answer.

    Args:
        records: All records.
    """

    def __init__(self, records: ReportRecords) -> None:
        self.records = records
        self.sources: list[str] = []
        self._files = records.by_file

    def get(self, file: str, path: str, default: Any = None) -> Any:
        """Return a field of a record, such as `settings.data.views`; the default for null or none.

        A field that is null is a source too: it says that there is nothing.
        """
        value: Any = self._files.get(file)
        for part in path.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return default
            value = value[part]
        self.note(f"{file}: {path}")
        return default if value is None else value

    def note(self, source: str) -> None:
        """Add a source that is no field of a record."""
        self.sources += [source] if source not in self.sources else []

    def setting(self, path: str) -> Any:
        """Return a setting of the classifiers, of the ablation or else of the real arm."""
        found = self.get(ABLATION, f"settings.{path}")
        return self.get(_REAL, f"settings.{path}") if found is None else found

    @property
    def arms(self) -> Mapping[str, Json]:
        """Arms of the ablation by name; empty without one."""
        return dict(self.get(ABLATION, "metrics.arms", {}))

    @property
    def tests(self) -> Mapping[str, Json]:
        """Test metrics of both classifiers of `balancer classify` by arm; empty without both."""
        return {arm: self.get(f"classify/{arm}/result.json", "metrics.test")
                for arm in self.records.arms}  # fmt: skip


def kind_of_study(facts: Facts) -> Claim:
    """Item 1."""
    model = facts.setting("classifier.model")
    if model is None:
        return "not known", "No record names the networks."
    generated = facts.get(SYNTHETIC, "metrics.made") or any(
        arm["kind"] == "gan" for arm in facts.arms.values()
    )
    gan = ", and GANs that make training images" if generated else ""
    return "in part", f"Deep learning: classifiers ({model}){gan}. The title is the authors'."


def summary(facts: Facts) -> Claim:
    """Item 2."""
    said = facts.get(ABLATION, "metrics.verdict.sentence")
    if said is None:
        facts.note(f"{REPORT}: comparison.sentence")
    return "in part", "The first screen of this report; the abstract is the authors'."


def aims(facts: Facts) -> Claim:
    """Item 4."""
    asked = facts.get(ABLATION, "metrics.question")
    if asked is None:
        return "in part", f"To compare {listing(list(facts.tests))}; no hypothesis is on record."
    others = [name for name, arm in facts.arms.items() if arm["kind"] != "reference"]
    return "filled in", (
        f"The effect of {listing(others) or 'no arm'} on {asked['primary_title']} for "
        f"{asked['positive_class']}; margin {asked['margin']:g} and level {asked['alpha']:g}, from "
        "the configuration."
    )


def goal(facts: Facts) -> Claim:
    """Item 6."""
    n = len(facts.arms) or len(facts.tests)
    return "in part", f"A comparison of {n} ways to train a classifier; no clinical goal is known."


def sources(facts: Facts) -> Claim:
    """Item 7."""
    found = facts.get(AUDIT, "source.table")
    archives = [one for one in _layouts(facts) if one.citation]
    said = [f"Sources on record: {listing(list(found))}."] if found else []
    said += [f"Read as {one.title} ({one.citation})." for one in archives]
    if not said:
        return "not known", "No record names the source of an image."
    return "in part", " ".join(said)


def _layouts(facts: Facts) -> list[Any]:
    known = {layout.name: layout for layout in LAYOUTS}
    names = facts.get(INDEX, "metrics.layout", "").split(" + ")
    return [known[name] for name in dict.fromkeys(names) if name in known]


def inclusion(facts: Facts) -> Claim:
    """Item 8."""
    n, data = facts.get(INDEX, "metrics.images"), facts.get(INDEX, "settings.data", {})
    limits = [f"{key}={data[key]:g}" for key in ("min_side", "max_aspect", "max_megapixels")
              if data.get(key) is not None]  # fmt: skip
    return "in part", (
        f"{n} images. {_chosen(facts)} {_left_out(facts)} Limits: {', '.join(limits)}. Clinical "
        "criteria are not known."
    )


def _chosen(facts: Facts) -> str:
    """Return the settings that choose among the images of an archive."""
    classes = facts.get(INDEX, "settings.data.classes")
    views = facts.get(INDEX, "settings.data.views")
    said = "Labels are the classes (data.classes is not set)"
    if classes:
        pairs = listing([f"{label} as {name}" for label, name in classes.items()])
        said = f"Labels chosen by data.classes: {pairs}; images of other labels are left out"
    known = {"frontal": "frontal views, and those whose view is not known", "all": "all views"}
    return f"{said}; data.views={views}: {known.get(views, 'not known')}."


def _left_out(facts: Facts) -> str:
    """Return how many images were left out when the archive was read, and why."""
    counts = {f"{n} x {why}": n for why, n in facts.get(AUDIT, "ignored", {}).items()}
    copies, bad = (facts.get(INDEX, f"metrics.{key}", 0) for key in ("copies", "quarantined"))
    return f"Left out: {listing([*counts, f'{copies} exact copies', f'{bad} unusable files'])}."


def preprocessing(facts: Facts) -> Claim:
    """Item 9."""
    # An index records no preprocessing where it does none.
    record = facts.get(INDEX, "settings.preprocessing", {})
    if not record:
        facts.note(f"{INDEX}: settings")
    done = from_record(record, INDEX)
    steps = [f"border: {done.border}", f"lungs: {done.lungs}"]
    if done.lungs != "none":
        by = facts.get(INDEX, "metrics.lungs_by", {})
        counts = listing([f"{n} {method}" for method, n in by.items()])
        steps[-1] += f" by {done.masks} masks ({counts or 'counts not known'})"
    steps += [f"contrast: {done.contrast}", f"frame: {done.frame}"]
    named = ("border", "lungs", "masks", "contrast", "frame")
    settings = {key: value for key, value in done.settings().items() if key not in named}
    steps[2] += f" ({cell(settings)})" if settings else ""
    contrast = facts.setting("classifier.contrast")
    if contrast not in (None, "none"):
        steps.append(f"contrast before the network: {contrast}")
    size = facts.setting("image_size")
    state: State = "in part" if size is None else "filled in"
    return state, f"{'; '.join(steps)}; squares of {size or 'unknown'} px."


def subsets(facts: Facts) -> Claim:
    """Item 10."""
    held_back = facts.get(ABLATION, "metrics.design.held_back", {})
    kept = ", ".join(f"{n:g} of {label}" for label, n in held_back.items())
    also = f" Held back in training for the positive control: {kept}." if kept else ""
    return "filled in", f"{_chosen(facts)} {_left_out(facts)}{also}"


def missing(facts: Facts) -> Claim:
    """Item 12."""
    n, without = facts.get(INDEX, "metrics.quarantined"), facts.get(
        INDEX, "metrics.groups.images_without_patient"
    )  # fmt: skip
    return "in part", (
        f"{cell(n)} unusable files were set aside; images without a patient: {cell(without)}. How "
        "missing cases arose is not known."
    )


def acquisition(facts: Facts) -> Claim:
    """Item 13."""
    views = facts.get(AUDIT, "view.table")
    if not views:
        return "not known", "No record has devices, settings or protocols."
    return "in part", f"Views on record: {listing(list(views))}. Devices and settings are not."


def reference(facts: Facts) -> Claim:
    """Item 14."""
    return "not known", f"{_labels(facts)} How they were found is not known."


def _labels(facts: Facts) -> str:
    layouts = _layouts(facts)
    if not layouts:
        return "No record says where the labels are from."
    places = [
        f"the folders of the images ({one.name})" if one in OF_FOLDERS
        else f"the list or table of the archive ({one.name})"
        for one in layouts
    ]  # fmt: skip
    renamed = ", renamed by data.classes" if facts.get(INDEX, "settings.data.classes") else ""
    return f"Labels are from {listing(places)}{renamed}."


def test_annotation(facts: Facts) -> Claim:
    """Item 17."""
    return "not known", f"{_labels(facts)} No record has annotations of test images alone."


def partitions(facts: Facts) -> Claim:
    """Item 19."""
    kind, shares = facts.get(INDEX, "metrics.groups.kind"), facts.get(INDEX, "settings.data.split")
    seed, design = facts.get(INDEX, "settings.seed"), facts.get(ABLATION, "metrics.design", {})
    by = f"At random by {kind}, shares {cell(shares)}, seed {cell(seed)}"
    if not facts.arms:
        return "filled in", f"{by}."
    if not design:
        return "in part", f"{by}; how the ablation split them again is not recorded."
    folds = f" of {design['folds']} folds" if design.get("folds") else ""
    return (
        "filled in",
        f"{by}; resampling: {design['resampling']}{folds}, {design['repeats']} times.",
    )


def disjoint(facts: Facts) -> Claim:
    """Item 20."""
    kind = facts.get(INDEX, "metrics.groups.kind")
    without = facts.get(INDEX, "metrics.groups.images_without_patient")
    if without == 0:
        return "filled in", f"By {kind}; no group is in two partitions."
    return "in part", (
        f"By {kind}; images without a patient: {cell(without)}, so patients may be in two "
        "partitions."
    )


def sample_size(facts: Facts) -> Claim:
    """Item 21."""
    found = [arm["verdict"].get("detectable") for arm in facts.arms.values()]
    known = [value for value in found if value is not None]
    if not known:
        return "not known", "No planned sample size is on record, and none was computed."
    return "in part", (
        "No planned size is on record. Afterwards: with 80 % power differences of "
        f"{min(known):.3f} to {max(known):.3f} could be shown, depending on the arm."
    )


def model(facts: Facts) -> Claim:
    """Item 22."""
    recipe = facts.setting("classifier") or {}
    if not recipe:
        return "not known", "No settings of a classifier are on record."
    size = recipe.get("input_size") or facts.get(ABLATION, "metrics.design.input_size")
    state: State = "in part" if size is None else "filled in"
    label = next(iter(facts.records.trainings), "")
    side = facts.get(f"gan/{label}/result.json", "settings.gan.image_size")
    if any(arm["kind"] == "gan" for arm in facts.arms.values()):
        side = facts.get(ABLATION, "settings.gan.image_size")
    gan = f"; generators: DCGAN, {side} px" if side else ""
    return state, f"{recipe.get('model')}, input {size or 'unknown'} px{gan}; see Recipes."


def software(facts: Facts) -> Claim:
    """Item 23."""
    versions = facts.get(ABLATION, "versions") or facts.get(_REAL, "versions", {})
    named = [f"{name} {versions[name]}" for name in ("balancer", "torch") if name in versions]
    return "filled in", f"{listing(named)}; the rest under Recipes."


def initialisation(facts: Facts) -> Claim:
    """Item 24."""
    name, weights = facts.setting("classifier.model"), facts.setting("classifier.weights")
    if name is None or weights is None:
        return "not known", "No record says which weights a training began with."
    bundled = name in BUNDLED and weights == "auto"
    kinds = {
        "auto": "bundled ImageNet weights" if bundled else "random weights",
        "none": "random weights",
        "torchvision": "ImageNet weights of torchvision",
        "timm": "ImageNet weights of timm",
    }
    return "in part", f"{name}: {kinds.get(weights, 'a file of weights')} (weights={weights})."


def training(facts: Facts) -> Claim:
    """Item 25."""
    recipe = facts.setting("classifier") or {}
    steps = facts.get(ABLATION, "metrics.design.n_steps") or facts.get(_REAL, "metrics.n_steps")
    known = [f"{key}: {cell(recipe[key])}" for key in
             ("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "loss")
             if key in recipe]  # fmt: skip
    state: State = "filled in" if known else "in part"
    return state, (
        f"{cell(steps)} steps; {', '.join(known) or 'no settings on record'}; the "
        "rest, augmentation included, under Recipes."
    )


def selection(facts: Facts) -> Claim:
    """Item 26."""
    kept = {
        "last": "the weights at the end of training, without a choice",
        "best": "the weights with the best validation result",
    }.get(facts.setting("classifier.keep"))
    if kept is None:
        return "not known", "No record says which weights were kept."
    scaled = facts.setting("classifier.calibration") == "temperature"
    names = facts.get(ABLATION, "metrics.question.class_names")
    threshold = len(names) == 2 if names else facts.get(_REAL, "metrics.threshold") is not None
    also = [*["threshold"] * threshold, *["temperature"] * scaled]
    by = f"; {listing(also)} by validation images" if also else ""
    return "filled in", f"Kept: {kept}{by}."


def ensembles(facts: Facts) -> Claim:
    """Item 27."""
    members, views = facts.setting("classifier.members"), facts.setting("classifier.views")
    if members is None or views is None:
        return "not known", "No record says how many networks or views are averaged."
    if (members, len(views)) == (1, 1):
        return "filled in", "None."
    return "filled in", f"Mean probability of networks: {members}; views of an image: {len(views)}."


def metrics(facts: Facts) -> Claim:
    """Item 28."""
    primary = facts.get(ABLATION, "metrics.question.primary_title")
    if primary is not None:
        also = {key for arm in facts.arms.values() for key in arm["metrics"]}
        names = [title for key, title in TITLES.items() if key in also and title != primary]
        calibration = any(arm.get("calibration") for arm in facts.arms.values())
        return "filled in", (
            f"Primary: {primary}; also {listing(names, 12)}{', calibration' * calibration}."
        )
    tests = facts.tests.values()
    names = [title for key, title in TITLES.items() if any(key in found for found in tests)]
    return "in part", f"{listing(names, 12)}; no primary metric is on record."


def uncertainty(facts: Facts) -> Claim:
    """Item 29."""
    arms = facts.arms
    if not arms:
        found = next(iter(facts.tests.values()))
        return "in part", (
            f"Bootstrap, {found['n_bootstrap']} samples of {found['n_groups']} test groups; one "
            "training per classifier."
        )
    pairs = [pair for arm in arms.values() for pair in arm["against"].values()]
    values = [value for pair in pairs for value in pair["metrics"].values()]
    used = {
        "Nadeau-Bengio intervals": any(value.get("low") is not None for value in values),
        "bootstrap by group": any((value.get("bootstrap") or {}).get("low") is not None
                                  for value in values),
        "DeLong": any((pair.get("delong") or {}).get("median_p") is not None for pair in pairs),
        "McNemar": any((pair.get("mcnemar") or {}).get("median_p") is not None for pair in pairs),
        "Holm over the arms": any(value.get("p_holm") is not None for value in values),
    }  # fmt: skip
    named = [name for name, is_used in used.items() if is_used]
    if not named:
        return "not known", "No interval or test could be computed."
    return ("filled in" if used["Nadeau-Bengio intervals"] else "in part"), f"{listing(named, 9)}."


def robustness(facts: Facts) -> Claim:
    """Item 30."""
    arms = facts.arms
    runs = max((arm["n_runs"] for arm in arms.values()), default=0)
    design = facts.get(ABLATION, "metrics.design", {})
    probes = [one["probe"] for one in facts.get(ABLATION, "metrics.probes", []) if "auroc" in one]
    found = [f"{runs} runs per arm, {cell(design.get('seeds'))} seeds a split"] * (runs > 1)
    found += [f"probes of shortcuts: {listing(probes)}"] if probes else []
    controls = [name for name, arm in arms.items() if arm["kind"] == "control"]
    found += [f"controls: {listing(controls)}"] if controls else []
    left_out = facts.get(ABLATION, "metrics.sources.tested", {})
    found += [f"sources left out in turn: {listing(list(left_out))}"] if left_out else []
    if not found:
        return "not known", "No other splits, seeds, probes or controls are on record."
    return "filled in", f"{'; '.join(found)}."


def explainability(facts: Facts) -> Claim:
    """Item 31."""
    target = facts.get(EXPLAIN, "metrics.target_class")
    looks = facts.get(LEDGER, "explained", {})
    if target is not None:
        n, models = facts.get(EXPLAIN, "metrics.images.n"), facts.get(EXPLAIN, "metrics.models")
        return "filled in", f"Grad-CAM of {target} on {n} test images: {listing(list(models))}."
    if looks:
        return "in part", (
            f"Maps of test images were made of {listing(list(looks))}; those of this index are not "
            "in the workspace."
        )
    return "not known", "No maps or other explanations are on record."


def internal(facts: Facts) -> Claim:
    """Item 32."""
    said = [f"{arm}: {found['n']} test images" for arm, found in facts.tests.items()]
    said += [f"{arm['n_runs']} runs of {name}" for name, arm in facts.arms.items()]
    reads = facts.get(LEDGER, "sentence") or facts.get(ABLATION, "metrics.ledger.sentence")
    return "filled in", f"{listing(said, 20)}. Ledger: {cell(reads).rstrip('.')}."


def external(facts: Facts) -> Claim:
    """Item 33."""
    names = list(facts.get(ABLATION, "metrics.external", {}))
    names += [
        f"{facts.get(f'{place}/result.json', 'settings.name')} ({arm})"
        for place in facts.records.external
        if (arm := facts.get(f"{place}/result.json", "metrics.arm")) is not None
    ]
    if not names:
        return "not known", "No test on other data is on record."
    return "filled in", f"Tested on {listing(names)}."


def flow(facts: Facts) -> Claim:
    """Item 35."""
    n, groups = facts.get(INDEX, "metrics.images"), facts.get(INDEX, "metrics.groups.number")
    return "in part", (
        f"{n} images in {cell(groups)} groups. {_left_out(facts)} Patients before that are not "
        "known."
    )


def performance(facts: Facts) -> Claim:
    """Item 37."""
    key = facts.get(ABLATION, "metrics.question.primary", "auroc")
    found = {name: arm["metrics"].get(key) for name, arm in facts.arms.items()}
    found = found or {name: test.get(key) for name, test in facts.tests.items()}
    return _figures(TITLES.get(key, key), found)


def diagnostic(facts: Facts) -> Claim:
    """Item 38."""
    first = {name: arm["metrics"] for name, arm in facts.arms.items()} or facts.tests
    name, found = next(iter(first.items()))
    figures = {f"{key} of {name}": found.get(key) for key in ("sensitivity", "specificity")}
    return _figures("", figures)


def _figures(title: str, found: Mapping[str, Json | None]) -> Claim:
    """Return values with their intervals; in part where an interval is undefined."""
    whole = all(value and value.get("low") is not None for value in found.values())
    said = listing([f"{name} {scalar(value)}" for name, value in found.items()], 12)
    if whole:
        return "filled in", f"{title} {said}, with 95 % intervals.".strip()
    return "in part", f"{title} {said}; not every 95 % interval is defined.".strip()


def failures(facts: Facts) -> Claim:
    """Item 39."""
    shown: Sequence[Json] = facts.get(EXPLAIN, "metrics.shown", [])
    looks = facts.get(LEDGER, "explained", {})
    wrong = sum(one["drawn_as"] == "wrong" for one in shown)
    said = ["Confusion of the classes"] if facts.tests or facts.records.units else []
    if facts.records.units:
        facts.note(f"{REPORT}: curves.confusion")
    if shown:
        said.append(f"single cases with Grad-CAM: {len(shown)}, drawn as wrong: {wrong}")
    elif looks:
        said.append("test images were looked at by `balancer explain`; its cases are not here")
    else:
        said.append("no look at single cases is on record")
    return "in part", f"{'; '.join(said)}."


def limitations(facts: Facts) -> Claim:
    """Item 40."""
    n = len(facts.get(INDEX, "metrics.warnings", []))
    gate = facts.get(QUALITY, "metrics.classes", {})
    failed = [label for label, one in gate.items() if one["gate"]["passed"] is not True]
    also = f"; the quality gate is not passed by images of {listing(failed)}" if failed else ""
    return "in part", f"“What this does not say”; warnings of the audit: {n}{also}."


def protocol(facts: Facts) -> Claim:
    """Item 42."""
    main = ABLATION if facts.arms else _REAL
    return "in part", (
        f"Settings under Recipes, hash {facts.get(main, 'config_hash')[:12]}; no registered "
        "protocol is on record."
    )


def availability(facts: Facts) -> Claim:
    """Item 43."""
    digest = facts.get(INDEX, "metrics.index_sha256", "")[:12]
    licences = [one.licence for one in _layouts(facts) if one.licence]
    licence = f" Licence of the archive: {listing(licences)}." if licences else ""
    return "in part", (
        f"Versions, settings and hashes under Recipes (index {digest}).{licence} Access to the "
        "data and models is not known."
    )
