"""`balancer.compare`: does adding images help a classifier of your own?"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.config import BalancerConfig, load_config
from balancer.errors import ConfigurationError, DataError
from balancer.given_images import given_collection, given_files
from balancer.manifest import fingerprint
from balancer.ratio import TargetRatio
from balancer.shown_page import ShownPage, folder_or_none
from balancer.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from balancer.ablation.given_study import GivenImages
    from balancer.ablation.records import AblateMetrics
    from balancer.data.collection import Collection
    from balancer.data.index import Index

_HASH = re.compile(r"[0-9a-f]{64}")
_SMALLEST = 8
"""Smallest side in pixels of an image that is given from Python."""


class ArmComparison(ShownPage):
    """The answer of a study; a notebook shows its first screen.

    Attributes:
        metrics: Typed result: question, arms, verdicts, design, registration.
        page: The page as HTML, which loads no other file.
    """

    def __init__(self, metrics: "AblateMetrics", page: str) -> None:
        super().__init__(page)
        self.metrics = metrics

    @property
    def word(self) -> str:
        """`helps`, `hurts`, `equivalent`, `inconclusive`, `confounded` or `unverified`."""
        return self.metrics.verdict.word

    @property
    def sentence(self) -> str:
        """The answer with its numbers."""
        return self.metrics.verdict.sentence

    @property
    def figures(self) -> "pd.DataFrame":
        """A row per arm: its word, the metric, and the differences with 95 % intervals."""
        import pandas as pd

        key = self.metrics.question.primary
        rows = []
        for name, arm in self.metrics.arms.items():
            level = arm.metrics[key]
            row: dict[str, Any] = {
                "arm": name, "word": arm.verdict.word,
                key: level.value, "low": level.low, "high": level.high,
            }  # fmt: skip
            for reference in ("real", "oversample"):
                tests = arm.against.get(reference)
                found = None if tests is None else tests.metrics[key]
                row |= {
                    f"minus {reference}": None if found is None else found.value,
                    f"minus {reference}, low": None if found is None else found.low,
                    f"minus {reference}, high": None if found is None else found.high,
                }
            row |= {"p (Holm)": arm.verdict.p_holm, "could have shown": arm.verdict.detectable}
            rows.append(row)
        return pd.DataFrame(rows).set_index("arm")


def compare(
    images: Any,
    labels: Sequence[Any] | None = None,
    *,
    classifier: Any,
    synthetic: Mapping[str, Any] | None = None,
    lineage: Mapping[str, str | Sequence[Any]] | None = None,
    groups: Sequence[Any] | None = None,
    positive: Any = None,
    ratio: str = "1:1",
    metric: str = "auroc",
    margin: float = 0.01,
    splits: int = 10,
    seeds: int = 1,
    seed: int = 0,
    size: int = 64,
    rows: bool = True,
    epochs: int = 10,
    batch_size: int = 32,
    out: Path | str | None = None,
) -> ArmComparison:
    """Compare training with and without added images, with a classifier of your own.

    The arms are `real` (your images alone), `oversample` (repeated ones) and each set of synthetic
    images; `noise` is added as a control that must not help. All are trained on the same splits and
    tested on real images alone, which no generator may have seen. The statistics and the words are
    those of `balancer ablate`; the first set is the main question.

    Args:
        images: An array uint8 (N, H, W) or (N, H, W, 3), or float in [0, 1]; a list of paths; or
            the path to a folder with a folder per class, which has the labels.
        labels: Class of each image, (N,); None where the folder, a data set or a dictionary has
            them.
        classifier: An object with `fit` and `predict_proba`, a LightningModule whose batches are
            (float32 (N, C, S, S) in [0, 1], int64 (N,)) and whose `forward` returns logits, or a
            function without arguments that returns one of these. Each training is of a fresh copy.
        synthetic: Name to images of a generator: as `images`, of the one class that lacks some, or
            a dictionary of class to these; or a function of (training images of a class, uint8 (N,
            S, S) or (N, S, S, 3); number of images; seed) that returns images, which is called once
            per split and class.
        lineage: Name of a set of fixed images to what its generator was trained on: a list of
            images, by position in `images`, path or content hash (SHA-256 of the file), which are
            then training images in every split and never tested; or `declared`, your word that it
            saw none of `images`. Without it a gain is `unverified`, since it may come from test
            images.
        groups: Patient of each image, (N,), None or NaN where unknown; images of one are kept in
            one split. Copies always are.
        positive: The class that the metric is about; None: the rarest.
        ratio: Largest class : every other class, which all arms but `real` reach.
        metric: Metric that the words are about; see `ablation.primary`.
        margin: Differences up to this size count as none.
        splits: Number of random splits into training, validation and test images.
        seeds: Number of trainings of each arm on each split.
        seed: Seed for everything drawn.
        size: Side in pixels at which all images are read.
        rows: Whether `fit` takes rows, float32 (N, pixels) in [0, 1], as scikit-learn's own
            classifiers do; else it takes images, uint8 (N, S, S) or (N, S, S, 3).
        epochs: Passes of a LightningModule over the real training images; all arms take as many
            optimizer steps.
        batch_size: Number of images of its steps.
        out: Folder that keeps the question, the ledger of looks, the page and `compare.json`; it
            takes one question only. None: nothing is kept.

    Raises:
        ConfigurationError: An argument does not fit the images or the others.
        DataError: Images cannot be used, or there are too few.
        IntegrityError: A synthetic image copies a real one that it must not know, or one image has
            two classes.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> found = balancer.compare(
        ...     images, labels, classifier=LogisticRegression(), synthetic={"sd15": made}
        ... )  # doctest: +SKIP
        >>> found.word, found.figures  # doctest: +SKIP
    """
    from balancer.ablation.given_classifier import GivenClassifier
    from balancer.ablation.given_runs import run_given_study
    from balancer.ablation.given_study import GivenStudy
    from balancer.report.given_page import write_given_page

    _refuse_below(("size", size, _SMALLEST), ("epochs", epochs, 1), ("batch_size", batch_size, 1))
    config = load_config(
        options={
            "ablation.primary": metric,
            "ablation.margin": margin,
            "ablation.repeats": splits,
            "ablation.seeds": seeds,
            "seed": seed,
            "data.min_side": _SMALLEST,
        }
    )
    with folder_or_none(out) as place:
        drawn = place / "images"
        side, place_of = given_collection(images, labels, groups, config.data, drawn / "real")
        index = side.as_index(config.data, drawn)
        ids = _ids(side, place_of)
        study = GivenStudy(
            config=config,
            index=index,
            classifier=GivenClassifier(classifier, rows, epochs, batch_size),
            synthetic=_sources(synthetic or {}, lineage or {}, index, ids, config, drawn),
            ratio=_ratio(ratio),
            positive=_positive(positive, index),
            size=size,
            workspace=Workspace(place),
        )
        metrics = run_given_study(study)
        page = write_given_page(metrics, place)
    return ArmComparison(metrics, page)


def _refuse_below(*given: tuple[str, Any, int]) -> None:
    for name, value, least in given:
        if not isinstance(value, Integral) or value < least:
            raise ConfigurationError(
                f"{name} should be a whole number of {least} or more, but is {value!r}; correct it."
            )


def _ids(side: "Collection", place_of: Mapping[str, int]) -> dict[Any, str]:
    """Return the content hash of each image by its position, path and hash."""
    found: dict[Any, str] = {}
    for image in side.images:
        path = side.roots.locate(image.path)
        words = (image.path, str(path.resolve()), image.image_id)
        found |= dict.fromkeys(words, image.image_id)
        if image.path in place_of:
            found[place_of[image.path]] = image.image_id
    return found


def _sources(
    synthetic: Mapping[str, Any],
    lineage: Mapping[str, str | Sequence[Any]],
    index: "Index",
    ids: Mapping[Any, str],
    config: BalancerConfig,
    folder: Path,
) -> "list[GivenImages]":
    from balancer.ablation.given_study import OWN_ARMS, GivenImages
    from balancer.synthetic.lineage import source_name

    strange = [name for name in lineage if name not in synthetic or callable(synthetic[name])]
    if strange:
        raise ConfigurationError(
            f"lineage should name sets of fixed images, but {strange[0]!r} is none; leave it out."
        )
    found = []
    for name, images in synthetic.items():
        if name in OWN_ARMS:
            raise ConfigurationError(
                f"A set of synthetic images should have a name of its own, but {name!r} is an arm "
                "of every study; choose another."
            )
        place = folder / source_name(name)
        if callable(images):
            make = _maker(images, config, place, name)
            found.append(GivenImages(name, "declared", {}, make))
        else:
            state, seen = _lineage(name, lineage.get(name, "unknown"), ids)
            fixed = _fixed(images, index, config, place, name)
            found.append(GivenImages(name, state, fixed, seen=seen))
    return found


def _lineage(
    name: str, given: str | Sequence[Any], ids: Mapping[Any, str]
) -> tuple[str, frozenset[str]]:
    """Return the state of a lineage, and the content hashes of the images that it names."""
    if given in ("unknown", "declared"):
        return str(given), frozenset()
    if isinstance(given, str) or not len(given):
        raise ConfigurationError(
            f"The lineage of {name} should be a list of images, declared or unknown, but is "
            f"{given!r:.80}; give one of them."
        )
    return "known", frozenset(_id_of(name, word, ids) for word in given)


def _id_of(name: str, word: Any, ids: Mapping[Any, str]) -> str:
    path = Path(str(word)).expanduser()
    for key in (word, str(word), str(path.resolve())):
        if key in ids:
            return ids[key]
    if _HASH.fullmatch(str(word)):
        return str(word)
    if path.is_file():
        return fingerprint(path.read_bytes())
    raise DataError(
        f"The lineage of {name} should list images by position in images, path or content hash, "
        f"but {word!r:.80} is none; correct it."
    )


def _maker(
    make: Callable[..., Any], config: BalancerConfig, folder: Path, name: str
) -> "Callable[[Any, int, int], Collection]":
    def made(training: Any, count: int, seed: int) -> "Collection":
        from balancer.data.collection import collection_of

        images = make(training, count, seed)
        given = {"": images} if isinstance(images, Path | str) else images
        files, _ = given_files(given, folder / str(seed))
        return collection_of(files, config.data, name=name)

    return made


def _fixed(
    images: Any, index: "Index", config: BalancerConfig, folder: Path, name: str
) -> "dict[str, Collection]":
    from balancer.data.collection import collection_of, read_collection

    if isinstance(images, Path | str):
        side = read_collection(Path(images), config.data)
    else:
        files, own = given_files(images, folder)
        side = collection_of(files, config.data, name=name, labels=own)
    counts = Counter(record.label for record in index.records)
    lacking = [label for label in index.classes if counts[label] < max(counts.values())]
    if side.labels == ("",):
        if len(lacking) != 1:
            raise ConfigurationError(
                f"The class of the images of {name} should be clear, but {len(lacking)} classes "
                f"lack images ({', '.join(lacking)}); give a dictionary of class to images."
            )
        side = side.labelled(lacking[0])
    unknown = set(side.labels) - set(index.classes)
    if unknown:
        raise ConfigurationError(
            f"The images of {name} should be of {', '.join(index.classes)}, but some are of "
            f"{', '.join(sorted(unknown))}; correct the classes."
        )
    if lacking and (unwanted := set(side.labels) - set(lacking)):
        raise ConfigurationError(
            f"The images of {name} should be of {', '.join(lacking)}, which lack images, but some "
            f"are of {', '.join(sorted(unwanted))}, which would be used nowhere; leave them out."
        )
    return {label: side.of(label) for label in side.labels}


def _ratio(text: str) -> TargetRatio:
    try:
        return TargetRatio.parse(text)
    except ValueError as error:
        raise ConfigurationError(f"The ratio cannot be used: {error}.") from None


def _positive(wanted: Any, index: "Index") -> str:
    counts = Counter(record.label for record in index.records)
    if wanted is not None and str(wanted) not in counts:
        raise ConfigurationError(
            f"positive should be one of {', '.join(counts)}, but is {str(wanted)!r}; name one."
        )
    rarest = min(counts, key=lambda label: (counts[label], label))
    return rarest if wanted is None else str(wanted)
