"""An archive of a hundred thousand entries, in bounded time and memory, in one order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.mutations import FACTOR
from support.radiograph_folders import film, save

ENTRIES = 20_000 if FACTOR == 1 else 100_000
"""A hundred thousand are made and listed within a minute, too long for the quick check."""
MEMORY_PER_ENTRY = 2_000
"""Bytes: a listing holds a few names and records for each, never a file."""
LISTING = """
import json, resource, sys
from pathlib import Path
from balancer.data.config import DataConfig
from balancer.data.layouts.archives import read_archives
from balancer.data.roots import Roots

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

opened = 0
def count(event, arguments):
    global opened
    opened += event == "open" and str(arguments[0]).startswith(sys.argv[1])
before = peak()
sys.addaudithook(count)
scan = read_archives(Roots.of([Path(sys.argv[1])]), DataConfig(), min_classes=2)
names = [image.path for image in scan.images]
print(json.dumps([peak() - before, names == sorted(names), len(names), dict(scan.ignored), opened]))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    sources = [save(folder / f"{number}.png", film(number)) for number in range(4)]
    for label in "ab":
        (folder / "films" / label).mkdir(parents=True)
        for number in range(ENTRIES // 2):
            # Every tenth is no image, which only its content tells.
            name = folder / "films" / label / f"{number:06}.{'png' if number % 10 else 'txt'}"
            if number % 10:
                os.link(sources[number % 4], name)
            else:
                name.touch()
    return folder / "films"


@pytest.mark.fault(19)
def test_a_listing_of_many_files_is_bounded_and_sorted(archive: Path) -> None:
    """Memory grows by names alone, and no file is read again and again."""
    done = subprocess.run(
        [sys.executable, "-c", LISTING, str(archive)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    memory, is_sorted, n_images, ignored, opened = json.loads(done.stdout)
    assert is_sorted
    assert n_images == ENTRIES * 9 // 10
    assert sum(ignored.values()) == ENTRIES // 10
    assert memory < MEMORY_PER_ENTRY * ENTRIES
    # A file that is named like an image is not opened, any other a few times.
    assert opened < 6 * ENTRIES // 10
