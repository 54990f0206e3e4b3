"""The gate: planted generators fail for their reason, unseen real images pass.

On drawn chests, and on real radiographs where they are at hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from balancer.quality.assess import assess
from balancer.quality.checks import ask_all
from balancer.quality.config import GateConfig, QualityConfig
from balancer.quality.extractors import load_extractor
from balancer.quality.records import CheckResult
from balancer.quality.screen import Screen
from balancer.quality.sets import ClassImages
from support.planted_generators import Images, planted
from support.tiny_pipeline import draw_folder

REAL = Path(__file__).parent.parent.parent / "shared" / "data" / "radiography-bam"
FAILS = {
    "copycat": "memorization",
    "flipping copycat": "memorization",
    "shifting, noisy copycat": "memorization",
    "ten images, jittered": "memorization",
    "every image, warped": "memorization",
    "much alike, jittered": "registered diversity",
    "one place and contrast": "spread",
    "collapsed": "twins",
    "noise": "coverage[lite2]",
    "majority class": "judged class",
    "blurred training images": "memorization",
    "blurred unseen images": "shortcut",
}


@dataclass(frozen=True)
class Case:
    training: Mapping[str, Images]
    validation: Mapping[str, Images]
    unseen: Images
    unseen_other: Images
    cache: Path

    def answers(self, images: Images) -> dict[str, CheckResult]:
        entry, _ = assess(
            ClassImages("COVID", images, images, self.training, self.validation),
            extractors={"lite2": load_extractor("lite2")},
            quality=QualityConfig(ms_ssim_pairs=100),
            gate=GateConfig(),
            seed=0,
            cache=self.cache,
        )
        found = ask_all("COVID", entry, GateConfig())
        return {answer.name: answer for answer in found.checks}


def read(paths: list[Path]) -> Images:
    images = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    return np.stack([cv2.resize(i, (64, 64), interpolation=cv2.INTER_AREA) for i in images])


def case(folder: Path, n: tuple[int, int, int], cache: Path) -> Case:
    """The first n[0] images of each class train, the next n[1] validate, n[2] are unseen."""
    rng = np.random.default_rng(0)
    parts = {}
    for label in ("COVID", "Normal"):
        paths = sorted((folder / label).glob("*.png"))
        chosen = [paths[row] for row in rng.permutation(len(paths))[: sum(n)]]
        parts[label] = np.split(read(chosen), np.cumsum(n)[:2])
    return Case(
        training={label: part[0] for label, part in parts.items()},
        validation={label: part[1] for label, part in parts.items()},
        unseen=parts["COVID"][2],
        unseen_other=parts["Normal"][2],
        cache=cache,
    )


FIRST_OF_CHECK = {FAILS[name]: name for name in reversed(FAILS)}
PLANTED = [("drawn", name) for name in FAILS] + [("real", name) for name in FIRST_OF_CHECK.values()]
"""All on drawn chests, and one generator for each check on real radiographs."""


@pytest.fixture(scope="module", params=["drawn", "real"])
def chests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    cache = tmp_path_factory.mktemp("features")
    if request.param == "real":
        if not REAL.is_dir():
            pytest.skip(f"no radiographs in {REAL}")
        return case(REAL, (150, 60, 60), cache)
    folder = tmp_path_factory.mktemp("drawn") / "films"
    return case(draw_folder(folder, n_covid=160, n_normal=160, size=64), (90, 35, 35), cache)


@pytest.mark.fault(30, 31)
@pytest.mark.parametrize(("chests", "name"), PLANTED, indirect=["chests"])
def test_a_planted_generator_fails_for_its_reason(chests: Case, name: str) -> None:
    makers = planted(chests.training["COVID"], chests.unseen, chests.unseen_other)
    assert set(makers) == set(FAILS)
    found = chests.answers(makers[name]())
    assert found[FAILS[name]].passed is False, found[FAILS[name]].sentence


def test_unseen_real_images_pass(chests: Case) -> None:
    found = chests.answers(chests.unseen)
    assert {name: check.sentence for name, check in found.items() if check.passed is False} == {}


def test_the_screen_rejects_copies_and_keeps_real_images(chests: Case) -> None:
    screen = Screen(
        "COVID",
        chests.training,
        chests.validation["COVID"],
        extractor=load_extractor("lite0"),
        gate=GateConfig(),
        reasons=("near-copy", "outlier", "low-confidence"),
        seed=0,
        cache=chests.cache,
    )
    makers = planted(chests.training["COVID"], chests.unseen, chests.unseen_other, n=40)
    for name in ("copycat", "flipping copycat", "shifting, noisy copycat"):
        assert np.mean([reason == "near-copy" for reason in screen.reasons(makers[name]())]) > 0.9
    assert np.mean([not reason for reason in screen.reasons(chests.unseen)]) > 0.8
    together = screen.reasons(chests.unseen)
    assert [screen.reasons(chests.unseen[i : i + 1])[0] for i in range(5)] == together[:5]
