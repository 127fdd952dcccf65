"""A workspace's tree in memory for tests of discovery; counts requests and can change between them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from git_refresh.failures.failure import (
    Attempt,
    FailureKind,
    Operation,
    Service,
    ServiceError,
    ServiceFailure,
)
from git_refresh.model.values import GitFolder, ListedObject, OtherObject
from tests.support.fakes import FakeWorkspace

Kind = Literal["directory", "legacy", "git-cli", "broken", "notebook"]
URL = "https://dev.azure.com/contoso/p/_git/etl"


@dataclass
class Node:
    """One object.

    `listing`: the error status of its listing; None: success.
    `repos`: the error status of the Repos API for it; None: success.
    `seen`: if False, neither its directory nor its path shows it.
    `managed`: if False, the list of Git folders omits it.
    `tells`: whether responses have `directory_info`.
    """

    id: int
    kind: Kind = "directory"
    listing: int | None = None
    repos: int | None = None
    seen: bool = True
    managed: bool = True
    tells: bool = True

    @property
    def is_git_folder(self) -> bool:
        return self.kind in {"legacy", "git-cli"}

    @property
    def is_proved(self) -> bool:
        """True if the Repos API confirms it."""
        return self.is_git_folder and self.repos is None


@dataclass
class Tree(FakeWorkspace):
    """The workspace.

    `nodes`: every object by path.
    `lies`: directories inside a Git folder are called Git folders.
    `list_fails`: the list of Git folders fails after its first page.
    `odd`: directories with an unreadable object in their listing.
    `asked`: the requests with their path; `before` gets each, such as `children /Shared`.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    lies: bool = False
    list_fails: bool = False
    odd: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def around(self, path: str) -> str:
        """Return the Git folder that a path is, or is in, or ""."""
        while path:
            if (node := self.nodes.get(path)) is not None and node.kind in {"legacy", "git-cli", "broken"}:
                return path
            path = path.rpartition("/")[0]
        return ""

    def below(self, path: str) -> list[str]:
        """Return the direct children of a directory."""
        return sorted(each for each in self.nodes if each.rpartition("/")[0] == path)

    def folders(self, prefix: str) -> Iterator[list[GitFolder | None]]:
        self._ask("list", prefix)
        shown = [
            self._folder(path)
            for path, node in sorted(self.nodes.items())
            if node.kind == "legacy" and node.managed and path.startswith(prefix)
        ]
        yield [*shown[:2]]
        if self.list_fails:
            raise self._error(Operation.LIST_FOLDERS.of(), 500)
        yield [*shown[2:]]

    def children(self, path: str) -> list[ListedObject | None]:
        self._ask("children", path)
        node = self.nodes.get(path)
        what = Operation.LIST_DIRECTORY.of(path)
        if node is None or not node.seen:
            raise self._error(what, 404)
        if node.listing is not None:
            raise self._error(what, node.listing)
        if node.kind == "notebook":
            return []
        shown = (each for each in self.below(path) if self.nodes[each].seen)
        found: list[ListedObject | None] = [
            self._object(each) for each in shown if self.nodes[each].kind != "notebook"
        ]
        return [*found, None] if path in self.odd else found

    def _object(self, path: str) -> ListedObject:
        node = self.nodes[path]
        kind = {"legacy": "REPO", "notebook": "NOTEBOOK"}.get(node.kind, "DIRECTORY")
        called = node.kind in {"git-cli", "broken"} or (self.lies and self.around(path) != "")
        return ListedObject(path, node.id, kind, called if node.tells and kind == "DIRECTORY" else None)

    def examine(self, found: ListedObject) -> GitFolder | OtherObject:
        self._ask("repos", found.path)
        path = next((path for path, node in self.nodes.items() if node.id == found.id and node.seen), None)
        node = self.nodes[path] if path is not None else None
        if node is not None and node.repos is not None:
            raise self._error(Operation.READ_OBJECTS.of(f"the Git folder {path}"), node.repos)
        if path is None or node is None or not node.is_git_folder:
            return OtherObject(found.type, broken=found.is_git_folder)
        return self._folder(path)

    def find(self, path: str) -> GitFolder | OtherObject | None:
        self._ask("status", path)
        node = self.nodes.get(path)
        if node is None or not node.seen:
            return None
        here = self._object(path)
        if (root := self.around(path)) not in {"", path}:
            return OtherObject(here.type, inside=root)
        return self.examine(here) if here.may_be_git_folder else OtherObject(here.type)

    def _folder(self, path: str) -> GitFolder:
        node = self.nodes[path]
        return GitFolder(node.id, path, URL, "main", "a" * 40, node.kind == "git-cli")

    def _ask(self, what: str, path: str) -> None:
        self.before(f"{what} {path}")
        self.asked.append((what, path))

    def _error(self, what: Attempt, status: int) -> ServiceError:
        return ServiceError(ServiceFailure(Service.DATABRICKS, what, FailureKind.ANSWER, status))
