"""The model card of a classifier, filled from the records of its workspace."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from balancer.ablation.travel import UNTESTED
from balancer.drawing.numbers import interval
from balancer.drawing.wording import listing, reasons
from balancer.evaluation.records import ClassifyMetrics, EvaluateMetrics, Performance
from balancer.report.blocks import Answer, Block, Bullets, Code, Heading, Paragraph, Section, Table
from balancer.results import StageResult
from balancer.sharing.card import (
    NOT_A_DEVICE,
    DataFacts,
    data_section,
    head_of,
    licence_section,
    limits_of_data,
    making_section,
    render_card,
)
from balancer.sharing.recipe import SCRIPT, ClassifierRecipe

_HUB_METRICS = {"auroc": "roc_auc", "sensitivity": "recall", "mcc": "matthews_correlation"}
"""Names of metrics in the words of Hugging Face, where these differ."""


@dataclass(frozen=True, slots=True)
class ClassifierFacts:
    """A classifier, as its card tells of it.

    Attributes:
        data: Its images.
        result: `result.json` of `classify`.
        recipe: Its recipe.
        n_parameters: Number of parameters of all networks.
        external: Name of another data set to the test on it.
        elsewhere: Sentence on what is known of other hospitals.
        licence: Licence of the model; None: nobody has chosen one.
    """

    data: DataFacts
    result: StageResult[ClassifyMetrics]
    recipe: ClassifierRecipe
    n_parameters: int
    external: Mapping[str, StageResult[EvaluateMetrics]]
    elsewhere: str
    licence: str | None

    @property
    def test(self) -> Performance:
        """Metrics on the test images."""
        return self.result.metrics.test


def classifier_card(facts: ClassifierFacts) -> str:
    """Return the card, Markdown with a head that hubs read."""
    recipe, metrics = facts.recipe, facts.result.metrics
    title = f"{' or '.join(recipe.class_names)}: a classifier of {facts.data.domain.title}"
    known = f"AUROC of {metrics.positive_class} {interval(facts.test.auroc)} on {facts.test.n}"
    answer = Answer(
        question=title,
        word=None,
        sentence=f"{known} held-out test images of the same archives. {facts.elsewhere}",
        blocks=[Paragraph(NOT_A_DEVICE, "warning")],
        limits=list(_limits(facts)),
    )
    head = head_of(
        tags=[facts.data.domain.name, recipe.model],
        pipeline="image-classification",
        licence=facts.licence,
        results=_model_index(title, facts),
    )
    return render_card(head, answer, [
        _use_section(facts),
        _model_section(facts),
        data_section(facts.data),
        _evaluation_section(facts),
        Section("run", "How to run it", [
            Paragraph("With onnxruntime, NumPy and Pillow alone, on images of 8 bits:"),
            Code(SCRIPT.rstrip()),
            Paragraph("In Python with the balancer: classifier.load(FOLDER) and "
                      "classifier.predict(...), which read classifier.safetensors."),
        ]),
        licence_section(facts.licence, facts.data),
        making_section({"index": facts.data.index, f"classify/{metrics.arm}": facts.result}),
    ])  # fmt: skip


def _use_section(facts: ClassifierFacts) -> Section:
    classes, images = facts.recipe.class_names, facts.data.domain.images
    names = listing(classes, len(classes))  # a use is of all classes
    return Section("use", "Intended use", [
        Bullets([
            f"For: research on telling {names} in {images} like those of the archives below.",
            f"Not for: {images} of patients in care, other classes than {names} (every image is "
            "given one of them), other kinds of images.",
        ]),
    ])  # fmt: skip


def _model_section(facts: ClassifierFacts) -> Section:
    recipe, images = facts.recipe, facts.result.metrics.training_images
    first = "grey" if recipe.mode == "L" else "sRGB"
    before = [f"read as {first}, 8 bits a channel", f"resize by {recipe.resize}", *recipe.before]
    steps = [f"Before the file: {step}." for step in before] + [
        f"Inside the file: {step}." for step in recipe.inside
    ]
    made = f" and {images.synthetic} synthetic ones" if images.synthetic else ""
    outside = facts.result.metrics.outside_words
    return Section("model", "Model", [
        Paragraph(
            f"{recipe.model}, {recipe.members} network(s) with {facts.n_parameters:,} parameters "
            f"together, trained on {images.real} real images{made}{outside} in "
            f"{facts.result.metrics.n_steps} steps. Weights: SHA-256 {recipe.weights_sha256[:12]}."
        ),
        Bullets(steps),
        Paragraph("recipe.json has the same for programs, and the comparison of the file with "
                  "torch."),
    ])  # fmt: skip


def _evaluation_section(facts: ClassifierFacts) -> Section:
    blocks: list[Block] = [
        Paragraph(
            f"{_fitted(facts.recipe)}The test images were read afterwards. Intervals are 95 %, by "
            "a bootstrap of whole groups."
        ),
        *_performance("The test split of the same archives", facts.test),
    ]
    for name, result in facts.external.items():
        blocks += [Heading(f"Elsewhere: {name}")]
        blocks += _performance(f"{name}, unchanged weights and threshold", result.metrics.test)
    return Section("evaluation", "Evaluation", blocks)


def _fitted(recipe: ClassifierRecipe) -> str:
    """Say what validation images decided; empty of a classifier with neither."""
    fitted = [f"threshold {recipe.threshold:.3f}"] if recipe.threshold is not None else []
    fitted += [f"temperature {recipe.temperature:.3f}"] if recipe.temperature != 1 else []
    return f"Chosen on validation images: {listing(fitted)}. " if fitted else ""


def _performance(caption: str, test: Performance) -> Iterator[Table | Paragraph]:
    per_class = {name: one.n for name, one in test.per_class.items()}
    counts = ", ".join(f"{n} {name}" for name, n in per_class.items())
    yield Table(
        f"{caption}: {test.n} images of {test.n_groups} groups ({counts})",
        ["metric", "value and 95 % interval"],
        [[title, interval(value)] for title, value in test.titled()],
        note=reasons(test.titled()),
    )
    yield Table(
        "Images by true class (row) and predicted class (column)",
        ["true class", *test.class_names],
        [
            [name, *(str(n) for n in row)]
            for name, row in zip(test.class_names, test.confusion, strict=True)
        ],
    )


def _limits(facts: ClassifierFacts) -> Iterator[str]:
    metrics, test = facts.result.metrics, facts.test
    if facts.elsewhere.startswith(UNTESTED):
        yield f"{UNTESTED} Scores there are often far lower."
    positives = test.per_class[metrics.positive_class].n
    yield (
        f"The test has {positives} images of {metrics.positive_class}; the intervals show what "
        "that number can tell."
    )
    if metrics.test_reads is not None and metrics.test_reads > 1:
        yield (
            f"{metrics.test_reads} classifiers of this kind were tested on these images, so "
            "choices between them are no longer independent of the test."
        )
    if metrics.training_images.synthetic:
        yield "A part of the training images is synthetic; their generator may have its own faults."
    if facts.recipe.before:
        yield f"The file alone is not enough; it needs: {'; '.join(facts.recipe.before)}."
    yield from limits_of_data(facts.data)


def _model_index(title: str, facts: ClassifierFacts) -> dict[str, Any]:
    """Return the entry of `model-index`: tests and their scores."""
    tests = {"test split of the same archives": facts.test}
    tests |= {name: result.metrics.test for name, result in facts.external.items()}
    results = [
        {
            "task": {"type": "image-classification"},
            "dataset": {"type": "imagefolder", "name": name},
            "metrics": [
                {
                    "type": _HUB_METRICS.get(key, key),
                    "name": f"{test.titles()[key]}, {interval(value)}",
                    "value": value.value,
                }
                for key, value in test.by_name().items()
                if value.value is not None
            ],
        }
        for name, test in tests.items()
    ]
    return {"name": title, "results": results}
