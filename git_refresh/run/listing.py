"""The Git folders that the settings want, and those that the workspace lists."""

from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile
from typing import Self

from git_refresh.clock import cut_short
from git_refresh.seams import Api
from git_refresh.settings.entries import Entry
from git_refresh.settings.models import Folder
from git_refresh.symptom import Service, ServiceError, Symptom
from git_refresh.values import GitFolder, patterns_above


class Listing:
    """The wanted folders, each with what the workspace's list shows at its path; read no further than asked, and once.

    One list request costs less than a look at each path. What it leaves out (a Git-CLI folder, one without Manage permission, a list
    that fails) comes with None, and is looked for by its path later.
    """

    def __init__(
        self,
        api: Api,
        wanted: tuple[Folder, ...],
        left_out: Collection[str] = (),
        only: Collection[str] = (),
    ) -> None:
        """Take what is needed to read the list.

        Args:
            api: the workspace.
            wanted: the folders of the settings.
            left_out: keys of folders that a path ending in `/*` must not take up: their own entry is wrong, or not asked for.
            only: keys to which paths ending in `/*` are narrowed, their own or of folders below; empty: they are not.
        """
        self.failure: ServiceError | None = None
        self._odd = 0
        """Entries that were not what the list promises; which folders they are is not known."""
        self._api = api
        self._wanted = wanted
        self._patterns = {folder.key for folder in wanted if folder.below is not None}
        self._named = {folder.key for folder in wanted if folder.below is None} | set(left_out)
        self._only = only
        self._found: dict[str, GitFolder] | None = None

    @classmethod
    def of(cls, api: Api, entry: Entry) -> Self:
        """That of an entry of the settings."""
        return cls(api, entry.workspace.folders, entry.left_out, entry.paths)

    def __iter__(self) -> Iterator[tuple[Folder, GitFolder | None]]:
        found = self._read()
        below: dict[str, list[GitFolder]] = {}
        for item in found.values():
            pattern = self._pattern(item.path)
            if pattern is not None and (self._is_whole(pattern) or item.path in self._only):
                below.setdefault(pattern, []).append(item)
        for folder in self._wanted:
            if folder.below is None:
                yield folder, found.get(folder.key)
                continue
            for item in below.get(folder.key, []):
                yield folder.model_copy(update={"path": item.path}), item

    def by_pattern(self, folder: Folder) -> bool:
        """Whether a folder is wanted by a path ending in `/*`, not by an entry of its own."""
        return folder.key not in self._named

    def asked_for(self, folder: Folder) -> bool:
        """Whether a folder was asked for by its own path: then it is a failure that nothing can be done for it."""
        return folder.key in self._only

    def _pattern(self, path: str) -> str | None:
        """By which path ending in `/*` a folder is wanted: the one that is nearest above it.

        None when something nearer is left out: throwing local edits away because of a typo elsewhere would be a bad surprise.
        """
        if path in self._named:
            return None
        for pattern in patterns_above(path):
            if pattern in self._patterns:
                return pattern
            if pattern in self._named:
                return None
        return None

    def _is_whole(self, pattern: str) -> bool:
        """Whether all below a path ending in `/*` is wanted."""
        return not self._only or pattern in self._only

    def missing(self) -> list[str]:
        """What was asked for by its own path, what a path ending in `/*` is to find, and what the list does not show."""
        if self.failure is not None:
            return []
        return [path for path in self._singled_out() if path not in self._read()]

    def _singled_out(self) -> list[str]:
        return [path for path in sorted(self._only) if self._pattern(path) not in {None, path}]

    def count_below(self, key: str) -> int:
        """How many Git folders the list shows below a wanted path; none, where it has failed."""
        return sum(path.startswith(f"{key}/") for path in self._read())

    def unfound(self) -> list[Folder]:
        """The paths ending in `/*` below which the list shows nothing."""
        if self.failure is not None:
            return []
        paths = list(self._read())
        return [
            folder
            for folder in self._wanted
            if folder.below is not None
            and self._is_whole(folder.key)
            and not any(path.startswith(f"{folder.below}/") for path in paths)
        ]

    def gap(self) -> Symptom | None:
        """Why nobody can say what is below a path ending in `/*`: the list has failed, or has entries that cannot be read."""
        if self.failure is not None:
            return self.failure.symptom
        if not self._odd:
            return None
        return Symptom(
            Service.DATABRICKS, f"read {self._odd} entries in the list of Git folders", "unexpected"
        )

    def _read(self) -> dict[str, GitFolder]:
        """The list.

        Raises:
            ServiceError: a brief bound of the caller kept it from being read; nothing of that is remembered.
        """
        if self._found is None:
            found: dict[str, GitFolder] = {}
            odd = 0
            try:
                for prefix in _prefixes(self._looked_for()):
                    for page in self._api.folders(prefix):
                        found.update((item.path, item) for item in page if item is not None)
                        odd += page.count(None)
            except ServiceError as error:
                if cut_short():
                    raise
                self.failure = error
            self._found, self._odd = found, odd
        return self._found

    def _looked_for(self) -> list[str]:
        """At or below which paths all that is wanted is."""
        whole = [
            folder.below or folder.key
            for folder in self._wanted
            if folder.below is None or self._is_whole(folder.key)
        ]
        return whole + self._singled_out()


def _prefixes(wanted: Sequence[str]) -> list[str]:
    """One path for each top-level folder, as deep as all the wanted paths below it share."""
    roots: dict[str, list[list[str]]] = {}
    for path in wanted:
        parts = path.split("/")
        roots.setdefault(parts[1], []).append(parts)
    prefixes = []
    for paths in roots.values():
        shared = takewhile(lambda level: len(set(level)) == 1, zip(*paths, strict=False))
        prefixes.append("/".join(level[0] for level in shared))
    return prefixes
