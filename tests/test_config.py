import importlib.resources
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from pydantic import BaseModel

from balancer.cli import main
from balancer.config import BalancerConfig, _StrictLoader, bundled_recipes, load_config
from balancer.errors import ConfigurationError

_PRECEDENCE = [  # file, assignment, option -> batch size
    (None, (), None, 16),
    ("gan: {batch_size: 8}", (), None, 8),
    ("gan: {batch_size: 8}", ("gan.batch_size=16",), None, 16),
    ("gan: {batch_size: 8}", ("gan.batch_size=16",), 64, 64),
]

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("text", "assignments", "option", "expected"), _PRECEDENCE)
def test_the_nearest_wish_wins(
    tmp_path: Path,
    text: str | None,
    assignments: tuple[str, ...],
    option: int | None,
    expected: int,
) -> None:
    source = None
    if text is not None:
        source = tmp_path / "recipe.yaml"
        source.write_text(text)
    config = load_config(source, assignments=assignments, options={"gan.batch_size": option})
    assert config.gan.batch_size == expected


@pytest.mark.fault(46)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gan: {batchsize: 8}", "did you mean gan.batch_size"),
        ("gan: {batch_size: many}", "gan.batch_size cannot be 'many'"),
        ("gan: {batch_size: 0}", "gan.batch_size"),
        ("gan: {image_size: 48}", "power of two"),
        ("gan: {learning_rate_generator: .nan}", "learning_rate_generator"),
        ("gan: {learning_rate_generator: 0}", "learning_rate_generator"),
        ("gan: {learning_rate_generator: -1}", "learning_rate_generator"),
        ("gan: !!python/object/apply:os.system ['touch canary']", "plain YAML"),
        ("seed: 1\nseed: 2", "seed"),
        ("gan: {batch_size: !!bool maybe}", "tags"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases"),
        ("gan: [", "plain YAML"),
        ("just text", "should hold sections"),
        ("synthesis: {ratio: '1:2'}", "such as 2:1"),
        ("data: {split: [0.5, 0.4, 0.2]}", "sum to 1"),
        ("seed: -1", "seed"),
        ("{[1]: 3}", "plain YAML"),
        ("[" * 5000, "plain YAML"),
        ("hardware: {precision: foo}", "hardware.precision"),
        ("hardware: {devices: abc}", "hardware.devices"),
        ("hardware: {devices: 0}", "hardware.devices"),
        ("hardware: {accelerator: abacus}", "hardware.accelerator"),
        ("hardware: {strategy: none}", "hardware.strategy"),
        ("quality: {extractors: []}", "quality.extractors"),
        ("evaluation: 3", "evaluation"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(text)
    done = CliRunner().invoke(main, ["prepare", "-c", "recipe.yaml", "-w", "work"])
    assert done.exit_code == 2, done.stderr
    (said,) = done.stderr.splitlines()
    assert re.search(message, said)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


@pytest.mark.fault(46)
@pytest.mark.parametrize("assignment", ["gan.batch_size", "gan.batch_size.x=1", "seed.x=1", "=3"])
def test_bad_assignments_are_refused(assignment: str) -> None:
    with pytest.raises(ConfigurationError):
        load_config(assignments=["seed=1", assignment])


def test_numbers_like_2e_4_are_numbers() -> None:
    config = load_config(assignments=["gan.learning_rate_generator=2e-4"])
    assert config.gan.learning_rate_generator == 2e-4


@pytest.mark.parametrize(("text", "ratio"), [("2:1", "2:1"), ("2", "2:1"), ("2.5:1", "5:2")])
def test_a_ratio_needs_no_quotes(tmp_path: Path, text: str, ratio: str) -> None:
    (tmp_path / "recipe.yaml").write_text(f"synthesis:\n  ratio: {text}\n")
    for config in (
        load_config(tmp_path / "recipe.yaml"),
        load_config(assignments=[f"synthesis.ratio={text}"]),
    ):
        assert config.synthesis.ratio == ratio


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("1:30", "1:30"),
        ("2026-01-02", "2026-01-02"),
        ("true", True),
        ("null", None),
        ("", None),
        ("-3", -3),
        ("1e-3", 0.001),
        (".5", 0.5),
    ],
)
def test_words_are_read_as_yaml_1_2_reads_them(text: str, value: object) -> None:
    assert yaml.load(text, Loader=_StrictLoader) == value


def test_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="smoke"):
        load_config("smok")


@pytest.mark.parametrize("name", bundled_recipes())
def test_every_bundled_recipe_loads(name: str) -> None:
    assert isinstance(load_config(name), BalancerConfig)


def test_default_yaml_lists_every_key_with_its_default_and_a_comment() -> None:
    text = (importlib.resources.files("configs") / "default.yaml").read_text()
    # Records leave unused settings out; the values themselves hold every key.
    values = json.loads(json.dumps(BalancerConfig().model_dump(), default=str))
    assert yaml.safe_load(text) == values
    keys = [line for line in text.splitlines() if line.startswith(" ") and ":" in line]
    assert [
        line for line in keys if "#" not in line and not line.strip().startswith("augment:")
    ] == []


def test_bam_net_is_the_papers_recipe() -> None:
    gan = load_config("bam-net").gan
    assert (gan.batch_size, gan.beta1, gan.augment, gan.image_size) == (32, 0.5, (), 64)
    assert gan.learning_rate_generator == gan.learning_rate_discriminator == 2e-4
    assert (gan.upsampling, gan.discriminator_norm, gan.full_resolution) == (
        "transposed", "batch", False,
    )  # fmt: skip
    assert (gan.decay_share, gan.ema_half_life, gan.companion_share, gan.keep) == (0, 0, 0, "last")
    assert load_config("bam-net").synthesis.screen == ()


def test_a_configuration_cannot_be_changed() -> None:
    config: Any = BalancerConfig()
    assert isinstance(config, BaseModel)
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "results").glob("*/recipe.yaml")), ids=lambda p: p.parent.name
)
def test_the_recipes_of_committed_results_say_what_was_done_then(path: Path) -> None:
    """Those of early studies are `first-ablations`; a later one is that of the defaults."""
    is_early = path.parent.name in ("ablation-darkcovid", "darkcovid-default")
    then = load_config("first-ablations" if is_early else "default").classifier
    same = {"input_size", "image_size", "members"}  # a study records the number that it chose
    assert load_config(path).classifier.model_dump(exclude=same) == then.model_dump(exclude=same)
