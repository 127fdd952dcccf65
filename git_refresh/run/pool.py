"""Thread pool of a run: starts operations by priority. While some wait, others can work.

A new operation starts while fewer than `concurrency` work. An operation does not count after a wait longer than the patience.
If others need a thread and all are in use, an operation that has waited longer than its share gives up.

The threads are daemons, so a run can end while a thread hangs. `concurrent.futures` waits for its threads at exit,
so one unresolvable host name would delay the end of a run.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from math import inf
from queue import Empty, SimpleQueue

from git_refresh.model.clock import Clock, Deadline, SystemClock
from git_refresh.model.waiting import on

type Task = Callable[[], None]
"""Must not raise."""

MAX_THREADS = 512
"""Most threads only wait, so this many fit into the smallest instance (512 MB):
https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan#instance-sizes
"""

LONGEST_PATIENCE_S = 5.0
"""Maximum of `Limits.patience_s`. Most pulls take less."""

REPORT_GRACE_S = 2.0
"""Time after the time limit for stopped operations to report their failures."""

_MIN_TICK_S = 0.005


class Priority(IntEnum):
    CREDENTIALS = 0
    FOLDERS = 1
    """Git folders of a workspace, one after another."""
    REST = 2
    """Further Git folders of a workspace in parallel, and operations that have used up their share."""


@dataclass(frozen=True, slots=True)
class Limits:
    concurrency: int
    """Number of working operations at which no other starts."""
    threads: int
    """Maximum number of operations, working or waiting."""
    patience_s: float = inf
    """Length of one wait after which an operation no longer counts as working."""
    share_s: float = inf
    """Total time that an operation can wait while others need its thread."""

    @classmethod
    def of(cls, budget_s: float, concurrency: int, threads: int, workspaces: int) -> "Limits":
        """Return the limits for a run of `budget_s` seconds.

        If each workspace hangs once, patience and shares together use a quarter of the time at most.
        """
        threads = max(threads, concurrency + 1)
        eighth = budget_s / 8 / max(workspaces, 1)
        patience = min(LONGEST_PATIENCE_S, eighth * concurrency)
        return cls(concurrency, threads, patience, eighth * (threads - concurrency))


def start_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="git-refresh", daemon=True).start()


class Pool:
    """Runs queued tasks by priority, then in the order of submission.

    The owner must call `look` every `tick_s` seconds. Otherwise, waiting operations continue to count as working.
    """

    def __init__(
        self, limits: Limits, clock: Clock | None = None, start: Callable[[Task], None] = start_thread
    ) -> None:
        self.limits = limits
        self.tick_s = max(_MIN_TICK_S, min(limits.patience_s, LONGEST_PATIENCE_S) / 4)
        self._clock = clock or SystemClock()
        self._start = start
        self._lock = threading.RLock()
        # The lock guards everything below.
        self._queues: tuple[deque[Task], ...] = tuple(deque() for _ in Priority)
        self._working = 0
        self._threads = 0
        self._most = limits.threads
        self._waits: deque[tuple[float, _Place]] = deque()
        """Start and operation of waits that count as work, oldest first. Ended waits stay until a `look`."""
        self._started = False
        self._closed = False
        self._time = 0.0
        self._seen = self._clock.monotonic()

    def submit(self, task: Task, priority: Priority = Priority.CREDENTIALS) -> None:
        """Queue a task. Any thread can call this, including the thread of a task."""
        with self._lock:
            if not self._closed:
                self._queues[priority].append(task)
                self._begin()

    def start(self) -> None:
        """Start the queued tasks, before any task that they submit.

        Raises:
            RuntimeError: the machine cannot start a single thread.
        """
        with self._lock:
            self._started = True
            self._begin()

    def look(self) -> None:
        """Stop counting operations as working after a wait longer than the patience."""
        with self._lock:
            self._time, self._seen = self.time(), self._clock.monotonic()
            while self._waits and self._waits[0][0] + self.limits.patience_s <= self._time:
                since, place = self._waits.popleft()
                if place.since == since:
                    place.patient = True
                    self._count(place, working=False)
            self._begin()

    def close(self) -> None:
        """Drop the queued tasks. Each thread ends after its current operation."""
        with self._lock:
            self._closed = True
            for queue in self._queues:
                queue.clear()

    def time(self) -> float:
        """Return the time for measuring waits. It advances by at most `2 * tick_s` between two looks.

        A busy machine reads available responses late, and such a delay must not count as waiting.
        """
        with self._lock:
            return self._time + min(self._clock.monotonic() - self._seen, 2 * self.tick_s)

    def is_short_of_threads(self) -> bool:
        with self._lock:
            return self._threads >= self._most and any(self._queues)

    def begin_wait(self, place: "_Place") -> None:
        with self._lock:
            place.since = self.time()
            if place.patient:
                self._count(place, working=False)
                self._begin()
            elif self.limits.patience_s < inf:
                self._waits.append((place.since, place))

    def end_wait(self, place: "_Place") -> None:
        """Count the operation as working again, even beyond `concurrency`."""
        with self._lock:
            place.waited, place.since = place.waited_s(), None
            self._count(place, working=True)

    def _count(self, place: "_Place", *, working: bool) -> None:
        self._working += working - place.working
        place.working = working

    def _begin(self) -> None:
        while (taken := self._take()) is not None:
            task, place = taken
            try:
                self._start(partial(self._work, task, place))
            except RuntimeError:  # the machine has no more threads: the existing ones do the work
                self._leave(place)
                self._queues[place.priority].appendleft(task)
                if not self._threads:
                    raise
                self._most = self._threads
                return

    def _take(self) -> "tuple[Task, _Place] | None":
        may_begin = self._working < self.limits.concurrency and self._threads < self._most
        priority = next((priority for priority in Priority if self._queues[priority]), None)
        if not self._started or not may_begin or priority is None:
            return None
        place = _Place(self, priority)
        self._threads += 1
        self._count(place, working=True)
        return self._queues[priority].popleft(), place

    def _leave(self, place: "_Place") -> None:
        self._threads -= 1
        self._count(place, working=False)
        place.since = None

    def _work(self, task: Task, place: "_Place") -> None:
        taken: tuple[Task, _Place] | None = (task, place)
        while taken is not None:
            task, place = taken
            with on(place), suppress(BaseException):  # a traceback on stderr could quote secrets
                task()
            with self._lock:
                self._leave(place)
                self._most = self.limits.threads  # the machine might have threads again
                taken = self._take()
                self._begin()


class _Place:
    """The waits of one running operation (`waiting.WaitTracker`). The pool's lock guards all changes."""

    __slots__ = ("patient", "pool", "priority", "since", "waited", "working")

    def __init__(self, pool: Pool, priority: Priority) -> None:
        self.pool = pool
        self.priority = priority
        self.working = False
        self.patient = False
        """True after a wait longer than the patience. Later waits do not count as work."""
        self.since: float | None = None
        """Start of the current wait."""
        self.waited = 0.0
        """Total time of earlier waits."""

    @property
    def share_s(self) -> float:
        return self.pool.limits.share_s

    def begin_wait(self) -> bool:
        if self.since is not None:
            return False
        self.pool.begin_wait(self)
        return True

    def end_wait(self) -> None:
        self.pool.end_wait(self)

    def waited_s(self) -> float:
        """Return the total time of all waits. Call this on the operation's thread, or with the lock held."""
        since = self.since
        return self.waited + (0.0 if since is None else self.pool.time() - since)

    def used_up(self) -> bool:
        return self.share_s < self.waited_s()

    def must_give_up(self) -> bool:
        return self.used_up() and self.pool.is_short_of_threads()


class Executor:
    """Runs one function for many items in parallel.

    Attributes:
        interrupted: True after Ctrl-C. No further item starts.
    """

    def __init__(self, size: int, deadline: Deadline) -> None:
        self._size = size
        self._deadline = deadline
        self.interrupted = False

    def each[T, R](
        self,
        items: Sequence[T],
        work: Callable[[T], R],
        at_once: int | None = None,
        until: Deadline | None = None,
    ) -> list[tuple[T, R | None]]:
        """Return each item with its result, or with None if it is unfinished or `work` raised."""
        deadline = until or self._deadline
        done: SimpleQueue[tuple[int, R | None]] = SimpleQueue()

        def do(index: int, item: T) -> None:
            result = None
            try:
                result = work(item)
            finally:  # the caller waits for a result of every item
                done.put((index, result))

        size = min(self._size, at_once or self._size)
        pool = Pool(Limits(size, size))
        results: dict[int, R | None] = {}
        try:
            for index, item in enumerate([] if self.interrupted else items):
                pool.submit(partial(do, index, item))
            pool.start()
            while not self.interrupted and len(results) < len(items):
                index, result = done.get(timeout=max(0.0, deadline.remaining() + REPORT_GRACE_S))
                results[index] = result
        except Empty:
            pass
        except KeyboardInterrupt:
            self.interrupted = True
        pool.close()
        return [(item, results.get(index)) for index, item in enumerate(items)]
