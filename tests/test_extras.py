"""A part that needs an extra names it where the extra is missing, and the rest goes on."""

import logging
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from openpyxl import Workbook

from balancer.cli import main
from gan.records import LossTable
from support.tiny_pipeline import draw_folder


def test_a_workbook_beside_the_images_needs_excel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may name the patients: leaving it out in silence could put one on two sides of a split."""
    images = draw_folder(tmp_path / "images")
    Workbook().save(images / "patients.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    words = ["prepare", "--data", str(images), "-w", str(tmp_path / "w")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 5, done.output
    assert "pip install 'balancer[excel]'" in done.stderr
    assert not (tmp_path / "w").exists()


def test_losses_are_kept_without_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with caplog.at_level(logging.INFO, "gan"):
        table = LossTable(tmp_path, start=0)
        table.add(16, loss_d=1.0, loss_g=2.0, images_per_second=3.0)
        table.close()
    assert "balancer[tensorboard]" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]
    assert "16,1,2,3" in (tmp_path / "metrics.csv").read_text()
