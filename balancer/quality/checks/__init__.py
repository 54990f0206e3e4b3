"""The checks of the quality gate, one per file; `CHECKS` lists them in the order of their answers.

A new check is a file beside these, with a `MeasuringCheck`, and an entry here. The gate's verdict,
the terminal and the report are made of the answers to this list.
"""

from typing import Any

from balancer.quality.checks.check import Check, MeasuringCheck
from balancer.quality.checks.coverage import CoverageCheck
from balancer.quality.checks.diversity import DiversityCheck
from balancer.quality.checks.judged_class import JudgedClassCheck
from balancer.quality.checks.memorization import MemorizationCheck
from balancer.quality.checks.nearest_class import NearestClassCheck
from balancer.quality.checks.registered_diversity import RegisteredDiversityCheck
from balancer.quality.checks.shortcut import ShortcutCheck
from balancer.quality.checks.spread import SpreadCheck
from balancer.quality.checks.twins import TwinsCheck
from balancer.quality.config import GateConfig
from balancer.quality.figures import Figures
from balancer.quality.records import GateResult

__all__ = [
    "CHECKS",
    "COVERAGE",
    "DIVERSITY",
    "JUDGED_CLASS",
    "MEMORIZATION",
    "NEAREST_CLASS",
    "REGISTERED_DIVERSITY",
    "SHORTCUT",
    "SPREAD",
    "TWINS",
    "Check",
    "MeasuringCheck",
    "ask_all",
]

MEMORIZATION = MemorizationCheck()
TWINS = TwinsCheck()
DIVERSITY = DiversityCheck()
REGISTERED_DIVERSITY = RegisteredDiversityCheck()
SPREAD = SpreadCheck()
NEAREST_CLASS = NearestClassCheck()
JUDGED_CLASS = JudgedClassCheck()
COVERAGE = CoverageCheck()
SHORTCUT = ShortcutCheck()

CHECKS: tuple[Check[Any], ...] = (
    MEMORIZATION,
    TWINS,
    DIVERSITY,
    REGISTERED_DIVERSITY,
    SPREAD,
    NEAREST_CLASS,
    JUDGED_CLASS,
    COVERAGE,
    SHORTCUT,
)


def ask_all(label: str, figures: Figures, gate: GateConfig) -> GateResult:
    """Compare the figures of one class with every limit.

    Args:
        label: The class.
        figures: Figures of `balancer.quality.assess`.
        gate: The limits.
    """
    return GateResult.of(
        tuple(answer for check in CHECKS for answer in check.ask(label, figures, gate))
    )
