"""Records of `balancer doctor`.

Small because the process that tries the device and the one that reports share it.
"""

from enum import StrEnum

from balancer.results import Record


class Health(StrEnum):
    """State of one thing that was examined."""

    OK = "ok"
    NOTE = "note"
    """It works, but not everything does, or not as fast as it could."""
    FAULT = "fault"
    """A command would fail."""


class Condition(Record):
    """State of one thing that was examined.

    Attributes:
        name: Name of the thing, such as `torch` or `disk`.
        health: Its state.
        found: Phrase that says what is there.
        cure: What to do; empty where nothing is to be done.
    """

    name: str
    health: Health
    found: str
    cure: str = ""


class Examination(Record):
    """Result of `balancer doctor`, for `--json` and reports of bugs.

    Attributes:
        versions: Versions of balancer, Python, the system and every library.
        findings: In the order of the page.
    """

    versions: dict[str, str]
    findings: tuple[Condition, ...]

    @property
    def faults(self) -> list[Condition]:
        """Findings that make a command fail."""
        return [one for one in self.findings if one.health is Health.FAULT]
