"""Libraries outside the bounds of pyproject.toml are refused at the start, with what mends it."""

import importlib.metadata
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from balancer.cli import main
from balancer.requirements import check_libraries

VERSION = importlib.metadata.version


def _installed(monkeypatch: pytest.MonkeyPatch, **changed: str | None) -> None:
    """Pretend that libraries have other versions, or are missing where it is None."""

    def version(name: str) -> str:
        found = changed.get(name.replace("-", "_"), VERSION(name))
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr("importlib.metadata.version", version)


def _prepare(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["prepare", "-w", str(folder / "w"), *words])


@pytest.mark.fault(67)
@pytest.mark.parametrize(
    ("library", "version"),
    [
        ("torch", "2.9.1"),
        ("torch", "2.9.1+cu128"),
        ("albumentations", "2.1.0"),
        ("lightning", "2.6.5"),
        ("click", None),
    ],
)
def test_a_library_outside_the_bounds_is_refused_by_name(
    library: str, version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _installed(monkeypatch, **{library: version})
    done = _prepare(tmp_path)
    assert done.exit_code == 5, done.output
    (line,) = done.stderr.splitlines()
    assert f"pip install '{library}" in line
    assert (version or "none") in line
    assert not (tmp_path / "w").exists()


def test_all_faults_are_in_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, torch="2.1", numpy="1.26.4")
    assert "'numpy>=2.0' 'torch>=2.10'" in _prepare(tmp_path).stderr


@pytest.mark.parametrize("version", ["2.10.0+cpu", "2.11.0.dev20260101+cu130", "99.0"])
def test_builds_and_later_versions_are_taken(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, torch=version)
    check_libraries()


@pytest.mark.parametrize(
    ("extra", "library", "words"),
    [
        ("explain", "grad_cam", ("explain",)),
        ("export", "onnxruntime", ("export",)),
        ("app", "gradio", ("serve", "--no-browser")),
        ("spark", "pyspark", ("prepare", "--engine", "spark")),
        ("cluster", "ray", ("ablate", "--ray", "auto")),
    ],
)
def test_the_library_of_an_extra_is_refused_where_the_extra_is_used(
    extra: str,
    library: str,
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        importlib.metadata.distribution(library)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the extra {extra}")
    listed = importlib.metadata.requires("balancer") or []
    assert any(f'extra == "{extra}"' in one for one in listed)
    _installed(monkeypatch, **{library: "0.0.1"})
    done = CliRunner().invoke(main, [*words, "-w", str(tmp_path / "w")])
    assert done.exit_code == 5, done.output
    assert f"pip install '{library.replace('_', '-')}" in done.stderr
    check_libraries()  # other commands do not use it


@pytest.mark.fault(67)
def test_a_missing_extra_is_named_where_it_is_needed_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _installed(monkeypatch, pydicom=None, pyarrow=None)
    check_libraries("dicom", "parquet")


def _fastest(work: Callable[[], None]) -> float:
    seconds = []
    for _ in range(5):
        start = time.process_time()  # not the time in which others had the processor
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def test_the_check_takes_no_time_and_loads_no_library() -> None:
    check_libraries()
    assert _fastest(check_libraries) < 0.02
    code = (
        "import sys\n"
        "from balancer.requirements import check_libraries\n"
        "check_libraries('app', 'explain', 'dicom', 'parquet', 'spark', 'cluster')\n"
        "print(' '.join(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "lightning", "pandas", "cv2"} & set(done.stdout.split())
