"""The question of a configuration as the protocol records it, and the way back."""

from collections.abc import Mapping
from typing import Any

from balancer.ablation.families.outside import OutsideArm
from balancer.ablation.plan import Plan
from balancer.ablation.protocol import (
    Inquiry,
    RegisteredQuestion,
    StudiedData,
    canonical_hash,
)
from balancer.config import BalancerConfig
from balancer.data.index import Index
from balancer.data.masks.read import masks_of_index
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.evaluation.external import External, fingerprint_of_labels
from balancer.evaluation.ledger import fingerprint_of_images
from balancer.imaging.preprocess import recorded
from balancer.manifest import fingerprint

_SECTIONS = ("synthesis", "quality", "gate", "classifier", "gan", "evaluation", "ablation")
_TRAVEL = "travel"
"""Section of a study of views alone."""
_APART = {"ablation": {"keep_models", "masks", "worth"}, "quality": {"weights"}}
"""Settings that the question does not depend on, by section."""
_RECIPE = ("synthesis", "gate", "classifier", "gan", "image_size", "precision")


def inquiry_of(
    config: BalancerConfig, index: Index, plan: Plan, external: Mapping[str, External]
) -> Inquiry:
    """Return what a study asks.

    Args:
        config: Configuration with a complete recipe.
        index: The main index.
        plan: The plan of the study.
        external: Other data sets by name.

    Raises:
        ConfigurationError: The deployment prior has other classes, or the data set that is to carry
            the verdict is not among the others.
        DataError: That data set lacks a class.
    """
    ablation, evaluation = config.ablation, config.evaluation
    settings = {
        "image_size": config.classifier_image_size,
        "precision": config.hardware.precision,
        **{
            name: getattr(config, name).model_dump(mode="json", exclude=_APART.get(name))
            for name in _SECTIONS
        },
    }
    if plan.compares_views:
        settings[_TRAVEL] = {
            "largest_fall": config.travel.largest_fall,
            # One value, so that a data set more is a change.
            "elsewhere": [_named_images(name, one) for name, one in sorted(external.items())],
        }
    counts = dict.fromkeys(index.classes, 0)
    for record in index.records:
        counts[record.label] += 1
    return Inquiry(
        question=RegisteredQuestion(
            primary=ablation.primary,
            secondary=ablation.secondary,
            margin=ablation.margin,
            alpha=ablation.alpha,
            looks=ablation.looks,
            arms=tuple(arm.name for arm in plan.arms),
            resampling=ablation.resampling,
            repeats=None if ablation.looks else ablation.repeats,
            folds=ablation.folds if ablation.resampling == "folds" else None,
            seeds=ablation.seeds,
            seed=config.seed,
            split=config.data.split,
            held_back_share=ablation.held_back_share,
            rare_images=ablation.rare_images,
            leave_source_out=ablation.leave_source_out,
            positive_class=plan.positive,
            specificity=evaluation.specificity,
            deployment_prior=deployment_prior(config, index),
            decision_threshold=evaluation.decision_threshold,
            bootstrap_samples=evaluation.bootstrap_samples,
            max_probe_auroc=ablation.max_probe_auroc,
            masks=masks_hash(config, index),
            verdict_on=ablation.verdict_on,
            **_verdict_images(ablation.verdict_on, external, index),
            outside={arm.name: arm.recipe_text for arm in plan.arms if isinstance(arm, OutsideArm)}
            or None,
        ),
        data=StudiedData(index=index.index_hash, content=content_hash(index), images=counts),
        settings=settings,
        recipe=canonical_hash({name: settings[name] for name in _RECIPE}),
    )


def config_of(inquiry: Inquiry, config: BalancerConfig) -> BalancerConfig:
    """Return the configuration of an earlier inquiry.

    Args:
        inquiry: The earlier question; settings that it lacks have their defaults.
        config: Configuration for all that it does not hold, such as paths and hardware.

    Raises:
        IntegrityError: This version has no such settings.
    """
    parts: dict[str, Any] = {}
    try:
        for name in _SECTIONS:
            kind = type(getattr(config, name))
            parts[name] = kind.model_validate(inquiry.settings[name])
    except (ValueError, KeyError) as error:
        raise IntegrityError(
            "The study was registered with settings that this version cannot read "
            f"({' '.join(str(error).split())[:120]}); use the version that registered it, or start "
            "a study in another --workspace."
        ) from None
    for section, names in _APART.items():
        kept = {name: getattr(getattr(config, section), name) for name in names}
        parts[section] = parts[section].model_copy(update=kept)
    positive = {"positive_class": inquiry.question.positive_class}
    parts["evaluation"] = parts["evaluation"].model_copy(update=positive)
    if _TRAVEL in inquiry.settings:
        largest = {"largest_fall": inquiry.settings[_TRAVEL]["largest_fall"]}
        parts[_TRAVEL] = config.travel.model_copy(update=largest)
    parts["seed"] = inquiry.question.seed
    parts["data"] = config.data.model_copy(update={"split": inquiry.question.split})
    precision = {"precision": inquiry.settings["precision"]}
    parts["hardware"] = config.hardware.model_copy(update=precision)
    return config.model_copy(update=parts)


def _named_images(name: str, external: External) -> str:
    images = fingerprint_of_images(record.image_id for record in external.records)
    return f"{name} {images[:12]} {fingerprint_of_labels(external.records)[:12]}"


def _verdict_images(
    name: str | None, external: Mapping[str, External], index: Index
) -> dict[str, str]:
    """Return the fingerprints of the images that carry the verdict; nothing of test splits."""
    if name is None:
        return {}
    if name not in external:
        given = ", ".join(external) or "none"
        raise ConfigurationError(
            f"ablation.verdict_on={name} needs the folder {name} as --external, but the folders "
            f"given are: {given}; give it, also when the study is resumed."
        )
    records = external[name].records
    lacking = set(index.classes) - {record.label for record in records}
    if lacking:
        raise DataError(
            f"ablation.verdict_on={name} needs images of every class, but has none of "
            f"{', '.join(sorted(lacking))}; add some, or leave verdict_on out."
        )
    return {
        "verdict_images": fingerprint_of_images(record.image_id for record in records),
        "verdict_labels": fingerprint_of_labels(records),
    }


def content_hash(index: Index) -> str:
    """Return the fingerprint of an index without its own split, which an ablation does not use."""
    rows = [[one.image_id, one.label, one.group, one.source] for one in index.records]
    return canonical_hash({"rows": rows, "preprocessing": recorded(index.preprocessing)})


def deployment_prior(config: BalancerConfig, index: Index) -> dict[str, float]:
    """Return the class shares where the classifier will be used: as given, else as in the images.

    Raises:
        ConfigurationError: Other classes are given.
    """
    given, classes = config.evaluation.deployment_prior, index.classes
    if given is not None and set(given) != set(classes):
        raise ConfigurationError(
            f"evaluation.deployment_prior needs a share of each of {', '.join(classes)}, but has "
            f"{', '.join(sorted(given))}."
        )
    counts = dict.fromkeys(classes, 0)
    for record in index.records:
        counts[record.label] += 1
    return given or {name: count / len(index.records) for name, count in counts.items()}


def masks_hash(config: BalancerConfig, index: Index) -> str | None:
    """Return the fingerprint of the lung masks at the size of the images; None without any."""
    size = config.classifier_image_size
    masks = masks_of_index(index, config.ablation.masks, index.records, size)
    return None if masks is None else fingerprint(masks.lungs.tobytes() + masks.present.tobytes())
