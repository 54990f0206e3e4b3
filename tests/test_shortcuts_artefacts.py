"""Each artefact that is usual in a domain is found where a class has it, and only there."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from balancer.ablation.caps import shortcut_caps
from balancer.data.index import Index
from balancer.data.split import split_groups
from balancer.domains.domain import domain_names, domain_of
from balancer.quality.extractors import Extractor
from balancer.shortcuts.artefacts import ARTEFACTS
from balancer.shortcuts.probes import run_probes
from balancer.shortcuts.records import ProbeResult
from support.drawn_kinds import (
    STAINS,
    retina,
    skin,
    sonogram,
    tissue,
    with_dark_corners,
    with_hair,
    with_ruler,
)
from support.radiograph_folders import in_workspace, index_of, save

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE, N = 64, 24
OTHER = np.array([[0.50, 0.75, 0.43], [0.15, 0.95, 0.30]])
"""The same stains in another laboratory."""
PLANTED: Mapping[str, tuple[str, Callable[[int, bool], np.ndarray]]] = {
    "hair": ("skin", lambda n, there: with_hair(skin(n), n) if there else skin(n)),
    "rulers": ("skin", lambda n, there: with_ruler(skin(n), n) if there else skin(n)),
    "dark-corners": ("skin", lambda n, there: with_dark_corners(skin(n), n) if there else skin(n)),
    "stain": ("histology", lambda n, there: tissue(n, OTHER if there else STAINS)),
    "white": ("blood", lambda n, there: (skin(n) * [1, 1, 0.93 if there else 1]).astype(np.uint8)),
    "ring": ("fundus", lambda n, there: retina(n, 0.42 if there else 0.48)),
    "calipers": ("ultrasound", lambda n, there: sonogram(n, crosses=4 * there)),
}


class Blocks(torch.nn.Module):
    """Mean of 4 x 4 blocks."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (F.adaptive_avg_pool2d(images.float(), 4).flatten(1),)


def probed(index: Index) -> dict[str, ProbeResult]:
    dimension = 16 * (3 if index.preprocessor.channels == 3 else 1)
    extractor = Extractor(
        suffix="[blocks]", dimension=dimension, recipe={"extractor": "blocks"}, network=Blocks()
    )
    found = run_probes(
        index, list(folds(index)), positive="b", size=SIDE, extractor=extractor, masks=None,
        cache=None, seed=0,
    )  # fmt: skip
    return {one.probe: one for one in found}


def folds(index: Index) -> Iterator[tuple[str, dict[str, str]]]:
    groups, labels = zip(*((one.group, one.label) for one in index.records), strict=True)
    for seed in range(3):
        split = split_groups(groups, labels, shares=(0.5, 0.1, 0.4), seed=seed)
        yield f"split-{seed}", {one.image_id: split[one.group] for one in index.records}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_artefact_is_found_by_its_probe_and_caps(tmp_path: Path, name: str) -> None:
    domain, draw = PLANTED[name]
    for number in range(2 * N):
        label = "ab"[number % 2]
        save(tmp_path / "data" / label / f"{number}.png", draw(number, label == "b"))
    index = index_of(tmp_path / "data", in_workspace(tmp_path), f"data.domain={domain}")
    found = probed(index)
    assert {*found} & {*ARTEFACTS} == {*domain_of(domain).artefacts}
    assert found[name].auroc is not None
    assert (found[name].auroc.low or 0) >= 0.9
    assert found[name].facts == ARTEFACTS[name].facts
    assert ARTEFACTS[name].means in {cap.partition(":")[0] for cap in caps(found)}
    if name == "hair":
        assert ARTEFACTS["dark-corners"].means not in "".join(caps(found))
    # Under labels that have nothing to do with it, it is no better than chance.
    records = [
        replace(one, label="ab"[(int(Path(one.path).stem) // 2) % 2]) for one in index.records
    ]
    shuffled = probed(replace(index, records=records))[name].auroc
    assert shuffled is not None
    assert (shuffled.low or 0) < 0.5 < (shuffled.high or 0)


def caps(found: Mapping[str, ProbeResult]) -> list[str]:
    return shortcut_caps(list(found.values()))


def test_tissue_that_reaches_the_rim_is_no_shortcut_there(tmp_path: Path) -> None:
    """Denser tissue all over: the rim would give the class away, and is not asked."""
    for number in range(2 * N):
        label = "ab"[number % 2]
        cells = tissue(number).astype(int) // (2 if label == "b" else 1)
        save(tmp_path / "data" / label / f"{number}.png", cells.astype(np.uint8))
    index = index_of(tmp_path / "data", in_workspace(tmp_path), "data.domain=histology")
    found = probed(index)
    assert found["border-only"].reason
    assert not any(fact.startswith("rim") for fact in found["metadata-of-file"].facts)
    grey = probed(replace(index, preprocessing=type(index.preprocessing)(channels=1)))
    assert grey["stain"].reason == "the images are grey"


@pytest.mark.parametrize("name", domain_names())
def test_the_artefacts_of_a_domain_have_a_measure(name: str) -> None:
    assert {*domain_of(name).artefacts} <= {*ARTEFACTS}
