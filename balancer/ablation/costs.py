"""Time of making an arm's images, so that its cost is that of the whole arm.

Apart from `unit.py`, which trains: the times are read from the results of other stages.

Small because it reads results of other stages, which no other module of this room does.
"""

from collections.abc import Iterator
from pathlib import Path

from balancer.ablation.families.arm import Arm, Needs
from balancer.ablation.families.generated import largest_class
from balancer.ablation.families.outside import OutsideArm
from balancer.ablation.outside_folds import OutsideImages
from balancer.data.index import load_index
from balancer.results import read_result
from balancer.synthetic.records import GeneratorMetrics, SynthesizeMetrics
from balancer.workspace import Workspace


def seconds_of_images(place: Workspace, arm: Arm) -> float:
    """Return the seconds of training its generators, of synthesis and of the screen in a fold.

    Arms that share a generator are each charged with all of it: what each would cost alone.

    Args:
        place: Workspace of the fold.
        arm: The arm.
    """
    if isinstance(arm, OutsideArm):
        brought = read_result(arm.folder(place).outside_images_dir, OutsideImages)
        return 0.0 if brought is None else brought.seconds
    if not arm.trains_generator:
        return 0.0
    results = [read_result(folder, GeneratorMetrics) for folder in _generators(place, arm)]
    seconds = sum(result.seconds for result in results if result is not None)
    if arm.needs is not Needs.LARGEST_GENERATOR:
        made = read_result(place.synthetic_dir, SynthesizeMetrics)
        seconds += 0.0 if made is None else made.seconds
    return float(seconds)


def _generators(place: Workspace, arm: Arm) -> Iterator[Path]:
    largest = place.gan_dir(largest_class(load_index(place.index_dir)))
    if arm.needs is Needs.LARGEST_GENERATOR:
        yield largest
        return
    for record in sorted(place.root.glob("gan/*/result.json")):
        if record.parent != largest:
            yield record.parent
