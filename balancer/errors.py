"""Errors that a user can meet, one class per exit code.

An error is one sentence that says what was wanted, what was found and what to do.
"""

import errno

DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
"""Error numbers of a disk that is full, read-only, forbidden or broken."""


class BalancerError(Exception):
    """An error with one sentence for the user; subclasses set the exit code."""

    exit_code = 1


class ConfigurationError(BalancerError):
    """Wrong usage or configuration: exit code 2."""

    exit_code = 2


class DataError(BalancerError):
    """Images or tables that cannot be used as they are: exit code 3."""

    exit_code = 3


class IntegrityError(BalancerError):
    """A leak between splits, or files that changed or do not belong: exit code 4."""

    exit_code = 4


class EnvironmentFault(BalancerError):
    """The machine lacks something (disk, device, package, lock): exit code 5."""

    exit_code = 5


class Diverged(EnvironmentFault):
    """A training whose loss became NaN or infinite."""


class Interrupted(BalancerError):
    """Stopped by a signal with everything saved: exit code 128 + the signal's number."""

    def __init__(self, signal_number: int, sentence: str) -> None:
        super().__init__(sentence)
        self.exit_code = 128 + signal_number


def sentence_of(error: BaseException) -> str:
    """Return the message of an error as one line."""
    return " ".join(str(error).split()) or type(error).__name__
