"""The package starts, and prepares images, without what Windows and macOS lack of Linux."""

import os
import subprocess
import sys
from pathlib import Path

ABSENT_MODULES = ("fcntl", "resource", "termios", "pwd", "grp", "tensorboard", "openpyxl")
ABSENT_NAMES = {
    "os": ("getuid", "sched_getaffinity", "sysconf"),
    "signal": ("SIGHUP", "pthread_kill"),
}
START = """
import importlib, sys
for name in {modules}:
    sys.modules[name] = None  # its import fails
for module, names in {names}.items():
    for name in names:
        delattr(importlib.import_module(module), name)
from balancer.cli import main
main()
"""


def _balancer(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = START.format(modules=ABSENT_MODULES, names=ABSENT_NAMES)
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_prepares_images_without_what_other_systems_lack(tmp_path: Path) -> None:
    done = _balancer(tmp_path, "prepare", "-c", "smoke", "-w", "work")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "work" / "index" / "index.csv").is_file()


def test_another_writer_is_refused_there_too(tmp_path: Path) -> None:
    from filelock import SoftFileLock  # what filelock uses where no lock of the system is

    (tmp_path / "work").mkdir()
    with SoftFileLock(tmp_path / "work" / ".lock"):
        done = _balancer(tmp_path, "prepare", "-w", "work")
    assert done.returncode == 5, done.stderr
    assert not (tmp_path / "work" / "index").exists()
