"""The base of every section of the configuration, and types that several sections share."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]
Label = Annotated[
    str, BeforeValidator(lambda value: str(value) if type(value) in (int, float) else value)
]
"""A class name; YAML reads the label 0 as a number."""


class ConfigSection(BaseModel):
    """A section of the configuration; refuses unknown keys and values outside their range."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
