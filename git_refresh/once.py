"""What a whole fleet shares is fetched once: tokens, secrets, heads."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future

from git_refresh.clock import Deadline
from git_refresh.service import ServiceError, Symptom


class Once[K: Hashable, V]:
    """Computes a value once per key; whoever asks meanwhile waits for it. A failure is remembered too: it would only repeat."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._lock = threading.Lock()
        self._found: dict[K, Future[V | Symptom]] = {}

    def get(self, key: K, compute: Callable[[], V]) -> V:
        """The value of `key`.

        Raises:
            ServiceError: computing it failed, for whoever came first.
            TimeoutError: the run's time passed while waiting for it.
        """
        with self._lock:
            first = key not in self._found
            future = self._found.setdefault(key, Future())
        if first:
            future.set_result(_outcome(compute))
        outcome = future.result(max(0.0, self._deadline.remaining()))
        if isinstance(outcome, Symptom):
            raise ServiceError(outcome)
        return outcome


def _outcome[V](compute: Callable[[], V]) -> V | Symptom:
    try:
        return compute()
    except ServiceError as error:
        return error.symptom
