"""Errors that a user can meet, one class per exit code.

An error is one sentence that says what was wanted, what was found and what to do.
"""

import errno
import re
import sys
from pathlib import Path

_ROOM = "free some space or choose another --workspace"
_RIGHTS = "change the permissions or choose another --workspace"
_ADVICE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: f"{_ROOM}, since the quota is used up",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "choose another --workspace, on a disk that can be written",
    errno.EIO: "check the disk, or choose another --workspace",
    errno.EFBIG: "raise the limit of a file's size (`ulimit -f`)",
    errno.ESTALE: "check the network disk and run the command again",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "close other programs, which hold all files that this machine can open",
}
DISK_FAULTS = frozenset(_ADVICE)
"""Error numbers of a disk that is full, read-only, forbidden, broken or away, and of limits."""
NOT_OF_THE_FILE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE})
"""Error numbers that say nothing of the file that could not be read, so that it is no bad data."""

_MEMORY = re.compile(
    r"DefaultCPUAllocator|can't allocate memory|cannot allocate memory|out of memory"
    r"|insufficient memory|_STATUS_ALLOC_FAILED|std::bad_alloc",
    re.IGNORECASE,
)
_SHARED_MEMORY = re.compile(
    r"shared memory|\bshm\b|</torch_\S*>|torch_shm_manager|Bus error", re.IGNORECASE
)
_LOST_WORKER = re.compile(
    r"DataLoader worker .*(?:exited unexpectedly|killed by signal)", re.DOTALL
)
_ERROR_NUMBER = re.compile(r"\[Errno (\d+)\]")


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


def advice_on(number: int) -> str:
    """Return what helps against a fault of the disk, the end of a sentence.

    Args:
        number: One of `DISK_FAULTS`.
    """
    return _ADVICE[number]


def machine_fault(error: BaseException, workspace: Path | None = None) -> EnvironmentFault | None:
    """Return what to say of an error that the machine caused; None for any other error.

    Libraries report faults of the machine in their own ways: PyTorch, for example, says by a
    RuntimeError that the memory is full, or that a process of its loader died.

    Args:
        error: Any error.
        workspace: Folder of the run; a file that vanishes from it was deleted under the run.
    """
    text = str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOENT:
        return _missing(error, workspace)
    if isinstance(error, RuntimeError) and _LOST_WORKER.search(text):
        if not _SHARED_MEMORY.search(text):
            return EnvironmentFault(
                f"The loader processes should work until the training ends, but: {_first(text)}; "
                "it may be that the memory ran out: set classifier.num_workers lower (0 needs "
                "none) and run the command again."
            )
        return _shared_memory(text)
    if isinstance(error, RuntimeError | OSError) and _SHARED_MEMORY.search(text):
        return _shared_memory(text)
    if _is_out_of_memory(error, text):
        return EnvironmentFault(
            f"The work should fit into the memory, but it is full ({_first(text)}); set a smaller "
            "batch_size, image_size or evaluation_images, or end other programs."
        )
    number = _error_number(error)
    if number in DISK_FAULTS:
        filename = getattr(error, "filename", None)
        where = f" of {filename}" if filename else ""
        reason = getattr(error, "strerror", None) or _first(text)
        return EnvironmentFault(
            f"The files{where} should be written and read, but: {reason}; {advice_on(number)}."
        )
    return None


def _missing(error: OSError, workspace: Path | None) -> EnvironmentFault | None:
    if "No usable temporary directory" in str(error):
        return EnvironmentFault(
            "A folder for temporary files should be writable and have free space, but none is; "
            "free some space there, or name another folder in the variable TMPDIR."
        )
    lost = Path(str(error.filename)) if error.filename else None
    if workspace is None or lost is None:
        return None
    if not lost.absolute().is_relative_to(workspace.absolute()):
        return None
    return EnvironmentFault(
        f"{lost} should stay where it is while a command works, but was deleted or moved; run the "
        "command again, which makes what is missing."
    )


def _shared_memory(text: str) -> EnvironmentFault:
    return EnvironmentFault(
        "The loader processes should have room in the shared memory (/dev/shm), but: "
        f"{_first(text)}; set classifier.num_workers=0, or give more, such as by "
        "`docker run --shm-size=2g`."
    )


def _is_out_of_memory(error: BaseException, text: str) -> bool:
    torch = sys.modules.get("torch")  # an error of its own exists only once it is loaded
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    if isinstance(error, MemoryError) or _error_number(error) == errno.ENOMEM:
        return True
    # OpenCV's error is a plain Exception of its own module.
    from_library = isinstance(error, RuntimeError) or type(error).__module__ == "cv2"
    return from_library and _MEMORY.search(text) is not None


def _error_number(error: BaseException) -> int | None:
    """Return the number of an error of the system, also of one that a loader process passed on."""
    if not isinstance(error, OSError):
        return None
    if error.errno is not None:
        return error.errno
    found = _ERROR_NUMBER.findall(str(error))
    return int(found[-1]) if found else None


def _first(text: str) -> str:
    """Return the telling line of a message: the last one, of a traceback that was passed on."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if not lines:
        return "no reason was given"
    line = lines[-1] if any("Traceback" in one for one in lines) else lines[0]
    return line.rstrip(".")[:200]
