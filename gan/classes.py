"""Training of one network that draws several classes, exported as one generator for each."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor

from gan.arguments import require_kind, require_whole
from gan.checkpoint import Provenance, save_generator, write_atomically
from gan.config import GANConfig, GANTrainerOptions
from gan.evaluator import evaluate
from gan.loop import fit
from gan.module import LitDCGAN
from gan.networks import Generator
from gan.progress import ProgressReport
from gan.records import GRID_NAME, Recorder, grid_of, grid_png
from gan.resume import describe_run
from gan.selection import SnapshotEvaluation, Validation, kept_snapshot, write_evaluations
from gan.stream import ClassStream, classes_in_turn
from gan.trainer import is_first_process
from gan.training import GANResult, shared_channels, tensor_of

_Weights = dict[str, Tensor]


class LitClassDCGAN(LitDCGAN):
    """The same training with images of several classes in turn.

    Attributes:
        of_class: Evaluations of each class so far, oldest first.
    """

    def __init__(
        self, config: GANConfig, *, seed: int, channels: Literal[1, 3], classes: int
    ) -> None:
        super().__init__(config, seed=seed, channels=channels, classes=classes)
        self.of_class: list[list[SnapshotEvaluation]] = [[] for _ in range(classes)]
        self._kept: list[_Weights | None] = [None] * classes

    @property
    def has_snapshot(self) -> bool:
        """True if a snapshot of every class was evaluated."""
        return all(self.of_class)

    def has_just_improved(self) -> bool:
        """Return True if the last step was evaluated and is the snapshot to keep of some class."""
        latest = [evaluations[-1] for evaluations in self.of_class if evaluations]
        return any(one.images_shown == self.images_shown for one in latest)

    def note(self, number: int, evaluation: SnapshotEvaluation, generator: Generator) -> None:
        """Note an evaluation of a class; keep its generator if this snapshot is the one to keep."""
        evaluations = self.of_class[number]
        evaluations.append(evaluation)
        if kept_snapshot(evaluations) == len(evaluations) - 1:
            self._kept[number] = {k: v.cpu().clone() for k, v in generator.state_dict().items()}

    def kept(self, number: int) -> tuple[Generator, SnapshotEvaluation | None]:
        """Return the generator of a class that the recipe keeps, and its evaluation if any."""
        generator = self.averaged_generator().of_class(number)
        evaluations, weights = self.of_class[number], self._kept[number]
        if weights is None or self.config.keep == "last":
            ended = bool(evaluations) and evaluations[-1].images_shown == self.images_shown
            return generator, evaluations[-1] if ended else None
        generator.load_state_dict(weights)
        return generator, evaluations[kept_snapshot(evaluations)]

    def training_state(self) -> dict[str, Any]:
        """Return everything that the next step depends on, as tensors and plain values."""
        return super().training_state() | {
            "of_class": [[asdict(one) for one in some] for some in self.of_class],
            "kept": self._kept,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a `training_state()`; the optimizers follow when the training starts."""
        super().restore(state)
        self.of_class = [
            [SnapshotEvaluation(**entry) for entry in some] for some in state["of_class"]
        ]
        self._kept = state["kept"]

    def _labels(self, count: int, device: torch.device, ranks: int = 1) -> Tensor:
        labels = classes_in_turn(self.images_shown, count * ranks, len(self.of_class))
        return labels[self.global_rank :: ranks].to(device)


class ClassEvaluator(Callback):
    """Callback that evaluates one class after the other, each as often, and all at the end.

    So it takes the time that the evaluation of a single class takes, whatever their number.

    Args:
        names: Name of each class.
        training: uint8 (N, C, S, S) for each class.
        validation: Validation images and scorer of each class; None: it is not evaluated.
    """

    def __init__(
        self,
        names: Sequence[str],
        training: Sequence[Tensor],
        validation: Sequence[tuple[Tensor, Validation] | None],
    ) -> None:
        self._names, self._training, self._validation = names, training, validation

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        """Evaluate the class whose turn it is."""
        module = cast(LitClassDCGAN, pl_module)
        every = module.config.evaluate_every
        due = module.passed_multiple(every, len(batch) * trainer.world_size)
        if not (due and trainer.is_global_zero):
            return
        ended = module.images_shown >= module.config.images_shown
        count = len(self._names)
        numbers = range(count) if ended else [(module.images_shown // every - 1) % count]
        averaged = module.averaged_generator()
        for number in numbers:
            self._evaluate(module, averaged.of_class(number).to(module.device), number)
        module.window = torch.zeros(2)  # the loss is of all classes together

    def _evaluate(self, module: LitClassDCGAN, generator: Generator, number: int) -> None:
        given = self._validation[number]
        if given is None:
            return
        images, validation = given
        evaluation = evaluate(
            module, generator, self._training[number], images, validation.scorer,
            label=number, name=self._names[number],
        )  # fmt: skip
        module.note(number, evaluation, generator)


def train_classes(
    images: Mapping[str, NDArray[np.uint8] | Tensor],
    config: GANConfig | None = None,
    *,
    out_dir: str | Path,
    seed: int = 0,
    validation: Mapping[str, Validation] | None = None,
    provenance: Mapping[str, Provenance] | None = None,
    trainer_options: GANTrainerOptions | None = None,
    progress: bool = False,
) -> dict[str, GANResult]:
    """Train one network on several classes, or resume the unfinished training in the folder.

    The classes are shown in turn, so that all are shown equally often. What they have in common is
    learnt from all images; what is of one class, from its own (`Generator`, `Discriminator`).
    `last.ckpt`, the losses and grids of all classes are written as by `train`; a folder per class
    has its generator, which is one of this class alone, with a grid and its evaluations.

    Args:
        images: uint8 as for `train`, by name of the class: two or more, and no name has a slash.
        config: Recipe, without companions; `images_shown` counts the images of all classes.
        out_dir: Path to the folder; created if missing.
        seed: Seed for all randomness, at least 0.
        validation: Images and scores to select the snapshot of a class with; of a class without
            them the last one is exported.
        provenance: Source of the images of each class; default: unknown. The images of the other
            classes are companions.
        trainer_options: Devices and precision; default `GANTrainerOptions()`.
        progress: True: show a bar on a terminal or in a notebook.

    Returns:
        The result of each class; `seconds` is its share of the whole.

    Raises:
        ValueError: An argument is of another type, or the images do not fit the recipe.
        GeneratorCheckpointError: `last.ckpt` is damaged or belongs to another training.
        GANDiverged: A loss or weight became NaN or infinite before there was a snapshot of every
            class.
        OSError: A file cannot be written.

    Example:
        >>> import gan, numpy as np
        >>> rng = np.random.default_rng(0)
        >>> images = {n: rng.integers(0, 256, (20, 32, 32), dtype=np.uint8) for n in ("a", "b")}
        >>> config = gan.GANConfig(image_size=32, images_shown=128)
        >>> results = gan.train_classes(images, config, out_dir="two-classes")
        >>> gan.sample(gan.load(results["b"].directory), 4).shape
        (4, 32, 32)
    """
    require_kind("config", config, GANConfig)
    require_kind("trainer_options", trainer_options, GANTrainerOptions)
    require_whole(seed=seed)
    config = GANConfig() if config is None else config
    _check_names(images, config)
    names = list(images)
    tensors = [tensor_of(some, f"images of {name}", config) for name, some in images.items()]
    channels = shared_channels(config, tensors)
    origins = _origins(names, provenance or {})
    run = describe_run(
        config, tensors, seed=seed, provenance=Provenance(
            class_name=" ".join(names), index_hash=origins[0].index_hash,
            training_ids=tuple(one for origin in origins for one in origin.training_ids),
        ),
    )  # fmt: skip
    given = [
        None if one is None else (tensor_of(one.images, "validation images", config), one)
        for one in map((validation or {}).get, names)
    ]
    module = LitClassDCGAN(config, seed=seed, channels=channels, classes=len(names))
    directory = Path(out_dir)

    def stream(ranks: int) -> ClassStream:
        return ClassStream(
            tensors,
            seed=seed,
            batch_size=config.batch_size * ranks,
            start=module.images_shown,
            stop=config.images_shown,
        )

    ended = fit(
        module,
        stream,
        run,
        directory,
        callbacks=[
            Recorder(directory),
            ProgressReport(f"GAN of {len(names)} classes", bar=progress),
            ClassEvaluator(names, tensors, given),
        ],
        options=trainer_options or GANTrainerOptions(),
    )
    if is_first_process():
        write_atomically(directory / GRID_NAME, grid_png(module))
    results = {}
    for number, name in enumerate(names):
        generator, selected = module.kept(number)
        folder = directory / name
        if is_first_process():
            _export(folder, module, generator, origins[number], selected, number)
        results[name] = GANResult(
            directory=folder,
            images_shown=module.images_shown,
            seconds=ended.seconds / len(names),
            images_per_second=module.images_shown / ended.seconds,
            interrupted_by=ended.interrupted_by,
            stop_reason=ended.stop_reason,
            selected=selected,
        )
    return results


def _check_names(images: Mapping[str, object], config: GANConfig) -> None:
    wrong = [name for name in images if not name or "/" in name or "\\" in name or name[0] == "."]
    if len(images) < 2 or wrong or config.companion_share:
        raise ValueError(
            "train_classes takes two or more classes, whose names can be folders, and a recipe "
            f"without companions, but was given {', '.join(map(repr, images))} and companion_share "
            f"{config.companion_share:g}; use train for one class, and companion_share=0."
        )


def _origins(names: Sequence[str], provenance: Mapping[str, Provenance]) -> list[Provenance]:
    """Return the source of each class, with the images of all others as companions."""
    unknown = [Provenance(class_name=name, index_hash="", training_ids=()) for name in names]
    own = [provenance.get(name, nobody) for name, nobody in zip(names, unknown, strict=True)]
    return [
        origin.model_copy(
            update={
                "companion_ids": tuple(
                    one for other in own if other is not origin for one in other.training_ids
                )
            }
        )
        for origin in own
    ]


def _export(
    folder: Path,
    module: LitClassDCGAN,
    generator: Generator,
    origin: Provenance,
    selected: SnapshotEvaluation | None,
    number: int,
) -> None:
    shown = module.images_shown if selected is None else selected.images_shown
    write_atomically(folder / GRID_NAME, grid_of(generator, module.seed))
    if module.of_class[number]:
        write_evaluations(folder, module.of_class[number])
    save_generator(folder, generator, provenance=origin, seed=module.seed, images_shown=shown)
