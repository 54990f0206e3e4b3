"""Memory that images share while they are decoded: threads and processes wait for each other."""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from balancer.app.uploads import RefusedFilmError, read_film
from balancer.data import memory
from balancer.data.config import DataConfig
from balancer.data.ingest.pool import run_bounded
from balancer.data.io import decode_radiograph, png_bytes

MIB = 2**20
Span = tuple[float, float]


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """Set a limit of 100 MiB."""
    memory.limit_decoding(100)
    yield
    memory.limit_decoding(DataConfig().max_memory_mb)


def hold(mib: int) -> Span:
    """Hold memory for a moment; return when."""
    with memory.one_image():
        memory.require(mib * MIB)
        began = time.monotonic()
        time.sleep(0.05)
        return began, time.monotonic()


def most_at_once(spans: list[Span]) -> int:
    return max(sum(begin <= one < end for begin, end in spans) for one, _ in spans)


@pytest.mark.parametrize("processes", [False, True])
def test_workers_wait_for_each_other(monkeypatch: pytest.MonkeyPatch, processes: bool) -> None:
    pool = "balancer.data.ingest.pool"
    monkeypatch.setattr(f"{pool}._WORTH_PROCESSES", 0 if processes else sys.maxsize)
    monkeypatch.setattr(f"{pool}.available_cores", lambda: 3)
    assert most_at_once(list(run_bounded(hold, [60] * 6, 6))) == 1
    assert most_at_once(list(run_bounded(hold, [30] * 12, 12))) in (2, 3)


def test_images_that_come_to_need_more_do_not_wait_for_ever() -> None:
    both = threading.Barrier(2)

    spans: list[Span] = []

    def grow() -> None:
        with memory.one_image():
            memory.require(50 * MIB)
            both.wait()  # now neither can have 80
            memory.require(80 * MIB)
            began = time.monotonic()
            time.sleep(0.05)
            spans.append((began, time.monotonic()))

    threads = [threading.Thread(target=grow, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(spans) == 2
    assert most_at_once(spans) == 1
    assert hold(100)  # all was given back


def test_a_failure_gives_its_memory_back() -> None:
    def fail() -> None:
        with memory.one_image():
            memory.require(90 * MIB)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert hold(100)


def test_what_was_accepted_before_is_read_alone_instead_of_refused() -> None:
    film = np.arange(4096, dtype=np.uint32).astype(np.uint8)[None].repeat(4096, axis=0)
    memory.limit_decoding(64)
    data = png_bytes(film, {})
    assert (decode_radiograph(data, Path("x.png"), max_megapixels=None).pixels == film).all()
    with pytest.raises(ValueError, match=r"data\.max_memory_mb"), memory.one_image():
        memory.require(65 * MIB)


def test_the_page_refuses_an_upload_that_needs_too_much(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png_bytes(np.zeros((4096, 4096), np.uint8), {}))
    memory.limit_decoding(64)
    with pytest.raises(RefusedFilmError, match=r"data\.max_memory_mb"):
        read_film(path, DataConfig())
