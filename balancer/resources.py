"""What this machine has: a device for the network, room on the disk."""

import logging
import shutil
from pathlib import Path

import torch

import classifier
from balancer.errors import EnvironmentFault
from balancer.sections import HardwareConfig

log = logging.getLogger(__name__)


def inference_device(hardware: HardwareConfig) -> torch.device:
    """The device for work outside the Trainer, by the same choice of accelerator."""
    check_accelerator(hardware)
    wants_gpu = hardware.accelerator in ("auto", "gpu", "cuda")
    return torch.device("cuda" if wants_gpu and torch.cuda.is_available() else "cpu")


def check_accelerator(hardware: HardwareConfig) -> None:
    """Refuse GPUs that are not there, before any work is done.

    Raises:
        EnvironmentFault: CUDA was asked for and is not available, or has too few devices.
    """
    if hardware.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise EnvironmentFault(
            f"--accelerator {hardware.accelerator} wants a CUDA device, but PyTorch finds none; "
            "use --accelerator cpu or auto."
        )
    wanted, found = hardware.n_devices or 1, torch.cuda.device_count()
    is_cuda = hardware.accelerator in ("gpu", "cuda") or (hardware.accelerator == "auto" and found)
    if is_cuda and wanted > found:
        raise EnvironmentFault(
            f"--devices {hardware.devices} wants {wanted} CUDA devices, but PyTorch finds {found}; "
            "ask for fewer."
        )


def training_hardware(hardware: HardwareConfig) -> "classifier.TrainingHardware":
    """Return the device and precision of a classifier's training, which is on one device."""
    if hardware.n_devices != 1 or hardware.num_nodes != 1 or hardware.strategy != "auto":
        log.warning("The classifier trains on one device; more are for gan-train alone.")
    return classifier.TrainingHardware(hardware.accelerator, hardware.precision)


def require_free_space(directory: Path, needed: int, purpose: str) -> None:
    """Refuse work that would fill the disk.

    Args:
        directory: Any existing folder on the disk in question.
        needed: Bytes that will be written.
        purpose: What they are for, as the sentence's subject.

    Raises:
        EnvironmentFault: Fewer bytes are free.
    """
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise EnvironmentFault(
            f"{purpose} need about {needed / 2**20:,.0f} MiB, but {directory} has "
            f"{free / 2**20:,.0f} MiB free; free some space or ask for fewer."
        )
