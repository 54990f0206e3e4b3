"""Typed metrics of `balancer explain`."""

from balancer.evaluation.records import Interval
from balancer.results import Record


class RegionShare(Interval):
    """Mean share of the maps inside a region, with its 95 % interval.

    Attributes:
        reference: Mean share of the area of the same images; an even map has this share.
        n: Number of images with a map (and, for lungs, a mask).
    """

    reference: float | None
    n: int


class ClassShares(Record):
    """Shares of the maps of one class of images, by region.

    Attributes:
        n: Number of images.
        n_empty: Number of images without a map.
        border: Share outside the central region.
        lungs: Share inside the lung masks; None without masks.
    """

    n: int
    n_empty: int
    border: RegionShare
    lungs: RegionShare | None = None

    def regions(self) -> dict[str, RegionShare]:
        """Return the measured regions by name."""
        found = {"border": self.border, "lungs": self.lungs}
        return {region: share for region, share in found.items() if share is not None}


class ModelMaps(Record):
    """One model, and the shares of its maps.

    Attributes:
        network: Name of the network.
        members: Number of networks whose probabilities are averaged.
        layer: Layer of the maps.
        grid: Height and width of its feature maps.
        activations_of: Layer whose activations are shown; None: none are.
        input_size: Side in pixels that the network sees.
        image_size: Side in pixels at which images are read.
        threshold: Threshold of the model; None: the most probable class is predicted.
        index: Index that it was trained on.
        weights_sha256: SHA-256 of its weights.
        where: Shares of the maps for each class of images.
    """

    network: str
    members: int
    layer: str
    grid: list[int]
    activations_of: str | None
    input_size: int
    image_size: int
    threshold: float | None
    index: str | None
    weights_sha256: str
    where: dict[str, ClassShares]


class ModelAnswer(Record):
    """A model's prediction for one image of the sheet.

    Attributes:
        probability: Probability of the explained class.
        predicted: Predicted class.
        right: Correct prediction; None where the class of the image is unknown.
        has_seen: The image, or another of its group, shaped the model.
        no_map: Reason for an empty map; None where there is a map.
    """

    probability: float
    predicted: str
    right: bool | None
    has_seen: bool
    no_map: str | None


class ShownCase(Record):
    """One image of the sheet, with the answer of each model.

    Attributes:
        image_id: Content hash.
        name: Name for readers.
        label: True class; None if the index lacks the image.
        split: Split of the image; None likewise.
        drawn_as: `right`, `wrong` or `chosen`.
        models: Answers by model.
    """

    image_id: str
    name: str
    label: str | None
    split: str | None
    drawn_as: str
    models: dict[str, ModelAnswer]


class MappedImages(Record):
    """Number of test images with maps, and of those left out because a model has seen them."""

    n: int
    left_out_as_seen: int


class ExplainMetrics(Record):
    """Metrics of `balancer explain`.

    Attributes:
        target_class: Class whose evidence is mapped.
        definitions: Definition of each region.
        images: Number of test images.
        models: Shares of the maps of each model.
        shown: Images of the sheet.
        place: Folder of the pictures today; not stored, since a workspace can be moved.
    """

    target_class: str
    definitions: dict[str, str]
    images: MappedImages
    models: dict[str, ModelMaps]
    shown: list[ShownCase]
    place: str | None = None
