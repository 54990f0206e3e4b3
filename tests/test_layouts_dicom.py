"""DICOM: pixels by the formulas of the standard, and no text of a tag anywhere."""

import io
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support import made_archives as made
from support.radiograph_folders import audit_of, class_folders, configured, film, in_workspace

pytest.importorskip("pydicom", reason="the extra [dicom] is not installed")

from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless

from balancer.data.dicom import BURNED_IN, MAYBE_BURNED_IN, decode_dicom
from balancer.data.grey_levels import window
from balancer.data.io import UnusableImageError, decode_radiograph, read_radiograph
from balancer.data.layouts.recognition import recognise
from balancer.errors import DataError, EnvironmentFault
from balancer.stages import prepare
from support.made_dicom import content, dataset, write

SECRET = "Doe^Jane"
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def pixels_of(values: np.ndarray, **tags: object) -> np.ndarray:
    return decode_radiograph(content(dataset(values, **tags)), Path("x.dcm")).pixels


def expected(share: np.ndarray) -> np.ndarray:
    return np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)


def test_eight_bits_stay_as_they_are() -> None:
    assert (pixels_of(film(1)) == film(1)).all()


def test_monochrome1_is_inverted_exactly_once() -> None:
    inverted = pixels_of(film(1), PhotometricInterpretation="MONOCHROME1")
    assert (inverted == 255 - film(1)).all()
    window_tags = {"WindowCenter": 1000, "WindowWidth": 500}
    plain = pixels_of(RAMP, **window_tags)
    again = pixels_of(RAMP, PhotometricInterpretation="MONOCHROME1", **window_tags)
    assert np.abs(plain.astype(int) + again - 255).max() <= 1  # halves round either way
    # PresentationLUTShape says the same thing a second time.
    shaped = pixels_of(
        film(1), PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"
    )
    assert (shaped == inverted).all()


def test_deep_samples_without_a_window_are_spread_padding_aside() -> None:
    values = RAMP + 7
    low, high = np.percentile(values, (0.1, 99.9))
    assert (pixels_of(values) == expected(np.clip((values - low) / (high - low), 0, 1))).all()
    values = values.copy()
    values[0] = 65535
    for interpretation in ("MONOCHROME1", "MONOCHROME2"):
        tags = {"PixelPaddingValue": 65535, "PhotometricInterpretation": interpretation}
        found = pixels_of(values, **tags)
        low, high = np.percentile(values[1:], (0.1, 99.9))
        share = np.clip((values[1:] - low) / (high - low), 0, 1)
        assert (found[1:] == expected(1 - share if interpretation[-1] == "1" else share)).all()
        assert (found[0] == 0).all()  # padding is black, whatever white is
    assert (pixels_of(np.full((40, 40), 9, np.uint16)) == 0).all()


def test_the_linear_window_is_that_of_the_standard() -> None:
    # PS3.3 C.11.2.1.2.1, its own example: centre 2048 and width 4096 map 0..4095 to 0..255.
    values = RAMP.astype(np.float64)
    assert np.allclose(window(values, 2048, 4096), values / 4095)
    for center, width in ((100.0, 1.0), (0.0, 100.0), (2000.0, 333.0)):
        low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
        found = window(values, center, width)
        assert (found[values <= low] == 0).all()
        assert (found[values > high] == 1).all()
        inside = (values > low) & (values <= high)
        share = (values[inside] - (center - 0.5)) / max(width - 1, 1e-9) + 0.5
        assert np.allclose(found[inside], share)
    assert np.allclose(
        window(values, 2000, 1000, "LINEAR_EXACT"), np.clip((values - 1500) / 1000, 0, 1)
    )
    sigmoid = window(values, 2000, 1000, "SIGMOID")
    assert np.allclose(sigmoid, 1 / (1 + np.exp(-4 * (values - 2000) / 1000)))
    for wrong in ((0.5, "LINEAR"), (0.0, "SIGMOID"), (5.0, "CUBIC")):
        with pytest.raises(ValueError, match="window"):
            window(values, 0, *wrong)


def test_the_window_is_that_of_pydicom() -> None:
    from pydicom.pixels.processing import apply_windowing

    for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        made_of = dataset(
            RAMP, BitsStored=12, HighBit=11, WindowCenter=1500, WindowWidth=900,
            VOILUTFunction=function,
        )  # fmt: skip
        theirs = apply_windowing(RAMP, made_of) / 4095
        ours = decode_dicom(content(made_of), None).pixels
        assert np.abs(ours.astype(float) - theirs * 255).max() <= 0.5 + 1e-6


def test_rescale_comes_before_the_window_and_the_first_of_several_counts() -> None:
    found = pixels_of(
        RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=[1000, 5], WindowWidth=[2000, 1]
    )
    assert (found == expected(window(RAMP * 2.0 - 1000, 1000, 2000))).all()


def test_a_voi_lut_comes_before_a_window() -> None:
    item = Dataset()
    item.LUTDescriptor = [256, 1000, 8]
    item.LUTData = bytes(255 - value for value in range(256))
    item["LUTData"].VR = "OW"
    found = pixels_of(RAMP, VOILUTSequence=[item], WindowCenter=5, WindowWidth=5)
    assert (found == 255 - np.clip(RAMP.astype(int) - 1000, 0, 255)).all()


def test_colour_becomes_grey() -> None:
    image = np.stack([film(1)] * 3, axis=-1)
    data = content(dataset(image))
    radiograph = decode_radiograph(data, Path("x.dcm"))
    assert (radiograph.pixels == film(1)).all()
    assert (radiograph.file_format, radiograph.colour) == ("DICOM", 0)


@pytest.mark.parametrize("bits", [8, 16])
def test_colours_of_a_palette_are_looked_up(bits: int) -> None:
    palette = np.random.default_rng(0).integers(0, 2**bits, (256, 3))
    tags: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for channel, name in enumerate(("Red", "Green", "Blue")):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        table = palette[:, channel].astype("<u2" if bits == 16 else np.uint8)
        tags[f"{name}PaletteColorLookupTableData"] = table.tobytes()
    data = content(dataset(film(1), **tags))
    wanted = np.round(palette / (2**bits - 1) * 255).astype(np.uint8)[film(1)]
    assert (decode_dicom(data, None).pixels == wanted).all()
    assert decode_radiograph(data, Path("x.dcm"), channels=3).colours is not None


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_pixels_are_those_of_the_raw_file(syntax: str) -> None:
    compressed = dataset(film(1, 64))
    if syntax == RLELossless:
        compressed.compress(syntax)
    else:
        buffer = io.BytesIO()
        Image.fromarray(film(1, 64)).save(buffer, "JPEG2000", no_jp2=True)
        compressed.PixelData = encapsulate([buffer.getvalue()])
        compressed["PixelData"].is_undefined_length = True
        compressed.file_meta.TransferSyntaxUID = syntax
    found = decode_dicom(content(compressed), None).pixels
    assert (found == film(1, 64)).all()


def test_jpeg_as_the_rsna_writes_it(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(film(1, 64)).save(buffer, "JPEG", quality=95)
    made_of = dataset(film(1, 64))
    made_of.PixelData = encapsulate([buffer.getvalue()])
    made_of["PixelData"].is_undefined_length = True
    made_of.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    found = decode_dicom(content(made_of), None).pixels
    assert (found == np.asarray(Image.open(buffer))).all()


def broken(how: str) -> bytes:
    made_of = dataset(film(1), PatientName=SECRET, PatientID=SECRET, BurnedInAnnotation=None)
    if how == "no image":
        del made_of.PixelData
    elif how == "frames":
        made_of.NumberOfFrames = 3
    elif how == "palette":
        made_of.PhotometricInterpretation = "PALETTE COLOR"
    elif how == "window":
        made_of.WindowCenter, made_of.WindowWidth = 1, 0.25
    elif how == "lossless":
        made_of.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        made_of.PixelData = encapsulate([b"\xff\xd8"])
        made_of["PixelData"].is_undefined_length = True
    data = content(made_of)
    if how == "cut":
        return data[:-200]
    return data[: data.find(SECRET.encode()) + 3] if how == "tags" else data


@pytest.mark.fault(65)
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("no image", "it is a DICOM file without an image"),
        ("frames", "it is a DICOM file of 3 frames, not of one radiograph"),
        ("palette", "its palette cannot be applied (ValueError)"),
        ("window", "its window cannot be applied (ValueError)"),
        ("lossless", "no decoder here: write it uncompressed, for example by `gdcmconv --raw`"),
        ("cut", "its pixels cannot be decoded"),
        ("tags", "it is a DICOM file without an image"),
    ],
)
def test_what_is_no_radiograph_is_refused_without_quoting_it(
    how: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UnusableImageError) as caught:
        decode_radiograph(broken(how), Path("x.dcm"))
    assert reason in str(caught.value)
    assert "Jane" not in str(caught.value)
    assert caught.value.__suppress_context__  # nor with -v
    assert "Jane" not in caplog.text


def test_a_large_image_is_refused_before_it_is_decoded() -> None:
    data = content(dataset(film(1), Rows=40000, Columns=40000))
    with pytest.raises(UnusableImageError, match="64"):
        decode_radiograph(data, Path("x.dcm"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eight images of each class in a tree, two per patient, with a secret in every tag."""
    for number in range(16):
        label = ("COVID", "Normal")[number % 2]
        name = f"study{number // 4}/{f'IM{number:04}' if number % 3 else f'1.2.840.{number}'}"
        if number == 1:
            name = "film.DCM"
        write(
            tmp_path / "set" / label / name,
            film(number),
            PatientID=f"{SECRET}{number // 2}",
            PatientName=SECRET,
            InstitutionName=SECRET,
            ViewPosition=("PA", "AP", "LL", SECRET)[number % 4 if number > 11 else 0],
            BurnedInAnnotation={0: "YES", 1: None}.get(number, "NO"),
        )
    (tmp_path / "set" / "COVID" / "notes.txt").write_text("no image")
    return tmp_path / "set"


def test_folders_of_dicom(root: Path) -> None:
    layout, evidence = recognise(root)
    assert layout.name == "dicom-folders"
    scan = made.scanned(root)
    assert scan.labels == ("COVID", "Normal")
    assert len(scan.images) == 15
    assert scan.ignored == {
        "file in the class folder 'COVID' that is no image": 1,
        "image of the view LL (data.views=all takes it)": 1,
    }
    assert len(set(made.patients_of(scan).values())) == 8
    assert {one.view for one in scan.metadata.values()} == {"PA", "AP", ""}
    assert SECRET not in repr(scan.metadata)
    assert SECRET not in evidence


@pytest.mark.fault(65, 63)
def test_nothing_of_a_tag_is_written(root: Path, tmp_path: Path) -> None:
    workspace = in_workspace(tmp_path)
    prepare.run(configured(root, "data.min_images=3"), workspace)
    audit = audit_of(workspace)
    assert audit["groups"]["kind"] == "patient"
    assert audit["flags"][BURNED_IN] == ["COVID/study0/1.2.840.0"]
    assert audit["flags"][MAYBE_BURNED_IN] == ["Normal/film.DCM"]
    for path in workspace.root.rglob("*"):
        if path.is_file():
            assert b"Jane" not in path.read_bytes(), path


def test_an_id_that_all_files_share_is_no_patient(tmp_path: Path) -> None:
    for number in range(8):
        label = ("COVID", "Normal")[number % 2]
        write(tmp_path / label / f"{number}.dcm", film(number), PatientID="ANONYMOUS")
    assert made.patients_of(made.scanned(tmp_path)) == {}
    (tmp_path / "metadata.csv").write_text("path,patient_id\nCOVID/0.dcm,p\n")
    assert made.patients_of(made.scanned(tmp_path)) == {"COVID/0.dcm": "p"}


def test_other_images_among_them_make_it_plain_class_folders(root: Path) -> None:
    class_folders(root, {"COVID": 3, "Normal": 3})
    scan = made.scanned(root)
    assert scan.layout == "class-folders"
    dicom = [image for image in scan.images if image.path.lower().endswith(".dcm")]
    assert dicom
    assert len(scan.images) == 6 + len(dicom)
    assert scan.left_out  # images in deeper folders are counted
    assert len(made.scanned(root, layout="dicom-folders").images) == 21


def test_rsna_as_dicom(tmp_path: Path) -> None:
    root = made.rsna(tmp_path, images=False)
    for number in range(9):
        name = made.UID.format(number)
        write(
            root / "stage_2_train_images" / f"{name}.dcm",
            film(number),
            PatientID=name,
            ViewPosition=("AP", "PA")[number % 2],
        )
    scan = made.scanned(root)
    assert len(scan.images) == 9
    assert made.patients_of(scan) == {}
    assert [one.view for _, one in sorted(scan.metadata.items())] == [
        ("AP", "PA")[number % 2] for number in range(9)
    ]


def test_a_table_may_list_dicom_files(tmp_path: Path) -> None:
    for number in range(8):
        write(tmp_path / f"{number}.dcm", film(number))
    rows = "".join(f"{number}.dcm,{'ab'[number % 2]}\n" for number in range(8))
    (tmp_path / "list.csv").write_text("path,label\n" + rows)
    assert len(made.scanned(tmp_path).images) == 8
    assert (read_radiograph(tmp_path / "3.dcm") == film(3)).all()


def test_without_the_extra_the_package_to_install_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(EnvironmentFault, match=r"balancer\[dicom\]"):
        made.scanned(root)
    with pytest.raises(EnvironmentFault, match=r"balancer\[dicom\]"):
        read_radiograph(root / "Normal" / "film.DCM")


def test_a_class_without_any_dicom_file(root: Path) -> None:
    (root / "Empty").mkdir()
    with pytest.raises(DataError, match="Empty"):
        made.scanned(root)
