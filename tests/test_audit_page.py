"""The page of the audit, `--strict`, and the slow audit of `balancer audit`."""

import importlib.util
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageOps

from balancer.cli import main
from balancer.config import BalancerConfig
from balancer.errors import IntegrityError
from balancer.quality.look_alikes import look_alikes
from balancer.stages import audit, prepare
from balancer.workspace import Workspace
from samples.phantom import draw_phantom
from support.radiograph_folders import audit_of, configured, in_workspace, index_of, save

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for label, first in (("COVID", 0), ("Normal", 50)):
        for seed in range(first, first + 10):
            film = draw_phantom(seed, covid=label == "COVID", size=128)
            save(tmp_path / "data" / label / f"{seed}.png", film)
    return tmp_path / "data"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return in_workspace(tmp_path)


def plant(root: Path) -> None:
    """Plant a mirrored copy in the same class, and a brighter one in the other."""
    film = Image.open(root / "COVID" / "3.png")
    ImageOps.mirror(film).save(root / "COVID" / "copy.png")
    film.point(lambda grey: min(255, grey + 2)).save(root / "Normal" / "<b>copy.png")


def names(found: dict[str, object]) -> list[str]:
    findings = found["findings"]
    assert isinstance(findings, list)
    return [finding["name"] for finding in findings if finding["counts"]]


def page_of(directory: Path) -> str:
    return (directory / "audit.html").read_text(encoding="utf-8")


def test_clean_films_pass_strictly(root: Path, workspace: Workspace) -> None:
    prepare.run(configured(root), workspace, strict=True)
    assert names(audit_of(workspace)) == []
    assert "Nothing was found that somebody should act on." in page_of(workspace.index_dir)


def test_strict_refuses_but_writes_everything(root: Path, workspace: Workspace) -> None:
    plant(root)
    with pytest.raises(IntegrityError):
        prepare.run(configured(root), workspace, strict=True)
    assert "near-duplicates-across-classes" in names(audit_of(workspace))
    result = prepare.run(configured(root), workspace)  # up to date: what was written is whole
    assert list(result.metrics.findings) == names(audit_of(workspace))
    with pytest.raises(IntegrityError):
        prepare.run(configured(root), workspace, strict=True)


def test_the_shell_ends_with_4(root: Path, workspace: Workspace) -> None:
    plant(root)
    command = ["prepare", "-w", str(workspace.root), "--data", str(root), "-q"]
    done = CliRunner().invoke(main, [*command, "--strict"])
    assert done.exit_code == 4, done.output
    assert (workspace.index_dir / "audit.html").is_file()
    assert CliRunner().invoke(main, command).exit_code == 0


def test_clusters_join_copies_of_copies(root: Path, workspace: Workspace) -> None:
    plant(root)
    prepare.run(configured(root), workspace)
    found = audit_of(workspace)
    assert found["clusters"] == [["COVID/3.png", "COVID/copy.png", "Normal/<b>copy.png"]]
    (mirrored,) = (p for p in found["near_duplicates"] if p["second"] == "COVID/copy.png")
    assert mirrored["flip"] == "mirrored"


class _Reader(HTMLParser):
    """Addresses that a page would load, and its texts."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.lacking_alt = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.loads += [given[name] or "" for name in ("src", "srcset", "data") if name in given]
        if tag == "img" and not given.get("alt"):
            self.lacking_alt += 1


def test_page_is_whole_and_escapes(root: Path, workspace: Workspace) -> None:
    plant(root)
    prepare.run(configured(root), workspace)
    page = page_of(workspace.index_dir)
    reader = _Reader()
    reader.feed(page)
    assert reader.loads
    assert all(address.startswith("data:image/jpeg;base64,") for address in reader.loads)
    assert not {"script", "link", "iframe"} & set(reader.tags)
    assert "<b>copy.png" not in page
    assert "&lt;b&gt;copy.png" in page
    assert reader.lacking_alt == 0
    assert reader.tags.count("table") == reader.tags.count("caption")
    assert not re.search(r"https?://", page)


def test_image_in_two_classes_is_set_aside_on_request(root: Path, workspace: Workspace) -> None:
    (root / "Normal" / "twin.png").write_bytes((root / "COVID" / "3.png").read_bytes())
    with pytest.raises(IntegrityError, match="--skip-bad"):
        prepare.run(configured(root), workspace)
    prepare.run(configured(root, "data.skip_bad=true"), workspace)
    found = audit_of(workspace)
    assert [file["path"] for file in found["unusable"]] == ["COVID/3.png", "Normal/twin.png"]
    assert "is of the class 'Normal' too" in found["unusable"][0]["reason"]
    assert found["same_image_in_several_classes"] == [["COVID/3.png", "Normal/twin.png"]]
    assert names(found) == ["same-image-in-two-classes"]
    assert found["findings"][0]["groups"] == [["COVID/3.png", "Normal/twin.png"]]
    text = (workspace.index_dir / "audit.md").read_text()
    assert "- `COVID/3.png` and `Normal/twin.png` (2 files)" in text


def test_patients_in_several_classes_are_found_without_their_ids(
    root: Path, workspace: Workspace
) -> None:
    rows = ["path,patient_id", "COVID/1.png,doe", "Normal/51.png,doe", "Normal/52.png,roe"]
    (root / "metadata.csv").write_text("\n".join(rows))
    prepare.run(configured(root), workspace)
    found = audit_of(workspace)
    assert found["patients_in_several_classes"] == [["COVID/1.png", "Normal/51.png"]]
    assert "patients-in-several-classes" in names(found)
    page = page_of(workspace.index_dir)
    assert "doe" not in page
    assert "Patient leakage NOT excluded for 17 images" in page
    assert "Grouped by patient where one is known, else by near-duplicate cluster" in page
    assert "the metadata name no source, so it was not checked" in page


def test_deeper_audit(root: Path, workspace: Workspace) -> None:
    plant(root)
    index_of(root, workspace)
    result = audit.run(BalancerConfig(), workspace)
    written = json.loads((workspace.audit_dir / "audit.json").read_text())
    assert set(result.metrics.findings) == set(names(written))
    assert (workspace.audit_dir / "same-film.csv").read_text().startswith("first,second\n")
    assert "near-duplicates-across-classes" in names(written)
    assert audit.run(BalancerConfig(), workspace).seconds == result.seconds  # up to date
    with pytest.raises(IntegrityError, match="--strict"):
        audit.run(BalancerConfig(), workspace, strict=True)


def test_pairs_of_the_table_stay_in_one_split(root: Path, workspace: Workspace) -> None:
    before = {r.path: r.group for r in index_of(root, workspace).records}
    pairs = root.parent / "pairs.csv"
    pairs.write_text("first,second\nCOVID/0.png,COVID/7.png\nCOVID/7.png,COVID/5.png\ngone,gone\n")
    index = index_of(root, workspace, f"data.same_film={pairs}")
    group = {record.path: record.group for record in index.records}
    assert len({group[f"COVID/{seed}.png"] for seed in (0, 5, 7)}) == 1
    assert len({before[f"COVID/{seed}.png"] for seed in (0, 5, 7)}) == 3


def test_look_alikes() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 300)).astype(np.float32)
    features[20] = features[7] + 0.1 * rng.normal(size=300)
    assert [(pair.first, pair.second) for pair in look_alikes(features)] == [(7, 20)]
    many = rng.normal(size=(500, 200)).astype(np.float32)
    many[499] = many[3] + 0.1 * rng.normal(size=200)
    assert [(pair.first, pair.second) for pair in look_alikes(many)] == [(3, 499)]
    assert look_alikes(features[:1]) == []


@pytest.mark.skipif(
    importlib.util.find_spec("playwright") is None or not Path(CHROMIUM).is_file(),
    reason="needs playwright and chromium",
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_in_a_browser(root: Path, workspace: Workspace, scheme: str) -> None:
    from playwright.sync_api import sync_playwright

    plant(root)
    prepare.run(configured(root), workspace)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 380, "height": 800}, color_scheme=scheme)
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto((workspace.index_dir / "audit.html").as_uri())
        assert all(address.startswith(("file:", "data:")) for address in asked)
        assert said == []
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0  # tables scroll inside their box, the page does not
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
        browser.close()
