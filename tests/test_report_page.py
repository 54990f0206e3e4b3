"""The report of an ablation: one content as a page, as Markdown and as JSON."""

import re
import shutil
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from PIL import Image
from rich.console import Console, RenderableType

from balancer.ablation.records import AblateMetrics
from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.report.sections.checklist import CLAIM, checklist_of
from balancer.results import read_result
from balancer.stages import ablate, report
from balancer.workspace import Workspace
from support.made_ablation import HOSTILE, read_json, write_ablation
from support.tiny_pipeline import config_for, tree

VOID = {"meta", "img", "br", "source", "link"}


class Page(HTMLParser):
    """Read a page as a browser would, as far as these tests need."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text: list[str] = []
        self.rows: list[int] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [str(found["id"])] if "id" in found else []
        self.links += [str(found[key]) for key in ("href", "src", "srcset") if key in found]
        if tag == "img":
            self.images.append(found)
        if tag == "tr":
            self.rows.append(0)
        if tag in ("th", "td"):
            self.rows[-1] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # <img />, which closes nothing

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory, finished: Workspace, config: BalancerConfig
) -> Workspace:
    """Both an ablation with hostile class names and the two classifiers."""
    root = tmp_path_factory.mktemp("told") / "work"
    shutil.copytree(finished.root, root)
    workspace = Workspace(root)
    write_ablation(workspace, load_index(workspace.index_dir).index_hash, names=HOSTILE, n_folds=3)
    shutil.copytree(workspace.quality_dir, workspace.fold("split-0").quality_dir)
    report.run(config, workspace, force=True)
    return workspace


@pytest.fixture(scope="module")
def page(told: Workspace) -> str:
    return (told.report_dir / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def markdown(told: Workspace) -> str:
    return (told.report_dir / "report.md").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_names_every_section(page: str, told: Workspace) -> None:
    sections = sections_of(told)
    parsed = Page(page)
    assert not parsed.open
    assert len(parsed.ids) == len(set(parsed.ids))
    assert [anchor for anchor in parsed.ids if anchor in sections] == sections
    assert {"arms", "control", "images", "comparison", "checklist", "recipes"} <= {*sections}
    for link in parsed.links:
        assert link.startswith("data:image/png;base64,") or link[1:] in parsed.ids
    assert parsed.tags.count("h1") == 1


def sections_of(workspace: Workspace) -> list[str]:
    found = read_json(workspace.report_dir / "report.json")
    return [section["id"] for section in found["sections"]]


def test_the_page_loads_nothing(page: str) -> None:
    assert "http" not in page.replace("http-equiv", "")
    assert "script" not in Page(page).tags
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import|\son\w+=", page.split("</style>")[0])


def test_every_picture_says_what_it_shows(page: str) -> None:
    images = Page(page).images
    assert len(images) > 10
    for image in images:
        assert len(str(image["alt"])) > 20
        assert int(str(image["width"])) > 50


@pytest.mark.fault(64)
def test_names_from_the_data_are_text(page: str, markdown: str) -> None:
    parsed = Page(page)
    assert "script" not in parsed.tags
    shown = "".join(parsed.text)
    assert HOSTILE[0] in shown
    assert "a|b `$x$` www.evil.org" in shown
    assert "*c*\\n# d" in shown  # a line break in a name is written out
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    rendered = Page(html)
    assert "script" not in rendered.tags
    assert HOSTILE[0] in "".join(rendered.text)
    assert "em" not in [tag for tag, text in _pairs(html) if text == "c"]


def _pairs(html: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r"<(\w+)>([^<]*)</\1>", html)


def test_tables_of_the_markdown_are_whole(markdown: str) -> None:
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    parsed = Page(html)
    assert parsed.tags.count("table") == len(re.findall(r"^\| ---", markdown, re.MULTILINE)) > 15
    blocks = re.findall(r"(?:^\|.*\|\n)+", markdown, re.MULTILINE)
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    assert parsed.tags.count("details") == html.count("</details>") > 3


def test_pictures_of_the_markdown_lie_beside_it(markdown: str, told: Workspace) -> None:
    names = re.findall(r"!\[[^\n]*\]\(([^)\s]+)\)", markdown)
    assert {"forest.png", "variance.png", "roc.png", "reliability.png"} <= set(names)
    for name in names:
        with Image.open(told.report_dir / name) as image:
            assert image.convert("L").getextrema()[0] != image.convert("L").getextrema()[1]


def test_the_json_holds_the_numbers_of_the_page(told: Workspace) -> None:
    found = read_json(told.report_dir / "report.json")
    metrics = read_json(told.ablation_dir / "result.json")["metrics"]
    assert found["ablation"]["metrics"]["arms"] == metrics["arms"]
    assert found["verdict"]["sentence"] == metrics["verdict"]["sentence"]
    assert set(found["curves"]["roc"]) == {"real", "oversample", "gan ratio=2:1", "gan-filtered"}
    assert [row["asks"] for row in found["checklist"]] == [
        item.asks for item in checklist_of(CLAIM).item
    ]
    tables = [
        block
        for section in found["sections"]
        for block in section["blocks"]
        if block["kind"] == "table"
    ]
    for table in tables:
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}


def test_folders_of_the_machine_are_not_told(told: Workspace, data: Path) -> None:
    for name in ("report.html", "report.md", "report.json", "recipe.yaml"):
        text = (told.report_dir / name).read_text(encoding="utf-8")
        assert "somebody" not in text
        assert str(data.parent) not in text


def test_the_first_screen_says_what_it_does_not_say(page: str, told: Workspace) -> None:
    limits = page.split('id="limits-title"')[1].split("</ul>")[0]
    shown = "".join(Page(f"<ul>{limits.partition('<ul>')[2]}</ul>").text)
    found = read_json(told.report_dir / "report.json")
    warnings = found["index"]["metrics"]["warnings"]
    assert warnings
    assert set(warnings) < set(found["limits"])
    for limit in found["limits"]:
        assert limit.replace(" %", "\N{NO-BREAK SPACE}%") in shown or limit in shown


def test_the_terminal_has_the_verdict_the_arms_and_the_page(
    told: Workspace, config: BalancerConfig
) -> None:
    result = report.run(config, told)
    text = _printed(report.summary(result))
    assert result.metrics.ablation is not None
    assert result.metrics.ablation.sentence in text
    for arm in ("oversample", "gan ratio=2:1", "held-back-real", "real + synthetic"):
        assert arm in text
    assert str(told.report_dir / "report.html") in text


def test_the_result_of_the_ablation_itself_can_be_shown(told: Workspace) -> None:
    result = read_result(told.ablation_dir, AblateMetrics)
    assert result is not None
    text = _printed(ablate.summary(result))
    assert result.metrics.verdict.sentence in text
    assert "held-back-real" in text


def _printed(parts: Sequence[RenderableType]) -> str:
    console = Console(width=4000, markup=False, record=True, file=None, quiet=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return capture.get()


def test_a_second_report_changes_nothing(told: Workspace, config: BalancerConfig) -> None:
    before = tree(told.report_dir)
    report.run(config, told)
    assert tree(told.report_dir) == before


def test_other_settings_write_the_page_again(told: Workspace, data: Path, tmp_path: Path) -> None:
    shutil.copytree(told.root, tmp_path / "work")
    workspace = Workspace(tmp_path / "work")
    result = report.run(config_for(data, "evaluation.bootstrap_samples=150"), workspace)
    assert result.settings["evaluation"]["bootstrap_samples"] == 150
