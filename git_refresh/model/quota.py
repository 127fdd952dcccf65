"""Totals that many parties share."""

import threading
from collections import Counter


class Quota:
    """A total: half is divided equally, and half goes to the first parties that need more."""

    def __init__(self, total: int, parties: int, most: int) -> None:
        """Divide a total. Each party can take at most `most`."""
        self._own = total // 2 // max(1, parties)
        self._common = total // 2
        self._most = most
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, party: str, amount: int) -> bool:
        """Take an amount, from any thread. Return False, and take nothing, if the quota has too little left."""
        with self._lock:
            before = self._taken[party]
            after = before + amount
            common = max(0, after - self._own) - max(0, before - self._own)
            if after > self._most or common > self._common:
                return False
            self._common -= common
            self._taken[party] = after
            return True
