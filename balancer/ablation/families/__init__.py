"""Families of arms: one class for each way to treat the rare class, with all of its behaviour.

Importing the package fills `balancer.ablation.families.arm.FAMILIES`.
"""

from balancer.ablation.families import (
    controls,
    generated,
    long_tail,
    neighbors,
    outside,
    remedies,
    views,
)

__all__ = ["controls", "generated", "long_tail", "neighbors", "outside", "remedies", "views"]
