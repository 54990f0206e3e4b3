"""Commands in processes that start at once and can be killed at any moment.

A server imports the libraries once and forks a process for each command, in a group of its own.
"""

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

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
living = set()

def start(words, folder, log):
    child = os.fork()
    os.setpgid(child, child)  # here and there: neither may come too late
    if child:
        living.add(child)
        return child
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

def wait(child, seconds):
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            living.remove(child)
            return os.waitstatus_to_exitcode(status)
        if until is not None and time.monotonic() >= until:
            return None
        time.sleep(0.002)

for line in sys.stdin:
    number, order, *given = json.loads(line)
    answer = {"start": start, "wait": wait}[order](*given)
    print(json.dumps([number, answer]), flush=True)
for child in living:  # a test that failed did not wait for it
    os.killpg(child, signal.SIGKILL)
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


class Command:
    """A command that was started."""

    def __init__(self, server: "ForkedCommands", pid: int, log: Path) -> None:
        self._server, self.pid, self._log = server, pid, log

    @property
    def said(self) -> str:
        """Text that the command printed until now."""
        return self._log.read_text(errors="replace")

    def wait(self, seconds: float | None = None) -> int | None:
        """Return its exit code, or None if it has not ended by then; ask no more once it has."""
        code: int | None = self._server.ask("wait", self.pid, seconds)
        return code


class ForkedCommands:
    """Server of commands, to be used as a context; threads take turns."""

    def __init__(self, folder: Path) -> None:
        """Keep the path to the folder of the logs, which must exist."""
        self._folder, self._asked = folder, 0

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

    def ask(self, order: str, *given: object) -> Any:
        """Have the server start a command, or wait for one."""
        assert self._server.stdin
        assert self._server.stdout
        self._asked += 1
        self._server.stdin.write(json.dumps([self._asked, order, *given]) + "\n")
        self._server.stdin.flush()
        while True:  # a test that ran out of time has not read its answer
            number, answer = json.loads(self._server.stdout.readline())
            if number == self._asked:
                return answer

    def start(self, *words: str, folder: str = ".") -> Command:
        """Start a command in a folder."""
        log = self._folder / f"log-{self._asked}"
        log.touch()  # the command may be read before it opens it
        return Command(self, self.ask("start", words, folder, str(log)), log)

    def run(self, *words: str, kill_after: float | None = None, folder: str = ".") -> Ended:
        """Run a command in a folder to its end, or kill its whole group after some seconds."""
        command = self.start(*words, folder=folder)
        start = time.monotonic()  # the first one waits until the libraries are imported
        code = command.wait(kill_after)
        if code is None:
            os.killpg(command.pid, signal.SIGKILL)  # not reaped yet: the number is its own
            code = command.wait()
        assert code is not None
        return Ended(code, time.monotonic() - start, command.said)

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
