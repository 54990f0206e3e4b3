"""Study of travel: each view's score at home beside its score on films from elsewhere.

A fall is the score at home minus the score elsewhere. The two are of different films, so the ends
of its interval follow from those of the two by the method of square-and-add (Newcombe 1998; Zou and
Donner 2008, Statistics in Medicine 27:1693). A view travels if its fall is shown to be at most the
largest that counts as none, and falls if it is shown to be larger. No view travels to a place where
films without their lungs score as well as it does, or as high as a shortcut's limit.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from balancer.ablation.elsewhere_records import SameImagesArm
from balancer.ablation.families.arm import Arm
from balancer.ablation.records import AblateMetrics
from balancer.ablation.runs import REAL
from balancer.ablation.travel_records import (
    DoubtfulLungs,
    Elsewhere,
    StudyWord,
    TestedPlace,
    Travel,
    TravelWord,
    ViewScores,
)
from balancer.drawing.numbers import interval
from balancer.drawing.wording import listing
from balancer.evaluation.records import Interval, Scalar

TRAVELS: Final = "travels"
FALLS: Final = "falls"
UNDETERMINED: Final = "undetermined"
UNTESTED = "Not tested on another hospital."
_CHANCE = {"auroc": 0.5, "macro_auroc": 0.5}
"""Score of a guess; of other metrics it depends on the class shares."""


def travel_of(
    metrics: AblateMetrics,
    arms: Sequence[Arm],
    doubtful: Mapping[str, DoubtfulLungs],
    *,
    largest_fall: float,
    limit: float,
) -> Travel | None:
    """Return what a study of views says of other places; None for a study without views.

    Args:
        metrics: The study, with its tests on other data sets and on sources that were left out.
        arms: Its arms.
        doubtful: Place, or `home`, to its films with doubtful lungs.
        largest_fall: Falls up to this size count as none.
        limit: Score without lungs from which nothing is claimed at a place.
    """
    if not any(arm.is_view for arm in arms):
        return None
    primary = metrics.question.primary
    places = dict(_places(metrics))
    chance = _CHANCE.get(primary)
    control = next((arm.name for arm in arms if arm.is_view and arm.kind == "control"), None)
    views = {}
    for arm in arms:
        home = _home(metrics, arm.name)
        elsewhere = {
            name: _elsewhere(
                of[arm.name],
                home,
                primary,
                largest_fall,
                chance,
                _is_given_away(of, arm.name, control, primary, limit),
            )
            for name, (_, of) in places.items()
            if arm.name in of
        }
        views[arm.name] = ViewScores(
            home=home, elsewhere=elsewhere, word=_over_places([e.word for e in elsewhere.values()])
        )
    safe = tuple(name for name, view in views.items() if view.word == TRAVELS and name != control)
    judged = [view for name, view in views.items() if name != control]
    word = _study_word(bool(places), safe, [view.word for view in judged])
    return Travel(
        primary_title=metrics.question.primary_title,
        largest_fall=largest_fall,
        places={name: place for name, (place, _) in places.items()},
        reasons=metrics.sources.reasons,
        views=views,
        control=control,
        safe=safe,
        without_lungs=None if control is None else _without_lungs(views, control, chance),
        doubtful=doubtful,
        word=word,
        sentence=_sentence(metrics.question.primary_title, views, safe, control, largest_fall),
    )


def square_and_add(one: Interval, other: Interval) -> Scalar:
    """Return the difference of two independent values, with its 95 % interval.

    Args:
        one: A value with its interval; without ends it counts as known.
        other: The value that is subtracted.
    """
    if one.value is None or other.value is None:
        reason = getattr(one if one.value is None else other, "reason", None)
        return Scalar(value=None, low=None, high=None, reason=reason or "a score is undefined")
    down, up = _reach(one), _reach(other)
    value = one.value - other.value
    return Scalar(
        value=value,
        low=value - math.hypot(down[0], up[1]),
        high=value + math.hypot(down[1], up[0]),
    )


def _reach(one: Interval) -> tuple[float, float]:
    """Return the distances from a value to the ends of its interval."""
    if one.value is None or one.low is None or one.high is None:
        return 0.0, 0.0
    return one.value - one.low, one.high - one.value


def _places(
    metrics: AblateMetrics,
) -> Iterator[tuple[str, tuple[TestedPlace, Mapping[str, SameImagesArm]]]]:
    for name, found in metrics.external.items():
        yield name, (TestedPlace(kind="data set", n=found.classes), found.arms)
    for name, source in metrics.sources.tested.items():
        yield (
            f"source {name}",
            (TestedPlace(kind="source", n=source.n, of_others=source.of_others), source.arms),
        )


def _home(metrics: AblateMetrics, arm: str) -> Scalar:
    primary = metrics.question.primary
    if metrics.home:
        return metrics.home[arm].metrics[primary]
    level = metrics.arms[arm].metrics[primary]
    return Scalar(value=level.value, low=level.low, high=level.high, reason=level.reason)


def _elsewhere(
    arm: SameImagesArm,
    home: Scalar,
    primary: str,
    largest_fall: float,
    chance: float | None,
    given_away: bool,
) -> Elsewhere:
    score = arm.metrics[primary]
    fall = square_and_add(home, score)
    gain = None if arm.difference_to_real is None else arm.difference_to_real[primary]
    word: TravelWord = UNDETERMINED
    if fall.low is not None and fall.low > largest_fall:
        word = FALLS
    elif _is_a_score(score, chance):
        if given_away:
            word = "given away"
        elif fall.high is not None and fall.high <= largest_fall:
            word = TRAVELS
    return Elsewhere(score=score, fall=fall, gain=gain, word=word)


def _is_given_away(
    of: Mapping[str, SameImagesArm], arm: str, control: str | None, primary: str, limit: float
) -> bool:
    """Return whether films without lungs do as well there as a view, or reach the limit."""
    if control is None or control not in of or arm == control:
        return False
    rest, view = of[control].metrics[primary], of[arm].metrics[primary]
    reaches = rest.low is not None and rest.low >= limit
    return reaches or (
        rest.value is not None and view.value is not None and rest.value >= view.value
    )


def _is_a_score(score: Scalar, chance: float | None) -> bool:
    """Return whether there is something that can travel: a score that is better than a guess."""
    return chance is None or (score.low is not None and score.low > chance)


def _over_places(words: Sequence[TravelWord]) -> TravelWord:
    if FALLS in words:
        return FALLS
    if words and len(set(words)) == 1:
        return words[0]
    return UNDETERMINED


def _study_word(tested: bool, safe: Sequence[str], words: Sequence[TravelWord]) -> StudyWord:
    if not tested:
        return "not tested elsewhere"
    if safe:
        return "travels" if REAL in safe else "a view travels"
    return "falls" if set(words) == {FALLS} else "undetermined"


def _without_lungs(
    views: Mapping[str, ViewScores], control: str, chance: float | None
) -> str | None:
    """Say how much of the score at home was never about lungs."""
    whole, rest = views[REAL].home, views[control].home
    if whole.value is None or rest.value is None:
        return None
    sentence = f"With the lungs blacked out the score at home is {interval(rest)}"
    if chance is not None and whole.value > chance:
        share = min(max((rest.value - chance) / (whole.value - chance), 0.0), 1.0)
        sentence += (
            f": {share:.0%} of what the whole film scores above chance can be had without any lung"
        )
    there = [
        f"{interval(found.score)} on {name}" for name, found in views[control].elsewhere.items()
    ]
    return f"{sentence}{'; elsewhere ' + listing(there) if there else ''}."


def _sentence(
    title: str,
    views: Mapping[str, ViewScores],
    safe: Sequence[str],
    control: str | None,
    largest_fall: float,
) -> str:
    whole = views[REAL]
    home = f"{title} of whole films is {interval(whole.home)} at home"
    if not whole.elsewhere:
        return f"{UNTESTED} {home}; what it is elsewhere is not known."
    there = [f"{interval(found.score)} on {name}" for name, found in whole.elsewhere.items()]
    parts = [f"{home} and {listing(there)}."]
    best = _least_fall(views, control)
    if best is not None and best != REAL:
        named = listing([
            f"{interval(found.score)} on {name}, where it falls by {interval(found.fall)}"
            for name, found in views[best].elsewhere.items()
        ])  # fmt: skip
        parts.append(f"Least falls {best}: {interval(views[best].home)} at home, {named}.")
    shown = f"a fall of at most {largest_fall:g}"
    parts.append(
        f"Shown to travel ({shown}): {listing(list(safe))}."
        if safe
        else f"No view was shown to travel ({shown})."
    )
    return " ".join(parts)


def _least_fall(views: Mapping[str, ViewScores], control: str | None) -> str | None:
    """Return the view with the smallest of the largest falls over the places."""
    largest: dict[str, float] = {}
    for name, view in views.items():
        falls = [one.fall.value for one in view.elsewhere.values() if one.fall.value is not None]
        if falls and name != control:
            largest[name] = max(falls)
    return min(largest, key=lambda name: largest[name], default=None)
