"""A denoising diffusion model (Ho 2020, arXiv 2006.11239) of the package diffusers as a generator.

python benchmarks/ddpm_generator.py TRAIN OUT COUNT SEED STATE [--steps 4000] [--size 32]

A U-Net of 1.5 million weights learns to remove noise from the images of TRAIN, read at SIZE pixels,
by 1,000 steps of noise; DDIM (Song 2021, arXiv 2010.02502) draws in 50. A checkpoint is written to
STATE every 200 steps, so that a stopped training resumes. Needs `pip install diffusers`. As an arm:
'command name=ddpm run="python benchmarks/ddpm_generator.py {train} {out} {count} {seed} {state}"'.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel

_BATCH, _RATE, _EVERY, _DRAWN_AT_ONCE = 16, 2e-4, 200, 32


def network(size: int) -> UNet2DModel:
    """Build the U-Net."""
    return UNet2DModel(
        sample_size=size, in_channels=1, out_channels=1, layers_per_block=1,
        block_out_channels=(32, 64, 64), norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )  # fmt: skip


def train(films: torch.Tensor, model: UNet2DModel, steps: int, seed: int, state: Path) -> None:
    """Train, or resume; every step draws from (seed, step), so a stop changes nothing."""
    noise = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    path, first, start = state / "checkpoint.pt", 0, time.monotonic()
    if path.is_file():
        saved = torch.load(path, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["step"]
    for step in range(first, steps):
        rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
        rows = torch.randint(len(films), (_BATCH,), generator=rng)
        clean = films[rows]
        added = torch.randn(clean.shape, generator=rng)
        times = torch.randint(1000, (_BATCH,), generator=rng)
        predicted = model(noise.add_noise(clean, added, times), times).sample
        loss = torch.nn.functional.mse_loss(predicted, added)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % _EVERY == 0 or step + 1 == steps:
            saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(saved | {"step": step + 1}, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)
            speed = (time.monotonic() - start) / (step + 1 - first)
            print(f"step {step + 1} of {steps}, loss {loss:.4f}, {speed:.3f} s a step", flush=True)


@torch.inference_mode()
def draw(model: UNet2DModel, count: int, size: int, seed: int) -> np.ndarray:
    """Draw images: uint8 (count, size, size)."""
    schedule = DDIMScheduler(num_train_timesteps=1000)
    schedule.set_timesteps(50)
    rng = torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, count, _DRAWN_AT_ONCE):
        images = torch.randn((min(_DRAWN_AT_ONCE, count - start), 1, size, size), generator=rng)
        for step in schedule.timesteps:
            images = schedule.step(model(images, step).sample, step, images).prev_sample
        parts.append(images)
    return ((torch.cat(parts)[:, 0].clamp(-1, 1) + 1) * 127.5).round().numpy().astype(np.uint8)


def main() -> None:
    """Train and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in (("train", Path), ("out", Path), ("count", int), ("seed", int)):
        parser.add_argument(name, type=kind)
    parser.add_argument("state", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--size", type=int, default=32)
    asked = parser.parse_args()
    paths = sorted(asked.train.iterdir())
    films = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    side, size = films[0].shape[0], (asked.size, asked.size)
    small = np.stack([cv2.resize(film, size, interpolation=cv2.INTER_AREA) for film in films])
    scaled = torch.from_numpy(small)[:, None].float() / 127.5 - 1
    torch.manual_seed(asked.seed)
    model = network(asked.size)
    train(scaled, model, asked.steps, asked.seed, asked.state)
    model.eval()
    start = time.monotonic()
    images = draw(model, asked.count, asked.size, asked.seed)
    print(f"drew {asked.count} images in {time.monotonic() - start:.1f} s")
    for number, image in enumerate(images):
        grown = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(asked.out / f"{number:05d}.png"), grown)


if __name__ == "__main__":
    main()
