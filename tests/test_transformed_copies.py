"""Copies that were turned, zoomed, framed or cropped before a set was shared, at the command."""

import csv
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from balancer.cli import main
from balancer.data.copies.local_features import local_features
from balancer.data.copies.overlay import overlay
from balancer.data.copies.transformed_copies import find_transformed_copies
from samples.phantom import draw_phantom
from support.radiograph_folders import save

HISTOLOGY = Path(__file__).resolve().parents[2] / "shared" / "data" / "colour" / "lung-histology3"
SIZE = 160


def phantom(seed: int) -> np.ndarray:
    return draw_phantom(seed, covid=seed < 50, size=SIZE)


def turned(film: np.ndarray, degrees: float, zoom: float, border: int) -> np.ndarray:
    middle = ((SIZE - 1) / 2, (SIZE - 1) / 2)
    moving = cv2.getRotationMatrix2D(middle, degrees, zoom)
    return cv2.warpAffine(film, moving, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=border)


def brighter(film: np.ndarray) -> np.ndarray:
    return (255 * (film / 255) ** 0.85).astype(np.uint8)


def framed(film: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(film, *(60,) * 4, cv2.BORDER_CONSTANT, value=255)


KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "quarter": lambda film: np.rot90(film),
    "half-mirrored": lambda film: np.rot90(film[:, ::-1], 3),
    "black-corners": lambda film: turned(film, 33, 1.0, cv2.BORDER_CONSTANT),
    "reflected-corners": lambda film: brighter(turned(film, -140, 1.0, cv2.BORDER_REFLECT)),
    "enlarged": lambda film: turned(film, 0, 1.4, cv2.BORDER_CONSTANT),
    "reduced": lambda film: turned(film[:, ::-1].copy(), 0, 0.7, cv2.BORDER_CONSTANT),
    "framed": framed,
    "cropped": lambda film: brighter(film[8:136, 40:]),
    "cropped-and-stretched": lambda film: cv2.resize(film[8:150, 40:], (128, 128)),
}


def draw(root: Path, films: int = 12) -> Path:
    for label, first in (("COVID", 0), ("Normal", 50)):
        for seed in range(first, first + films):
            save(root / label / f"{seed:02}.png", phantom(seed))
    return root


def plant_all(root: Path) -> None:
    """Plant one copy of each kind, each of another film; `z` sorts them behind all films."""
    for seed, (kind, make) in enumerate(KINDS.items()):
        save(root / "COVID" / f"z-{kind}.png", np.ascontiguousarray(make(phantom(seed))))


def balancer(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def audit_at(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "audit.json").read_text())
    return found


def groups_of(workspace: Path) -> dict[str, str]:
    with (workspace / "index" / "index.csv").open(newline="") as file:
        return {row["path"]: row["group"] for row in csv.DictReader(file)}


def finding(audit: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((one for one in audit["findings"] if one["name"] == name), None)


@pytest.mark.fault(23)
def test_audit_finds_every_kind_and_its_command_joins_the_families(tmp_path: Path) -> None:
    root, workspace = draw(tmp_path / "data"), tmp_path / "w"
    plant_all(root)
    made = balancer("prepare", "-w", workspace, "--data", root, "--seed", 7, "-q")
    assert made.exit_code == 0, made.output
    before = groups_of(workspace)
    planted = [(f"COVID/{seed:02}.png", f"COVID/z-{kind}.png") for seed, kind in enumerate(KINDS)]
    assert all(before[one] != before[copy] for one, copy in planted)  # `prepare` misses them

    done = balancer("audit", "-w", workspace, "--json")
    assert done.exit_code == 0, done.output
    pairs = [
        (pair["first"], pair["second"]) for pair in audit_at(workspace / "audit")["transformed"]
    ]
    assert sorted(pairs) == sorted(planted)
    metrics = json.loads((workspace / "audit" / "result.json").read_text())["metrics"]
    assert metrics["copy_families"] == len(KINDS)
    assert balancer("audit", "-w", workspace, "--strict").exit_code == 4

    command = shlex.split(metrics["next_command"])
    again = balancer(*command[1:])
    assert again.exit_code == 0, again.output
    after = groups_of(workspace)
    assert all(after[one] == after[copy] for one, copy in planted)
    assert len(set(after.values())) == len(set(before.values())) - len(planted)
    standing = json.loads((workspace / "index" / "result.json").read_text())["settings"]
    assert standing["seed"] == 7  # the command repeats what was set
    assert "augmented-before-sharing" not in standing

    # The families are known now: nothing is left to say, and the table still holds them.
    done = balancer("audit", "-w", workspace, "--force", "--json")
    assert done.exit_code == 0, done.output
    assert audit_at(workspace / "audit").get("transformed", []) == []
    table = (workspace / "audit" / "copies.csv").read_text().splitlines()
    assert table[0] == "first,second"
    assert set(table[1:]) == {",".join(pair) for pair in planted}


def test_the_command_is_printed_whole(tmp_path: Path) -> None:
    root, workspace = draw(tmp_path / "data", films=8), tmp_path / "w"
    for seed in range(8):
        for label, first in (("COVID", 0), ("Normal", 50)):
            copy = np.ascontiguousarray(np.rot90(phantom(first + seed)))
            save(root / label / f"z{seed}.png", copy)
    assert balancer("prepare", "-w", workspace, "--data", root, "-q").exit_code == 0
    done = balancer("audit", "-w", workspace)
    metrics = json.loads((workspace / "audit" / "result.json").read_text())["metrics"]
    assert metrics["test_images_with_relatives"] > 0
    assert metrics["next_command"] in [line.strip() for line in done.output.splitlines()]


def test_prepare_names_a_set_that_was_augmented(tmp_path: Path) -> None:
    root, workspace = draw(tmp_path / "data"), tmp_path / "w"
    for seed in range(12):
        save(root / "COVID" / f"{seed:02}a.png", turned(phantom(seed), 20, 1.1, cv2.BORDER_REFLECT))
    made = balancer("prepare", "-w", workspace, "--data", root)
    assert made.exit_code == 0, made.output
    assert "AUGMENTED" in made.output
    assert "`balancer audit`" in made.output
    found = finding(audit_at(workspace / "index"), "augmented-before-sharing")
    assert found is not None
    assert found["counts"]
    assert ["COVID/00.png", "COVID/00a.png"] in found["groups"]
    result = json.loads((workspace / "index" / "result.json").read_text())
    assert "augmented-before-sharing" in result["metrics"]["findings"]
    for page in ("audit.md", "audit.html"):
        assert "Augmented before sharing" in (workspace / "index" / page).read_text()
    strict = balancer("prepare", "-w", workspace, "--data", root, "--strict")
    assert strict.exit_code == 4


def test_prepare_reads_names(tmp_path: Path) -> None:
    root, workspace = draw(tmp_path / "data"), tmp_path / "w"
    for seed, name in enumerate(("film_rotated", "IMG12-hflip", "x_rot90", "case_aug_3"), 90):
        save(root / "Normal" / f"{name}.png", phantom(seed))
    made = balancer("prepare", "-w", workspace, "--data", root)
    assert made.exit_code == 0, made.output
    assert "AUGMENTED" in made.output
    found = finding(audit_at(workspace / "index"), "augmented-before-sharing")
    assert found is not None
    assert len(found["groups"]) == 4
    table = tmp_path / "pairs.csv"
    table.write_text("first,second\n")
    words = ("--force", "--set", f"data.same_film={table}")
    again = balancer("prepare", "-w", workspace, "--data", root, *words)
    assert again.exit_code == 0, again.output
    assert "AUGMENTED" not in again.output  # families were looked for


def test_prepare_takes_no_other_word_for_a_hint(tmp_path: Path) -> None:
    root, workspace = draw(tmp_path / "data"), tmp_path / "w"
    names = (
        "carotid",
        "carrot",
        "parrot",
        "protocol",
        "12-aug-2019",
        "13-aug-2019",
        "augusta",
        "mirrorless",
    )
    for seed, name in enumerate(names, 90):
        save(root / "Normal" / f"{name}.png", phantom(seed))
    made = balancer("prepare", "-w", workspace, "--data", root)
    assert made.exit_code == 0, made.output
    assert "AUGMENTED" not in made.output


def test_films_of_different_patients_are_no_copies() -> None:
    features = [local_features(phantom(seed)) for seed in range(30)]
    assert find_transformed_copies(features, [str(number) for number in range(30)]) == []


def test_copies_of_one_group_are_not_compared_again() -> None:
    features = [local_features(phantom(3)), local_features(np.rot90(phantom(3)).copy())]
    assert len(find_transformed_copies(features, ["a", "b"])) == 1
    assert find_transformed_copies(features, ["a", "a"]) == []


def test_the_features_of_a_mirrored_image_are_those_of_the_mirror_image() -> None:
    film = phantom(5)
    derived, found = local_features(film).mirrored(), local_features(film[:, ::-1].copy())
    laid = overlay(derived, found)
    assert laid is not None
    assert laid.similarity > 0.99
    assert abs(laid.degrees) < 0.5
    assert laid.inliers > 0.7 * len(found.points)


def test_an_overlay_tells_the_turn_and_the_zoom() -> None:
    film = phantom(5)
    laid = overlay(
        local_features(film), local_features(turned(film, 30, 1.25, cv2.BORDER_CONSTANT))
    )
    assert laid is not None
    assert abs(abs(laid.degrees) - 30) < 1
    assert abs(laid.zoom - 1.25) < 0.03


def test_a_frame_is_not_compared() -> None:
    film = phantom(5)
    laid = overlay(local_features(film), local_features(framed(film)))
    assert laid is not None
    assert laid.similarity > 0.94


def test_an_image_without_features_is_no_copy_of_another() -> None:
    even = np.full((SIZE, SIZE), 90, np.uint8)
    square = even.copy()
    square[70:90, 70:90] = 100
    images = (even, even + 1, square, square + 1, phantom(1))
    features = [local_features(image) for image in images]
    assert len(features[0].points) == 0
    assert find_transformed_copies(features, ["a", "b", "c", "d", "e"]) == []


@pytest.mark.skipif(not HISTOLOGY.is_dir(), reason="needs ../shared/data/colour/lung-histology3")
def test_families_of_a_set_that_was_augmented() -> None:
    """The authors turned and mirrored each original about 20 times; 40 files of one class."""
    paths = sorted((HISTOLOGY / "lung_scc").glob("*.jpg"))[:40]
    features = [local_features(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)) for path in paths]
    pairs = find_transformed_copies(features, [str(path) for path in paths])
    assert len(pairs) >= 30
