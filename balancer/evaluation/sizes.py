"""The classifier's recipe with everything filled in that a configuration leaves open."""

from balancer.config import BalancerConfig
from balancer.errors import ConfigurationError
from classifier.cards import ModelError, model_card

MEMBERS = 3
"""Networks of a classifier that stands alone."""


def settle(config: BalancerConfig, *, beside_generated: bool) -> BalancerConfig:
    """Decide at which side images are read, which side the network sees, and how many there are.

    Beside generated images all are read at the generator's side, so that sharpness tells nothing,
    and the network sees them enlarged twice at most: more would cost time and add nothing; and one
    network is trained, since a comparison wants many trainings. Without, images are read as large
    as the network was made for, and three networks are averaged.

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
    settled = {
        "image_size": read or max(side for side in seen if side is not None),
        "members": recipe.members or (1 if beside_generated else MEMBERS),
    }
    return config.model_copy(update={"classifier": recipe.model_copy(update=settled)})


def refuse_patience(config: BalancerConfig) -> None:
    """Keep arms that are compared at the same number of optimizer steps.

    Raises:
        ConfigurationError: Each would end its training when it wants to.
    """
    if config.classifier.patience:
        raise ConfigurationError(
            "Classifiers that are compared should take the same number of optimizer steps, but "
            f"classifier.patience={config.classifier.patience} ends each when it likes; set it "
            "to 0."
        )


def sizes_read(config: BalancerConfig) -> tuple[int, ...]:
    """Sides at which images will be read: by the GAN, and by classifiers beside it or alone.

    Raises:
        ConfigurationError: There is no such model.
    """
    sides = {config.gan.image_size}
    for beside_generated in (True, False):
        sides.add(settle(config, beside_generated=beside_generated).classifier_image_size)
    return tuple(sorted(sides))
