"""`balancer.judge`: a verdict on images of any kind, from Python."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from balancer.config import BalancerConfig, load_config
from balancer.data.config import DataConfig
from balancer.execution import execute
from balancer.files import is_paths
from balancer.given_images import given_files
from balancer.shown_page import ShownPage, folder_or_none

if TYPE_CHECKING:
    import pandas as pd

    from balancer.data.collection import Collection
    from balancer.referee.records import JudgeMetrics
    from balancer.results import StageResult


class Judgement(ShownPage):
    """The verdict on synthetic images; a notebook shows its first screen.

    Attributes:
        result: Typed result of the command.
        page: The page as HTML, which loads no other file.
    """

    def __init__(self, result: "StageResult[JudgeMetrics]", page: str) -> None:
        super().__init__(page)
        self.result = result

    @property
    def passed(self) -> bool | None:
        """True if every check passes; None if none fails but something could not be asked."""
        return self.result.metrics.passed

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        return self.result.metrics.sentence

    @property
    def figures(self) -> "pd.DataFrame":
        """Every distance with its floor: a row per class, metric and reference.

        `chose` is true where the extractor of the metric also chose the images.
        """
        import pandas as pd

        rows = [
            {
                "class": label,
                "metric": name,
                "reference": reference,
                "chose": distance.chose,
                "value": distance.value,
                "n": None if distance.same_n is None else distance.same_n.n,
                "synthetic": None if distance.same_n is None else distance.same_n.value,
                "real": None if distance.same_n is None else distance.same_n.real_against_real,
            }
            for label, one in self.result.metrics.classes.items()
            for reference, metrics in one.quality.against.items()
            for name, distance in metrics.items()
        ]
        return pd.DataFrame(rows)

    @property
    def checks(self) -> "pd.DataFrame":
        """Every answer of the gate: a row per class and check."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"class": label, **answer.model_dump()}
                for label, one in self.result.metrics.classes.items()
                for answer in one.quality.gate.checks
            ]
        )


def judge(
    real: Any,
    synthetic: Any,
    *,
    holdout: Any = None,
    classes: Sequence[str] = (),
    out: Path | str | None = None,
    config: BalancerConfig | None = None,
) -> Judgement:
    """Compare synthetic images with real ones, as `balancer judge` does.

    Images are given as the path to a folder, a table or a workspace; as a list of paths; as an
    array or tensor, uint8 (N, H, W), (N, H, W, 3) or (N, 1 or 3, H, W), or float in [0, 1]; as a
    data set whose items are an image or an image and its class; or as a dictionary of class to a
    list of paths, an array or a data set.

    Args:
        real: Real images that the generator may have seen.
        synthetic: Images of any generator.
        holdout: Real images that it did not see.
        classes: Classes to judge; with plain images, the name of their class.
        out: Folder that keeps the page, its pictures and `result.json`; None: nothing is kept.
        config: All settings; None for the defaults.

    Raises:
        ConfigurationError: Something is given that holds no images, or their class cannot be told.
        DataError: Images cannot be used, or there are too few.
        IntegrityError: A real image is marked as synthetic.

    Example:
        >>> import balancer
        >>> found = balancer.judge("films", "made", holdout="other-films")  # doctest: +SKIP
        >>> found.passed, found.figures  # doctest: +SKIP
    """
    from balancer.stages import judge as stage

    config = load_config() if config is None else config
    with folder_or_none(out) as place, TemporaryDirectory() as drawn:
        work = Path(drawn)
        result = execute(
            "judge",
            stage.run,
            config,
            place,
            real=_source(real, config.data, work / "real"),
            synthetic=_source(synthetic, config.data, work / "synthetic"),
            holdout=None if holdout is None else _source(holdout, config.data, work / "holdout"),
            classes=tuple(classes),
        )
        page = (place / "judge" / stage.PAGE).read_text(encoding="utf-8")
    return Judgement(result, page)


def _source(images: Any, data: DataConfig, folder: Path) -> "Path | Collection":
    """Return what the stage takes."""
    from balancer.data.collection import collection_of

    if isinstance(images, Path | str):
        return Path(images).expanduser()
    files, labels = given_files(images, folder)
    return collection_of(files, data, name=folder.name, labels=None if is_paths(images) else labels)
