"""Services of which reads lag behind writes: for a while they show what was there before.

Third parties have measured 0.2 to 8 seconds between a write and the first read that shows it.
"""

import time
from collections.abc import Hashable
from typing import Any


class Lag:
    """What reads still show of what has just been written. What is allowed goes by what was written, at once."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._before: dict[Hashable, tuple[float, Any]] = {}

    @property
    def seconds(self) -> float:
        """How long after a write; none shows everything at once, what was written before that, too."""
        return self._seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._seconds = seconds
        if not seconds:
            self._before.clear()

    def writing(self, key: Hashable, before: object) -> None:
        """Keep what was there before a write, for the reads that come soon; a write that follows soon puts off the end."""
        if self._seconds:
            self._before[key] = (time.monotonic() + self._seconds, self.shown(key, before))

    def shown[T](self, key: Hashable, now: T) -> T:
        """What a read shows: this, unless it was written just now."""
        until, before = self._before.get(key, (0.0, now))
        return before if time.monotonic() < until else now
