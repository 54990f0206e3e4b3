"""The notebooks of docs/ run from the first cell to the last, without a display."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def test_there_is_one() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["compare-with-your-classifier"]


@pytest.mark.filterwarnings("ignore")  # of the kernel's own packages
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient runs notebooks")
    pytest.importorskip("ipykernel", reason="ipykernel runs notebooks")
    nbformat = pytest.importorskip("nbformat", reason="nbformat reads notebooks")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)
    nbclient.NotebookClient(
        book, timeout=250, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    texts = [out["data"].get("text/plain", "") for cell in book.cells
             for out in cell.get("outputs", ()) if "data" in out]  # fmt: skip
    assert any("inconclusive" in text for text in texts), texts
    assert len(list(tmp_path.glob("*.html"))) == 1
