"""`balancer judge`: planted generators fail for their reason, unseen real images pass."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import balancer
from balancer.cli import main
from balancer.errors import ConfigurationError
from balancer.quality.release import HOME, NEVER, SHARE
from samples.phantom import draw_phantom
from support.planted_generators import Images, averaged, blurred, noisy, shifted
from support.tiny_pipeline import tree

pytestmark = pytest.mark.blank_pictures

SIDE, N = 64, 40
QUICK = ("--set", "quality.ms_ssim_pairs=50")


def draw(first: int, count: int, *, covid: bool) -> Images:
    seeds = range(first, first + count)
    return np.stack([draw_phantom(seed, covid=covid, size=SIDE) for seed in seeds])


def write(images: Images, folder: Path, suffix: str = ".png", *options: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"{number:03d}{suffix}"), image, options)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real and held-out films of two classes, in folders."""
    root = tmp_path_factory.mktemp("judge")
    for side, first, count in (("real", 0, N), ("holdout", 1_000, N)):
        write(draw(first, count, covid=True), root / side / "COVID")
        write(draw(first + 5_000, count, covid=False), root / side / "Normal")
    return root


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    """Features of a few images take longer on two busy cores than on one."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    yield
    if before is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = before


def judge(place: Path, made: Path, *words: str, holdout: bool = True) -> Result:
    """Judge into one folder, so that the features of the real images are computed once."""
    given = ["--holdout", str(place / "holdout")] if holdout else []
    fixed = ["--class", "COVID", "--out", str(place / "out"), "--force", *QUICK, *given]
    return CliRunner().invoke(main, ["judge", str(place / "real"), str(made), *fixed, *words])


def found(place: Path) -> Any:
    return json.loads((place / "out" / "judge" / "judge.json").read_text())["classes"]["COVID"]


def failures(place: Path) -> set[str]:
    checks = found(place)["quality"]["gate"]["checks"]
    return {check["name"].split("[")[0].strip() for check in checks if check["passed"] is not True}


GENERATORS: dict[str, tuple[Callable[[], Images], str]] = {
    "copier": (lambda: noisy(shifted(draw(0, N, covid=True), 2, -1), 5), "memorization"),
    "blurrer": (lambda: blurred(draw(2_000, N, covid=True)), "shortcut"),
    "wrong class": (lambda: draw(8_000, N, covid=False), "judged class"),
    "collapsed": (
        lambda: noisy(draw(2_000, 4, covid=True)[np.arange(N) % 4], 3),
        "twins",
    ),
}


@pytest.mark.fault(30, 31)
@pytest.mark.parametrize("name", GENERATORS)
def test_planted_generators_fail_for_their_reason(place: Path, name: str) -> None:
    make, reason = GENERATORS[name]
    done = judge(place, write(make(), place / name), "--strict")
    assert done.exit_code == 4, done.output
    assert reason in failures(place)
    if name == "copier":
        assert found(place)["quality"]["release"]["word"] == NEVER
        assert len(found(place)["copies"]) > N / 2


def test_unseen_real_films_pass_and_the_page_says_so(place: Path) -> None:
    made = write(draw(2_000, N, covid=True), place / "unseen")
    done = judge(place, made, "--strict", "--json")
    assert done.exit_code == 0, done.output
    metrics = json.loads(done.stdout)["metrics"]
    assert metrics["unseen"] is True
    assert found(place)["quality"]["chosen_by"] == {}  # nothing of ours chose them
    page = (place / "out" / "judge" / "judge.html").read_text()
    assert metrics["sentence"] in page
    assert 'src="data:image/png' in page
    assert "http" not in page.replace("http-equiv", "")
    assert found(place)["quality"]["release"]["word"] in (SHARE, HOME)


def test_a_tell_of_the_files_alone_is_named(place: Path) -> None:
    """Unseen films, larger, in another mode and badly compressed: the files give them away."""
    large = [cv2.resize(one, (96, 96)) for one in draw(2_000, N, covid=True)]
    colour = np.stack([cv2.cvtColor(one, cv2.COLOR_GRAY2BGR) for one in large])
    made = write(colour, place / "jpeg", ".jpg", cv2.IMWRITE_JPEG_QUALITY, 10)
    done = judge(place, made)
    assert done.exit_code == 0, done.output
    facts = {fact["name"]: fact for fact in found(place)["files"]}
    assert facts["format"]["real"] == {"PNG": N}
    assert facts["format"]["synthetic"] == {"JPEG": N}
    assert {name: fact["separation"] for name, fact in facts.items()} == {
        "format": 1.0,
        "mode": 1.0,
        "size": 1.0,
    }
    tell = found(place)["quality"]["tells"]["trivial_statistics"]["value"]
    assert found(place)["alike"]["value"] < tell
    shown = json.loads((place / "out" / "judge" / "result.json").read_text())["settings"]
    assert shown["size"] == SIDE


def test_without_a_holdout_copies_are_found_and_a_leaning_cannot_be(place: Path) -> None:
    done = judge(place, write(draw(2_000, N, covid=True), place / "unseen"), holdout=False)
    assert done.exit_code == 0, done.output
    first = found(place)
    assert first["quality"]["memorization"]["distance"] == {}
    assert first["quality"]["release"]["leaks"] == {}
    assert first["quality"]["release"]["word"] == HOME
    assert first["real"]["n"] + first["held_out"]["n"] == N
    # A quarter is set aside, but a copy of an image of it is a copy all the same.
    judge(place, write(draw(0, N, covid=True), place / "copies"), holdout=False)
    assert len(found(place)["copies"]) == N
    refused = judge(place, place / "unseen", "--strict-release", holdout=False)
    assert refused.exit_code == 4


def test_a_generator_that_leans_towards_what_it_saw_is_not_shared(place: Path) -> None:
    made = write(averaged(draw(0, N, covid=True), 2 * N), place / "averaged")
    most = ("--set", "quality.max_images=70")
    assert judge(place, made, "--strict-release", *most).exit_code == 4
    whole = json.loads((place / "out" / "judge" / "judge.json").read_text())
    assert found(place)["synthetic"]["n"] == 70
    assert any("quality.max_images" in note for note in whole["notes"])
    release = found(place)["quality"]["release"]
    assert release["word"] == NEVER
    assert max(leak["membership"] for leak in release["leaks"].values()) > 0.6


def test_copies_of_held_out_films_are_not_shared(place: Path) -> None:
    """Whoever says that they are unseen is mistaken, and they are real films all the same."""
    made = write(noisy(shifted(draw(1_000, N, covid=True), 2, -1), 5), place / "of holdout")
    assert judge(place, made, "--strict-release").exit_code == 4
    assert found(place)["quality"]["release"]["word"] == NEVER
    assert len(found(place)["copies"]) > N / 2


def test_wrong_words_and_mixed_up_folders_are_refused(place: Path, tmp_path: Path) -> None:
    before = tree(place / "real")
    real, unseen = str(place / "real"), write(draw(2_000, 8, covid=True), tmp_path / "made")
    out = ["--out", str(tmp_path / "out"), *QUICK]

    def exit_code(*words: str) -> int:
        return CliRunner().invoke(main, ["judge", *out, *words]).exit_code

    assert exit_code(real, str(unseen)) == 2  # of which class?
    assert exit_code(real, str(unseen), "--class", "Covid-20") == 2
    assert exit_code(real, str(tmp_path / "absent"), "--class", "COVID") == 2
    assert exit_code(real, real, "--class", "COVID", "--out", f"{real}/out") == 2
    few = write(draw(0, 5, covid=True), tmp_path / "few")
    assert exit_code(str(few), str(unseen)) == 3
    (unseen / "x.png").write_bytes(b"no image")
    assert exit_code(real, str(unseen), "--class", "COVID") == 3
    assert not (tmp_path / "out" / "judge").exists()
    assert tree(place / "real") == before


def test_real_films_marked_as_synthetic_are_refused(place: Path, tmp_path: Path) -> None:
    from balancer.data.io import png_bytes

    folder = write(draw(0, 8, covid=True), tmp_path / "real")
    marked = png_bytes(draw(9, 1, covid=True)[0], {"Synthetic": "true"})
    (folder / "m.png").write_bytes(marked)
    done = CliRunner().invoke(
        main, ["judge", str(folder), str(place / "holdout"), "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 4


def test_python_takes_arrays_lists_and_data_sets_and_gives_the_figures_of_the_command(
    place: Path, tmp_path: Path
) -> None:
    n = N // 2
    films = {"COVID": draw(0, n, covid=True)}
    made = draw(2_000, n, covid=True)
    config = balancer.load_config(assignments=[QUICK[1]])
    first = balancer.judge(films, made, holdout=draw(1_000, n, covid=True), config=config)
    assert first.passed is bool(first.checks["passed"].all())
    assert {"metric", "synthetic", "real", "n"} <= set(first.figures.columns)
    first.to_html(tmp_path / "page.html")
    assert first.sentence in (tmp_path / "page.html").read_text()
    assert "iframe" in first._repr_html_()
    listed = sorted((place / "real" / "COVID").glob("*.png"))[:n]
    others = sorted((place / "holdout" / "COVID").glob("*.png"))[:n]
    data_set = [(image[None] / np.float64(255), "COVID") for image in made]
    second = balancer.judge(listed, data_set, holdout=others, classes=["COVID"], config=config)
    assert second.figures["value"].tolist() == pytest.approx(first.figures["value"].tolist())
    with pytest.raises(ConfigurationError):
        balancer.judge(listed, 7)
    with pytest.raises(ConfigurationError):
        balancer.judge(listed, np.full((9, 32, 32), 300, np.int32))
