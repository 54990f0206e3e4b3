"""The report as others receive it: accessible in a browser, as a PDF, as a slide."""

import importlib.util
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from balancer.cli import main
from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.report.render import pdf
from balancer.stages import report
from balancer.workspace import Workspace
from support.made_ablation import write_ablation
from support.tiny_pipeline import tree

CHROMIUM = Path("/usr/bin/chromium")
_TOOLS = ("playwright", "axe_playwright_python")
missing = [name for name in _TOOLS if importlib.util.find_spec(name) is None]
missing += [] if CHROMIUM.is_file() else [str(CHROMIUM)]
in_browser = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, finished: Workspace, config: BalancerConfig
) -> Workspace:
    """A workspace with two classifiers and an ablation, and its report."""
    workspace = Workspace(tmp_path_factory.mktemp("shared") / "work")
    shutil.copytree(finished.root, workspace.root)
    write_ablation(workspace, load_index(workspace.index_dir).index_hash, n_folds=3)
    report.run(config, workspace, force=True)
    return workspace


@in_browser
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_pages_keep_wcag_aa_in_both_schemes(whole: Workspace) -> None:
    """By axe, all folds open; and the keyboard meets the skip link first."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    with sync_playwright() as tools:
        browser = tools.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        for path in (whole.report_dir / "report.html", whole.index_dir / "audit.html"):
            for scheme in ("light", "dark"):
                # The page allows no script; axe is one.
                page = browser.new_page(color_scheme=scheme, bypass_csp=True)
                page.goto(path.as_uri())
                page.keyboard.press("Tab")
                assert page.evaluate("document.activeElement.className") == "skip", path
                page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                found = Axe().run(page, options=rules)
                faults = [
                    (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
                    for one in found.response["violations"]
                ]
                assert faults == [], f"{path.name}, {scheme}"
                assert len(found.response["passes"]) > 15
                page.close()
        browser.close()


def test_the_slide_holds_the_answer(whole: Workspace) -> None:
    with Image.open(whole.report_dir / "answer.png") as image:
        assert image.width / image.height == pytest.approx(16 / 9, rel=0.01)
        assert image.width >= 1920
    drawing = ElementTree.parse(whole.report_dir / "answer.svg").getroot()
    text = " ".join(" ".join("".join(one.itertext()).split()) for one in drawing.iter()
                    if one.tag.endswith("}text"))  # fmt: skip
    page = (whole.report_dir / "report.md").read_text()
    question = page.partition("\n")[0].removeprefix("# ")
    assert question in text
    assert "INCONCLUSIVE" in text


@pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"needs {CHROMIUM}")
def test_the_page_is_printed_as_a_pdf(whole: Workspace, config: BalancerConfig) -> None:
    before = tree(whole.report_dir)
    report.run(config, whole, pdf=True)
    after = tree(whole.report_dir)
    content = after.pop("report.pdf")
    assert after == before
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") >= 3


@pytest.mark.parametrize("program", [None, "/bin/false"])
def test_without_a_browser_the_report_says_so(
    program: str | None, whole: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No browser, or one that prints nothing: exit 5, and no half PDF."""
    monkeypatch.setenv(pdf.BROWSER, program or str(tmp_path / "no-such-browser"))
    before = tree(whole.report_dir)
    done = CliRunner().invoke(main, ["report", "--pdf", "-w", str(whole.root)])
    assert done.exit_code == 5, done.output
    assert pdf.BROWSER in done.stderr
    after = tree(whole.report_dir)
    assert {name for name in after if "partial" in name} == set()
    # Other settings made the page anew, so that a PDF of the old one is gone.
    assert after.get("report.pdf") in (None, before.get("report.pdf"))
