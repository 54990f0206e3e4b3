"""Non-saturating GAN losses on logits (Goodfellow 2014, arXiv 1406.2661).

With D = sigmoid(logit), binary cross-entropy against 1 is softplus(-logit), against 0 it is
softplus(logit). Small because the objective is checked against the paper line by line.
"""

from torch import Tensor
from torch.nn import functional as F

MOST_CERTAIN = -60.0
"""Logit below which a fake's gradient by the discriminator's loss vanishes in 32 bits; that of the
generator is taken for this logit, since infinity times 0 is no number."""


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return -log D(x) - log(1 - D(G(z))), each averaged over its batch.

    Args:
        real_logits: float32 (N,), of real images.
        fake_logits: float32 (M,), of generated images.

    Returns:
        float32 scalar, at least 0; 2 log 2 if D is 1/2 for all images.
    """
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Return the mean of -log D(G(z)), whose gradient does not vanish when D is certain.

    Args:
        fake_logits: float32 (N,), of generated images.

    Returns:
        float32 scalar, at least 0; log 2 if D is 1/2 for all images.
    """
    return F.softplus(-fake_logits).mean()


def generator_gradient(gradient: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the gradient of `generator_loss` at fakes from that of `discriminator_loss`.

    Their derivatives by a logit are -sigmoid(-logit) and sigmoid(logit), with the quotient
    -exp(-logit). So one backward pass serves both (Shen 2021, arXiv 2103.00430), where each logit
    depends on its own image alone.

    Args:
        gradient: float32 (N, C, S, S), of the discriminator's loss.
        fake_logits: float32 (N,).
    """
    factor = -fake_logits.clamp_min(MOST_CERTAIN).neg().exp()
    return gradient * factor.view(-1, 1, 1, 1)
