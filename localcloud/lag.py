"""Services of which reads lag behind writes: for a while they show what was there before.

Third parties have measured 0.2 to 8 seconds between a write and the first read that shows it.
"""

import time
from collections.abc import Hashable
from typing import Any


class Lag:
    """What reads still show of what has just been written. What is allowed goes by what was written, at once.

    Attributes:
        seconds: how long after a write.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._before: dict[Hashable, tuple[float, Any]] = {}

    def writing(self, key: Hashable, before: object) -> None:
        """Keep what was there before a write, for the reads that come soon; a write that follows soon puts off the end."""
        if self.seconds:
            kept = self._current(key)
            self._before[key] = (time.monotonic() + self.seconds, kept[1] if kept else before)

    def shown[T](self, key: Hashable, now: T) -> T:
        """What a read shows: this, unless it was written just now."""
        kept = self._current(key)
        shown: T = kept[1] if kept else now
        return shown

    def _current(self, key: Hashable) -> tuple[float, Any] | None:
        kept = self._before.get(key)
        return kept if kept and kept[0] > time.monotonic() else None
