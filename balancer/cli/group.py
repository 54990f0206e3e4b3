"""The group of commands: their order, and their exit codes."""

import atexit
import gc
from typing import Any

import click

from balancer.command import own_exit_codes, settle_streams


class InOrder(click.Group):
    """A group that lists its commands in the order of the work, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which the commands were added."""
        return list(self.commands)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the words of the command line."""
        with own_exit_codes():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with own_exit_codes():
            return super().invoke(ctx)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line of this process, and end it soon.

        The interpreter would search all that torch and others leave for cycles before it exits,
        for a second or two of CPU time, which on a busy machine looks as if it hung.
        """
        atexit.register(gc.freeze)
        return super().__call__(*args, **kwargs)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line and exit."""
        try:
            return super().main(*args, **kwargs)
        finally:
            settle_streams()
