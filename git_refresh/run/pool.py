"""A pool of threads that a run can walk away from.

`concurrent.futures` waits for its threads when the process ends, so one name that the resolver cannot find would delay the end of a run.
These are daemons: every socket they wait on ends with the run's deadline, and what cannot be bounded is left behind.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

type Task = Callable[[], None]


class Submit(Protocol):
    """Queues a task; see `Pool.submit`."""

    def __call__(self, task: Task, *, first: bool = False) -> None: ...


class Pool:
    """Runs tasks in the order they were submitted, those that come first before the others, at most `size` at a time, once it is started.

    A task must not raise.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._changed = threading.Condition()
        # All of this is read and written under the condition's lock.
        self._first: deque[Task] = deque()
        self._tasks: deque[Task] = deque()
        self._threads = 0
        self._busy = 0
        self._started = False
        self._closed = False

    def submit(self, task: Task, *, first: bool = False) -> None:
        """Queue a task behind those that wait already, or only behind those that come first too; from any thread, a task's own too."""
        with self._changed:
            if not self._closed:
                (self._first if first else self._tasks).append(task)
                self._changed.notify()
                self._grow()

    def start(self) -> None:
        """Begin: what is queued by now comes before whatever its tasks queue."""
        with self._changed:
            self._started = True
            self._grow()

    def close(self) -> None:
        """Let every thread end once it is free; what is still queued is not done."""
        with self._changed:
            self._closed = True
            self._first.clear()
            self._tasks.clear()
            self._changed.notify_all()

    def _grow(self) -> None:
        """Start threads until there is one for each task, or as many as there may be. A thread is free until it has taken a task."""
        while self._started and self._threads < min(
            self._size, self._busy + len(self._first) + len(self._tasks)
        ):
            try:
                threading.Thread(target=self._work, name="git-refresh", daemon=True).start()
            except RuntimeError:  # the machine has no more threads: those that are there do the work
                if not self._threads:
                    raise
                return
            self._threads += 1

    def _work(self) -> None:
        while (task := self._next()) is not None:
            with suppress(BaseException):  # it would only end the thread, and print what it quotes
                task()
            with self._changed:
                self._busy -= 1

    def _next(self) -> Task | None:
        """The next task, as soon as there is one; None when the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._first or self._tasks or self._closed)
            if self._closed:
                return None
            self._busy += 1
            return (self._first or self._tasks).popleft()
