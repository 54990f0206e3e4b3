"""Bound of a difference where both arms score 1 on every split, so that no spread can be seen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Two arms without an error.

    Attributes:
        n_trials: Number of comparisons of the smallest test split that could have gone wrong: for
            AUROC the pairs of a positive case and another one, for a share the cases.
        n_cases: Number of different positive test cases over all splits.
    """

    n_trials: int
    n_cases: int

    def bound(self, alpha: float) -> float:
        """Return the largest difference that is not excluded at a level.

        Exact for a share of which no failure was seen in `n_trials` (Clopper and Pearson 1934; the
        rule of three, 3 / n, at 5 %). Pairs that share a case are taken as separate trials, so the
        bound is not one for a kind of case that no test split holds; see `unseen`.
        """
        return float(1 - alpha ** (1 / self.n_trials)) if self.n_trials else 1.0

    def p_beyond(self, margin: float) -> float:
        """Return the probability of no failure where a share `margin` of the trials would fail.

        At most alpha exactly where `bound(alpha)` is at most the margin.
        """
        return float((1 - margin) ** self.n_trials)

    def unseen(self, alpha: float) -> float:
        """Return the largest share of positive cases of a kind that none of the cases is of."""
        return float(1 - alpha ** (1 / self.n_cases)) if self.n_cases else 1.0
