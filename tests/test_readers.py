"""Scores of blinded readers, and the file that keeps a reading."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from balancer.errors import IntegrityError
from balancer.evaluation.readers import (
    BlindedReading,
    Trial,
    is_reader_name,
    read_reading,
    read_scores,
    score,
    write_reading,
)


def reading_of(origins: str, answers: str) -> BlindedReading:
    """Make a reading: `r` or `s` for each origin, `-` for no answer."""
    kinds = {"r": "real", "s": "synthetic"}
    trials = [
        Trial.model_validate(
            {"image_id": str(n), "origin": kinds[one],
             "answer": None if key == "-" else int(key), "seconds": None if key == "-" else 0.5}
        )
        for n, (one, key) in enumerate(zip(origins, answers, strict=True))
    ]  # fmt: skip
    return BlindedReading(reader="Dr. Ö, (2)", label="a,b\n", size=64, trials=tuple(trials))


def test_scores_are_those_of_other_implementations() -> None:
    rng = np.random.default_rng(0)
    generated = rng.permutation(np.arange(60) % 2).astype(bool)
    answers = np.clip(np.round(rng.normal(2.2 + 0.8 * generated, 1)), 1, 4).astype(int)
    found = score(
        reading_of("".join("s" if one else "r" for one in generated), "".join(map(str, answers)))
    )
    assert found.auroc.value == pytest.approx(roc_auc_score(generated, answers))
    assert found.auroc.low is not None
    assert found.auroc.high is not None
    assert 0 < found.auroc.low < found.auroc.value < found.auroc.high < 1
    right = int(((answers > 2) == generated).sum())
    assert found.accuracy.value == right / 60
    exact = proportion_confint(right, 60, method="beta")
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx(exact)


def test_the_interval_of_guesses_holds_a_half_in_19_of_20() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        answers = "".join(map(str, rng.integers(1, 5, 60)))
        found = score(reading_of("rs" * 30, answers)).auroc
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.5 <= found.high
    assert 180 <= held <= 199  # 190 expected; binomial, SD 3


@pytest.mark.parametrize(
    ("origins", "answers", "auroc", "accuracy", "n"),
    [
        ("rrss", "1244", 1.0, 1.0, 4),
        ("rrss", "4411", 0.0, 0.0, 4),
        ("rrss", "2222", 0.5, 0.5, 4),
        ("rrss", "12--", None, 1.0, 2),
        ("rrss", "----", None, None, 0),
    ],
)
def test_perfect_and_unfinished_readings(
    origins: str, answers: str, auroc: float | None, accuracy: float | None, n: int
) -> None:
    found = score(reading_of(origins, answers))
    assert (found.auroc.value, found.accuracy.value, found.n) == (auroc, accuracy, n)
    assert (found.n_shown, found.auroc.low) == (4, None)  # no variance, no interval


def test_a_reading_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    reading = reading_of("rsrs", "14-2")
    write_reading(tmp_path / "one.csv", reading)
    assert read_reading(tmp_path / "one.csv") == reading
    assert read_reading(tmp_path / "one.csv").next == 2
    scores = read_scores(tmp_path)
    assert scores is not None
    assert scores.readings == (score(reading),)
    assert read_scores(tmp_path / "none") is None


@pytest.mark.parametrize("damage", [("4", "9"), ("synthetic", "perhaps"), ("origin", "kind")])
def test_a_changed_file_is_named(tmp_path: Path, damage: tuple[str, str]) -> None:
    path = tmp_path / "one.csv"
    write_reading(path, reading_of("rs", "14"))
    path.write_text(path.read_text().replace(*damage))
    with pytest.raises(IntegrityError, match=r"one\.csv"):
        read_scores(tmp_path)


@pytest.mark.parametrize(
    ("name", "fits"),
    [("Ada", True), ("Dr. Müller-Lüd 2", True), ("", False), ("../x", False), ("a/b", False),
     ("a" * 41, False), ("a.", False), (".a", False), ("a\nb", False), ("<b>", False)],
)  # fmt: skip
def test_names_of_readers_fit_into_names_of_files(name: str, fits: bool) -> None:
    assert is_reader_name(name) == fits
