"""What a whole fleet shares is fetched once: tokens, secrets, heads."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from git_refresh.clock import Deadline
from git_refresh.symptom import ServiceError


@dataclass(frozen=True, slots=True)
class _Failure:
    """Makes the exception, a new one for everybody: one for all would grow by what each thread adds to it."""

    anew: Callable[[], Exception]


class Once[K: Hashable, V]:
    """Computes a value once per key; whoever asks meanwhile waits for it. A failure is remembered too: it would only repeat."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._lock = threading.Lock()
        self._found: dict[K, Future[V | _Failure]] = {}

    def get(self, key: K, compute: Callable[[], V]) -> V:
        """The value of `key`.

        Raises:
            ServiceError: computing it failed, for whoever came first.
            TimeoutError: the run's time passed while computing it or waiting for it.
            NeverComputedError: computing it failed by a mistake of ours.
        """
        with self._lock:
            first = key not in self._found
            future = self._found.setdefault(key, Future())
        if first:
            self._resolve(future, compute)
        outcome = future.result(max(0.0, self._deadline.remaining()))
        if isinstance(outcome, _Failure):
            raise outcome.anew()
        return outcome

    def _resolve(self, future: "Future[V | _Failure]", compute: Callable[[], V]) -> None:
        """Whatever the computation raises, nobody may wait for what never comes."""
        try:
            future.set_result(compute())
        except ServiceError as error:
            future.set_result(_Failure(partial(ServiceError, error.symptom)))
        except TimeoutError:
            future.set_result(_Failure(TimeoutError))
        except BaseException as error:
            future.set_result(_Failure(partial(NeverComputedError, type(error).__name__)))
            raise


class NeverComputedError(Exception):
    """What was to be shared was never computed; the text is the name of the exception that kept it from being."""
