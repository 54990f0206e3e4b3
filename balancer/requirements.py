"""The check that the libraries installed are those that this version was made for.

It imports none of them, so that a wrong one is named before it fails or computes something else.
"""

from collections.abc import Iterator
from importlib import metadata

from balancer.errors import EnvironmentFault

_PACKAGE = "balancer"


def check_libraries(*extras: str) -> None:
    """Refuse libraries outside the bounds of `pyproject.toml`.

    The bounds are read from the metadata of the installed package. It takes about 10 ms beside the
    imports of `importlib.metadata` and `packaging`, which later imports need too.

    Args:
        extras: Extras that the command uses, such as `explain`: those of their libraries that are
            installed are checked too. A missing one is named where it is needed.

    Raises:
        EnvironmentFault: A library is of another version, or one that every command needs is
            missing.
    """
    try:
        listed = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise EnvironmentFault(
            f"The package {_PACKAGE} should be installed, but only its source is there; run "
            "`pip install -e .` in its folder."
        ) from None
    faults = list(_faults(listed, extras))
    if faults:
        targets = " ".join(f"'{wanted}'" for wanted, _ in faults)
        found = ", ".join(f"{wanted} (found {version or 'none'})" for wanted, version in faults)
        raise EnvironmentFault(
            f"The libraries should be of versions that this one was made for: {found}; run "
            f"`pip install {targets}`."
        )


def _faults(listed: list[str], extras: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """Yield each requirement that is not met, and the version that is installed."""
    # Imported here: it takes 10 ms, and `balancer --help` needs neither.
    from packaging.requirements import Requirement

    for text in listed:
        wanted = Requirement(text)
        if wanted.name == _PACKAGE:  # an extra that includes another one
            continue
        marker, always = wanted.marker, True
        if marker is not None and not marker.evaluate({"extra": ""}):
            always = False
            if not any(marker.evaluate({"extra": extra}) for extra in extras):
                continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            if always:
                yield f"{wanted.name}{wanted.specifier}", None
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            yield f"{wanted.name}{wanted.specifier}", version
