"""Seconds of the pilot of `balancer ablate --dry-run`, and what it says.

python benchmarks/pilot.py -w WORKSPACE

The workspace needs an index (`balancer prepare`); its features are neither used nor changed.
"""

import tempfile
import time
from pathlib import Path

import click
import torch

from balancer.ablation.pilot import run_pilot
from balancer.ablation.plan import make_plan
from balancer.config import load_config
from balancer.data.index import load_index
from balancer.workspace import Workspace

AIM = 120.0


class _EmptyCache(Workspace):
    """A workspace whose features are kept elsewhere."""

    def __init__(self, root: Path, cache: Path) -> None:
        super().__init__(root)
        self._cache = cache

    @property
    def feature_cache_dir(self) -> Path:
        """Folder of the features."""
        return self._cache


@click.command()
@click.option("-w", "--workspace", type=click.Path(path_type=Path), required=True)
def main(workspace: Path) -> None:
    """Print the seconds of both rounds and the sentences of the pilot."""
    config = load_config()
    index = load_index(Workspace(workspace).index_dir)
    plan = make_plan(config, index)
    click.echo(f"{len(index.records)} images, {torch.get_num_threads()} threads of torch")
    with tempfile.TemporaryDirectory() as folder:
        place = _EmptyCache(workspace, Path(folder))
        for name in ("features extracted", "features read back"):
            started = time.perf_counter()
            result = run_pilot(config, place, index, plan)
            seconds = time.perf_counter() - started
            click.echo(
                f"{name}: {seconds:.1f} s for {result.pilot_splits} splits (aim {AIM:.0f} s)"
            )
    for sentence in result.sentences:
        click.echo(sentence)


if __name__ == "__main__":
    main()
