"""`balancer.judge`: a verdict on images of any kind, from Python."""

import html
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from balancer.config import BalancerConfig, load_config
from balancer.data.config import DataConfig
from balancer.errors import ConfigurationError
from balancer.execution import execute
from balancer.files import replacing

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from balancer.data.collection import Collection
    from balancer.referee.records import JudgeMetrics
    from balancer.results import StageResult

_RANK = 2
_CHANNELS = (1, 3)


class Judgement:
    """The verdict on synthetic images; a notebook shows its first screen.

    Attributes:
        result: Typed result of the command.
        page: The page as HTML, which loads no other file.
    """

    def __init__(self, result: "StageResult[JudgeMetrics]", page: str) -> None:
        self.result = result
        self.page = page

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
        """Every distance with its floor: a row per class, metric and reference."""
        import pandas as pd

        rows = [
            {
                "class": label,
                "metric": name,
                "reference": reference,
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

    def to_html(self, path: Path | str) -> None:
        """Write the page, whole or not at all."""
        with replacing(Path(path)) as partial:
            partial.write_text(self.page, encoding="utf-8")

    def _repr_html_(self) -> str:
        frame = html.escape(self.page, quote=True)
        return f'<iframe srcdoc="{frame}" style="width:100%;height:40rem;border:0"></iframe>'

    def __repr__(self) -> str:
        return f"Judgement({self.sentence!r})"


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
    with _folder(out) as place, TemporaryDirectory() as drawn:
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


@contextmanager
def _folder(out: Path | str | None) -> Iterator[Path]:
    if out is not None:
        yield Path(out)
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)


def _source(images: Any, data: DataConfig, folder: Path) -> "Path | Collection":
    """Return what the stage takes; arrays are written as PNG, so that all is read alike."""
    from balancer.data.collection import collection_of

    if isinstance(images, Path | str):
        return Path(images)
    if _is_paths(images):
        return collection_of([Path(path) for path in images], data, name=folder.name)
    by_class = images if isinstance(images, Mapping) else {"": images}
    files: list[Path] = []
    labels: list[str] = []
    for label, some in by_class.items():
        if _is_paths(some):
            files += map(Path, some)
            labels += [str(label)] * len(some)
            continue
        for number, (image, own) in enumerate(_pairs(some)):
            word = str(label) or own
            path = folder / word / f"{number:06d}.png"
            _write(image, path)
            files.append(path)
            labels.append(word)
    return collection_of(files, data, name=folder.name, labels=labels)


def _is_paths(images: Any) -> bool:
    return isinstance(images, Sequence) and all(isinstance(one, Path | str) for one in images)


def _pairs(images: Any) -> Iterator[tuple[Any, str]]:
    """Yield each image with its class; empty where it has none."""
    if not hasattr(images, "__getitem__") or not hasattr(images, "__len__"):
        raise ConfigurationError(
            "Images should be a path, a list of paths, an array, a data set or a dictionary of "
            f"these, but are of type {type(images).__name__}; give one of them."
        )
    names = getattr(images, "classes", None)
    for number in range(len(images)):
        item = images[number]
        if not isinstance(item, tuple | list):
            yield item, ""
            continue
        label = item[1]
        yield item[0], str(label if names is None else names[int(label)])


def _write(image: Any, path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_as_bytes(image)).save(path, compress_level=1)


def _as_bytes(image: Any) -> "np.ndarray[Any, Any]":
    """Return an image as uint8 (H, W) or (H, W, 3)."""
    import numpy as np

    pixels = np.asarray(image)
    if pixels.ndim > _RANK and pixels.shape[0] in _CHANNELS and pixels.shape[-1] not in _CHANNELS:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim > _RANK and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    is_share = np.issubdtype(pixels.dtype, np.floating)
    if is_share and np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1:
        return (pixels * 255).round().astype(np.uint8)
    if pixels.dtype != np.uint8 or pixels.ndim not in (_RANK, _RANK + 1):
        raise ConfigurationError(
            "An image should be uint8, or float in [0, 1], of shape (H, W), (H, W, 3) or (1 or 3, "
            f"H, W), but is {pixels.dtype} {pixels.shape}; convert it."
        )
    return pixels
