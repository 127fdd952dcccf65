"""In which order the steps of all workspaces are done, and with which priority: the steps themselves are in `zone` and `workspace`.

    a zone's token → what its workspaces sign in with, each once → every workspace's credential → every workspace's Git folders

What many workspaces need is an operation of its own, and they are queued when it has ended, well or not: so they wait for it on no thread.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from random import Random

from git_refresh.model.waiting import used_up
from git_refresh.run.pool import Pool, Priority, Task
from git_refresh.run.workspace import WorkspaceRefresh
from git_refresh.run.zone import ZoneRefresh
from git_refresh.settings.entries import Entry

MAX_PARALLEL_FOLDERS = 4
"""Folder operations at once in one workspace; more only compete for its one small Git service."""


class Fleet:
    """The operations on all workspaces of a run."""

    def __init__(self, pool: Pool, seed: str) -> None:
        """Take what is needed.

        Args:
            pool: what begins the operations.
            seed: makes the order in which they are queued: it turns from run to run, so that no workspace is always last.
        """
        self.pool = pool
        self._seed = seed
        self._lock = threading.Lock()
        self._operations: Counter[str] = Counter()
        """Of each workspace: how many are queued or under way."""
        self._done: Callable[[Entry], None]

    def queue(self, zones: Iterable[ZoneRefresh], done: Callable[[Entry], None]) -> None:
        """Queue all that is to be done; `done` is called with each workspace when all is done that there was to do for it."""
        self._done = done
        for zone in self._shuffled(zones):
            self.pool.submit(partial(self._refresh_zone, zone))

    def _shuffled[T](self, items: Iterable[T]) -> list[T]:
        found = list(items)
        Random(self._seed).shuffle(found)  # noqa: S311  # it guards nothing
        return found

    def _refresh_zone(self, zone: ZoneRefresh) -> None:
        if zone.fetch_token():
            for works in self._shuffled(zone.by_key()):
                self.pool.submit(partial(self._fetch_key, zone, self._shuffled(works)))
        else:
            for entry in zone.entries:
                self._done(entry)

    def _fetch_key(self, zone: ZoneRefresh, works: list[WorkspaceRefresh]) -> None:
        with suppress(BaseException):  # each of them meets the failure, and reports it
            zone.fetch_key(works[0].workspace)
        for work in works:
            self._submit(work, partial(self._refresh_credential, work), Priority.CREDENTIALS)

    def _refresh_credential(self, work: WorkspaceRefresh) -> None:
        if work.refresh_credential():
            self._submit(work, partial(self._find_folders, work), Priority.FOLDERS)

    def _find_folders(self, work: WorkspaceRefresh) -> None:
        work.find_folders()
        self._refresh_folders(work, MAX_PARALLEL_FOLDERS - 1)

    def _refresh_folders(self, work: WorkspaceRefresh, lanes: int) -> None:
        """One folder after another, on a connection that is still warm, until none is left; so many lanes may be opened beside this one.

        They come behind all that is queued: where others wait too, the first lane has usually done everything by then.
        """
        while work.folders_left:
            if lanes and work.folders_left > 1:
                self._submit(work, partial(self._refresh_folders, work, lanes - 1), Priority.REST)
            lanes = 0
            work.refresh_next_folder()
            if used_up():  # the workspaces that have had nothing yet come first
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
                    self._done(work.entry)

        self.pool.submit(operation, priority)
