"""The arms of an ablation: one line of configuration each, such as `gan ratio=1:1`."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from balancer.ablation.runs import OVERSAMPLE, ArmFacts, Kind
from balancer.errors import ConfigurationError
from balancer.ratio import TargetRatio


def _number(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g} is wanted")
        return value

    return read


def _ratio(text: str) -> str:
    return str(TargetRatio.parse(text))


def _rare_or_all(text: str) -> str:
    if text not in ("rare", "all"):
        raise ValueError("rare or all is wanted")
    return text


_RATIO = {"ratio": _ratio}


@dataclass(frozen=True, slots=True)
class Family:
    """What arms of one name share.

    Attributes:
        kind: See `ArmFacts`.
        describes: One sentence for readers; `{...}` is filled with the options.
        options: Reader of each option.
        defaults: Their values where the line does not give them; `ratio` defaults to the
            synthesis ratio.
        makes: Whether its images come from a generator trained on the fold: `rare` for one of the
            rare class, `majority` for one of the largest; None for none.
    """

    kind: Kind
    describes: str
    options: Mapping[str, Callable[[str], Any]]
    defaults: Mapping[str, Any]
    makes: str | None = None


FAMILIES: dict[str, Family] = {
    "real": Family(
        "reference", "Real images as they are; threshold from validation, prior corrected.", {}, {}
    ),
    "oversample": Family(
        "cheap", "Rare real images repeated until the classes stand {ratio}.", _RATIO, {}
    ),
    "undersample": Family(
        "cheap", "Images of larger classes left out until the classes stand {ratio}.", _RATIO, {}
    ),
    "class-weights": Family("cheap", "The loss weighs classes by inverse frequency.", {}, {}),
    "focal": Family(
        "cheap",
        "Focal loss, gamma {gamma} (Lin 2017).",
        {"gamma": _number(0, 10)},
        {"gamma": 2.0},
    ),
    "logit-adjustment": Family(
        "cheap",
        "Logits shifted by {tau} times the log prior inside the loss (Menon 2021).",
        {"tau": _number(0, 5)},
        {"tau": 1.0},
    ),
    "balanced-batches": Family("cheap", "Every batch holds equal shares of the classes.", {}, {}),
    "classic-augmentation": Family(
        "cheap",
        "Rotated, shifted and brightened copies of {of} classes (+-{rotation} degrees, "
        "{shift} of the side, {brightness} of the range).",
        {
            "of": _rare_or_all,
            "ratio": _ratio,
            "rotation": _number(0, 180),
            "shift": _number(0, 0.5),
            "brightness": _number(0, 1),
        },
        {"of": "rare", "rotation": 20.0, "shift": 0.1, "brightness": 0.25},
    ),
    "mixup": Family(
        "cheap",
        "Pairs of images and labels mixed, alpha {alpha} (Zhang 2018).",
        {"alpha": _number(0.001, 100)},
        {"alpha": 0.2},
    ),
    "gan": Family(
        "gan",
        "Images of a GAN trained on the fold, as they come, until the classes stand {ratio}.",
        _RATIO,
        {},
        makes="rare",
    ),
    "gan-filtered": Family(
        "gan",
        "Images of the GAN that passed the screen, until the classes stand {ratio}.",
        _RATIO,
        {},
        makes="rare",
    ),
    "gan-pretrain": Family(
        "gan",
        "The first {share} of the steps with GAN images in place of real rare ones, the rest on "
        "real images, under the learning rates that all arms share.",
        {"ratio": _ratio, "share": _number(0.01, 0.99)},
        {"share": 0.5},
        makes="rare",
    ),
    "noise": Family(
        "control",
        "Images of an untrained generator labelled as the rare class, until {ratio}: must not "
        "help.",
        _RATIO,
        {},
    ),
    "mislabelled": Family(
        "control",
        "GAN images of the largest class labelled as the rare one, until {ratio}: must not help.",
        _RATIO,
        {},
        makes="majority",
    ),
    "copycat": Family(
        "control",
        "Rare training images moved by up to two pixels and two grey levels, until {ratio}: worth "
        "what repeating them is worth.",
        _RATIO,
        {},
    ),
    "held-back-real": Family(
        "control",
        "Rare real images that no other arm may see, in place of a perfect generator's, until "
        "{ratio}: what real images would have bought.",
        _RATIO,
        {},
    ),
}


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train.

    Attributes:
        name: Canonical text; two arms never share it.
        family: Key of `FAMILIES`.
        options: All options with their values, defaults included.
    """

    name: str
    family: str
    options: Mapping[str, Any]

    @property
    def kind(self) -> Kind:
        """See `ArmFacts`."""
        return FAMILIES[self.family].kind

    @property
    def ratio(self) -> TargetRatio:
        """Largest class : every other class; of arms that add or leave out images."""
        return TargetRatio.parse(self.options["ratio"])

    @property
    def makes(self) -> str | None:
        """Which generator its images need; see `Family`."""
        return FAMILIES[self.family].makes

    @property
    def slug(self) -> str:
        """The name as a folder's."""
        return self.name.replace(" ", "_").replace(":", "to").replace("=", "-")

    def facts(self, arms: Sequence["Arm"]) -> ArmFacts:
        """What the comparison needs, the matching `oversample` arm among `arms` included."""
        # Arms that add nothing have no ratio of their own: the plain `oversample` is theirs.
        candidates = sorted(arms, key=lambda arm: arm.name != OVERSAMPLE)
        return ArmFacts(
            name=self.name,
            kind=self.kind,
            describes=FAMILIES[self.family].describes.format(**self.options),
            duplicates=next((arm.name for arm in candidates if self._is_matched_by(arm)), None),
        )

    def _is_matched_by(self, other: "Arm") -> bool:
        ratio = self.options.get("ratio")
        return other.family == "oversample" and ratio in (None, other.options["ratio"])


def read_arms(lines: Sequence[str], *, ratio: str) -> list[Arm]:
    """Read the arms of a configuration.

    `real` is added where it is missing, and for each GAN arm the `oversample` arm that adds as many
    images: no verdict can do without them.

    Args:
        lines: Such as `gan ratio=1:1`.
        ratio: Where an arm that adds images does not say.

    Raises:
        ConfigurationError: A name, option or value is unknown, or an arm stands twice.
    """
    arms = [_read(line, ratio) for line in lines]
    named = {arm.name for arm in arms}
    missing = [] if "real" in named else [_read("real", ratio)]
    for arm in arms:
        if arm.kind == "gan" and not any(arm._is_matched_by(other) for other in (*arms, *missing)):
            wanted = str(arm.ratio)
            line = "oversample" if wanted == ratio else f"oversample ratio={wanted}"
            missing.append(_read(line, ratio))
    arms = sorted([*missing, *arms], key=lambda arm: arm.name != "real")
    for arm in arms:
        twins = [
            other for other in arms if (other.family, other.options) == (arm.family, arm.options)
        ]
        if len(twins) > 1:
            raise ConfigurationError(
                f"ablation.arms should name every arm once, but {twins[1].name!r} is the same as "
                f"{twins[0].name!r}; leave one out."
            )
    return arms


def _read(line: str, ratio: str) -> Arm:
    words = line.split()
    if not words or words[0] not in FAMILIES:
        near = difflib.get_close_matches(words[0] if words else "", FAMILIES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(FAMILIES)}."
        raise ConfigurationError(f"ablation.arms knows no arm {line!r}; {hint}")
    name, *assignments = words
    family = FAMILIES[name]
    options = dict(family.defaults) | ({"ratio": ratio} if "ratio" in family.options else {})
    given: dict[str, Any] = {}
    for assignment in assignments:
        key, _, text = assignment.partition("=")
        if key not in family.options:
            known = ", ".join(family.options) or "none"
            raise ConfigurationError(
                f"The arm {name} has no option {assignment!r}; its options are: {known}."
            )
        try:
            given[key] = family.options[key](text)
        except ValueError as error:
            raise ConfigurationError(
                f"The option {key} of the arm {line!r} cannot be {text!r}: {error}."
            ) from None
    if given.get("of") == "all" and "ratio" in given:
        raise ConfigurationError(
            f"The arm {line!r} augments images where they stand and adds none; leave out ratio."
        )
    options |= given
    if options.get("of") == "all":
        del options["ratio"]
    return Arm(" ".join([name, *(f"{k}={_text(v)}" for k, v in given.items())]), name, options)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
