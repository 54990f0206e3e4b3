"""The answers of the page, without its layout."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from balancer.app.cards import note_card
from balancer.app.desk import DECIDED, Desk
from balancer.app.generation import open_studios
from balancer.app.models import find_models
from balancer.app.reading import read_with
from balancer.app.samples import find_samples
from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.data.io import png_bytes, read_radiograph
from balancer.evaluation.predictions import read_predictions
from balancer.stages import report, serve
from balancer.synthetic.dcgan import load_dcgan
from balancer.synthetic.latents import N_DIRECTIONS, main_directions
from balancer.workspace import Workspace
from classifier.checkpoint import CARD, WEIGHTS
from classifier.explain import grad_cam, prepared_images
from classifier.metrics import predict_classes
from classifier.tables import ArrayTable
from samples.phantom import draw_phantom
from support.made_ablation import write_ablation


def desk_of(workspace: Workspace, config: BalancerConfig) -> Desk:
    index = load_index(workspace.index_dir)
    studios, problems = open_studios(workspace, index, near_copy=0.9)
    return Desk(
        workspace=workspace,
        limits=config.data,
        index=index,
        models=find_models(workspace, []),
        familiarity=None,
        studios=studios,
        problems=problems,
    )


@pytest.fixture(scope="module")
def desk(finished: Workspace, config: BalancerConfig) -> Desk:
    return desk_of(finished, config)


@pytest.mark.parametrize("arm", ["real", "real+synthetic"])
def test_probabilities_are_those_of_predictions_csv(desk: Desk, arm: str) -> None:
    assert desk.index is not None
    answers = read_predictions(desk.workspace.classify_dir(arm) / "predictions.csv")
    path_of = {record.image_id: record.path for record in desk.index.records}
    served, model = desk.models[arm], desk.models[arm].trained
    positive = model.positive or 0
    for image_id, wanted in list(zip(answers.image_ids, answers.probabilities, strict=True))[:4]:
        pixels = read_radiograph(desk.index.roots.locate(path_of[image_id]))
        reading = read_with(served, pixels)
        # Batches of other sizes differ in the last bits.
        assert reading.probabilities == pytest.approx(wanted, abs=1e-5)
        decided = predict_classes(wanted[None], positive=positive, threshold=model.threshold)
        assert reading.decision == decided[0]


def test_a_test_image_is_shown_with_every_classifier_and_told_apart(desk: Desk) -> None:
    assert desk.index is not None
    record = desk.index.select("test")[0]
    path = str(desk.index.roots.locate(record.path))
    page = desk.classify(path, list(desk.models), DECIDED)
    assert page.count('class="bal-card bal-model"') == len(desk.models)
    assert "one of the test images" in page
    assert "could not be checked" in page
    shown = re.findall(r'bal-probability" data-class="[^"]+">([0-9.]+)<', page)
    assert np.sum([float(value) for value in shown]) == pytest.approx(2, abs=2e-4)


def test_the_map_is_of_the_class_asked_for(desk: Desk) -> None:
    pixels = draw_phantom(7, covid=True, size=64)
    model = desk.models["real"]
    for name in model.trained.loaded.class_names:
        reading = read_with(model, pixels, name)
        assert reading.class_names[reading.mapped] == name
        assert (reading.heat is None) == bool(reading.why_no_map)
    assert read_with(model, pixels, "elsewhere").mapped == read_with(model, pixels).decision


def test_the_map_of_several_networks_is_the_one_that_explain_draws(desk: Desk) -> None:
    model = desk.models["real"]
    trained, others = model.trained, desk.models["real+synthetic"].trained.loaded.networks
    loaded = replace(trained.loaded, networks=(*trained.loaded.networks, *others))
    both = replace(model, trained=replace(trained, loaded=loaded))
    pixels = draw_phantom(7, covid=True, size=trained.image_size)
    table = ArrayTable.of(pixels[None], np.zeros(1, np.int64))
    for number, name in enumerate(loaded.class_names):
        reading = read_with(both, pixels, name)
        found = grad_cam(loaded.networks, prepared_images(loaded, table), number)
        assert (reading.heat is None) == found.empty[0]
        if reading.heat is not None:
            assert np.array_equal(reading.heat, found.maps[0])


def test_a_film_that_a_classifier_of_another_split_may_have_learnt_is_told(desk: Desk) -> None:
    assert desk.index is not None
    trained = replace(desk.models["real"].trained, index_hash="0" * 64)
    stranger = replace(desk.models["real"], name="stranger", trained=trained)
    other = replace(desk, models={**desk.models, "stranger": stranger})
    path = str(desk.index.roots.locate(desk.index.select("test")[0].path))
    assert "stranger learnt from another split" in other.classify(path, ["stranger"], DECIDED)
    assert "another split" not in other.classify(path, ["real"], DECIDED)


def test_emptied_fields_of_the_generators_count_as_none(desk: Desk) -> None:
    assert desk.make("COVID", None, None).count('class="bal-pair"') == 1
    nothing = [None] * N_DIRECTIONS
    assert "0% of the way" in desk.explore("COVID", None, None, None, *nothing)


def test_names_from_files_are_text_and_never_markup(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "<img src=x onerror=alert(1)>.png"
    path.write_bytes(png_bytes(draw_phantom(0, covid=True, size=64), {"Synthetic": "true"}))
    page = desk.classify(str(path), ["real"], DECIDED)
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert "it shows no patient" in page
    assert "<b>" not in note_card("a <b> in `<b>`")


def test_nothing_chosen_and_nothing_usable_are_told(desk: Desk, tmp_path: Path) -> None:
    assert "Drop an image" in desk.classify(None, ["real"], DECIDED)
    path = tmp_path / "film.txt"
    path.write_text("a letter")
    assert "Choose a classifier" in desk.classify(str(path), [], DECIDED)
    assert "content is text" in desk.classify(str(path), ["real"], DECIDED)


def test_an_uploaded_classifier_answers_as_its_own_folder_does(
    finished: Workspace, config: BalancerConfig
) -> None:
    desk = desk_of(finished, config)
    files = [str(finished.classify_dir("real") / name) for name in (WEIGHTS, CARD)]
    answers, name = desk.add_model(files)
    assert name is not None
    assert "COVID, Normal" in answers
    pixels = draw_phantom(3, covid=False, size=64)
    own, uploaded = (read_with(desk.models[one], pixels) for one in ("real", name))
    assert np.array_equal(own.probabilities, uploaded.probabilities)
    refused, nothing = desk.add_model(files[:1])
    assert nothing is None
    assert "is two files" in refused


def test_samples_are_validation_images_or_drawings(desk: Desk) -> None:
    assert desk.index is not None
    validation = {str(desk.index.roots.locate(one.path)) for one in desk.index.select("val")}
    assert {str(sample.path) for sample in desk.samples} <= validation
    answers, drawings = find_samples(None)
    assert "no patient" in answers
    assert all(sample.path.is_file() for sample in drawings)


def test_made_images_are_those_of_synthesize(desk: Desk, finished: Workspace) -> None:
    studio = desk.studios["COVID"]
    made = studio.make(first=0, count=3)
    for number, one in enumerate(made):
        places = [finished.synthetic_dir / "COVID", finished.synthetic_dir / "rejected" / "COVID"]
        path = next(p for place in places if (p := place / f"{number:06d}.png").is_file())
        assert np.array_equal(one.pixels, read_radiograph(path))
        assert -1 <= one.correlation <= 1
    assert "closest, correlation" in desk.make("COVID", 0, 2)


def test_a_walk_begins_and_ends_at_its_images(desk: Desk) -> None:
    studio = desk.studios["COVID"]
    first, last = (one.pixels.astype(int) for one in (studio.make(2, 1)[0], studio.make(5, 1)[0]))
    walk = studio.walk(2, 5, 4).astype(int)
    # One grey level: a pass of another batch size rounds elsewhere.
    assert np.abs(walk[0] - first).max() <= 1
    assert np.abs(walk[-1] - last).max() <= 1
    still = studio.at(2, 2, 0.7, [0.0] * N_DIRECTIONS).pixels.astype(int)
    assert np.abs(still - first).max() <= 1


def test_directions_are_orthonormal_and_move_the_first_layer_most(
    desk: Desk, finished: Workspace
) -> None:
    assert desk.index is not None
    source = load_dcgan("COVID", finished, desk.index)
    directions = main_directions(source).double().numpy()
    assert directions @ directions.T == pytest.approx(np.eye(N_DIRECTIONS), abs=1e-5)
    weights = source.loaded.generator.project.weight.double().numpy()
    moved = np.linalg.norm(weights[:, : directions.shape[1]] @ directions.T, axis=0)
    values = np.linalg.svd(weights[:, : directions.shape[1]], compute_uv=False)
    assert moved == pytest.approx(values[:N_DIRECTIONS], rel=1e-4)


def test_absent_parts_name_the_command_that_makes_them(
    copied: Workspace, config: BalancerConfig
) -> None:
    shutil.rmtree(copied.root / "gan")
    desk = desk_of(copied, config)
    assert "<code>balancer gan-train</code>" in desk.no_generator()
    assert "<code>balancer ablate</code>" in desk.study()


def test_a_generator_of_another_split_is_refused(copied: Workspace, config: BalancerConfig) -> None:
    card = copied.gan_dir("COVID") / "generator.json"
    index = load_index(copied.index_dir)
    card.write_text(card.read_text().replace(index.index_hash, "0" * 64))
    desk = desk_of(copied, config)
    assert not desk.studios
    assert "another split" in desk.no_generator()


def test_the_ablation_is_shown_as_in_the_report(copied: Workspace, config: BalancerConfig) -> None:
    index = load_index(copied.index_dir)
    metrics = write_ablation(copied, index.index_hash, names=index.classes)
    desk = desk_of(copied, config)
    page = desk.study()
    assert f'<span class="badge word-{metrics["verdict"]["word"]}">' in page
    assert all(name in page for name in metrics["arms"])
    assert "<code>balancer report</code>" in page
    report.run(config, copied)
    page = desk.study()
    assert page.count("data:image/png;base64,") >= 3
    assert "<code>balancer report</code>" not in page
    shutil.rmtree(copied.ablation_dir)
    shutil.rmtree(copied.root / "runs")
    write_ablation(copied, "0" * 64, names=index.classes)
    assert "other images or splits" in desk.study()
    desk.index = None
    assert "<code>balancer prepare</code>" in desk.study()


def test_a_wait_without_a_server_ends_at_once() -> None:
    serve.wait()
