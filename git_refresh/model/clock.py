"""Clocks, deadlines, and bounds of operations. Time is passed in, so tests need not wait."""

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
    """The part of `threading.Event` that a run uses."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the wall clock's time in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump, for time limits."""
        ...

    def sleep(self, seconds: float) -> None: ...

    def event(self) -> Event:
        """Return an event whose timeouts follow this clock."""
        ...


class SystemClock:
    """The machine's clock. Setting it during a run has no effect on the run.

    If it is wrong at the start, it stays wrong by the same amount, and `Skew` shows that.
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
    """Return seconds that include the time of a sleeping laptop. Only Linux has such a clock."""
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
        """Return the earlier of this deadline and `seconds` from now."""
        return Deadline(self.clock, min(self.at, self.clock.monotonic() + seconds))

    def remaining(self) -> float:
        """Return the seconds left; zero or less after the deadline."""
        return self.at - self.clock.monotonic()


class Skew:
    """Lag of this machine's clock behind the services', by the `Date` headers of responses."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._behind: timedelta | None = None

    def observe(self, date: str | None) -> None:
        """Note the `Date` of a new response. The smallest difference counts, because responses take time."""
        there = _date(date)
        behind = there - self._clock.now() if there else None
        if behind is None or abs(behind) > _CREDIBLE_SKEW:
            return
        if self._behind is None or abs(behind) < abs(self._behind):
            self._behind = behind

    def behind(self) -> timedelta:
        """Return the difference; negative if this machine's clock is ahead.

        Zero if the difference is too small to matter, or before the first response.
        """
        found = self._behind or timedelta()
        return found if abs(found) > _TOLERATED_SKEW else timedelta()


class ServiceTime:
    """Time of one service, by the `Date` headers of its responses, without this machine's wall clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_zero: datetime | None = None
        """The service's time when this machine's monotonic clock was zero."""

    def observe(self, date: str | None) -> None:
        """Note the `Date` of a new response. The one with the earliest time counts."""
        there = _date(date)
        if there is None:
            return
        try:
            at_zero = there - timedelta(seconds=self._clock.monotonic())
        except OverflowError:
            return
        self._at_zero = at_zero if self._at_zero is None else min(at_zero, self._at_zero)

    def now(self) -> datetime | None:
        """Return the service's time; None if no response had a date."""
        try:
            return self._at_zero and self._at_zero + timedelta(seconds=self._clock.monotonic())
        except OverflowError:
            return None


def _date(header: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(header[:64]) if header else None
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found is not None and found.tzinfo is not None else None


_TOLERATED_SKEW = timedelta(seconds=30)
_CREDIBLE_SKEW = timedelta(days=1)
"""With a larger error, this machine would reject every certificate, so the response is wrong."""


@dataclass(slots=True)
class Brief:
    """A bound of the caller. A failure at this bound says nothing about the service.

    `over` is also True if an attempt was given up because of this bound.
    """

    deadline: Deadline
    over: bool = False


@dataclass(slots=True)
class OperationBounds[A]:
    """Bounds of one operation on one thread: its deadline, bytes left, and last response.

    Pooled sockets outlive the operation that opened them, so they read the current one's bounds.
    """

    deadline: Deadline
    room: int = 0
    """Bytes that can still arrive. Each request sets it."""
    answer: A | None = None
    """The last response, for the diagnosis."""
    proxy: str = ""
    """`host:port` of the proxy of its last request."""
    brief: Brief | None = None
    """The enclosing brief bound, if any."""

    def seconds_left(self) -> float:
        """Return the seconds left for waiting.

        Raises:
            TimeoutError: no time is left.
        """
        remaining = self.deadline.remaining()
        if remaining <= 0:
            raise TimeoutError("the time for this operation has passed")
        return remaining


_current: ContextVar[OperationBounds[Any]] = ContextVar("operation")


@contextmanager
def operation(deadline: Deadline, *, brief: bool = False) -> Iterator[OperationBounds[Any]]:
    """Bound all work of the calling thread by `deadline`, or by an earlier enclosing one.

    If `brief`, nothing remembers a failure at this bound for other callers; see `cut_short`.
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
    """Return the earlier of a deadline and that of the thread's current operation."""
    outer = _current.get(None)
    return deadline if outer is None or deadline.at < outer.deadline.at else outer.deadline


def cut_short() -> bool:
    """Return whether the thread's brief bound is over, or an attempt was given up because of it."""
    outer = _current.get(None)
    brief = outer.brief if outer is not None else None
    return brief is not None and (brief.over or brief.deadline.remaining() <= 0)


def give_up_for(deadline: Deadline) -> None:
    """Note that another attempt before `deadline` is impossible. This ends a brief bound up to then."""
    outer = _current.get(None)
    if outer is not None and outer.brief is not None and outer.brief.deadline.at <= deadline.at:
        outer.brief.over = True


def current_operation() -> OperationBounds[Any]:
    """Return the thread's current operation. A new thread has none.

    Raises:
        LookupError: no operation is under way, but each request needs one.
    """
    return _current.get()


READ_LAG_S = 30.0
"""Seconds until a write must be visible. Reads have lagged by up to eight."""

POLL_PAUSE_S = 1.0
"""Seconds before the second look, doubled before each further one."""


def poll[T](
    clock: Clock, look: Callable[[], T], good: Callable[[T], bool], seconds: float | None = None
) -> T:
    """Call `look` until its result is `good` or the time is over, and return the last result.

    The time is `seconds`, by default `READ_LAG_S`.
    """
    began, pause = clock.monotonic(), POLL_PAUSE_S
    limit = READ_LAG_S if seconds is None else seconds
    while not good(found := look()) and clock.monotonic() - began < limit:
        clock.sleep(pause)
        pause *= 2
    return found
