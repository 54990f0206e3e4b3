"""The phantoms are reproducible, shaped like chests, and neither trivial nor impossible to tell."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import samples
from balancer.data.io import read_radiograph
from samples.phantom import draw_phantom, main, write_samples

SAMPLES = Path(samples.__file__).parent
SIZE = 64


@pytest.fixture(scope="module")
def twins():
    """80 chests without and with the disease: float (80, 64, 64) each."""
    return tuple(
        np.stack([draw_phantom(seed, covid=covid, size=SIZE) for seed in range(80)]).astype(float)
        for covid in (False, True)
    )


@pytest.fixture(scope="module")
def bundled():
    files = sorted(SAMPLES.glob("*/*.png"))
    return np.stack([read_radiograph(file) for file in files]), [file.parent.name for file in files]


@pytest.mark.parametrize("size", [8, 33, 64, 128])
def test_shape_and_range(size):
    image = draw_phantom(3, covid=True, size=size)
    assert image.shape == (size, size)
    assert image.dtype == np.uint8
    assert np.ptp(image.astype(int)) > 100


@pytest.mark.parametrize("covid", [False, True])
def test_seed_decides_every_pixel(covid):
    first, again, other = (draw_phantom(s, covid=covid, size=SIZE) for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 5


@pytest.mark.parametrize(("seed", "size"), [(0, 7), (0, 0), (0, -64), (-1, 64)])
def test_impossible_phantoms_are_refused(seed, size):
    with pytest.raises(ValueError, match=r"at least 8 pixels|non-negative"):
        draw_phantom(seed, covid=False, size=size)


def test_average_is_a_chest(twins):
    mean = twins[0].mean(axis=0)
    lungs = (mean[20:34, 14:24].mean(), mean[20:34, 40:50].mean())
    assert max(lungs) + 60 < mean[20:34, 29:35].mean()  # spine and mediastinum
    assert max(lungs) + 60 < mean[54:, 20:44].mean()  # belly
    assert mean[:8, :8].mean() < mean[20:34, 29:35].mean() / 2  # air over the shoulder
    assert mean[34:42, 36:42].mean() > mean[34:42, 22:28].mean() + 20  # heart to the viewer's right
    # The dome of the diaphragm stands higher on the viewer's left; beside the heart's tip it shows.
    assert mean[42:48, 10:16].mean() > mean[42:48, 48:54].mean() + 2


def test_disease_is_bilateral_low_and_peripheral(twins):
    added = (twins[1] - twins[0]).mean(axis=0)
    left, right = added[:, :32].sum(), added[:, 32:].sum()
    assert min(left, right) > 0.35 * (left + right)
    assert added[26:42].mean() > 1.5 * added[10:26].mean()
    outer = (added[26:42, 12:18].mean() + added[26:42, 46:52].mean()) / 2
    assert outer > 1.5 * added[26:42, 26:38].mean()


def test_disease_stays_in_the_lungs_and_varies_in_extent(twins):
    change = np.abs(twins[1] - twins[0])
    # Scatter and edge enhancement carry a little of it outside.
    assert change[:, :4].mean() < 0.1 * change[:, 26:42].mean()
    assert change[:, -6:].mean() < 0.1 * change[:, 26:42].mean()
    extent = (change > 12).mean(axis=(1, 2))
    assert np.quantile(extent, 0.9) > 2.5 * np.quantile(extent, 0.1)


def test_written_folder(tmp_path):
    files = write_samples(tmp_path / "a", n_covid=2, n_normal=3, size=32)
    assert [file.relative_to(tmp_path / "a").as_posix() for file in files] == [
        *("COVID/COVID-001.png", "COVID/COVID-002.png"),
        *("Normal/Normal-001.png", "Normal/Normal-002.png", "Normal/Normal-003.png"),
    ]
    main([str(tmp_path / "b"), "--n-covid", "2", "--n-normal", "3", "--size", "32"])
    for file in files:
        data = file.read_bytes()
        assert data == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()
        assert _chunks(data) == {b"IHDR", b"IDAT", b"IEND"}
        assert data[24:26] == b"\x08\x00"  # 8 bits, grey
    images = [file.read_bytes() for file in files]
    write_samples(tmp_path / "a", n_covid=2, n_normal=3, size=32, seed=1)
    assert not set(images) & {file.read_bytes() for file in files}


def test_classes_cannot_share_seeds(tmp_path):
    with pytest.raises(ValueError, match="at most 100,000"):
        write_samples(tmp_path / "a", n_covid=100_001, n_normal=1)
    assert not (tmp_path / "a").exists()


def test_bundled_samples(bundled):
    images, labels = bundled
    assert images.shape == (340, 128, 128)
    assert (labels.count("COVID"), labels.count("Normal")) == (60, 280)
    files = list(SAMPLES.glob("*/*.png"))
    assert sum(file.stat().st_size for file in files) < 3_000_000
    assert all(_chunks(file.read_bytes()) == {b"IHDR", b"IDAT", b"IEND"} for file in files)


def test_bundled_samples_are_what_the_code_draws(tmp_path):
    for file in write_samples(tmp_path, n_covid=4, n_normal=4):
        drawn = read_radiograph(file).astype(int)
        stored = read_radiograph(SAMPLES / file.relative_to(tmp_path)).astype(int)
        assert np.abs(drawn - stored).mean() < 0.5  # other builds of OpenCV round differently


def test_bundled_samples_hold_no_near_duplicates(bundled):
    small = np.stack([cv2.resize(i, (32, 32), interpolation=cv2.INTER_AREA) for i in bundled[0]])
    details = small - gaussian_filter(small.astype(float), (0, 2, 2))
    details -= details.mean(axis=(1, 2), keepdims=True)
    details /= np.linalg.norm(details, axis=(1, 2), keepdims=True)
    flat = details.reshape(len(details), -1)
    mirrored = details[..., ::-1].reshape(len(details), -1)
    assert np.max(flat @ flat.T - 2 * np.eye(len(flat))) < 0.9
    assert np.max(flat @ mirrored.T) < 0.9


def test_bundled_task_is_neither_trivial_nor_hopeless(bundled):
    images, labels = bundled
    ill = np.array(labels) == "COVID"
    brightness = images.mean(axis=(1, 2))[:, None]
    contrast = images.std(axis=(1, 2))[:, None]
    assert _auroc(brightness, ill) < 0.75
    assert _auroc(np.hstack([brightness, contrast]), ill) < 0.75
    pixels = np.stack([cv2.resize(i, (32, 32), interpolation=cv2.INTER_AREA) for i in images])
    assert 0.78 < _auroc(pixels.reshape(len(pixels), -1), ill, strength=0.01) < 0.95


def _auroc(features, ill, strength=1.0):
    regression = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    model = make_pipeline(StandardScaler(), regression)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(model, features.astype(float), ill, cv=folds, method="predict_proba")
    return roc_auc_score(ill, scores[:, 1])


def _chunks(data):
    kinds, at = set(), 8
    while at < len(data):
        kinds.add(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return kinds
