"""Trials of torch on this machine, run as a process of its own: `python -m balancer.doctor.trial`.

A library that was built for another processor ends the process; its parent then still reports. Each
finding is a line of JSON on stdout.
"""

import sys
import time
from collections.abc import Callable, Iterator

from balancer.doctor.records import Condition, Health
from balancer.threads import THREAD_SETTINGS, TRIAL_BATCH, available_cores, seconds_of, trial_step

REFERENCE_STEPS = 1900.0
"""Images a second of the trial step on one thread of an AMD EPYC server."""
REFERENCE_FEATURES = 140.0
"""Images a second of Lite0 features at 128 px on the same thread."""
_SPEED_SECONDS = 3.0
_TOLERANCE = 1e-2
"""Largest accepted difference from the CPU, with the rounding of TF32."""
_SLOW = 0.25
"""Share of the reference below which the speed is noted."""

STEPS = ("torch", "device", "threads", "weights", "speed")
"""Names of the findings, in their order."""


def main() -> None:
    """Print the findings, each as soon as it is known."""
    for finding in findings():
        sys.stdout.write(finding.model_dump_json() + "\n")
        sys.stdout.flush()


def findings() -> Iterator[Condition]:
    """Yield the findings of `STEPS`; the first fault is the last one."""
    steps: list[Callable[[], Condition]] = [_torch, _device, _threads, _weights, _speed]
    for name, step in zip(STEPS, steps, strict=True):
        try:
            found = step()
        except Exception as error:  # whatever it is, it is what the user has to know
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            found = Condition(name=name, health=Health.FAULT, found=reason, cure=_CURES[name])
        yield found
        if found.health is Health.FAULT:
            return


_CURES = {
    "torch": "install PyTorch again, for this machine: https://pytorch.org/get-started/locally",
    "device": "install the PyTorch of this driver, or use --accelerator cpu",
    "threads": "set OMP_NUM_THREADS=1",
    "weights": "install the libraries again: pip install --force-reinstall balancer",
    "speed": "install the libraries again: pip install --force-reinstall balancer",
}


def _torch() -> Condition:
    import torch
    import torchvision

    kind = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)  # fails if not of this torch
    return Condition(name="torch", health=Health.OK, found=f"{torch.__version__}, {kind}")


def _device() -> Condition:
    import torch

    from balancer.resources import has_bf16

    has_cuda = torch.cuda.is_available()
    device = torch.device("cuda" if has_cuda else "cpu")
    name = torch.cuda.get_device_name() if has_cuda else "CPU"
    images = torch.linspace(-1, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)
    kernel = torch.linspace(-1, 1, 4 * 3 * 3 * 3).reshape(4, 3, 3, 3)
    wanted = torch.nn.functional.conv2d(images.double(), kernel.double())
    given = torch.nn.functional.conv2d(images.to(device), kernel.to(device)).cpu().double()
    error = float((given - wanted).abs().max())
    if not error < _TOLERANCE:
        return Condition(
            name="device",
            health=Health.FAULT,
            found=f"{name}: a convolution is wrong by {error:g}",
            cure=_CURES["device"],
        )
    found = f"{name}, a convolution is right"
    if has_bf16() and not has_cuda:
        found += "; bf16 in hardware: --precision bf16-mixed trains GANs quicker"
    return Condition(name="device", health=Health.OK, found=found)


def _threads() -> Condition:
    import os

    import torch

    cores, at_first = available_cores(), torch.get_num_threads()
    step = trial_step()
    seconds = {count: seconds_of(step, count) for count in sorted({1, cores})}
    torch.set_num_threads(at_first)
    own = [f"{name}={os.environ[name]}" for name in THREAD_SETTINGS if os.environ.get(name)]
    costs = ", ".join(f"{count}: {1000 * value:.1f} ms" for count, value in seconds.items())
    found = f"{cores} cores; a training step with threads {costs}; {', '.join(own) or 'none set'}"
    if seconds[cores] > 1.25 * seconds[1]:
        cure = "other work keeps the cores busy: set OMP_NUM_THREADS=1"
        return Condition(name="threads", health=Health.NOTE, found=found, cure=cure)
    return Condition(name="threads", health=Health.OK, found=found)


def _weights() -> Condition:
    from pathlib import Path

    import torch

    from balancer.quality.extractors import INCEPTION_FILES
    from classifier.lite import lite_weights_path

    hub = Path(torch.hub.get_dir()) / "checkpoints"
    lite = [name for name in ("lite0", "lite1", "lite2") if lite_weights_path(name).is_file()]
    inception = any((hub / name).is_file() for name in INCEPTION_FILES)
    others = sum(1 for path in hub.glob("*.*") if path.name not in INCEPTION_FILES)
    found = f"{' and '.join(lite) or 'none'}; {others} other files in the cache of torch.hub"
    if len(lite) < 2:
        cure = _CURES["weights"]
        return Condition(name="weights", health=Health.FAULT, found=found, cure=cure)
    if not inception:
        cure = f"only for plain `fid`: put {INCEPTION_FILES[0]} into that cache"
        return Condition(
            name="weights", health=Health.NOTE, found=f"{found}; no Inception-v3 (2015)", cure=cure
        )
    return Condition(name="weights", health=Health.OK, found=f"{found}; Inception-v3 (2015)")


def _speed() -> Condition:
    import torch

    from balancer.quality.extractors import load_extractor

    torch.set_num_threads(1)
    network = load_extractor("lite0").network
    images = torch.zeros(8, 1, 128, 128, dtype=torch.uint8)
    steps = _rate(trial_step(), TRIAL_BATCH)
    features = _rate(lambda: network(images), len(images))
    found = (
        f"images/s of one thread: {steps:.0f} in trial steps (reference {REFERENCE_STEPS:.0f}), "
        f"{features:.0f} Lite0 features (reference {REFERENCE_FEATURES:.0f})"
    )
    share = min(steps / REFERENCE_STEPS, features / REFERENCE_FEATURES)
    if share < _SLOW:
        cure = "end other programs; estimates of `balancer ablate --dry-run` are of this machine"
        return Condition(name="speed", health=Health.NOTE, found=found, cure=cure)
    return Condition(name="speed", health=Health.OK, found=found)


def _rate(step: Callable[[], object], n_images: int) -> float:
    """Return images a second, over some seconds."""
    step()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < _SPEED_SECONDS:
        step()
        count += 1
    return count * n_images / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
