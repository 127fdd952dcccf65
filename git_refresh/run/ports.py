"""Interfaces between the run and the services. Tests replace them with hand-written fakes."""

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
    """Observer of a run under way. The run's threads call it, and it must not raise."""

    def started(self, name: str, what: str) -> None:
        """Report that a workspace has begun a step, for example "signing in"."""
        ...

    def finished(self, report: WorkspaceReport) -> None: ...


class NullProgress:
    """A `Progress` that shows nothing."""

    def started(self, name: str, what: str) -> None: ...
    def finished(self, report: WorkspaceReport) -> None: ...


class RefResolver(Protocol):
    """Looks up branches and tags; see `clients.devops.AzureDevOps`."""

    def head(self, repository: Repository, ref: Ref | None) -> ResolvedRef: ...
    def head_now(self, repository: Repository, ref: Ref | None) -> ResolvedRef: ...
    def has_commit(self, repository: Repository, commit: str) -> bool: ...
    def follows(self, repository: Repository, head: str, commit: str) -> bool: ...
    def names(self, repository: Repository, kind: RefKind) -> tuple[str, ...] | None: ...


class Authenticator[T](Protocol):
    """The three authentication methods. Each returns a client for one workspace.

    Methods raise `ServiceError` if the workspace refuses.
    """

    def sign_in(self, host: str, client_id: str, secret: SecretStr) -> T:
        """Authenticate with a service principal's OAuth secret."""
        ...

    def exchange(self, host: str, client_id: str, assertion: Token) -> T:
        """Authenticate as a service principal that trusts the identity (OAuth token federation)."""
        ...

    def workspace(self, host: str, token: SecretStr) -> T:
        """Use this access token."""
        ...


class Services(Authenticator[WorkspaceApi], Protocol):
    """The services, as one trust zone can use them. Methods raise `ServiceError` on failure."""

    @property
    def identity(self) -> Service:
        """Source of tokens: the managed identity or the Azure CLI."""
        ...

    def token(self, resource: str) -> Token:
        """Return a token of the zone's identity; for Azure DevOps, from the tenant of the organizations."""
        ...

    def secret(self, name: str) -> Secret: ...

    def heads(self, token: Token) -> RefResolver:
        """Return Azure DevOps as the holder of this token sees it."""
        ...


class AdminAccess(Protocol):
    """Access to a workspace as its admin, if only the app's identity can sign in as the principal."""

    def open(self, services: Services, host: str, client_id: str) -> WorkspaceApi:
        """Return a client for reading, with the Git credentials of this service principal.

        Raises:
            ServiceError: the user is no workspace admin, or the workspace does not have the service principal.
        """
        ...


class ClaimResult(StrEnum):
    """State of the slice that a message is for."""

    OURS = "ours"
    """This message now has the slice."""
    AGAIN = "again"
    """An earlier delivery of this message has the slice, and its worker crashed."""
    ENDED = "ended"
    """The slice has ended, successfully or not."""
    ANOTHERS = "another's"
    """Another message has the slice: it was queued twice."""


class SliceClaims(Protocol):
    """Claims on slices; see `clients.slice_claims.BlobClaims`."""

    def begin(self, slice_: Slice, fingerprint: str, message_id: str) -> ClaimResult: ...
    def end(self, slice_: Slice, fingerprint: str, message_id: str) -> None: ...
    def close(self) -> None: ...


class Clouds(Protocol):
    """The services of one run, as `app.AllClouds` provides them."""

    @property
    def admin(self) -> AdminAccess | None:
        """Access to federated workspaces as their admin; None in the app and in commands that write."""
        ...

    def services(self, zone: Zone) -> Services: ...

    def clock_behind(self) -> timedelta:
        """Return how far this machine's clock is behind the services', as far as their responses show it."""
        ...

    def close(self) -> None: ...
