"""Seconds of `balancer --help`, and what it imports.

python benchmarks/startup.py [--rounds 5]
"""

import subprocess
import sys
import time

import click

HEAVY = {"torch", "lightning", "sklearn", "matplotlib", "scipy", "pandas", "numpy"}


def seconds_of_help() -> float:
    """Of a fresh process."""
    code = "from balancer.cli import main; main(['--help'])"
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def heavy_imports() -> list[str]:
    """Those of HEAVY that `--help` loads."""
    code = (
        "import sys\nfrom balancer.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(' '.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return sorted(HEAVY & set(done.stderr.split()))


@click.command()
@click.option("--rounds", default=5, show_default=True)
def main(rounds: int) -> None:
    """Print the best and the worst time of the rounds."""
    times = [seconds_of_help() for _ in range(rounds)]
    print(f"balancer --help: {min(times):.2f} s (worst of {rounds}: {max(times):.2f} s)")
    print(f"heavy packages it imports: {', '.join(heavy_imports()) or 'none'}")


if __name__ == "__main__":
    main()
