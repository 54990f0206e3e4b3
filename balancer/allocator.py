"""How this process holds on to memory: glibc gives large blocks back, and asks for them anew."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of <malloc.h>
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let the C library reuse large freed blocks in place of returning them to the system.

    Networks on a CPU allocate the same large tensors at every step. By default glibc maps each of
    those above 32 MiB anew and unmaps it after, and the system clears every page of it again, which
    can take as long as the arithmetic. The price is that the process keeps its peak memory until it
    ends.

    Returns:
        Whether anything was changed; false where the C library is another.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
