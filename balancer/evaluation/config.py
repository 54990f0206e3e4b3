"""The section `evaluation` of the configuration.

Small because each room owns its section.
"""

from typing import Annotated

from pydantic import Field, field_validator

from balancer.section import ConfigSection, Label, Share


class EvaluationConfig(ConfigSection):
    """Evaluation of a trained classifier on the test split."""

    positive_class: Label | None = None
    """The class that sensitivity speaks of; null: the rarest in the training split."""
    bootstrap_samples: Annotated[int, Field(ge=100, le=1_000_000)] = 2_000
    """Number of resamples of the test groups behind each 95 % interval."""
    specificity: Share = 0.95
    """Specificity at which sensitivity is reported, by a threshold from validation images."""
    deployment_prior: dict[str, Share] | None = None
    """Share of each class where the classifier will be used; null: as in the real images."""
    decision_threshold: Share | None = None
    """Probability of the positive class at which one would act, for the net benefit; null: its
    share where the classifier will be used."""
    subgroups: tuple[str, ...] = ()
    """Columns of tables, beside sex, age and scanner, whose values are tested apart."""

    @field_validator("deployment_prior")
    @classmethod
    def _is_distribution(cls, prior: dict[str, float] | None) -> dict[str, float] | None:
        if prior is not None and abs(sum(prior.values()) - 1) > 1e-6:
            raise ValueError(f"the shares must sum to 1, not {sum(prior.values()):g}")
        return prior
