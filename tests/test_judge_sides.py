"""The sides of a judgement: what is set aside, left out or refused, and that it is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from balancer.cli import main
from balancer.data.collection import Collection, collection_of
from balancer.data.config import DataConfig
from balancer.errors import ConfigurationError, DataError
from balancer.given_images import given_files
from balancer.referee.sides import Sides, open_sides
from samples.phantom import draw_phantom

N = 12


def draw(first: int, count: int, *, covid: bool = True) -> np.ndarray:
    return np.stack([draw_phantom(n, covid=covid, size=64) for n in range(first, first + count)])


REAL, MADE, UNSEEN, NORMAL = draw(0, N), draw(100, 6), draw(200, 6), draw(300, 6, covid=False)


@pytest.fixture
def sides(tmp_path: Path) -> Any:
    """Open sides that are given as arrays."""

    def read(images: Any, name: str, patients: list[str] | None = None) -> Collection:
        files, labels = given_files(images, tmp_path / name)
        return collection_of(files, DataConfig(), name=name, labels=labels, patients=patients)

    def opened(
        real: Any, made: Any, *, holdout: Any = None, patients: Any = None, classes: Any = ()
    ) -> Sides:
        others = patients and ["q", *patients[: len(UNSEEN) - 1]]
        unseen = None if holdout is None else read(holdout, "holdout", others)
        return open_sides(
            read(real, "real", patients), read(made, "made"),
            holdout=unseen, classes=classes, data=DataConfig(), seed=0,
        )  # fmt: skip

    return opened


def numbers(side: Any) -> dict[str, int]:
    return {label: len(one.images) for label, one in side.items()}


def test_real_films_of_one_patient_cannot_be_set_aside(sides: Any) -> None:
    with pytest.raises(DataError):
        sides(REAL, MADE, patients=["p"] * N)
    halves = sides(REAL, MADE, patients=["p"] * 6 + ["q"] * 6)
    assert numbers(halves.real) == numbers(halves.held_out) == {"real": 6}


def test_a_class_with_one_film_is_left_out_and_named(sides: Any) -> None:
    found = sides({"COVID": REAL, "Normal": NORMAL[:1]}, {"COVID": MADE})
    assert numbers(found.real) == {"COVID": 9}
    assert numbers(found.held_out) == {"COVID": 3}
    assert any("Normal" in note for note in found.notes)
    two = sides({"COVID": REAL, "Normal": NORMAL[:2]}, {"COVID": MADE})
    assert numbers(two.real)["Normal"] == numbers(two.held_out)["Normal"] == 1


def test_only_the_class_that_is_named_is_judged(sides: Any) -> None:
    real = {"COVID": REAL, "Normal": NORMAL}
    found = sides(real, {"COVID": MADE, "Flu": UNSEEN}, classes=["COVID"])
    assert numbers(found.synthetic) == {"COVID": len(MADE)}
    assert any("Flu" in note for note in found.notes)
    with pytest.raises(ConfigurationError):
        sides(real, {"COVID": MADE, "Flu": UNSEEN})
    with pytest.raises(ConfigurationError):  # one real class does not make Flu COVID
        sides({"COVID": REAL}, {"COVID": MADE, "Flu": UNSEEN})
    merged = sides(REAL, {"a": MADE, "b": UNSEEN})
    assert any("a, b" in note for note in merged.notes)


def test_held_out_images_of_another_class_are_no_floor(sides: Any) -> None:
    with pytest.raises(ConfigurationError):
        sides({"COVID": REAL}, {"COVID": MADE}, holdout={"Normal": NORMAL})
    found = sides({"COVID": REAL}, {"COVID": MADE}, holdout={"COVID": UNSEEN, "Normal": NORMAL})
    assert numbers(found.held_out) == {"COVID": len(UNSEEN)}
    assert any("Normal" in note for note in found.notes)


def test_patients_on_both_sides_are_named(sides: Any) -> None:
    found = sides(REAL, MADE, holdout=UNSEEN, patients=["p"] * N)
    assert any(note.startswith("5 held-out") for note in found.notes)
    assert sides(REAL, MADE, holdout=UNSEEN).notes == ()


def test_a_damaged_file_is_counted_once(tmp_path: Path) -> None:
    for label, images in (("COVID", REAL), ("Normal", NORMAL)):
        files, _ = given_files(images, tmp_path / label)
        assert files
    (tmp_path / "COVID" / "0" / "x.png").write_bytes(b"no image")
    side = collection_of(
        sorted(tmp_path.rglob("*.png")), DataConfig(skip_bad=True), name="real",
        labels=["COVID"] * (N + 1) + ["Normal"] * len(NORMAL),
    )  # fmt: skip
    files, _ = given_files(MADE, tmp_path / "made")
    made = collection_of(files, DataConfig(), name="made")
    found = open_sides(
        side, made, holdout=None, classes=["COVID"], data=DataConfig(), seed=0
    )  # fmt: skip
    every = [*found.real.values(), *found.held_out.values()]
    assert sum(len(one.unusable) for one in every) == 1


def test_one_patient_stops_the_command(tmp_path: Path) -> None:
    given_files({"a": REAL}, tmp_path / "real")
    given_files({"a": MADE}, tmp_path / "made")
    files = sorted((tmp_path / "real").rglob("*.png"))
    rows = [f"{path.relative_to(tmp_path / 'real')},COVID,p" for path in files]
    (tmp_path / "real" / "table.csv").write_text("\n".join(["path,label,patient_id", *rows]))
    words = [str(tmp_path / "real"), str(tmp_path / "made" / "0"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, ["judge", *words])
    assert done.exit_code == 3, done.output
    assert not (tmp_path / "out" / "judge").exists()
