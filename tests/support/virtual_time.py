"""Threads in virtual time: a run of minutes takes a moment.

Each thread is a greenlet, and time advances when all wait. Only one runs at a time, in a fixed order.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from greenlet import getcurrent, greenlet

from tests.support.fakes import NOW


@dataclass(eq=False, slots=True)
class Sleeper:
    """A waiting thread, woken by the first of several reasons."""

    thread: greenlet
    awake: bool = False


@dataclass(eq=False)
class VirtualTime:
    """A clock (`clock.Clock`), and a machine whose threads wait for it.

    `at`: seconds since the start.
    `threads`: their number.
    `most`: their highest number.
    """

    at: float = 0.0
    threads: int = 0
    most: int = 0
    _hub: greenlet = field(default_factory=getcurrent)
    """The greenlet of `play`, which switches to each thread at its time and back."""
    _due: list[tuple[float, int, Sleeper]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.wake(Sleeper(getcurrent()), seconds)
        self.wait()

    def event(self) -> "VirtualEvent":
        return VirtualEvent(self)

    def start(self, work: Callable[[], None]) -> None:
        self.threads += 1
        self.most = max(self.most, self.threads)

        def whole() -> None:
            work()
            self.threads -= 1

        self.wake(Sleeper(greenlet(whole, self._hub)), 0.0)

    def wake(self, sleeper: Sleeper, seconds: float) -> None:
        """Wake a thread after this many seconds, unless it was woken before."""
        heapq.heappush(self._due, (self.at + seconds, next(self._numbers), sleeper))

    def wait(self) -> None:
        """Run the other threads."""
        self._hub.switch()

    def play[T](self, work: Callable[[], T]) -> T:
        """Run a function while time advances, until all its threads have finished."""
        found: list[T] = []
        self.wake(Sleeper(greenlet(lambda: found.append(work()))), 0.0)
        while self._due:
            at, _, sleeper = heapq.heappop(self._due)
            if not sleeper.awake:
                sleeper.awake, self.at = True, at
                sleeper.thread.switch()
        return found[0]


class VirtualEvent:
    """`threading.Event`, in virtual time."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._set = False
        self._sleepers: dict[Sleeper, None] = {}

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        for sleeper in self._sleepers:
            self._time.wake(sleeper, 0.0)
        self._sleepers.clear()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            sleeper = Sleeper(getcurrent())
            self._sleepers[sleeper] = None
            if timeout is not None:
                self._time.wake(sleeper, timeout)
            self._time.wait()
            self._sleepers.pop(sleeper, None)
        return self._set
