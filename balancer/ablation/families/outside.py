"""Arms with images of generators that are not ours: folders per split, or a command per split."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from balancer.ablation.families.arm import (
    RATIO,
    Arm,
    FoldData,
    Maker,
    Needs,
    Option,
    number,
    register,
)
from balancer.ablation.runs import ArmFacts
from balancer.data.cache import open_cache
from balancer.data.index import Index
from balancer.data.io import Pixels
from balancer.data.roots import Roots
from balancer.errors import ConfigurationError, DataError
from balancer.manifest import ImageRecord, fingerprint, read_table
from balancer.synthetic.lineage import source_name
from balancer.synthetic.outside_images import TABLE
from balancer.synthetic.records import Lineage
from balancer.workspace import Workspace

_IN_BRACES = re.compile(r"\{(\w+)\}")


class OutsideArm(Arm):
    """The first images, by path, of a generator that is not ours."""

    kind = "gan"
    needs = Needs.OUTSIDE
    required: ClassVar[tuple[str, ...]]
    words_in_braces: ClassVar[tuple[str, ...]]
    """Words in braces that its line may hold; see docs/outside.md."""

    @classmethod
    def complete(cls, given: Mapping[str, Any], ratio: str) -> dict[str, Any]:
        """Add the defaults; refuse a line without what it cannot do without, or with a slip."""
        missing = [name for name in cls.required if not given.get(name)]
        if missing:
            raise ConfigurationError(
                f"An arm {cls.family} needs {' and '.join(missing)}, but its line has none; write "
                f"it such as {cls.example}."
            )
        words = [word for text in given.values() for word in _IN_BRACES.findall(str(text))]
        if slips := [word for word in words if word not in cls.words_in_braces]:
            known = ", ".join(f"{{{word}}}" for word in cls.words_in_braces)
            raise ConfigurationError(
                f"An arm {cls.family} fills in {known}, but its line has {{{slips[0]}}}; correct "
                "it."
            )
        return super().complete(given, ratio)

    example: ClassVar[str]

    @classmethod
    def title(cls, given: Mapping[str, str]) -> str:
        """Name the arm after its generator; the folder or the command would fill every table."""
        own = {key: text for key, text in given.items() if key == "ratio"}
        return " ".join([cls.family, given.get("name", ""), *(f"{k}={v}" for k, v in own.items())])

    @property
    def source(self) -> str:
        """Name of its generator."""
        return str(self.options["name"])

    @property
    def recipe_text(self) -> str:
        """The folder or the command, which a study registers beside the name."""
        return " ".join(f"{key}={self.options[key]}" for key in self.required if key != "name")

    @property
    def lineage(self) -> Lineage:
        """Knowledge of the images that its generator was trained on."""
        return "declared"

    def folder(self, place: Workspace) -> Workspace:
        """Return the workspace of its images in a fold."""
        return place.outside(self.slug)

    def maker(self, fold: FoldData, rng: np.random.Generator) -> Maker:
        """Take its images of the fold, the first ones by path."""
        size = fold.config.classifier_image_size

        def make(label: str, count: int) -> Pixels:
            folder = self.folder(fold.place).outside_images_dir / label
            records = read_table(folder / TABLE, ImageRecord) if folder.is_dir() else []
            if len(records) < count:
                raise DataError(
                    f"The arm {self.name} needs {count} images of {label}, but brought "
                    f"{len(records)} for {fold.place.root.name}; let its generator draw more."
                )
            reader = fold.index.preprocessor.alone
            return open_cache(folder, Roots.of([folder]), records, size, reader)[:count]

        return make

    def images_hash(self, place: Workspace, index: Index) -> str | None:
        """Return the fingerprint of its images; None before they are brought."""
        folder = self.folder(place).outside_images_dir
        tables = [folder / label / TABLE for label in sorted(self.images_wanted(index))]
        if not all(path.is_file() for path in tables):
            return None
        return fingerprint(b"".join(path.read_bytes() for path in tables))

    def facts(self, arms: Sequence[Arm]) -> ArmFacts:
        """Add the lineage, which caps what may be claimed."""
        found = super().facts(arms)
        return ArmFacts(
            name=found.name,
            kind=found.kind,
            describes=f"{found.describes} Lineage: {self.lineage}.",
            duplicates=found.duplicates,
            images=f"images of {self.source}",
            lineage=self.lineage,
        )


def _lineage(text: str) -> str:
    if text not in ("declared", "unknown"):
        raise ValueError("declared or unknown is wanted, or ids=FILE for a known one")
    return text


@register
class ImportedArm(OutsideArm):
    """Images from a folder per split."""

    family = "imported"
    describes = "Images of {name} from a folder, until the classes reach {ratio}."
    required = ("name", "folder")
    words_in_braces = ("split", "class")
    example = "'imported sd15=FOLDER/{split}'"
    takes = (
        Option("name", source_name, ""),
        Option("folder", str, ""),
        Option("ids", str, ""),
        Option("lineage", _lineage, "unknown"),
        RATIO,
    )

    @classmethod
    def assignments(cls, words: Sequence[str]) -> list[str]:
        """Read `NAME=FOLDER` as a name and a folder."""
        known = {option.name for option in cls.takes}
        found: list[str] = []
        for word in words:
            name, is_given, folder = word.partition("=")
            is_pair = is_given and name not in known
            found += [f"name={name}", f"folder={folder}"] if is_pair else [word]
        return found

    @property
    def lineage(self) -> Lineage:
        """Known where a list is given, else as the line says."""
        said: Lineage = self.options["lineage"]
        return "known" if self.options["ids"] else said

    def place(self, option: str, fold: str, label: str) -> str:
        """Return its folder, or its list, for a split and a class."""
        return str(self.options[option]).replace("{split}", fold).replace("{class}", label)


@register
class CommandArm(OutsideArm):
    """Images that a command draws, once per split, after training on the split's images."""

    family = "command"
    describes = (
        "Images of {name}, a program that is given the training images of the split, until the "
        "classes reach {ratio}."
    )
    required = ("name", "run")
    words_in_braces = ("train", "out", "state", "count", "seed", "class", "size", "split")
    example = "'command name=pca run=\"python make.py {train} {out} {count} {seed}\"'"
    takes = (
        Option("name", source_name, ""),
        Option("run", str, ""),
        Option("hours", number(0.0001, 1000), 24.0),
        RATIO,
    )

    @classmethod
    def complete(cls, given: Mapping[str, Any], ratio: str) -> dict[str, Any]:
        """Refuse a command that is not told where to leave its images."""
        found = super().complete(given, ratio)
        if "{out}" not in found["run"]:
            raise ConfigurationError(
                "The command of an arm should be told where to leave its images, but run="
                f"{found['run']!r} has no {{out}}; write it such as {cls.example}."
            )
        return found

    def words(self, values: Mapping[str, str]) -> list[str]:
        """Return the program and its arguments; no shell reads them.

        Args:
            values: Word in braces to what takes its place, also inside an argument.
        """
        found = shlex.split(self.options["run"])
        for name, value in values.items():
            found = [word.replace(f"{{{name}}}", value) for word in found]
        return found
