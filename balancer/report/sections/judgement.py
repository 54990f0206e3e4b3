"""The content of the page of `judge`: verdict, pictures and floors first, then every figure."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from balancer.drawing.wording import number
from balancer.quality.choice import choice_sentence
from balancer.quality.figures import Tell
from balancer.quality.summary import title_of
from balancer.referee.files import GIVES_AWAY
from balancer.referee.records import ClassJudgement, FileFact, JudgeMetrics
from balancer.report.blocks import (
    Answer,
    Block,
    Bullets,
    Figure,
    Paragraph,
    Report,
    Section,
    Table,
)
from balancer.report.sections.images import class_blocks
from balancer.report.sections.sharing import sharing_section

WORDS = {True: "pass", False: "fail", None: "inconclusive"}


def judgement_page(metrics: JudgeMetrics, folder: Path) -> Report:
    """Compose the page.

    Args:
        metrics: The result of `judge`.
        folder: Folder of its pictures.
    """

    def has_picture(name: str) -> bool:
        # The first screen shows both sides already.
        return not name.startswith("beside-") and (folder / f"{name}.png").is_file()

    first: list[Block] = []
    for label, one in metrics.classes.items():
        first.append(
            Figure(
                f"beside-{label}",
                f"Real images left, synthetic ones right, of {label}.",
                f"Real images (left) and synthetic ones (right): {label}",
                kind="pixels",
            )
        )
        first.append(_floors(label, one))
        if (release := one.quality.release) is not None:
            first.append(Paragraph(f"Sharing {label}: {release.word}. {' '.join(release.reasons)}"))
    answer = Answer(
        "Are these images any good?",
        WORDS[metrics.passed],
        metrics.sentence,
        first,
        list(_limits(metrics)),
    )
    every = [
        block
        for label, one in metrics.classes.items()
        for block in class_blocks(has_picture, label, one.quality, "")
    ]
    return Report(
        answer,
        [
            Section("gate", "Every check and figure", every),
            Section("files", "What was compared, and what the files give away", [*_files(metrics)]),
            sharing_section(
                {label: one.quality.release for label, one in metrics.classes.items()},
                {label: one.copies for label, one in metrics.classes.items()},
            ),
        ],
    )


def _floors(label: str, one: ClassJudgement) -> Table:
    rows = [
        [title_of(name, distance), str(same.n), number(same.value), number(same.real_against_real)]
        for name, distance in one.quality.against.get("training", {}).items()
        if (same := distance.same_n) is not None
    ]
    copies = one.quality.memorization.near_copies
    tells = one.quality.tells
    chosen = choice_sentence(one.quality.chosen_by, one.quality.main)
    rows.append(["near copies of real images ↓", str(one.quality.memorization.n),
                 number(copies.generated), number(copies.held_out)])  # fmt: skip
    rows += [
        _tell(title, tell)
        for title, tell in (
            ("told from real by features, AUROC ↓", tells.features),
            ("told from real by grey levels and sharpness, AUROC ↓", tells.trivial_statistics),
        )
        if tell is not None
    ]
    return Table(
        f"{label}: synthetic images, and real ones in their place",
        ["figure", "n", "synthetic", "real (floor)"],
        rows,
        note="↓ lower is better, ↑ higher is better. The floor is what real images reach at the "
        f"same n; no generator can be asked for more.{f' {chosen}' if chosen else ''}",
    )


def _tell(title: str, tell: Tell) -> list[str]:
    floor = tell.real_against_real
    return [title, str(tell.n), number(tell.value), "-" if floor is None else number(floor.value)]


def _limits(metrics: JudgeMetrics) -> Iterator[str]:
    yield (
        "That the images help a classifier: that is asked by `balancer classify --with-synthetic` "
        "and `balancer ablate`, beside cheaper remedies."
    )
    if metrics.unseen:
        yield (
            "That the held-out images are unseen: this is your word. Images from another hospital "
            "than the real ones would look like a leak, or hide one."
        )
    else:
        yield (
            "Whether the generator leans towards the images that it saw: only images that it did "
            "not see could show it (--holdout)."
        )
    yield "Copies that are turned by 10 degrees or more, or zoomed by 15 % or more, are not found."


def _files(metrics: JudgeMetrics) -> Iterator[Block]:
    yield Table(
        "Images compared",
        ["class", "real", "held out", "synthetic", "unusable", "not read"],
        [_counts(label, one) for label, one in metrics.classes.items()],
    )
    kind = "in colour" if metrics.channels > 1 else "as grey"
    compared = f"All images were compared {kind}, at {metrics.size} x {metrics.size} px of 8 bits."
    yield Bullets([*metrics.notes, compared])
    for label, one in metrics.classes.items():
        yield Table(
            f"{label}: the files",
            ["fact", "real", "synthetic", "sorts the files"],
            [_fact(fact) for fact in one.files],
            text_columns=(1, 2),
            note="The last column is 1 where the fact alone tells every synthetic file from every "
            "real one, and 0 where it says nothing.",
        )
        yield from _causes(label, one)


def _counts(label: str, one: ClassJudgement) -> list[str]:
    sides = (one.real, one.held_out, one.synthetic)
    return [
        label,
        *(str(side.n) for side in sides),
        str(sum(side.unusable for side in sides)),
        str(sum(sum(side.left_out.values()) for side in sides)),
    ]


def _fact(fact: FileFact) -> list[str]:
    def shown(values: Mapping[str, int]) -> str:
        return ", ".join(f"{word or 'not known'} ({n})" for word, n in values.items())

    return [fact.name, shown(fact.real), shown(fact.synthetic), f"{fact.separation:.2f}"]


def _causes(label: str, one: ClassJudgement) -> Iterator[Block]:
    for fact in one.files:
        if fact.separation >= GIVES_AWAY:
            yield Paragraph(
                f"The {fact.name} of the file alone tells synthetic from real images of {label}. "
                "Save both sides in one way before you train on them.",
                "warning",
            )
    tell = one.quality.tells.trivial_statistics
    if tell is not None and one.alike is not None:
        yield Paragraph(
            f"Grey levels, borders and sharpness tell them apart with AUROC {tell.value:.3f}; "
            "after both sides were reduced to half the size and compressed in one way, with AUROC "
            f"{one.alike.value:.3f}. The difference is what format, compression and the finest "
            "detail give away."
        )
