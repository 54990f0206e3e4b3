from pathlib import Path

import numpy as np
import pytest
import torch

from gan import load, sample
from gan.checkpoint import save_generator
from gan.networks import Generator
from gan.sampling import generate, interpolate
from support.tiny_gan import PROVENANCE, recipe


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(5)
    network = Generator(recipe())
    torch.nn.init.normal_(network.draw.weight)  # an untrained one draws only grey
    for _ in range(3):  # so that the statistics are not the initial ones
        network(torch.randn(16, 8) * 3)
    return network


def collect(generator: Generator, start: int, count: int, seed: int = 0) -> dict[int, bytes]:
    images = {}
    for first, batch in generate(generator, start=start, count=count, seed=seed):
        assert batch.dtype == np.uint8
        assert batch.shape[1:] == (32, 32)
        for offset, image in enumerate(batch):
            images[first + offset] = image.tobytes()
    return images


@pytest.mark.parametrize(
    ("start", "count"), [(0, 200), (0, 1), (63, 2), (64, 64), (100, 90), (199, 1)]
)
def test_an_image_depends_on_its_number_alone(generator: Generator, start: int, count: int) -> None:
    everything = collect(generator, 0, 200)
    part = collect(generator, start, count)
    assert list(part) == list(range(start, start + count))
    assert all(everything[number] == image for number, image in part.items())


def test_images_and_seeds_differ(generator: Generator) -> None:
    one, other = collect(generator, 0, 130), collect(generator, 0, 130, seed=1)
    assert len(set(one.values()) | set(other.values())) == 260


def test_no_images(generator: Generator) -> None:
    assert list(generate(generator, start=70, count=0, seed=0)) == []


@pytest.mark.parametrize(("start", "n"), [(0, 0), (0, 130), (63, 2)])
def test_a_sample_is_the_batches_in_one_array(generator: Generator, start: int, n: int) -> None:
    images = sample(generator, n, seed=1, start=start)
    assert (images.dtype, images.shape) == (np.uint8, (n, 32, 32))
    batches = collect(generator, start, n, seed=1)
    assert [image.tobytes() for image in images] == list(batches.values())


def test_making_images_leaves_the_network_as_it_was(generator: Generator) -> None:
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    collect(generator, 0, 10)
    assert all(torch.equal(before[name], v) for name, v in generator.state_dict().items())


def test_negative_numbers_are_refused(generator: Generator) -> None:
    with pytest.raises(ValueError, match="start"):
        next(generate(generator, start=-1, count=1, seed=0))
    with pytest.raises(ValueError, match=r"\bn\b"):
        sample(generator, -1)


def test_a_walk_goes_in_small_steps_from_one_image_to_another(
    generator: Generator, tmp_path: Path
) -> None:
    save_generator(tmp_path, generator, provenance=PROVENANCE, seed=0, images_shown=1)
    loaded = load(tmp_path)
    walks = interpolate(loaded, walks=3, steps=21, seed=4)
    assert walks.shape == (63, 32, 32)
    assert walks.dtype == np.uint8
    images = walks.reshape(3, 21, 32, 32).astype(float)
    steps = np.abs(np.diff(images, axis=1)).mean(axis=(1, 2, 3)) * 20
    whole = np.abs(images[:, -1] - images[:, 0]).mean(axis=(1, 2))
    assert (steps < 4 * whole).all()
    assert np.array_equal(walks, interpolate(loaded, walks=3, steps=21, seed=4))
    assert not np.array_equal(walks, interpolate(loaded, walks=3, steps=21, seed=5))
