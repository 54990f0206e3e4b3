"""Time, language and hash seed of the machine change no byte of an index."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.radiograph_folders import class_folders
from support.tiny_pipeline import tree

NAMES = {"B\u00e4r": 9, "Normal": 9, "\u0130zmir": 9}  # \u0130: lower case differs in Turkish
CLOCK = """
import time, datetime
now = time.time
time.time = lambda: now() - 27 * 365 * 86400
time.time_ns = lambda: int(time.time() * 1e9)
class Past(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
datetime.datetime = Past
"""
MAIN = "from balancer.cli import main; main()"


def _prepared(
    archive: Path, workspace: Path, before: str = "", **environment: str
) -> dict[str, bytes]:
    """Run prepare; return the files of the index, without the seconds that it took."""
    words = ["prepare", "--data", str(archive), "-w", str(workspace), "-q"]
    done = subprocess.run(
        [sys.executable, "-c", f"{before}\n{MAIN}", *words],
        capture_output=True, text=True, env=os.environ | environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = tree(workspace / "index")
    result = json.loads(files["result.json"])
    assert result.pop("seconds") > 0
    return files | {"result.json": json.dumps(result).encode()}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("archive") / "films", NAMES)


@pytest.fixture(scope="module")
def expected(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    workspace = tmp_path_factory.mktemp("here") / "w"
    return _prepared(archive, workspace, PYTHONHASHSEED="0", TZ="UTC")


@pytest.mark.fault(50)
@pytest.mark.parametrize(
    ("environment", "before"),
    [
        ({"PYTHONHASHSEED": "4242", "TZ": "Pacific/Kiritimati"}, ""),
        ({"LC_ALL": "C", "LANG": "C"}, ""),
        ({"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "America/St_Johns"}, ""),
        ({"LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8"}, ""),
        ({}, CLOCK),
    ],
    ids=["hash-seed", "c-locale", "turkish", "decimal-comma", "clock-of-1999"],
)
def test_an_index_is_the_same(
    environment: dict[str, str],
    before: str,
    archive: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
) -> None:
    assert _prepared(archive, tmp_path / "w", before, **environment) == expected
