"""Walks through the directories below a `/*` entry, and finds their Git folders."""

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
"""In one walk. At 50 ms each, they take most of `WALK_LIMIT_S`."""

MAX_DEPTH = 20
"""Deeper than Git folders are usually nested. Also ends walks through endless trees."""

MAX_OBJECTS = 10_000
"""Directories and Git folders in one walk. A workspace can have 2,000 Git folders."""

WALK_LIMIT_S = 60.0
"""Half of `listing.WALKS_LIMIT_S`, so a slow walk leaves time for another one."""

INSIDE_CHECK_AFTER = 20
"""Number of requests without a result after which a walk checks whether it is inside a Git folder."""

WIDE = 100
"""Number of requests in one walk that causes the warning `pattern_wide`."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A directory whose Git folders are unknown, because listing it failed or would exceed a limit."""

    path: str
    failure: ServiceFailure | None = None
    beyond: str = ""
    """The limit, as text."""

    @property
    def refused(self) -> bool:
        """True if the app lacks permission to list the directory."""
        if self.failure is None or self.failure.status != HTTPStatus.FORBIDDEN:
            return False
        return explain(self.failure, DiagnosisContext()).code not in CLOSED

    def diagnosis(self, context: DiagnosisContext) -> Diagnosis:
        """Return why the contents are unknown. The context must be about this directory."""
        if self.failure is not None:
            return explain(self.failure, context)
        return finding("pattern_too_wide", context, bound=self.beyond)


@dataclass(slots=True)
class Walk:
    """One walk: breadth first, in the order of the paths, and never into a Git folder."""

    root: str
    """Path of the entry without `/*`."""
    children: Callable[[str], Sequence[ListedObject | None]]
    """Lists a directory. Raises `ServiceError`."""
    examine: Callable[[ListedObject], bool]
    """Checks with the Repos API whether an object is a Git folder. Raises `ServiceError`."""
    inside: Callable[[], bool]
    """Checks whether the root is a Git folder or inside one."""
    elsewhere: Callable[[str], bool]
    """Checks whether a directory belongs to another entry of the settings."""
    deadline: Deadline
    requests: int = 0
    objects: int = 0
    found: bool = False
    """True if any Git folder exists below the root, including those of other entries."""
    gaps: list[Gap] = field(default_factory=list)
    _limit_s: float = field(init=False)
    is_inside: bool = False
    """True if the root is a Git folder or inside one. Then no other can exist below."""
    _settled: bool = False
    """True once `is_inside` is final."""
    _ended: bool = False
    """True once the walk has reached a limit of the whole walk."""

    def __post_init__(self) -> None:
        self.deadline = self.deadline.within(WALK_LIMIT_S)
        self._limit_s = max(0.0, self.deadline.remaining())

    def folders(self) -> Iterator[ListedObject]:
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
        return f"{MAX_DEPTH} nested directories" if depth > MAX_DEPTH else None

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
        """Return whether an object is a Git folder; None if unknown.

        Inside a Git folder, listings might mark plain directories as Git folders, so the first marked one is verified.
        """
        if found.type == REPO:
            self._settled = True
            return True
        if not found.may_be_git_folder:
            return False
        marked = found.is_git_folder
        if marked and self._settled:
            return True
        if (beyond := self._beyond(0)) is not None:
            self._give_up(found.path, beyond)
            return marked or None
        if marked:
            return self._is_marked_correctly(found)
        if self._late_and_inside():
            return None
        is_git_folder = self._ask(found.path, lambda: self.examine(found))
        self._settled = self._settled or is_git_folder is True
        return is_git_folder

    def _is_marked_correctly(self, found: ListedObject) -> bool:
        """Return whether an object that is marked as a Git folder is one. A broken Git folder counts."""
        try:
            self._settled = self._do(lambda: self.examine(found))
        except ServiceError:  # the lookup of the folder reports it
            if cut_short():
                raise
        return self._settled or not self._check_inside()

    def _late_and_inside(self) -> bool:
        return self.requests >= INSIDE_CHECK_AFTER and self._check_inside()

    def _check_inside(self) -> bool:
        """Return whether the root is a Git folder or inside one. Only the first call sends a request."""
        if not self._settled:
            self.is_inside = self._do(self.inside)
            self._settled = True
        return self.is_inside

    def _ask[T](self, path: str, request: Callable[[], T]) -> T | None:
        """Return the response; None if the object no longer exists, or if the request failed (a gap)."""
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
