"""The Lightning Trainer of a GAN: its options, its strategy, and its silence."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from pydantic import BaseModel, ConfigDict


class TrainerOptions(BaseModel):
    """What reaches the Lightning Trainer, in its own words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accelerator: str = "auto"
    devices: int | str = 1
    precision: str = "32-true"
    strategy: str = "auto"
    num_nodes: int = 1


def make_trainer(options: TrainerOptions, out_dir: Path, callbacks: list[Callback]) -> Trainer:
    """A Trainer that runs the steps; records, bar and checkpoints are ours."""
    return Trainer(
        accelerator=options.accelerator,
        devices=options.devices,
        precision=options.precision,  # type: ignore[arg-type]  # checked by Lightning
        strategy=_strategy(options),
        num_nodes=options.num_nodes,
        callbacks=callbacks,
        default_root_dir=out_dir,
        max_epochs=1,  # of the stream, which holds all steps
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _strategy(options: TrainerOptions) -> str:
    """The strategy by Lightning's name, made to fit two losses that each use half of the weights.

    On one machine, further processes are spawned from this call: Lightning's own choice would run
    the whole command again in each of them.
    """
    devices = options.devices
    if devices in (-1, "-1", "auto"):
        count = torch.cuda.device_count() if options.accelerator in ("auto", "cuda", "gpu") else 1
    else:
        text = str(devices)
        count = len(text.strip(",").split(",")) if "," in text else int(text)
    strategy = options.strategy
    if strategy == "auto" and (count > 1 or options.num_nodes > 1):
        launched = options.num_nodes > 1 or "LOCAL_RANK" in os.environ
        strategy = "ddp" if launched else "ddp_spawn"
    if strategy in ("ddp", "ddp_spawn", "ddp_fork"):
        strategy += "_find_unused_parameters_true"
    return strategy


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advertisements and notes on devices out; its warnings stay."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6.6 calls torch's tree functions the old way (torch 2.15 says so).
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
