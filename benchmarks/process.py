"""What Linux and glibc tell of this process: threads, descriptors and memory."""

import ctypes
import gc
import re
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process. Memory is in MiB.

    Attributes:
        resident: what is charged for it now (RSS).
        peak: the most that was ever resident (VmHWM).
        heap: what malloc has taken from the system, of which `free` is in no use, and `mapped` is in large blocks of their own.
        blocks: objects in Python's own allocator, which malloc does not see.
        collected: garbage collections of the oldest generation, so far.
    """

    threads: int
    descriptors: int
    resident: float
    peak: float
    heap: float
    free: float
    mapped: float
    blocks: int
    collected: int


class _MallInfo(ctypes.Structure):
    """mallinfo(3), the sums over all of malloc's arenas."""

    _fields_ = (
        ("arena", ctypes.c_size_t),
        ("ordblks", ctypes.c_size_t),
        ("smblks", ctypes.c_size_t),
        ("hblks", ctypes.c_size_t),
        ("hblkhd", ctypes.c_size_t),
        ("usmblks", ctypes.c_size_t),
        ("fsmblks", ctypes.c_size_t),
        ("uordblks", ctypes.c_size_t),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    )


_libc = ctypes.CDLL(None)
_libc.mallinfo2.restype = _MallInfo


def sample() -> Sample:
    """How this process is now."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    info = _libc.mallinfo2()
    return Sample(
        threads=threading.active_count(),
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        resident=_kib(status, "VmRSS") / 1024,
        peak=_kib(status, "VmHWM") / 1024,
        heap=info.arena / MIB,
        free=info.fordblks / MIB,
        mapped=info.hblkhd / MIB,
        blocks=sys.getallocatedblocks(),
        collected=gc.get_stats()[-1]["collections"],
    )


def settle(seconds: float) -> None:
    """Let threads end that were told to, so that the ones that never will can be told apart."""
    until = time.monotonic() + seconds
    while threading.active_count() > 1 and time.monotonic() < until:
        time.sleep(0.01)


def trim() -> None:
    """Give back to the system what malloc holds and nobody uses; not the free ends of the arenas of other threads."""
    _libc.malloc_trim(0)


def _kib(status: str, name: str) -> int:
    found = re.search(rf"{name}:\s*(\d+) kB", status)
    return int(found.group(1)) if found else 0
