"""Heads of the frozen tier, trained and tested: at home, and on films from elsewhere.

Each read of test images, and of each other data set, is in the ledger before it happens.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from balancer.ablation.external import external_table, tested_elsewhere
from balancer.ablation.families.arm import Arm
from balancer.ablation.frozen_head import Head, one_thread
from balancer.ablation.frozen_tier import FrozenFold, FrozenImages, train_arm
from balancer.ablation.run_scores import score_run
from balancer.ablation.runs import Question, Run
from balancer.config import BalancerConfig
from balancer.data.index import ImageSet, Index, RadiographTable, evaluation_table
from balancer.evaluation.external import External
from balancer.evaluation.fit_and_test import Reader, choose_and_test, predict_noted
from balancer.evaluation.ledger import EXTERNAL, QUICK
from balancer.imaging.config import ImageRecipe
from balancer.quality.extractors import LITE0_SIDE, load_extractor
from balancer.quality.features import Features, features_of
from balancer.workspace import Workspace

_CURVE = "learning curve"


@dataclass(frozen=True, slots=True)
class OtherFilms:
    """Another data set as one arm sees it: its images, and their features, float32 (N, d)."""

    table: RadiographTable
    features: Features


@dataclass(frozen=True, slots=True)
class FrozenBench:
    """A study on frozen features while it runs.

    Attributes:
        workspace: Workspace of the ledger.
        question: The question.
        views: Arm to the images of the index as it sees them.
        others: Name of another data set to arm to its images.
        protocol: Hash of the entry of the protocol that the reads are under; empty without one.
    """

    workspace: Workspace
    question: Question
    views: Mapping[str, FrozenImages]
    others: Mapping[str, Mapping[str, OtherFilms]] = field(default_factory=dict)
    protocol: str = ""

    def train(self, arm: Arm, fold: FrozenFold) -> tuple[Run, dict[str, Run]]:
        """Train an arm on a split and test it there, and on each other data set.

        Args:
            arm: The arm.
            fold: The split; of one that leaves a source out, the test images are of the source.

        Returns:
            The run at home, and name of a data set to the run on it.
        """
        started = time.monotonic()
        images = self.views[arm.name]
        if len(fold.all.labels) < len(images.labels):
            images = images.of(fold.data.index.records)
        seen = fold.seen_in(images)
        head = train_arm(arm, seen)
        home = self.test(arm.name, head, seen, time.monotonic() - started)
        return home, {
            name: self._test_elsewhere(home, head, name, of_arm[arm.name])
            for name, of_arm in self.others.items()
        }

    def test(self, name: str, head: Head, fold: FrozenFold, seconds: float = 0.0) -> Run:
        """Choose the threshold on a split's validation images, then test the head once."""
        images = ImageSet(fold.data.index.records, fold.data.real.pixels)
        validation, test = (
            evaluation_table(images, fold.all.index.classes, split) for split in ("val", "test")
        )
        threshold, chosen, tested = choose_and_test(
            lambda table: head.probabilities(fold.all.features[table.places[:, 1]]),
            validation,
            test,
            fold.positive,
            self._reader(name, fold.name),
            what=f"{QUICK}frozen features",
        )
        return Run(
            arm=name,
            fold=fold.name,
            seed=0,
            positive=fold.positive,
            threshold=threshold,
            training_prior=head.prior,
            n_outside=len(fold.all.labels) - len(tested.labels),
            seconds=seconds,
            test=tested,
            validation=chosen,
        )

    def _test_elsewhere(self, home: Run, head: Head, name: str, films: OtherFilms) -> Run:
        predictions = predict_noted(
            lambda table: head.probabilities(films.features[table.places[:, 1]]),
            films.table,
            self._reader(home.arm, home.fold),
            what=f"{EXTERNAL}{name}",
        )
        return tested_elsewhere(home, predictions)

    def _reader(self, arm: str, fold: str) -> Reader:
        return Reader(self.workspace.ledger_dir, fold, 0, arm, protocol=self.protocol)

    def score(self, head: Head, fold: FrozenFold) -> float:
        """Return the primary metric of a head of the curve on the test images of a split."""
        found = score_run(self.test(_CURVE, head, fold), self.question)
        return found.values[self.question.primary]


def other_films(
    config: BalancerConfig,
    workspace: Workspace,
    index: Index,
    arms: Sequence[Arm],
    external: Mapping[str, External],
) -> dict[str, dict[str, OtherFilms]]:
    """Extract the features of other data sets as each arm sees them; arms that see alike share.

    Returns:
        Name of the data set to arm to its images.

    Raises:
        DataError: An arm's preprocessing needs lung masks that an image lacks.
        IntegrityError: A file has changed since it was read.
    """
    found: dict[str, dict[str, OtherFilms]] = {}
    size = max(config.classifier_image_size, LITE0_SIDE)
    if not external:
        return found
    extractor, cache = load_extractor("lite0"), workspace.feature_cache_dir
    for name, one in external.items():
        of_view: dict[ImageRecipe, OtherFilms] = {}
        found[name] = {}
        for arm in arms:
            view = arm.preprocessing(index.preprocessing)
            if view not in of_view:
                folder = workspace.root / "runs" / "external" / name
                table = external_table(one, index.classes, folder, size, view)
                with one_thread():
                    features = features_of(extractor, table.sources[0], cache=cache)
                of_view[view] = OtherFilms(table, features)
            found[name][arm.name] = of_view[view]
    return found
