"""Clocks, deadlines, and limits of operations. Clocks are parameters, so tests do not wait."""

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
        """Return seconds for time limits. Setting the wall clock has no effect."""
        ...

    def sleep(self, seconds: float) -> None: ...

    def event(self) -> Event:
        """Return an event whose timeouts follow this clock."""
        ...


class SystemClock:
    """The machine's clock as of the start of the run. Setting it later has no effect.

    An error at the start stays the same during the run, so `Skew` can measure it.
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
    """Return seconds that include the time while a laptop sleeps. Only Linux has such a clock."""
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
    """Difference between this machine's clock and the services', from the `Date` headers of responses."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._behind: timedelta | None = None

    def observe(self, date: str | None) -> None:
        """Record the `Date` of a new response. The smallest difference counts, because responses take time."""
        there = _date(date)
        behind = there - self._clock.now() if there else None
        if behind is None or abs(behind) > _CREDIBLE_SKEW:
            return
        if self._behind is None or abs(behind) < abs(self._behind):
            self._behind = behind

    def behind(self) -> timedelta:
        """Return how far this machine's clock is behind; negative if it is ahead.

        Zero for a tolerated difference, or before the first response.
        """
        found = self._behind or timedelta()
        return found if abs(found) > _TOLERATED_SKEW else timedelta()


class ServiceTime:
    """Time of one service, from the `Date` headers of its responses. Ignores this machine's wall clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_zero: datetime | None = None
        """The service's time at zero of this machine's monotonic clock."""

    def observe(self, date: str | None) -> None:
        """Record the `Date` of a new response. The one that results in the earliest time counts."""
        there = _date(date)
        if there is None:
            return
        try:
            at_zero = there - timedelta(seconds=self._clock.monotonic())
        except OverflowError:
            return
        self._at_zero = at_zero if self._at_zero is None else min(at_zero, self._at_zero)

    def now(self) -> datetime | None:
        """Return the service's time; None if no response had a valid date."""
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
"""With a larger difference, this machine would reject every certificate, so the header is wrong."""


@dataclass(slots=True)
class Brief:
    """A short deadline of one caller. A failure at this deadline proves nothing about the service.

    `over` is True if a retry was impossible because of the deadline.
    """

    deadline: Deadline
    over: bool = False


@dataclass(slots=True)
class OperationBounds[A]:
    """Limits and last response of the current operation on a thread.

    Sockets of a connection pool outlive the operation that opened them, so they read the limits of the current one.
    """

    deadline: Deadline
    room: int = 0
    """Bytes that the response can still have. Set for each request."""
    answer: A | None = None
    proxy: str = ""
    """`host:port` of the proxy of the last request."""
    brief: Brief | None = None
    """The innermost brief deadline."""

    def seconds_left(self) -> float:
        """Return the seconds left.

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
    """Limit all work of the calling thread by `deadline`, or by an earlier enclosing deadline.

    If `brief`, caches must not store a failure at this deadline for other callers; see `cut_short`.
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
    """Return the earlier of `deadline` and the deadline of the thread's current operation."""
    outer = _current.get(None)
    return deadline if outer is None or deadline.at < outer.deadline.at else outer.deadline


def cut_short() -> bool:
    """Return whether the thread's brief deadline has passed, or made a retry impossible."""
    outer = _current.get(None)
    brief = outer.brief if outer is not None else None
    return brief is not None and (brief.over or brief.deadline.remaining() <= 0)


def give_up_for(deadline: Deadline) -> None:
    """Record that another attempt before `deadline` is impossible. See `Brief.over`."""
    outer = _current.get(None)
    if outer is not None and outer.brief is not None and outer.brief.deadline.at <= deadline.at:
        outer.brief.over = True


def current_operation() -> OperationBounds[Any]:
    """Return the thread's current operation.

    Raises:
        LookupError: the thread has none. Each request needs one.
    """
    return _current.get()


READ_LAG_S = 30.0
"""Maximum delay until reads return a write. Delays of up to eight seconds have been observed."""

POLL_PAUSE_S = 1.0
"""Pause before the second call, doubled before each further one."""


def poll[T](
    clock: Clock, look: Callable[[], T], good: Callable[[T], bool], seconds: float | None = None
) -> T:
    """Call `look` until its result is `good` or `seconds` (default: `READ_LAG_S`) have passed.

    Return the last result.
    """
    began, pause = clock.monotonic(), POLL_PAUSE_S
    limit = READ_LAG_S if seconds is None else seconds
    while not good(found := look()) and clock.monotonic() - began < limit:
        clock.sleep(pause)
        pause *= 2
    return found
