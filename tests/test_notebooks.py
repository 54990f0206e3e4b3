"""The notebooks of docs/ run from the first cell to the last, without a display."""

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "docs" / "notebooks"


def outputs_of(book: Any) -> list[list[dict[str, str]]]:
    """Return what each code cell shows, by kind."""
    return [
        [dict(one["data"]) for one in cell.outputs] for cell in book.cells
        if cell.cell_type == "code"
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # of the kernel's own packages
@pytest.mark.parametrize(
    ("name", "answer"),
    [("compare-with-your-classifier", "inconclusive"), ("judge-a-folder", "do not share")],
)
def test_a_notebook_runs_and_shows_what_it_keeps(
    name: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient runs notebooks")
    pytest.importorskip("ipykernel", reason="ipykernel runs notebooks")
    nbformat = pytest.importorskip("nbformat", reason="nbformat reads notebooks")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # tqdm would like a package of widgets
    book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    kept = outputs_of(book)
    nbclient.NotebookClient(
        book, timeout=250, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = outputs_of(book)
    # Figures may differ in their last digits on another processor; kinds and words may not.
    assert [[sorted(one) for one in cell] for cell in shown] == [
        [[*one] for one in cell] for cell in kept
    ]
    for cells in (kept, shown):
        texts = [one.get("text/plain", "") for cell in cells for one in cell]
        assert any(answer in text for text in texts), texts
    assert len(list(tmp_path.glob("*.html"))) == 1


def test_every_notebook_is_tested_and_keeps_nothing_of_the_machine() -> None:
    found = sorted(NOTEBOOKS.glob("*.ipynb"))
    assert [path.stem for path in found] == ["compare-with-your-classifier", "judge-a-folder"]
    for path in found:
        text = path.read_text(encoding="utf-8")
        assert "site-packages" not in text
        assert "iopub" not in text  # times of a run
