"""Balance arrays of images by a GAN, after the protocol of imbalanced-learn's samplers."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.utils
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.utils.validation import check_random_state, validate_data

import gan
from balancer.imaging.pixels import Pixels
from balancer.synthetic.given_arrays import GivenArrays, images_to_make, read_arrays


class GANSampler(OneToOneFeatureMixin, BaseEstimator):  # type: ignore[misc]
    """Over-sampler that trains a DCGAN on each class that lacks images.

    Split first and give it training images alone: what it makes shows what it has seen. It works in
    `imblearn.pipeline.Pipeline`, and does not need imbalanced-learn.

    Args:
        sampling_strategy: As of imbalanced-learn's over-samplers: `auto` or `not majority` bring
            every other class to the largest, `minority` the smallest one alone, `not minority` and
            `all` what they say; a number from 0 to 1 the smaller of two classes to that share of
            the larger one; a mapping every class in it to that number of images; a function of y
            returns such a mapping.
        config: Recipe of the GAN; None: `GANConfig` at the side of the images.
        random_state: Seed for the GAN and its images, at least 0; a RandomState gives one, None
            another in each call.

    Attributes:
        sampling_strategy_: Class to the number of images that were made.
        n_features_in_: Number of pixels, where rows of pixels were given.
        feature_names_in_: Names of the columns, where a DataFrame was given.

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
        sampling_strategy: str
        | float
        | Mapping[Any, int]
        | Callable[[Any], Mapping[Any, int]] = "auto",
        config: gan.GANConfig | None = None,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.config = config
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "GANSampler":  # noqa: N803
        """Check images and labels and learn what is to be made; `fit_resample` does it all."""
        self._read(X, y)
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:  # noqa: N803
        """Return the images and labels, followed by the made ones.

        Args:
            X: Images (N, S, S), or (N, S, S, 3) in colour; S is 32, 64, 128 or 256. Or rows of
                their pixels, (N, S * S). Whole numbers from 0 to 255, or floats from 0 to 1, in an
                array, a list or a DataFrame, and returned in the same form. Or N paths of image
                files, which are read at the side of the recipe and returned as an array.
            y: Class of each image: (N,) or (N, 1), or (N, K) with a single 1 in each row.

        Raises:
            ConfigurationError: No GAN is of this side, or a path is given twice.
            ArraysError: The arrays are of another kind, or the strategy does not fit these
                classes; a ValueError and a DataError.
            DataError: A file is no usable image.
        """
        given = self._read(X, y)
        config = self.config or gan.GANConfig(image_size=given.images.shape[1])
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = int(check_random_state(seed).randint(2**31 - 1))
        made = {
            label: draw_class(given.images[given.labels == label], n, config, int(seed))
            for label, n in self.sampling_strategy_.items()
            if n
        }
        labels = np.repeat(
            np.array(list(made), given.labels.dtype), [len(one) for one in made.values()]
        )
        images = np.concatenate([given.images[:0], *made.values()])
        return given.followed_by(images, labels)

    def _read(self, X: Any, y: Any) -> GivenArrays:  # noqa: N803
        given = read_arrays(X, y, size=(self.config or gan.GANConfig()).image_size)
        self.sampling_strategy_ = images_to_make(self.sampling_strategy, given.labels)
        if np.ndim(given.X) == 2:
            validate_data(self, given.X, skip_check_array=True)
        return given

    def __sklearn_tags__(self) -> Any:
        """Tell what it takes and that it is a sampler, in the words of imbalanced-learn."""
        known = super().__sklearn_tags__()
        known.estimator_type, known.target_tags.required = "sampler", True
        taken = _InputTags(two_d_array=True, three_d_array=True)
        named = {one.name: getattr(known, one.name) for one in fields(known)}
        return _Tags(**(named | {"input_tags": taken}))


def draw_class(images: Pixels, n: int, config: gan.GANConfig, seed: int) -> Pixels:
    """Train a GAN on the images of a class and return `n` of its own, of their kind."""
    with tempfile.TemporaryDirectory() as folder:
        gan.train(images, config, out_dir=Path(folder) / "gan", seed=seed)
        return gan.sample(gan.load(Path(folder) / "gan"), n, seed=seed)


@dataclass(slots=True)
class _InputTags(sklearn.utils.InputTags):  # type: ignore[misc]
    dataframe: bool = True


@dataclass(slots=True)
class _SamplerTags:
    sample_indices: bool = False


@dataclass(slots=True)
class _Tags(sklearn.utils.Tags):  # type: ignore[misc]
    sampler_tags: _SamplerTags = field(default_factory=_SamplerTags)
