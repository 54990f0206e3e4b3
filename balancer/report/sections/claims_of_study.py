"""Answers of the checklists about the study: aims, networks, training, tests and results."""

from collections.abc import Mapping

from balancer.ablation.families.arm import FAMILIES, Needs
from balancer.drawing.numbers import HasInterval
from balancer.drawing.wording import TITLES, cell, listing, scalar
from balancer.report.records import REPORT
from balancer.report.sections.facts import Claim, Facts, State, existing
from classifier.cards import BUNDLED


def kind_of_study(facts: Facts) -> Claim:
    """Return the claim on kind of study."""
    model = facts.setting("classifier.model")
    if model is None:
        return "not known", "No record names the networks."
    made = facts.synthetic.get(lambda images: images.metrics.made)
    generated = made or any(arm.kind == "gan" for arm in facts.arms.values())
    makers = ", and generators of training images" if generated else ""
    return "in part", f"Deep learning: classifiers ({model}){makers}. The title is the authors'."


def summary(facts: Facts) -> Claim:
    """Return the claim on summary."""
    said = facts.ablation.get(lambda study: study.metrics.verdict.sentence)
    if said is None and facts.tests:
        facts.note(f"{REPORT}: comparison.sentence")
    return "in part", "The first screen of this report; the abstract is the authors'."


def aims(facts: Facts) -> Claim:
    """Return the claim on aims."""
    asked = facts.ablation.get(lambda study: study.metrics.question)
    if asked is None:
        return "in part", f"To compare {listing(list(facts.tests))}; no hypothesis is on record."
    others = [name for name, arm in facts.arms.items() if arm.kind != "reference"]
    found = facts.ablation.get(lambda study: study.metrics.registration)
    fixed = "from the configuration"
    if found is not None and found.covers_headline:
        fixed = f"registered on {found.time}, before any look"
    return "filled in", (
        f"The effect of {listing(others) or 'no arm'} on {asked.primary_title} for "
        f"{asked.positive_class}; margin {asked.margin:g} and level {asked.alpha:g}, {fixed}."
    )


def goal(facts: Facts) -> Claim:
    """Return the claim on goal."""
    n = len(facts.arms) or len(facts.tests)
    return "in part", f"A comparison of {n} ways to train a classifier; no clinical goal is known."


def sample_size(facts: Facts) -> Claim:
    """Return the claim on sample size."""
    found = [arm.verdict.detectable for arm in facts.arms.values()]
    known = [value for value in found if value is not None]
    if not known:
        return "not known", "No planned sample size is on record, and none was computed."
    return "in part", (
        "No planned size is on record. Afterwards: with 80 % power differences of "
        f"{min(known):.3f} to {max(known):.3f} could be shown, depending on the arm."
    )


def model(facts: Facts) -> Claim:
    """Return the claim on model."""
    if _is_frozen(facts):
        return (
            "filled in",
            "a linear head on frozen features of a bundled network; see Recipes.",
        )
    recipe = facts.setting("classifier") or {}
    if not recipe:
        return "not known", "No settings of a classifier are on record."
    size = recipe.get("input_size") or facts.ablation.get(
        lambda study: existing(study.metrics.design).input_size
    )
    state: State = "in part" if size is None else "filled in"
    side = next((training.setting("gan.image_size") for training in facts.trainings.values()), None)
    own = {name: _is_ours(name) for name, arm in facts.arms.items() if arm.kind == "gan"}
    if any(own.values()):
        side = facts.ablation.setting("gan.image_size")
    makers = f"; generators: DCGAN, {side} px" if side else ""
    others = [name for name, is_ours in own.items() if not is_ours]
    makers += f"; generators that are not ours: {listing(others)}" if others else ""
    return state, f"{recipe.get('model')}, input {size or 'unknown'} px{makers}; see Recipes."


def _is_ours(arm: str) -> bool:
    """Return whether an arm trains on images of the DCGAN, by the family that its name begins."""
    family = FAMILIES.get(arm.partition(" ")[0])
    return family is not None and family.needs is not Needs.OUTSIDE


def _is_frozen(facts: Facts) -> bool:
    """Return True for a quick study, whose classifier is a head on frozen features."""
    return bool(facts.ablation.get(lambda study: study.metrics.tier))


def software(facts: Facts) -> Claim:
    """Return the claim on software."""
    versions = facts.ablation.get(lambda study: study.versions)
    versions = versions or facts.real.get(lambda arm: arm.versions) or {}
    named = [f"{name} {versions[name]}" for name in ("balancer", "torch") if name in versions]
    return "filled in", f"{listing(named)}; the rest under Recipes."


def initialisation(facts: Facts) -> Claim:
    """Return the claim on initialisation."""
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
    """Return the claim on training."""
    if _is_frozen(facts):
        return (
            "filled in",
            "A linear head was fitted per arm and split; no network was trained.",
        )
    recipe = facts.setting("classifier") or {}
    steps = facts.ablation.get(lambda study: existing(study.metrics.design).n_steps)
    steps = steps or facts.real.get(lambda arm: arm.metrics.n_steps)
    known = [f"{key}: {cell(recipe[key])}" for key in
             ("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "loss")
             if key in recipe]  # fmt: skip
    state: State = "filled in" if known else "in part"
    return state, (
        f"{cell(steps)} steps; {', '.join(known) or 'no settings on record'}; the "
        "rest, augmentation included, under Recipes."
    )


def selection(facts: Facts) -> Claim:
    """Return the claim on selection."""
    kept = {
        "last": "the weights at the end of training, without a choice",
        "best": "the weights with the best validation result",
    }.get(facts.setting("classifier.keep"))
    if kept is None:
        return "not known", "No record says which weights were kept."
    by = f"; {listing(facts.fitted)} by validation images" if facts.fitted else ""
    return "filled in", f"Kept: {kept}{by}."


def ensembles(facts: Facts) -> Claim:
    """Return the claim on ensembles."""
    members, views = facts.setting("classifier.members"), facts.setting("classifier.views")
    if members is None or views is None:
        return "not known", "No record says how many networks or views are averaged."
    if (members, len(views)) == (1, 1):
        return "filled in", "None."
    return "filled in", f"Mean probability of networks: {members}; views of an image: {len(views)}."


def metrics(facts: Facts) -> Claim:
    """Return the claim on metrics."""
    primary = facts.ablation.get(lambda study: study.metrics.question.primary_title)
    if primary is not None:
        also = {key for arm in facts.arms.values() for key in arm.metrics}
        names = [title for key, title in TITLES.items() if key in also and title != primary]
        calibration = any(arm.calibration for arm in facts.arms.values())
        return "filled in", (
            f"Primary: {primary}; also {listing(names, 12)}{', calibration' * calibration}."
        )
    tests = [test.by_name() for test in facts.tests.values()]
    names = [title for key, title in TITLES.items() if any(key in found for found in tests)]
    return "in part", f"{listing(names, 12)}; no primary metric is on record."


def uncertainty(facts: Facts) -> Claim:
    """Return the claim on uncertainty."""
    arms = facts.arms
    for found in [] if arms else facts.tests.values():
        return "in part", (
            f"Bootstrap, {found.n_bootstrap} samples of {found.n_groups} test groups; one "
            "training per classifier."
        )
    pairs = [pair for arm in arms.values() for pair in arm.against.values()]
    values = [value for pair in pairs for value in pair.metrics.values()]
    used = {
        "Nadeau-Bengio intervals": any(value.low is not None for value in values),
        "bootstrap of the test cases alone": any(
            value.bootstrap.low is not None for value in values
        ),
        "DeLong": any(pair.delong.median_p is not None for pair in pairs),
        "McNemar": any(pair.mcnemar.median_p is not None for pair in pairs),
        "Holm over the arms": any(value.p_holm is not None for value in values),
    }
    named = [name for name, is_used in used.items() if is_used]
    if not named:
        return "not known", "No interval or test could be computed."
    return ("filled in" if used["Nadeau-Bengio intervals"] else "in part"), f"{listing(named, 9)}."


def robustness(facts: Facts) -> Claim:
    """Return the claim on robustness."""
    arms = facts.arms
    runs = max((arm.n_runs for arm in arms.values()), default=0)
    design = facts.ablation.get(lambda study: study.metrics.design)
    probes = [
        one.probe for one in facts.ablation.get(lambda study: study.metrics.probes) or ()
        if one.auroc is not None
    ]  # fmt: skip
    seeds = None if design is None else design.seeds
    found = [f"{runs} runs per arm, {cell(seeds)} seeds a split"] * (runs > 1)
    found += [f"probes of shortcuts: {listing(probes)}"] if probes else []
    controls = [name for name, arm in arms.items() if arm.kind == "control"]
    found += [f"controls: {listing(controls)}"] if controls else []
    left_out = facts.ablation.get(lambda study: study.metrics.sources.tested)
    found += [f"sources left out in turn: {listing(list(left_out))}"] if left_out else []
    if not found:
        return "not known", "No other splits, seeds, probes or controls are on record."
    return "filled in", f"{'; '.join(found)}."


def explainability(facts: Facts) -> Claim:
    """Return the claim on explainability."""
    target = facts.explain.get(lambda maps: maps.metrics.target_class)
    looks = facts.ledger.get(lambda ledger: ledger.explained)
    if target is not None:
        n = facts.explain.get(lambda maps: maps.metrics.images.n)
        models = facts.explain.get(lambda maps: maps.metrics.models) or {}
        return "filled in", f"Grad-CAM of {target} on {n} test images: {listing(list(models))}."
    if looks:
        return "in part", (
            f"Maps of test images were made of {listing(list(looks))}; those of this index are not "
            "in the workspace."
        )
    return "not known", "No maps or other explanations are on record."


def internal(facts: Facts) -> Claim:
    """Return the claim on internal."""
    said = [f"{arm}: {found.n} test images" for arm, found in facts.tests.items()]
    said += [f"{arm.n_runs} runs of {name}" for name, arm in facts.arms.items()]
    reads = facts.ledger.get(lambda ledger: ledger.sentence) or facts.ablation.get(
        lambda study: existing(study.metrics.ledger).sentence
    )
    return "filled in", f"{listing(said, 20)}. Ledger: {cell(reads).rstrip('.')}."


def external(facts: Facts) -> Claim:
    """Return the claim on external."""
    names = list(facts.ablation.get(lambda study: study.metrics.external) or {})
    names += [
        f"{test.setting('name')} ({arm})"
        for test in facts.external
        if (arm := test.get(lambda result: result.metrics.arm)) is not None
    ]
    if not names:
        return "not known", "No test on other data is on record."
    return "filled in", f"Tested on {listing(names)}."


def performance(facts: Facts) -> Claim:
    """Return the claim on performance."""
    key = facts.ablation.get(lambda study: study.metrics.question.primary) or "auroc"
    found: dict[str, HasInterval | None]
    found = {name: arm.metrics.get(key) for name, arm in facts.arms.items()}
    found = found or {name: test.by_name().get(key) for name, test in facts.tests.items()}
    return _figures(TITLES.get(key, key), found)


def diagnostic(facts: Facts) -> Claim:
    """Return the claim on diagnostic."""
    first: dict[str, Mapping[str, HasInterval]]
    first = {name: arm.metrics for name, arm in facts.arms.items()}
    first = first or {name: test.by_name() for name, test in facts.tests.items()}
    figures = {
        f"{key} of {name}": found.get(key)
        for name, found in list(first.items())[:1]
        for key in ("sensitivity", "specificity")
    }
    return _figures("", figures)


def _figures(title: str, found: Mapping[str, HasInterval | None]) -> Claim:
    """Return values with their intervals; in part where an interval is undefined."""
    whole = all(value is not None and value.low is not None for value in found.values())
    said = listing([f"{name} {scalar(value)}" for name, value in found.items()], 12)
    if whole:
        return "filled in", f"{title} {said}, with 95 % intervals.".strip()
    return "in part", f"{title} {said}; not every 95 % interval is defined.".strip()


def failures(facts: Facts) -> Claim:
    """Return the claim on failures."""
    shown = facts.explain.get(lambda maps: maps.metrics.shown) or []
    looks = facts.ledger.get(lambda ledger: ledger.explained)
    wrong = sum(one.drawn_as == "wrong" for one in shown)
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
    """Return the claim on limitations."""
    n = len(facts.index.get(lambda index: index.metrics.warnings) or ())
    classes = facts.quality.get(lambda images: images.metrics.classes) or {}
    failed = [label for label, one in classes.items() if one.gate.passed is not True]
    also = f"; the quality gate is not passed by images of {listing(failed)}" if failed else ""
    return "in part", f"“What this does not say”; warnings of the audit: {n}{also}."


def protocol(facts: Facts) -> Claim:
    """Return the claim on protocol."""
    config_hash = (
        facts.ablation.get(lambda study: study.config_hash) if facts.arms
        else facts.real.get(lambda arm: arm.config_hash)
    )  # fmt: skip
    settings = f"Settings under Recipes, hash {(config_hash or '')[:12]}"
    found = facts.ablation.get(lambda study: study.metrics.registration)
    if found is None:
        return "in part", f"{settings}; no registered protocol is on record."
    state: State = "in part" if found.status == "not registered" else "filled in"
    label = f" {found.label}." if found.label else ""
    return state, (
        f"{found.sentence}{label} Protocol: SHA-256 {found.hash}. {settings}. A public deposit of "
        "the protocol is for the authors."
    )
