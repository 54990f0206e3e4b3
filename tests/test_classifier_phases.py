import numpy as np
import pytest
import torch

from classifier.config import ClassifierConfig, Phase
from classifier.decision import fit_temperature
from classifier.models import build
from classifier.phases import (
    group_rates,
    one_cycle,
    phase_at,
    plan_phases,
    rate_factor,
    unfreeze_last,
)
from classifier.trainer import averaging

RESIZING = ClassifierConfig(
    model="lite0",
    input_size=64,
    learning_rate=1e-3,
    phases=(
        Phase(epochs=1, unfrozen=0.0, input_size=32),
        Phase(epochs=2, unfrozen=0.5, input_size=32, learning_rate=1e-4),
        Phase(epochs=1),
    ),
)


def test_phases_take_their_epochs_and_the_last_one_what_is_left() -> None:
    phases = plan_phases(RESIZING, n_steps=47, steps_per_epoch=10, pretrained=True)
    assert [(phase.first, phase.last) for phase in phases] == [(0, 10), (10, 30), (30, 47)]
    assert [phase.input_size for phase in phases] == [32, 32, 64]
    assert [phase.unfrozen for phase in phases] == [0.0, 0.5, 1.0]
    assert [phase.learning_rate for phase in phases] == [1e-3, 1e-4, 1e-3]
    assert phase_at(phases, 29) is phases[1]
    assert phase_at(phases, 99) is phases[2]


def test_phases_beyond_the_run_fall_away() -> None:
    phases = plan_phases(RESIZING, n_steps=12, steps_per_epoch=10, pretrained=True)
    assert [(phase.first, phase.last) for phase in phases] == [(0, 10), (10, 12)]


def test_epochs_of_phases_add_up() -> None:
    assert RESIZING.n_epochs == 4
    assert ClassifierConfig(epochs=7).n_epochs == 7
    assert RESIZING.with_sizes(224).input_size == 64
    small_first = RESIZING.model_copy(
        update={"phases": (Phase(epochs=1), Phase(epochs=1, input_size=96))}
    )
    sizes = small_first.with_sizes(224)
    assert ([phase.input_size for phase in sizes.phases], sizes.input_size) == ([64, 96], 96)


def test_without_phases_the_head_comes_first_where_the_backbone_knows_something() -> None:
    config = ClassifierConfig(input_size=32, epochs=5, head_epochs=2)
    known = plan_phases(config, n_steps=50, steps_per_epoch=10, pretrained=True)
    assert [(p.first, p.last, p.unfrozen) for p in known] == [(0, 20, 0.0), (20, 50, 1.0)]
    random = plan_phases(config, n_steps=50, steps_per_epoch=10, pretrained=False)
    assert [(p.first, p.last, p.unfrozen) for p in random] == [(0, 50, 1.0)]


def test_frozen_phases_of_random_weights_train_all_layers_and_say_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    phases = plan_phases(RESIZING, n_steps=40, steps_per_epoch=10, pretrained=False)
    assert {phase.unfrozen for phase in phases} == {1.0}
    assert "random" in caplog.text


def test_each_phase_has_its_own_cycle_and_the_head_alone_none() -> None:
    phases = plan_phases(RESIZING, n_steps=40, steps_per_epoch=10, pretrained=True)
    factors = [rate_factor(RESIZING, phases, step, 10) for step in range(40)]
    assert factors[:10] == [1.0] * 10
    assert factors[10:30] == pytest.approx([0.1 * one_cycle(k / 20) for k in range(20)])
    assert factors[30:] == pytest.approx([one_cycle(k / 10) for k in range(10)])


def test_the_step_schedule_drops_on_time() -> None:
    config = ClassifierConfig(
        input_size=32, epochs=6, head_epochs=0, schedule="step", step_epochs=2, step_factor=0.5
    )
    phases = plan_phases(config, n_steps=30, steps_per_epoch=5, pretrained=True)
    factors = [rate_factor(config, phases, step, 5) for step in range(30)]
    assert factors == [1.0] * 10 + [0.5] * 10 + [0.25] * 10


def test_discriminative_rates_rise_by_equal_factors() -> None:
    config = ClassifierConfig(learning_rate=1e-4, lowest_learning_rate=1e-6)
    assert group_rates(config, 2) == pytest.approx([1e-6, 1e-5, 1e-4])
    assert group_rates(ClassifierConfig(learning_rate=1e-4), 2) == pytest.approx([1e-4] * 3)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_unfreezing_leaves_the_first_layers_as_they_are(share: float) -> None:
    network = build(ClassifierConfig(model="bam-cnn", input_size=32), 2)
    network.train()
    unfreeze_last(network, share)
    layers = network.layers()
    learning = [layer.weight.requires_grad for layer in layers]  # type: ignore[union-attr]
    n = round(share * len(layers))
    assert learning == [False] * (len(layers) - n) + [True] * n
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    images = torch.randint(0, 256, (4, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    network(images).square().sum().backward()
    optimizer.step()
    frozen = {id(value) for layer in layers[: len(layers) - n] for value in layer.buffers()}
    frozen |= {id(value) for layer in layers[: len(layers) - n] for value in layer.parameters()}
    for name, value in (*network.backbone.named_parameters(), *network.backbone.named_buffers()):
        if id(value) in frozen:
            assert torch.equal(before[name], value), name


def test_a_half_life_of_zero_averages_nothing() -> None:
    assert averaging(0) == []


def test_the_average_halves_the_past_after_its_half_life() -> None:
    average = averaging(5.0)[0]._kwargs["avg_fn"]
    value = torch.tensor(1.0)
    for step in range(1000, 1005):
        value = average(value, torch.tensor(0.0), step)
    assert value.item() == pytest.approx(0.5, abs=1e-6)
    assert average(torch.tensor(1.0), torch.tensor(0.0), 0).item() == pytest.approx(0.1)


def test_the_temperature_of_overconfident_logits_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in shares])
    assert fit_temperature(logits, labels) == pytest.approx(1.0, abs=0.08)
    assert fit_temperature(3 * logits, labels) == pytest.approx(
        3 * fit_temperature(logits, labels), rel=0.01
    )
    assert fit_temperature(logits, np.zeros(4000, np.int64)) == 1.0


def test_a_few_images_that_are_all_right_do_not_ask_for_certainty() -> None:
    labels = np.arange(10, dtype=np.int64) % 2
    logits = np.where(np.arange(2) == labels[:, None], 1.0, -1.0)
    assert 0.25 < fit_temperature(logits, labels) < 0.8
