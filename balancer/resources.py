"""Resources of this machine: devices for the networks, space on the disk."""

import logging
import shutil
from pathlib import Path

import torch

import classifier
from balancer.config import HardwareConfig
from balancer.errors import EnvironmentFault

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


def training_hardware(hardware: HardwareConfig) -> "classifier.TrainingHardware":
    """Return the device and precision for training a classifier, which uses one device."""
    if hardware.n_devices != 1 or hardware.num_nodes != 1 or hardware.strategy != "auto":
        log.warning("The classifier trains on one device; only gan-train uses more.")
    return classifier.TrainingHardware(hardware.accelerator, hardware.precision)


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
