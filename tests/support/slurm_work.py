"""Work that a job of `tests/test_ablation_slurm.py` does, importable from another process."""

import os

from balancer.errors import DataError


def add(a: int, b: int) -> int:
    return a + b


def fail(reason: str) -> None:
    raise DataError(reason)


def die() -> None:
    os._exit(9)
