"""Which class a set of generated images looks like, whatever class it is meant to be.

At small sizes FID and KID hear the quality of images far louder than the disease in them, so a
distance to the own class says little without the distances to the others.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from balancer.quality.distances import Kernels, kid_difference_interval, kid_of_all
from balancer.quality.features import Features
from balancer.quality.probes import Judge


def class_distances(
    label: str,
    generated: Features,
    held_out: Features,
    training: Mapping[str, Features],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """KID to the own class and to every other, beside those of held-out images of the own class.

    Args:
        label: The class that the images are meant to be of.
        generated: Features (N, d), N >= 2.
        held_out: Features (M, d) of real images of the class that are not among the training ones,
            M >= 2.
        training: Features of real training images, 2 or more of each class.
        rng: Of the bootstrap.

    Returns:
        JSON-ready, by class: `generated` and `held_out`, KID to its training images; for other
        classes also `own_minus_this`, how much farther the generated images are from their own
        class (above 0: they look more like this one), and its 95 % `interval`.
    """
    own = Kernels.of(generated, training[label])
    table: dict[str, Any] = {}
    for name, features in sorted(training.items()):
        kernels = own if name == label else Kernels.of(generated, features)
        table[name] = {
            "generated": kid_of_all(kernels),
            "held_out": kid_of_all(Kernels.of(held_out, features)),
        }
        if name != label:
            table[name] |= {
                "own_minus_this": kid_of_all(own) - kid_of_all(kernels),
                "interval": list(kid_difference_interval(own, kernels, rng)),
            }
    return table


def judged_shares(
    label: str, judge: Judge, generated: Features, held_out: Features
) -> dict[str, Any]:
    """What a classifier trained on real training images takes the images for.

    Args:
        label: The class that they are meant to be of.
        judge: The classifier.
        generated: Features (N, d).
        held_out: Features (M, d) of real images of the class.

    Returns:
        JSON-ready: shares of the labels given to the generated and to the held-out images, and the
        median probability of the own class.
    """
    shares: dict[str, Any] = {}
    own = judge.classes.index(label)
    for kind, features in (("generated", generated), ("held_out", held_out)):
        found = judge.probabilities(features)
        counts = np.bincount(found.argmax(axis=1), minlength=len(judge.classes))
        shares[kind] = {
            "labels": dict(zip(judge.classes, (counts / len(found)).tolist(), strict=True)),
            "median_probability": float(np.median(found[:, own])),
        }
    return shares
