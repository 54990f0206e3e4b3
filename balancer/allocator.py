"""The memory allocator of this process: keep large freed blocks instead of returning them."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of <malloc.h>
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make the C library reuse large freed blocks instead of returning them to the system.

    Networks on a CPU allocate the same large tensors at every step. By default glibc maps each
    tensor above 32 MiB again and unmaps it afterwards, and the system clears all of its pages each
    time, which can take as long as the arithmetic. The cost: the process keeps its peak memory
    until it ends.

    Returns:
        True if anything changed; False with another C library.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
