"""The arithmetic of balancing: from a target ratio to numbers of images, in exact integers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Self

# The normal form of a ratio of 12 digits with 6 decimals has up to 18 digits, and must read back.
_NUMBER = r"(\d{1,18}|\d{1,12}\.\d{1,6})"
_PATTERN = re.compile(rf"(?a:{_NUMBER}(?::{_NUMBER})?)")


@dataclass(frozen=True, slots=True)
class TargetRatio:
    """Images of the largest class to images of every other class, such as 2:1.

    Attributes:
        value: Largest class over every other class, at least 1.
    """

    value: Fraction

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2:1`, `2.5:1` or `2` (for `2:1`).

        Raises:
            ValueError: The text is no ratio, or would make another class larger than the largest.

        >>> TargetRatio.parse("2.5:1")
        TargetRatio(value=Fraction(5, 2))
        """
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                f"a ratio is largest class : every other class, such as 2:1, 2.5:1 or 2, "
                f"not {text!r}"
            )
        largest, other = Fraction(match[1]), Fraction(match[2] or 1)
        if other == 0 or largest < other:
            raise ValueError(
                f"a ratio is largest class : every other class and at least 1:1, such as 2:1, "
                f"not {text!r}"
            )
        return cls(largest / other)

    def target(self, largest: int) -> int:
        """Return the smallest size of another class that reaches the ratio.

        >>> TargetRatio.parse("2:1").target(1366)
        683
        """
        return ceil(largest / self.value)

    def __str__(self) -> str:
        """The ratio in lowest terms: `2:1`, `5:2`."""
        return f"{self.value.numerator}:{self.value.denominator}"


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """Training images of one class: real ones, the target, and those to make."""

    label: str
    real: int
    target: int

    @property
    def to_make(self) -> int:
        """Number of synthetic images that the target needs; 0 if it is reached."""
        return max(0, self.target - self.real)

    @property
    def total(self) -> int:
        """Number of real and synthetic images together."""
        return self.real + self.to_make


def plan_synthesis(counts: Mapping[str, int], ratio: TargetRatio) -> list[ClassPlan]:
    """Plan each class of the training split, sorted by label; the largest is its own target.

    Args:
        counts: Number of real training images per class; at least two classes, none empty.
        ratio: Target ratio.

    Raises:
        ValueError: Fewer than two classes, or an empty one.

    >>> plans = plan_synthesis({"covid": 255, "normal": 1366}, TargetRatio.parse("2:1"))
    >>> [plan.to_make for plan in plans]
    [428, 0]
    """
    if len(counts) < 2 or min(counts.values()) < 1:
        raise ValueError(f"balancing needs two or more classes with images, not {dict(counts)}")
    largest = max(counts.values())
    target = ratio.target(largest)
    return [
        ClassPlan(label, real, largest if real == largest else max(real, target))
        for label, real in sorted(counts.items())
    ]
