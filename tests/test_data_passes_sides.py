"""Films that are squares of sizes that are wanted, among others: cached as if made from scratch."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from balancer.data.cache import open_cache
from balancer.data.index import load_index
from balancer.data.row_file import RowFile
from balancer.evaluation.classifier_recipe import image_sizes
from balancer.stages import prepare
from support.radiograph_folders import configured, film, in_workspace, save

SMALL, LARGE, OTHER = 32, 48, 60


@pytest.mark.parametrize(
    "sides", [(SMALL, OTHER), (SMALL, LARGE), (LARGE, OTHER), (SMALL, LARGE, OTHER), (SMALL,)]
)
@pytest.mark.parametrize("rare", [False, True])
def test_pixels_are_those_made_from_scratch(
    tmp_path: Path, sides: tuple[int, ...], rare: bool
) -> None:
    root = tmp_path / "data"
    for number in range(20):
        # One film of the first side among others, in the middle, or all sides in turn.
        side = sides[0] if rare and number == 7 else sides[number % len(sides)]
        side = sides[-1] if rare and number != 7 else side
        save(root / ("COVID" if number < 10 else "Normal") / f"{number:03}.png", film(number, side))
    shutil.copy(root / "COVID" / "003.png", root / "COVID" / "0030.png")  # rows are closed up
    config = configured(root, f"gan.image_size={SMALL}", f"classifier.image_size={LARGE}")
    workspace = in_workspace(tmp_path)
    prepare.run(config, workspace)
    index = load_index(workspace.index_dir)
    assert image_sizes(config) == (SMALL, LARGE)
    for size in (SMALL, LARGE):
        scratch = open_cache(tmp_path / "scratch" / str(size), index.roots, index.records, size)
        np.testing.assert_array_equal(index.image_set(size).pixels, scratch)


def test_closed_rows_are_never_those_of_another_file(tmp_path: Path) -> None:
    closed = RowFile(tmp_path / "a.npy", 2, (3, 3))
    closed.close()
    RowFile(tmp_path / "b.npy", 2, (3, 3))  # may have the number that the first had
    with pytest.raises(OSError, match="Bad file descriptor"):
        closed.read(0)
