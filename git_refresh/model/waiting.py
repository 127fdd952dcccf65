"""Waiting for others, where the pool that has lent the thread can see it.

An operation that waits too long stops counting among those that work, and gives its thread back when others have none (`run.pool`).
Everything that waits in a run is marked here: calls of services, pauses between attempts, look-ups that another thread has begun.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from git_refresh.model.clock import Clock

SLICE_S = 0.5
"""Seconds that are waited at a time; in between, the operation asks whether it must give its thread back.

A quarter of its share, where that is less.
"""

_MIN_SLICE_S = 0.01


class WaitTracker(Protocol):
    """What a pool keeps of an operation that is under way on the calling thread."""

    @property
    def share_s(self) -> float:
        """Seconds that it may wait, all in all, while others have no thread."""
        ...

    def begin_wait(self) -> bool:
        """It waits from now on; false if it does already."""
        ...

    def end_wait(self) -> None: ...

    def used_up(self) -> bool:
        """Whether it has waited for longer than its share."""
        ...

    def must_give_up(self) -> bool:
        """Whether it has, and others have no thread."""
        ...


_place: ContextVar[WaitTracker | None] = ContextVar("place", default=None)


@contextmanager
def on(place: WaitTracker) -> Iterator[None]:
    """Let all that the calling thread waits for be told to `place`."""
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


@contextmanager
def waiting() -> Iterator[None]:
    """Mark what is done here as waiting for others. A wait inside another belongs to it."""
    place = _place.get()
    if place is None or not place.begin_wait():
        yield
        return
    try:
        yield
    finally:
        place.end_wait()


def turn(seconds: float) -> float:
    """How many of these seconds to wait before asking again.

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
    """How many of these seconds may be waited at once by what cannot ask in between."""
    place = _place.get()
    return seconds if place is None else min(seconds, place.share_s)


def pause(clock: Clock, seconds: float) -> None:
    """Sleep, as far as other operations do not need this thread: see `turn`."""
    with waiting():
        while seconds > 0:
            part = turn(seconds)
            clock.sleep(part)
            seconds -= part


def used_up() -> bool:
    """Whether the calling thread's operation has waited for longer than its share."""
    place = _place.get()
    return place is not None and place.used_up()
