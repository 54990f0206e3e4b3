"""The whole configuration, composed of the sections of the rooms; the only reader of YAML.

Precedence: field default < `--config` file < `--set a.b=value` < the command's own option.
"""

import difflib
import importlib.resources
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator

from balancer.ablation.config import AblationConfig, TravelConfig
from balancer.data.config import DataConfig
from balancer.errors import ConfigurationError
from balancer.evaluation.config import EvaluationConfig
from balancer.imaging.config import PreprocessingConfig
from balancer.lungs.config import LungsConfig
from balancer.quality.config import GateConfig, QualityConfig
from balancer.section import ConfigSection
from balancer.synthetic.config import SynthesisConfig
from balancer.tracking.config import TrackingConfig
from classifier.config import ClassifierConfig
from gan.config import GANConfig


class HardwareConfig(ConfigSection):
    """Settings of the Lightning Trainer."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: int | str = 1
    """Number of devices; or a list such as `0,2`; or `auto`."""
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    strategy: Literal["auto", "ddp", "ddp_spawn", "ddp_fork"] = "auto"
    num_nodes: Annotated[int, Field(ge=1, le=10_000)] = 1

    @field_validator("devices")
    @classmethod
    def _is_device_list(cls, devices: int | str) -> int | str:
        if isinstance(devices, str) and devices.isdigit():
            devices = int(devices)
        numbers = not isinstance(devices, int) and re.fullmatch(r"\d+(,\d+)*,?", devices)
        if devices in ("auto", -1) or numbers or (isinstance(devices, int) and 0 < devices <= 1024):
            return devices
        raise ValueError("should be a number from 1 to 1024, a list such as 0,2, or auto")

    @property
    def n_devices(self) -> int | None:
        """Number of devices asked for on this machine; None for all."""
        if isinstance(self.devices, int):
            return None if self.devices == -1 else self.devices
        return None if self.devices == "auto" else len(self.devices.strip(",").split(","))


class BalancerConfig(ConfigSection):
    """All settings of a run."""

    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed for everything random."""
    data: DataConfig = DataConfig()
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    lungs: LungsConfig = LungsConfig()
    gan: GANConfig = GANConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    quality: QualityConfig = QualityConfig()
    gate: GateConfig = GateConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    ablation: AblationConfig = AblationConfig()
    travel: TravelConfig = TravelConfig()
    hardware: HardwareConfig = HardwareConfig()
    tracking: TrackingConfig = TrackingConfig()

    @property
    def classifier_image_size(self) -> int:
        """Side at which the classifier reads images, in pixels; see `complete_recipe`."""
        return self.classifier.image_size or self.gan.image_size


def load_config(
    source: str | Path | None = None,
    *,
    data: str | Path | Sequence[str | Path] | None = None,
    assignments: Sequence[str] = (),
    options: Mapping[str, object] | None = None,
) -> BalancerConfig:
    """Compose a configuration.

    Args:
        source: A YAML file or the name of a bundled recipe such as `smoke`; None: defaults.
        data: Path to the images, or several archives that are merged; None: as configured.
        assignments: `a.b=value` strings, values in YAML.
        options: Dotted key to value, from the options of the command; None values are skipped.

    Raises:
        ConfigurationError: A file, key or value is invalid; the nearest valid key is named.
    """
    values: dict[str, Any] = {} if source is None else _read_yaml(_find(source))
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigurationError(
                f"--set should be key=value, such as gan.batch_size=16, not {assignment!r}."
            )
        _assign(values, key.strip(), _parse_yaml(text, f"--set {assignment}"))
    for key, value in {"data.root": data, **(options or {})}.items():
        if value is not None:
            _assign(values, key, value)
    try:
        return BalancerConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(_sentence(error, source)) from None


def bundled_recipes() -> list[str]:
    """Return the names that `--config` accepts without a path."""
    root = importlib.resources.files("configs")
    folders = {"": root, **{f"{entry.name}/": entry for entry in root.iterdir() if entry.is_dir()}}
    return sorted(
        prefix + entry.name.removesuffix(".yaml")
        for prefix, folder in folders.items()
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")}


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that refuses duplicate keys, aliases and tags.

    An alias has no use in a flat recipe, and nested aliases let a small file exhaust the memory.
    A tag has none either, and PyYAML fails in many ways on a value that does not fit its tag.
    Plain words are read as in YAML 1.2: in YAML 1.1 the ratio 2:1 is 121, a number in base 60. Keys
    are text as written, and so are numbers with leading zeros: both may be names of classes.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012  # filled below, as PyYAML does it

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(
                None, None, "aliases (*name) are not allowed", self.get_mark()
            )
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            raise yaml.constructor.ConstructorError(
                None, None, "tags (!name) are not allowed", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            if key_node.tag in _PLAIN_TAGS:
                key_node.tag = "tag:yaml.org,2002:str"
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


for _tag, _pattern, _starts in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _starts)


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    if path.suffix not in (".yaml", ".yml"):
        bundled = importlib.resources.files("configs") / f"{source}.yaml"
        if bundled.is_file():
            return Path(str(bundled))
    raise ConfigurationError(
        f"--config should be a YAML file or one of {', '.join(bundled_recipes())}, "
        f"but {str(source)!r} is neither."
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} should be readable YAML text, but: {error}.") from None
    values = _parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} should hold sections such as `gan:`, not {values!r:.60}.")
    return values


def _parse_yaml(text: str, where: str) -> Any:
    try:
        # The constructor refuses control characters, so it is part of the reading.
        loader = _StrictLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"{where} should be plain YAML, but: {reason}; correct it there."
        ) from None


def _assign(values: dict[str, Any], key: str, value: object) -> None:
    *sections, name = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigurationError(f"{section} in {key} is a value, not a section.")
        values = inner
    values[name] = value


def _sentence(error: ValidationError, source: str | Path | None) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    where = f" (reading {source})" if source else ""
    if first["type"] == "extra_forbidden":
        known = list(_keys(BalancerConfig))
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "see configs/default.yaml for all keys."
        return f"There is no setting {key}{where}; {hint}"
    reason = first["msg"].removeprefix("Value error, ")
    return f"The setting {key} cannot be {first['input']!r:.80}{where}: {reason}."


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                keys.extend(_keys(part, f"{prefix}{name}."))
    return keys
