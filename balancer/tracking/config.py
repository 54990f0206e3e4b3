"""The section `tracking` of the configuration."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from balancer.section import ConfigSection

NONE, MLFLOW, TENSORBOARD = "none", "mlflow", "tensorboard"


class TrackingConfig(ConfigSection):
    """A tracker of experiments; `tracking: mlflow` is short for `tracking: {logger: mlflow}`."""

    logger: Annotated[str, Field(pattern=r"^\w+(\.\w+)*$")] = NONE
    """`none`, `mlflow` or `tensorboard`, each a folder of the workspace, or a Lightning logger by
    its class: `WandbLogger`, `package.module.Class`."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Arguments of the logger, such as `{project: chest}`."""

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: Any) -> Any:
        return {"logger": value} if isinstance(value, str) else value

    @property
    def is_on(self) -> bool:
        """Return whether anything is recorded."""
        return self.logger != NONE
