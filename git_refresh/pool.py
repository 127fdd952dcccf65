"""A first-in-first-out pool of threads that a run can walk away from.

`concurrent.futures` waits for its threads when the process ends, so one name that the resolver cannot find would hold up a finished run.
These are daemons: every socket they wait on ends with the run's deadline, and what cannot be bounded is left behind.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Pool:
    """Runs tasks in the order they were submitted, at most `size` at a time, once it is started. A task must not raise."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._started = False

    def submit(self, task: Callable[[], None]) -> None:
        """Queue a task behind those that wait already; from any thread, a task's own too."""
        self._tasks.put(task)
        with self._lock:
            needed = self._started and self._threads < self._size and self._tasks.qsize() > self._idle
            self._threads += needed
        if needed:
            self._thread()

    def start(self) -> None:
        """Begin: what is queued by now comes before whatever its tasks queue."""
        with self._lock:
            self._started = True
            self._threads = min(self._size, self._tasks.qsize())
            threads = self._threads
        for _ in range(threads):
            self._thread()

    def close(self) -> None:
        """Let every thread end once it is free; whatever is queued behind this is not done."""
        with self._lock:
            threads = self._threads
        for _ in range(threads):
            self._tasks.put(None)

    def _thread(self) -> None:
        threading.Thread(target=self._work, name="git-refresh", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            task = self._tasks.get()
            with self._lock:
                self._idle -= 1
            if task is None:
                return
            task()
