"""Every benchmark in one run, one after another, each in a process of its own.

Usage: python benchmarks [--data FOLDER]
"""

import platform
import subprocess
import sys
from pathlib import Path

import click

HERE = Path(__file__).parent


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Images that the GAN is trained on; drawn noise without it.",
)
@click.option(
    "--rare", default="COVID", show_default=True, help="Class that the GAN is trained on."
)
@click.option("--other", default="Normal", show_default=True, help="Class to measure FID against.")
def main(data: Path | None, rare: str, other: str) -> None:
    """Print the ratios of all benchmarks; a quiet machine gives steady ones."""
    images = ["--data", str(data)] if data else []
    click.echo(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    for name, options in (
        ("startup", []),
        ("allocator", []),
        ("gan_training", images),
        ("synthesis", []),
        ("quality", []),
    ):
        click.echo(f"\n== {name}")
        subprocess.run([sys.executable, str(HERE / f"{name}.py"), *options], check=True)


if __name__ == "__main__":
    main()
