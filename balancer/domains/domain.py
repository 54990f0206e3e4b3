"""A kind of medical images, read from its table; no other module asks for a domain by its name."""

import functools
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

CHEST, GENERAL = "chest", "general"
_FOLDER = Path(__file__).parent
_WORD = re.compile(r"[a-z]+(?:\d+)?")


class Domain(BaseModel):
    """Table of one kind of images: its words, and what is usual in it.

    Attributes:
        name: Name in `data.domain`.
        title: Name for readers.
        image: Word for one image.
        images: Word for several.
        kind: Word for one image with its kind.
        subject: What a reader looks at.
        disease: What else can change a statistic, to begin "... can change it too".
        pose: Whether images that are upside down, sideways or negatives can be told by a drawing.
        text: Whether text is looked for.
        lungs: Whether there are lungs, for views, masks and probes.
        rim: Whether the rim of an image shows nothing of the subject.
        artefacts: Artefacts of `shortcuts.artefacts` that are probed.
        unit: Thing besides the patient that several images often show, such as `lesion`; empty:
            none is usual.
        colour: Values of `preprocessing.colour` that are usual and sane.
        flips: Flips and turns that change no diagnosis, in words.
        look_for: Usual shortcuts.
        disease_changes: Statistics of an image that the disease itself changes.
        names: Words of class names and folders by which the domain is proposed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    image: str
    images: str
    kind: str
    subject: str
    disease: str
    pose: bool
    text: bool
    lungs: bool
    rim: bool = True
    artefacts: tuple[str, ...] = ()
    unit: str = ""
    colour: tuple[str, ...]
    flips: str
    look_for: tuple[str, ...]
    disease_changes: tuple[str, ...]
    names: tuple[str, ...]

    def say(self, sentence: str) -> str:
        """Fill the words of the domain into a sentence with fields such as `{image}`."""
        return sentence.format_map(self.model_dump())


def domain_names() -> list[str]:
    """Return the names of all domains, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


@functools.cache
def domain_of(name: str) -> Domain:
    """Return the domain of a name.

    Raises:
        KeyError: There is none.
    """
    path = _FOLDER / f"{name}.toml"
    if name not in domain_names():
        raise KeyError(name)
    return Domain(name=name, **tomllib.loads(path.read_text(encoding="utf-8")))


def propose_domain(words: Iterable[str], *, in_colour: bool) -> Domain:
    """Propose a domain by the names of folders and classes.

    Args:
        words: Names; their parts are compared with the words of each domain.
        in_colour: True where images are in colour, so that they are no radiographs.

    Returns:
        The domain with most words; where none has any, chest radiographs if the images are grey.
    """
    parts = {part for word in words for part in _WORD.findall(word.lower())}
    found = parts | {part.rstrip("0123456789") for part in parts}
    known = [domain_of(name) for name in domain_names()]
    hits = {domain.name: len(found & {*domain.names}) for domain in known}
    if in_colour:
        hits[CHEST] = 0
    best = max(hits, key=lambda name: (hits[name], name == CHEST))
    if hits[best]:
        return domain_of(best)
    return domain_of(GENERAL if in_colour else CHEST)
