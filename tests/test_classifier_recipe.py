"""Parts of the default recipe: averages of weights, networks and views, and a temperature."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax

import classifier
from classifier.checkpoint import LoadedClassifier
from classifier.config import ClassifierConfig, Phase
from classifier.lr_finder import find_learning_rate, steepest
from classifier.models import ImageClassifier, ModelError, build
from classifier.module import ClassifierModule
from classifier.phases import group_rates
from classifier.prediction import log_probabilities
from classifier.tables import ArrayTable
from classifier.training import member_seed
from support.tiny_training import CPU, TINY, spied_batches, table, train, weights


def tiny(**changes: object) -> ClassifierConfig:
    return TINY.model_copy(update=changes)


def test_the_last_weights_are_kept_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.9, 0.8, 0.7])
    monkeypatch.setattr("classifier.module.macro_auroc", lambda *_: next(values))
    assert train(tmp_path, tiny(keep="last"), n_steps=9).best_epoch == 3


def test_averaged_weights_are_validated_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[torch.Tensor] = []
    original = ClassifierModule.on_train_batch_start

    def spy(self: ClassifierModule, batch: object, batch_idx: int) -> None:
        steps.append(self.network.head[1].weight.detach().clone())
        original(self, batch, batch_idx)  # type: ignore[arg-type]

    monkeypatch.setattr(ClassifierModule, "on_train_batch_start", spy)
    result = train(tmp_path, tiny(ema_half_life=4.0, keep="last"), n_steps=6)
    kept = weights(result)["head.1.weight"]
    plain = weights(train(tmp_path / "b", tiny(keep="last"), n_steps=6))["head.1.weight"]
    averaged = steps[1]  # the first average is the weights after the first step
    for n, after in enumerate([*steps[2:6], plain], start=1):
        share = min(0.5 ** (1 / 4.0), (1 + n) / (10 + n))
        averaged = share * averaged + (1 - share) * after
    torch.testing.assert_close(kept, averaged)


def test_training_ends_when_patience_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.5, 0.4, 0.6, 0.7, 0.1, 0.1])
    monkeypatch.setattr("classifier.module.F.cross_entropy", lambda *_: torch.tensor(next(losses)))
    result = train(tmp_path, tiny(patience=2, loss="focal"), n_steps=6, steps_per_epoch=1)
    assert [row["step"] for row in result.history] == [1, 2, 3, 4]


def test_images_of_other_sizes_do_not_choose_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([0.9, 0.5, 0.6])
    monkeypatch.setattr("classifier.module.macro_auroc", lambda *_: next(values))
    sides: list[int] = []
    original = ImageClassifier.forward

    def spy(self: ImageClassifier, images: torch.Tensor) -> torch.Tensor:
        sides.append(images.shape[-1])
        return original(self, images)

    monkeypatch.setattr(ImageClassifier, "forward", spy)
    phases = (Phase(epochs=1, input_size=32), Phase(epochs=2))
    config = tiny(phases=phases, input_size=48)
    result = train(tmp_path, config, n_steps=9, steps_per_epoch=3)
    assert result.best_epoch == 3
    assert sides == [32] * 4 + [48] * 8
    assert classifier.load(result.checkpoint).config.input_size == 48


def test_several_networks_are_averaged(tmp_path: Path) -> None:
    both = classifier.load(train(tmp_path / "both", tiny(members=2)).checkpoint)
    first = classifier.load(train(tmp_path / "first", tiny(members=1)).checkpoint)
    second = train(tmp_path / "second", tiny(members=1), seed=member_seed(0, 1))
    unseen = table(12, 3)
    expected = [
        classifier.predict(one, unseen) for one in (first, classifier.load(second.checkpoint))
    ]
    assert not np.allclose(*expected)
    np.testing.assert_allclose(
        classifier.predict(both, unseen), np.mean(expected, axis=0), atol=1e-6
    )
    assert len(both.networks) == 2
    assert both.provenance["best"][1]["step"] == 6


def test_views_are_averaged(tmp_path: Path) -> None:
    config = tiny(views=("plain", "flip"))
    loaded = classifier.load(train(tmp_path, config).checkpoint)
    images = table(8, 3)
    mirrored = ArrayTable.of(np.ascontiguousarray(images.sources[0][:, :, ::-1]), images.labels)
    both = classifier.predict(loaded, images)
    np.testing.assert_allclose(both, classifier.predict(loaded, mirrored), atol=1e-6)
    alone = tiny(views=("plain",))
    parts = [
        softmax(log_probabilities(loaded.networks, alone, part), axis=1)
        for part in (images, mirrored)
    ]
    np.testing.assert_allclose(both, np.mean(parts, axis=0), atol=1e-6)


@pytest.mark.parametrize("view", ["turn-left", "turn-right", "zoom-in", "zoom-out"])
def test_each_view_moves_the_image_its_own_way(tmp_path: Path, view: str) -> None:
    loaded = classifier.load(train(tmp_path).checkpoint)
    seen: list[torch.Tensor] = []

    class Spy(torch.nn.Module):
        preprocessing = loaded.network.preprocessing.__class__(65, 127.0, 128.0)

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images.float())
            return torch.zeros(len(images), 2)

    dot = np.zeros((1, 65, 65), np.uint8)
    dot[0, 30:35, 55:60] = 255  # right of the middle
    once = ArrayTable.of(dot, np.zeros(1, np.int64))
    log_probabilities([Spy()], tiny(views=(view,)), once)  # type: ignore[list-item]
    image = seen[0][0, 0]
    total = image.sum()
    row = (image.sum(1) * torch.arange(65)).sum() / total - 32
    column = (image.sum(0) * torch.arange(65)).sum() / total - 32
    radius, angle = torch.hypot(row, column), torch.rad2deg(torch.atan2(-row, column))
    turned = {"turn-left": 5.0, "turn-right": -5.0}.get(view, 0.0)
    scale = {"zoom-in": 65 / 61, "zoom-out": 65 / 69}.get(view, 1.0)
    assert angle == pytest.approx(turned, abs=0.5)
    assert radius == pytest.approx(25 * scale, abs=0.6)


def test_the_temperature_fits_the_validation_images(tmp_path: Path) -> None:
    val = table(10, 2)
    loaded = classifier.load(train(tmp_path, tiny(calibration="temperature")).checkpoint)
    assert loaded.temperature != 1

    def surprise(temperature: float) -> float:
        other = LoadedClassifier(
            loaded.networks, loaded.config, loaded.class_names, {}, "", temperature
        )
        found = classifier.predict(other, val)
        prior = 0.5 * (np.log(temperature) / 0.5) ** 2
        return float(-np.log(found[np.arange(10), val.labels]).sum() + prior)

    assert surprise(loaded.temperature) <= min(
        surprise(loaded.temperature * factor) for factor in (0.8, 0.95, 1.05, 1.25)
    )


def test_the_rate_search_leaves_the_callers_random_state_alone() -> None:
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    found = find_learning_rate(
        TINY,
        table(20, 1),
        n_classes=2,
        seed=0,
        hardware=CPU,
        n_steps=20,
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert len(found.rates) == len(found.losses) <= 20
    assert np.isfinite(found.losses).all()


def test_patience_is_counted_in_the_last_phase_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([0.1, 0.9, 0.8, 0.7, 0.9, 0.9, 0.9, 0.9])
    monkeypatch.setattr("classifier.module.F.cross_entropy", lambda *_: torch.tensor(next(losses)))
    phases = (Phase(epochs=2), Phase(epochs=6))
    config = tiny(patience=2, loss="focal", phases=phases)
    result = train(tmp_path, config, n_steps=8, steps_per_epoch=1)
    assert [row["step"] for row in result.history] == [1, 2, 3, 4, 5, 6]
    assert result.n_steps == 6


def test_the_rare_class_is_that_of_the_real_images_however_it_was_filled_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = spied_batches(monkeypatch)
    config = tiny(batches="rare-share", rare_share=0.25)
    train(tmp_path, config, n_steps=4, rarest=1)
    assert all(int((labels == 1).sum()) == 2 for _, labels in batches)


def test_sizes_and_parts_that_a_network_cannot_go_through_are_refused_at_once() -> None:
    small = tiny(model="covid-net", input_size=64, phases=(Phase(epochs=1, input_size=16),))
    with pytest.raises(ModelError, match=r"classifier\.input_size"):
        build(small, 2)
    parted = tiny(model="timm:test_vit", input_size=160, phases=(Phase(epochs=1, unfrozen=0.5),))
    with pytest.raises(ModelError, match=r"classifier\.lowest_learning_rate"):
        build(parted, 2)
    with pytest.raises(ValueError, match="lowest_learning_rate"):
        ClassifierConfig(learning_rate=1e-4, lowest_learning_rate=1e-2)


def test_layers_that_know_nothing_learn_at_the_greatest_rate() -> None:
    config = ClassifierConfig(learning_rate=1e-4, lowest_learning_rate=1e-6)
    assert group_rates(config, 2, pretrained=False) == pytest.approx([1e-4] * 3)


def test_the_steepest_fall_is_looked_for_over_factors_of_the_rate() -> None:
    rates = np.logspace(-7, 0, 100)
    noise = 1e-3 * np.sin(np.arange(100) * 2.1)
    losses = 1 / (1 + np.exp(3 * (np.log10(rates) + 3))) + noise
    found = steepest(rates, losses)
    assert found == pytest.approx(1e-3, rel=0.5)
    assert steepest(rates, np.linspace(0, 1, 100)) is None
    assert steepest(rates[:5], losses[:5]) is None
