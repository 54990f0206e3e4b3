"""`balancer serve` as a process."""

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CODE = "from balancer.cli import main; main()"
LIMIT = 2 * 10**6
"""Bytes of all uploads together."""


@dataclass
class Served:
    """A server and the folder that it keeps its files in."""

    process: subprocess.Popen[str]
    port: int
    temporary: Path
    log: Path
    own: frozenset[Path] = frozenset()
    token: str = ""

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, str]:
        """Send a request; return the status and the text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def upload(self, content: bytes, name: str = "film.png") -> tuple[int, str]:
        """Upload a file as the page does."""
        head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + b"\r\n--x--\r\n"
        kind = "multipart/form-data; boundary=x"
        return self.ask("POST", "/gradio_api/upload", body, Content_Type=kind)

    def call(self, number: int, data: list[Any]) -> tuple[int, str]:
        """Call a function of the page."""
        question = {"fn_index": number, "data": data, "session_hash": "s"}
        words = json.dumps(question).encode()
        return self.ask("POST", "/gradio_api/queue/join", words, Content_Type="application/json")

    def uploads(self) -> list[Path]:
        """Return every file of an upload, not the page's own samples."""
        return sorted(files_in(self.temporary) - self.own)


def files_in(temporary: Path) -> frozenset[Path]:
    """Return all files that servers keep."""
    found = temporary.glob("balancer-serve-*/files/**/*")
    return frozenset(path for path in found if path.is_file())


@contextmanager
def serving(folder: Path, *more: str) -> Iterator[Served]:
    """Serve the workspace in `work`, by default an empty ablation, with its own temporary folder.

    Args:
        folder: Folder of both, and of the log.
        more: Further words of the command.
    """
    (folder / "work" / "ablation").mkdir(parents=True, exist_ok=True)
    (folder / "tmp").mkdir(exist_ok=True)
    words = ["serve", "-w", str(folder / "work"), "--port", "0", "--no-browser", *more]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-c", CODE, *words, "--upload-limit", str(LIMIT // 10**6)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"TMPDIR": str(folder / "tmp")},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"(http://[^/]+:(\d+)/)(?:\?token=(\S+))?", line)
            assert found, (folder / "log").read_text()
            own = files_in(folder / "tmp")
            assert own  # the samples
            yield Served(
                process, int(found[2]), folder / "tmp", folder / "log", own, found[3] or ""
            )
        finally:
            process.kill()
