"""What is asked of a workspace about its jobs, and the values of the answers. Loads no SDK."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, override

from git_refresh.model.values import Ref, StoredCredential
from git_refresh.run.ports import Authenticator


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: a user name, or an application id; and whether he administers the workspace."""

    name: str
    admin: bool


@dataclass(frozen=True, slots=True)
class GitSource:
    """What a job clones; `ref` and `commit` are both empty where it takes the default branch."""

    url: str
    provider: str
    ref: Ref | None = None
    commit: str = ""


@dataclass(frozen=True, slots=True)
class RunAs:
    """Whom a job runs as: a service principal by its application id, a user or a group by the name."""

    kind: Literal["service principal", "user", "group"]
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job as the list has it. The list does not tell whom it runs as."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job, as far as its code is concerned; without `source` its code is in the workspace."""

    id: int
    name: str
    run_as: RunAs | None
    source: GitSource | None


class Jobs(Protocol):
    """One workspace's jobs, as the holder of one token sees them; every method raises `ServiceError` when the workspace fails it."""

    def caller(self) -> Caller: ...
    def listed(self) -> Iterator[list[ListedJob]]:
        """Those that the caller may see, page by page."""
        ...

    def job(self, id_: int) -> Job | None:
        """A job; None: it is gone."""
        ...

    def principal_id(self, application_id: str) -> int | None:
        """The numeric id of a service principal; None: the workspace has none of this application id."""
        ...

    def credentials(self, principal_id: int) -> list[StoredCredential]: ...
    def close(self) -> None: ...


type JobsClientFactory = Authenticator[Jobs]
"""Signs in to workspaces, to read their jobs."""
