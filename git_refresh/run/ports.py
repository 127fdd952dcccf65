"""Interfaces between the run and the services. Tests implement them with fakes."""

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from pydantic import SecretStr

from git_refresh.failures.failure import Service
from git_refresh.model.repository import Repository
from git_refresh.model.values import (
    GitFolder,
    ListedObject,
    OtherObject,
    Ref,
    RefKind,
    ResolvedRef,
    Secret,
    Slice,
    StoredCredential,
    Token,
    Zone,
)
from git_refresh.run.report import WorkspaceReport


class WorkspaceApi(Protocol):
    """A workspace's API. `clients.databricks.DatabricksWorkspaceApi` documents each method."""

    def credentials(self, principal_id: int | None) -> list[StoredCredential]: ...
    def update_credential(
        self, id_: int, username: str, token: SecretStr, principal_id: int | None
    ) -> None: ...
    def create_credential(self, username: str, token: SecretStr, principal_id: int | None) -> int: ...
    def folders(self, prefix: str) -> Iterator[list[GitFolder | None]]: ...
    def children(self, path: str) -> list[ListedObject | None]: ...
    def examine(self, found: ListedObject) -> GitFolder | OtherObject: ...
    def find(self, path: str) -> GitFolder | OtherObject | None: ...
    def folder(self, id_: int) -> GitFolder: ...
    def make_parent(self, path: str) -> None: ...
    def create_folder(
        self, path: str, url: str, sparse: tuple[str, ...] | None, credential_id: int | None
    ) -> GitFolder: ...
    def move_folder(self, id_: int, ref: Ref, *, discard: bool, credential_id: int | None) -> None: ...
    def release_idle_connections(self) -> None: ...
    def close(self) -> None: ...


class Progress(Protocol):
    """Observer of a run. The run's threads call it, and it must not raise."""

    def started(self, name: str, what: str) -> None:
        """Report that a workspace has begun a step, for example "signing in"."""
        ...

    def finished(self, report: WorkspaceReport) -> None: ...


class NullProgress:
    def started(self, name: str, what: str) -> None: ...
    def finished(self, report: WorkspaceReport) -> None: ...


class RefResolver(Protocol):
    """Lookups of branches and tags; see `clients.devops.AzureDevOps`."""

    def head(self, repository: Repository, ref: Ref | None) -> ResolvedRef: ...
    def head_now(self, repository: Repository, ref: Ref | None) -> ResolvedRef: ...
    def has_commit(self, repository: Repository, commit: str) -> bool: ...
    def follows(self, repository: Repository, head: str, commit: str) -> bool: ...
    def names(self, repository: Repository, kind: RefKind) -> tuple[str, ...] | None: ...


class Authenticator[T](Protocol):
    """Authentication methods. Each returns a client for a workspace, and raises `ServiceError` on failure."""

    def sign_in(self, host: str, client_id: str, secret: SecretStr) -> T:
        """Authenticate with a service principal's OAuth secret."""
        ...

    def exchange(self, host: str, client_id: str, assertion: Token) -> T:
        """Authenticate as a service principal whose federation policy trusts the identity."""
        ...

    def workspace(self, host: str, token: SecretStr) -> T:
        """Authenticate with an access token for Azure Databricks."""
        ...


class Services(Authenticator[WorkspaceApi], Protocol):
    """Access to the services with the identity of one trust zone. Methods raise `ServiceError` on failure."""

    @property
    def identity(self) -> Service:
        """Source of tokens: the managed identity or the Azure CLI."""
        ...

    def token(self, resource: str) -> Token:
        """Return a token of the zone's identity. A token for Azure DevOps is of the organizations' tenant."""
        ...

    def secret(self, name: str) -> Secret: ...

    def heads(self, token: Token) -> RefResolver:
        """Return a client that looks up refs in Azure DevOps with this token."""
        ...


class AdminAccess(Protocol):
    """Read access to a workspace with an admin's account, because only the app can use token federation."""

    def open(self, services: Services, host: str, client_id: str) -> WorkspaceApi:
        """Return a client that reads the Git folders, and the Git credentials of this service principal.

        Raises:
            ServiceError: the user is not a workspace admin, or the workspace does not have the service principal.
        """
        ...


class ClaimResult(StrEnum):
    """Result of claiming a slice for a message."""

    OURS = "ours"
    """This message now has the claim."""
    AGAIN = "again"
    """An earlier delivery of this message has the claim, and its worker crashed."""
    ENDED = "ended"
    """The slice has ended, successfully or not."""
    ANOTHERS = "another's"
    """Another message has the claim, because the slice was queued twice."""


class SliceClaims(Protocol):
    """Claims on slices; see `clients.slice_claims.BlobClaims`."""

    def begin(self, slice_: Slice, fingerprint: str, message_id: str) -> ClaimResult: ...
    def end(self, slice_: Slice, fingerprint: str, message_id: str) -> None: ...
    def close(self) -> None: ...


class Clouds(Protocol):
    """The services of one run, as `app.AllClouds` provides them."""

    @property
    def admin(self) -> AdminAccess | None:
        """Access to federated workspaces with an admin's account; None in the app and in commands that write."""
        ...

    def services(self, zone: Zone) -> Services: ...

    def clock_behind(self) -> timedelta:
        """Return how far this machine's clock is behind the services', by the dates of their responses."""
        ...

    def close(self) -> None: ...
