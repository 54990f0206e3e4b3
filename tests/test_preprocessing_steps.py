import numpy as np
import pytest

from balancer.config import load_config
from balancer.data.io import resize_square
from balancer.errors import ConfigurationError, DataError, IntegrityError
from balancer.imaging.borders import find_film
from balancer.imaging.config import PreprocessingConfig as Config
from balancer.imaging.contrast import clahe, equalize, window
from balancer.imaging.lungs.views import lung_view
from balancer.imaging.pixels import pad_square
from balancer.imaging.preprocess import from_record, preprocessor, recorded
from samples.phantom import draw_lung_field, draw_phantom

SIDE = 128
VIEWS = ("lungs-only", "lungs-blacked-out", "crop-to-lungs")


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    return draw_phantom(5, covid=True, size=SIDE)


@pytest.fixture(scope="module")
def lungs() -> np.ndarray:
    return draw_lung_field(5, size=SIDE)


def test_the_default_is_nothing_at_all(film: np.ndarray) -> None:
    nothing = preprocessor(Config())
    assert nothing.apply(film) is film
    assert nothing.recipe == ""
    assert not nothing.moves
    assert [step.name for step in nothing.steps(film)] == ["film"]
    assert recorded(Config()) == {}
    # What is not used does not count either.
    unused = Config(clahe_clip=9, window_percentiles=(5, 95), masks="classical")
    assert preprocessor(unused).recipe == ""


@pytest.mark.parametrize(
    ("settings", "alone"),
    [
        ({"border": "remove"}, lambda film: find_film(film).of(film)),
        ({"contrast": "clahe", "clahe_tiles": 4}, lambda film: clahe(film, tiles=4)),
        ({"contrast": "equalize"}, equalize),
        ({"contrast": "window"}, window),
    ],
)
def test_one_step_is_that_step(film: np.ndarray, settings: dict, alone) -> None:
    planted = np.pad(film, 9)
    np.testing.assert_array_equal(preprocessor(Config(**settings)).apply(planted), alone(planted))


def test_steps_follow_one_another_in_their_order(film: np.ndarray, lungs: np.ndarray) -> None:
    config = Config(border="remove", lungs="crop-to-lungs", contrast="window", frame="pad")
    planted = np.pad(film, ((20, 0), (0, 0)))
    done = preprocessor(config)
    steps = done.steps(planted, np.pad(lungs, ((20, 0), (0, 0))))
    assert [step.name for step in steps] == ["film", "border", "crop-to-lungs", "window", "pad"]
    box = find_film(planted)
    known = np.pad(lungs, ((20, 0), (0, 0)))[box.top : box.bottom, box.left : box.right]
    wanted = pad_square(window(lung_view(box.of(planted), known, "crop-to-lungs")))
    np.testing.assert_array_equal(steps[-1].pixels, wanted)
    np.testing.assert_array_equal(
        done.apply(planted, np.pad(lungs, ((20, 0), (0, 0)))), steps[-1].pixels
    )


@pytest.mark.parametrize("contrast", ["clahe", "equalize", "window"])
@pytest.mark.parametrize("view", ["lungs-only", "lungs-blacked-out"])
def test_what_is_hidden_stays_black_and_changes_nothing(
    film: np.ndarray, lungs: np.ndarray, view: str, contrast: str
) -> None:
    shown = lung_view(np.full_like(film, 255), lungs, view) > 0
    done = preprocessor(Config(lungs=view, contrast=contrast))
    result = done.apply(film, lungs)
    assert not result[~shown].any()
    other = np.where(shown, film, 255 - film)
    np.testing.assert_array_equal(done.apply(other, lungs), result)


@pytest.mark.parametrize(("contrast", "alone"), [("equalize", equalize), ("window", window)])
def test_a_film_is_exposed_for_its_lungs(
    film: np.ndarray, lungs: np.ndarray, contrast: str, alone
) -> None:
    done = preprocessor(Config(lungs="exposed-for-lungs", contrast=contrast))
    exposed = done.apply(film, lungs)
    np.testing.assert_array_equal(exposed, alone(film, shown=lungs))
    other = np.where(lungs, film, film // 2)  # the lungs alone decide, and all of the film changes
    np.testing.assert_array_equal(done.apply(other, lungs)[lungs], exposed[lungs])
    assert (exposed[~lungs] != film[~lungs]).any()
    np.testing.assert_array_equal(done.apply(film, np.zeros_like(lungs)), alone(film))


@pytest.mark.parametrize("contrast", ["none", "clahe"])
def test_an_exposure_needs_a_contrast_that_is_measured(contrast: str) -> None:
    settings = f"preprocessing={{lungs: exposed-for-lungs, contrast: {contrast}}}"
    with pytest.raises(ConfigurationError, match="preprocessing"):
        load_config(assignments=[settings])


def test_a_mask_of_another_size_is_stretched(film: np.ndarray, lungs: np.ndarray) -> None:
    large = np.kron(lungs, np.ones((2, 2), bool))
    for view in VIEWS:
        done = preprocessor(Config(lungs=view))
        np.testing.assert_array_equal(done.apply(film, large), done.apply(film, lungs))


def test_lungs_are_found_where_no_mask_tells_them(film: np.ndarray, lungs: np.ndarray) -> None:
    asked = []

    def find(pixels: np.ndarray) -> np.ndarray:
        asked.append(pixels.shape)
        return lungs

    done = preprocessor(Config(lungs="lungs-only"), find)
    np.testing.assert_array_equal(done.apply(film), done.apply(film, lungs))
    assert len(asked) == 1
    preprocessor(Config(lungs="lungs-only", masks="classical"), find).apply(film, ~lungs)
    assert len(asked) == 2


def test_the_classical_segmentation_is_the_one_that_is_asked(film: np.ndarray) -> None:
    from balancer.imaging.lungs.segment import segment_lungs

    found = preprocessor(Config(lungs="lungs-only")).apply(film)
    wanted = lung_view(film, segment_lungs(film).mask, "lungs-only")
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("masks", ["archive", "unet"])
def test_a_film_without_the_mask_it_should_have_is_refused(film: np.ndarray, masks: str) -> None:
    with pytest.raises(DataError, match=f"masks={masks}"):
        preprocessor(Config(lungs="crop-to-lungs", masks=masks)).apply(film)


def test_an_area_goes_where_its_pixels_go(film: np.ndarray, lungs: np.ndarray) -> None:
    """A film whose pixels say whether they are of the area, so that the result must say it too."""
    area = np.zeros(film.shape, bool)
    area[40:90, 30:60] = True
    marked = np.where(area, 200, 90).astype(np.uint8)
    marked[::2] += 20  # no even line
    marked[:, ::2] += 10
    planted, known = np.pad(marked, ((0, 30), (12, 0))), np.pad(lungs, ((0, 30), (12, 0)))
    for config in (
        Config(border="remove", frame="pad"),
        Config(border="remove", frame="crop"),
        Config(border="remove", lungs="crop-to-lungs", frame="pad"),
    ):
        done = preprocessor(config)
        assert done.moves
        place = done.region(planted, known, np.pad(area, ((0, 30), (12, 0))))
        np.testing.assert_array_equal(place, done.apply(planted, known) >= 200)


def test_the_film_is_never_written_to(film: np.ndarray, lungs: np.ndarray) -> None:
    frozen = film.copy()
    frozen.flags.writeable = False
    for config in (
        Config(border="remove", contrast="clahe", frame="crop"),
        *(Config(lungs=view, contrast="window", frame="pad") for view in VIEWS),
    ):
        resize_square(preprocessor(config).apply(frozen, lungs), 32)
    np.testing.assert_array_equal(frozen, film)


def test_a_film_without_lungs_is_black_but_for_the_crop(film: np.ndarray) -> None:
    none = np.zeros(film.shape, bool)
    for view in VIEWS[:2]:
        assert not preprocessor(Config(lungs=view, contrast="clahe")).apply(film, none).any()
    done = preprocessor(Config(lungs="crop-to-lungs"))
    np.testing.assert_array_equal(done.apply(film, none), film)


def test_lungs_are_not_framed_to_be_cut() -> None:
    with pytest.raises(ConfigurationError, match="preprocessing"):
        load_config(assignments=["preprocessing={lungs: crop-to-lungs, frame: crop}"])


def test_every_setting_that_changes_pixels_is_in_the_recipe() -> None:
    changes = [
        {"border": "remove"},
        {"lungs": "lungs-only"},
        {"lungs": "lungs-blacked-out"},
        {"lungs": "lungs-only", "masks": "classical"},
        {"lungs": "exposed-for-lungs", "contrast": "window"},
        {"contrast": "clahe"},
        {"contrast": "clahe", "clahe_clip": 3.0},
        {"contrast": "clahe", "clahe_tiles": 9},
        {"contrast": "equalize"},
        {"contrast": "window"},
        {"contrast": "window", "window_percentiles": (1, 99)},
        {"frame": "crop"},
        {"frame": "pad"},
    ]
    recipes = {preprocessor(Config(**change)).recipe for change in changes}
    assert len(recipes) == len(changes)
    assert "" not in recipes
    for change in changes:
        config = from_record(recorded(Config(**change)), "a checkpoint")
        assert preprocessor(config).recipe == preprocessor(Config(**change)).recipe


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"version": 99, "border": "remove"}, "version"),
        ({"border": "remove"}, "version"),
        ({"version": 1, "border": "eat"}, r"preprocessing\.border"),
        ({"version": 1, "colour": "blue"}, r"preprocessing\.colour"),
        ("clahe", "clahe"),
    ],
)
def test_a_note_that_cannot_be_followed_is_refused(record: object, reason: str) -> None:
    with pytest.raises(IntegrityError, match=rf"^A card .*{reason}"):
        from_record(record, "A card")
