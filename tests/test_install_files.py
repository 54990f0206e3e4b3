"""The set-up of `make demo`, the constraints and the container, without a network."""

import importlib.metadata
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
FAKE = """#!/bin/sh
if [ "$2" = venv ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; exit; fi
echo "$@" >> calls
case "$*" in *torch-backend*) exit {code};; esac
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("torch", "code", "n_installs", "is_said"),
    [("cpu", 0, 3, False), ("cpu", 1, 3, True), ("default", 0, 1, False)],
)
def test_a_machine_without_a_gpu_takes_the_cpu_build(
    torch: str, code: int, n_installs: int, is_said: bool, tmp_path: Path
) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(FAKE.format(code=code))
    python.chmod(0o755)
    done = subprocess.run(
        ["make", ".venv/installed", f"PYTHON={python}", f"TORCH={torch}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == n_installs
    assert any("--torch-backend cpu" in call for call in calls) == (torch == "cpu")
    assert calls[-1].endswith("-e .")
    assert ("cannot be reached" in done.stdout) == is_said


def _bounds(text: str) -> dict[str, str]:
    wanted = (Requirement(one) for one in re.findall(r"'((?:torch|torchvision)[<>=][^']*)'", text))
    return {one.name: str(one.specifier) for one in wanted}


def test_bounds_and_constraints_agree() -> None:
    """The bounds of torch are written in three files; each constraint is within its bound."""
    listed = [Requirement(one) for one in importlib.metadata.requires("balancer") or []]
    bounds = {one.name: one.specifier for one in listed}
    wanted = {name: str(bounds[name]) for name in ("torch", "torchvision")}
    assert _bounds((ROOT / "Makefile").read_text()) == wanted
    assert _bounds((ROOT / "Dockerfile").read_text()) == wanted
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    extras = {str(one.marker).rpartition("==")[2].strip(' "') for one in listed if one.marker}
    for one in listed:
        is_used = one.marker is None or any(
            one.marker.evaluate({"extra": extra}) for extra in extras - {"dev"}
        )
        if is_used and one.name != "balancer":
            assert Version(pinned[one.name]) in one.specifier, one


def test_the_container_gets_all_packages_of_the_wheel_and_no_rights() -> None:
    from balancer.doctor.examine import TOP_LEVEL_NAMES

    text = (ROOT / "Dockerfile").read_text()
    for name in TOP_LEVEL_NAMES:
        assert f"COPY {name} /src/{name}" in text
        assert f"!{name}\n" in (ROOT / ".dockerignore").read_text()
    assert text.index("\nUSER balancer") < text.index("\nENTRYPOINT")
