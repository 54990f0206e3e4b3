"""Checks of arguments, each one sentence for the caller."""

from typing import Any


def require_kind(name: str, value: object, kind: type[Any]) -> None:
    """Refuse a value of another type.

    Args:
        name: Name of the argument.
        value: Its value; None is accepted.
        kind: Its type.

    Raises:
        ValueError: The value is of another type.
    """
    if value is not None and not isinstance(value, kind):
        raise ValueError(
            f"{name} should be a {kind.__name__} but is of type {type(value).__name__}; "
            f"make one with gan.{kind.__name__}(...)."
        )


def require_whole(**numbers: object) -> None:
    """Refuse numbers that are not whole or are negative.

    Raises:
        ValueError: One of them is.
    """
    for name, value in numbers.items():
        if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 0:
            raise ValueError(
                f"{name} should be a whole number, at least 0, but is {value!r:.60}; change it."
            )
