"""Lung masks that are broken, implausible, not what they are said to be, or tell the class."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from balancer.data.film.examine import DOUBTFUL_LUNGS
from balancer.data.index import Index, load_index
from balancer.data.io import read_radiograph, resize_square
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.lungs.segment import DOUBTFUL, segment_lungs
from balancer.stages import prepare
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
    with pytest.raises(IntegrityError, match="origin of the lung masks gives the class away"):
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


def test_a_broken_mask_is_told_as_one(root: Path, tmp_path: Path) -> None:
    (root / FIRST).write_bytes((root / FIRST).read_bytes()[:60])
    with pytest.raises(DataError, match=r"lung mask '.*0\.png' cannot be read, .*mend or delete"):
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
    with pytest.raises(ConfigurationError, match=r"20 of 20 are classical; .*`balancer lungs tr"):
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
