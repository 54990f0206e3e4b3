"""The classifier's recipe, completed with what a configuration leaves open."""

from balancer.config import BalancerConfig
from balancer.errors import ConfigurationError
from classifier.cards import ModelError, model_card

MEMBERS = 3
"""Default number of networks of a classifier without generated images beside it."""


def complete_recipe(config: BalancerConfig, *, beside_generated: bool) -> BalancerConfig:
    """Decide the side at which images are read, the side that the network sees, and its members.

    Beside generated images, all images are read at the generator's side, so that sharpness does not
    give the class away; the network sees them enlarged at most twice, since more costs time and
    adds nothing; and one network is trained, since a comparison needs many trainings. Otherwise
    images are read at the network's own side, and three networks are averaged.

    Args:
        config: `classifier` and `gan.image_size` are used.
        beside_generated: Generated images take part, in this training or in one it is compared
            with.

    Returns:
        The same with `image_size`, `input_size` and `members` of the classifier as numbers.

    Raises:
        ConfigurationError: There is no such model.
    """
    recipe = config.classifier
    read = recipe.image_size or (config.gan.image_size if beside_generated else None)
    try:
        native = model_card(recipe.model).input_size
    except ModelError as error:
        raise ConfigurationError(str(error)) from error
    recipe = recipe.with_sizes(native if read is None else min(native, 2 * read))
    seen = [recipe.input_size, *(phase.input_size for phase in recipe.phases)]
    decided = {
        "image_size": read or max(side for side in seen if side is not None),
        "members": recipe.members or (1 if beside_generated else MEMBERS),
    }
    return config.model_copy(update={"classifier": recipe.model_copy(update=decided)})


def refuse_patience(config: BalancerConfig) -> None:
    """Keep arms that are compared at the same number of optimizer steps.

    Raises:
        ConfigurationError: Trainings could end early, each at another step.
    """
    if config.classifier.patience:
        raise ConfigurationError(
            "Classifiers that are compared should take the same number of optimizer steps, but "
            f"classifier.patience={config.classifier.patience} can end each training early; set "
            "it to 0."
        )


def image_sizes(config: BalancerConfig) -> tuple[int, ...]:
    """Return the sides at which images are read: by the GAN, and by classifiers beside it or alone.

    Raises:
        ConfigurationError: There is no such model.
    """
    sides = {config.gan.image_size}
    for beside_generated in (True, False):
        recipe = complete_recipe(config, beside_generated=beside_generated)
        sides.add(recipe.classifier_image_size)
    return tuple(sorted(sides))
