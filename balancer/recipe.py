"""The classifier's recipe with everything filled in that a configuration leaves open."""

from balancer.config import BalancerConfig
from balancer.errors import ConfigurationError
from classifier.models import ModelError, model_card

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
    seen = recipe.final_size
    if seen is None:
        try:
            seen = model_card(recipe.model).input_size
        except ModelError as error:
            raise ConfigurationError(str(error)) from error
        seen = seen if read is None else min(seen, 2 * read)
    members = recipe.members or (1 if beside_generated else MEMBERS)
    settled = {"image_size": read or seen, "input_size": seen, "members": members}
    return config.model_copy(update={"classifier": recipe.model_copy(update=settled)})
