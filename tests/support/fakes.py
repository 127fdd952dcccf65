"""Stateful fakes of the services that a run uses."""

import threading
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from pydantic import SecretStr

from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline
from git_refresh.model.repository import Repository
from git_refresh.model.values import (
    CREDENTIAL_NAME,
    GitFolder,
    ListedObject,
    OtherObject,
    Ref,
    RefKind,
    ResolvedRef,
    Secret,
    StoredCredential,
    Token,
    TokenClaims,
    Zone,
)
from git_refresh.run.ports import AdminAccess
from git_refresh.settings.load import Settings

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class FakeClock:
    """A clock that only advances in `sleep`."""

    at: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    def event(self) -> threading.Event:
        return threading.Event()


def deadline(seconds: float = 60.0, clock: FakeClock | None = None) -> Deadline:
    return Deadline.after(seconds, clock or FakeClock())


def failure(
    service: Service = Service.DATABRICKS, status: int | None = 500, error_code: str = "", message: str = ""
) -> ServiceError:
    kind = FailureKind.ANSWER if status else FailureKind.RESET
    return ServiceError(ServiceFailure(service, Operation.READ_JOB.of(), kind, status, error_code, message))


@dataclass
class FakeWorkspace:
    """A workspace as the run uses it.

    `fail` names failing operations; `log` has the calls.
    """

    stored: list[StoredCredential] = field(default_factory=list)
    tokens: dict[tuple[int | None, int], str] = field(default_factory=dict)
    at: dict[str, GitFolder | OtherObject] = field(default_factory=dict)
    heads: Mapping[str, str] = field(default_factory=dict)
    fail: dict[str, ServiceError] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None
    others: dict[int, list[StoredCredential]] = field(default_factory=dict)
    tells_directories: bool = True
    """True if its directories mark Git folders."""

    def _do(self, what: str) -> None:
        self.before(what)
        self.log.append(what)
        if (error := self.fail.get(what)) is not None:
            raise error

    def credentials(self, principal_id: int | None) -> list[StoredCredential]:
        self._do("credentials")
        return list(self._of(principal_id))

    def _of(self, principal_id: int | None) -> list[StoredCredential]:
        return self.stored if principal_id is None else self.others.setdefault(principal_id, [])

    def update_credential(self, id_: int, username: str, token: SecretStr, principal_id: int | None) -> None:
        self._do("update_credential")
        stored = self._of(principal_id)
        stored[:] = [replace(each, username=username) if each.id == id_ else each for each in stored]
        self.tokens[principal_id, id_] = token.get_secret_value()

    def create_credential(self, username: str, token: SecretStr, principal_id: int | None) -> int:
        self._do("create_credential")
        id_ = 100 + len(self.tokens)
        made = StoredCredential(id_, "azureDevOpsServices", username, name=CREDENTIAL_NAME)
        self._of(principal_id).append(made)
        self.tokens[principal_id, id_] = token.get_secret_value()
        return id_

    def release_idle_connections(self) -> None: ...

    def close(self) -> None: ...

    def folders(self, prefix: str) -> Iterator[list[GitFolder | None]]:
        self._do("folders")
        yield [
            item
            for item in self.at.values()
            if isinstance(item, GitFolder) and item.path.startswith(prefix) and not item.git_cli
        ]

    def children(self, path: str) -> list[ListedObject | None]:
        self._do("children")
        inside = path.rstrip("/") + "/"
        names = {key.removeprefix(inside).partition("/")[0] for key in self.at if key.startswith(inside)}
        listed = (self._object(inside + name) for name in sorted(names))
        return [found for found in listed if found.type in {"REPO", "DIRECTORY"}]

    def _object(self, path: str) -> ListedObject:
        found = self.at.get(path, OtherObject("DIRECTORY"))
        if isinstance(found, OtherObject):
            told = found.broken if self.tells_directories else None
            return ListedObject(path, zlib.crc32(path.encode()) + 1_000, found.type, told)
        kind = "DIRECTORY" if found.git_cli else "REPO"
        return ListedObject(path, found.id, kind, True if self.tells_directories and found.git_cli else None)

    def examine(self, found: ListedObject) -> GitFolder | OtherObject:
        self._do("folder")
        there = self.at.get(found.path)
        if isinstance(there, GitFolder) and there.id == found.id:
            return there
        return OtherObject(found.type, broken=found.is_git_folder)

    def find(self, path: str) -> GitFolder | OtherObject | None:
        self._do("find")
        found = self.at.get(path)
        if isinstance(found, GitFolder):
            self._do("folder")
        return found

    def folder(self, id_: int) -> GitFolder:
        self._do("folder")
        return next(item for item in self.at.values() if isinstance(item, GitFolder) and item.id == id_)

    def make_parent(self, path: str) -> None:
        self._do("make_parent")

    def create_folder(
        self, path: str, url: str, sparse: tuple[str, ...] | None, credential_id: int | None
    ) -> GitFolder:
        self._do("create_folder")
        made = GitFolder(len(self.at) + 1, path, url, "main", self.heads.get("main"))
        self.at[path] = made
        return made

    def move_folder(self, id_: int, ref: Ref, *, discard: bool, credential_id: int | None) -> None:
        self._do("move_folder")
        folder = self.folder(id_)
        branch = ref.branch
        self.at[folder.path] = replace(folder, branch=branch, commit=self.heads.get(ref.name, folder.commit))


@dataclass
class FakeServices:
    """The clouds of a run, with every workspace by host."""

    workspaces: dict[str, FakeWorkspace]
    commits: dict[str, str] = field(default_factory=dict)
    branches: tuple[str, ...] | None = None
    """Without commits: `()` for an empty repository, None if unknown."""
    unpushed: Collection[str] = ()
    """Commits that Azure DevOps does not have."""
    rewritten: Collection[str] = ()
    """Commits that no branch has any more."""
    devops_failure: ServiceError | None = None
    rejected_by: Collection[str] | None = None
    """Repositories that reject the token, according to Azure DevOps."""
    identity_failure: ServiceError | None = None
    token_life: timedelta = timedelta(hours=1)
    secret_life: timedelta = timedelta(days=365)
    secret_begins: datetime | None = None
    asked: list[str] = field(default_factory=list)
    behind: timedelta = timedelta()
    identity: Service = Service.IDENTITY
    admin: AdminAccess | None = None

    def services(self, zone: Zone) -> "FakeServices":
        return self

    def close(self) -> None: ...

    def clock_behind(self) -> timedelta:
        return self.behind

    def token(self, resource: str) -> Token:
        if self.identity_failure is not None:
            raise self.identity_failure
        return Token(SecretStr("devops-token"), NOW + self.token_life, TokenClaims(object_id="object-id"))

    def secret(self, name: str) -> Secret:
        return Secret(SecretStr("oauth-secret"), NOW + self.secret_life, self.secret_begins)

    def heads(self, token: Token) -> "FakeServices":
        return self

    def head(self, repository: Repository, ref: Ref | None) -> ResolvedRef:
        self.asked.append(f"{repository} {ref.name if ref else ''}")
        if self.devops_failure is not None:
            raise self.devops_failure
        if self.rejected_by is not None and str(repository) in self.rejected_by:
            raise failure(Service.AZURE_DEVOPS, 401, message="TF401444: ...")
        if ref is None:
            return ResolvedRef(None, empty=not self.commits and self.branches == ())
        return ResolvedRef(self.commits.get(ref.name))

    def head_now(self, repository: Repository, ref: Ref | None) -> ResolvedRef:
        return self.head(repository, ref)

    def has_commit(self, repository: Repository, commit: str) -> bool:
        return commit not in self.unpushed

    def follows(self, repository: Repository, head: str, commit: str) -> bool:
        return commit not in self.rewritten

    def names(self, repository: Repository, kind: RefKind) -> tuple[str, ...] | None:
        self.asked.append(f"{repository} names")
        return (tuple(self.commits) or self.branches) if kind == "branch" else ()

    def sign_in(self, host: str, client_id: str, secret: SecretStr) -> FakeWorkspace:
        self.workspaces[host]._do("sign_in")
        return self.workspaces[host]

    def exchange(self, host: str, client_id: str, assertion: Token) -> FakeWorkspace:
        return self.sign_in(host, client_id, assertion.value)

    def workspace(self, host: str, token: SecretStr) -> FakeWorkspace:
        return self.workspaces[host]


def unconnected(settings: Settings, *_: object, **__: object) -> Any:
    """A replacement for `app.connect`, for tests that also replace the run."""
    return SimpleNamespace(settings=settings, deadline=None, threads=1, close=lambda: None)
