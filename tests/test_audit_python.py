"""`balancer.audit`: what is planted is found and named by its position in what was given."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import balancer
from balancer.errors import BalancerError
from samples.phantom import draw_phantom

SIDE = 96


def film(seed: int) -> np.ndarray:
    return draw_phantom(seed, covid=seed % 2 == 0, size=SIDE)


def turned(image: np.ndarray) -> np.ndarray:
    centre = (SIDE / 2, SIDE / 2)
    return cv2.warpAffine(image, cv2.getRotationMatrix2D(centre, 12, 1.1), (SIDE, SIDE))


FILMS = [film(seed) for seed in range(14)]
COPY, TORN, NEAR, TURNED, NEGATIVE = range(14, 19)
IMAGES = np.stack([
    *FILMS,
    FILMS[0],  # the same bytes, in its class
    FILMS[1],  # the same bytes, in the other class
    np.clip(FILMS[2].astype(int) + 6, 0, 255).astype(np.uint8),
    turned(FILMS[3]),
    255 - FILMS[4],
])  # fmt: skip
LABELS = ["COVID" if n % 2 == 0 else "Normal" for n in range(14)]
LABELS += ["COVID", "COVID", "COVID", "Normal", "COVID"]


@pytest.fixture(scope="module")
def found() -> balancer.ImageAudit:
    return balancer.audit(IMAGES, LABELS)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        ("copies", {0, COPY}),
        ("same-image-in-two-classes", {1, TORN}),
        ("near-duplicates", {2, NEAR}),
        ("transformed-copies", {3, TURNED}),
        ("inverted", {NEGATIVE}),
    ],
)
def test_what_is_planted_is_found(
    found: balancer.ImageAudit, finding: str, expected: set[int]
) -> None:
    rows = found.images[found.images["finding"] == finding]
    assert set(rows["image"]) >= expected
    assert len(set(rows.loc[rows["image"].isin(expected), "group"])) == 1
    assert bool(found.figures.set_index("finding").loc[finding, "counts"])
    assert not found.passed


def test_the_page_shows_the_findings_and_no_split(
    found: balancer.ImageAudit, tmp_path: Path
) -> None:
    found.to_html(tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text()
    assert page.count("data:image/jpeg") >= 8
    assert "quarantine.csv" not in page
    assert "No group is in two splits" not in page
    assert str(tmp_path.parent.parent) not in page
    assert "srcdoc" in found._repr_html_()


def test_a_folder_without_classes_and_without_findings(tmp_path: Path) -> None:
    for number, image in enumerate(FILMS):
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    folder = balancer.audit(tmp_path)
    assert not {"copies", "near-duplicates", "transformed-copies"} & set(folder.figures["finding"])
    (tmp_path / "x.png").write_bytes(b"no image")
    damaged = balancer.audit(sorted(tmp_path.iterdir()))
    rows = damaged.images[damaged.images["finding"] == "unusable"]
    assert rows["image"].tolist() == [len(FILMS)]


@pytest.mark.parametrize("wrong", [7, "absent", np.zeros((0, 32, 32), np.uint8)])
def test_what_holds_no_images_is_refused(wrong: object) -> None:
    with pytest.raises(BalancerError):
        balancer.audit(wrong)


def test_a_wrong_label_is_named_by_its_position_and_colour_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[int, ...]] = []

    def features(_: object, images: np.ndarray, **__: object) -> np.ndarray:
        """Red and blue are the classes; a network would take seconds."""
        seen.append(images.shape)
        rng = np.random.default_rng(0)
        means = images.reshape(len(images), -1, images.shape[-1]).mean(1).repeat(400, axis=1)
        return (means + rng.normal(0, 1, means.shape)).astype(np.float32)

    monkeypatch.setattr("balancer.stages.audit.features_of", features)
    images = np.random.default_rng(1).integers(0, 99, (24, 48, 48, 3), np.uint8)
    images[:12, ..., 0] += 99
    images[12:, ..., 2] += 99
    found = balancer.audit(images, ["red"] * 11 + ["blue"] * 13)
    assert seen[0][-1] == 3
    suspect = found.images[found.images["finding"] == "suspect-labels"]
    assert suspect["image"].tolist() == [11]


def test_labels_must_be_as_many_as_images() -> None:
    with pytest.raises(BalancerError):
        balancer.audit(IMAGES, LABELS[1:])
