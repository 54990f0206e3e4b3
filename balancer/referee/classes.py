"""The classes of the sides of a judgement, matched by their names."""

from collections.abc import Sequence

from balancer.data.collection import Collection
from balancer.errors import ConfigurationError, DataError


def same_classes(
    known: Collection, made: Collection, classes: Sequence[str], notes: list[str]
) -> tuple[Collection, Collection]:
    """Give every image a class of the real side, and keep the synthetic ones to judge.

    Args:
        known: Real images.
        made: Synthetic images.
        classes: Classes to judge; none: all that have synthetic images.
        notes: Gets a sentence for what is left out or taken together.

    Raises:
        ConfigurationError: The class of the synthetic images cannot be told.
        DataError: A class to judge has none.
    """
    if known.labels == ("",):
        if len(classes) > 1:
            raise ConfigurationError(
                f"{known.name!r} should have a folder for each of {', '.join(classes)}, but has no "
                "classes; give one --class, or the folder above the class folders."
            )
        known = known.labelled(classes[0] if classes else known.name)
    unknown = [name for name in classes if name not in known.labels]
    if unknown:
        raise ConfigurationError(
            f"--class should name a class of {known.name!r}, but {unknown[0]!r} is none of "
            f"{', '.join(known.labels)}."
        )
    common = {*made.labels} & {*known.labels}
    if common == {*made.labels} or common & {*classes}:
        wanted = classes or made.labels
        if absent := [name for name in wanted if name not in made.labels]:
            raise DataError(f"There should be synthetic images of {absent[0]!r}, but there are "
                            "none; leave out this --class.")  # fmt: skip
        return known, _only(made, wanted, "synthetic", notes)
    only = classes or (known.labels if len(known.labels) == 1 else ())
    if common or len(only) != 1:
        found = ", ".join(filter(None, made.labels)) or "none"
        raise ConfigurationError(
            f"The synthetic images should be in folders named as the real classes "
            f"({', '.join(known.labels)}), but are in {found}; say "
            "which class they are of (--class), or rename the folders."
        )
    if len(made.labels) > 1:
        notes.append(f"All synthetic images ({', '.join(made.labels)}) were taken for {only[0]}.")
    return known, made.labelled(only[0])


def like(
    unseen: Collection, known: Collection, notes: list[str], *, has_classes: bool
) -> Collection:
    """Give unseen images classes of the real side; images of other classes are left out.

    Args:
        unseen: Held-out images.
        known: Real images.
        notes: Gets a sentence for what is left out.
        has_classes: Whether the classes of the real side are its own, not the name of its folder.

    Raises:
        ConfigurationError: No class is one of the real side.
    """
    if unseen.labels == ("",):
        if len(known.labels) > 1:
            raise ConfigurationError(
                f"--holdout should have a folder per class ({', '.join(known.labels)}), but has "
                "none; sort its images."
            )
        return unseen.labelled(known.labels[0])
    if len(unseen.labels) == 1 and not has_classes:
        return unseen.labelled(known.labels[0])
    kept = _only(unseen, known.labels, "held-out", notes)
    if not kept.images:
        raise ConfigurationError(
            f"--holdout should have folders named as the real classes ({', '.join(known.labels)}), "
            f"but has {', '.join(unseen.labels)}; rename them."
        )
    return kept


def _only(side: Collection, wanted: Sequence[str], kind: str, notes: list[str]) -> Collection:
    kept = side.keep([image.label in wanted for image in side.images])
    if dropped := len(side.images) - len(kept.images):
        others = ", ".join(name or "no class" for name in side.labels if name not in wanted)
        notes.append(f"{dropped} {kind} images of other classes ({others}) were left out.")
    return kept
