"""Commands in processes that start at once and can be killed at any moment.

A server imports the libraries once and forks a process for each command, in a group of its own.
"""

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_SERVER = """
import json, os, signal, sys, time
import torch
torch.set_num_threads(1)  # a fork keeps no other thread
import balancer.stages.run, balancer.stages.ablate, balancer.stages.audit, balancer.ablation.unit
from balancer.cli import main
from matplotlib.figure import Figure
from PIL import Image

def save(figure, target, **words):  # no test that uses this looks at a plot
    Image.new("L", (8, 8)).save(target, format="png")

Figure.savefig = save
for line in sys.stdin:
    words, seconds, folder, log = json.loads(line)
    start = time.monotonic()
    child = os.fork()
    if not child:
        os.setsid()
        with open(log, "wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdin.close()
        os.chdir(folder)
        try:
            main(words)
        except SystemExit as end:
            os._exit(end.code or 0)
        os._exit(0)
    done = 0
    while not done and (seconds is None or time.monotonic() - start < seconds):
        time.sleep(0.002)
        done, status = os.waitpid(child, os.WNOHANG)
    if not done:
        os.killpg(child, signal.SIGKILL)  # it is not reaped yet, so the number is still its own
        _, status = os.waitpid(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), time.monotonic() - start]), flush=True)
"""

_FRONT = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as one:
    one.connect({place!r})
    with one.makefile("rw") as file:
        print(json.dumps([sys.argv[1:], os.getcwd()]), file=file, flush=True)
        code, said = json.loads(file.readline())
print(said)
sys.exit(code)
"""


@dataclass(frozen=True)
class Ended:
    """A command that ended.

    Attributes:
        code: Exit code, -9 if it was killed.
        seconds: Time from its start.
        said: What it printed.
    """

    code: int
    seconds: float
    said: str


class ForkedCommands:
    """Server of commands, to be used as a context."""

    def __init__(self, folder: Path) -> None:
        """Keep the path to the folder of the logs, which must exist."""
        self._log = folder / "log"

    def __enter__(self) -> Self:
        paths = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate(timeout=60)  # closes both pipes; the server ends with its input

    def run(self, *words: str, kill_after: float | None = None, folder: str = ".") -> Ended:
        """Run a command in a folder to its end, or kill its whole group after some seconds."""
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps([words, kill_after, folder, str(self._log)]) + "\n")
        self._server.stdin.flush()
        code, seconds = json.loads(self._server.stdout.readline())
        return Ended(code, seconds, self._log.read_text(errors="replace"))

    @contextmanager
    def executable(self, path: Path) -> Iterator[Path]:
        """Write an executable that has its words run here, one call at a time.

        Args:
            path: Path to it; the socket beside it is `socket`.
        """
        commands = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                words, folder = json.loads(self.rfile.readline())
                ended = commands.run(*words, folder=folder)
                self.wfile.write(json.dumps([ended.code, ended.said]).encode() + b"\n")

        place = path.with_name("socket")
        path.write_text(_FRONT.format(python=sys.executable, place=str(place)))
        path.chmod(0o755)
        with socketserver.UnixStreamServer(str(place), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield path
            finally:
                server.shutdown()
                thread.join()
