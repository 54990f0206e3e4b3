"""Planted shortcuts are found, and nothing is found where nothing was planted."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from balancer.ablation.caps import shortcut_caps
from balancer.data.masks.read import MaskStack
from balancer.data.split import split_groups
from balancer.errors import ConfigurationError, IntegrityError
from balancer.quality.extractors import Extractor
from balancer.shortcuts.file_facts import file_facts
from balancer.shortcuts.probes import run_probes
from balancer.shortcuts.records import ProbeResult
from samples.phantom import write_samples
from support.radiograph_folders import film, in_workspace, index_of, save

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE, N = 48, 50


class Blocks(torch.nn.Module):
    """Mean grey value of 12 x 12 blocks."""

    def forward(self, images):
        return (F.adaptive_avg_pool2d(images.float(), 12).flatten(1),)


EXTRACTOR = Extractor(
    suffix="[blocks]", dimension=144, recipe={"extractor": "blocks"}, network=Blocks()
)


def planted(tmp_path, change, *, classes=("COVID", "Normal"), metadata=None):
    """An index of random films, of which `change` makes what it likes."""
    root = tmp_path / "data"
    for number, label in enumerate(classes):
        for i in range(N):
            pixels = change(label, i, film(1_000 + number * N + i, SIZE))
            save(root / label / f"{i:03}.png", pixels)
    if metadata is not None:
        rows = [f"{c}/{i:03}.png,{metadata(c, i)}" for c in classes for i in range(N)]
        (root / "metadata.csv").write_text("path,patient_id,source,view\n" + "\n".join(rows))
    return index_of(root, in_workspace(tmp_path))


def folds(index, number=4):
    groups = [record.group for record in index.records]
    labels = [record.label for record in index.records]
    for seed in range(number):
        split = split_groups(groups, labels, shares=(0.6, 0.1, 0.3), seed=seed)
        yield f"split-{seed}", {r.image_id: split[r.group] for r in index.records}


def probed(index, *, masks=None, splits=None, cache=None, positive="COVID"):
    found = run_probes(
        index,
        list(folds(index)) if splits is None else splits,
        positive=positive,
        size=SIZE,
        extractor=EXTRACTOR,
        masks=masks,
        cache=cache,
        seed=0,
    )
    for result in found:
        text = json.dumps(as_json(result), allow_nan=False)
        assert ProbeResult.model_validate_json(text) == result
    return {result.probe: as_json(result) for result in found}


def as_json(result):
    return result.model_dump(mode="json", exclude_unset=True)


def caps_of(entries):
    return shortcut_caps([ProbeResult.model_validate(entry) for entry in entries])


def is_chance(entry):
    return entry["auroc"]["low"] < 0.5 < entry["auroc"]["high"]


def mark_border(label, number, pixels):
    pixels = pixels.copy()
    pixels[:4, :12] = 255 if label == "COVID" else 0
    return pixels


def untouched(label, number, pixels):
    return pixels


def central(index):
    lungs = np.zeros((len(index.records), SIZE, SIZE), bool)
    lungs[:, 12:36, 12:36] = True
    return MaskStack(lungs, np.ones(len(lungs), bool), 0, 0)


def test_nothing_planted_nothing_found(tmp_path):
    index = planted(tmp_path, untouched)
    found = probed(index, masks=central(index))
    for name in set(found) - {"source-from-image"}:
        if name == "whole-minus-lungs":
            assert abs(found[name]["auroc"]["value"]) < 0.3
        else:
            assert is_chance(found[name]), name
        assert found[name]["n_folds"] == 4
        assert found[name]["n_images"] == 2 * N
        assert len(found[name]["per_fold"]) == 4
    assert found["source-from-image"]["reason"] == "the metadata give fewer than two sources"
    assert caps_of(found.values()) == []


def test_a_mark_at_the_border_is_found_there_and_caps(tmp_path):
    index = planted(tmp_path, mark_border)
    found = probed(index, masks=central(index))
    assert found["border-only"]["auroc"]["value"] > 0.95
    assert found["border-only"]["auroc"]["low"] >= 0.90
    assert found["border-only"]["balanced_accuracy"]["value"] > 0.85
    assert found["lungs-blacked-out"]["auroc"]["low"] >= 0.90
    assert is_chance(found["lungs-only"])
    caps = caps_of(found.values())
    assert {
        "The rim of the image tells the classes apart",
        "The image without its lungs tells the classes apart",
    } <= {cap.partition(":")[0] for cap in caps}


def test_a_disease_inside_the_lungs_is_none_of_the_border(tmp_path):
    def ill(label, number, pixels):
        pixels = pixels // 2
        pixels[20:28, 20:28] += 120 if label == "COVID" else 0
        return pixels

    index = planted(tmp_path, ill)
    found = probed(index, masks=central(index))
    assert found["lungs-only"]["auroc"]["value"] > 0.95
    assert found["whole-image"]["auroc"]["value"] > 0.95
    assert is_chance(found["border-only"])
    assert is_chance(found["lungs-blacked-out"])
    # The mean of the whole image knows of the disease, so that it is no reason for a cap.
    assert found["metadata-only"]["auroc"]["low"] > 0.9
    assert is_chance(found["metadata-without-lungs"])
    assert caps_of(found.values()) == []


def test_images_without_a_mask_take_no_part_in_the_probes_of_masks(tmp_path):
    index = planted(tmp_path, untouched)
    masks = central(index)
    masks.present[::5] = False
    found = probed(index, masks=masks)
    assert found["lungs-only"]["without_mask"] == 20
    assert found["lungs-only"]["left_out"] == {"COVID": 10, "Normal": 10}
    assert found["lungs-only"]["n_images"] == 80
    masks.present[: N + 1] = False  # no COVID left
    reason = probed(index, masks=masks)["lungs-only"]["reason"]
    assert "its training images have none of the class 'COVID'" in reason


@pytest.mark.parametrize("what", ["size", "sharpness", "view"])
def test_facts_of_the_files_are_found(tmp_path, what):
    rng = np.random.default_rng(0)

    def change(label, number, pixels):
        if what == "size":
            return film(number + N * (label == "COVID"), SIZE + 16 * (label == "COVID"))
        if what == "sharpness" and label == "COVID":
            return np.clip(pixels + rng.normal(0, 20, pixels.shape), 0, 255).astype(np.uint8)
        return pixels

    def row(label, number):
        return f"p{label}{number},here,{'AP' if label == 'COVID' and what == 'view' else 'PA'}"

    index = planted(tmp_path, change, metadata=row)
    entries = probed(index)
    found, rim = entries["metadata-only"], entries["metadata-without-lungs"]
    assert found["auroc"]["value"] > 0.95
    assert rim["auroc"]["value"] > 0.95
    if found["auroc"]["low"] >= 0.90:
        assert "metadata-only reaches AUROC" in caps_of([found, rim])[0]
    # Neither the source, which all share, nor anything of a patient or a path is a fact.
    extra = {
        "size": {"size 48x48", "size 64x64"},
        "sharpness": set(),
        "view": {"view AP", "view PA"},
    }
    grey = {"mean", "deviation", "sharpness"}
    of_file = {"width", "height", "aspect", *(f"rim {name}" for name in grey), *extra[what]}
    assert set(rim["facts"]) == of_file
    assert set(found["facts"]) == of_file | grey | {"file size"}


def test_metadata_may_name_files_that_the_index_left_out(tmp_path):
    root = tmp_path / "data"
    for label, seed in (("COVID", 0), ("Normal", 100)):
        for i in range(12):
            save(root / label / f"{i:03}.png", film(seed + i))
    save(root / "COVID" / "copy.png", film(0))
    lines = ["path,view", "COVID/copy.png,AP", *(f"COVID/{i:03}.png,AP" for i in range(12))]
    (root / "metadata.csv").write_text("\n".join(lines))
    index = index_of(root, in_workspace(tmp_path))
    facts = file_facts(index, 32)
    labels = [record.label for record in index.records]
    view = facts.values[:, facts.names.index("view AP")]
    assert len(labels) == 24
    assert view.tolist() == [float(label == "COVID") for label in labels]


def test_a_file_that_is_gone_is_told(tmp_path):
    index = planted(tmp_path, untouched)
    index.image_set(SIZE)
    index.roots.locate("COVID/007.png").unlink()
    with pytest.raises(IntegrityError, match=r"007\.png"):
        file_facts(index, SIZE)


def test_the_source_is_read_from_images_that_betray_it_and_from_no_others(tmp_path):
    def bright(label, number, pixels):
        pixels = pixels // 2
        pixels[:, :6] += np.uint8(100 * (number % 2))
        return pixels

    def sources(label, number):
        return f"p{label}{number},{('east', 'west')[number % 2]},"

    index = planted(tmp_path, bright, metadata=sources)
    found = probed(index)
    entry = found["source-from-image"]
    assert entry["predicts"] == "source"
    assert entry["auroc"]["value"] > 0.95
    assert is_chance(found["border-only"])  # both classes come from both
    assert caps_of(found.values()) == []


def test_sources_that_look_alike_cannot_be_read(tmp_path):
    index = planted(
        tmp_path, untouched, metadata=lambda c, i: f"p{c}{i},{('east', 'west')[i % 2]},"
    )
    assert is_chance(probed(index)["source-from-image"])


def test_leaving_a_source_out_asks_for_no_source(tmp_path):
    index = planted(
        tmp_path, untouched, metadata=lambda c, i: f"p{c}{i},{('east', 'west')[i % 2]},"
    )
    split = {r.image_id: "test" if r.source == "east" else "train" for r in index.records}
    found = probed(index, splits=[("east", split)])
    assert "fewer than two sources" in found["source-from-image"]["reason"]
    assert found["whole-image"]["n_folds"] == 1


def test_phantoms_are_ill_inside_the_lungs(tmp_path):
    write_samples(tmp_path / "data", n_covid=40, n_normal=40, size=48)
    found = probed(index_of(tmp_path / "data", in_workspace(tmp_path)))
    assert found["whole-image"]["auroc"]["low"] > 0.6
    assert found["border-only"]["auroc"]["high"] < found["whole-image"]["auroc"]["value"]
    assert is_chance(found["border-only"])


def test_kept_features_give_the_same_answer(tmp_path):
    index = planted(tmp_path, mark_border)
    first = probed(index, masks=central(index), cache=tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*.npy"))) == 16  # quarters of four views
    assert probed(index, masks=central(index), cache=tmp_path / "kept") == first


def test_wrong_questions_are_refused(tmp_path):
    index = planted(tmp_path, untouched)
    with pytest.raises(ConfigurationError, match="'Flu'"):
        probed(index, positive="Flu")
    with pytest.raises(IntegrityError, match="'odd'"):
        probed(index, splits=[("odd", {"abc": "train"})])
    with pytest.raises(IntegrityError, match="'valid'"):
        probed(index, splits=[("odd", {index.records[0].image_id: "valid"})])
    assert probed(index, splits=[])["whole-image"]["reason"].endswith("there is no fold")
