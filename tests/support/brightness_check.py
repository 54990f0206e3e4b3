"""A check of the gate as a contributor would add it: one class, and an entry in the registry."""

from balancer.quality.checks import MeasuringCheck
from balancer.quality.config import GateConfig
from balancer.quality.sets import ClassFeatures
from balancer.results import Record


class Brightness(Record):
    mean: float


class BrightnessCheck(MeasuringCheck[Brightness]):
    name = "brightness"
    figure = Brightness

    def measure(self, images: ClassFeatures) -> Brightness | None:
        return Brightness(mean=float(images.images.accepted.mean()))

    def limit(self, label: str, figure: Brightness, gate: GateConfig) -> float:
        return 20.0

    def passes(self, label: str, figure: Brightness, limit: float) -> bool:
        return figure.mean <= limit

    def sentence(self, label: str, figure: Brightness, limit: float) -> str:
        return f"{label} has a mean of {figure.mean:.0f} (limit {limit:.0f})"
