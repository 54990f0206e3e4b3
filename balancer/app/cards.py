"""The parts of the page as HTML; every text from data, files or cards is escaped."""

from collections.abc import Sequence

import jinja2

from balancer.app.generation import Made, Studio
from balancer.app.pictures import data_uri, mapped, shown
from balancer.app.reading import Reading
from balancer.app.study import StudyView
from balancer.app.uploads import Film
from balancer.data.io import Pixels
from balancer.drawing.wording import WORDS
from balancer.report.blocks import kind

BANNER = "For research only. Not for diagnosis."


def readings_card(film: Film, notes: Sequence[str], readings: Sequence[Reading]) -> str:
    """Show a radiograph, notes on it, and one card per classifier."""
    return _render(
        "readings.html",
        film=film,
        picture=data_uri(shown(readings[0].read)),
        as_seen=all(reading.seen is reading.read for reading in readings),
        notes=notes,
        cards=[
            {
                "reading": reading,
                "picture": None
                if reading.heat is None
                else data_uri(mapped(reading.seen, reading.heat)),
                "decided": _decided(reading),
                "facts": _facts(reading),
            }
            for reading in readings
        ],
    )


def refusal_card(sentence: str) -> str:
    """Say why an image or a model is refused."""
    return _render("note.html", title="Refused", sentence=sentence, tone="refused")


def note_card(sentence: str, title: str = "") -> str:
    """Show a sentence."""
    return _render("note.html", title=title, sentence=sentence, tone="plain")


def accepted_card(title: str, sentence: str) -> str:
    """Say that something was accepted."""
    return _render("note.html", title=title, sentence=sentence, tone="accepted")


def banner_card() -> str:
    """Show the banner of every page."""
    return _render("banner.html", banner=BANNER)


def studio_card(studio: Studio) -> str:
    """Describe a generator."""
    return _render("studio.html", studio=studio)


def made_card(made: Sequence[Made]) -> str:
    """Show generated images, each beside the training image that it resembles most."""
    pairs = [(one, data_uri(one.pixels), data_uri(one.closest)) for one in made]
    return _render("made.html", pairs=pairs)


def walk_card(made: Made, walk: Pixels, first: int, last: int) -> str:
    """Show one point of the latent space, its closest training image, and the walk through it."""
    return _render(
        "walk.html",
        pair=(made, data_uri(made.pixels), data_uri(made.closest)),
        walk=[data_uri(image) for image in walk],
        first=first,
        last=last,
    )


def study_card(view: StudyView) -> str:
    """Show the ablation, in the tables of the report."""
    return _render("study.html", view=view, images=view.images or {}, words=WORDS)


def _decided(reading: Reading) -> str:
    model, names = reading.model.trained, reading.class_names
    if model.threshold is None or model.positive is None:
        return "the most probable class; this classifier has no known threshold"
    probability = reading.probabilities[model.positive]
    sign = "at or above" if reading.decision == model.positive else "below"
    return (
        f"{names[model.positive]} {probability:.4f} is {sign} its threshold {model.threshold:.4f}"
    )


def _facts(reading: Reading) -> list[str]:
    model = reading.model
    loaded = model.trained.loaded
    seen = loaded.network.preprocessing.input_size
    calibration = (
        f"calibrated, temperature {loaded.temperature:.2f}"
        if loaded.config.calibration != "none"
        else "not calibrated"
    )
    members = "" if len(loaded.networks) == 1 else f", mean of {len(loaded.networks)} networks"
    return [
        f"{loaded.config.model}{members}, trained on {model.training}",
        f"read at {model.trained.image_size} px, seen at {seen} px, {calibration}",
        *([model.test] if model.test else []),
    ]


def _render(template: str, **values: object) -> str:
    return _environment.get_template(template).render(values)


_environment = jinja2.Environment(
    # The second one has the tables of the report.
    loader=jinja2.ChoiceLoader(
        [jinja2.PackageLoader("balancer.app"), jinja2.PackageLoader("balancer.report")]
    ),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["kind"] = kind
