import platform
import resource
import subprocess
import sys

import pytest

from balancer.allocator import keep_freed_memory

_CODE = """
import resource
from balancer.allocator import keep_freed_memory
{call}
for _ in range(20):
    block = bytearray(b'x') * (64 * 2**20)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    assert not keep_freed_memory()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc")
def test_large_blocks_are_not_cleared_again_and_again() -> None:
    pages = 64 * 2**20 // resource.getpagesize()  # of one block
    faults = {}
    for call in ("", "assert keep_freed_memory()"):
        done = subprocess.run(
            [sys.executable, "-c", _CODE.format(call=call)],
            capture_output=True,
            text=True,
            check=True,
        )
        faults[call] = int(done.stdout)
    saved = faults[""] - faults["assert keep_freed_memory()"]
    # Nineteen of the twenty blocks find their pages there; huge pages may make it fewer faults.
    assert saved > 19 * pages / 1024
