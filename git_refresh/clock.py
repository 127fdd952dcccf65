"""Time, passed in from outside so that decisions about it can be tested without waiting."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol


class Clock(Protocol):
    """The three things a run asks of time."""

    def now(self) -> datetime:
        """The wall clock, in UTC: what a token's `expires_on` is held against."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump: what budgets are measured in."""
        ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


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
        try:
            behind = parsedate_to_datetime(date) - self._clock.now() if date else None
        except (ValueError, TypeError):  # no date, or one without a zone
            return
        if behind is not None and (self._behind is None or abs(behind) < abs(self._behind)):
            self._behind = behind

    def behind(self) -> timedelta:
        """The difference; zero when it is too small to matter, or nothing has answered. Negative: the clock is ahead."""
        found = self._behind or timedelta()
        return found if abs(found) > _TOLERATED_SKEW else timedelta()


_TOLERATED_SKEW = timedelta(seconds=30)

# Sockets are pooled and outlive the operation that opened them, so they cannot hold its deadline. They ask here:
# every operation runs on one thread from start to end, and a new thread starts without one.
_current: ContextVar[Deadline] = ContextVar("operation_deadline")


@contextmanager
def operation(deadline: Deadline) -> Iterator[None]:
    """Bound all socket work of the calling thread by `deadline`; an operation inside another keeps the earlier one."""
    outer = _current.get(None)
    token = _current.set(deadline if outer is None or deadline.at < outer.at else outer)
    try:
        yield
    finally:
        _current.reset(token)


def seconds_left() -> float:
    """Seconds that the current operation may still wait.

    Raises:
        TimeoutError: it has none left.
        LookupError: no operation is under way; every request belongs to one.
    """
    remaining = _current.get().remaining()
    if remaining <= 0:
        raise TimeoutError("the time for this operation has passed")
    return remaining
