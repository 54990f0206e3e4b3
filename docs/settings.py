"""Print docs/settings.md, made from the models of the configuration and configs/default.yaml.

python docs/settings.py > docs/settings.md
"""

import ast
import inspect
import itertools
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from balancer.config import BalancerConfig, bundled_recipes

_CONFIGS = Path(__file__).parent.parent / "configs"

_HEAD = """# Settings

Every setting with its default and the values that it accepts. Change one with `--set KEY=VALUE`,
such as `--set gan.batch_size=32`, or write a YAML file with the settings that you change and pass
it as `-c my.yaml`. Later sources override earlier ones: default, `-c` file, `--set`, the command's
own option. [configs/default.yaml](../configs/default.yaml) has the same list as YAML.

This page is generated: `python docs/settings.py > docs/settings.md`.

## Bundled recipes

`-c NAME` with a name of this list; the file `configs/NAME.yaml` holds only what it changes.

{recipes}
- `papers/...`: the classifiers of five papers; see [papers.md](papers.md).
"""


def page() -> str:
    """Return the page as Markdown."""
    names = [name for name in bundled_recipes() if "/" not in name]
    recipes = "\n".join(f"- `{name}`: {_first_sentence(name)}" for name in names)
    return "\n".join([_HEAD.format(recipes=recipes), *_sections("", BalancerConfig)]) + "\n"


def _first_sentence(recipe: str) -> str:
    """Return the first sentence of the comment at the top of a bundled recipe."""
    lines = (_CONFIGS / f"{recipe}.yaml").read_text().splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("# "), lines)
    return (
        " ".join(line.removeprefix("# ") for line in comment).partition(". ")[0].rstrip(".") + "."
    )


def _comments() -> dict[str, str]:
    """Return the comment beside each key of configs/default.yaml, by dotted key."""
    found: dict[str, str] = {}
    path: list[str] = []
    for line in (_CONFIGS / "default.yaml").read_text().splitlines():
        match = re.match(r"( *)(\w+):.*?(?: # (.*))?$", line)
        if match:
            path[len(match[1]) // 2 :] = [match[2]]
            found[".".join(path)] = (match[3] or "").strip()
    return found


def _sections(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    """Yield a table per section, depth first; a model's own plain settings come first."""
    inner = {name: field for name, field in model.model_fields.items() if _is_section(field)}
    rows = [
        f"| `{prefix}{name}` | `{_default(field)}` | {_values(field)} | {text} |"
        for name, field in model.model_fields.items()
        if name not in inner
        for text in [_descriptions(model).get(name) or _comments()[prefix + name]]
    ]
    if rows:
        title = f"`{prefix[:-1]}`" if prefix else "General"
        yield f"## {title}\n\n{inspect.getdoc(model) or ''}\n"
        yield "| setting | default | values | meaning |\n|---|---|---|---|"
        yield "\n".join(rows) + "\n"
    for name, field in inner.items():
        yield from _sections(f"{prefix}{name}.", _model(field))


def _is_section(field: FieldInfo) -> bool:
    return inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel)


def _model(field: FieldInfo) -> type[BaseModel]:
    assert inspect.isclass(field.annotation)  # noqa: S101 - narrowed by _is_section
    return field.annotation


def _default(field: FieldInfo) -> str:
    plain = field.get_default(call_default_factory=True)
    return json.dumps(plain, default=str, ensure_ascii=False).replace('"', "")


def _values(field: FieldInfo) -> str:
    """Return the choices or the range of a setting, in words."""
    choices = list(dict.fromkeys(_choices(field.annotation)))
    limits = []
    for part in field.metadata:
        for sign, attribute in ((">=", "ge"), (">", "gt"), ("<=", "le"), ("<", "lt")):
            limit = getattr(part, attribute, None)
            if limit is not None:
                limits.append(f"{sign} {limit}")
    return ", ".join([*(f"`{choice}`" for choice in choices), *limits])


def _choices(annotation: object) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
        return
    for part in get_args(annotation):
        yield from _choices(part)


def _descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring below each field of a model and of its bases."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not issubclass(kind, BaseModel) or kind is BaseModel:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
        assert isinstance(body, ast.ClassDef)  # noqa: S101 - the source of a class
        for field, below in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                text = " ".join(str(below.value.value).split())
                found[field.target.id] = text.replace("|", "\\|")
    return found


if __name__ == "__main__":
    click.echo(page(), nl=False)
