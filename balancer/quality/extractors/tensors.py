"""Weights as tensors, from files that are read without running anything in them."""

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from balancer.errors import EnvironmentFault
from classifier.cards import ModelError
from classifier.weights import read_weights


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file or from one of `torch.save`.

    Raises:
        EnvironmentFault: It is damaged, or holds more than tensors.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of a program, which is then refused
            return read_weights(path)
    except ModelError as error:
        raise EnvironmentFault(str(error)) from None


def in_memory(state: Mapping[str, Tensor]) -> io.BytesIO:
    """Return weights as a file: torch-fidelity unpickles what it reads without a guard."""
    copy = io.BytesIO()
    torch.save(dict(state), copy)
    copy.seek(0)
    return copy
