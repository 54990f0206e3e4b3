"""Balance arrays of images by a GAN, after the protocol of imbalanced-learn's samplers."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

import gan
from balancer.data.channels import decide_channels
from balancer.data.collection import collection_of
from balancer.data.config import DataConfig
from balancer.errors import ConfigurationError, DataError
from balancer.imaging.pixels import Pixels

_WORDS = ("auto", "not majority", "minority", "all")


class GANSampler(BaseEstimator):  # type: ignore[misc]
    """Over-sampler that trains a DCGAN on each class that lacks images.

    Split first and give it training images alone: what it makes shows what it has seen.

    Args:
        sampling_strategy: As of imbalanced-learn's over-samplers: `auto` or `not majority` bring
            every other class to the largest, `minority` the smallest one alone, a number from 0 to
            1 the smaller of two classes to that share of the larger one, a mapping every class in
            it to that number of images.
        config: Recipe of the GAN; None: `GANConfig` at the side of the images.
        random_state: Seed for the GAN and its images, at least 0.

    Attributes:
        sampling_strategy_: Class to the number of images that were made.

    Example:
        >>> import gan, numpy as np
        >>> from balancer import GANSampler
        >>> images = np.random.default_rng(0).integers(0, 256, (40, 32, 32), np.uint8)
        >>> labels = np.repeat(["Normal", "COVID"], [30, 10])
        >>> config = gan.GANConfig(image_size=32, images_shown=32, batch_size=8)
        >>> X, y = GANSampler(config=config, random_state=0).fit_resample(images, labels)
        >>> X.shape, int((y == "COVID").sum())
        ((60, 32, 32), 30)
    """

    def __init__(
        self,
        *,
        sampling_strategy: str | float | Mapping[Any, int] = "auto",
        config: gan.GANConfig | None = None,
        random_state: int = 0,
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.config = config
        self.random_state = random_state

    def fit_resample(self, X: ArrayLike, y: ArrayLike) -> tuple[Pixels, NDArray[Any]]:  # noqa: N803
        """Return the images and labels, followed by the made ones.

        Args:
            X: uint8 (N, S, S), or (N, S, S, 3) in colour; S is 32, 64, 128 or 256. Or N paths of
                image files, which are read at the side of the recipe and returned as an array.
            y: Class of each image, (N,).

        Raises:
            ConfigurationError: The strategy fits these classes in no way, or a path is given twice.
            DataError: The arrays are of another kind, or a file is no usable image.
        """
        images, labels = np.asarray(X), np.asarray(y)
        if images.ndim == 1 and all(isinstance(one, str | Path) for one in images.tolist()):
            images = _read([Path(one) for one in images.tolist()], self.config or gan.GANConfig())
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or labels.ndim != 1:
            raise DataError(
                "fit_resample takes uint8 (N, S, S) or (N, S, S, 3) and N labels, but was given "
                f"{images.dtype} {images.shape} and {labels.shape}; convert them."
            )
        if len(images) != len(labels):
            raise DataError(
                f"Every image needs one label, but there are {len(images)} images and "
                f"{len(labels)} labels; give as many of both."
            )
        self.sampling_strategy_ = self._to_make(labels)
        config = self.config or gan.GANConfig(image_size=images.shape[1])
        made = {
            label: self._made(images[labels == label], n, config)
            for label, n in self.sampling_strategy_.items()
            if n
        }
        extra = [np.full(len(part), label, labels.dtype) for label, part in made.items()]
        return np.concatenate([images, *made.values()]), np.concatenate([labels, *extra])

    def _made(self, images: Pixels, n: int, config: gan.GANConfig) -> Pixels:
        with tempfile.TemporaryDirectory() as folder:
            gan.train(images, config, out_dir=Path(folder) / "gan", seed=self.random_state)
            return gan.sample(gan.load(Path(folder) / "gan"), n, seed=self.random_state)

    def _to_make(self, labels: NDArray[Any]) -> dict[Any, int]:
        names, counts = np.unique(labels, return_counts=True)
        present = dict(zip(names.tolist(), counts.tolist(), strict=True))
        most, strategy = max(present.values()), self.sampling_strategy
        smallest = min(present, key=lambda name: present[name])
        if isinstance(strategy, Mapping):
            wanted = dict(strategy)
        elif isinstance(strategy, str) and strategy in _WORDS:
            wanted = {smallest: most} if strategy == "minority" else dict.fromkeys(present, most)
        elif not isinstance(strategy, str) and len(present) == 2 and 0 < strategy <= 1:
            wanted = {smallest: round(most * strategy)}
        else:
            raise ConfigurationError(
                f"sampling_strategy should be one of {', '.join(_WORDS)}, a mapping of class to "
                "number, or with two classes a share above 0 and up to 1, but is "
                f"{strategy!r:.80}; give one of them."
            )
        wrong = [name for name, n in wanted.items() if name not in present or n < present[name]]
        if wrong:
            raise ConfigurationError(
                f"sampling_strategy should bring classes of y to more images, but does not fit "
                f"{wrong[0]!r}, of which there are {present.get(wrong[0], 0)}; give more."
            )
        return {name: n - present[name] for name, n in wanted.items()}


def _read(paths: list[Path], config: gan.GANConfig) -> Pixels:
    """Read image files as every other image is read, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        side = collection_of(paths, DataConfig(), name="X")
        row_of = {path: row for row, path in enumerate(side.files())}
        channels = decide_channels(DataConfig(), side.roots, side.as_scan().images)
        pixels = side.pixels(config.image_size, Path(folder), channels=channels)
        return np.array(pixels[[row_of[path.expanduser().resolve()] for path in paths]])
