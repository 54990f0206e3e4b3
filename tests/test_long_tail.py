"""Remedies of the long-tail field, in closed form and by what they must leave as it is."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import classifier
from balancer.ablation.families.arm import Blend
from balancer.ablation.frozen_head import fit_head
from balancer.ablation.plan import make_plan
from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.errors import ConfigurationError
from classifier.config import ClassifierConfig
from classifier.heads import CosineLinear
from classifier.losses import ClassLoss, effective_weights, loss_function, training_prior
from classifier.tables import ArrayTable
from support.tiny_training import TINY, skewed, spied_batches, table, train, weights

pytestmark = pytest.mark.blank_pictures

TWO, SEVEN = np.array([75, 25]), np.array([700, 300, 90, 40, 20, 8, 4])


def recipe(**changes: Any) -> ClassifierConfig:
    return ClassifierConfig(model="bam-cnn", **changes)


def batch(n_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n_classes)
    logits = 3 * torch.randn(50, n_classes, generator=generator)
    return logits, torch.randint(0, n_classes, (50,), generator=generator)


@pytest.mark.parametrize("counts", [TWO, SEVEN])
def test_balanced_softmax_is_equation_3_of_the_paper(counts: np.ndarray) -> None:
    logits, labels = batch(len(counts))
    shown = counts * np.exp(logits.double().numpy())
    expected = -np.log((shown / shown.sum(1, keepdims=True))[np.arange(50), labels]).mean()
    balanced = recipe(loss="balanced-softmax")
    assert loss_function(balanced, counts)(logits, labels).item() == pytest.approx(expected, 1e-5)
    equal = loss_function(balanced, np.full(len(counts), 9))(logits, labels)
    torch.testing.assert_close(equal, F.cross_entropy(logits, labels))
    assert training_prior(balanced, counts) == pytest.approx(1 / len(counts))


@pytest.mark.parametrize("counts", [TWO, SEVEN])
@pytest.mark.parametrize("soft", [False, True])
def test_ldam_is_equation_13_of_the_paper(counts: np.ndarray, soft: bool) -> None:
    cosines = torch.tanh(batch(len(counts))[0])
    labels = batch(len(counts))[1]
    margins = 0.5 * (counts.min() / counts) ** 0.25
    z = 30 * cosines.double().numpy()
    rows = np.arange(50)
    z[rows, labels] -= 30 * margins[labels]
    expected = (np.log(np.exp(z).sum(1)) - z[rows, labels]).mean()
    ldam = loss_function(recipe(loss="ldam"), counts)
    given = F.one_hot(labels, len(counts)).float() if soft else labels
    assert ldam(30 * cosines, given).item() == pytest.approx(expected, 1e-4)


def test_ldam_without_margin_and_scale_is_cross_entropy() -> None:
    logits, labels = batch(7)
    plain = loss_function(recipe(loss="ldam", ldam_margin=0, ldam_scale=1), SEVEN)
    torch.testing.assert_close(plain(logits, labels), F.cross_entropy(logits, labels))


def test_a_head_of_cosines_sees_directions_alone() -> None:
    torch.manual_seed(0)
    layer, features = CosineLinear(5, 3, scale=30.0), torch.randn(4, 5)
    torch.testing.assert_close(layer(features), layer(7 * features))
    own = layer(layer.weight.detach())
    torch.testing.assert_close(own.diagonal(), torch.full((3,), 30.0))
    assert own.abs().max() <= 30.001


def test_effective_weights_run_from_none_to_inverse_frequencies() -> None:
    assert effective_weights(SEVEN.astype(float), 0.0) == pytest.approx(1)
    inverse = SEVEN.sum() / (7 * SEVEN)
    assert effective_weights(SEVEN.astype(float), 1 - 1e-9) == pytest.approx(inverse, rel=1e-5)
    found = effective_weights(SEVEN.astype(float), 0.99)
    sums = np.array([sum(0.99**k for k in range(n)) for n in SEVEN])  # (1 - b^n) / (1 - b)
    assert found * sums == pytest.approx(found[0] * sums[0])
    assert (found * SEVEN).sum() == pytest.approx(SEVEN.sum())
    config = recipe(class_weights="effective", class_weights_beta=0.99)
    assert loss_function(config, SEVEN).weights.numpy() == pytest.approx(found, rel=1e-5)
    assert training_prior(config, SEVEN) == pytest.approx(found * SEVEN / SEVEN.sum())
    balanced = config.model_copy(update={"batches": "balanced"})
    assert training_prior(balanced, SEVEN) == pytest.approx(1 / 7)


def test_deferred_weights_wait_for_their_share_of_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = TINY.model_copy(update={"class_weights": "balanced", "class_weights_from": 0.5})
    seen: list[bool] = []
    original = ClassLoss.forward

    def spy(self: ClassLoss, *given: torch.Tensor, weighted: bool) -> torch.Tensor:
        plain, real = F.cross_entropy(*given), original(self, *given, weighted=weighted)
        seen.append(bool(real == plain))
        return real

    monkeypatch.setattr(ClassLoss, "forward", spy)
    train(tmp_path, later, train=skewed())
    assert seen == [True] * 3 + [False] * 3


@pytest.mark.parametrize("n_classes", [2, 7])
def test_a_retrained_head_leaves_the_backbone_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_classes: int
) -> None:
    images = table(14 * n_classes, 1).sources[0]
    labels = np.minimum(np.arange(len(images)) % (n_classes + 1), n_classes - 1)
    options = {"train": ArrayTable.of(images, labels), "val": ArrayTable.of(images, labels)}
    options |= {"class_names": [str(number) for number in range(n_classes)]}
    config = TINY.model_copy(update={"batch_size": 14, "ema_half_life": 5.0, "keep": "last"})
    whole = train(tmp_path / "a", config, n_steps=3, **options)
    batches = spied_batches(monkeypatch)
    decoupled = config.model_copy(update={"head_retraining": 0.5})
    found = train(tmp_path / "b", decoupled, n_steps=6, **options)
    counts = [np.bincount(own, minlength=n_classes).tolist() for _, own in batches[3:]]
    assert counts == [[14 // n_classes] * n_classes] * 3
    before, after = weights(whole), weights(found)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith("backbone.")} <= same
    assert not {name for name in same if name.startswith("head.")}
    assert (found.n_steps, found.history[-1]["step"]) == (6, 6)
    assert training_prior(decoupled, np.bincount(labels)) == pytest.approx(1 / n_classes)


def test_small_batches_of_both_parts_are_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path, TINY.model_copy(update={"head_retraining": 0.5, "batch_size": 64}), n_steps=2)
    assert sum("instead of 64" in one.getMessage() for one in caplog.records) == 1


def test_a_head_that_cannot_be_balanced_is_refused_before_any_training(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"head_retraining": 0.5})
    options = {"train": skewed(), "class_names": ["a", "b", "c"]}
    with pytest.raises(ValueError, match="class 2"):
        train(tmp_path / "out", config, **options)
    assert not (tmp_path / "out").exists()


def test_a_small_share_of_the_steps_is_one_step_and_never_all(tmp_path: Path) -> None:
    """Rounded to no step, the head would not be the balanced one that its prior is of."""
    small = TINY.model_copy(update={"head_retraining": 0.01})
    whole, found = train(tmp_path / "a"), train(tmp_path / "b", small)
    before, after = weights(whole), weights(found)
    assert any(not torch.equal(before[name], after[name]) for name in before if "head." in name)
    large = TINY.model_copy(update={"head_retraining": 0.9})
    with pytest.raises(ValueError, match="head_retraining"):
        train(tmp_path / "c", large, n_steps=1)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("remedy", [{"posthoc_tau": 1.0}, {"head_retraining": 0.2}])
def test_a_study_refuses_a_remedy_that_all_arms_share(remedy: dict[str, float]) -> None:
    config = BalancerConfig.model_validate({"classifier": remedy})
    with pytest.raises(ConfigurationError, match=next(iter(remedy))):
        make_plan(config, cast(Index, None))


def test_post_hoc_adjustment_divides_the_probabilities_by_the_class_shares(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"calibration": "temperature"})
    plain = train(tmp_path / "a", config, train=skewed())
    adjusted = config.model_copy(update={"posthoc_tau": 1.0})
    moved = train(tmp_path / "b", adjusted, train=skewed())
    val = table(10, 2)
    before, after = (classifier.predict(classifier.load(one.checkpoint), val)
                     for one in (plain, moved))  # fmt: skip
    expected = before / [0.75, 0.25]
    assert after == pytest.approx(expected / expected.sum(1, keepdims=True), rel=1e-4)
    assert training_prior(adjusted, np.array([15, 5])) == pytest.approx(0.5)
    none = train(tmp_path / "c", config.model_copy(update={"posthoc_tau": 0.0}), train=skewed())
    files = [load_file(one.checkpoint / "classifier.safetensors") for one in (plain, none)]
    assert all(torch.equal(files[0][name], files[1][name]) for name in files[0])


def test_ldam_has_no_offsets_to_adjust_afterwards() -> None:
    with pytest.raises(ValueError, match="posthoc_tau"):
        recipe(loss="ldam", posthoc_tau=1.0)


def test_unused_settings_leave_records_as_they_were() -> None:
    new = {"class_weights_beta", "class_weights_from", "posthoc_tau", "ldam_margin", "ldam_scale",
           "head_retraining"}  # fmt: skip
    assert not new & recipe().model_dump(mode="json").keys()
    used = recipe(posthoc_tau=0.5)
    assert new & used.model_dump(mode="json").keys() == {"posthoc_tau"}
    assert ClassifierConfig.model_validate(used.model_dump(mode="json")) == used


@pytest.mark.parametrize("counts", [TWO, SEVEN])
def test_on_frozen_features_the_adjustments_are_one(counts: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts // 4 + 1)
    features = rng.normal(0, 1, (len(labels), 6)).astype(np.float32)
    features[:, 0] += labels

    def head(**changes: Any) -> np.ndarray:
        ones = np.ones(len(labels))
        fitted = fit_head(features, labels, ones, recipe(**changes), budget=len(labels))
        return fitted.probabilities(features)

    shares = np.bincount(labels) / len(labels)
    expected = head() / shares
    expected /= expected.sum(1, keepdims=True)
    for changes in ({"posthoc_tau": 1.0}, {"loss": "balanced-softmax"}, {"loss": "logit-adjusted"}):
        assert head(**changes) == pytest.approx(expected, abs=1e-9)
    again, balanced = head(head_retraining=0.2), head(class_weights="balanced")
    assert (again == balanced).all()
    effective = head(class_weights="effective", class_weights_beta=1 - 1e-9)
    assert effective == pytest.approx(balanced, abs=1e-3)


def test_a_blend_lies_between_an_image_and_its_partner() -> None:
    values = np.arange(12.0).reshape(3, 2, 2)
    blend = Blend(np.array([2, 1]), np.array([0.0, 0.25]))
    found = blend.of(values, np.array([0, 0]))
    assert (found[0] == values[0]).all()
    assert found[1] == pytest.approx(values[0] + 0.25 * (values[1] - values[0]))
