"""Computes shared values once per run: tokens, secrets and lookups."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Never

from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Deadline, Event, cut_short, enclosed
from git_refresh.model.waiting import turn, waiting


@dataclass(slots=True)
class _Found[V]:
    known: Event
    """Set when the computation has ended."""
    get: Callable[[], V] | None = None
    """Returns the value or raises a new exception, because each `raise` extends an exception's traceback."""


class SingleFlight[K: Hashable, V]:
    """Cache that computes each value once, while other threads wait for it. It also caches failures.

    A failure at a brief deadline of the caller (`clock.Brief`) is not cached, because the next caller has its own time.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._lock = threading.Lock()
        self._found: dict[K, _Found[V]] = {}

    def get(self, key: K, compute: Callable[[], V]) -> V:
        """Return the value of `key`.

        Raises:
            ServiceError: the computation failed.
            TimeoutError: the time of the run, or of the caller's operation, is over.
            NeverComputedError: a bug prevented the computation in another thread.
        """
        while True:
            with self._lock:
                first = key not in self._found
                found = self._found.setdefault(key, _Found(self._deadline.clock.event()))
            if first:
                return self._resolve(key, found, compute)()
            self._await(found)
            if found.get is not None:
                return found.get()

    def _await(self, found: _Found[V]) -> None:
        with waiting():
            while not found.known.is_set():
                left = enclosed(self._deadline).remaining()
                if left <= 0:
                    raise TimeoutError
                found.known.wait(turn(left))

    def _resolve(self, key: K, found: _Found[V], compute: Callable[[], V]) -> Callable[[], V]:
        """Compute the value. The event is always set, otherwise waiting threads would block forever."""
        passing = False
        try:
            value = compute()
            outcome: Callable[[], V] = lambda: value  # noqa: E731  # like the other outcomes
        except ServiceError as error:
            outcome, passing = partial(_fail, partial(ServiceError, error.failure)), cut_short()
        except TimeoutError:
            outcome, passing = partial(_fail, TimeoutError), cut_short()
        except BaseException as error:
            outcome = partial(_fail, partial(NeverComputedError, type(error).__name__))
            raise
        finally:
            if passing:
                with self._lock:
                    del self._found[key]
            else:
                found.get = outcome
            found.known.set()
        return outcome


def _fail(new_exception: Callable[[], Exception]) -> Never:
    raise new_exception()


class NeverComputedError(Exception):
    """A bug prevented the computation. The text is the name of the original exception."""
