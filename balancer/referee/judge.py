"""The judgement of the synthetic images of one class, and the verdict in one sentence."""

from collections.abc import Mapping
from pathlib import Path

from balancer.data.collection import Collection
from balancer.quality.assess import assess
from balancer.quality.checks import SHORTCUT, ask_all
from balancer.quality.choice import ChosenBy
from balancer.quality.config import GateConfig, QualityConfig
from balancer.quality.descriptors import trivial_statistics
from balancer.quality.extractors import Extractor
from balancer.quality.figures import Tell
from balancer.quality.memorization import Nearest
from balancer.quality.probes import find_tell
from balancer.quality.records import CheckResult, ClassQuality, GateResult
from balancer.quality.sets import ClassFeatures, ClassImages
from balancer.referee.files import GIVES_AWAY, alike, file_facts
from balancer.referee.records import ClassJudgement, FileFact, SideCounts
from balancer.referee.sides import Sides


def judge_class(
    label: str,
    sides: Sides,
    *,
    extractors: Mapping[str, Extractor],
    quality: QualityConfig,
    gate: GateConfig,
    seed: int,
    directory: Path,
    cache: Path,
    chosen: ChosenBy,
) -> tuple[ClassJudgement, ClassImages, Nearest]:
    """Measure the images of one class and ask every check of the gate.

    Args:
        label: The class.
        sides: What is compared.
        extractors: Extractors by name; the first one also serves the probes.
        quality: Sizes of samples.
        gate: Limits of the gate.
        seed: Seed for everything drawn.
        directory: Folder that keeps decoded pixels.
        cache: Folder that keeps features.
        chosen: Name of an extractor that chose the images to what it chose.

    Returns:
        The verdict, the pixels it is of, and the real image nearest to each synthetic one.
    """
    judged = _first(sides.synthetic[label], quality.max_images)
    made = judged.pixels(sides.size, directory / "synthetic" / label, channels=sides.channels)
    real, held_out = (
        {
            name: side.pixels(sides.size, directory / word / name, channels=sides.channels)
            for name, side in by_class.items()
        }
        for word, by_class in (("real", sides.real), ("held-out", sides.held_out))
    )
    images = ClassImages(label, made, made, real, held_out, sides.unseen, chosen)
    figures, nearest = assess(
        images, extractors=extractors, quality=quality, gate=gate, seed=seed, cache=cache
    )
    sets = ClassFeatures(
        images, extractors=extractors, quality=quality, gate=gate, seed=seed, cache=cache
    )
    reduced = find_tell(sets, lambda some: trivial_statistics(alike(some)))
    files = file_facts(sides.real[label], judged)
    answers = ask_all(label, figures, gate)
    named = GateResult.of(
        tuple(_with_cause(answer, files, reduced, gate) for answer in answers.checks)
    )
    copies = () if figures.release is None else figures.release.copies
    judgement = ClassJudgement(
        real=_counts(sides.real[label]),
        held_out=_counts(sides.held_out[label]),
        synthetic=_counts(judged),
        files=files,
        alike=reduced,
        copies=tuple(judged.images[row].path for row in copies),
        quality=ClassQuality.of(figures, membership=None, gate=named),
    )
    return judgement, images, nearest


def verdict_sentence(classes: Mapping[str, ClassJudgement], *, unseen: bool) -> str:
    """Say in one sentence whether the images pass, and why not.

    Args:
        classes: The verdicts by class.
        unseen: Whether held-out images are known to be unseen.
    """
    parts = []
    for label, one in classes.items():
        gate, n = one.quality.gate, one.synthetic.n
        what = f"the {n} synthetic images of {label}"
        fail, are = "fail", "are"
        if n == 1:
            what, fail, are = f"the synthetic image of {label}", "fails", "is"
        if gate.passed is False:
            parts.append(f"{what} {fail} ({', '.join(gate.failures)})")
        elif gate.passed is None:
            parts.append(f"{what} {fail} nothing, but {are} too few to answer everything")
        else:
            parts.append(f"{what} pass every check")
    text = "; ".join(parts)
    if not unseen:
        text += "; whether the generator leans towards what it saw is not known without --holdout"
    return f"{text[0].upper()}{text[1:]}."


def _first(side: Collection, most: int) -> Collection:
    return side.keep([place < most for place in range(len(side.images))])


def _counts(side: Collection) -> SideCounts:
    return SideCounts(
        name=side.name,
        n=len(side.images),
        unusable=len(side.unusable),
        left_out=dict(side.left_out),
    )


def _with_cause(
    answer: CheckResult, files: tuple[FileFact, ...], reduced: Tell | None, gate: GateConfig
) -> CheckResult:
    """Name the files as the cause of a tell that vanishes once both sides are alike."""
    if answer.name != SHORTCUT.name or answer.passed is not False or reduced is None:
        return answer
    if reduced.value > gate.max_trivial_auroc:
        return answer
    differing = [fact.name for fact in files if fact.separation >= GIVES_AWAY]
    cause = (
        f"it comes from the files, whose {' and '.join(differing)} differ, so save both sides alike"
        if differing
        else "what differs is the finest detail alone"
    )
    sentence = (
        f"{answer.sentence}; after both are reduced and compressed alike, AUROC "
        f"{reduced.value:.3f}: {cause}"
    )
    return answer.model_copy(update={"sentence": sentence})
