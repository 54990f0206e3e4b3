"""The memory allocator of this process: keep large freed blocks, or return them."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # of <malloc.h>
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make the C library reuse large freed blocks instead of returning them to the system.

    Networks on a CPU allocate the same large tensors at every step. By default glibc maps each
    tensor above 32 MiB again and unmaps it afterwards, and the system clears all of its pages each
    time, which can take as long as the arithmetic. The cost: the process keeps its peak memory
    until it ends, or until `return_freed_memory`. All threads share one store, or each would keep a
    peak of its own, which serves no other and is not returned.

    Returns:
        True if anything changed; False with another C library.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _NEVER, _M_ARENA_MAX: 1}
    return all(bool(mallopt(name, value)) for name, value in settings.items())


def return_freed_memory() -> bool:
    """Make the C library return all freed memory to the system, once.

    Returns:
        True if any was returned; False with another C library.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    return bool(ctypes.CDLL(None).malloc_trim(0))
