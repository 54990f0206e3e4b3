"""MedMNIST: arrays of small images in one `.npz` file."""

from pathlib import Path

import numpy as np

from balancer.data.config import SMALLEST_SIDE
from balancer.data.layouts.files import ArchiveFiles
from balancer.data.layouts.layout import Layout
from balancer.data.npz import SUFFIX, array_names, open_member, read_labels
from balancer.data.scan import FoundImage, Scan
from balancer.errors import DataError

SEVERAL = "|"
BESIDE = "image beside the MedMNIST file"
_PARTS = ("train", "val", "test")
_ORGANS = (
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver"),
    *("lung-left", "lung-right", "pancreas", "spleen"),
)
_NAMES = {
    "pneumoniamnist": ("normal", "pneumonia"),
    "pathmnist": (
        *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth-muscle"),
        *("normal-colon-mucosa", "cancer-associated-stroma", "colorectal-adenocarcinoma"),
    ),
    "dermamnist": ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"),
    "octmnist": ("choroidal-neovascularization", "diabetic-macular-edema", "drusen", "normal"),
    "retinamnist": tuple(f"grade-{grade}" for grade in range(5)),
    "breastmnist": ("malignant", "normal-or-benign"),
    "bloodmnist": (
        *("basophil", "eosinophil", "erythroblast", "immature-granulocyte", "lymphocyte"),
        *("monocyte", "neutrophil", "platelet"),
    ),
    "tissuemnist": (
        *("collecting-duct", "distal-convoluted-tubule", "glomerular-endothelial-cell"),
        *("interstitial-endothelial-cell", "leukocyte", "podocyte", "proximal-tubule-segment"),
        "thick-ascending-limb",
    ),
    "organamnist": _ORGANS,
    "organcmnist": _ORGANS,
    "organsmnist": _ORGANS,
    "chestmnist": (
        *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule"),
        *("pneumonia", "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis"),
        *("pleural", "hernia"),
    ),
}
_NO_FINDING = "no finding"


def recognise(place: Path) -> str:
    """Name the file and its arrays."""
    files = _files(place)
    if len(files) != 1:
        return ""
    return f"{files[0].name} with the arrays {', '.join(_parts(files[0]))}_images and _labels"


def read(place: Path) -> Scan:
    """Read all rows of all parts; only `data.official_split` uses the division into parts.

    Raises:
        DataError: There is not exactly one file, or an array does not hold images or labels.
    """
    files = _files(place)
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise DataError(
            f"{str(place)!r} should be or hold one MedMNIST file with arrays such as train_images "
            f"and train_labels, but has {found}; give the file itself to --data."
        )
    file = files[0]
    prefix = "" if place.is_file() else f"{file.name}/"
    scan = Scan(labels=())
    _refuse_half_parts(file)
    for part in _parts(file):
        try:
            labels = _labels(file, part)
        except (OSError, ValueError) as error:
            raise DataError(f"{file} should be a MedMNIST file, but {error}.") from None
        side = min(open_member(file, f"{part}_images").shape[1:3])
        if side < SMALLEST_SIDE:
            scan.min_side = side
        for row, label in enumerate(labels):
            scan.images.append(FoundImage(f"{prefix}{part}/{row:05}", label))
    if place.is_dir():
        beside = len(ArchiveFiles(place).images())
        if beside:
            scan.ignored[BESIDE] += beside
    scan.images.sort(key=lambda image: image.path)
    scan.labels = tuple(sorted({image.label for image in scan.images}))
    return scan


def why_not(place: Path) -> str:
    """Return the error of an `.npz` file that is not MedMNIST's; empty if there is none."""
    for file in _candidates(place):
        if not _parts(file):
            names = array_names(file)
            found = f"has the arrays {', '.join(names[:6])}" if names else "is empty or damaged"
            return (
                f"{str(file)!r} should be a MedMNIST file with arrays such as train_images and "
                f"train_labels, but {found}; download it again."
            )
    return ""


def _files(place: Path) -> list[Path]:
    return [file for file in _candidates(place) if _parts(file)]


def _candidates(place: Path) -> list[Path]:
    """Return the `.npz` files of a place; opening a pipe of that name would wait forever."""
    files = sorted(place.glob("*" + SUFFIX)) if place.is_dir() else [place]
    return [file for file in files if file.suffix.lower() == SUFFIX and file.is_file()]


def _parts(file: Path) -> list[str]:
    names = array_names(file)
    return [part for part in _PARTS if {f"{part}_images", f"{part}_labels"} <= set(names)]


def _refuse_half_parts(file: Path) -> None:
    names = set(array_names(file))
    for part in _PARTS:
        images, labels = f"{part}_images", f"{part}_labels"
        if (images in names) != (labels in names):
            there, missing = (images, labels) if images in names else (labels, images)
            raise DataError(
                f"{file} should have {missing} beside {there}, but lacks it; download it again."
            )


def _labels(file: Path, part: str) -> list[str]:
    images = open_member(file, f"{part}_images")
    labels = read_labels(file, part, len(images))
    if labels.ndim == 1:
        labels = labels[:, None]
    whole = labels.dtype.kind in "biuf" and (labels >= 0).all() and (labels % 1 == 0).all()
    if not whole or (labels.shape[1] > 1 and (labels > 1).any()):
        raise ValueError(
            f"its {part}_labels are not all class numbers (0, 1 and so on), or 0 and 1 for images "
            "with several labels"
        )
    names = _NAMES.get(file.stem.lower().replace("-", "_").partition("_")[0], ())
    if labels.shape[1] == 1:
        return [_name(names, int(label)) for label in labels[:, 0]]
    return [
        SEVERAL.join(_name(names, int(number)) for number in np.flatnonzero(row)) or _NO_FINDING
        for row in labels
    ]


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else f"class-{number}"


LAYOUT = Layout(
    name="medmnist",
    title="MedMNIST v2 and MedMNIST+ (all twelve 2D sets)",
    marks="one .npz file with train_images, train_labels and so on",
    recognise=recognise,
    read=read,
    several=SEVERAL,
    citation="Yang et al. 2023, Sci. Data 10:41, doi:10.1038/s41597-022-01721-8",
    licence="CC BY 4.0 (a few of the other sets CC BY-NC 4.0)",
    url="https://zenodo.org/records/10519652",
    notes="no patients; its train, val and test parts are joined, unless data.official_split=true "
    "keeps them",
)
