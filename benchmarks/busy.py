"""Cost of other work on the same cores: GAN steps, or a whole run, alone and beside busy processes.

Usage: python benchmarks/busy.py [--seconds 5] [--run RECIPE]

Steps are those of the default 64 px GAN: with threads as OpenMP leaves them, with threads that spin
briefly as the command line sets them, and with one thread. With `--run demo` the whole
`balancer run -c demo` is timed from fresh folders (minutes). Both in processes of their own,
without OMP_NUM_THREADS, beside as many busy processes as cores. Aim for the run: at most 2.5 times.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[1]
WAYS = {
    "as OpenMP leaves them": {},
    "spinning briefly": {"GOMP_SPINCOUNT": "3000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}


def main() -> None:
    """Time the steps or the run both ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--run", metavar="RECIPE")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(f"{_images_a_second(options.seconds):.1f}")
        return
    affinity = hasattr(os, "sched_getaffinity")
    n_cores = len(os.sched_getaffinity(0)) if affinity else os.cpu_count() or 1
    if options.run:
        alone, beside = (_time_run(count, options.run) for count in (0, n_cores))
        print(f"run -c {options.run}: {alone:.1f} s alone, {beside:.1f} s beside {n_cores} busy")
        print(f"slower by a factor of {beside / alone:.2f}")
        return
    child = [sys.executable, __file__, "--child", "--seconds", str(options.seconds)]
    for way, settings in WAYS.items():
        rates = []
        for count in (0, n_cores):
            with _busy(count):
                done = subprocess.run(
                    child, env=_environment(settings), capture_output=True, text=True, check=True
                )
            rates.append(float(done.stdout))
        print(f"{way}: {rates[0]:.1f} images/s alone, {rates[1]:.1f} beside {n_cores} busy")


def _environment(settings: dict[str, str]) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    kept = {key: value for key, value in os.environ.items() if key not in names}
    return kept | {"PYTHONPATH": str(_ROOT)} | settings


@contextlib.contextmanager
def _busy(count: int) -> Iterator[None]:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _time_run(n_busy: int, recipe: str) -> float:
    program = "from balancer.cli import main; main()"
    command = [sys.executable, "-c", program, "run", "-q", "-c", recipe]
    with _busy(n_busy), tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(
            [*command, "--workspace", f"{folder}/work"],
            env=_environment({}),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - started


def _images_a_second(seconds: float) -> float:
    """Return the real images that a plain training step of the default GAN takes in a second."""
    import torch
    from torch.nn.functional import softplus

    from balancer.allocator import keep_freed_memory
    from gan.config import GANConfig
    from gan.networks import Discriminator, Generator

    keep_freed_memory()
    config = GANConfig()
    generator, judge = (
        kind(config).to(memory_format=torch.channels_last) for kind in (Generator, Discriminator)
    )
    optimizers = [torch.optim.Adam(network.parameters(), 2e-4) for network in (generator, judge)]
    real = torch.randn(config.batch_size, 1, config.image_size, config.image_size)

    def step() -> None:
        made = generator(torch.randn(config.batch_size, config.latent_dim))
        of_judge = softplus(-judge(real)).mean() + softplus(judge(made.detach())).mean()
        optimizers[1].zero_grad()
        of_judge.backward()  # type: ignore[no-untyped-call]
        optimizers[1].step()
        optimizers[0].zero_grad()
        softplus(-judge(made)).mean().backward()  # type: ignore[no-untyped-call]
        optimizers[0].step()

    for _ in range(3):
        step()
    started, n = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        step()
        n += 1
    return config.batch_size * n / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
