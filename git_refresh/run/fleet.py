"""Order and priority of the steps of all workspaces. `zone` and `workspace` implement the steps.

    a zone's token → each secret or token for sign-ins → every workspace's credential → every workspace's Git folders

Fetching a secret or token is one operation. The workspaces that need it are queued afterwards, so no thread waits for it.
"""

import threading
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from random import Random

from git_refresh.model.clock import Deadline
from git_refresh.model.waiting import used_up
from git_refresh.run.context import SignIns
from git_refresh.run.pool import REPORT_GRACE_S, Pool, Priority, Task
from git_refresh.run.workspace import WorkspaceRefresh
from git_refresh.run.zone import ZoneRefresh
from git_refresh.settings.entries import Entry

MAX_PARALLEL_FOLDERS = 4
"""Maximum Git folders of one workspace at a time. More would compete for its one small Git service."""


class Fleet:
    def __init__(self, pool: Pool, seed: str, sign_ins: SignIns, deadline: Deadline) -> None:
        """Use a pool that has not started. `seed` determines the random order of the workspaces."""
        self._pool = pool
        self._seed = seed
        self._sign_ins = sign_ins
        self._deadline = deadline
        self._lock = threading.Lock()
        self._operations: Counter[str] = Counter()
        """Number of queued and running operations of each workspace, by host."""
        self._finished: deque[tuple[Entry, WorkspaceRefresh | None]] = deque()
        """Workspaces without remaining operations; None instead of the work if their zone has no token."""
        self._news = deadline.clock.event()

    def refreshed(self, zones: Collection[ZoneRefresh]) -> Iterator[Entry]:
        """Refresh the workspaces of all zones, and yield each when its report is final, until the time limit."""
        for zone in self._shuffled(zones):
            self._pool.submit(partial(self._refresh_zone, zone))
        self._pool.start()
        unfinished = sum(len(zone.entries) for zone in zones)
        held: list[tuple[Entry, WorkspaceRefresh | None]] = []
        settlements = 0
        while len(held) < unfinished and (left := self._deadline.remaining() + REPORT_GRACE_S) > 0:
            self._news.wait(min(left, self._pool.tick_s))
            self._news.clear()
            self._pool.look()
            if settlements != (settlements := self._sign_ins.settlements):
                self._finished.extend(held)
                held.clear()
            while self._finished:
                entry, work = self._finished.popleft()
                if work is None or work.is_settled:
                    unfinished -= 1
                    yield entry
                else:
                    held.append((entry, work))

    def close(self) -> None:
        self._pool.close()

    def _done(self, entry: Entry, work: WorkspaceRefresh | None) -> None:
        self._finished.append((entry, work))
        self._news.set()

    def _shuffled[T](self, items: Iterable[T]) -> list[T]:
        found = list(items)
        Random(self._seed).shuffle(found)  # noqa: S311  # not for security
        return found

    def _refresh_zone(self, zone: ZoneRefresh) -> None:
        if zone.fetch_token():
            for works in self._shuffled(zone.by_key()):
                self._pool.submit(partial(self._fetch_key, self._shuffled(works)))
        else:
            for entry in zone.entries:
                self._done(entry, None)

    def _fetch_key(self, works: list[WorkspaceRefresh]) -> None:
        with suppress(BaseException):  # each workspace reports the failure itself
            works[0].run.fetch_key(works[0].workspace)
        for work in works:
            self._submit(work, partial(self._refresh_credential, work), Priority.CREDENTIALS)

    def _refresh_credential(self, work: WorkspaceRefresh) -> None:
        if work.refresh_credential():
            self._submit(work, partial(self._find_folders, work), Priority.FOLDERS)

    def _find_folders(self, work: WorkspaceRefresh) -> None:
        work.find_folders()
        self._refresh_folders(work, MAX_PARALLEL_FOLDERS - 1)

    def _refresh_folders(self, work: WorkspaceRefresh, lanes: int) -> None:
        """Update one folder after another on one connection. Queue up to `lanes` tasks that do the same.

        They have the lowest priority, so a busy run usually needs one connection for each workspace.
        """
        while work.folders_left:
            if lanes and work.folders_left > 1:
                self._submit(work, partial(self._refresh_folders, work, lanes - 1), Priority.REST)
            lanes = 0
            work.refresh_next_folder()
            if used_up():  # workspaces that have not had a thread come first
                self._submit(work, partial(self._refresh_folders, work, 0), Priority.REST)
                return

    def _submit(self, work: WorkspaceRefresh, task: Task, priority: Priority) -> None:
        host = work.workspace.host
        with self._lock:
            self._operations[host] += 1

        def operation() -> None:
            try:
                task()
            finally:
                with self._lock:
                    self._operations[host] -= 1
                    last = not self._operations[host]
                if last:
                    work.finish()
                    self._done(work.entry, work)

        self._pool.submit(operation, priority)
