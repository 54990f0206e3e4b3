"""The quality gate on the images of an arm from outside in one split, as on those of our GAN."""

from pathlib import Path

import numpy as np

from balancer.ablation.families.arm import FoldData
from balancer.ablation.families.outside import OutsideArm
from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.quality.class_quality import class_images, measure_class, measured_by
from balancer.quality.extractors import load_configured
from balancer.quality.records import ClassQuality, QualityMetrics
from balancer.results import StageResult, perform, read_result, standing_result
from balancer.synthetic.records import OutsideSource
from balancer.workspace import Workspace


def measure_outside_images(
    config: BalancerConfig, workspace: Workspace, fold: str, arm: OutsideArm, *, force: bool = False
) -> StageResult[QualityMetrics]:
    """Measure the images that an arm adds in a split, at the size at which classifiers read them.

    After a change of settings they are measured again, which is fast.

    Args:
        config: Sections `quality`, `gate`, `classifier` and `seed` are used.
        workspace: The main workspace.
        fold: Name of the split; its images were brought.
        arm: The arm.
        force: Measure again even if nothing changed.

    Raises:
        DataError: A class has no validation images.
        EnvironmentFault: The weights of a configured extractor are not on this machine.
    """
    split = workspace.fold(fold)
    place, index, size = (
        arm.folder(split),
        load_index(split.index_dir),
        config.classifier_image_size,
    )
    extractors = load_configured(config.quality.without_own(), index.preprocessing.channels)
    settings, inputs = measured_by(config, size, extractors)
    inputs |= {"index": index.index_hash, "images": arm.images_hash(split, index)}

    def work(folder: Path) -> QualityMetrics:
        data = FoldData(
            place=split, index=index, real=index.image_set(size), config=config, seed=config.seed
        )
        take = arm.maker(data, np.random.default_rng())  # it takes the first, and draws nothing
        classes: dict[str, ClassQuality] = {}
        for label, count in arm.images_wanted(index).items():
            made = take(label, count)[: config.quality.max_images]
            images = class_images(
                label,
                index,
                size,
                made=made,
                accepted=made,
                unseen=arm.lineage != "unknown",
                chosen={},
            )
            classes[label] = measure_class(
                images, extractors, config, folder, cache=split.feature_cache_dir
            )
        source = OutsideSource(name=arm.source, lineage=arm.lineage)
        return QualityMetrics(classes=classes, outside=dict.fromkeys(classes, source))

    with place.lock():
        directory = place.quality_dir
        old = read_result(directory, QualityMetrics)
        result = standing_result(
            directory,
            QualityMetrics,
            settings=settings,
            inputs=inputs,
            force=force or (old is not None and old.settings != settings),
            announce=False,
        )
        if result is None:
            result = perform(
                "quality", place, directory, settings=settings, inputs=inputs, work=work
            )
        return result
