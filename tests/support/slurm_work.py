"""Work that a job of `tests/test_ablation_slurm.py` does, in another process."""

import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from balancer.ablation.slurm import do_job
from balancer.errors import DataError


def find(study: Mapping[str, Any], key: str) -> Callable[[], Any]:
    return {
        "sum": functools.partial(sum, study["numbers"]),
        "fault": fail,
        "dies": functools.partial(os._exit, 9),
    }[key]


def fail() -> None:
    raise DataError("too few images")


if __name__ == "__main__":
    do_job(Path(sys.argv[1]), find)
