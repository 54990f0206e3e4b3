"""Memory that decoders may take at a time, in all threads and worker processes in sum.

An image asks for what its header says it needs before it is decoded, and waits while others hold
too much. So a few huge films are read one after another, and small ones as fast as before.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from typing import Any

from balancer.allocator import return_freed_memory
from balancer.data.config import DataConfig

_MIB = 2**20
_WORTH_RETURNING = 64 * _MIB
"""Grants below this stay with the allocator, which reuses them faster than the system could."""
_USED, _WORKING, _WAITS = range(3)


class DecodingMemory:
    """A number of bytes that threads share.

    Args:
        limit_mb: The number, in MiB.
        context: Context of the worker processes that share it too; None: there are none.
    """

    def __init__(self, limit_mb: float, context: SpawnContext | None = None) -> None:
        self.limit = int(limit_mb * _MIB)
        self._changed: Any = threading.Condition() if context is None else context.Condition()
        self._counts: Any = [0, 0, 0] if context is None else context.RawArray("q", 3)

    @property
    def waits(self) -> int:
        """Number of times that an image waited for memory."""
        return int(self._counts[_WAITS])

    def take(self, more: int, *, holds: bool) -> None:
        """Wait for bytes.

        Args:
            more: Number of bytes; never more than the limit.
            holds: This thread holds some already. While it waits, the others may have to wait for
                those: once nobody works, one goes on all the same.
        """
        with self._changed:
            if holds:
                self._counts[_WORKING] -= 1
                self._changed.notify_all()
            if not self._fits(more):
                self._counts[_WAITS] += 1
                self._changed.wait_for(lambda: self._fits(more))
            self._counts[_USED] += more
            self._counts[_WORKING] += 1

    def give_back(self, held: int) -> None:
        """Return all bytes that a thread holds."""
        with self._changed:
            self._counts[_USED] -= held
            self._counts[_WORKING] -= 1
            self._changed.notify_all()

    def _fits(self, more: int) -> bool:
        return bool(self._counts[_USED] + more <= self.limit or self._counts[_WORKING] == 0)


_memory = DecodingMemory(DataConfig().max_memory_mb)
_thread = threading.local()


def limit_decoding(limit_mb: float) -> None:
    """Set the limit of this process, before it decodes anything."""
    global _memory
    if _memory.limit != int(limit_mb * _MIB):
        _memory = DecodingMemory(limit_mb)


def share_decoding(memory: DecodingMemory) -> None:
    """Use the memory that another process shares with this one."""
    global _memory
    _memory = memory


@contextmanager
def shared_decoding(context: SpawnContext) -> Iterator[DecodingMemory]:
    """Provide the memory of worker processes, with the limit of this process."""
    before = _memory
    shared = DecodingMemory(before.limit / _MIB, context)
    share_decoding(shared)
    try:
        yield shared
    finally:
        share_decoding(before)


def waits() -> int:
    """Return how often an image waited until others were decoded."""
    return _memory.waits


def limit_mb() -> float:
    """Return the limit of this process, in MiB."""
    return _memory.limit / _MIB


@contextmanager
def one_image() -> Iterator[None]:
    """Hold what is required inside until the block ends; a block in a block is the same one."""
    if getattr(_thread, "memory", None) is not None:
        yield
        return
    _thread.memory, _thread.held = _memory, 0
    try:
        yield
    finally:
        memory, held = _thread.memory, _thread.held
        _thread.memory = None
        if held:
            if held >= _WORTH_RETURNING:  # or each thread would keep the largest image it had
                return_freed_memory()
            memory.give_back(held)


def require(wanted: int, *, refuse: bool = True) -> None:
    """Wait until this thread may take a number of bytes in sum; call it inside `one_image`.

    Args:
        wanted: Bytes of all that lives at one time, with those required before.
        refuse: False: an image above the limit is admitted, alone, as it was accepted before.

    Raises:
        ValueError: No more than the limit can be had.
    """
    memory, held = _thread.memory, _thread.held
    if wanted > memory.limit:
        if refuse:
            raise ValueError(
                f"it needs about {wanted / _MIB:,.0f} MiB of memory to be read, over the limit of "
                f"{memory.limit / _MIB:g} MiB (data.max_memory_mb)"
            )
        wanted = memory.limit
    if wanted > held:
        memory.take(wanted - held, holds=held > 0)
        _thread.held = wanted
