"""Finds the configured Git folders in a workspace."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from http import HTTPStatus
from itertools import takewhile
from typing import Self

from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, finding
from git_refresh.failures.failure import ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline, cut_short, operation
from git_refresh.model.values import (
    DIRECTORY,
    FILES,
    REPO,
    GitFolder,
    ListedObject,
    OtherObject,
    listed_as,
    patterns_above,
)
from git_refresh.output.text import closest
from git_refresh.run.ports import WorkspaceApi
from git_refresh.run.report import PatternReport
from git_refresh.run.walk import WIDE, Walk
from git_refresh.settings.entries import Entry
from git_refresh.settings.models import Folder

MAX_EXAMINED = 20
"""Maximum objects to examine until a directory counts as one without Git folders."""

PARENTS_LIMIT_S = 30.0
"""Time to list parent directories. Other folders are then read by their own paths."""

NEAREST_LIMIT_S = 10.0
"""Time to find the Git folder that a misspelled path meant."""

WALKS_LIMIT_S = 120.0
"""Time for all walks in one workspace, because its named Git folders wait for them."""


class Listing:
    """The configured folders of a workspace, and the objects at their paths.

    Each request is sent once, when needed. Lookups raise `ServiceError` on failure.
    A failure at a brief deadline of the caller (`clock.Brief`) is not cached.

    The workspace's list of Git folders only saves requests: it is deprecated, and omits Git folders with Git CLI access.
    Named folders that it omits are read from one listing of their directory. Others are read separately.
    """

    def __init__(
        self,
        api: WorkspaceApi,
        wanted: tuple[Folder, ...],
        left_out: Collection[str] = (),
        only: Collection[str] = (),
        *,
        deadline: Deadline,
    ) -> None:
        """Store the folders of the settings.

        `left_out` has the keys of invalid and unselected entries, which `/*` entries must not match.
        `only` restricts `/*` entries to these keys, unless it is empty.
        """
        self._api = api
        self._wanted = wanted
        self._patterns = {folder.key for folder in wanted if folder.below is not None}
        self._named = {folder.key for folder in wanted if folder.below is None} | set(left_out)
        self._listed = self._named | self._patterns
        self._only = only
        self._deadline = deadline
        self._shown: dict[str, GitFolder] | None = None
        """Valid items of the list by path; None before the first request."""
        self._listed_by: dict[str, list[str]] = {}
        """Paths in the list, by the `/*` entry that matches them."""
        self._above: set[str] = set()
        """All `/*` paths that cover something in the list, configured or not."""
        self._failed = False
        self._directories: dict[str, Sequence[ListedObject | None] | ServiceFailure] = {}
        self._spotted: dict[str, ListedObject] = {}
        """Objects in listed directories that might be Git folders, by path."""
        self._at_paths: dict[str, GitFolder | OtherObject | None] = {}
        self._plain: set[str] = set()
        """Directories that the Repos API does not know."""
        self._at_roots: dict[str, GitFolder | OtherObject | None] = {}
        """Objects at the roots of walks without a result; None if missing or unknown."""
        self._walks: dict[str, Walk] = {}
        """Ended walks, by `/*` entry."""

    @classmethod
    def of(cls, api: WorkspaceApi, entry: Entry, deadline: Deadline) -> Self:
        return cls(api, entry.workspace.folders, entry.left_out, entry.paths, deadline=deadline)

    def __iter__(self) -> Iterator[Folder]:
        """Yield each named folder, then each Git folder that a `/*` entry matches."""
        named = [folder for folder in self._wanted if folder.below is None]
        self._list_parents([folder.key for folder in named])
        yield from named
        until = self._deadline.within(WALKS_LIMIT_S)
        for pattern in self._wanted:
            if pattern.below is None:
                continue
            found = (
                self._below(pattern, until) if self._is_whole(pattern.key) else self._selected_below(pattern)
            )
            for path in found:
                yield pattern.model_copy(update={"path": path})

    def by_pattern(self, folder: Folder) -> bool:
        """Return whether a `/*` entry matched the folder, because it has no entry of its own."""
        return folder.key not in self._named

    def asked_for(self, folder: Folder) -> bool:
        """Return whether the caller selected the folder by its path, so it fails if it cannot be updated."""
        return folder.key in self._only

    def _pattern(self, path: str) -> str | None:
        """Return the nearest `/*` entry above a path.

        None if that entry is invalid or not selected. Otherwise, a typo in it could apply another entry's `discard`.
        """
        found = listed_as(path, self._listed)
        return found if found in self._patterns else None

    def _is_whole(self, pattern: str) -> bool:
        return not self._only or pattern in self._only

    def _selected_below(self, pattern: Folder) -> list[str]:
        return [
            path for path in sorted(self._only) if path != pattern.key and self._pattern(path) == pattern.key
        ]

    def _below(self, pattern: Folder, until: Deadline) -> Iterator[str]:
        """Yield the Git folders below a `/*` entry: from a walk, then those that only the list contains."""
        root = pattern.below or ""
        yielded: set[str] = set()
        walk = Walk(
            root or "/",
            self._children,
            self._is_git_folder,
            lambda: bool(self._git_folder_around(root)),
            lambda path: f"{path}/*" in self._listed,
            until,
        )
        if root not in self._list():  # otherwise the root itself is a Git folder
            for found in walk.folders():
                if self._pattern(found.path) == pattern.key:
                    yielded.add(found.path)
                    yield found.path
        walk.found = walk.found or pattern.key in self._above
        for path in self._listed_by.get(pattern.key, []):
            if path not in yielded:
                yielded.add(path)
                yield path
        self._walks[pattern.key] = walk

    def shown(self, folder: Folder) -> GitFolder | None:
        """Return the folder from the workspace's list, or None."""
        return self._list().get(folder.key)

    def hides(self, folder: Folder, found: GitFolder) -> bool:
        """Return whether the list omits a Git folder because the app lacks permission to manage it."""
        return not self._failed and not found.git_cli and self.shown(folder) is None

    @property
    def shows_any(self) -> bool:
        """True if the list contains any Git folder. The API is deprecated, so it might become empty."""
        return bool(self._list())

    def look(self, folder: Folder) -> GitFolder | OtherObject | None:
        """Return the object at a configured path, or None if the app sees none."""
        key = folder.key
        if (shown := self._list().get(key)) is not None:
            return shown
        if key not in self._at_paths:
            spotted = self._spotted.get(key)
            examined = self._api.examine(spotted) if spotted is not None and key not in self._plain else None
            if isinstance(examined, GitFolder):
                self._at_paths[key] = examined
            else:
                there = self._api.find(key)
                marked = spotted is not None and spotted.is_git_folder
                self._at_paths[key] = _broken_if_marked(there) if marked else there
        return self._at_paths[key]

    def _is_git_folder(self, found: ListedObject) -> bool:
        path = found.path
        if path in self._list():
            return True
        if path not in self._at_paths and path not in self._plain:
            examined = self._api.examine(found)
            if isinstance(examined, GitFolder):
                self._at_paths[path] = examined
            else:
                self._plain.add(path)
        return path not in self._plain and isinstance(self._at_paths[path], GitFolder)

    def _list_parents(self, keys: Sequence[str]) -> None:
        """List the directories with several named folders that the list omits."""
        parents = Counter(key.rpartition("/")[0] for key in keys if key not in self._list())
        with operation(self._deadline.within(PARENTS_LIMIT_S)):
            for parent in (parent for parent, count in parents.items() if count > 1):
                try:
                    self._children(parent or "/")
                except ServiceError:  # each folder is read by its own path
                    if cut_short():
                        raise

    def _children(self, path: str) -> Sequence[ListedObject | None]:
        if path not in self._directories:
            try:
                listed = self._api.children(path)
            except ServiceError as error:
                if cut_short():
                    raise
                self._directories[path] = error.failure
            else:
                self._directories[path] = listed
                may_be = (found for found in listed if found is not None and found.may_be_git_folder)
                self._spotted.update((found.path, found) for found in may_be)
        known = self._directories[path]
        if isinstance(known, ServiceFailure):
            raise ServiceError(known)
        return known

    def _list(self) -> dict[str, GitFolder]:
        """Return the Git folders in the workspace's list by path. A failure shortens the result."""
        if self._shown is None:
            found: dict[str, GitFolder] = {}
            try:
                for prefix in _shared_prefixes(self._wanted_paths()):
                    for page in self._api.folders(prefix):
                        found.update((item.path, item) for item in page if item is not None)
                        self._failed = self._failed or None in page
            except ServiceError:
                if cut_short():
                    raise
                self._failed = True
            for path in sorted(found):
                self._above.update(patterns_above(path))
                if (pattern := self._pattern(path)) is not None:
                    self._listed_by.setdefault(pattern, []).append(path)
            self._shown = found
        return self._shown

    def missing(self, folder: Folder, context: DiagnosisContext) -> Diagnosis:
        """Return the diagnosis of a folder that does not exist and has no url."""
        near = self._meant(folder.key)
        if near and folder.path.startswith("/Workspace/"):
            near = f"/Workspace{near}"
        return (
            finding("folder_misspelled", context, nearest=near)
            if near
            else finding("folder_not_found", context)
        )

    def _meant(self, key: str) -> str | None:
        """Return the key of the Git folder with the most similar path and without an entry, or None."""
        try:
            with operation(self._deadline.within(NEAREST_LIMIT_S), brief=True):
                return self._nearest(
                    key, lambda found: found.path not in self._named and self._is_git_folder(found)
                )
        except (ServiceError, TimeoutError):
            return None

    def _nearest(self, key: str, fits: Callable[[ListedObject], bool]) -> str | None:
        parent, _, name = key.rpartition("/")
        there = self._objects_by_name(parent)
        if not there and parent:
            found = self._nearest(parent, lambda _: True)
            there = self._objects_by_name(found) if found else {}
        return next((there[each].path for each in closest(name, list(there), 3) if fits(there[each])), None)

    def _objects_by_name(self, path: str) -> dict[str, ListedObject]:
        try:
            children = self._children(path or "/")
        except ServiceError as error:
            if error.failure.status != HTTPStatus.NOT_FOUND:
                raise
            return {}
        named = (found for found in children[:_MAX_COMPARED_OBJECTS] if found is not None)
        return {found.path.rpartition("/")[2]: found for found in named}

    def has_below(self, key: str) -> bool:
        """Return whether a directory contains a Git folder, as far as the list and one directory listing show."""
        if any(path.startswith(f"{key}/") for path in self._list()):
            return True
        try:
            inside = [found for found in self._children(key) if found is not None and found.may_be_git_folder]
            return any(found.is_git_folder or self._is_git_folder(found) for found in inside[:MAX_EXAMINED])
        except ServiceError:
            return False

    def patterns(self, context: DiagnosisContext) -> Iterator[PatternReport]:
        """Yield the findings about each `/*` entry. Iterate over all folders before."""
        for pattern in self._wanted:
            if (walk := self._walks.get(pattern.key)) is None:
                continue
            here = replace(context, path=pattern.below or "/")
            if walk.is_inside:
                yield self._nothing_below(pattern, here)
                continue
            for gap in walk.gaps:
                failed = not gap.refused or gap.path == walk.root
                yield PatternReport(pattern.path, gap.diagnosis(replace(context, path=gap.path)), failed)
            if walk.requests >= WIDE:
                yield PatternReport(
                    pattern.path, finding("pattern_wide", here, count=f"{walk.requests:,}"), failed=False
                )
            if not walk.gaps and not walk.found:
                yield self._nothing_below(pattern, here)

    def _nothing_below(self, pattern: Folder, context: DiagnosisContext) -> PatternReport:
        root = pattern.below or "/"
        if around := self._git_folder_around(root):
            return PatternReport(
                pattern.path, finding("pattern_in_git_folder", context, folder=around), failed=True
            )
        found = self._at_roots[root]
        if isinstance(found, OtherObject) and found.type in FILES:
            diagnosis = finding("pattern_not_a_directory", context, type=found.type)
            return PatternReport(pattern.path, diagnosis, failed=True)
        return PatternReport(pattern.path, finding("no_folder_matched", context), failed=False)

    def _git_folder_around(self, root: str) -> str:
        if root not in self._at_roots:
            try:
                self._at_roots[root] = self._list().get(root) or self._api.find(root)
            except ServiceError:
                if cut_short():
                    raise
                self._at_roots[root] = None
        found = self._at_roots[root]
        return root if isinstance(found, GitFolder) else found.inside if found else ""

    def _wanted_paths(self) -> list[str]:
        whole = [
            folder.below or folder.key
            for folder in self._wanted
            if folder.below is None or self._is_whole(folder.key)
        ]
        patterns = [folder for folder in self._wanted if folder.below is not None]
        return whole + [path for pattern in patterns for path in self._selected_below(pattern)]


_MAX_COMPARED_OBJECTS = 1_000


def _broken_if_marked(found: GitFolder | OtherObject | None) -> GitFolder | OtherObject | None:
    """Set `broken` if the directory listing marks an object as a Git folder, but the Repos API has none."""
    if isinstance(found, OtherObject) and not found.inside and found.type in {REPO, DIRECTORY}:
        return replace(found, broken=True)
    return found


def _shared_prefixes(wanted: Sequence[str]) -> list[str]:
    """Return the longest common path of the configured paths below each top-level directory."""
    roots: dict[str, list[list[str]]] = {}
    for path in wanted:
        parts = path.split("/")
        roots.setdefault(parts[1], []).append(parts)
    prefixes = []
    for paths in roots.values():
        shared = takewhile(lambda level: len(set(level)) == 1, zip(*paths, strict=False))
        prefixes.append("/".join(level[0] for level in shared))
    return prefixes
