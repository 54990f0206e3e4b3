"""Views of the same films: arms that differ in the preprocessing of every image they see.

What such an arm learns at home and keeps at another hospital is what its view shows of the disease.
"""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from pydantic import ValidationError

from balancer.ablation.families.arm import Arm, Option, register
from balancer.errors import ConfigurationError
from balancer.imaging.config import ImageRecipe

_AS_PREPARED = "as prepared"


def _one_of(setting: str) -> Callable[[str], str]:
    values = get_args(ImageRecipe.model_fields[setting].annotation)

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"one of {', '.join(values)} is wanted")
        return text

    return read


@register
class ViewArm(Arm):
    """Films with another view of the lungs, another border, contrast or frame."""

    family = "view"
    kind = "cheap"
    describes = (
        "The same films with border: {border}; lungs: {lungs}; contrast: {contrast}; "
        "frame: {frame}."
    )
    takes = tuple(
        Option(name, _one_of(name), _AS_PREPARED)
        for name in ("border", "lungs", "contrast", "frame")
    )
    suits_frozen = True
    is_view = True

    @classmethod
    def complete(cls, given: Mapping[str, Any], ratio: str) -> dict[str, Any]:
        """Add the defaults; a view that changes nothing is `real`."""
        if not given:
            raise ValueError("a view changes the border, lungs, contrast or frame, as lungs=...")
        return super().complete(given, ratio)

    def preprocessing(self, shared: ImageRecipe) -> ImageRecipe:
        """Return the preprocessing of the index with its own settings."""
        return _changed(
            shared,
            {key: value for key, value in self.options.items() if value != _AS_PREPARED},
            self.name,
        )


@register
class NoLungsArm(Arm):
    """Films without their lungs: what is learnt there was never about the lungs."""

    family = "no-lungs"
    kind = "control"
    describes = "The same films with the lungs blacked out: must not do as well as whole films."
    suits_frozen = True
    images = "films without their lungs"
    is_view = True

    def preprocessing(self, shared: ImageRecipe) -> ImageRecipe:
        """Return the preprocessing of the index with the lungs blacked out."""
        return _changed(shared, {"lungs": "lungs-blacked-out"}, self.name)


def _changed(shared: ImageRecipe, own: Mapping[str, Any], name: str) -> ImageRecipe:
    try:
        return ImageRecipe.model_validate(shared.model_dump() | dict(own))
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(
            f"The arm {name!r} does not fit the preprocessing of the index: {reason}."
        ) from None
