"""Records of tests elsewhere: on other data sets, and on sources that were left out."""

from collections.abc import Mapping

from pydantic import Field

from balancer.evaluation.records import ExternalFacts, Scalar
from balancer.results import Record


class SameImagesArm(Record):
    """Results of one arm on a set of images that all its runs were tested on.

    Attributes:
        metrics: Mean of each metric over the runs.
        n_runs: Number of runs.
        difference_to_real: Difference to `real` in each metric; None of `real` itself.
    """

    metrics: Mapping[str, Scalar]
    n_runs: int
    difference_to_real: Mapping[str, Scalar] | None = None


class SourceTest(Record):
    """Tests on a source that no training or validation image is from.

    Attributes:
        n: Class to number of images.
        arms: Results of each arm.
        of_others: Classes that the source has no image of; images of other sources that no training
            had stand for them.
    """

    n: Mapping[str, int]
    arms: Mapping[str, SameImagesArm]
    of_others: tuple[str, ...] = ()


class SourceTests(Record):
    """Tests on sources that were left out, and why others were not."""

    tested: Mapping[str, SourceTest] = Field(default_factory=dict)
    reasons: Mapping[str, str] = Field(default_factory=dict)


class ExternalResult(ExternalFacts):
    """Tests of the finished classifiers on another data set."""

    arms: Mapping[str, SameImagesArm]
