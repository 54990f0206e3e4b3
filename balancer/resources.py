"""Resources of this machine: devices for the networks, space on the disk."""

import dataclasses
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

import classifier
from balancer import team
from balancer.config import HardwareConfig
from balancer.errors import ConfigurationError, EnvironmentFault

log = logging.getLogger(__name__)


def inference_device(hardware: HardwareConfig) -> torch.device:
    """Choose the device for work outside the Trainer, by the same setting."""
    check_accelerator(hardware)
    wants_gpu = hardware.accelerator in ("auto", "gpu", "cuda")
    return torch.device("cuda" if wants_gpu and torch.cuda.is_available() else "cpu")


def check_accelerator(hardware: HardwareConfig) -> None:
    """Refuse missing GPUs before any work is done.

    Raises:
        EnvironmentFault: CUDA is asked for but missing, or has too few devices.
    """
    if hardware.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise EnvironmentFault(
            f"--accelerator {hardware.accelerator} needs a CUDA device, but PyTorch finds none; "
            "use --accelerator cpu or auto."
        )
    wanted, found = hardware.n_devices or 1, torch.cuda.device_count()
    is_cuda = hardware.accelerator in ("gpu", "cuda") or (hardware.accelerator == "auto" and found)
    if is_cuda and wanted > found:
        raise EnvironmentFault(
            f"--devices {hardware.devices} needs {wanted} CUDA devices, but PyTorch finds {found}; "
            "ask for fewer."
        )


@dataclass(frozen=True, slots=True)
class Devices:
    """Devices of a training, in Lightning's words.

    Attributes:
        devices: Number of devices on this machine, or a list of them.
        num_nodes: Number of machines.
        strategy: Way to use several devices; `auto` for one.
    """

    devices: int | str
    num_nodes: int
    strategy: Literal["auto", "ddp", "ddp_spawn", "ddp_fork"]


def devices_of(hardware: HardwareConfig) -> Devices:
    """Return the devices to train on: as torchrun or srun started processes, else as set.

    Raises:
        ConfigurationError: What was started is not what was set, or several machines are asked for
            with nobody to start processes there.
    """
    wanted = hardware.n_devices
    if team.is_launched():
        each, machines = team.places()
        if wanted not in (None, 1, each) or hardware.num_nodes not in (1, machines):
            raise ConfigurationError(
                f"--devices {hardware.devices} and --num-nodes {hardware.num_nodes} should fit the "
                f"processes that torchrun or srun started, but these are {each} on each of "
                f"{machines} machines; leave the options out."
            )
        return Devices(each, machines, "ddp")
    if hardware.num_nodes > 1:
        raise ConfigurationError(
            f"--num-nodes {hardware.num_nodes} needs a process per device on every machine; start "
            "them by torchrun or srun, and leave the option out."
        )
    if wanted is None:
        is_cpu = hardware.accelerator in ("cpu", "mps")
        wanted = 1 if is_cpu else max(1, torch.cuda.device_count())
    if wanted == 1:
        return Devices(hardware.devices, 1, "auto")
    strategy = hardware.strategy
    return Devices(hardware.devices, 1, "ddp_spawn" if strategy in ("auto", "ddp") else strategy)


def training_hardware(hardware: HardwareConfig) -> "classifier.TrainingHardware":
    """Return devices and precision for training a classifier."""
    return classifier.TrainingHardware(
        hardware.accelerator, hardware.precision, **dataclasses.asdict(devices_of(hardware))
    )


def one_device(hardware: HardwareConfig, what: str) -> "classifier.TrainingHardware":
    """Return device and precision for what one device does.

    Args:
        hardware: Settings.
        what: Subject of the sentence that says so.

    Raises:
        ConfigurationError: torchrun or srun started several processes.
    """
    team.refuse_launched(what)
    if hardware.n_devices != 1 or hardware.num_nodes != 1:
        log.warning("%s uses one device; GANs and classifiers are trained on more.", what)
    return classifier.TrainingHardware(hardware.accelerator, hardware.precision)


def has_bf16() -> bool:
    """Return True if this machine's processor computes in bf16 by itself; PyTorch emulates it else.

    False too where PyTorch does not say what the processor has.
    """
    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def on_cpu_with_bf16(hardware: HardwareConfig) -> bool:
    """Return True if a training would be on such a processor."""
    return inference_device(hardware).type == "cpu" and has_bf16()


def require_free_space(directory: Path, needed: int, purpose: str) -> None:
    """Refuse work that would fill the disk.

    Args:
        directory: Any existing folder on the disk.
        needed: Number of bytes to write.
        purpose: Purpose of the bytes, the subject of the sentence.

    Raises:
        EnvironmentFault: Fewer bytes are free.
    """
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise EnvironmentFault(
            f"{purpose} need about {needed / 2**20:,.0f} MiB, but {directory} has "
            f"{free / 2**20:,.0f} MiB free; free some space or ask for fewer."
        )
