"""The answers of the page, without its layout: each is HTML."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from balancer.app.cards import (
    accepted_card,
    made_card,
    note_card,
    readings_card,
    refusal_card,
    studio_card,
    study_card,
    walk_card,
)
from balancer.app.generation import MOST_IMAGES, Studio
from balancer.app.models import ServedModel, receive_model
from balancer.app.reading import Reading, read_with
from balancer.app.samples import Sample, find_samples
from balancer.app.study import view_study
from balancer.app.uploads import Film, RefusedFilmError, read_film
from balancer.data.config import DataConfig
from balancer.data.index import Index
from balancer.errors import BalancerError, sentence_of
from balancer.imaging.pixels import Mask
from balancer.quality.familiarity import Familiarity, Likeness
from balancer.workspace import Workspace

DECIDED = "the class decided for"
_WALK = 9
_LARGEST_NUMBER = 999_999
_SEEN = {
    "train": "This file is one of the training images ({label}): classifiers have learnt it, "
    "so their answer says nothing about new images.",
    "val": "This file is one of the validation images ({label}): thresholds and snapshots "
    "were chosen with it.",
    "test": "This file is one of the test images ({label}): the numbers are those of "
    "predictions.csv. Whoever chooses a classifier by test images has used them up.",
}


@dataclass(slots=True, kw_only=True)
class Desk:
    """The state of one server.

    Attributes:
        workspace: Workspace with the ablation.
        limits: Sizes that an image may have.
        index: The index of the workspace; None without one.
        models: Classifiers by name; uploads are added.
        familiarity: Check against the training images of the index; None if there are too few.
        studios: Class to its generator.
        problems: One sentence per generator that cannot be used.
        samples_are: Sentence about the samples.
        samples: Images to try the page with.
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
        """Return the classes of the chosen classifiers."""
        models = [model.trained.loaded for model in self._chosen(chosen)]
        return list(dict.fromkeys(name for model in models for name in model.class_names))

    def classify(self, path: str | None, chosen: Sequence[str], mapped: str) -> str:
        """Classify a file with the chosen classifiers.

        Args:
            path: Path to the file; None if none is chosen yet.
            chosen: Names of classifiers.
            mapped: The class whose evidence is mapped, or `DECIDED`.
        """
        models = self._chosen(chosen)
        if path is None:
            return note_card("Drop an image above, or pick one of the samples.")
        if not models:
            return note_card(
                "Choose a classifier first."
                if self.models
                else f"There is no trained classifier in {self.workspace.root}: `balancer "
                "classify` trains one; or add one from its two files."
            )
        try:
            channels = max(model.preprocessor.channels for model in models)
            film = read_film(Path(path), self.limits, channels)
            notes = self._notes(film, models)
            readings = [self._read(film, model, mapped) for model in models]
        except BalancerError as error:
            return refusal_card(sentence_of(error))
        return readings_card(film, notes, readings)

    def add_model(self, files: Sequence[str]) -> tuple[str, str | None]:
        """Accept the two files of a classifier; return a card, and its name if it was accepted."""
        try:
            model = receive_model([Path(file) for file in files])
        except BalancerError as error:
            return refusal_card(sentence_of(error)), None
        self.models[model.name] = model
        classes = ", ".join(model.trained.loaded.class_names)
        return accepted_card(model.name, f"Its classes: {classes}."), model.name

    def describe(self, label: str) -> str:
        """Describe the generator of a class."""
        return studio_card(self.studios[label])

    def make(self, label: str, first: float | None, count: float | None) -> str:
        """Make images of a class by number."""
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
        """Show a point of the latent space and the walk through it; an empty field counts as 0."""
        studio, ends = self.studios[label], (_number(first), _number(last))
        with self._generators:
            made = studio.at(*ends, share or 0.0, [amount or 0.0 for amount in amounts])
            return walk_card(made, studio.walk(*ends, _WALK), *ends)

    def no_generator(self) -> str:
        """Say what to do if no generator can be used."""
        if self.problems:
            return refusal_card(" ".join(self.problems))
        return note_card(
            f"There is no trained generator in {self.workspace.root}: `balancer gan-train` trains "
            "one for each rare class."
        )

    def study(self) -> str:
        """Show the ablation in its current state."""
        index_hash = None if self.index is None else self.index.index_hash
        return study_card(view_study(self.workspace, index_hash))

    def _read(self, film: Film, model: ServedModel, mapped: str) -> Reading:
        return read_with(
            model,
            film.in_channels(model.preprocessor.channels),
            None if mapped == DECIDED else mapped,
            mask=self._mask(film) if self._knows_training_of(model) else None,
            synthetic=film.synthetic,
        )

    def _mask(self, film: Film) -> Mask | None:
        """Return the lung mask that the preprocessing of this index uses for the image."""
        masks = None if self.index is None else self.index.masks
        known = masks is not None and film.image_id in masks.files
        return masks.read(film.image_id) if masks is not None and known else None

    def _prepared(self, film: Film) -> Film:
        """Return the image after the preprocessing of the index."""
        if self.index is None:
            return film
        prepare = self.index.preprocessor
        pixels = film.in_channels(prepare.channels)
        changed = pixels if film.synthetic else prepare.apply(pixels, self._mask(film))
        return replace(film, pixels=changed)

    def _chosen(self, names: Sequence[str]) -> list[ServedModel]:
        return [self.models[name] for name in names if name in self.models]

    def _notes(self, film: Film, models: Sequence[ServedModel]) -> list[str]:
        """Return notes on an image; refuse one that is too far from the training images."""
        notes = []
        if film.synthetic:
            notes.append("This file is marked as generated: it shows no patient.")
        if film.marked:
            notes.append("It has coloured marks, which a classifier may use.")
        records = () if self.index is None else self.index.records
        known = next((one for one in records if one.image_id == film.image_id), None)
        if known is not None and known.split in _SEEN:
            notes.append(_SEEN[known.split].format(label=known.label))
        notes += _preprocessing_notes(models)
        own = [model for model in models if self._knows_training_of(model)]
        strangers = [model.name for model in models if model not in own]
        if known is not None and strangers:
            notes.append(
                f"This holds for the split of this workspace; {', '.join(strangers)} learnt from "
                "another split, and may have learnt this image."
            )
        if self.familiarity is not None and own:
            found = self.familiarity.of(self._prepared(film).pixels)
            refuse_far(found)
            notes.append(found.sentence())
        if self.familiarity is None or strangers:
            whose = f" of {', '.join(strangers)}" if strangers else ""
            notes.append(
                f"The distance to the training images{whose} could not be checked, because they "
                "are not available: any picture would get an answer."
            )
        return notes

    def _knows_training_of(self, model: ServedModel) -> bool:
        return self.index is not None and model.trained.index_hash == self.index.index_hash


def refuse_far(found: Likeness) -> None:
    """Refuse an image that is too unlike the training images.

    Raises:
        RefusedFilmError: It is beyond a limit.
    """
    if found.is_far:
        raise RefusedFilmError(
            "The page needs an image like the training images, and as upright, but this one is "
            f"too far from them for a meaningful answer ({found.shares_text()} of the limit); "
            "choose another file, or a classifier that was trained on such images."
        )


def _preprocessing_notes(models: Sequence[ServedModel]) -> list[str]:
    settings = {model.name: model.preprocessor.config.preprocessing.settings() for model in models}
    return [
        f"{name} sees images after {', '.join(f'{key}={value}' for key, value in done.items())}."
        for name, done in settings.items()
        if done
    ]


def _number(value: float | None) -> int:
    """Return the number of an image from the value of a field of the page."""
    return min(max(int(value or 0), 0), _LARGEST_NUMBER)
