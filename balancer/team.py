"""Processes of one command on several devices, as torchrun or srun start them.

The first one runs the command: it alone takes the lock, decides and writes. At each training it
hands the call to the others, which make the same call; the rest of the time they wait.
"""

import atexit
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from balancer.errors import ConfigurationError, EnvironmentFault

P = ParamSpec("P")
R = TypeVar("R")
_Call = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]

_PATIENCE = timedelta(days=1)
"""Longest wait for the first process, which may read images for hours; its end ends the wait."""
_LOST = "onnection"
"""Part of what PyTorch says when another process has ended."""
_unfinished: list[str] = []
"""Name of the function that all processes are in, of the first one; empty between two calls."""


def is_launched() -> bool:
    """Return True if torchrun, or srun with several tasks, started this process beside others."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["WORLD_SIZE"]) > 1
    return int(os.environ.get("SLURM_NTASKS", 1)) > 1


def places() -> tuple[int, int]:
    """Return the number of processes per machine, and of machines; only if launched."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        each = int(os.environ["LOCAL_WORLD_SIZE"])
        return each, int(os.environ["WORLD_SIZE"]) // each
    machines = int(os.environ.get("SLURM_NNODES", 1))
    return int(os.environ["SLURM_NTASKS"]) // machines, machines


def refuse_launched(what: str) -> None:
    """Refuse to do in several processes what one does.

    Args:
        what: Subject of the sentence.

    Raises:
        ConfigurationError: This process was started beside others.
    """
    if is_launched():
        raise ConfigurationError(
            f"{what} needs one process, but torchrun or srun started {places()[0] * places()[1]}; "
            "run it without them."
        )


def join() -> None:
    """Meet the other processes, if there are any; all but the first never return.

    Raises:
        EnvironmentFault: They cannot be reached.
    """
    if not is_launched():
        return
    import torch.distributed as dist

    if dist.is_initialized():
        return
    _connect()
    if dist.get_rank() > 0:
        sys.exit(_help())
    atexit.register(_dismiss)


def together(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in this process and, if there are others, in all of them.

    Args:
        function: A training that devices share.
        args: Its arguments, which can be pickled.
        kwargs: The same, by name.

    Raises:
        EnvironmentFault: Another process ended.
    """
    if not is_launched():
        return function(*args, **kwargs)
    _unfinished.append(function.__name__)
    try:
        _share((function, args, kwargs))
        result = function(*args, **kwargs)
    except ValueError:  # wrong arguments, which all processes refuse alike
        _unfinished.clear()
        raise
    except RuntimeError as error:
        if _LOST not in str(error):
            raise
        raise EnvironmentFault(
            "The processes of all devices should work until the training ends, but one of them "
            "has ended; see what it said, and run the same command again."
        ) from error
    _unfinished.clear()
    return result


def _connect() -> None:
    import torch
    import torch.distributed as dist
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    is_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    environment = TorchElasticEnvironment() if is_torchrun else SLURMEnvironment()
    address = environment.main_address
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            # torchrun has a meeting place of its own at this address.
            init_method="env://" if is_torchrun else f"tcp://{address}:{environment.main_port}",
            rank=environment.global_rank(),
            world_size=environment.world_size(),
            timeout=_PATIENCE,
        )
    except (RuntimeError, OSError) as error:
        raise EnvironmentFault(
            f"The processes of all devices should meet at {address}, but: "
            f"{str(error).splitlines()[0]}; check that the machines can reach each other."
        ) from error


def _help() -> int:
    """Make the calls of the first process until it has no more; return the exit code."""
    for name in ("balancer", "gan", "classifier"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        while (call := _share(None)) is not None:
            function, args, kwargs = call
            with suppress(ValueError):  # the first process says it
                function(*args, **kwargs)
    except RuntimeError as error:
        if _LOST not in str(error):
            raise
        return EnvironmentFault.exit_code  # the first process ended, and has said why
    return 0


def _share(call: _Call | None) -> _Call | None:
    """Send a call from the first process to all others, which return it; None: no more."""
    import torch
    import torch.distributed as dist

    shared = [call]
    dist.broadcast_object_list(shared, device=torch.device("cpu"))
    return shared[0]


def _dismiss() -> None:
    """Let the other processes end; where a training failed they do when this connection ends."""
    import torch.distributed as dist

    if not _unfinished:
        with suppress(RuntimeError):  # they may have ended by the same signal
            _share(None)
    with suppress(RuntimeError):
        dist.destroy_process_group()
