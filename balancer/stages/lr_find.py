"""`balancer lr-find`: find the learning rate that the classifier tolerates."""

import logging
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import RenderableType

from balancer.config import BalancerConfig
from balancer.data.index import load_index, training_table
from balancer.errors import ConfigurationError
from balancer.evaluation.classifier_recipe import complete_recipe
from balancer.resources import check_accelerator, one_device
from balancer.results import Record, StageResult, perform, standing_result
from balancer.workspace import Workspace
from classifier.lr_finder import RateSearch, find_learning_rate

log = logging.getLogger(__name__)
PICTURE = "lr-find.png"


class LrFindMetrics(Record):
    """Metrics of `balancer lr-find`.

    Attributes:
        suggestion: Learning rate at which the loss falls fastest; None where it falls nowhere.
        rates: Learning rates, one per step.
        losses: Smoothed training losses, one per step.
    """

    suggestion: float | None
    rates: list[float]
    losses: list[float]


def run(
    config: BalancerConfig, workspace: Workspace, *, force: bool = False
) -> StageResult[LrFindMetrics]:
    """Raise the learning rate during a short training on the training split.

    Args:
        config: Sections `classifier`, `hardware` and `seed` are used.
        workspace: Reads `index/`; writes `lr-find/`.
        force: Search again even if the result is up to date.

    Raises:
        MissingStage: There is no index.
        ConfigurationError: The model cannot be built.
        EnvironmentFault: The accelerator is missing.
    """
    check_accelerator(config.hardware)
    index = load_index(workspace.index_dir)
    config = complete_recipe(config, beside_generated=workspace.has_generated())
    settings = {"seed": config.seed, "classifier": config.classifier.model_dump(mode="json")}
    inputs = {"index": index.index_hash}
    directory = workspace.lr_find_dir
    standing = standing_result(
        directory,
        LrFindMetrics,
        settings=settings,
        inputs=inputs,
        force=force,
        files=[PICTURE],
    )
    if standing is not None:
        return standing

    def work(folder: Path) -> LrFindMetrics:
        train = training_table(index.image_set(config.classifier_image_size), index.classes, None)
        try:
            search = find_learning_rate(
                config.classifier,
                train,
                n_classes=len(index.classes),
                seed=config.seed,
                hardware=one_device(config.hardware, "lr-find"),
            )
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        draw(search, config.classifier.model, folder / PICTURE)
        return LrFindMetrics(
            suggestion=search.suggestion,
            rates=search.rates.tolist(),
            losses=search.losses.tolist(),
        )

    return perform("lr-find", workspace, directory, settings=settings, inputs=inputs, work=work)


def summary(result: StageResult[LrFindMetrics]) -> list[RenderableType]:
    """Return what the terminal shows of a result."""
    found = result.metrics.suggestion
    if found is None:
        return [f"The loss fell at no rate; check {PICTURE} and the images."]
    return [
        f"The loss falls fastest at a learning rate of {found:.1e}; pass it with "
        f"--set classifier.learning_rate={found:.1e}"
    ]


def draw(search: RateSearch, title: str, path: Path) -> None:
    """Draw the smoothed loss against the rate, and the suggestion."""
    figure = Figure(figsize=(6, 4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(search.rates, search.losses, color="#4c566a")
    if search.suggestion is not None:
        axes.axvline(search.suggestion, linestyle=":", color="#bf3f5f")
        axes.annotate(
            f" fastest fall: {search.suggestion:.1e}",
            (search.suggestion, 1.0),
            xycoords=("data", "axes fraction"),
            va="top",
            color="#bf3f5f",
        )
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed", title=title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
