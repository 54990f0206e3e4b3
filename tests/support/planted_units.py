"""Units of an ablation whose predictions are made up, so that a whole command takes a second."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import balancer.ablation.unit
from balancer.ablation import findings
from balancer.ablation.estimate import Rates
from balancer.cli import main
from balancer.data.index import Index, evaluation_table
from balancer.evaluation.fit_and_test import FitOutcome, Reader
from balancer.evaluation.ledger import fingerprint_of_images, note_read
from balancer.evaluation.predictions import predictions_for
from balancer.stages import ablate
from support.tiny_pipeline import arguments, metrics_of

STUDY = ("ablation.repeats=3", "ablation.arms=[real, oversample, class-weights]")


def plant(patch: pytest.MonkeyPatch, effects: dict[str, float], *, noise: float = 0.4) -> None:
    """Replace every training by scores: those of the case, an effect of the arm, and noise.

    Args:
        patch: Undoes it.
        effects: Arm to how much farther it moves the two classes apart; others: not at all.
        noise: Spread of what an arm sees of a case on one split.
    """

    def fit_and_test(config: Any, index: Index, train: Any, **given: Any) -> FitOutcome:
        reader: Reader = given["reader"]
        real = index.image_set(config.classifier_image_size)
        found = []
        for split in ("val", "test"):
            table = evaluation_table(real, index.classes, split)
            positive = table.labels == given["positive"]
            ids = [record.image_id for record in table.records]
            case = [np.random.default_rng(int(one[:12], 16)).normal() for one in ids]
            arm = sum(map(ord, reader.arm))
            rng = np.random.default_rng((arm, given["seed"], len(ids)))
            skill = 1.5 + effects.get(reader.arm, 0.0)
            score = np.array(case) + skill * positive + rng.normal(0, noise, len(ids))
            share = 1 / (1 + np.exp(-score))
            chances = np.stack([share, 1 - share], axis=1)
            chances = chances if given["positive"] == 0 else chances[:, ::-1]
            if split == "test":
                note_read(
                    reader.ledger, what="test", fold=reader.fold, seed=reader.seed,
                    arm=reader.arm, images=len(ids), images_sha256=fingerprint_of_images(ids),
                    protocol=reader.protocol,
                )  # fmt: skip
            found.append(predictions_for(table, chances))
        validation, test = found
        fit: Any = SimpleNamespace(n_steps=1, best_epoch=0)
        return FitOutcome(fit, 0.5, validation, test)

    patch.setattr(balancer.ablation.unit, "fit_and_test", fit_and_test)
    patch.setattr(ablate, "measure_rates", lambda config: Rates(0.001, 0.001))
    patch.setattr(findings, "run_probes", lambda *args, **kwargs: [])


def ablated(data: Path, workspace: Path, *words: str, settings: tuple[str, ...] = ()) -> Result:
    """Run `balancer ablate` as typed."""
    return CliRunner().invoke(
        main, ["ablate", *arguments(data, workspace, *STUDY, *settings), "-q", *words]
    )


def answer(workspace: Path) -> Any:
    return metrics_of(workspace / "ablation")
