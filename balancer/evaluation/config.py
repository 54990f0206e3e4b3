"""The section `evaluation` of the configuration."""

from typing import Annotated

from pydantic import Field, field_validator

from balancer.section import ConfigSection, Label, Share


class EvaluationConfig(ConfigSection):
    """How a trained classifier is judged on the test split."""

    positive_class: Label | None = None
    """The class that sensitivity speaks of; null: the rarest in the training split."""
    bootstrap_samples: Annotated[int, Field(ge=100)] = 2_000
    """Resamples of the test groups behind each 95 % interval."""
    specificity: Share = 0.95
    """At which sensitivity is given; the threshold comes from validation images."""
    deployment_prior: dict[str, Share] | None = None
    """Share of each class where the classifier will work; null: as in the real images."""

    @field_validator("deployment_prior")
    @classmethod
    def _is_distribution(cls, prior: dict[str, float] | None) -> dict[str, float] | None:
        if prior is not None and abs(sum(prior.values()) - 1) > 1e-6:
            raise ValueError(f"the shares must sum to 1, not {sum(prior.values()):g}")
        return prior
