"""Where arms get images that no camera took: the fold's generators, trained or not."""

from collections.abc import Sequence

from balancer.ablation.arms import Arm
from balancer.ablation.material import Maker, held_back_maker, images_wanted
from balancer.config import BalancerConfig
from balancer.data.cache import open_cache
from balancer.data.index import ImageSet, Index
from balancer.data.io import Pixels
from balancer.data.roots import Roots
from balancer.errors import DataError
from balancer.manifest import SyntheticRecord, read_table
from balancer.results import read_result
from balancer.synthetic.dcgan import UntrainedSource, load_dcgan
from balancer.synthetic.gates import load_with_rejects, synthetic_fingerprint
from balancer.synthetic.source import SyntheticSource, draw_resized
from balancer.workspace import Workspace


def maker_of(
    arm: Arm, place: Workspace, index: Index, real: ImageSet, config: BalancerConfig, *, seed: int
) -> Maker | None:
    """How the arm gets its added images; None if they are training images.

    Args:
        arm: The arm.
        place: Workspace of the fold.
        index: The fold's.
        real: All real images.
        config: Of the run; sizes and the untrained generator come from it.
        seed: Of what is drawn.
    """
    size = config.classifier_image_size
    if arm.family in ("gan", "gan-filtered", "gan-pretrain"):
        return _generated(place, index, size, only_accepted=arm.family == "gan-filtered")
    if arm.family == "mislabelled":
        return _drawn_from(load_dcgan(largest_class(index), place, index), size)
    if arm.family == "noise":
        return _drawn_from(UntrainedSource(config.gan, seed), size)
    if arm.family == "held-back-real":
        return held_back_maker(index, real, seed)
    return None


def images_hash(arm: Arm, place: Workspace, index: Index) -> str | None:
    """Fingerprint of the generated images that the arm takes; None for other arms.

    More images of the same generator, which another arm asked for, do not change it.
    """
    manifest = place.synthetic_dir / "manifest.csv"
    if arm.makes != "rare" or not manifest.is_file():
        return None
    records = read_table(manifest, SyntheticRecord)
    only_accepted = arm.family == "gan-filtered"
    chosen = [
        records[row]
        for label, count in images_wanted(arm, index).items()
        for row in _rows(records, label, count, only_accepted)
    ]
    return synthetic_fingerprint(chosen)


def _generated(place: Workspace, index: Index, size: int, *, only_accepted: bool) -> Maker:
    """The images that `synthesize` left in the fold, the first ones by number."""
    records = load_with_rejects(place, index)

    def make(label: str, count: int) -> Pixels:
        if only_accepted:
            _require_screen(place)
        rows = _rows(records, label, count, only_accepted)
        if len(rows) < count:
            raise DataError(
                f"{count} images of {label} are wanted, but {place.synthetic_dir} holds "
                f"{len(rows)}; run `balancer ablate --force`."
            )
        pixels = open_cache(place.synthetic_dir, Roots.of([place.synthetic_dir]), records, size)
        return pixels[rows]

    return make


def _rows(
    records: Sequence[SyntheticRecord], label: str, count: int, only_accepted: bool
) -> list[int]:
    fitting = [
        row
        for row, record in enumerate(records)
        if record.label == label and (record.accepted or not only_accepted)
    ]
    return fitting[:count]


def _require_screen(place: Workspace) -> None:
    result = read_result(place.synthetic_dir)
    if result is None or not result.settings["screen"]["reasons"]:
        raise DataError(
            "Images that pass the screen are wanted, but too few of this fold's generator did; "
            "train a better generator, or loosen gate or synthesis.screen."
        )


def largest_class(index: Index) -> str:
    """The class with the most training images, the first of equals by name."""
    counts = index.counts("train")
    return max(sorted(counts), key=lambda label: counts[label])


def _drawn_from(source: SyntheticSource, size: int) -> Maker:
    def make(label: str, count: int) -> Pixels:
        return draw_resized(source, count, size)

    return make
