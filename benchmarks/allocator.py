"""Gain from keeping freed memory: training steps with and without, each in its own process.

Usage: python benchmarks/allocator.py [--rounds 3]

Both are timed in turn, and the ratio is that of the medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

NETWORKS = {"lite0 at 224 px, batch 32": 224, "lite0 at 128 px, batch 32": 128}
_STEPS = 6


def main() -> None:
    """Time every network both ways, or (as a child) one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=2, metavar=("SIDE", "KEEP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(time_steps(int(options.child[0]), keep=options.child[1] == "keep")))
        return
    for name, side in NETWORKS.items():
        seconds: dict[str, list[float]] = {"default": [], "keep": []}
        for _ in range(options.rounds):
            for way, found in seconds.items():
                found.append(_in_a_process(side, way))
        default, keep = (statistics.median(seconds[way]) for way in ("default", "keep"))
        print(
            f"{name}: {32 / default:.1f} images/s by default, {32 / keep:.1f} with freed memory "
            f"kept: {default / keep:.2f} times"
        )


def _in_a_process(side: int, way: str) -> float:
    command = [sys.executable, __file__, "--child", str(side), way]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout))


def time_steps(side: int, *, keep: bool) -> float:
    """Median seconds of an optimizer step, after two to warm up."""
    import torch
    import torch.nn.functional as F

    from balancer.allocator import keep_freed_memory
    from classifier.config import ClassifierConfig
    from classifier.models import build

    if keep and not keep_freed_memory():
        sys.exit("This benchmark wants glibc.")
    network = build(ClassifierConfig(input_size=side), 2).train()
    optimizer = torch.optim.AdamW(network.parameters())
    images = torch.randint(0, 256, (32, 1, side, side), dtype=torch.uint8)
    labels = torch.arange(32) % 2
    seconds = []
    for _ in range(_STEPS):
        began = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])


if __name__ == "__main__":
    main()
