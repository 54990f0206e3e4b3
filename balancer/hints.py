"""Commands that a message advises, with the options that the user gave, so that they fit.

A module of its own because commands and stages must not know of each other's options.

Small because it is the one place that knows how a command is written.
"""

import re
import shlex
from collections.abc import Iterator

import click
from click.core import ParameterSource

_COMMAND = re.compile(r"`balancer ([a-z-]+)([^`]*)`")
_OWN = ("as_json", "force", "verbose", "quiet", "list_layouts", "dry_run", "strict")
"""Options that concern one call only."""
_COMPLETE = ("--list-layouts", "--help")


def with_options(sentence: str, context: click.Context | None) -> str:
    """Add the options given on the command line to each command in a sentence that has them too.

    Args:
        sentence: Text with commands in backticks, such as "run `balancer gan-train` first".
        context: Running command; None: outside a command, nothing is added.
    """
    if context is None:
        return sentence
    group = context.find_root().command

    def complete(match: re.Match[str]) -> str:
        name, rest = match[1], match[2]
        target = group.get_command(context, name) if isinstance(group, click.Group) else None
        if target is None or any(option in rest for option in _COMPLETE):
            return match[0]
        return f"`balancer {name}{rest}{''.join(_options(context, target, rest))}`"

    return _COMMAND.sub(complete, sentence)


def _options(context: click.Context, target: click.Command, rest: str) -> Iterator[str]:
    known = {param.name for param in target.params if isinstance(param, click.Option)}
    for param in context.command.params:
        name = param.name or ""
        if name not in known or name in _OWN or not isinstance(param, click.Option):
            continue
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        if any(option in rest.split() for option in param.opts):
            continue
        value = context.params.get(name)
        if param.is_flag:
            yield f" {param.opts[-1]}"
            continue
        for one in value if isinstance(value, tuple) else (value,):
            yield f" {param.opts[0]} {shlex.quote(str(one))}"
