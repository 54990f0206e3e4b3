"""The wheel works in a read-only folder with spaces, run from elsewhere."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.tiny_pipeline import TINY

ROOT = Path(__file__).parent.parent
PACKAGES = ("balancer", "gan", "classifier", "configs", "samples")
NOT_SHIPPED = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True)
class Installed:
    """An installed wheel, and the libraries of this environment without its checkout."""

    site: Path
    elsewhere: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        libraries = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        # Without `site` no .pth file is read, so the checkout of an editable install is not found.
        return subprocess.run(
            [sys.executable, "-S", "-P", self.site / "bin" / "balancer", *words],
            cwd=self.elsewhere,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [self.site, *libraries]))},
            capture_output=True,
            text=True,
            check=False,
        )

    def files(self) -> dict[str, int]:
        """Every file of the install with the time of its last change."""
        files = (path for path in self.site.rglob("*") if path.is_file())
        return {path.relative_to(self.site).as_posix(): path.stat().st_mtime_ns for path in files}


def _pip(*words: str | Path) -> None:
    common = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    command = [sys.executable, "-m", "pip", words[0], *common, *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    folder = tmp_path_factory.mktemp("a wheel")
    source = folder / "source"  # a build leaves its own folders beside the sources
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=NOT_SHIPPED)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    _pip("wheel", "--no-build-isolation", "--wheel-dir", folder / "wheels", source)
    (wheel,) = (folder / "wheels").glob("balancer-*.whl")
    site, elsewhere = folder / "site packages", folder / "else where"
    elsewhere.mkdir()
    _pip("install", "--target", site, wheel)
    folders = [site, *(path for path in site.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    yield Installed(site, elsewhere)
    for path in folders:
        path.chmod(0o755)


def test_every_file_of_the_packages_is_in_the_wheel(installed: Installed) -> None:
    """Configurations, templates and drawings are package data."""
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {Path(name).suffix for name in wanted} >= {".py", ".yaml", ".html", ".png", ".typed"}
    assert not wanted - installed.files().keys()


@pytest.mark.fault(68)
def test_an_installed_wheel_runs_from_another_folder(installed: Installed) -> None:
    """The whole of it, on the bundled drawings, from a folder that nobody may write."""
    before = installed.files()
    words = installed.run("--help")
    assert (words.returncode, "gan-train" in words.stdout) == (0, True), words.stderr
    settings = [f"--set={one}" for one in TINY]
    done = installed.run("run", "-c", "smoke", "-w", "my work", *settings)
    assert done.returncode == 0, done.stderr
    assert str(ROOT) not in done.stderr
    workspace = installed.elsewhere / "my work"
    assert (workspace / "report" / "report.html").stat().st_size > 10_000
    index = (workspace / "index" / "index.csv").read_text()
    assert index.count("\n") == 1 + len(list((ROOT / "samples").glob("*/*.png")))
    assert installed.files() == before
