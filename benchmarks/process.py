"""Threads, descriptors and memory of this process, from Linux and glibc."""

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
    """A snapshot of a process; memory is in MiB.

    `resident` is the current size (RSS) and `peak` the largest one (VmHWM). `heap` is malloc's memory: `free`
    is unused, `mapped` is in separate large blocks. `blocks` counts objects in Python's own allocator, which
    malloc does not see. `collected` counts garbage collections of the oldest generation.
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
    """The result of mallinfo(3), summed over malloc's arenas."""

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
    """Return a snapshot of this process."""
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
    """Wait for threads that are about to finish, to distinguish them from leaked ones."""
    until = time.monotonic() + seconds
    while threading.active_count() > 1 and time.monotonic() < until:
        time.sleep(0.01)


def trim() -> None:
    """Return malloc's unused memory to the system, except in arenas of other threads."""
    _libc.malloc_trim(0)


def _kib(status: str, name: str) -> int:
    found = re.search(rf"{name}:\s*(\d+) kB", status)
    return int(found.group(1)) if found else 0
