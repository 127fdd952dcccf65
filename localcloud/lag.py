"""Delayed reads: for a while after a write they show the previous state.

Third parties have measured delays of 0.2 to 8 seconds.
"""

import time
from collections.abc import Hashable
from typing import Any


class Lag:
    """The previous states that reads still show; permissions follow the current state at once."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._before: dict[Hashable, tuple[float, Any]] = {}

    @property
    def seconds(self) -> float:
        """The delay; 0 shows everything at once, including earlier writes."""
        return self._seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._seconds = seconds
        if not seconds:
            self._before.clear()

    def writing(self, key: Hashable, before: object) -> None:
        """Keep the state before a write for reads; another write within the delay extends it."""
        if self._seconds:
            self._before[key] = (time.monotonic() + self._seconds, self.shown(key, before))

    def shown[T](self, key: Hashable, now: T) -> T:
        """Return the state that a read shows: the current one unless just written."""
        until, before = self._before.get(key, (0.0, now))
        return before if time.monotonic() < until else now
