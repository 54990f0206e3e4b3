"""FID and KID, ours against torch-fidelity's own call on the same images and extractor.

Usage: python benchmarks/quality.py [--data FOLDER FOLDER] [--images 1000] [--side 64] [--rounds 2]

"Plain" is the extractor as one would register it: timm's network as it comes, default memory
format. Both sides start from uint8 arrays and build the network within the time that is measured.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.ndimage
import timm
import torch
import torch.nn.functional as F
import torch_fidelity
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from balancer.data.io import read_radiograph, resize_square
from balancer.quality.assess import assess
from balancer.quality.config import GateConfig, QualityConfig
from balancer.quality.distances import Kernels, frechet_distance, kid_of_subsets
from balancer.quality.extractors import LITE0_SIDE, Lite0Extractor, load_extractor
from balancer.quality.features import features_of
from balancer.quality.measure import measure
from balancer.quality.sets import ClassImages
from classifier.lite import PIXEL_MEAN, PIXEL_SCALE, lite_weights_path

SUBSETS, SUBSET_SIZE = 100, 100


class PlainLite0(Lite0Extractor):
    """The same recipe without our changes to the network."""

    def __init__(self, name, features_list, **options):
        super().__init__(name, features_list, **options)
        self.trunk = timm.create_model("tf_efficientnet_lite0")
        bundled = torch.load(lite_weights_path("lite0"), weights_only=True)
        self.trunk.load_state_dict(
            dict(zip(self.trunk.state_dict(), bundled.values(), strict=True))
        )
        self.trunk.reset_classifier(0)

    def forward(self, images):
        """Extract: uint8 (N, 3, H, W) -> (float32 (N, 1280),)."""
        pixels = F.interpolate(
            images.float(), (LITE0_SIDE, LITE0_SIDE), mode="bilinear", antialias=True
        )
        return (self.trunk((pixels - PIXEL_MEAN) / PIXEL_SCALE),)


class Rgb(torch.utils.data.Dataset):
    """Grey images as torch-fidelity wants them: uint8 (3, S, S)."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return torch.from_numpy(self.images[index]).expand(3, -1, -1)


def drawn(n: int, side: int, softness: float, seed: int) -> np.ndarray:
    """Draw clouds of grey, uint8 (n, side, side); `softness` makes two sets differ."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, side, side), dtype=np.float32)
    soft = scipy.ndimage.gaussian_filter(noise, (0, softness, softness))
    grey = 127 + 50 * soft / soft.std(axis=(1, 2), keepdims=True)
    return grey.clip(0, 255).astype(np.uint8)


def read(folder: Path, n: int, side: int) -> np.ndarray:
    """Read the first n radiographs of a folder, uint8 (n, side, side)."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
    return np.stack([resize_square(read_radiograph(path), side) for path in paths[:n]])


def ours(fake: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """FID and KID as `measure` takes them, without interval and floor."""
    extractor = load_extractor("lite0")
    a, b = features_of(extractor, fake), features_of(extractor, real)
    return of_features(a, b)


def of_features(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Our distances."""
    kid = kid_of_subsets(Kernels.of(a, b), subsets=SUBSETS, subset_size=SUBSET_SIZE)
    return {"FID": frechet_distance(a, b), "KID": kid}


def theirs(fake: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """torch-fidelity's own call."""
    values = torch_fidelity.calculate_metrics(
        input1=Rgb(fake), input2=Rgb(real), fid=True, kid=True, cuda=False, save_cpu_ram=True,
        feature_extractor="plain-lite0", kid_subsets=SUBSETS, kid_subset_size=SUBSET_SIZE,
        cache=False, verbose=False,
    )  # fmt: skip
    return {
        "FID": values[torch_fidelity.KEY_METRIC_FID],
        "KID": values[torch_fidelity.KEY_METRIC_KID_MEAN],
    }


def their_distances(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """torch-fidelity's distances of given features, float64."""
    x, y = torch.from_numpy(a).double(), torch.from_numpy(b).double()
    fid = fid_statistics_to_metric(
        fid_features_to_statistics(x), fid_features_to_statistics(y), verbose=False
    )
    kid = kid_features_to_metric(
        x, y, kid_subsets=SUBSETS, kid_subset_size=SUBSET_SIZE, verbose=False
    )
    return {
        "FID": fid[torch_fidelity.KEY_METRIC_FID],
        "KID": kid[torch_fidelity.KEY_METRIC_KID_MEAN],
    }


def whole_gate(n: int, side: int) -> tuple[float, int]:
    """Seconds of everything `balancer quality` measures, and how many images that takes."""
    own, made = drawn(n + n // 10, side, 4.0, seed=2), drawn(n, side, 3.5, seed=3)
    other = drawn(n // 2 + n // 10, side, 6.0, seed=4)
    images = ClassImages(
        "own",
        accepted=made,
        made=made,
        training={"own": own[:n], "other": other[: n // 2]},
        validation={"own": own[n:], "other": other[n // 2 :]},
    )
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        assess(
            images,
            extractors={"lite0": load_extractor("lite0")},
            quality=QualityConfig(),
            gate=GateConfig(),
            seed=0,
            cache=Path(cache),
        )
        return time.perf_counter() - start, len(own) + len(made) + len(other)


def timed(work: Callable[[], dict[str, float]]) -> tuple[float, dict[str, float]]:
    """Run once."""
    start = time.perf_counter()
    values = work()
    return time.perf_counter() - start, values


def main() -> None:
    """Print times, their ratio and the differences of the values."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs=2, type=Path, metavar="FOLDER", help="default: drawn")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    if options.data:
        fake, real = (read(folder, options.images, options.side) for folder in options.data)
    else:
        fake = drawn(options.images, options.side, 3.0, seed=0)
        real = drawn(options.images, options.side, 4.0, seed=1)
    torch_fidelity.register_feature_extractor("plain-lite0", PlainLite0)
    print(
        f"{len(fake)} + {len(real)} images of {options.side} px, Lite0 at {LITE0_SIDE} px, "
        f"{torch.get_num_threads()} threads"
    )
    times = []
    for number in range(1, options.rounds + 1):
        plain_s, plain = timed(lambda: theirs(fake, real))
        our_s, our = timed(lambda: ours(fake, real))
        print(
            f"round {number}: torch-fidelity {plain_s:.1f} s, ours {our_s:.1f} s, "
            f"ratio {plain_s / our_s:.1f}x"
        )
        times.append((plain_s, our_s))
    # Another process can only slow a round down, so the fastest of each side is the fair pair.
    best_plain, best_ours = (min(side) for side in zip(*times, strict=True))
    print(f"best of each: {best_plain:.1f} s / {best_ours:.1f} s = {best_plain / best_ours:.1f}x")
    extractor = load_extractor("lite0")
    whole_s, _ = timed(lambda: measure(fake, real, extractor=extractor))
    print(f"ours with the KID interval and the real-against-real floor: {whole_s:.1f} s")
    for n in (options.images, 2_000):
        seconds, total = whole_gate(n, options.side)
        print(f"the whole gate, {n} synthetic images beside {total - n} real ones: {seconds:.1f} s")
    a, b = features_of(extractor, fake), features_of(extractor, real)
    same, same_ours = their_distances(a, b), of_features(a, b)
    for name in ("FID", "KID"):
        end_to_end = abs(our[name] / plain[name] - 1)
        on_features = abs(same_ours[name] / same[name] - 1)
        print(
            f"{name}: {our[name]:.7g}, torch-fidelity {plain[name]:.7g}; relative difference "
            f"{end_to_end:.1e} end to end, {on_features:.1e} on the same features"
        )


if __name__ == "__main__":
    main()
