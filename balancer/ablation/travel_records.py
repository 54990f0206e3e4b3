"""Typed findings on what travels: scores at home beside scores elsewhere, view by view.

Fields are in the order of the file.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from balancer.evaluation.records import Scalar
from balancer.results import Record

TravelWord = Literal["travels", "falls", "undetermined", "given away"]
"""`travels`: the score falls by less than counts; `falls`: by more; `undetermined`: too few films,
or no score at all; `given away`: films without their lungs do as well there."""
StudyWord = Literal["travels", "a view travels", "falls", "undetermined", "not tested elsewhere"]


class Elsewhere(Record):
    """A view on films of one place that no training film is from.

    Attributes:
        score: The primary metric there.
        fall: The score at home minus that.
        gain: Difference to the whole film there; None of the whole film.
        word: What is shown.
    """

    score: Scalar
    fall: Scalar
    gain: Scalar | None
    word: TravelWord


class ViewScores(Record):
    """A view at home and elsewhere.

    Attributes:
        home: The primary metric on the test splits.
        elsewhere: Place to the findings there.
        word: `travels` if it does to every place, `falls` if it falls at one.
    """

    home: Scalar
    elsewhere: Mapping[str, Elsewhere]
    word: TravelWord


class TestedPlace(Record):
    """A place that was tested: `data set` for one of its own, `source` for a source left out.

    Attributes:
        kind: Which of the two.
        n: Class to number of films.
        of_others: Classes that a source has no film of; films of other sources that no training had
            stand for them.
    """

    kind: Literal["data set", "source"]
    n: Mapping[str, int]
    of_others: tuple[str, ...] = ()


class DoubtfulLungs(Record):
    """Films whose lungs were found with doubt, and the scores without them.

    Attributes:
        n: Class to number of such films.
        of: Number of all films.
        without: View to the primary metric on the other films; empty where no lungs are doubtful.
    """

    n: Mapping[str, int]
    of: int
    without: Mapping[str, Scalar] = Field(default_factory=dict)

    @property
    def of_all(self) -> int:
        """Number of such films of all classes."""
        return sum(self.n.values())


class Travel(Record):
    """Result of a study in other places.

    Attributes:
        primary_title: Name of the primary metric.
        largest_fall: Falls from home to elsewhere up to this size count as none.
        places: The places that were tested.
        reasons: Sources that could not be left out, and why.
        views: View to its scores.
        control: Name of the view without lungs; None without one.
        safe: Views that travel to every place, but for the control.
        without_lungs: What the score without lungs means, in a sentence; None without a control.
        doubtful: Place, or `home`, to its films with doubtful lungs.
        word: The answer in a word.
        sentence: The answer.
    """

    primary_title: str
    largest_fall: float
    places: Mapping[str, TestedPlace]
    reasons: Mapping[str, str]
    views: Mapping[str, ViewScores]
    control: str | None
    safe: tuple[str, ...]
    without_lungs: str | None
    doubtful: Mapping[str, DoubtfulLungs]
    word: StudyWord
    sentence: str
