"""Totals that many parties share, so that a bound for each does not multiply into one for none."""

import threading
from collections import Counter


class Quota:
    """A total of which half is divided equally, and half goes to the first that need more. No party can use up what another is due."""

    def __init__(self, total: int, parties: int, most: int) -> None:
        """Divide a total, of which each party may take `most`."""
        self._own = total // 2 // max(1, parties)
        self._common = total // 2
        self._most = most
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, party: str, amount: int) -> bool:
        """Take so much more, or nothing; whether that was possible. From any thread."""
        with self._lock:
            before = self._taken[party]
            after = before + amount
            common = max(0, after - self._own) - max(0, before - self._own)
            if after > self._most or common > self._common:
                return False
            self._common -= common
            self._taken[party] = after
            return True
