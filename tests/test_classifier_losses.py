import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from classifier.config import ClassifierConfig
from classifier.losses import ClassLoss, batch_shares, loss_function, remedies, training_prior

COUNTS = np.array([60, 30, 10])
RECIPES: list[dict[str, Any]] = [
    {},
    {"class_weights": "balanced"},
    {"loss": "focal"},
    {"loss": "focal", "focal_gamma": 0.5, "class_weights": "balanced"},
    {"loss": "logit-adjusted"},
    {"loss": "logit-adjusted", "logit_adjustment_tau": 0.5},
    {"batches": "balanced"},
]


def recipe(**changes: Any) -> ClassifierConfig:
    return ClassifierConfig(model="bam-cnn", **changes)


def batch(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, 3, (n,), generator=generator)


def soft(labels: torch.Tensor) -> torch.Tensor:
    return F.one_hot(labels, 3).float()


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, COUNTS),
        ({"loss": "focal", "focal_gamma": 0}, COUNTS),
        ({"loss": "logit-adjusted", "logit_adjustment_tau": 0}, COUNTS),
        ({"loss": "logit-adjusted"}, np.array([7, 7, 7])),
        ({"class_weights": "balanced"}, np.array([7, 7, 7])),
        ({"class_weights": "balanced", "batches": "balanced"}, COUNTS),
        ({"loss": "logit-adjusted", "batches": "balanced"}, COUNTS),
    ],
)
def test_where_nothing_is_left_to_do_each_loss_is_cross_entropy(
    changes: dict[str, Any], counts: np.ndarray
) -> None:
    logits, labels = batch()
    loss = loss_function(recipe(**changes), counts)
    expected = F.cross_entropy(logits, labels)
    torch.testing.assert_close(loss(logits.float(), labels), expected.float())
    torch.testing.assert_close(loss(logits.float(), soft(labels)), expected.float())


def test_class_weights_are_torchs() -> None:
    logits, labels = batch()
    weights = torch.tensor([100 / 180, 100 / 90, 100 / 30])
    loss = loss_function(recipe(class_weights="balanced"), COUNTS)
    assert loss.weights is not None
    torch.testing.assert_close(loss.weights, weights)
    expected = F.cross_entropy(logits.float(), labels, weight=weights)
    assert torch.equal(loss(logits.float(), labels), expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_focal_loss_is_that_of_the_paper(gamma: float, weighted: bool) -> None:
    logits, labels = batch()
    config = recipe(
        loss="focal", focal_gamma=gamma, class_weights="balanced" if weighted else "none"
    )
    p = np.exp(logits.numpy())
    p = (p / p.sum(1, keepdims=True))[np.arange(len(labels)), labels]
    alpha = (100 / (3 * COUNTS) if weighted else np.ones(3))[labels]
    expected = (-alpha * (1 - p) ** gamma * np.log(p)).sum() / alpha.sum()
    assert loss_function(config, COUNTS)(logits, labels).item() == pytest.approx(expected, 1e-6)


@pytest.mark.parametrize("tau", [0.3, 1.0, 2.0])
def test_logit_adjustment_is_equation_10_of_the_paper(tau: float) -> None:
    logits, labels = batch()
    f, y, prior = logits.numpy(), labels.numpy(), COUNTS / 100
    rows = np.arange(len(y))
    margins = (prior / prior[y][:, None]) ** tau * np.exp(f - f[rows, y][:, None])
    margins[rows, y] = 0
    expected = np.log1p(margins.sum(1)).mean()
    loss = loss_function(recipe(loss="logit-adjusted", logit_adjustment_tau=tau), COUNTS)
    assert loss(logits, labels).item() == pytest.approx(expected, 1e-6)


@pytest.mark.parametrize("changes", RECIPES)
def test_a_whole_label_is_the_same_in_either_form(changes: dict[str, Any]) -> None:
    logits, labels = batch()
    loss = loss_function(recipe(**changes), COUNTS)
    whole, shares = (loss(logits.float(), each) for each in (labels, soft(labels)))
    torch.testing.assert_close(whole, shares)


@pytest.mark.parametrize("changes", [each for each in RECIPES if "class_weights" not in each])
def test_a_mixed_label_gives_the_mean_of_two_losses(changes: dict[str, Any]) -> None:
    logits, labels = batch()
    others = labels.flip(0)
    loss = loss_function(recipe(**changes), COUNTS)
    mixed = loss(logits, 0.3 * soft(labels).double() + 0.7 * soft(others).double())
    expected = 0.3 * loss(logits, labels) + 0.7 * loss(logits, others)
    torch.testing.assert_close(mixed, expected, rtol=1e-6, atol=1e-6)


def test_weighted_soft_labels_are_so_many_images() -> None:
    """Shares of a quarter count as a quarter of an image, in the mean too."""
    logits, _ = batch(2)
    loss = ClassLoss(weights=torch.tensor([1.0, 2.0, 5.0]))
    shares = torch.tensor([[0.25, 0.75, 0.0], [0.5, 0.0, 0.5]], dtype=torch.float64)
    images = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    labels = torch.tensor([0, 1, 1, 1, 0, 0, 2, 2])
    expected = F.cross_entropy(logits[images], labels, weight=torch.tensor([1.0, 2, 5]).double())
    torch.testing.assert_close(loss(logits, shares), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("scale", [0.0, 30.0, 1e4])
def test_gradients_stay_finite(gamma: float, scale: float) -> None:
    logits = (scale * torch.tensor([[1.0, 0.0, -1.0], [1.0, 0.0, -1.0]])).requires_grad_()
    labels = torch.tensor([0, 2])  # one surely right, one surely wrong
    for given in (labels, soft(labels)):
        (gradient,) = torch.autograd.grad(ClassLoss(gamma=gamma)(logits, given), logits)
        assert torch.isfinite(gradient).all()


def test_the_gradient_of_focal_loss_is_right() -> None:
    logits, labels = batch(6)
    loss = ClassLoss(gamma=2.0, weights=torch.tensor([1.0, 2.0, 5.0]), offsets=torch.ones(3))
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits.requires_grad_())


def test_the_parts_move_with_the_module_and_are_no_state() -> None:
    config = recipe(loss="logit-adjusted", class_weights="balanced")
    loss = loss_function(config, COUNTS)
    assert loss.state_dict() == {}
    moved = copy.deepcopy(loss).to("meta")
    assert moved.weights is not None
    assert moved.offsets is not None
    assert {moved.weights.device.type, moved.offsets.device.type} == {"meta"}


def test_no_imbalance_is_corrected_twice() -> None:
    logits, labels = batch()
    both = loss_function(recipe(loss="logit-adjusted", class_weights="balanced"), COUNTS)
    one = loss_function(recipe(class_weights="balanced"), COUNTS)
    torch.testing.assert_close(both(logits.float(), labels), one(logits.float(), labels))
    config = recipe(loss="logit-adjusted", class_weights="balanced", batches="balanced")
    assert remedies(config) == ["balanced batches", "class weights", "logit adjustment"]
    np.testing.assert_allclose(training_prior(config, COUNTS), 1 / 3)
    assert remedies(recipe(loss="focal")) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0.6, 0.3, 0.1]),
        ({"class_weights": "balanced"}, [1 / 3] * 3),
        ({"batches": "balanced"}, [1 / 3] * 3),
        ({"loss": "logit-adjusted"}, [1 / 3] * 3),
        ({"loss": "logit-adjusted", "logit_adjustment_tau": 0}, [0.6, 0.3, 0.1]),
        ({"loss": "logit-adjusted", "logit_adjustment_tau": 2}, [1 / 60, 1 / 30, 1 / 10]),
        ({"loss": "focal"}, [0.6, 0.3, 0.1]),
        ({"loss": "focal", "class_weights": "balanced"}, [1 / 3] * 3),
        ({"mixup_alpha": 0.4}, [0.6, 0.3, 0.1]),
    ],
)
def test_the_training_prior_in_closed_form(changes: dict[str, Any], expected: list[float]) -> None:
    found = training_prior(recipe(**changes), COUNTS)
    assert found.dtype == np.float64
    assert found.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found, np.divide(expected, sum(expected)), rtol=1e-12)


def test_a_class_without_images_has_no_share() -> None:
    counts = np.array([3, 0, 1])
    np.testing.assert_allclose(training_prior(recipe(), counts), [0.75, 0, 0.25])
    weighted = recipe(class_weights="balanced")
    np.testing.assert_allclose(training_prior(weighted, counts), [0.5, 0, 0.5])


@pytest.mark.parametrize(
    "changes",
    [each for each in RECIPES if each.get("loss") != "focal"]
    + [{"loss": "logit-adjusted", "logit_adjustment_tau": 2.0}],
)
def test_a_perfect_network_takes_the_training_prior_for_granted(changes: dict[str, Any]) -> None:
    """Fitted on 100 images of 4 kinds, its probabilities are Bayes' rule under that prior."""
    config = recipe(**changes)
    n_images = np.array([[30, 3, 1], [12, 9, 2], [12, 12, 1], [6, 6, 6]])  # kind x class
    assert (n_images.sum(0) == COUNTS).all()
    given_class = n_images / n_images.sum(0)
    shown = given_class / 3 if config.batches == "balanced" else n_images / n_images.sum()
    logits = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    loss = loss_function(config, n_images.sum(0)).double()
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=500, line_search_fn="strong_wolfe", tolerance_change=1e-14
    )
    shares = torch.from_numpy(shown)  # each kind is one image with a soft label of some weight

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(logits, shares)
        value.backward()
        return value

    optimizer.step(closure)
    expected = given_class * training_prior(config, n_images.sum(0))
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(logits.detach().softmax(1).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("changes", [{"batches": "balanced"}, {"loss": "logit-adjusted"}])
def test_a_class_without_images_cannot_be_balanced(changes: dict[str, Any]) -> None:
    config, counts = recipe(**changes), np.array([3, 0, 1])
    with pytest.raises(ValueError, match="class 1"):
        loss_function(config, counts)
    with pytest.raises(ValueError, match="class 1"):
        training_prior(config, counts)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_smoothed_labels_are_torchs(smoothing: float) -> None:
    logits, labels = batch()
    ours = loss_function(recipe(label_smoothing=smoothing), COUNTS)(logits, labels)
    torchs = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    assert ours.item() == pytest.approx(torchs.item())


def test_the_rare_class_takes_its_share_of_the_batches_and_the_others_theirs() -> None:
    config = recipe(batches="rare-share", rare_share=0.4)
    shares = batch_shares(config, COUNTS)
    assert shares == pytest.approx({0: 0.6 * 60 / 90, 1: 0.6 * 30 / 90, 2: 0.4})
    np.testing.assert_allclose(training_prior(config, COUNTS), [0.4, 0.2, 0.4])
    weighted = recipe(batches="rare-share", rare_share=0.4, class_weights="balanced")
    np.testing.assert_allclose(training_prior(weighted, COUNTS), [1 / 3] * 3)
    assert batch_shares(recipe(), COUNTS) is None
    assert batch_shares(recipe(batches="balanced"), COUNTS) == pytest.approx(
        dict.fromkeys(range(3), 1 / 3)
    )
