"""Time, passed in from outside so that decisions about it can be tested without waiting."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol


class Event(Protocol):
    """What a thread waits for, and another one announces: `threading.Event`."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Clock(Protocol):
    """What a run asks of time."""

    def now(self) -> datetime:
        """The wall clock, in UTC: what a token's `expires_on` is compared with."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump: what budgets are measured in."""
        ...

    def sleep(self, seconds: float) -> None: ...

    def event(self) -> Event:
        """Something to wait for, with a limit on this clock."""
        ...


class SystemClock:
    """The machine's own clock, as it was set when this was made: setting it in mid-run moves nothing that the run compares.

    Where it was wrong, it stays wrong by the same all through, which `Skew` then tells.
    """

    def __init__(self) -> None:
        self._started, self._elapsed = datetime.now(UTC), _elapsed()

    def now(self) -> datetime:
        return self._started + timedelta(seconds=_elapsed() - self._elapsed)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def event(self) -> Event:
        return threading.Event()


def _elapsed() -> float:
    """Seconds since some moment, those included in which a laptop has slept: Linux alone tells without its wall clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.time()


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a clock's monotonic scale, in seconds."""

    clock: Clock
    at: float

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        return cls(clock, clock.monotonic() + seconds)

    def within(self, seconds: float) -> "Deadline":
        """The earlier of this deadline and `seconds` from now."""
        return Deadline(self.clock, min(self.at, self.clock.monotonic() + seconds))

    def remaining(self) -> float:
        """Seconds left; zero or less when it has passed."""
        return self.at - self.clock.monotonic()


class Skew:
    """How far this machine's clock is behind the services', as their answers' `Date` headers tell."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._behind: timedelta | None = None

    def observe(self, date: str | None) -> None:
        """Note the `Date` of an answer that has just come in; the least difference is the truest, since answers take time."""
        there = _date(date)
        behind = there - self._clock.now() if there else None
        if behind is None or abs(behind) > _CREDIBLE_SKEW:
            return
        if self._behind is None or abs(behind) < abs(self._behind):
            self._behind = behind

    def behind(self) -> timedelta:
        """The difference; zero when it is too small to matter, or nothing has answered. Negative: the clock is ahead."""
        found = self._behind or timedelta()
        return found if abs(found) > _TOLERATED_SKEW else timedelta()


class ServiceTime:
    """The time at one service, by the `Date` headers of its answers. This machine's wall clock has no part in it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_zero: datetime | None = None
        """The time there when this machine's monotonic clock was zero."""

    def observe(self, date: str | None) -> None:
        """Note the `Date` of an answer that has just arrived; of several, the one that shows the earliest time counts."""
        there = _date(date)
        if there is None:
            return
        try:
            at_zero = there - timedelta(seconds=self._clock.monotonic())
        except OverflowError:
            return
        self._at_zero = at_zero if self._at_zero is None else min(at_zero, self._at_zero)

    def now(self) -> datetime | None:
        """The time there; None if no answer had a date."""
        try:
            return self._at_zero and self._at_zero + timedelta(seconds=self._clock.monotonic())
        except OverflowError:
            return None


def _date(header: str | None) -> datetime | None:
    """The time that a `Date` header shows; None if it shows none, or one without a zone."""
    try:
        found = parsedate_to_datetime(header[:64]) if header else None
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found is not None and found.tzinfo is not None else None


_TOLERATED_SKEW = timedelta(seconds=30)
_CREDIBLE_SKEW = timedelta(days=1)
"""A clock that is off by more would have had every certificate refused; so it is the answer that is."""


@dataclass(slots=True)
class Brief:
    """A bound that is the caller's own: a failure at this bound says nothing about the service.

    It is also over if something was given up for it before: no time was left for another attempt.
    """

    deadline: Deadline
    over: bool = False


@dataclass(slots=True)
class OperationBounds[A]:
    """Of one operation, all on one thread: when it has to end, how much it may still receive, and what was answered last.

    Sockets are pooled and outlive the operation that opened them, so they cannot hold its bounds. They ask for the current one.
    """

    deadline: Deadline
    room: int = 0
    """Bytes that may still arrive; each request sets it."""
    answer: A | None = None
    """Kept for the diagnosis, and gone with the operation."""
    proxy: str = ""
    """`host:port` of the proxy that its last request was sent through."""
    brief: Brief | None = None
    """The brief bound around it, if there is one."""

    def seconds_left(self) -> float:
        """Seconds that it may still wait.

        Raises:
            TimeoutError: it has none left.
        """
        remaining = self.deadline.remaining()
        if remaining <= 0:
            raise TimeoutError("the time for this operation has passed")
        return remaining


_current: ContextVar[OperationBounds[Any]] = ContextVar("operation")


@contextmanager
def operation(deadline: Deadline, *, brief: bool = False) -> Iterator[OperationBounds[Any]]:
    """Bound all work of the calling thread by `deadline`; an operation inside another keeps the earlier one.

    If `brief`, a failure at this bound is kept by nothing that remembers failures for others: see `cut_short`.
    """
    outer = _current.get(None)
    earlier = enclosed(deadline)
    kept = Brief(earlier) if brief else outer.brief if outer else None
    token = _current.set(OperationBounds(earlier, brief=kept))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


def enclosed(deadline: Deadline) -> Deadline:
    """The earlier of a deadline and that of the operation that is under way on this thread, if one is."""
    outer = _current.get(None)
    return deadline if outer is None or deadline.at < outer.deadline.at else outer.deadline


def cut_short() -> bool:
    """Whether the brief bound around the calling thread's work has been reached, or something was given up for it."""
    outer = _current.get(None)
    brief = outer.brief if outer is not None else None
    return brief is not None and (brief.over or brief.deadline.remaining() <= 0)


def give_up_for(deadline: Deadline) -> None:
    """Note that there is no time for another attempt before `deadline`: if that is the brief bound, this one is over."""
    outer = _current.get(None)
    if outer is not None and outer.brief is not None and outer.brief.deadline.at <= deadline.at:
        outer.brief.over = True


def current_operation() -> OperationBounds[Any]:
    """The operation that is under way on this thread; a new thread starts without one.

    Raises:
        LookupError: none is; every request belongs to one.
    """
    return _current.get()


READ_LAG_S = 30.0
"""Seconds in which what was just written has to be seen. Reads have been seen to lag up to eight."""

POLL_PAUSE_S = 1.0
"""Seconds before the second look; before each further one, twice as many."""


def poll[T](
    clock: Clock, look: Callable[[], T], good: Callable[[T], bool], seconds: float | None = None
) -> T:
    """What a look shows, as soon as it is good; what it shows at last, if it never is.

    It looks again for `READ_LAG_S`, or for `seconds`.
    """
    began, pause = clock.monotonic(), POLL_PAUSE_S
    limit = READ_LAG_S if seconds is None else seconds
    while not good(found := look()) and clock.monotonic() - began < limit:
        clock.sleep(pause)
        pause *= 2
    return found
