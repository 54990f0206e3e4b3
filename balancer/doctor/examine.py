"""The examination: libraries, extras, torch in a process of its own, the machine; and its page."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from balancer.doctor.machine import disk_finding, gpu_finding, shared_memory_finding
from balancer.doctor.records import Condition, Examination, Health
from balancer.doctor.trial import STEPS
from balancer.errors import EnvironmentFault
from balancer.requirements import extra_names, library_faults, missing_libraries, pip_command

_TRIAL = ("-P", "-m", "balancer.doctor.trial")
"""Arguments of the Python that tries torch."""
_TRIAL_SECONDS = 300
TOP_LEVEL_NAMES = ("balancer", "gan", "classifier", "configs", "samples")
"""Packages of the wheel."""
_COLOURS = {Health.OK: "green", Health.NOTE: "yellow", Health.FAULT: "bold red"}


def examine(workspace: Path) -> Examination:
    """Examine this machine and the libraries.

    Args:
        workspace: Folder that commands would write to; it need not exist, and is not written.
    """
    return Examination(versions=_versions(), findings=tuple(_findings(workspace)))


def page(examination: Examination) -> list[RenderableType]:
    """Return what a terminal shows: a row per finding, and what mends it."""
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for one in examination.findings:
        table.add_row(Text(one.health, style=_COLOURS[one.health]), one.name, one.found)
        if one.cure:
            table.add_row("", "", f"-> {one.cure}")
    return [table]


def refuse_faults(examination: Examination) -> None:
    """Refuse a machine on which commands would fail.

    Raises:
        EnvironmentFault: There is a fault; the sentence has its cure.
    """
    if faults := examination.faults:
        said = "; ".join(f"{one.name}: {one.found}: {one.cure}" for one in faults)
        raise EnvironmentFault(f"This machine should run every command, but {said}.")


def _versions() -> dict[str, str]:
    libraries = {
        found.metadata["Name"]: found.version
        for found in metadata.distributions()
        if found.metadata["Name"]
    }
    system = {"python": platform.python_version(), "system": platform.platform()}
    return system | dict(sorted(libraries.items(), key=lambda item: item[0].lower()))


def _findings(workspace: Path) -> Iterator[Condition]:
    release = metadata.version("balancer")
    found = f"{release} on Python {platform.python_version()}, {platform.system()}"
    yield Condition(name="balancer", health=Health.OK, found=f"{found} {platform.machine()}")
    yield _libraries()
    yield _names()
    tried = list(_trial())
    yield from tried
    device = next((one for one in tried if one.name == "device"), None)
    if (gpu := gpu_finding(device)) is not None:
        yield gpu
    yield disk_finding(workspace)
    yield shared_memory_finding()
    yield from (_extra(name) for name in extra_names())


def _libraries() -> Condition:
    faults = library_faults(*extra_names())
    if not faults:
        return Condition(name="libraries", health=Health.OK, found="all within their bounds")
    found = ", ".join(f"{wanted} (found {version or 'none'})" for wanted, version in faults)
    cure = pip_command(wanted for wanted, _ in faults)
    return Condition(name="libraries", health=Health.FAULT, found=found, cure=cure)


def _names() -> Condition:
    """Examine the top-level names of this package, which another one may have overwritten."""
    owners = metadata.packages_distributions()
    others = {name: sorted(set(owners.get(name, ())) - {"balancer"}) for name in TOP_LEVEL_NAMES}
    foreign = [f"{name} of {', '.join(found)}" for name, found in others.items() if found]
    if not foreign:
        return Condition(name="names", health=Health.OK, found="no other package claims them")
    return Condition(
        name="names",
        health=Health.FAULT,
        found=f"another package claims {'; '.join(foreign)}",
        cure="install balancer in an environment of its own",
    )


def _extra(name: str) -> Condition:
    missing = missing_libraries(name)
    if not missing:
        return Condition(name=f"extra {name}", health=Health.OK, found="installed")
    return Condition(
        name=f"extra {name}",
        health=Health.NOTE,
        found=f"not installed: {', '.join(missing)}",
        cure=f"only if you need it: {pip_command([f'balancer[{name}]'])}",
    )


def _trial() -> Iterator[Condition]:
    """Yield the findings of the trial's process, and what ended it early."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    try:
        done = subprocess.run(
            [sys.executable, *_TRIAL],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TRIAL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        yield Condition(
            name=STEPS[0],
            health=Health.FAULT,
            found=f"the trial of torch did not end within {_TRIAL_SECONDS} s",
            cure="end other programs, or set OMP_NUM_THREADS=1, and try again",
        )
        return
    found = [Condition.model_validate_json(line) for line in done.stdout.splitlines()]
    yield from found
    if len(found) < len(STEPS) and not any(one.health is Health.FAULT for one in found):
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        yield Condition(
            name=STEPS[len(found)],
            health=Health.FAULT,
            found=f"the trial ended with code {done.returncode}: {lines[-1][:200]}",
            cure="install PyTorch again, for this machine: https://pytorch.org/get-started/locally",
        )
