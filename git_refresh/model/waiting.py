"""Marks waits, so the pool that provides the thread can see them.

An operation that waits too long no longer counts as working, and releases its thread if others need it (`run.pool`).
Every wait of a run is marked: service calls, pauses between attempts, and lookups by another thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from git_refresh.model.clock import Clock

SLICE_S = 0.5
"""Seconds of one wait. In between, an operation checks whether it must release its thread.

A quarter of its share, if that is less.
"""

_MIN_SLICE_S = 0.01


class WaitTracker(Protocol):
    """The pool's record of the operation on the calling thread."""

    @property
    def share_s(self) -> float:
        """Total seconds that the operation can wait while others need a thread."""
        ...

    def begin_wait(self) -> bool:
        """Begin a wait. Return False if one has already begun."""
        ...

    def end_wait(self) -> None: ...

    def used_up(self) -> bool:
        """Return whether the operation has waited longer than its share."""
        ...

    def must_give_up(self) -> bool:
        """Return whether it has waited longer than its share, and others need its thread."""
        ...


_place: ContextVar[WaitTracker | None] = ContextVar("place", default=None)


@contextmanager
def on(place: WaitTracker) -> Iterator[None]:
    """Report all waits of the calling thread to `place`."""
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


@contextmanager
def waiting() -> Iterator[None]:
    """Mark the enclosed work as waiting. An inner wait belongs to the outer one."""
    place = _place.get()
    if place is None or not place.begin_wait():
        yield
        return
    try:
        yield
    finally:
        place.end_wait()


def turn(seconds: float) -> float:
    """Return how many of these seconds to wait before the next check.

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
    """Return how many of these seconds a wait without checks can take."""
    place = _place.get()
    return seconds if place is None else min(seconds, place.share_s)


def pause(clock: Clock, seconds: float) -> None:
    """Sleep, with checks in between; see `turn`."""
    with waiting():
        while seconds > 0:
            part = turn(seconds)
            clock.sleep(part)
            seconds -= part


def used_up() -> bool:
    """Return whether the thread's operation has waited longer than its share."""
    place = _place.get()
    return place is not None and place.used_up()
