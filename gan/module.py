"""The training step of a DCGAN with DiffAugment and an averaged generator."""

import copy
import math
from dataclasses import asdict
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Adam, Optimizer

from gan.augment import diff_augment
from gan.config import GANConfig
from gan.losses import discriminator_loss, generator_gradient, generator_loss
from gan.networks import BatchNorm, Discriminator, Generator, initialise
from gan.randomness import BatchRandom, Purpose, random_stream
from gan.selection import SnapshotEvaluation, kept_snapshot
from gan.transforms import GREY, Channels, to_unit_range

RAMP_UP = 0.05
"""Maximum half-life of the average, as a share of the images shown so far."""
LEAST_LEARNING_RATE = 0.05
"""Share of the learning rate that remains at the end of the decay."""
STATISTICS_LATENTS = 512
"""Number of latents to measure the batch-norm statistics of the averaged generator on."""


class GANDiverged(RuntimeError):
    """A loss or weight became NaN or infinite in training.

    Example:
        >>> import gan, numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (64, 32, 32), dtype=np.uint8)
        >>> config = gan.GANConfig(image_size=32, images_shown=256)
        >>> try:
        ...     result = gan.train(images, config, out_dir="noise-gan")
        ... except gan.GANDiverged as error:
        ...     print(error)  # "... lower the learning rates"
    """


class LitDCGAN(LightningModule):
    """Generator, discriminator and the average of the generator, trained by manual optimisation.

    All randomness of a step is a function of the seed and `images_shown`, so these are the whole
    random state. It belongs to the images by their position in the batch of all devices together,
    and batch statistics are of this batch: several devices train as one does at the same total
    batch size, within rounding.

    Attributes:
        config: Recipe.
        images_shown: Number of real images shown to the discriminator, all devices together.
        ema: Exponential moving average of the generator's weights (Yazici 2018, 1806.04498); its
            statistics are valid only after `averaged_generator()`.
        losses: float32 (2,), discriminator and generator loss of the last step.
        window: float32 (2,), sum of the discriminator losses of the images since the last
            evaluation, and the number of these images.
        evaluations: Evaluations so far, oldest first.
        stop_reason: Reason for an early end of the training; None: no early end.
    """

    def __init__(
        self, config: GANConfig, *, seed: int, channels: Channels = GREY, classes: int = 1
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config = config
        self.seed = seed
        self.images_shown = 0
        self.losses = torch.zeros(2)
        self.window = torch.zeros(2)
        self.evaluations: list[SnapshotEvaluation] = []
        self.stop_reason: str | None = None
        self._best: dict[str, Tensor] | None = None
        self._restored: dict[str, Any] | None = None
        self.generator = Generator(config, channels, classes)
        self.discriminator = Discriminator(config, channels, classes)
        random = random_stream(Purpose.WEIGHTS, seed)
        initialise(self.generator, random)
        initialise(self.discriminator, random)
        self.ema = copy.deepcopy(self.generator).requires_grad_(False)
        if config.channels_last:
            self.to(memory_format=torch.channels_last)

    def configure_optimizers(self) -> list[Optimizer]:
        """Return one Adam for the discriminator and one for the generator, in this order."""
        config = self.config
        betas = (config.beta1, config.beta2)
        rates = (config.learning_rate_discriminator, config.learning_rate_generator)
        networks = (self.discriminator, self.generator)
        return [
            Adam(network.parameters(), lr=rate, betas=betas, fused=True)
            for network, rate in zip(networks, rates, strict=True)
        ]

    def passed_multiple(self, every: int, step: int) -> bool:
        """Return True if the last `step` images passed a multiple of `every` images shown.

        The end of the training counts as a multiple. With `every` = 0 there are none.
        """
        if not every:
            return False
        ended = self.images_shown >= self.config.images_shown
        return ended or self.images_shown // every > (self.images_shown - step) // every

    def note_evaluation(self, evaluation: SnapshotEvaluation) -> None:
        """Note an evaluation; keep the averaged weights if this snapshot is the one to keep."""
        self.evaluations = [*self.evaluations, evaluation]
        self.window = torch.zeros(2)
        if self.has_just_improved():
            self._best = {name: value.clone() for name, value in self.ema.state_dict().items()}

    def has_just_improved(self) -> bool:
        """Return True if the last step was evaluated and its snapshot is the one to keep."""
        if not self.evaluations or self.evaluations[-1].images_shown != self.images_shown:
            return False
        return kept_snapshot(self.evaluations) == len(self.evaluations) - 1

    @property
    def has_snapshot(self) -> bool:
        """True if a snapshot was evaluated, so that there is something to export."""
        return bool(self.evaluations)

    def select(self) -> SnapshotEvaluation | None:
        """Load the averaged weights that the recipe keeps.

        Returns:
            Their evaluation; None without one, if the weights are the last ones.
        """
        if not self.evaluations:
            return None
        if self.config.keep == "last":
            ended = self.evaluations[-1].images_shown == self.images_shown
            return self.evaluations[-1] if ended else None
        if self._best is not None:
            self.ema.load_state_dict(self._best)
        return self.evaluations[kept_snapshot(self.evaluations)]

    def require_finite(self) -> None:
        """Check the losses and the weights.

        Raises:
            GANDiverged: A loss or a weight is NaN or infinite.
        """
        finite = all(bool(torch.isfinite(weight).all()) for weight in self.parameters())
        if not (finite and all(map(math.isfinite, self.losses.tolist()))):
            raise self.divergence()

    def divergence(self) -> GANDiverged:
        """Return the error for a loss or weight that is not finite."""
        loss_d, loss_g = self.losses.tolist()
        return GANDiverged(
            f"after {self.images_shown} images a loss or weight is not finite "
            f"(loss_d {loss_d:g}, loss_g {loss_g:g}); lower the learning rates"
        )

    def training_step(self, images: Tensor, batch_idx: int) -> None:
        """Train the discriminator and then the generator for one step.

        Args:
            images: uint8 (N, C, S, S), real, this rank's share of the batch; see `ImageStream`.
            batch_idx: Not used; progress is counted in images shown.
        """
        # The 0 was the rank when each process had numbers of its own.
        stream = random_stream(Purpose.STEP, self.seed, self.images_shown, 0, device=images.device)
        random = BatchRandom(stream, self.global_rank, self.trainer.world_size)
        latents = random.normal(len(images), self.config.latent_dim)
        optimizer_d, optimizer_g = cast(list[LightningOptimizer], self.optimizers())
        self._set_learning_rates(optimizer_d, optimizer_g)
        labels = self._labels(len(images), images.device, self.trainer.world_size)
        fakes = self.generator(latents, labels)

        # Both networks learn from one pass of the fakes through D (Shen 2021, 2103.00430).
        seen = fakes.detach().requires_grad_()
        real_logits = self._logits(to_unit_range(images), labels, random)
        fake_logits = self._logits(seen, labels, random)
        loss_d = discriminator_loss(real_logits, fake_logits)  # log D(x) + log(1 - D(G(z)))
        loss_g = generator_loss(fake_logits)  # maximise log D(G(z))
        wanted = None if self._judges_each_alone() else self._gradient_at(seen, loss_g)
        optimizer_d.zero_grad(set_to_none=True)
        self.manual_backward(loss_d)
        optimizer_d.step()
        if wanted is None:
            wanted = generator_gradient(cast(Tensor, seen.grad), fake_logits.detach())
        optimizer_g.zero_grad(set_to_none=True)
        self.manual_backward(fakes, gradient=wanted)
        optimizer_g.step()

        self.images_shown += len(images) * self.trainer.world_size
        self._update_average(len(images) * self.trainer.world_size)
        self.losses = torch.stack((loss_d.detach(), loss_g.detach()))
        count = torch.tensor(float(len(images)), device=images.device)
        self.window = self.window.to(images.device) + torch.stack((loss_d.detach() * count, count))

    def setup(self, stage: str) -> None:
        """Let the networks that learn measure their batch statistics on the batch of all devices.

        The average is drawn from by the first process alone, and keeps statistics of its own.
        """
        for layer in (*self.generator.modules(), *self.discriminator.modules()):
            if isinstance(layer, BatchNorm):
                layer.is_shared = self.trainer.world_size > 1

    def on_train_start(self) -> None:
        """Restore the optimizers and the loss scale of a resumed training."""
        if self._restored is None:
            return
        states = self._restored["optimizers"]
        for optimizer, state in zip(self.trainer.optimizers, states, strict=True):
            optimizer.load_state_dict(state)
        self.trainer.precision_plugin.load_state_dict(self._restored["precision"])
        self._restored = None

    @torch.no_grad()
    def averaged_generator(self) -> Generator:
        """Return the averaged generator in eval mode, with statistics that fit its weights.

        Running statistics fit only the weights they were measured with, so neither those of the
        training generator nor their average fit the averaged weights. They are measured again, on
        fixed latents and from zero.
        """
        latents = torch.randn(
            STATISTICS_LATENTS,
            self.config.latent_dim,
            generator=random_stream(Purpose.STATISTICS, self.seed),
        ).to(self.device)
        norms = [layer for layer in self.ema.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
        momenta = [layer.momentum for layer in norms]
        for layer in norms:
            layer.reset_running_stats()
            layer.momentum = None  # a plain mean over the batches
        self.ema.train()
        for batch in torch.split(latents, 64):
            # Companions too, because training measures its statistics on mixed batches.
            self.ema(batch, self._labels(len(batch), batch.device))
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
        return self.ema.eval()

    def training_state(self) -> dict[str, Any]:
        """Return everything that the next step depends on, as tensors and plain values."""
        return {
            "images_shown": self.images_shown,
            "networks": self.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.trainer.optimizers],
            "precision": self.trainer.precision_plugin.state_dict(),
            "window": self.window,
            "evaluations": [asdict(evaluation) for evaluation in self.evaluations],
            "best": self._best,
            "stop_reason": self.stop_reason,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a `training_state()`; the optimizers follow when the training starts."""
        self.images_shown = state["images_shown"]
        self.load_state_dict(state["networks"])
        self.window = state["window"]
        self.evaluations = [SnapshotEvaluation(**entry) for entry in state["evaluations"]]
        self.stop_reason = state["stop_reason"]
        self._best = state["best"]
        self._restored = state

    def _judges_each_alone(self) -> bool:
        """Return True if a logit depends on one image, and gradients are not scaled."""
        alone = self.config.discriminator_norm == "group"
        return alone and getattr(self.trainer.precision_plugin, "scaler", None) is None

    def _gradient_at(self, images: Tensor, loss: Tensor) -> Tensor:
        """Return the gradient of a loss at images, and keep the graph.

        With 16-bit floats the loss is scaled, as Lightning scales it in `manual_backward`, so that
        small gradients do not vanish.
        """
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        scale = 1.0 if scaler is None else scaler.get_scale()
        (gradient,) = torch.autograd.grad(loss * scale, images, retain_graph=True)
        return gradient / scale

    def _logits(self, images: Tensor, labels: Tensor | None, random: BatchRandom) -> Tensor:
        config = self.config
        changed = diff_augment(images, config.augment, random, config.augment_probability)
        logits: Tensor = self.discriminator(changed, labels)
        return logits

    def _labels(self, count: int, device: torch.device, ranks: int = 1) -> Tensor | None:
        """Return the class of each of `count` images of this rank's batch; None with one class."""
        total = count * ranks
        companions = self.config.n_companions(total)
        if not companions:
            return None
        labels = (torch.arange(total, device=device) >= total - companions).long()
        return labels[self.global_rank :: ranks]

    def _set_learning_rates(self, *optimizers: LightningOptimizer) -> None:
        """Keep the rates constant, then let them fall linearly to `LEAST_LEARNING_RATE`."""
        config = self.config
        left = 1 - self.images_shown / config.images_shown
        factor = min(1.0, left / config.decay_share) if config.decay_share else 1.0
        rates = (config.learning_rate_discriminator, config.learning_rate_generator)
        for optimizer, rate in zip(optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * max(factor, LEAST_LEARNING_RATE)

    @torch.no_grad()
    def _update_average(self, images: int) -> None:
        half_life = min(self.config.ema_half_life, RAMP_UP * self.images_shown)
        decay = 0.5 ** (images / half_life) if half_life else 0.0
        torch._foreach_lerp_(
            list(self.ema.parameters()), list(self.generator.parameters()), 1 - decay
        )
