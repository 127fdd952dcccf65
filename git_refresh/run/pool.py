"""Operations on threads: which begins when, and which gives its thread back.

Another operation begins only while fewer than `concurrency` operations are working; one that has waited for an answer longer than the
patience is not working but waiting. Threads have a bound of their own. When all are in use and others need one, an operation that has
waited longer than its share gives up.

The threads are daemons, and the run can walk away from them: `concurrent.futures` waits for its threads when the process ends, so one
name that the resolver cannot find would delay the end of a run.
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
"""An operation. It must not raise."""

MAX_THREADS = 512
"""Threads of one run. Most wait: https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan#instance-sizes has 512 MB."""

LONGEST_PATIENCE_S = 5.0
"""Seconds after which an operation that waits no longer counts as working, however small the fleet is. Most pulls take less."""

REPORT_GRACE_S = 2.0
"""Seconds past the budget in which operations that it has just ended may still say so themselves."""

_MIN_TICK_S = 0.005


class Priority(IntEnum):
    """What begins first."""

    CREDENTIALS = 0
    """Credentials, and what they need."""
    FOLDERS = 1
    """The Git folders of a workspace, one after another."""
    REST = 2
    """What may as well come later: further Git folders of a workspace beside its first, and those of one that has had its share."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What operations of one run may use.

    Attributes:
        concurrency: how many may be working.
        threads: how many may be under way, waiting or not.
        patience_s: seconds of one wait after which an operation is not working but waiting.
        share_s: seconds that an operation may wait, all in all, while others need its thread.
    """

    concurrency: int
    threads: int
    patience_s: float = inf
    share_s: float = inf

    @classmethod
    def of(cls, budget_s: float, concurrency: int, threads: int, workspaces: int) -> "Limits":
        """Those for a fleet: if each workspace hung once, patience and shares would each take at most an eighth of the budget."""
        threads = max(threads, concurrency + 1)
        eighth = budget_s / 8 / max(workspaces, 1)
        patience = min(LONGEST_PATIENCE_S, eighth * concurrency)
        return cls(concurrency, threads, patience, eighth * (threads - concurrency))


def start_thread(work: Callable[[], None]) -> None:
    """Do it on a thread of its own."""
    threading.Thread(target=work, name="git-refresh", daemon=True).start()


class Pool:
    """Begins operations in the order of their priority, and within one in the order they were submitted, once it is started.

    Whoever has made it calls `look` every `tick_s`: only then does an operation that waits stop counting.
    """

    def __init__(
        self, limits: Limits, clock: Clock | None = None, start: Callable[[Task], None] = start_thread
    ) -> None:
        self.limits = limits
        self.tick_s = max(_MIN_TICK_S, min(limits.patience_s, LONGEST_PATIENCE_S) / 4)
        self._clock = clock or SystemClock()
        self._start = start
        self._lock = threading.RLock()
        # All of this is read and written under the lock.
        self._queues: tuple[deque[Task], ...] = tuple(deque() for _ in Priority)
        self._working = 0
        self._threads = 0
        self._most = limits.threads
        self._waits: deque[tuple[float, _Place]] = deque()
        """Waits of operations that count, by their beginning; those that have ended meanwhile are still among them."""
        self._started = False
        self._closed = False
        self._time = 0.0
        self._seen = self._clock.monotonic()

    def submit(self, task: Task, priority: Priority = Priority.CREDENTIALS) -> None:
        """Queue a task; from any thread, a task's own too."""
        with self._lock:
            if not self._closed:
                self._queues[priority].append(task)
                self._begin()

    def start(self) -> None:
        """Begin: what is queued by now comes before whatever its tasks queue.

        Raises:
            RuntimeError: the machine has not one thread.
        """
        with self._lock:
            self._started = True
            self._begin()

    def look(self) -> None:
        """Let operations that have waited for longer than the patience no longer count as working."""
        with self._lock:
            self._time, self._seen = self.time(), self._clock.monotonic()
            while self._waits and self._waits[0][0] + self.limits.patience_s <= self._time:
                since, place = self._waits.popleft()
                if place.since == since:
                    place.patient = True
                    self._count(place, working=False)
            self._begin()

    def close(self) -> None:
        """Let every thread end after its operation; what is still queued is not done."""
        with self._lock:
            self._closed = True
            for queue in self._queues:
                queue.clear()

    def time(self) -> float:
        """Seconds, as waits are measured: no more than two ticks pass between two looks.

        On a busy machine looks are late, and so are threads at reading an answer that has arrived: that is no wait.
        """
        with self._lock:
            return self._time + min(self._clock.monotonic() - self._seen, 2 * self.tick_s)

    def is_short_of_threads(self) -> bool:
        """Whether an operation is queued, and all threads are in use."""
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
        """It works again, also where that makes more than may begin."""
        with self._lock:
            place.waited, place.since = place.waited_s(), None
            self._count(place, working=True)

    def _count(self, place: "_Place", *, working: bool) -> None:
        self._working += working - place.working
        place.working = working

    def _begin(self) -> None:
        """Start a thread for each operation that may begin."""
        while (taken := self._take()) is not None:
            task, place = taken
            try:
                self._start(partial(self._work, task, place))
            except RuntimeError:  # the machine has no more threads: those that are there do the work
                self._leave(place)
                self._queues[place.priority].appendleft(task)
                if not self._threads:
                    raise
                self._most = self._threads
                return

    def _take(self) -> "tuple[Task, _Place] | None":
        """The next operation, if one may begin."""
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
        """One operation after another, until none may begin."""
        taken: tuple[Task, _Place] | None = (task, place)
        while taken is not None:
            task, place = taken
            with on(place), suppress(BaseException):  # it would only end the thread, and print what it quotes
                task()
            with self._lock:
                self._leave(place)
                self._most = self.limits.threads  # if the machine was out of them, it has one again
                taken = self._take()
                self._begin()


class _Place:
    """An operation under way (`waiting.Place`). What changes of it, changes under the pool's lock."""

    __slots__ = ("patient", "pool", "priority", "since", "waited", "working")

    def __init__(self, pool: Pool, priority: Priority) -> None:
        self.pool = pool
        self.priority = priority
        self.working = False
        """Whether it counts."""
        self.patient = False
        """Whether it has waited for longer than the patience: from then on none of its waits counts as work."""
        self.since: float | None = None
        """When the wait began in which it is."""
        self.waited = 0.0
        """Seconds of its waits before that."""

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
        """For how long it has waited so far. Asked on its own thread, or under the lock."""
        since = self.since
        return self.waited + (0.0 if since is None else self.pool.time() - since)

    def used_up(self) -> bool:
        return self.share_s < self.waited_s()

    def must_give_up(self) -> bool:
        return self.used_up() and self.pool.is_short_of_threads()


class Executor:
    """Works on each of many things, so many at once.

    Attributes:
        interrupted: whether Ctrl-C was pressed; nothing is begun from then on.
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
        """Each item with what the work on it gives; None where it was not finished. The work must not raise."""
        deadline = until or self._deadline
        done: SimpleQueue[tuple[int, R | None]] = SimpleQueue()

        def do(index: int, item: T) -> None:
            result = None
            try:
                result = work(item)
            finally:  # whatever it raises, the caller waits for this
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
