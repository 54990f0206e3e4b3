"""Non-saturating GAN losses on logits (Goodfellow 2014, arXiv 1406.2661).

With D = sigmoid(logit), binary cross-entropy against 1 is softplus(-logit), against 0 it is
softplus(logit). Small because the objective is checked against the paper line by line.
"""

from torch import Tensor
from torch.nn import functional as F


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
