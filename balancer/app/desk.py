"""What the page can be asked for, without the page: each answer is HTML."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from balancer.app.cards import (
    accepted_card,
    made_card,
    readings_card,
    refusal_card,
    studio_card,
    study_card,
    told_card,
    walk_card,
)
from balancer.app.familiarity import Familiarity
from balancer.app.generation import MOST_IMAGES, Studio
from balancer.app.models import ServedModel, receive_model
from balancer.app.reading import Reading, read_with
from balancer.app.samples import Sample, find_samples
from balancer.app.study import view_study
from balancer.app.uploads import Film, read_film
from balancer.data.config import DataConfig
from balancer.data.index import Index
from balancer.errors import BalancerError, sentence_of
from balancer.imaging.pixels import Mask
from balancer.workspace import Workspace

DECIDED = "the class decided for"
_WALK = 9
_LARGEST_NUMBER = 999_999
_SEEN = {
    "train": "This very file is one of the training images ({label}): classifiers have learnt it, "
    "and what they say of it says nothing of new films.",
    "val": "This very file is one of the validation images ({label}): thresholds and snapshots "
    "were chosen with it.",
    "test": "This very file is one of the test images ({label}): the numbers are those of "
    "predictions.csv. Choosing between classifiers by test images spends them.",
}


@dataclass(slots=True, kw_only=True)
class Desk:
    """All that one server knows.

    Attributes:
        workspace: Where the ablation is looked up.
        limits: Sizes that a film may have.
        index: Today's, if there is one.
        models: By name; uploads join them.
        familiarity: The check against the training images of the index; None: it cannot be made.
        studios: Class to its generator.
        problems: Why a generator cannot be used, a sentence each.
        samples_are: What the samples are.
        samples: Films to try the page with.
    """

    workspace: Workspace
    limits: DataConfig
    index: Index | None
    models: dict[str, ServedModel]
    familiarity: Familiarity | None
    studios: dict[str, Studio]
    problems: Sequence[str]
    samples_are: str = field(init=False)
    samples: Sequence[Sample] = field(init=False)
    _generators: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.samples_are, self.samples = find_samples(self.index)

    def class_names(self, chosen: Sequence[str]) -> list[str]:
        """Classes that the chosen classifiers tell apart."""
        names = [name for model in self._chosen(chosen) for name in model.loaded.class_names]
        return list(dict.fromkeys(names))

    def classify(self, path: str | None, chosen: Sequence[str], mapped: str) -> str:
        """Ask the chosen classifiers about a file.

        Args:
            path: The file; None: none is chosen yet.
            chosen: Names of classifiers.
            mapped: The class whose evidence is mapped, or `DECIDED`.
        """
        models = self._chosen(chosen)
        if path is None:
            return told_card("Drop a film above, or pick one of the samples.")
        if not models:
            return told_card(
                "Choose a classifier first."
                if self.models
                else f"There is no trained classifier in {self.workspace.root}: `balancer "
                "classify` trains one; or add one from its two files."
            )
        try:
            film = read_film(Path(path), self.limits)
            notes = self._notes(film, models)
            readings = [self._read(film, model, mapped) for model in models]
        except BalancerError as error:
            return refusal_card(sentence_of(error))
        return readings_card(film, notes, readings)

    def add_model(self, files: Sequence[str]) -> tuple[str, str | None]:
        """Take a classifier's two files: what to say, and its name if it was taken."""
        try:
            model = receive_model([Path(file) for file in files])
        except BalancerError as error:
            return refusal_card(sentence_of(error)), None
        self.models[model.name] = model
        classes = ", ".join(model.loaded.class_names)
        return accepted_card(model.name, f"It tells {classes} apart."), model.name

    def describe(self, label: str) -> str:
        """What the generator of a class is."""
        return studio_card(self.studios[label])

    def make(self, label: str, first: float | None, count: float | None) -> str:
        """Images of a class by number."""
        number = min(max(int(count or 1), 1), MOST_IMAGES)
        with self._generators:
            return made_card(self.studios[label].make(_number(first), number))

    def explore(
        self,
        label: str,
        first: float | None,
        last: float | None,
        share: float | None,
        *amounts: float | None,
    ) -> str:
        """A place in the latent space, and the way that it lies on; emptied fields count as 0."""
        studio, ends = self.studios[label], (_number(first), _number(last))
        with self._generators:
            made = studio.at(*ends, share or 0.0, [amount or 0.0 for amount in amounts])
            return walk_card(made, studio.walk(*ends, _WALK), *ends)

    def no_generator(self) -> str:
        """What to do where no generator can be used."""
        if self.problems:
            return refusal_card(" ".join(self.problems))
        return told_card(
            f"There is no trained generator in {self.workspace.root}: `balancer gan-train` trains "
            "one for each class that is to grow."
        )

    def study(self) -> str:
        """The ablation as it stands now."""
        index_hash = None if self.index is None else self.index.index_hash
        return study_card(view_study(self.workspace, index_hash))

    def _read(self, film: Film, model: ServedModel, mapped: str) -> Reading:
        return read_with(
            model,
            film.pixels,
            None if mapped == DECIDED else mapped,
            mask=self._mask(film) if self._knows_training_of(model) else None,
            synthetic=film.synthetic,
        )

    def _mask(self, film: Film) -> Mask | None:
        """The lungs as the classifiers of this index were shown them."""
        masks = None if self.index is None else self.index.masks
        known = masks is not None and film.image_id in masks.files
        return masks.read(film.image_id) if masks is not None and known else None

    def _prepared(self, film: Film) -> Film:
        """The film as those of the index are shown."""
        if self.index is None or film.synthetic:
            return film
        pixels = self.index.preprocessor.apply(film.pixels, self._mask(film))
        return replace(film, pixels=pixels)

    def _chosen(self, names: Sequence[str]) -> list[ServedModel]:
        return [self.models[name] for name in names if name in self.models]

    def _notes(self, film: Film, models: Sequence[ServedModel]) -> list[str]:
        """What has to be known of a film; refuses one that is too far from the training images."""
        notes = []
        if film.synthetic:
            notes.append("This file says that it was generated: it shows no patient.")
        if film.marked:
            notes.append("It has coloured marks, which a classifier may go by.")
        records = () if self.index is None else self.index.records
        known = next((one for one in records if one.image_id == film.image_id), None)
        if known is not None and known.split in _SEEN:
            notes.append(_SEEN[known.split].format(label=known.label))
        notes += _told_preprocessing(models)
        own = [model for model in models if self._knows_training_of(model)]
        strangers = [model.name for model in models if model not in own]
        if known is not None and strangers:
            notes.append(
                f"That is so in the split of this workspace; {', '.join(strangers)} learnt from "
                "another split, and may have learnt this film."
            )
        if self.familiarity is not None and own:
            notes.append(self.familiarity.refuse_far(self._prepared(film)).sentence())
        if self.familiarity is None or strangers:
            whose = f" of {', '.join(strangers)}" if strangers else ""
            notes.append(
                f"How far the film lies from the training images{whose} could not be checked, "
                "since they are not at hand: any picture would get an answer."
            )
        return notes

    def _knows_training_of(self, model: ServedModel) -> bool:
        return self.index is not None and model.index_hash == self.index.index_hash


def _told_preprocessing(models: Sequence[ServedModel]) -> list[str]:
    told = {model.name: model.preprocessor.config.settings() for model in models}
    return [
        f"{name} sees films after {', '.join(f'{key}={value}' for key, value in done.items())}."
        for name, done in told.items()
        if done
    ]


def _number(value: float | None) -> int:
    """Number of an image, from what a field of the page holds."""
    return min(max(int(value or 0), 0), _LARGEST_NUMBER)
