"""`recipe.json` and the model card of a generator, filled from the records of its workspace."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from balancer.drawing.wording import cell
from balancer.quality.records import ClassQuality
from balancer.report.blocks import Answer, Block, Bullets, Code, Paragraph, Section, Table
from balancer.results import Record, StageResult
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
from balancer.sharing.recipe import GENERATOR_FILE, ExportCheck
from balancer.synthetic.onnx_generator import IMAGES, INPUT, VALUES
from balancer.synthetic.records import GeneratorMetrics

SCRIPT = """\
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

folder, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
recipe = json.loads((folder / "recipe.json").read_text())
session = onnxruntime.InferenceSession(folder / "generator.onnx")
latents = np.random.default_rng(seed).standard_normal((count, recipe["latent_dim"]), np.float32)
_, images = session.run(None, {"latents": latents})
for number, image in enumerate(images):
    Image.fromarray(image).save(f"{recipe['class_name']}-{seed}-{number:04d}.png")
"""
"""A program that needs onnxruntime, NumPy and Pillow alone."""


class GeneratorRecipe(Record):
    """The way from random numbers to images by `generator.onnx`.

    Attributes:
        kind: Kind of the model.
        file: Name of the model's file.
        input: Name of its input: latents, float32 (N, latent_dim), standard normal.
        outputs: Names of its outputs: values, float32 (N, C, S, S) in [-1, 1], and images, uint8
            (N, S, S) or (N, S, S, 3).
        latent_dim: Length of a latent.
        size: Width and height of the images.
        channels: Number of channels of the images.
        class_name: Class of the images.
        weights_sha256: SHA-256 of the weights that the file was made from.
        metadata_key: Key of this recipe in the metadata of the file, without the check.
        check: Comparison with torch; null in the metadata of the file.
    """

    kind: Literal["generator"] = "generator"
    file: str = GENERATOR_FILE
    input: str = INPUT
    outputs: tuple[str, ...] = (VALUES, IMAGES)
    latent_dim: int
    size: tuple[int, int]
    channels: int
    class_name: str
    weights_sha256: str
    metadata_key: str = "balancer"
    check: ExportCheck | None = None


@dataclass(frozen=True, slots=True)
class GeneratorFacts:
    """A generator, as its card tells of it.

    Attributes:
        data: Its images.
        training: `result.json` of `gan-train`.
        recipe: Its recipe.
        quality: Figures and verdict of `quality` on its images; None: not measured.
        licence: Licence of the model; None: nobody has chosen one.
    """

    data: DataFacts
    training: StageResult[GeneratorMetrics]
    recipe: GeneratorRecipe
    quality: ClassQuality | None
    licence: str | None

    @property
    def word(self) -> str:
        """Word on sharing its images."""
        release = None if self.quality is None else self.quality.release
        return "not measured" if release is None else release.word


def generator_card(facts: GeneratorFacts) -> str:
    """Return the card, Markdown with a head that hubs read."""
    recipe, trained = facts.recipe, facts.training.metrics
    width, height = recipe.size
    answer = Answer(
        question=f"{recipe.class_name}: a generator of {facts.data.domain.title}",
        word=None,
        sentence=(
            f"A DCGAN that draws images of {width} x {height} px, trained on "
            f"{trained.training_images} real ones. On sharing its images: {facts.word}."
        ),
        blocks=[Paragraph(NOT_A_DEVICE, "warning")],
        limits=list(_limits(facts)),
    )
    head = head_of(
        tags=[facts.data.domain.name, "dcgan"],
        pipeline="unconditional-image-generation",
        licence=facts.licence,
        results={},
    )
    return render_card(head, answer, [
        Section("use", "Intended use", [Bullets([
            f"For: research that adds images of {recipe.class_name} to training images.",
            "Not for: validation or test images, teaching of diagnosis, or the care of patients.",
        ])]),
        _model_section(facts),
        data_section(facts.data),
        _quality_section(facts),
        Section("run", "How to run it", [
            Paragraph("With onnxruntime, NumPy and Pillow alone; arguments are the folder, the "
                      "number of images and a seed:"),
            Code(SCRIPT.rstrip()),
            Paragraph("In Python with the balancer: gan.sample(gan.load(FOLDER), 100), which reads "
                      "generator.safetensors."),
        ]),
        licence_section(facts.licence, facts.data),
        making_section({
            "index": facts.data.index, f"gan/{recipe.class_name}": facts.training,
        }),
    ])  # fmt: skip


def _model_section(facts: GeneratorFacts) -> Section:
    recipe, trained = facts.recipe, facts.training.metrics
    chosen = trained.selected
    rows = [
        ["length of a latent", str(recipe.latent_dim)],
        ["channels", str(recipe.channels)],
        ["real images shown in training", cell(trained.images_shown)],
        ["weights, SHA-256", recipe.weights_sha256[:12]],
    ]
    if chosen is not None:
        rows += [
            ["snapshot chosen at images shown", cell(chosen.images_shown)],
            ["its KID to validation images", f"{chosen.kid:.4f}"],
        ]
    return Section("model", "Model", [Table("Generator", ["fact", "value"], rows)])


def _quality_section(facts: GeneratorFacts) -> Section:
    found = facts.quality
    if found is None:
        return Section("quality", "Quality", [
            Paragraph("The images of this generator were not measured.", "warning"),
        ])  # fmt: skip
    verdict = {True: "pass", False: "fail", None: "not decided"}
    checks = [[check.name, verdict[check.passed], check.sentence] for check in found.gate.checks]
    blocks: list[Block] = [
        Paragraph(f"Measured on {found.n} accepted images of {found.n_made or found.n} made."),
        Table(f"Gate: {verdict[found.gate.passed]}", ["check", "answer", "figure and limit"],
              checks, text_columns=(1, 2)),
        Paragraph(f"On sharing the images: {facts.word}.", "strong"),
    ]  # fmt: skip
    if found.release is not None:
        blocks.append(Bullets(found.release.reasons))
    return Section("quality", "Quality", blocks)


def _limits(facts: GeneratorFacts) -> Iterator[str]:
    yield (
        "A generator can repeat its training images, and its weights can give away more than the "
        "images that were measured: who has the weights can draw without end."
    )
    if facts.quality is None:
        yield "Its images were not compared with real ones."
    yield "That images look right does not make them useful: only a comparison of classifiers can."
    yield from limits_of_data(facts.data)
