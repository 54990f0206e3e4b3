"""The layout of the page; the desk makes its content."""

import importlib.resources
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from balancer.app.cards import banner_card, note_card
from balancer.app.desk import DECIDED, Desk
from balancer.app.generation import MOST_IMAGES
from balancer.synthetic.latents import N_DIRECTIONS

TITLE = "balancer"
_CACHE_SECONDS = 3_600


def build_page(desk: Desk, *, discard: Callable[[str | None], None]) -> Any:
    """Lay out the three pages under one banner.

    Args:
        desk: Content of the page.
        discard: Called with the path of a file that the page no longer uses.
    """
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(_CACHE_SECONDS, _CACHE_SECONDS)
    ) as page:
        gr.HTML(banner_card())
        with gr.Tabs():
            with gr.Tab("Classify"):
                _classify_tab(desk, discard)
            with gr.Tab("Generated images"):
                _generated_tab(desk)
            with gr.Tab("Ablation"):
                gr.HTML(desk.study)  # called whenever the page is loaded
    return page


def theme() -> Any:
    """Return a plain theme with the fonts of the system."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


def style() -> str:
    """Return the style sheet of the cards."""
    return (importlib.resources.files("balancer.app") / "templates" / "page.css").read_text("utf-8")


def _classify_tab(desk: Desk, discard: Callable[[str | None], None]) -> None:
    names = list(desk.models)
    film = gr.State(None, delete_callback=discard)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=240):
            upload = gr.File(
                label="Radiograph (PNG or JPEG)",
                file_types=[".png", ".jpg", ".jpeg"],
                height=130,
                elem_id="film",
            )
            models = gr.CheckboxGroup(names, value=names, label="Classifiers", elem_id="models")
            mapped = gr.Radio(
                [DECIDED, *desk.class_names(names)],
                value=DECIDED,
                label="Grad-CAM of",
                elem_id="mapped",
            )
        with gr.Column(scale=3, min_width=240):
            gr.HTML(note_card(desk.samples_are, "Samples"))
            samples = gr.Gallery(
                [(str(sample.path), sample.caption) for sample in desk.samples],
                show_label=False,
                columns=6,
                object_fit="cover",
                height="auto",
                allow_preview=False,
                interactive=False,
                buttons=[],
                elem_id="samples",
            )
    result = gr.HTML(desk.classify(None, names, DECIDED), elem_id="readings")
    with gr.Accordion("Add a classifier from its files", open=False, elem_id="add-model"):
        gr.HTML(
            note_card(
                "classifier.safetensors and classifier.json together, as `balancer classify` wrote "
                "them. Nothing else is accepted: other formats can run code when they are loaded."
            )
        )
        files = gr.File(
            label="Both files",
            file_count="multiple",
            file_types=[".safetensors", ".json"],
            height=120,
            elem_id="model-files",
        )
        answer = gr.HTML()

    def take(path: str | None, before: str | None) -> str | None:
        if path != before:  # the same file may be chosen again
            discard(before)
        return path

    def drop(before: str | None) -> None:
        discard(before)

    def pick(before: str | None, event: gr.SelectData) -> str | None:
        return take(str(desk.samples[int(event.index)].path), before)

    def add(chosen_files: Sequence[str] | None, chosen: list[str]) -> tuple[Any, Any, str]:
        if not chosen_files:
            return gr.skip(), gr.skip(), ""
        card, name = desk.add_model(chosen_files)
        for file in chosen_files:
            discard(file)
        now = chosen if name is None or name in chosen else [*chosen, name]
        return (
            gr.update(choices=list(desk.models), value=now),
            gr.update(choices=[DECIDED, *desk.class_names(now)]),
            card,
        )

    asked = [film, models, mapped]
    upload.upload(take, [upload, film], film, **_QUIET).then(desk.classify, asked, result, **_SHOWN)
    upload.clear(drop, film, film, **_QUIET).then(desk.classify, asked, result, **_SHOWN)
    samples.select(pick, film, film, **_QUIET).then(desk.classify, asked, result, **_SHOWN)
    gr.on([models.change, mapped.change], desk.classify, asked, result, **_SHOWN)
    files.upload(add, [files, models], [models, mapped, answer], **_SHOWN)
    files.clear(lambda: "", None, answer, **_QUIET)


def _generated_tab(desk: Desk) -> None:
    if not desk.studios:
        gr.HTML(desk.no_generator())
        return
    labels = list(desk.studios)
    label = gr.Radio(labels, value=labels[0], label="Class", visible=len(labels) > 1)
    about = gr.HTML(desk.describe(labels[0]))
    with gr.Tabs():
        with gr.Tab("Make images"):
            with gr.Row():
                first = gr.Number(0, label="First number", precision=0, minimum=0, elem_id="first")
                count = gr.Slider(1, MOST_IMAGES, 8, step=1, label="How many", elem_id="count")
                make = gr.Button("Make", variant="primary", min_width=120, scale=0, elem_id="make")
            made = gr.HTML(elem_id="made")
        with gr.Tab("Explore"):
            with gr.Row():
                start = gr.Number(0, label="From image", precision=0, minimum=0, elem_id="from")
                end = gr.Number(1, label="To image", precision=0, minimum=0, elem_id="to")
                share = gr.Slider(
                    0, 1, 0.5, step=0.01, label="Position between them", elem_id="share"
                )
            with gr.Row():
                amounts = [
                    gr.Slider(-6, 6, 0, step=0.1, label=f"Direction {number + 1}", min_width=140)
                    for number in range(N_DIRECTIONS)
                ]
                reset = gr.Button("Reset", min_width=90, scale=0)
            explored = gr.HTML(
                lambda: desk.explore(labels[0], 0, 1, 0.5, *[0.0] * N_DIRECTIONS),
                elem_id="explored",
            )
            gr.HTML(
                note_card(
                    "Directions are those of the latent space that change the generator's first "
                    "layer most, in standard deviations of a latent; a few of them leave the "
                    "region it was trained on."
                )
            )
    place = [label, start, end, share, *amounts]
    make.click(desk.make, [label, first, count], made, **_SHOWN)
    label.change(desk.describe, label, about, **_QUIET)
    gr.on(
        [label.change, start.change, end.change, share.change]
        + [amount.change for amount in amounts],
        desk.explore,
        place,
        explored,
        trigger_mode="always_last",
        **_SHOWN,
    )
    reset.click(lambda: [0.0] * N_DIRECTIONS, None, amounts, **_QUIET)


_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_SHOWN: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}
