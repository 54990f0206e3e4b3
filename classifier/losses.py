"""Training losses against imbalance, and the class shares that a network learns from them.

All of them are one formula, whose parts are optional. For the label y of an image, with
p = softmax(logits + offsets - margin of y at y):

    w_y (1 - p_y)^gamma (-log p_y)

Weights w (by frequency, or by effective number: Cui 2019, 1901.05555), focal gamma (Lin 2017,
1708.02002), offsets (Menon 2021, 2007.07314; balanced softmax, Ren 2020, 2007.10740, is their
tau = 1), margins (LDAM, Cao 2019, 1906.07413) and smoothed labels (Szegedy 2016, 1512.00567)
compose.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from classifier.config import ClassifierConfig

_SMALLEST = 1e-12  # lower bound of 1 - p; at 0 a gamma below 1 would have an infinite slope


class ClassLoss(nn.Module):
    """Mean over images of w_y (1 - p_y)^gamma (-log p_y), p = softmax(logits + offsets - margin).

    A margin lowers the logit of the image's own class alone. The mean is weighted by w_y, as in
    torch's `cross_entropy`. A soft label counts as one image of each class, weighted by its share,
    so that a class number and its one-hot label give the same loss.

    Args:
        gamma: Exponent that reduces the weight of well classified images; 0: no reduction.
        weights: Factor of each class, float (C,); None: 1.
        offsets: Numbers added to the logits, float (C,); None: 0.
        margins: Numbers subtracted from the logit of the label, float (C,); None: 0.
        smoothing: Share of each label that is spread evenly over all classes.
    """

    def __init__(
        self,
        *,
        gamma: float = 0.0,
        weights: Tensor | None = None,
        offsets: Tensor | None = None,
        margins: Tensor | None = None,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.weights: Tensor | None
        self.offsets: Tensor | None
        self.margins: Tensor | None
        self.gamma, self.smoothing = gamma, smoothing
        # Buffers move to the device with the module; they are no part of its state.
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("margins", margins, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, *, weighted: bool = True) -> Tensor:
        """Compute the loss of a batch.

        Args:
            logits: Float (N, C).
            labels: Class numbers int64 (N,), or shares of classes float (N, C), rows that sum to 1.
            weighted: False leaves the weights out.

        Returns:
            A scalar.
        """
        if self.offsets is not None:
            logits = logits + self.offsets
        whole = labels.ndim == 1
        weights = self.weights if weighted else None
        if self.gamma == 0 and self.smoothing == 0 and self.margins is None and whole:
            return F.cross_entropy(logits, labels, weight=weights)
        if self.margins is None:
            log_p = F.log_softmax(logits, dim=1)
        else:  # row y of (N, C, C) has the margin of class y, and counts for it alone
            lowered = logits[:, None] - torch.diag(self.margins)
            log_p = F.log_softmax(lowered, dim=2).diagonal(dim1=1, dim2=2)
        losses = -log_p
        if self.gamma > 0:
            losses = losses * (-torch.expm1(log_p)).clamp(min=_SMALLEST) ** self.gamma
        shares = F.one_hot(labels, logits.shape[1]).to(log_p.dtype) if whole else labels
        shares = (1 - self.smoothing) * shares + self.smoothing / logits.shape[1]
        if weights is not None:
            shares = shares * weights
        return (shares * losses).sum() / shares.sum()

    def weight(self, labels: Tensor, *, weighted: bool = True) -> Tensor:
        """Return the sum of the weights that the mean of `forward` divides by, a scalar."""
        if self.weights is None or not weighted:
            return torch.tensor(float(len(labels)), device=labels.device)
        if labels.ndim == 1:
            labels = F.one_hot(labels, len(self.weights)).to(self.weights.dtype)
            if self.gamma == 0 and self.smoothing == 0 and self.margins is None:
                return (labels * self.weights).sum()
        shares = (1 - self.smoothing) * labels + self.smoothing / labels.shape[1]
        return (shares * self.weights).sum()


def loss_function(
    config: ClassifierConfig, counts: NDArray[np.int64], *, rarest: int | None = None
) -> ClassLoss:
    """Build the training loss of a recipe.

    `cross-entropy`, `focal` (Lin 2017, eq. 5), `logit-adjusted` (Menon 2021, eq. 10: the logits
    plus tau times the log of the class shares, inside the loss only), `balanced-softmax` (Ren 2020,
    eq. 3: the same with tau 1) or `ldam` (Cao 2019, eq. 13: margins that fall with the fourth root
    of the number of images), with `class_weights`.
    Each part corrects the imbalance that the parts before it leave: weights count the classes in
    the batches, the adjustment the classes in the weighted batches. So no imbalance is corrected
    twice; after balanced batches neither weights nor adjustment have an effect.

    Args:
        config: The recipe; `loss` and its settings, `class_weights`, `class_weights_beta`,
            `label_smoothing` and `batches` are used.
        counts: Number of images of each class in the training table, (C,).
        rarest: Number of the class of `rare-share`; None: the class with the fewest images.

    Returns:
        Function from logits (N, C) and labels (N,) or soft labels (N, C) to a scalar.

    Raises:
        ValueError: A class has no image, and the recipe has batches or an adjustment by class.
    """
    weights = _class_weights(config, counts, rarest)
    tau, offsets, margins = adjustment(config), None, None
    if tau is not None:
        offsets = tau * np.log(_weighted_shares(config, counts, rarest))
    if config.loss == "ldam":
        roots = _batch_counts(config, counts, rarest) ** -0.25
        margins = config.ldam_scale * config.ldam_margin * roots / roots.max()
    return ClassLoss(
        gamma=config.focal_gamma if config.loss == "focal" else 0.0,
        weights=None if weights is None else torch.tensor(weights, dtype=torch.float32),
        offsets=None if offsets is None else torch.tensor(offsets, dtype=torch.float32),
        margins=None if margins is None else torch.tensor(margins, dtype=torch.float32),
        smoothing=config.label_smoothing,
    )


def training_prior(
    config: ClassifierConfig, counts: NDArray[np.int64], *, rarest: int | None = None
) -> NDArray[np.float64]:
    """Return the class shares that the classifier's probabilities assume, for prior correction.

    They are the shares of the classes in the batches, times the class weights; with a logit
    adjustment, in the loss or after the training, to the power of 1 - tau. A head that was trained
    again (`head_retraining`) saw balanced batches. A network that fits cross-entropy or the logit-
    adjusted loss perfectly gives p(class | image) proportional to p(image | class) times these
    shares. For focal loss and LDAM they are those of the weights, and the correction is
    approximate: focal loss is no proper loss (Charoenphakdee 2021, 2011.09172), its minimum is less
    confident than the probabilities, and margins move it too. Mixup keeps the shares, because both
    images of a pair come from the same batch, but reduces the confidence too. So does label
    smoothing; with class weights or an adjustment it moves even a certain image of a common class
    towards the rare classes, most to the rarest.

    Args:
        config: The recipe.
        counts: Number of images of each class in the training table (not the pretraining), (C,).
        rarest: As in `loss_function`.

    Returns:
        float64 (C,), sums to 1; 0 for a class without images.

    Raises:
        ValueError: As in `loss_function`.
    """
    shares = _learnt_prior(config, counts, rarest)
    if config.posthoc_tau:
        shares = shares ** (1 - config.posthoc_tau)
    return np.asarray(shares / shares.sum(), np.float64)


def posthoc_offsets(
    config: ClassifierConfig, counts: NDArray[np.int64], *, rarest: int | None = None
) -> NDArray[np.float64]:
    """Return the numbers to add to log probabilities: -tau times the log of the learnt shares.

    Post-hoc logit adjustment (Menon 2021, eq. 9); arguments and errors as in `training_prior`.

    Returns:
        float64 (C,).
    """
    return -config.posthoc_tau * np.log(_learnt_prior(config, counts, rarest))


def _learnt_prior(
    config: ClassifierConfig, counts: NDArray[np.int64], rarest: int | None
) -> NDArray[np.float64]:
    """Return the class shares that the probabilities assume at the end of the training."""
    if config.head_retraining:
        return _learnt_prior(config.of_head, counts, rarest)
    shares = _weighted_shares(config, counts, rarest)
    tau = adjustment(config)
    if tau is not None:
        shares = shares ** (1 - tau)
    return np.asarray(shares / shares.sum(), np.float64)


def adjustment(config: ClassifierConfig) -> float | None:
    """Return the power of the class shares that the loss removes; None: the loss has no offsets."""
    taus = {"logit-adjusted": config.logit_adjustment_tau, "balanced-softmax": 1.0}
    return taus.get(config.loss)


def remedies(config: ClassifierConfig) -> list[str]:
    """Return the settings of a recipe that each correct the class imbalance on their own."""
    used = {
        "balanced batches": config.batches == "balanced",
        "class weights": config.class_weights == "balanced",
        "logit adjustment": bool(adjustment(config)),
        "post-hoc adjustment": config.posthoc_tau > 0,
    }
    return [name for name, is_used in used.items() if is_used]


def batch_shares(
    config: ClassifierConfig, counts: NDArray[np.int64], *, rarest: int | None = None
) -> dict[int, float] | None:
    """Return the share of each class in every batch; None: random, as in the table.

    With `rare-share` the rarest class has `rare_share`, and the others have the rest in the
    proportions of the table (the batches of COVID-Net, Wang 2020, 2003.09871).

    Raises:
        ValueError: A class has no image.
    """
    if config.batches == "natural":
        return None
    shown = _batch_counts(config, counts, rarest)
    return {number: float(share) for number, share in enumerate(shown / shown.sum())}


def _batch_counts(
    config: ClassifierConfig, counts: NDArray[np.int64], rarest: int | None
) -> NDArray[np.float64]:
    """Return the number of images of each class in the batches, up to a factor."""
    absent = np.flatnonzero(counts == 0)
    of_all = adjustment(config) is not None or config.loss == "ldam" or config.posthoc_tau > 0
    if len(absent) and (config.batches != "natural" or of_all):
        raise ValueError(
            "Batches by class and losses that count the classes need training images of every "
            f"class, but class {int(absent[0])} has none; add images or choose another "
            "classifier.loss, classifier.batches or classifier.posthoc_tau."
        )
    if config.batches == "balanced":
        return np.ones(len(counts))
    if config.batches == "natural":
        return counts.astype(np.float64)
    rarest = int(np.argmin(counts)) if rarest is None else rarest
    shares = counts * (1 - config.rare_share) / (counts.sum() - counts[rarest])
    shares[rarest] = config.rare_share
    return np.asarray(shares, np.float64)


def _class_weights(
    config: ClassifierConfig, counts: NDArray[np.int64], rarest: int | None
) -> NDArray[np.float64] | None:
    """Return weights with mean 1 over the images of the batches, or None."""
    shown = _batch_counts(config, counts, rarest)
    if config.class_weights == "none":
        return None
    if config.class_weights == "effective":
        return effective_weights(shown * counts.sum() / shown.sum(), config.class_weights_beta)
    return np.asarray(shown.sum() / (len(shown) * np.where(shown > 0, shown, 1)), np.float64)


def _weighted_shares(
    config: ClassifierConfig, counts: NDArray[np.int64], rarest: int | None
) -> NDArray[np.float64]:
    """Return the class shares of the batches times the class weights; they sum to 1."""
    weights = _class_weights(config, counts, rarest)
    shown = _batch_counts(config, counts, rarest) * (1.0 if weights is None else weights)
    return np.asarray(shown / shown.sum(), np.float64)


def effective_weights(counts: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Return inverse effective numbers of images, (1 - beta) / (1 - beta^n) (Cui 2019, eq. 2).

    Args:
        counts: Number of images n of each class, (C,).
        beta: At least 0, below 1.

    Returns:
        float64 (C,), mean 1 over the images; that of a class without images has no effect.
    """
    weights = (1 - beta) / (1 - beta ** np.maximum(counts, 1))
    return np.asarray(weights * counts.sum() / (weights * counts).sum(), np.float64)
