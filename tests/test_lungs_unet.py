"""The small U-Net: what it computes, what it learns in seconds, what its files promise."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from balancer.imaging.lungs.segment import dice
from balancer.imaging.lungs.unet import (
    CARD,
    MULTIPLE,
    WEIGHTS,
    LungUNet,
    UNetError,
    load_unet,
    lung_mask,
    predict_lungs,
    save_unet,
)
from balancer.lungs.config import LungsConfig
from balancer.lungs.examples import LungExamples
from balancer.lungs.training import LungAugment, lung_loss, train_unet
from classifier.trainer import TrainingHardware
from samples.phantom import draw_lung_field, draw_phantom

SIDE = 64
CPU = TrainingHardware("cpu")
TINY = LungsConfig(image_size=SIDE, filters=8, images_shown=960, learning_rate=5e-3)


def _examples(seeds):
    films = [draw_phantom(seed, covid=seed % 2 == 0, size=SIDE) for seed in seeds]
    masks = [draw_lung_field(seed, size=SIDE) for seed in seeds]
    return LungExamples([None] * len(films), np.stack(films), np.stack(masks))


@pytest.fixture(scope="module")
def learnt():
    torch.set_num_threads(1)
    return train_unet(_examples(range(48)), TINY, seed=0, hardware=CPU)


def test_it_learns_lungs_in_seconds(learnt):
    """Of phantoms, on others than those it learnt from, ill ones included."""
    other = _examples(range(5000, 5024))
    chances = predict_lungs(learnt, other.films)
    found = [lung_mask(one, (SIDE, SIDE)) for one in chances]
    agreement = [dice(one, mask) for one, mask in zip(found, other.masks, strict=True)]
    assert np.mean(agreement) > 0.9


def test_the_same_seed_gives_the_same_weights():
    short = TINY.model_copy(update={"images_shown": 16})
    examples = _examples(range(4))
    one, other, third = (
        train_unet(examples, short, seed=seed, hardware=CPU).state_dict() for seed in (3, 3, 4)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not all(torch.equal(one[name], third[name]) for name in one)


def test_the_default_network_is_small():
    weights = sum(value.numel() for value in LungUNet(LungsConfig().filters).parameters())
    assert 1e6 < weights < 2e6


def test_logits_have_the_size_of_the_film():
    network = LungUNet(4).eval()
    for side in (MULTIPLE, 2 * MULTIPLE, 256):
        assert network(torch.zeros(2, 1, side, side)).shape == (2, 1, side, side)


def test_exposure_says_nothing():
    network = LungUNet(4).eval()
    film = torch.from_numpy(draw_phantom(1, covid=False, size=SIDE))[None, None].float()
    with torch.inference_mode():
        assert torch.allclose(network(film), network(0.5 * film + 30), atol=1e-3)


def test_every_weight_learns():
    network = LungUNet(4)
    network(torch.rand(2, 1, SIDE, SIDE)).square().mean().backward()
    assert all(value.grad is not None and value.grad.any() for value in network.parameters())


def test_the_loss_by_hand():
    masks = torch.zeros(1, 1, 2, 2)
    masks[..., 0] = 1.0
    sure = torch.where(masks > 0, 40.0, -40.0)
    assert lung_loss(sure, masks).item() == pytest.approx(0.0, abs=1e-5)
    # All chances one half: cross-entropy log 2, Dice (2 * 1 + 1) / (2 + 2 + 1).
    flat = lung_loss(torch.zeros_like(masks), masks).item()
    assert flat == pytest.approx(np.log(2) + 1 - 3 / 5)
    assert lung_loss(-sure, masks).item() > 30


def test_film_and_mask_move_together():
    """A film that is its own mask stays it, but for the interpolation at the edge."""
    config = TINY.model_copy(update={"brightness": 0.0})
    augment = LungAugment(config, seed=0)
    mask = draw_lung_field(3, size=SIDE)
    moved = 0
    for number in range(20):
        film, changed = augment(mask.astype(np.uint8) * 255, mask, number)
        assert dice(film > 127, changed > 0) > 0.95
        moved += not np.array_equal(changed > 0, mask)
    assert moved > 10


def test_augmentation_is_a_function_of_its_place():
    film, mask = draw_phantom(0, covid=False, size=SIDE), draw_lung_field(0, size=SIDE)
    one, other = LungAugment(TINY, seed=1), LungAugment(TINY, seed=1)
    one(film, mask, 0)
    assert np.array_equal(one(film, mask, 5)[0], other(film, mask, 5)[0])
    assert not np.array_equal(other(film, mask, 6)[0], other(film, mask, 5)[0])


def test_a_mask_has_no_holes_and_no_specks():
    chances = np.zeros((32, 32), np.float32)
    chances[4:28, 4:14] = chances[6:26, 18:28] = 1
    chances[10:12, 8:10] = 0
    chances[30, 30] = 1
    mask = lung_mask(chances, (64, 96))
    assert mask.shape == (64, 96)
    whole = np.zeros((32, 32), np.float32)
    whole[4:28, 4:14] = whole[6:26, 18:28] = 1
    assert np.array_equal(mask, lung_mask(whole, (64, 96)))
    assert not lung_mask(np.zeros((32, 32), np.float32), (8, 8)).any()


def test_what_is_saved_is_loaded(learnt, tmp_path):
    digest = save_unet(tmp_path, learnt, image_size=SIDE, provenance={"seed": 0})
    loaded = load_unet(tmp_path)
    assert loaded.card.weights_sha256 == digest
    assert (loaded.card.image_size, loaded.card.provenance) == (SIDE, {"seed": 0})
    films = _examples(range(2)).films
    assert np.array_equal(predict_lungs(loaded.network, films), predict_lungs(learnt, films))


def _shorten(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-8])


def _forge_card(**changes):
    def change(folder):
        card = json.loads((folder / CARD).read_text())
        (folder / CARD).write_text(json.dumps(card | changes))

    return change


def _foreign(folder):
    weights = load_file(folder / WEIGHTS)
    weights["extra"] = torch.zeros(1)
    _rewrite(folder, weights)


def _infinite(folder):
    weights = load_file(folder / WEIGHTS)
    weights["stem.bias"][0] = float("nan")
    _rewrite(folder, weights)


def _rewrite(folder, weights):
    import hashlib

    save_file(weights, folder / WEIGHTS)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    _forge_card(weights_sha256=digest)(folder)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / CARD).unlink(), CARD),
        (lambda folder: (folder / WEIGHTS).unlink(), WEIGHTS),
        (lambda folder: (folder / CARD).write_text("{"), CARD),
        (_shorten, f"{WEIGHTS}.*{CARD}"),
        (_forge_card(kind="gan-generator"), "kind"),
        (_forge_card(format=9), "format"),
        (_forge_card(filters=10_000), "filters"),
        (_forge_card(filters=12), f"{WEIGHTS}.*filters"),
        (_foreign, f"{WEIGHTS}.*filters"),
        (_infinite, "NaN"),
    ],
)
def test_damaged_files_are_refused(tmp_path, damage, words):
    torch.manual_seed(0)
    save_unet(tmp_path, LungUNet(4), image_size=SIDE, provenance={})
    damage(tmp_path)
    with pytest.raises(UNetError, match=words):
        load_unet(tmp_path)
