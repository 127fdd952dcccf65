"""The walk through the directories below a path that ends in `/*`: which Git folders are there, and what could not be listed."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from git_refresh.clock import Deadline, cut_short, operation
from git_refresh.diagnosis.explain import Diagnosis, Facts, explain, finding
from git_refresh.symptom import Service, ServiceError, Symptom
from git_refresh.values import DIRECTORY, ListedObject

MAX_REQUESTS = 1_000
"""Directories that one walk lists, or asks the Repos API for: at 50 ms each, most of its time."""

MAX_DEPTH = 20
"""Directories below each other: deeper than anybody sorts Git folders, and an end to a tree that has none."""

MAX_OBJECTS = 10_000
"""Directories and Git folders that one walk reads: five times as many Git folders as a workspace may have."""

WALK_LIMIT_S = 60.0
"""Seconds of one walk."""

WIDE = 100
"""Requests of one walk from which on a run says so: a path nearer to the Git folders costs a fraction."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A directory that could not be listed, or that is beyond a bound: Git folders below it are not known."""

    path: str
    symptom: Symptom | None = None
    beyond: str = ""
    """The bound."""

    @property
    def refused(self) -> bool:
        """Whether the app lacks the permission for it."""
        return self.symptom is not None and self.symptom.status == HTTPStatus.FORBIDDEN

    def told(self, facts: Facts) -> Diagnosis:
        """Why nobody knows what is below; the facts are those of the directory."""
        if self.symptom is not None:
            return explain(self.symptom, facts)
        return finding("pattern_too_wide", facts, bound=self.beyond)


@dataclass(slots=True)
class Walk:
    """One walk: breadth first, in the order of the paths, and never into a Git folder."""

    root: str
    """The path without `/*`."""
    children: Callable[[str], Sequence[ListedObject | None]]
    """What is in a directory. Raises `ServiceError`."""
    examine: Callable[[ListedObject], bool]
    """Whether an object is a Git folder, where the directory does not tell. Raises `ServiceError`."""
    elsewhere: Callable[[str], bool]
    """Whether what is below a directory belongs to another entry of the settings."""
    deadline: Deadline
    requests: int = 0
    objects: int = 0
    found: bool = False
    """Whether there is any Git folder below, whichever entry it belongs to."""
    gaps: list[Gap] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.deadline = self.deadline.within(WALK_LIMIT_S)

    def folders(self) -> Iterator[ListedObject]:
        """The Git folders, each when it is found.

        Raises:
            ServiceError: a brief bound of the caller kept a directory from being listed.
        """
        queue = deque([(self.root, 0)])
        while queue:
            path, depth = queue.popleft()
            if (beyond := self._beyond(depth)) is not None:
                self.gaps.append(Gap(path, beyond=beyond))
                if depth <= MAX_DEPTH:  # the rest of the queue is beyond it too
                    return
                continue
            for found in self._listed(path):
                if found.is_git_folder or (found.may_be_git_folder and self._is_git_folder(found)):
                    self.found = True
                    yield found
                elif found.type == DIRECTORY and not self.elsewhere(found.path):
                    queue.append((found.path, depth + 1))

    def _beyond(self, depth: int) -> str | None:
        if self.requests >= MAX_REQUESTS:
            return f"{MAX_REQUESTS:,} requests"
        if self.objects >= MAX_OBJECTS:
            return f"{MAX_OBJECTS:,} directories"
        if self.deadline.remaining() <= 0:
            return f"{WALK_LIMIT_S:.0f} seconds"
        return f"{MAX_DEPTH} directories below each other" if depth > MAX_DEPTH else None

    def _listed(self, path: str) -> list[ListedObject]:
        listed = self._ask(path, lambda: self.children(path)) or ()
        if any(found is None for found in listed):
            what = f"read {sum(found is None for found in listed)} objects in {path}"
            self.gaps.append(Gap(path, Symptom(Service.DATABRICKS, what, "unexpected")))
        known = {found.path: found for found in listed if found is not None}
        self.objects += len(known)
        return [known[path] for path in sorted(known)]

    def _is_git_folder(self, found: ListedObject) -> bool:
        if (beyond := self._beyond(0)) is not None:
            self.gaps.append(Gap(found.path, beyond=beyond))
            return False
        return self._ask(found.path, lambda: self.examine(found)) or False

    def _ask[T](self, path: str, request: Callable[[], T]) -> T | None:
        """What a request gives; None where there is nothing, as after a deletion, or a gap."""
        self.requests += 1
        try:
            with operation(self.deadline):
                return request()
        except ServiceError as error:
            if cut_short():
                raise
            if error.symptom.status != HTTPStatus.NOT_FOUND:
                self.gaps.append(Gap(path, error.symptom))
        return None
