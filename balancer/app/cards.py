"""What the page shows, as HTML: every text from data, files or cards is escaped."""

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
    """A film, what has to be known of it, and one card per classifier."""
    return _render(
        "readings.html",
        film=film,
        picture=data_uri(shown(film.pixels)),
        as_seen=all(reading.seen is film.pixels for reading in readings),
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
    """Why an image or a model is not taken."""
    return _render("told.html", title="Not taken", sentence=sentence, tone="refused")


def told_card(sentence: str, title: str = "") -> str:
    """A sentence in place of what could have been shown."""
    return _render("told.html", title=title, sentence=sentence, tone="plain")


def accepted_card(title: str, sentence: str) -> str:
    """Something that was taken."""
    return _render("told.html", title=title, sentence=sentence, tone="accepted")


def banner_card() -> str:
    """What stands above every page."""
    return _render("banner.html", banner=BANNER)


def studio_card(studio: Studio) -> str:
    """What a generator is."""
    return _render("studio.html", studio=studio)


def made_card(made: Sequence[Made]) -> str:
    """Generated images, each beside the training image that it resembles most."""
    pairs = [(one, data_uri(one.pixels), data_uri(one.closest)) for one in made]
    return _render("made.html", pairs=pairs)


def walk_card(made: Made, walk: Pixels, first: int, last: int) -> str:
    """One image of the latent space, its closest training image, and the way it lies on."""
    return _render(
        "walk.html",
        pair=(made, data_uri(made.pixels), data_uri(made.closest)),
        walk=[data_uri(image) for image in walk],
        first=first,
        last=last,
    )


def study_card(view: StudyView) -> str:
    """The ablation, in the tables of the report."""
    return _render("study.html", view=view, images=view.images or {}, words=WORDS)


def _decided(reading: Reading) -> str:
    model, names = reading.model.trained, reading.class_names
    if model.threshold is None or model.positive is None:
        return "the most probable class; no threshold is known of this classifier"
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
