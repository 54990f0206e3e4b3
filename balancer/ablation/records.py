"""Typed content of `ablation/result.json`: question, arms, verdict, design and all else.

Fields are in the order of the file.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from balancer.ablation.arm_records import ArmResult
from balancer.ablation.elsewhere_records import ExternalResult, SameImagesArm, SourceTests
from balancer.ablation.frozen_records import PilotResult, Worth
from balancer.ablation.travel_records import Travel
from balancer.evaluation.ledger import LedgerSummary
from balancer.evaluation.records import Scalar
from balancer.results import Record
from balancer.shortcuts.records import ProbeResult


class AskedQuestion(Record):
    """The question of a study.

    Attributes:
        primary: Key of the metric that the verdicts are about.
        primary_title: Name of that metric.
        margin: Differences up to this size count as none.
        alpha: One-sided level of each claim.
        specificity: Specificity at which sensitivity is given.
        positive_class: Name of the positive class.
        class_names: Names of the classes, in the order of their numbers.
        deployment_prior: Class shares where the classifier will be used.
        test_to_train: Test images per image outside the test split, mean over the runs.
        co_primary: Key of the metric of probabilities that is reported beside the primary; None in
            early versions, as the fields below.
        secondary: Keys of further metrics whose harm is reported in the answer.
        prior_is_given: Whether the shares were given; scores of probabilities are then taken at
            them.
        decision_threshold: Probability at which one would act, for the net benefit.
        main_arm: The arm that is tested first and alone; None: all arms are one family.
        looks: Numbers of splits of all planned looks; empty: one look.
        look: Position of this look among them.
        verdict_on: Name of the data set that carries the verdict; None: the test splits.
        verdict_images: Number of its images.
        rare_images: Number of training images of the positive class that were used; None: all.
        main_images: Images of the main arm in words, where their generator is not ours.
    """

    primary: str
    primary_title: str
    margin: float
    alpha: float
    specificity: float
    positive_class: str
    class_names: tuple[str, ...]
    deployment_prior: Mapping[str, float]
    test_to_train: float
    co_primary: str | None = None
    secondary: tuple[str, ...] = ()
    prior_is_given: bool = False
    decision_threshold: float | None = None
    main_arm: str | None = None
    looks: tuple[int, ...] = ()
    look: int = 0
    verdict_on: str | None = None
    verdict_images: int | None = None
    rare_images: int | None = None
    main_images: str = ""


class Headline(Record):
    """Verdict of a whole study, in a word and in a few sentences.

    Attributes:
        word: The word.
        sentence: Text after the word: the caps first, then the answer, the positive control
            where it was not shown to help, and the numbers.
        caps: Reasons why no claim can be made, without their numbers.
        positive_control: Sentence on the positive control where it was not shown to help.
    """

    word: str
    sentence: str
    caps: tuple[str, ...] = ()
    positive_control: str | None = None


class ControlResult(Record):
    """Gain from real images in place of generated ones, beside that from the GAN.

    Attributes:
        arm: Name of the arm with held-back real images.
        bought: Its difference to `real` in the primary metric.
        gan_arm: Name of the GAN arm.
        gan_bought: Its difference.
        n_held_back: Number of different held-back images, mean over the splits.
        sentence: The same in words.
    """

    arm: str
    bought: Scalar
    gan_arm: str
    gan_bought: Scalar
    n_held_back: float | None
    sentence: str


class MeanImages(Record):
    """Real and added training images of a class, means over the splits."""

    real: float
    added: float


class Design(Record):
    """Numbers needed to repeat a study; counts of images are means over the splits.

    Attributes:
        resampling: Way of splitting; see `AblationConfig`.
        repeats: Number of random splits of the images.
        folds: Parts of a cross-validation; None of other splits.
        seeds: Number of trainings per arm and split.
        n_runs: Number of runs per arm.
        n_train: Number of training images.
        n_val: Number of validation images.
        n_test: Number of test images.
        test_to_train: Test images per image outside the test split.
        held_back: Class to images that were set aside.
        model: Network of the classifier.
        image_size: Side of the images in pixels.
        input_size: Side at which the network gets them.
        n_steps: Optimizer steps of a training.
        batch_size: Images of a step.
        training_images: Arm to class to training images.
        before: Class to real training images.
        after: Arm to class to training images of its last phase.
    """

    resampling: str
    repeats: int
    folds: int | None
    seeds: int
    n_runs: int
    n_train: int
    n_val: int
    n_test: int
    test_to_train: float
    held_back: Mapping[str, float]
    model: str
    image_size: int
    input_size: int | None
    n_steps: int
    batch_size: int
    training_images: Mapping[str, Mapping[str, MeanImages]]
    before: Mapping[str, float]
    after: Mapping[str, Mapping[str, float]]


class FailedRun(Record):
    """A run that could not be trained, and why."""

    arm: str
    fold: str
    seed: int
    reason: str


class SubgroupArm(Record):
    """The primary metric of one arm in one subgroup."""

    level: Scalar
    difference_to_real: Scalar | None = None


class Subgroup(Record):
    """Test images with one value of a column of `details.csv`.

    Attributes:
        column: Name of the column.
        value: The value; a range of ages.
        n: Class to number of different test images over all splits.
        arms: Results of each arm.
    """

    column: str
    value: str
    n: Mapping[str, int]
    arms: Mapping[str, SubgroupArm]


class FoldGate(Record):
    """Answer of the quality gate on the images of one class in one split.

    Attributes:
        passed: Whether they pass; None with too few images to check.
        failures: Names of the checks that fail.
    """

    passed: bool | None
    failures: tuple[str, ...]


Gates = Mapping[str, Mapping[str, FoldGate]]
"""Split to class to the answer of the gate."""

Status = Literal["confirmatory", "exploratory", "not registered"]


class Amendment(Record):
    """An entry of the protocol in short.

    Attributes:
        time: UTC, ISO 8601.
        reads: Number of test reads by then.
        changes: The changes, in words.
        hash: SHA-256 of the entry.
    """

    time: str
    reads: int
    changes: str
    hash: str


REGISTERED_RUNS = "runs/registered"
"""Folder of the first predictions of a registered question, which none replaces."""


class Registration(Record):
    """Registration of a study: was its question fixed before the first read of a test image?

    Attributes:
        status: `confirmatory`: the study is as registered; `exploratory`: it was changed after a
            look; `not registered`: no question was fixed before the first look.
        sentence: The question of the headline, in words.
        label: Mark of an exploratory answer, such as `EXPLORATORY: margin 0.01 -> 0.2 after 9
            looks`; empty of a confirmatory study.
        hash: SHA-256 of the first entry of the protocol.
        time: Time of the last entry before any look; None without one.
        reads: Number of reads of test splits when the newest entry was written.
        entries: All entries.
        runs: Folder in the workspace with the runs of the headline.
    """

    status: Status
    sentence: str
    label: str
    hash: str
    time: str | None
    reads: int
    entries: tuple[Amendment, ...]
    runs: str

    @property
    def covers_headline(self) -> bool:
        """Return whether the question of the headline was fixed before any look."""
        return self.status == "confirmatory" or self.runs == REGISTERED_RUNS


class Exploration(Record):
    """The answer to a question that was changed after a look.

    Attributes:
        label: The changes, and the number of looks before them.
        question: The changed question.
        arms: Results of each arm.
        verdict: Its verdict, which is no headline.
    """

    label: str
    question: AskedQuestion
    arms: Mapping[str, ArmResult]
    verdict: Headline


class AblateMetrics(Record):
    """Metrics of `balancer ablate`; the comparison alone has no fields with a default.

    Attributes:
        question: The question.
        arms: Results of each arm, `real` first.
        caps: Reasons why no difference can be trusted.
        verdict: Verdict of the study.
        control: The positive control; None without one.
        design: Splits, sizes and counts.
        failed: Runs that could not be trained.
        ledger: Reads of the test images.
        probes: Results of the shortcut probes.
        sources: Tests on sources that were left out.
        external: Tests on other data sets, by name.
        quality: Answers of the gate on the images of our own GANs.
        outside_quality: Those on the images of each arm from outside, by its name; no
            split where they were not measured.
        registration: Place of the study in its protocol; None of a study before there were any.
        exploratory: The answer to another question than the registered one; None if there is none.
        tier: Name of the tier of a study that trains no network; empty of others.
        left_out: Arms of the configuration that the tier cannot train.
        worth: The worth of the arms in real images; None where it was not measured.
        home: Results on the test splits, where another data set carries the verdict.
        page: Path to the report's page; not in the file, since a workspace can be moved.
        subgroups: Results in each subgroup that tables and labels name.
        travel: What a study of views says of other places; None of other studies.
    """

    question: AskedQuestion
    arms: Mapping[str, ArmResult]
    caps: tuple[str, ...]
    verdict: Headline
    control: ControlResult | None
    design: Design | None = None
    failed: tuple[FailedRun, ...] = ()
    ledger: LedgerSummary | None = None
    probes: tuple[ProbeResult, ...] = ()
    sources: SourceTests = SourceTests()
    external: Mapping[str, ExternalResult] = Field(default_factory=dict)
    quality: Gates = Field(default_factory=dict)
    outside_quality: Mapping[str, Gates] = Field(default_factory=dict)
    registration: Registration | None = None
    exploratory: Exploration | None = None
    tier: str = ""
    left_out: tuple[str, ...] = ()
    worth: Worth | None = None
    home: Mapping[str, SameImagesArm] = Field(default_factory=dict)
    page: str = ""
    subgroups: tuple[Subgroup, ...] = ()
    travel: Travel | None = None


class RegisterMetrics(Record):
    """Metrics of `balancer ablate --register`.

    Attributes:
        protocol: Path to the protocol.
        hash: SHA-256 of its first entry.
        entries: Number of entries.
        registration: Status of the study by its protocol.
    """

    protocol: str
    hash: str
    entries: int
    registration: Registration


class PlannedWork(Record):
    """Plan of a study before it is run.

    Attributes:
        arms: Names of the arms.
        folds: Names of the splits.
        sources: Source that is left out to the name of its split.
        without_source: Other sources, and why they are not left out.
        units: Number of trainings of a classifier.
        generators: Number of splits that generators are trained on.
        estimated_seconds: Expected time.
    """

    arms: tuple[str, ...]
    folds: tuple[str, ...]
    sources: Mapping[str, str]
    without_source: Mapping[str, str]
    units: int
    generators: int
    estimated_seconds: float


class DryRunMetrics(Record):
    """Metrics of `balancer ablate --dry-run`.

    Attributes:
        plan: The plan.
        pilot: Findings of a pilot on frozen features; None without one.
    """

    plan: PlannedWork
    pilot: PilotResult | None = None
