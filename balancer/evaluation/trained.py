"""The one door to a trained classifier."""

from pathlib import Path

from balancer.data.index import Index
from balancer.errors import IntegrityError
from balancer.results import MissingStage, UntypedResult, read_result

ARMS = {"real": "balancer classify", "real+synthetic": "balancer classify --with-synthetic"}
"""The arms and the commands that train them."""


def trained_arm(directory: Path, arm: str, index: Index, *, wanted_by: str) -> UntypedResult:
    """The result of a classifier of today's split.

    Args:
        directory: The arm's folder.
        arm: Its name.
        index: Today's.
        wanted_by: Beginning of the sentence that says what wants it.

    Raises:
        MissingStage: It has not been trained.
        IntegrityError: It belongs to another split.
    """
    result = read_result(directory)
    if result is None:
        raise MissingStage(
            "classify",
            f"{wanted_by}, but {directory} does not exist; run `{ARMS[arm]}` first.",
            cheap=False,
        )
    if result.inputs.get("index") != index.index_hash:
        raise IntegrityError(
            f"{directory} was trained on another split than today's index.csv; run "
            f"`{ARMS[arm]} --force`."
        )
    return result
