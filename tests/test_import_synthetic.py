"""Images from outside: exported, imported, and refused where they copy what must not be seen."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from balancer.cli import main
from balancer.data.index import Index, load_index
from balancer.data.io import Pixels, read_radiograph
from balancer.evaluation.ledger import COPIES, read_ledger
from balancer.manifest import fingerprint
from balancer.quality.release import NEVER, SHARE
from balancer.stages import prepare
from balancer.synthetic.gates import load_synthetic
from balancer.workspace import Workspace
from samples.phantom import write_samples
from support.tiny_pipeline import arguments, config_for, metrics_of, tree

pytestmark = pytest.mark.blank_pictures

N_MADE = 12


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_samples(folder, n_covid=24, n_normal=60, size=96)
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, films: Path) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("prepared") / "work")
    with workspace.lock():
        prepare.run(config_for(films), workspace)
    return workspace


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn chests of other people: what an honest generator would bring."""
    folder = tmp_path_factory.mktemp("made")
    write_samples(folder / "all", n_covid=N_MADE, n_normal=2, size=80, seed=99)
    (folder / "all" / "COVID").rename(folder / "sd15")
    return folder / "sd15"


@pytest.fixture
def work(tmp_path: Path, prepared: Workspace) -> Workspace:
    shutil.copytree(prepared.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


@pytest.fixture
def call(work: Workspace, films: Path) -> Callable[..., Result]:
    def run(*words: str | Path) -> Result:
        command, *rest = map(str, words)
        settings = arguments(films, work.root, "synthesis.screen=[]")
        return CliRunner().invoke(main, [command, *rest, *settings, "-q"])

    return run


def films_of(index: Index, split: str) -> list[Pixels]:
    return [read_radiograph(index.roots.locate(one.path)) for one in index.select(split, "COVID")]


def save(folder: Path, images: list[Pixels], suffix: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        assert cv2.imwrite(str(folder / f"planted-{number}{suffix}"), image)
    return folder


def test_the_export_is_the_training_split_and_nothing_else(
    call: Callable[..., Result], work: Workspace, tmp_path: Path
) -> None:
    index = load_index(work.index_dir)
    assert call("export-split", "COVID", tmp_path / "out").exit_code == 0
    with (tmp_path / "out" / "ids.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == [
        record.image_id for record in index.select("train", "COVID")
    ]
    for row in rows:
        assert fingerprint((tmp_path / "out" / row["file"]).read_bytes()) == row["image_id"]
    assert len(tree(tmp_path / "out")) == len(rows) + 1
    before = tree(tmp_path / "out")
    assert call("export-split", "COVID", tmp_path / "out").exit_code == 2
    assert tree(tmp_path / "out") == before
    assert call("export-split", "COVID", tmp_path / "out", "--force", "--size", "32").exit_code == 0
    squares = sorted((tmp_path / "out" / "images").iterdir())
    (tmp_path / "out" / "weights.pt").write_bytes(b"of a night")
    before = tree(tmp_path / "out")
    assert call("export-split", "COVID", tmp_path / "out", "--force").exit_code == 2
    assert tree(tmp_path / "out") == before
    expected = index.pixels(32, "train", "COVID")
    assert np.array_equal([read_radiograph(path) for path in squares], expected)


@pytest.mark.parametrize("place", ["work/export", "films"])
def test_an_export_stays_away_from_data_and_workspace(
    place: str, call: Callable[..., Result], films: Path, tmp_path: Path
) -> None:
    folder = films / "export" if place == "films" else tmp_path / place
    assert call("export-split", "COVID", folder).exit_code == 2
    assert not folder.exists()


def test_imported_images_take_the_place_of_ours(
    call: Callable[..., Result], work: Workspace, made: Path, tmp_path: Path
) -> None:
    assert call("export-split", "COVID", tmp_path / "out").exit_code == 0
    ids = tmp_path / "out" / "ids.csv"
    done = call("import-synthetic", made, "--class", "COVID", "--ratio", "2:1",
                "--trained-on", ids, "--licence", "CC0")  # fmt: skip
    assert done.exit_code == 0, done.output
    index = load_index(work.index_dir)
    records = load_synthetic(work, index)
    assert {(one.source, one.seed, one.checkpoint) for one in records} == {("sd15", None, None)}
    lineage = json.loads((work.synthetic_dir / "lineage.json").read_text())["COVID"]
    assert set(lineage["training_ids"]) == {r.image_id for r in index.select("train", "COVID")}
    outside = metrics_of(work.synthetic_dir)["outside"]["COVID"]
    assert outside == {"name": "sd15", "lineage": "known", "licence": "CC0"}
    looks = read_ledger(work.ledger_dir)
    assert [one.what for one in looks] == [f"{COPIES}sd15"]
    assert looks[0].images == len(index.records) - sum(index.counts("train").values())


@pytest.mark.parametrize(("word", "state"), [((), "unknown"), (("--declared",), "declared")])
def test_a_word_or_its_absence_stands_beside_the_name(
    word: tuple[str, ...], state: str, call: Callable[..., Result], work: Workspace, made: Path
) -> None:
    done = call("import-synthetic", made, "--class", "COVID", "--ratio", "2:1", *word)
    assert done.exit_code == 0, done.output
    assert metrics_of(work.synthetic_dir)["outside"]["COVID"]["lineage"] == state
    assert f"lineage {state}" in done.output


DISGUISES: dict[str, Callable[[Pixels], Pixels]] = {
    "as it is": lambda film: film,
    "small": lambda film: cv2.resize(film, (48, 48), interpolation=cv2.INTER_AREA),
    "mirrored": lambda film: np.ascontiguousarray(film[:, ::-1]),
    "cut": lambda film: np.ascontiguousarray(film[12:-6, 14:-8]),
    "inverted": lambda film: 255 - film,
    "brightened": lambda film: (255 * (film / 255.0) ** 0.6).astype(np.uint8),
}


SMUGGLED = [*((name, "nothing") for name in DISGUISES), ("small", "a word"), ("small", "a list")]


@pytest.mark.fault(26)
@pytest.mark.parametrize(("disguise", "said"), SMUGGLED)
def test_no_held_out_image_is_smuggled_in(
    disguise: str,
    said: str,
    call: Callable[..., Result],
    work: Workspace,
    made: Path,
    tmp_path: Path,
) -> None:
    index = load_index(work.index_dir)
    place = shutil.copytree(made, tmp_path / "sd15")
    split = "val" if disguise == "small" else "test"
    save(place, [DISGUISES[disguise](films_of(index, split)[0])], ".jpg")
    words = {"a word": ["--declared"]}.get(said, [])
    if said == "a list":  # which is right as far as it goes
        call("export-split", "COVID", tmp_path / "out")
        words = ["--trained-on", str(tmp_path / "out" / "ids.csv")]
    done = call("import-synthetic", place, "--class", "COVID", "--ratio", "2:1", *words)
    assert done.exit_code == 4, done.output
    assert "planted-0.jpg" in done.output
    assert not work.synthetic_dir.exists()
    assert not work.imported_dir("COVID").exists()
    assert [one.what for one in read_ledger(work.ledger_dir)] == [f"{COPIES}sd15"]


def listing(index: Index, splits: tuple[str, ...], column: str) -> str:
    found = [one for split in splits for one in index.select(split, "COVID")]
    return "\n".join([column, *(getattr(one, column) for one in found)]) + "\n"


@pytest.mark.parametrize(
    ("splits", "column", "exit_code"),
    [(("train", "test"), "image_id", 4), (("train", "val"), "path", 4), ((), "path", 3)],
)
def test_a_list_with_held_out_images_is_refused(
    splits: tuple[str, ...],
    column: str,
    exit_code: int,
    call: Callable[..., Result],
    work: Workspace,
    made: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "ids.csv").write_text(listing(load_index(work.index_dir), splits, column))
    done = call("import-synthetic", made, "--class", "COVID", "--trained-on", tmp_path / "ids.csv")
    assert done.exit_code == exit_code, done.output
    assert not work.imported_dir("COVID").exists()


def test_a_list_that_lacks_what_the_images_copy_is_refused(
    call: Callable[..., Result], work: Workspace, made: Path, tmp_path: Path
) -> None:
    index = load_index(work.index_dir)
    place = shutil.copytree(made, tmp_path / "sd15")
    save(place, films_of(index, "train")[-1:])
    short = listing(index, ("train",), "image_id").splitlines()[:-1]
    (tmp_path / "ids.csv").write_text("\n".join(short))
    done = call("import-synthetic", place, "--class", "COVID", "--trained-on", tmp_path / "ids.csv")
    assert done.exit_code == 4, done.output


def test_faults_leave_nothing_half_done(
    call: Callable[..., Result], work: Workspace, made: Path, films: Path, tmp_path: Path
) -> None:
    few = save(tmp_path / "few", [read_radiograph(path) for path in sorted(made.iterdir())[:2]])
    place = shutil.copytree(made, tmp_path / "broken")
    (place / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    for words, exit_code in (
        ((tmp_path / "nowhere", "--class", "COVID"), 2),
        ((made, "--class", "COVIDD"), 2),
        ((made, "--class", "Normal"), 2),
        ((made, "--class", "COVID", "--name", "a b/../c"), 2),
        ((made, "--class", "COVID", "--declared", "--trained-on", tmp_path), 2),
        ((place, "--class", "COVID"), 3),
        ((films, "--class", "Pneumonia"), 2),
    ):
        assert call("import-synthetic", *words).exit_code == exit_code, words
        assert not work.imported_dir("COVID").exists()
    done = call("import-synthetic", few, "--class", "COVID", "--ratio", "2:1")
    assert done.exit_code == 3, done.output  # fewer than the ratio needs
    assert not work.synthetic_dir.exists()
    assert not work.imported_dir("COVID").exists()
    assert read_ledger(work.ledger_dir) == []  # so no test image was looked at for nothing


def test_a_folder_that_changed_is_imported_again(
    call: Callable[..., Result], work: Workspace, made: Path, tmp_path: Path
) -> None:
    place = shutil.copytree(made, tmp_path / "sd15")
    words = ("import-synthetic", place, "--class", "COVID", "--ratio", "2:1")
    assert call(*words).exit_code == 0
    first = sorted(place.iterdir())[0]
    assert cv2.imwrite(str(first), 255 - cv2.flip(cv2.imread(str(first), 0), 0))
    assert call(*words).exit_code == 0
    kept = {path.read_bytes() for path in (work.imported_dir("COVID") / "images").iterdir()}
    assert kept == {path.read_bytes() for path in place.iterdir()}


def test_images_of_another_class_are_not_taken_for_this_one(
    call: Callable[..., Result], work: Workspace, made: Path, tmp_path: Path
) -> None:
    shutil.copytree(made, tmp_path / "alone" / "Normal")
    done = call("import-synthetic", tmp_path / "alone", "--class", "COVID", "--ratio", "2:1")
    assert done.exit_code == 3, done.output
    shutil.copytree(made, tmp_path / "both" / "COVID")
    save(tmp_path / "both" / "Normal", [255 - read_radiograph(next(iter(made.iterdir())))] * 2)
    done = call("import-synthetic", tmp_path / "both", "--class", "COVID", "--ratio", "2:1")
    assert done.exit_code == 0, done.output
    assert metrics_of(work.imported_dir("COVID"))["left_out"] == {"image of Normal": 2}


def test_a_changed_image_or_split_is_refused(
    call: Callable[..., Result], work: Workspace, made: Path
) -> None:
    words = ("import-synthetic", made, "--class", "COVID", "--ratio", "2:1")
    assert call(*words).exit_code == 0
    path = work.imported_dir("COVID") / "images.csv"
    text = path.read_text()
    path.write_text(text.replace("sd15", "sd16", 1))
    assert call("synthesize", "--force").exit_code == 4
    path.write_text(text)
    assert call("prepare", "--force", "--seed", "5").exit_code == 0
    assert call("synthesize", "--force", "--seed", "5").exit_code == 4


def test_the_lineage_stands_beside_the_name_in_later_results(
    call: Callable[..., Result], work: Workspace, made: Path
) -> None:
    assert call("import-synthetic", made, "--class", "COVID").exit_code == 0
    expected = {"COVID": {"name": "sd15", "lineage": "unknown"}}
    for words, folder in (
        (("quality",), work.quality_dir),
        (("classify", "--with-synthetic"), work.classify_dir("real+synthetic")),
    ):
        done = call(*words)
        assert done.exit_code == 0, done.output
        assert metrics_of(folder)["outside"] == expected
        assert "sd15 (lineage unknown)" in done.output
    assert call("classify").exit_code == 0
    page = call("report")
    assert page.exit_code == 0, page.output
    text = (work.report_dir / "report.md").read_text()
    assert "Unverified" in text
    assert "sd15 (lineage unknown)" in text
    assert "Sharing what was made" in text
    release = metrics_of(work.quality_dir)["classes"]["COVID"]["release"]
    assert release["word"] in text
    assert release["word"] != SHARE  # it may have seen the validation images
    assert release["leaks"] == {}


def test_a_leaky_generator_is_not_released(
    call: Callable[..., Result], work: Workspace, tmp_path: Path
) -> None:
    """Noisy copies of training images: allowed to train on, but not to be given away."""
    rng = np.random.default_rng(0)
    leaky = [
        np.clip(film + rng.normal(0, 4, film.shape), 0, 255).astype(np.uint8)
        for film in films_of(load_index(work.index_dir), "train")
    ]
    images = save(tmp_path / "leaky", leaky)
    assert call("import-synthetic", images, "--class", "COVID").exit_code == 0
    assert call("quality", "--strict-release").exit_code == 4
    release = metrics_of(work.quality_dir)["classes"]["COVID"]["release"]
    assert release["word"] == NEVER
    assert release["leaks"] == {}  # of unknown lineage: it may have seen validation images too
    place = (str(work.root), str(work.root), "--out", str(tmp_path / "judge"))
    CliRunner().invoke(main, ["judge", *place, "--set", "quality.ms_ssim_pairs=50"])
    assert metrics_of(tmp_path / "judge" / "judge")["unseen"] is False
    card = (work.quality_dir / "README.md").read_text()
    assert NEVER in card.partition("## How")[0]
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "unknown"
    assert "leaky" in card
    beside = (work.synthetic_dir / "README.md").read_text()
    assert "not to be shared" in beside  # measured later


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")  # of rdflib
def test_croissant_passes_its_own_validator_and_lists_the_images(
    call: Callable[..., Result], work: Workspace, made: Path
) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant checks croissant.json")
    assert call("import-synthetic", made, "--class", "COVID", "--licence", "CC0").exit_code == 0
    read = croissant.Dataset(work.synthetic_dir / "croissant.json")
    assert not read.metadata.ctx.issues.errors
    rows = list(read.records("images"))
    accepted = {row["images/image_id"].decode() for row in rows if row["images/accepted"]}
    records = load_synthetic(work, load_index(work.index_dir))
    assert accepted == {record.image_id for record in records}
