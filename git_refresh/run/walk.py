"""The walk through the directories below a path that ends in `/*`: which Git folders are there, and what could not be listed."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, explain, finding
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.failures.table import CLOSED
from git_refresh.model.clock import Deadline, cut_short, operation
from git_refresh.model.values import DIRECTORY, REPO, ListedObject

MAX_REQUESTS = 1_000
"""Directories that one walk lists, or asks the Repos API for: at 50 ms each, most of its time."""

MAX_DEPTH = 20
"""Directories below each other: deeper than people sort Git folders, and an end to a tree that has none."""

MAX_OBJECTS = 10_000
"""Directories and Git folders that one walk reads: five times as many Git folders as a workspace may have."""

WALK_LIMIT_S = 60.0
"""Seconds of one walk."""

LOOK_AFTER = 20
"""Requests without a Git folder found after which a walk asks whether it is inside one: its listings do not show that."""

WIDE = 100
"""Requests of one walk from which on a run says so: a path nearer to the Git folders costs a fraction."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A directory that could not be listed, or that is beyond a bound: Git folders below it are not known."""

    path: str
    failure: ServiceFailure | None = None
    beyond: str = ""
    """The bound."""

    @property
    def refused(self) -> bool:
        """Whether the app lacks the permission for it."""
        if self.failure is None or self.failure.status != HTTPStatus.FORBIDDEN:
            return False
        return explain(self.failure, DiagnosisContext()).code not in CLOSED

    def diagnosis(self, context: DiagnosisContext) -> Diagnosis:
        """Why it is not known what is below; the context is that of the directory."""
        if self.failure is not None:
            return explain(self.failure, context)
        return finding("pattern_too_wide", context, bound=self.beyond)


@dataclass(slots=True)
class Walk:
    """One walk: breadth first, in the order of the paths, and never into a Git folder."""

    root: str
    """The path without `/*`."""
    children: Callable[[str], Sequence[ListedObject | None]]
    """What is in a directory. Raises `ServiceError`."""
    examine: Callable[[ListedObject], bool]
    """Whether an object is a Git folder, by the Repos API. Raises `ServiceError`."""
    inside: Callable[[], bool]
    """Whether the root is a Git folder, or inside one, as far as the workspace tells."""
    elsewhere: Callable[[str], bool]
    """Whether what is below a directory belongs to another entry of the settings."""
    deadline: Deadline
    requests: int = 0
    objects: int = 0
    found: bool = False
    """Whether there is any Git folder below, whichever entry it belongs to."""
    gaps: list[Gap] = field(default_factory=list)
    _limit_s: float = field(init=False)
    is_inside: bool = False
    """Whether the root turned out to be a Git folder, or inside one: none is below it, whatever its listings say."""
    _settled: bool = False
    """Whether a Git folder below, or a look at the root, has shown where the root is."""
    _ended: bool = False
    """Whether a bound was reached that all of the walk shares."""

    def __post_init__(self) -> None:
        self.deadline = self.deadline.within(WALK_LIMIT_S)
        self._limit_s = max(0.0, self.deadline.remaining())

    def folders(self) -> Iterator[ListedObject]:
        """The Git folders, each when it is found."""
        queue = deque([(self.root, 0)])
        while queue:
            path, depth = queue.popleft()
            if (beyond := self._beyond(depth)) is not None:
                self._give_up(path, beyond)
                continue
            if self._late_and_inside():
                return
            for found in self._listed(path):
                is_git_folder = self._is_git_folder(found)
                if self.is_inside:
                    return
                if is_git_folder:
                    self.found = True
                    yield found
                elif is_git_folder is False and found.type == DIRECTORY and not self.elsewhere(found.path):
                    queue.append((found.path, depth + 1))

    def _beyond(self, depth: int) -> str | None:
        if self.requests >= MAX_REQUESTS:
            return f"{MAX_REQUESTS:,} requests"
        if self.objects >= MAX_OBJECTS:
            return f"{MAX_OBJECTS:,} directories"
        if self.deadline.remaining() <= 0:
            return f"{self._limit_s:.0f} seconds"
        return f"{MAX_DEPTH} directories below each other" if depth > MAX_DEPTH else None

    def _listed(self, path: str) -> list[ListedObject]:
        listed = self._ask(path, lambda: self.children(path)) or ()
        if any(found is None for found in listed):
            odd = sum(found is None for found in listed)
            what = Operation.READ_OBJECTS.of(f"{odd} objects in {path}")
            self.gaps.append(Gap(path, ServiceFailure(Service.DATABRICKS, what, FailureKind.UNEXPECTED)))
        known = {found.path: found for found in listed if found is not None}
        self.objects += len(known)
        return [known[path] for path in sorted(known)]

    def _give_up(self, path: str, beyond: str) -> None:
        if not self._ended:
            self.gaps.append(Gap(path, beyond=beyond))
        self._ended = self._beyond(0) is not None

    def _is_git_folder(self, found: ListedObject) -> bool | None:
        """Whether an object is a Git folder; None if that is not known.

        Directories inside a Git folder might be called Git folders, so the first one that is called so has to prove it.
        """
        if found.type == REPO:
            self._settled = True
            return True
        if not found.may_be_git_folder:
            return False
        called = found.is_git_folder
        if called and self._settled:
            return True
        if (beyond := self._beyond(0)) is not None:
            self._give_up(found.path, beyond)
            return called or None
        if called:
            return self._is_called_rightly(found)
        if self._late_and_inside():
            return None
        is_git_folder = self._ask(found.path, lambda: self.examine(found))
        self._settled = self._settled or is_git_folder is True
        return is_git_folder

    def _is_called_rightly(self, found: ListedObject) -> bool:
        """Whether an object that is called a Git folder is one, if only a broken one."""
        try:
            self._settled = self._do(lambda: self.examine(found))
        except ServiceError:  # its own look reports it
            if cut_short():
                raise
        return self._settled or not self._turns_out_inside()

    def _late_and_inside(self) -> bool:
        return self.requests >= LOOK_AFTER and self._turns_out_inside()

    def _turns_out_inside(self) -> bool:
        """Whether the root is a Git folder, or inside one, where that is not settled. Asked once."""
        if not self._settled:
            self.is_inside = self._do(self.inside)
            self._settled = True
        return self.is_inside

    def _ask[T](self, path: str, request: Callable[[], T]) -> T | None:
        """What a request gives; None where there is nothing, as after a deletion, or a gap."""
        try:
            return self._do(request)
        except ServiceError as error:
            if cut_short():
                raise
            if error.failure.status != HTTPStatus.NOT_FOUND:
                self.gaps.append(Gap(path, error.failure))
        return None

    def _do[T](self, request: Callable[[], T]) -> T:
        self.requests += 1
        with operation(self.deadline):
            return request()
