"""The pages of `serve` beside gradio's: studies, judge and readers, in a real browser."""

import csv
import importlib.util
import io
import json
import shutil
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from balancer.ablation.progress import StudyProgress
from balancer.app.judge_room import JudgeRoom
from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.errors import BalancerError, DataError
from balancer.evaluation.readers import read_reading, score
from balancer.stages import report
from balancer.workspace import Workspace
from support.made_ablation import write_ablation
from support.served_page import LIMIT, Served, serving

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 120_000
HOSTILE = "<b>&'x"
missing = [
    name
    for name in ("gradio", "playwright", "axe_playwright_python")
    if importlib.util.find_spec(name) is None
]
missing += [] if Path(CHROMIUM).is_file() else [CHROMIUM]
pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def folder(
    finished: Workspace, config: BalancerConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A workspace with a study, one with a running one, and one whose record is damaged."""
    folder = tmp_path_factory.mktemp("site")
    own = Workspace(folder / "work")
    shutil.copytree(finished.root, own.root)
    shutil.rmtree(own.root / "classify")  # with classifiers, the start takes longer
    write_ablation(own, load_index(own.index_dir).index_hash, n_folds=3)
    report.run(config, own)
    for name in ("running", HOSTILE):
        shutil.copytree(own.index_dir, folder / name / "index")
    (folder / HOSTILE / "ablation").mkdir()
    (folder / HOSTILE / "ablation" / "result.json").write_text("{")
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with serving(folder, "--studies", str(folder)) as server:
        yield server
        assert "Traceback" not in server.log.read_text()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 130
        assert not list(server.temporary.glob("balancer-serve-*"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        started = tools.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def view(browser: Any, served: Served) -> Iterator[Any]:
    """A page of the server that asks nobody else and has no complaint."""
    base = f"http://127.0.0.1:{served.port}"
    said: list[str] = []
    page = browser.new_page(base_url=base, viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.on("request", lambda one: said.append(one.url) if base not in one.url else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
    yield page
    page.close()
    assert [one for one in said if not one.startswith(("data:", "blob:"))] == []


def note_progress(folder: Path, done: int) -> Path:
    path = Workspace(folder / "running").progress_file
    path.parent.mkdir(exist_ok=True)
    now = "2026-01-01T00:00:00+00:00"
    state = StudyProgress(units=50, done=done, failed=0, seconds_left=600, began=now, updated=now)
    path.write_text(state.model_dump_json())
    return path


def test_studies_are_listed_and_a_running_one_is_followed(view: Any, folder: Path) -> None:
    path = note_progress(folder, 7)
    view.goto("/studies")
    view.get_by_text("7 of 50").wait_for()
    assert view.get_by_text("10 min left").is_visible()
    assert view.locator(".running").inner_text().find("AUROC") == -1
    note_progress(folder, 8)
    view.get_by_text("8 of 50").wait_for()  # without a visit
    path.unlink()
    view.locator(".running").wait_for(state="detached")
    cards = view.locator(".studies li")
    assert cards.count() == 2
    damaged = cards.filter(has_text="result.json")
    assert damaged.locator("h2").inner_text() == HOSTILE
    recorded = json.loads((folder / "work/ablation/result.json").read_text())
    found = cards.filter(has=view.locator("time"))
    assert found.locator(".badge").inner_text() == recorded["metrics"]["verdict"]["word"]
    found.locator("h2 a").click()
    assert view.locator("h1").inner_text() in (folder / "work/report/report.html").read_text()


@pytest.mark.parametrize("path", ["/studies/page/work/quick", "/studies/page/../../etc/passwd",
                                  "/readers/..%2Fx", "/readers/none/0", "/judge/none",
                                  "/site/desk.py"])  # fmt: skip
def test_what_does_not_exist_is_not_found(served: Served, path: str) -> None:
    assert served.ask("GET", path)[0] == 404


def test_a_reading_by_keyboard_alone_is_scored_and_reported(
    view: Any, folder: Path, config: BalancerConfig
) -> None:
    workspace = Workspace(folder / "work")
    view.goto("/readers")
    view.locator("input[name=reader]").focus()
    view.keyboard.type("Ada B")
    view.keyboard.press("Tab")
    view.keyboard.press("Tab")
    view.keyboard.type("8")
    view.keyboard.press("Enter")
    view.locator(".trial img").wait_for()
    (path,) = workspace.readers_dir.glob("*.csv")
    hidden = read_reading(path)
    origins = [trial.origin for trial in hidden.trials]
    assert origins.count("synthetic") == 4
    index = load_index(workspace.index_dir)
    training = {record.image_id for record in index.select("train", hidden.label)}
    assert {one.image_id for one in hidden.trials if one.origin == "real"} <= training
    assert view.request.get(f"{view.url}/csv").status == 503  # it tells what they are
    assert view.request.get(f"{view.url}/0").body().count(b"Synthetic") == 0
    right = {"real": "1", "synthetic": "4"}
    for place, origin in enumerate(origins):
        view.wait_for_function("document.querySelector('.trial img').complete")
        assert not any(trial.image_id in view.content() for trial in hidden.trials)
        key = "3" if place == origins.index("real") else right[origin]
        with view.expect_navigation():
            view.keyboard.press(key)
    found = score(read_reading(path))
    assert (found.n, found.auroc.value, found.accuracy.value) == (8, 1.0, 7 / 8)
    assert "1.000" in view.locator(".verdict").inner_text()
    with view.expect_download() as kept:
        view.get_by_text("Download the CSV").click()
    rows = list(csv.DictReader(io.StringIO(kept.value.path().read_text())))
    assert [row["origin"] for row in rows] == origins
    assert all(float(row["seconds"]) >= 0 for row in rows)
    report.run(config, workspace)
    sections = json.loads((workspace.report_dir / "report.json").read_text())["sections"]
    (shown,) = [one for one in sections if one["id"] == "readers"]
    assert shown["blocks"][0]["rows"][0][:3] == ["Ada B", hidden.label, "8 of 8"]


@pytest.mark.parametrize(
    "form", ["reader=../x&class=COVID&count=8", "reader=A&class=Other&count=8",
             "reader=A&class=COVID&count=2", "reader=A&class=COVID&count=9999", "", "reader=A"]
)  # fmt: skip
def test_a_reading_that_cannot_be_is_refused(served: Served, folder: Path, form: str) -> None:
    before = set((folder / "work/readers").glob("*"))
    kind = "application/x-www-form-urlencoded"
    status, text = served.ask("POST", "/readers", form.encode(), Content_Type=kind)
    assert (status, 'role="alert"' in text) == (400, True)
    assert set((folder / "work/readers").glob("*")) == before


def zipped(*files: tuple[str, bytes]) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    content.seek(0)
    return content


def test_two_sides_are_judged_in_a_process_of_their_own(
    view: Any, folder: Path, served: Served, data: Path, tmp_path: Path
) -> None:
    real = [(f"films/{one.parent.name}/{one.name}", one.read_bytes())
            for one in sorted(data.glob("COVID/*.png"))]  # fmt: skip
    (tmp_path / "real.zip").write_bytes(zipped(*real).getvalue())
    shutil.copytree(folder / "work/synthetic/COVID", tmp_path / "COVID")
    view.goto("/judge")
    view.set_input_files("input[name=real-zip]", tmp_path / "real.zip")
    view.set_input_files("input[name=synthetic-folder]", tmp_path / "COVID")
    view.get_by_role("button", name="Judge").press("Enter")
    view.wait_for_url("**/judge/*")
    address = view.url
    assert served.ask("GET", "/judge")[1].count("disabled") == 1  # one at a time
    view.get_by_text("Open the verdict").click()
    view.locator(".verdict").wait_for()
    assert "COVID" in view.locator(".verdict").inner_text()
    page = view.request.get(f"{address}/page")
    assert page.headers["content-security-policy"].startswith("sandbox")
    deadline = time.monotonic() + 20
    while kept := list(served.temporary.glob("balancer-serve-*/judged/*/real")):
        assert time.monotonic() < deadline, kept  # the images go when it has ended


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (zipped(("../x.png", b"x")), DataError),
        (zipped(("C:/x.png", b"x")), DataError),
        (zipped(("x.png", bytes(20_000))), DataError),  # a bomb: larger than what was sent
        (zipped(), DataError),
        (io.BytesIO(b"no zip"), DataError),
        (None, BalancerError),
    ],
)
def test_a_zip_that_cannot_be_unpacked_leaves_nothing(
    content: io.BytesIO | None, error: type[BalancerError], tmp_path: Path
) -> None:
    room = JudgeRoom(tmp_path / "room", 10_000)
    (tmp_path / "room").mkdir()
    sides = {"real": [("a.zip", content)] if content else [], "synthetic": [("b.png", content)]}
    with pytest.raises(error):
        room.begin(sides, "COVID")  # type: ignore[arg-type]
    assert list(tmp_path.rglob("*")) == [tmp_path / "room"]


def test_uploads_to_be_judged_are_bounded_before_they_are_read(served: Served) -> None:
    kind = "multipart/form-data; boundary=x"
    status, _ = served.ask("POST", "/judge", bytes(LIMIT + 1), Content_Type=kind)
    assert status == 413
    nothing = b'--x\r\nContent-Disposition: form-data; name="class"\r\n\r\nCOVID\r\n--x--\r\n'
    assert served.ask("POST", "/judge", nothing, Content_Type=kind)[0] == 400
    foreign = {"Content_Type": kind, "Origin": "http://hospital.example"}
    assert served.ask("POST", "/judge", nothing, **foreign)[0] == 403


def test_pages_keep_wcag_aa_and_fit_a_phone(browser: Any, served: Served, folder: Path) -> None:
    """By axe in both schemes; the keyboard meets the skip link first."""
    from axe_playwright_python.sync_playwright import Axe

    note_progress(folder, 7)
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    base = f"http://127.0.0.1:{served.port}"
    for scheme, width in (("light", 1280), ("dark", 390)):
        page = browser.new_page(
            base_url=base, color_scheme=scheme, bypass_csp=True,
            viewport={"width": width, "height": 900},
        )  # fmt: skip
        page.goto("/readers")
        page.fill("input[name=reader]", scheme)
        page.fill("input[name=count]", "4")
        page.click("button[type=submit]")
        trial = page.url
        for path in ("/studies", "/judge", "/judge/none", trial, "", "/readers"):
            if path:
                page.goto(path)
            else:  # answer all, and look at what is said
                for _ in range(4):
                    page.wait_for_function("document.querySelector('.trial img').complete")
                    with page.expect_navigation():
                        page.locator(".answers button").first.click()
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") == width, path
            found = Axe().run(page, options=rules)
            faults = [
                (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
                for one in found.response["violations"]
            ]
            assert faults == [], f"{path}, {scheme}"
            page.reload()
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.className") == "skip", path
        page.close()


def test_beyond_this_machine_the_page_asks_for_its_token(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0") as server:
        assert len(server.token) >= 32
        cookie = f"balancer-token={server.token}"
        for path in ("/", "/studies", "/judge", "/config", "/gradio_api/queue/join"):
            assert server.ask("GET", path)[0] == 401
            assert server.ask("GET", path, Cookie="balancer-token=é")[0] == 401
            assert server.ask("GET", f"{path}?token={server.token[:-1]}")[0] == 401
        assert server.ask("GET", f"/studies?token={server.token}")[0] == 303
        assert server.ask("GET", "/studies", Cookie=cookie, Host="this-machine:80")[0] == 200
        assert server.ask("GET", "/config", Cookie=cookie)[0] == 200
        foreign = {"Cookie": cookie, "Origin": "http://hospital.example"}
        assert server.ask("GET", "/config", **foreign)[0] == 403
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 130
        assert server.token not in server.log.read_text()
