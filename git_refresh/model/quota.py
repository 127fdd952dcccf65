"""Quota that many parties share."""

import threading
from collections import Counter


class Quota:
    """Half of a total is divided equally. The other half is for the first parties that need more."""

    def __init__(self, total: int, parties: int, most: int) -> None:
        """Divide `total` among `parties`. A party can take at most `most`."""
        self._own = total // 2 // max(1, parties)
        self._common = total // 2
        self._most = most
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, party: str, amount: int) -> bool:
        """Take an amount. Take nothing and return False if not enough is left. Thread-safe."""
        with self._lock:
            before = self._taken[party]
            after = before + amount
            common = max(0, after - self._own) - max(0, before - self._own)
            if after > self._most or common > self._common:
                return False
            self._common -= common
            self._taken[party] = after
            return True
