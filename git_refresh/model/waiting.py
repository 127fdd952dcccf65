"""Reports the waits of an operation to the pool of its thread (`run.pool`).

An operation that waits too long no longer counts as working, and releases its thread if others need it.
Waits are service calls, pauses between attempts, and lookups by another thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from git_refresh.model.clock import Clock

SLICE_S = 0.5
"""Maximum time until a waiting operation checks again whether it must release its thread."""

_MIN_SLICE_S = 0.01


class WaitTracker(Protocol):
    """Record of the waits of one operation, which the pool keeps."""

    @property
    def share_s(self) -> float:
        """Total time that the operation can wait while others need its thread."""
        ...

    def begin_wait(self) -> bool:
        """Begin a wait. Return False if one has already begun."""
        ...

    def end_wait(self) -> None: ...

    def used_up(self) -> bool: ...

    def must_give_up(self) -> bool:
        """Return whether the operation has waited longer than its share, and others need its thread."""
        ...


_place: ContextVar[WaitTracker | None] = ContextVar("place", default=None)


@contextmanager
def on(place: WaitTracker) -> Iterator[None]:
    """Report the waits of the calling thread to `place`."""
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


@contextmanager
def waiting() -> Iterator[None]:
    """Report the enclosed work as a wait. A nested wait is part of the outer one."""
    place = _place.get()
    if place is None or not place.begin_wait():
        yield
        return
    try:
        yield
    finally:
        place.end_wait()


def turn(seconds: float) -> float:
    """Return how much of `seconds` to wait until the next call of this function.

    Raises:
        TimeoutError: other operations need this thread.
    """
    place = _place.get()
    if place is None:
        return seconds
    if place.must_give_up():
        raise TimeoutError("other operations need this thread")
    return min(seconds, SLICE_S, max(place.share_s / 4, _MIN_SLICE_S))


def at_once(seconds: float) -> float:
    """Return how much of `seconds` a single wait can take that cannot be interrupted."""
    place = _place.get()
    return seconds if place is None else min(seconds, place.share_s)


def pause(clock: Clock, seconds: float) -> None:
    """Sleep in short intervals; see `turn`."""
    with waiting():
        while seconds > 0:
            part = turn(seconds)
            clock.sleep(part)
            seconds -= part


def used_up() -> bool:
    """Return whether the operation of the calling thread has waited longer than its share."""
    place = _place.get()
    return place is not None and place.used_up()
