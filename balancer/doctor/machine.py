"""Checks of the machine beside torch: disk, shared memory, a GPU that torch does not use."""

import os
import shutil
import tempfile
from pathlib import Path

from balancer.doctor.records import Condition, Health

_LEAST_FREE, _ENOUGH_FREE = 200 * 2**20, 2 * 2**30
"""Bytes below which the demo fails, and below which a study may."""
_LEAST_SHARED = 512 * 2**20
"""Bytes of shared memory that loader processes need with large batches; Docker gives 64 MiB."""
_GPU_MARKS = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"))


def disk_finding(workspace: Path) -> Condition:
    """Examine the folder of the workspace, which need not exist, and the temporary one."""
    whole = workspace.absolute()
    place = next(path for path in (whole, *whole.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    found = f"{_size(free)} free for the workspace"
    for folder in (place, _temporary()):
        if folder is None or not os.access(folder, os.W_OK):
            return Condition(
                name="disk",
                health=Health.FAULT,
                found=f"{found}, but {folder or 'no temporary folder'} cannot be written",
                cure="change the permissions, choose another -w, or set TMPDIR",
            )
    health = Health.OK if free >= _ENOUGH_FREE else Health.NOTE
    cure = "" if health is Health.OK else "free some space, or choose another -w"
    return Condition(
        name="disk", health=Health.FAULT if free < _LEAST_FREE else health, found=found, cure=cure
    )


def shared_memory_finding(folder: Path = Path("/dev/shm")) -> Condition:
    """Examine the shared memory, over which loader processes hand images."""
    if not folder.is_dir():
        return Condition(name="shared memory", health=Health.OK, found="no /dev/shm on this system")
    total = shutil.disk_usage(folder).total
    if total >= _LEAST_SHARED:
        found = f"{_size(total)} in {folder}"
        return Condition(name="shared memory", health=Health.OK, found=found)
    return Condition(
        name="shared memory",
        health=Health.NOTE,
        found=f"only {_size(total)} in {folder}",
        cure="start the container with --shm-size=2g, or keep classifier.num_workers=0",
    )


def gpu_finding(device: Condition | None) -> Condition | None:
    """Note a GPU that torch does not use; None if there is none, or it is used.

    Args:
        device: What was found of the device of torch; None if its trial did not get there.
    """
    if not any(mark.exists() for mark in _GPU_MARKS):
        return None
    if device is not None and not device.found.startswith("CPU"):
        return None
    return Condition(
        name="gpu",
        health=Health.NOTE,
        found="an NVIDIA driver is there, but torch uses the CPU",
        cure="install the CUDA build of torch: https://pytorch.org/get-started/locally",
    )


def _temporary() -> Path | None:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return None


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:,.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:,.0f} MiB"
