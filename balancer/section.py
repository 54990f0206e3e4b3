"""The base of every section of the configuration, and types that several sections share."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]


def _as_text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Label = Annotated[str, BeforeValidator(_as_text)]
"""A class name; YAML reads the label 0 as a number, and `true` as a truth value."""


class ConfigSection(BaseModel):
    """A section of the configuration; refuses unknown keys and values outside their range."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
