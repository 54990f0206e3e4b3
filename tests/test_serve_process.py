"""The server as a process: what it answers, what it keeps on the disk, and how it ends."""

import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from balancer.app.upload_folder import UploadFolder
from support.served_page import LIMIT, Served, serving

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gradio") is None, reason="not installed: gradio"
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for most tests, which has to end cleanly after them."""
    with serving(tmp_path_factory.mktemp("served")) as server:
        yield server
        server.process.send_signal(signal.SIGHUP)
        server.process.send_signal(signal.SIGHUP)  # as a terminal that closes does
        assert server.process.wait(60) == 128 + signal.SIGHUP
        assert not list(server.temporary.glob("balancer-serve-*"))


@pytest.fixture
def calm(served: Served) -> Iterator[Served]:
    """The server, which must not meet an unforeseen error meanwhile."""
    before = served.log.read_text()
    yield served
    assert "Traceback" not in served.log.read_text()[len(before) :]


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://127.0.0.1:{port}", "127.0.0.1:{port}", 200),
        ("http://localhost:{port}", "127.0.0.1:{port}", 200),
        ("http://localhost:9000", "localhost:9000", 200),  # a forwarded port
        ("http://localhost:1", "127.0.0.1:{port}", 403),
        ("http://[::1", "127.0.0.1:{port}", 403),
        ("http://hospital.example", "hospital.example", 400),
    ],
)
def test_whose_requests_are_answered(calm: Served, origin: str, host: str, status: int) -> None:
    words = {"Origin": origin.format(port=calm.port), "Host": host.format(port=calm.port)}
    assert calm.ask("GET", "/config", None, **words)[0] == status
    asked = words | {"Access_Control_Request_Method": "POST"}
    assert calm.ask("OPTIONS", "/gradio_api/upload", None, **asked)[0] < 500


@pytest.mark.parametrize(
    "path",
    [
        *("/openapi.json", "/docs", "/redoc", "/gradio_api/info", "/gradio_api/info/"),
        *("/gradio_api/openapi.json", "/gradio_api/call/x", "/gradio_api/run/predict"),
    ],
)
def test_nothing_describes_or_opens_the_interface(calm: Served, path: str) -> None:
    assert calm.ask("GET", path)[0] == 404
    assert calm.ask("POST", path, b"{}")[0] == 404


@pytest.mark.parametrize("number", [-1, 99_999, "99999", 99_999.0, 10**400])
def test_a_function_that_is_not_there_is_not_found(calm: Served, number: Any) -> None:
    status, text = calm.call(number, [])
    assert 400 <= status < 500, text


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"[" * 10**5, b'{"fn_index": "x"}'])
def test_a_malformed_question_is_the_askers_fault(calm: Served, body: bytes) -> None:
    status, _ = calm.ask("POST", "/gradio_api/queue/join", body, Content_Type="application/json")
    assert 400 <= status < 500


def test_no_answer_names_a_folder_of_the_server(served: Served) -> None:
    function = next(
        one for one in json.loads(served.ask("GET", "/config")[1])["dependencies"]
        if "upload" in str(one["targets"])
    )  # fmt: skip
    file = {"path": "file:/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    assert served.call(function["id"], [file, None])[0] == 200
    said = served.ask("GET", "/gradio_api/queue/data?session_hash=s")[1]
    assert "process_completed" in said
    assert '"success":false' in said.replace(" ", "")
    for folder in (Path.cwd(), served.temporary):
        assert str(folder) not in said


def test_uploads_are_bounded_in_sum_and_the_oldest_go(calm: Served) -> None:
    size = LIMIT * 2 // 5
    for number in range(4):
        assert calm.upload(bytes([number]) * size)[0] == 200
        assert sum(path.stat().st_size for path in calm.uploads()) <= LIMIT
    assert {path.read_bytes()[0] for path in calm.uploads()} == {2, 3}
    status, text = calm.upload(b"9" * LIMIT)
    assert status == 413
    assert "2 MB" in text
    assert len(calm.uploads()) == 2
    assert all(path.exists() for path in calm.own)
    connection = http.client.HTTPConnection("127.0.0.1", calm.port, timeout=60)
    connection.request("POST", "/gradio_api/upload", iter([b"x" * 99]), encode_chunked=True)
    assert connection.getresponse().status == 411
    connection.close()


def test_an_upload_that_breaks_off_leaves_nothing(calm: Served) -> None:
    before = set(calm.uploads())
    connection = http.client.HTTPConnection("127.0.0.1", calm.port, timeout=60)
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        + b"y" * 300_000
    )
    connection.close()
    size = LIMIT * 2 // 5
    assert calm.upload(b"z" * size)[0] == 200
    deadline = time.monotonic() + 30
    while any(path.parent.name == "files" for path in calm.uploads()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [path.read_bytes()[:1] for path in set(calm.uploads()) - before] == [b"z"]


KILLED = """
import os, signal
from balancer.app.upload_folder import UploadFolder
folder = UploadFolder(10)
(folder.files / "film.png").write_bytes(b"film")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_uploads_go_with_the_server_and_those_of_killed_ones_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    subprocess.run([sys.executable, "-c", KILLED], env=os.environ | {"TMPDIR": str(temporary)})
    (killed,) = temporary.glob("balancer-serve-*")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    living = UploadFolder(10)
    (temporary / "balancer-serve-file").write_text("no folder of a server")
    (temporary / "balancer-serve-link").symlink_to(tmp_path / "work")
    (temporary / "balancer-serve-earlier").mkdir()
    (temporary / "balancer-serve-earlier" / "film.png").write_text("of an earlier version")
    kept = set(temporary.glob("balancer-serve-*")) - {killed}
    with serving(tmp_path) as server:
        assert not killed.exists()
        assert server.upload(b"a film")[0] == 200
        assert set(temporary.glob("balancer-serve-*")) > kept
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 128 + signal.SIGTERM
        assert set(temporary.glob("balancer-serve-*")) == kept
        assert "Traceback" not in server.log.read_text()
        assert "balancer-serve-earlier" in server.log.read_text()
    living.remove()
    assert not living.files.exists()


def test_an_upload_that_is_no_longer_used_goes_and_no_other_file(tmp_path: Path) -> None:
    folder = UploadFolder(10)
    upload = folder.files / "hash" / "film.png"
    upload.parent.mkdir()
    for path in (upload, tmp_path / "film.png"):
        path.write_bytes(b"film")
        folder.discard(str(path))
    folder.discard(None)
    assert not upload.exists()
    assert (tmp_path / "film.png").exists()
    folder.remove()
