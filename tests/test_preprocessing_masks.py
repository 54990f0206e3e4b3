"""Lung masks that are broken, implausible, not what they are said to be, or tell the class."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from balancer.data.film.examine import DOUBTFUL_LUNGS
from balancer.data.index import Index, load_index
from balancer.data.io import read_radiograph, resize_square
from balancer.data.masks.find import MaskFinder
from balancer.data.masks.of_index import read_masks
from balancer.data.roots import Roots
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.lungs.segment import DOUBTFUL, segment_lungs
from balancer.stages import prepare
from balancer.workspace import Workspace
from samples.phantom import draw_phantom
from support.radiograph_folders import audit_of, class_folders, configured, film, in_workspace, save

ONLY = "preprocessing.lungs=lungs-only"
CROP = "preprocessing.lungs=crop-to-lungs"
FIRST = Path("COVID", "masks", "0.png")


def boxed(side: int = 48) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    mask[side // 4 : -side // 4, side // 4 : -side // 4] = 255
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Folders as the COVID-19 Radiography Database has them, with a mask for every image."""
    folder = tmp_path / "films"
    for number in range(20):
        label = "COVID" if number < 10 else "Normal"
        save(folder / label / "images" / f"{number}.png", film(number))
        save(folder / label / "masks" / f"{number}.png", boxed())
    return folder


def prepared(root: Path, place: Path, *assignments: str, strict: bool = False) -> Index:
    workspace = in_workspace(place)
    prepare.run(configured(root, *assignments), workspace, strict=strict)
    return load_index(workspace.index_dir)


def test_masks_of_one_origin_by_class_are_loud(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for mask in (root / "Normal" / "masks").iterdir():
        mask.unlink()
    with pytest.raises(IntegrityError):
        prepared(root, tmp_path, ONLY, strict=True)
    assert "ORIGIN OF THE LUNG MASKS GIVES THE CLASS AWAY (Cramer's V 1.00)" in caplog.text
    audit = audit_of(in_workspace(tmp_path))
    assert audit["masks"]["table"] == {
        "archive": {"COVID": 10, "Normal": 0},
        "classical": {"COVID": 0, "Normal": 10},
    }
    assert "masks-give-class-away" in [one["name"] for one in audit["findings"] if one["counts"]]


def test_masks_of_one_origin_are_not(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared(root, tmp_path / "masked", ONLY)
    assert audit_of(in_workspace(tmp_path / "masked"))["masks"]["gives_label_away"] is False
    prepared(root, tmp_path / "plain")
    assert audit_of(in_workspace(tmp_path / "plain"))["masks"] is None
    assert "MASKS" not in caplog.text
    assert "too little or too much" not in caplog.text


def spot() -> np.ndarray:
    mask = np.zeros((48, 48), np.uint8)
    mask[3, 3] = 255
    return mask


@pytest.mark.parametrize("drawn", [spot, lambda: np.full((48, 48), 255, np.uint8)])
def test_a_mask_that_no_lungs_fill_is_none(
    root: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    drawn: Callable[[], np.ndarray],
) -> None:
    save(root / FIRST, drawn())
    whole = resize_square(read_radiograph(root / "COVID" / "images" / "0.png"), 32)
    for view, wanted in ((ONLY, np.zeros_like(whole)), (CROP, whole)):
        caplog.clear()
        index = prepared(root, tmp_path / view[-4:], view)
        assert index.records[0].path == "COVID/images/0.png"
        np.testing.assert_array_equal(index.image_set(32).pixels[0], wanted)
        assert "masks of 1 of 20 images cover too little or too much" in caplog.text
        assert ("which are black now" in caplog.text) == (view == ONLY)


def test_a_broken_mask_is_named(root: Path, tmp_path: Path) -> None:
    (root / FIRST).write_bytes((root / FIRST).read_bytes()[:60])
    with pytest.raises(DataError, match=str(FIRST)):
        prepared(root, tmp_path, ONLY)
    assert not in_workspace(tmp_path).index_dir.exists()


def test_masks_by_no_u_net_are_not_taken_for_its(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", {"COVID": 10, "Normal": 10})
    lungs = in_workspace(tmp_path).root / "lungs"
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.png"))]
    for name in names:
        save(lungs / "masks" / name, boxed())

    def table(method: str) -> None:
        rows = [f"{number},{name},{method},1.0,," for number, name in enumerate(names)]
        header = "image_id,path,method,quality,flags,dice"
        (lungs / "lungs.csv").write_text("\n".join([header, *rows]))

    table("classical")
    with pytest.raises(ConfigurationError, match=r"lungs\.csv"):
        prepared(root, tmp_path, ONLY, "preprocessing.masks=unet")
    table("unet")
    index = prepared(root, tmp_path, ONLY, "preprocessing.masks=unet")
    assert index.masks is not None
    assert index.masks.counts() == {"unet": 20}


def test_lungs_found_with_doubt_are_a_finding(root: Path, tmp_path: Path) -> None:
    clear = root / "Normal" / "images" / "phantom.png"
    save(clear, draw_phantom(3, covid=False, size=128))
    prepared(root, tmp_path, CROP, "preprocessing.masks=classical")
    doubtful = {
        path.relative_to(root).as_posix()
        for path in root.glob("*/images/*.png")
        if segment_lungs(read_radiograph(path)).quality < DOUBTFUL
    }
    assert doubtful
    assert clear.relative_to(root).as_posix() not in doubtful
    audit = audit_of(in_workspace(tmp_path))
    assert set(audit["flags"][DOUBTFUL_LUNGS]) == doubtful
    assert "doubtful-lungs" in [one["name"] for one in audit["findings"] if one["counts"]]


def test_given_masks_are_not_doubted(root: Path, tmp_path: Path) -> None:
    prepared(root, tmp_path, CROP)
    assert DOUBTFUL_LUNGS not in audit_of(in_workspace(tmp_path))["flags"]


@pytest.mark.parametrize("assignments", [(), ("preprocessing.border=remove",)])
def test_an_index_without_a_view_of_the_lungs_needs_no_code_for_masks(
    root: Path, tmp_path: Path, assignments: tuple[str, ...]
) -> None:
    index = prepared(root, tmp_path, *assignments)
    shutil.rmtree(index.directory / "cache")
    code = (
        "import sys; from pathlib import Path\n"
        "from balancer.data.index import load_index\n"
        f"load_index(Path({str(index.directory)!r})).image_set(32)\n"
        "print(' '.join(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "balancer.data.cache" in loaded
    entered = ("balancer.data.masks", "balancer.imaging.lungs", "balancer.lungs")
    assert not [name for name in loaded if name.startswith(entered)]


def test_a_fold_finds_the_masks_of_its_workspace_after_a_move(root: Path, tmp_path: Path) -> None:
    index = prepared(root, tmp_path / "first", ONLY, "preprocessing.masks=archive")
    moved = Workspace(tmp_path / "moved")
    fold = moved.fold("split-0")
    shutil.copytree(index.directory, fold.index_dir)
    moved.lung_masks_dir.mkdir(parents=True)
    assert fold.main.root == moved.root.resolve()
    assert moved.main.root == moved.root
    roots = Roots({"": root})
    assert read_masks(fold.index_dir, roots).unet_folder == moved.lung_masks_dir.resolve()
    assert read_masks(index.directory, roots).unet_folder is None


def test_a_mask_is_found_by_one_rule(tmp_path: Path) -> None:
    for name in ("A/1.PNG", "A/x.jpg.png", "a/masks/2.jpg", "B/3.jpg", "B/3.png", "B/y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    finder = MaskFinder(tmp_path, of_archive=False)
    assert finder.find("A/1.jpg") == "A/1.PNG"
    assert finder.find("A/x.jpg") == "A/x.jpg.png"
    assert finder.find("a/images/2.png") == "a/masks/2.jpg"
    assert finder.find("B/3.jpg") == "B/3.jpg"
    assert finder.find("B/3.jpeg") == "B/3.png"
    assert finder.find("B/Y.png") == "B/y.png"
    assert finder.find("B/Y.png", tmp_path / "B" / "y.png") is None
    assert finder.find("C/1.png") is None
    archive = MaskFinder(tmp_path, of_archive=True)
    assert archive.find("a/2.png") == "a/masks/2.jpg"
    assert archive.find("A/1.jpg") is None  # an image beside it is no mask
