"""The page in a real browser: every page of it, its numbers, its refusals, and who is asked."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from balancer.config import BalancerConfig
from balancer.data.index import load_index
from balancer.evaluation.predictions import read_predictions
from balancer.stages import report
from balancer.workspace import Workspace
from classifier.checkpoint import CARD, WEIGHTS
from support.made_ablation import write_ablation

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
PATIENCE = 60_000
SERVE = """
import signal, socket, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # the parent may ignore it, as under nohup
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        told = arguments[1][0] if event == "socket.connect" else arguments[0]
        if str(told) not in ("127.0.0.1", "localhost", "::1", "None"):
            print("FOREIGN", event, told, file=sys.stderr, flush=True)
sys.addaudithook(watch)
from balancer.cli import main
main()
"""

missing = [name for name in ("gradio", "playwright") if importlib.util.find_spec(name) is None]
missing += [] if Path(CHROMIUM).is_file() else [CHROMIUM]
pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
    # Playwright's loop and its pipes are closed by the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def served(
    copied: Workspace, config: BalancerConfig, tmp_path: Path
) -> Iterator[tuple[str, Workspace, Path]]:
    """Address of a served workspace that has everything, and what the server says on stderr."""
    index = load_index(copied.index_dir)
    write_ablation(copied, index.index_hash, names=index.classes)
    report.run(config, copied)
    said = tmp_path / "stderr.txt"
    command = [sys.executable, "-c", SERVE, "serve", "-w", str(copied.root), "--port", "0"]
    with (
        said.open("w") as stderr,
        subprocess.Popen(
            [*command, "--no-browser"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=os.environ | {"TMPDIR": str(tmp_path)},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            assert found, said.read_text()
            yield found[0], copied, said
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()  # leaving the block would wait for it without end
    assert process.returncode == 128 + signal.SIGINT, said.read_text()


@pytest.fixture
def page(served: tuple[str, Workspace, Path]) -> Iterator[tuple[Any, list[str], list[str]]]:
    """The page in Chromium, addresses that it asked, and its complaints."""
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        view = browser.new_page(viewport={"width": 1280, "height": 1000})
        view.set_default_timeout(PATIENCE)
        view.on("request", lambda request: asked.append(request.url))
        view.on("pageerror", lambda error: complaints.append(str(error)))
        view.on(
            "console",
            lambda message: complaints.append(message.text) if message.type == "error" else None,
        )
        view.goto(served[0])
        yield view, asked, complaints
        browser.close()


def test_every_page_works_and_nobody_else_is_asked(
    served: tuple[str, Workspace, Path],
    page: tuple[Any, list[str], list[str]],
    tmp_path: Path,
) -> None:
    url, workspace, said = served
    view, asked, complaints = page
    view.get_by_text("Drop an image above").wait_for()

    index = load_index(workspace.index_dir)
    record = index.select("test")[0]
    upload = view.locator("#film input[type=file]")
    upload.set_input_files(str(index.roots.locate(record.path)))
    view.locator('.bal-model[data-model="real"]').wait_for()
    for arm in ("real", "real+synthetic"):
        told = read_predictions(workspace.classify_dir(arm) / "predictions.csv")
        row = told.image_ids.index(record.image_id)
        card = view.locator(f'.bal-model[data-model="{arm}"]')
        for name, wanted in zip(told.class_names, told.probabilities[row], strict=True):
            shown = float(card.locator(f'[data-class="{name}"]').inner_text())
            assert shown == pytest.approx(wanted, abs=1e-4)
        result = json.loads((workspace.classify_dir(arm) / "result.json").read_text())
        assert f"threshold {result['metrics']['threshold']:.4f}" in card.inner_text()
    assert view.get_by_text("one of the test images").is_visible()

    photograph = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(photograph).save(tmp_path / "holiday.png")
    _upload_another(view, tmp_path / "holiday.png")
    view.get_by_text("it is a colour picture").wait_for()
    Image.fromarray(photograph[..., 0]).save(tmp_path / "noise.png")
    _upload_another(view, tmp_path / "noise.png")
    view.get_by_text("too far from them").wait_for()
    (tmp_path / "letter.png").write_text("a letter")
    _upload_another(view, tmp_path / "letter.png")
    view.get_by_text("its content is text").wait_for()
    assert view.locator(".bal-model").count() == 0

    view.locator("#samples button").first.click()
    view.locator('.bal-model[data-model="real"]').wait_for()
    assert view.get_by_text("one of the validation images").is_visible()

    view.get_by_text("Add a classifier from its files").click()
    files = view.locator("#model-files input[type=file]")
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04")
    files.set_input_files(str(tmp_path / "model.pt"))
    view.get_by_text("Invalid file type: model.pt").wait_for()
    chosen = [
        shutil.copy(workspace.classify_dir("real") / name, tmp_path) for name in (CARD, WEIGHTS)
    ]
    view.locator("#model-files input[type=file]").set_input_files(chosen)
    view.locator('.bal-model[data-model^="uploaded"]').wait_for()
    # A sample has taken the film's place, and the classifier's files are read.
    kept = {path.name for path in tmp_path.glob("balancer-serve-*/files/*/*")}
    assert not kept & {"holiday.png", "noise.png", "letter.png", CARD, WEIGHTS}

    view.get_by_role("tab", name="Generated images").click()
    assert view.get_by_text("Not for diagnosis").is_visible()
    view.locator("#make").click()
    view.locator("#made .bal-pair").nth(7).wait_for()
    view.get_by_role("tab", name="Explore").click()
    strip = view.locator("#explored .bal-strip img").first
    before = strip.get_attribute("src")
    view.locator("#from input").fill("5")
    view.locator("#from input").press("Enter")
    view.get_by_text("between images 5 and 1").wait_for()
    assert strip.get_attribute("src") != before

    view.get_by_role("tab", name="Ablation").click()
    view.locator(".bal-verdict .badge").wait_for()
    assert view.get_by_text("Not for diagnosis").is_visible()
    assert view.locator(".bal-study figure img").count() >= 3

    view.set_viewport_size({"width": 400, "height": 900})
    for name in ("Ablation", "Generated images", "Classify"):
        view.get_by_role("tab", name=name).click()
        view.wait_for_timeout(300)  # the layout follows the window
        assert view.evaluate("document.documentElement.scrollWidth") == 400, name
        assert view.get_by_text("Not for diagnosis").is_visible()

    forged = {"path": "http://hospital.example/film.png", "meta": {"_type": "gradio.FileData"}}
    body = {"data": [forged], "fn_index": 0, "session_hash": "forged"}
    assert view.request.post(f"{url}gradio_api/queue/join", data=body).ok
    answer = view.request.get(f"{url}gradio_api/queue/data?session_hash=forged").text()
    assert '"success":false' in answer

    foreign = [address for address in asked if not address.startswith((url, "data:", "blob:"))]
    assert foreign == []
    assert complaints == []
    assert "FOREIGN" not in said.read_text()


def _upload_another(view: Any, path: Path) -> None:
    """Choose a file where one is chosen already."""
    view.locator("#film").get_by_label("Clear").click()
    view.locator("#film input[type=file]").set_input_files(str(path))
