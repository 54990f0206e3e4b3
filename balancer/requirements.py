"""The check that the libraries installed are those that this version was made for.

It imports none of them, so that a wrong one is named before it fails or computes something else.
"""

from collections.abc import Iterable, Iterator
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
    faults = library_faults(*extras)
    if faults:
        found = ", ".join(f"{wanted} (found {version or 'none'})" for wanted, version in faults)
        raise EnvironmentFault(
            f"The libraries should be of versions that this one was made for: {found}; run "
            f"`{pip_command(wanted for wanted, _ in faults)}`."
        )


def library_faults(*extras: str) -> list[tuple[str, str | None]]:
    """Return each requirement that is not met, and the version that is installed.

    Args:
        extras: As for `check_libraries`.

    Raises:
        EnvironmentFault: The package itself is not installed.
    """
    return [
        (wanted, version)
        for wanted, version, extra in _unmet(extras)
        if extra is None or version is not None
    ]


def missing_libraries(extra: str) -> list[str]:
    """Return the requirements of an extra that are not installed."""
    return [wanted for wanted, version, of in _unmet((extra,)) if of == extra and version is None]


def extra_names() -> list[str]:
    """Return the names of the extras, sorted; `dev`, of contributors, is none of them."""
    names = metadata.metadata(_PACKAGE).get_all("Provides-Extra") or []
    return sorted(set(names) - {"dev"})


def pip_command(targets: Iterable[str]) -> str:
    """Return the command that installs packages, quoted for a shell."""
    return " ".join(["pip install", *(f"'{target}'" for target in targets)])


def _unmet(extras: tuple[str, ...]) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield each requirement that is not met, the version found, and the extra that asks for it."""
    # Imported here: it takes 10 ms, and `balancer --help` needs neither.
    from packaging.requirements import Requirement

    try:
        listed = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise EnvironmentFault(
            f"The package {_PACKAGE} should be installed, but only its source is there; run "
            "`pip install -e .` in its folder."
        ) from None
    for text in listed:
        wanted = Requirement(text)
        if wanted.name == _PACKAGE:  # an extra that includes another one
            continue
        marker, extra = wanted.marker, None
        if marker is not None and not marker.evaluate({"extra": ""}):
            extra = next((one for one in extras if marker.evaluate({"extra": one})), None)
            if extra is None:
                continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield f"{wanted.name}{wanted.specifier}", None, extra
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            yield f"{wanted.name}{wanted.specifier}", version, extra
