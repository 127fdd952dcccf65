"""What a whole fleet shares is fetched once: tokens, secrets, heads."""

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
    """What is computed for one key."""

    known: Event
    """Whether `get` can be called."""
    get: Callable[[], V] | None = None
    """Gives the value, or raises; a new exception each time: one for all would grow by what each thread adds to it."""


class SingleFlight[K: Hashable, V]:
    """Computes a value once per key; other threads wait for it meanwhile. A failure is remembered too: it would only repeat.

    A failure that comes from a brief bound of the caller is not remembered: the next one who asks has time of its own.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._lock = threading.Lock()
        self._found: dict[K, _Found[V]] = {}

    def get(self, key: K, compute: Callable[[], V]) -> V:
        """The value of `key`.

        Raises:
            ServiceError: computing it failed, for the first caller.
            TimeoutError: the time of the run, or of the caller's operation, passed while computing it or waiting for it.
            NeverComputedError: computing it failed by a mistake of ours.
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
        """Compute it, and end the wait of the others whatever that raises."""
        passing = False
        try:
            value = compute()
            outcome: Callable[[], V] = lambda: value  # noqa: E731  # beside those that raise
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


def _fail(anew: Callable[[], Exception]) -> Never:
    raise anew()


class NeverComputedError(Exception):
    """What was to be shared was never computed; the text is the name of the exception that kept it from being."""
