"""A command that is killed at any moment goes on to what it would have made."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from support.forked_commands import ForkedCommands
from support.mutations import FACTOR
from support.tiny_pipeline import arguments, tree

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks and kills")

KILLS = 1 if FACTOR == 1 else 10
SETTINGS = (
    "gan.images_shown=96",
    "gan.checkpoint_every=32",
    "gan.evaluate_every=48",
    "ablation.repeats=1",
    "ablation.arms=[real, noise]",
)
CHAIN = (
    ("prepare",),
    ("gan-train",),
    ("synthesize",),
    ("classify",),
    ("classify", "--with-synthetic"),
    ("quality",),
    ("report",),
)
ASIDE = (("audit",), ("lungs", "apply"), ("explain",), ("lr-find",))
"""Commands whose results no other stage of the chain reads; only the long check kills them."""
STUDY = ("ablate", "--jobs", "2")
ALL = (*CHAIN, *(ASIDE if FACTOR > 1 else ()), STUDY)
PREPARED = (("audit",), STUDY)
"""Commands that begin on what `prepare` left; the others of `ASIDE` begin after the chain."""


@dataclass(frozen=True)
class Undisturbed:
    """Files before and after a command that nothing killed.

    Attributes:
        before: Workspace that it began with.
        after: Files that it left, without what hangs on the moment.
        seconds: Time that it took.
    """

    before: Path
    after: Mapping[str, object]
    seconds: float


MOMENTS = ("seconds", "images_per_second", "test_reads")
"""Keys of what hangs on the moment of a kill: a read of test images that a killed command noted
stays in the ledger, as it must, and the next one counts it."""


def without_moments(value: Any) -> Any:
    """Return the content of a JSON file without durations and counts of reads."""
    if isinstance(value, dict):
        return {key: without_moments(one) for key, one in value.items() if key not in MOMENTS}
    return [without_moments(one) for one in value] if isinstance(value, list) else value


def lasting(workspace: Path) -> dict[str, object]:
    """Return what must be equal: every file but logs, ledgers and states, without moments."""
    kept: dict[str, object] = {}
    for name, content in tree(workspace).items():
        path = Path(name)
        if {"tensorboard", "ledger"} & set(path.parts) or path.name in (".lock", "last.ckpt"):
            continue
        if name.startswith("runs/") and "units" not in path.parts:
            continue  # of a study: dates of its protocol, and first predictions by its hash
        if path.suffix == ".json":
            kept[name] = without_moments(json.loads(content))
        elif path.name == "metrics.csv":  # its last column is the speed
            kept[name] = [line.rsplit(b",", 1)[0] for line in content.splitlines()]
        else:
            kept[name] = content
    return kept


def compared(command: tuple[str, ...], workspace: Path) -> dict[str, object]:
    """Return the files that tell whether a command made the same; of a study its trainings."""
    found = lasting(workspace)
    if command != STUDY:
        return found
    return {name: content for name, content in found.items() if name.startswith("runs/units")}


@pytest.fixture(scope="module")
def undisturbed(
    commands: ForkedCommands, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ...], Undisturbed]:
    folder = tmp_path_factory.mktemp("undisturbed")
    found: dict[tuple[str, ...], Undisturbed] = {}

    def run(command: tuple[str, ...], root: Path) -> None:
        before = folder / "-".join(["before", *command])
        shutil.copytree(root, before)
        ended = commands.run(*command, *arguments(data, root, *SETTINGS))
        assert ended.code == 0, ended.said
        found[command] = Undisturbed(before, compared(command, root), ended.seconds)

    root = folder / "work"
    root.mkdir()
    for command in CHAIN:
        run(command, root)
    for command in ALL[len(CHAIN) :]:
        start = found[("gan-train",)].before if command in PREPARED else root
        shutil.copytree(start, folder / "-".join(command))
        run(command, folder / "-".join(command))
    return found


@pytest.mark.fault(38, 40)
@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_killed_commands_go_on_to_the_same_files(
    command: tuple[str, ...],
    tmp_path: Path,
    data: Path,
    commands: ForkedCommands,
    undisturbed: dict[tuple[str, ...], Undisturbed],
) -> None:
    """SIGKILL of the process group, at random moments of every stage."""
    expected, root, random = undisturbed[command], tmp_path / "work", Random(" ".join(command))
    words = [*command, *arguments(data, root, *SETTINGS)]
    for number in range(KILLS):
        moment, code = random.uniform(0.05, 0.95) * expected.seconds, 0
        while code != -9:
            # Starting processes of its own is most of a study: there the kills follow each other.
            if number == 0 or command != STUDY:
                shutil.rmtree(root, ignore_errors=True)
                shutil.copytree(expected.before, root)
            ended = commands.run(*words, kill_after=moment)
            code = ended.code
            assert code in (-9, 0), ended.said
            moment /= 2  # it ended before its time was up: nothing was killed
        if command != STUDY or number == KILLS - 1:
            ended = commands.run(*words)
            assert ended.code == 0, ended.said
            assert compared(command, root) == expected.after
            assert not list(root.rglob("*.partial"))
            assert not list(root.rglob("*.unfinished"))
