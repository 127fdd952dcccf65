"""The ports: what the work on a workspace asks of the outside. Tests put hand-written fakes here."""

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
    """What is asked of a workspace; `workspace.WorkspaceApi` says what each means."""

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
    """Whoever shows a run while it is under way. Called from its threads, and must not raise."""

    def started(self, name: str, what: str) -> None:
        """The workspace of this name has come to `what`: "signing in"."""
        ...

    def finished(self, report: WorkspaceReport) -> None:
        """A workspace is done with."""
        ...


class NullProgress:
    """Nobody looks on."""

    def started(self, name: str, what: str) -> None: ...
    def finished(self, report: WorkspaceReport) -> None: ...


class RefResolver(Protocol):
    """Whoever knows where branches and tags are; see `devops.DevOps`."""

    def head(self, repository: Repository, ref: Ref | None) -> ResolvedRef: ...
    def head_now(self, repository: Repository, ref: Ref | None) -> ResolvedRef: ...
    def has_commit(self, repository: Repository, commit: str) -> bool: ...
    def follows(self, repository: Repository, head: str, commit: str) -> bool: ...
    def names(self, repository: Repository, kind: RefKind) -> tuple[str, ...] | None: ...


class Authenticator[T](Protocol):
    """The three ways into a workspace, and what is found behind them. Every method raises `ServiceError` when the workspace refuses."""

    def sign_in(self, host: str, client_id: str, secret: SecretStr) -> T:
        """A workspace, signed in to with a service principal's OAuth secret."""
        ...

    def exchange(self, host: str, client_id: str, assertion: Token) -> T:
        """A workspace, signed in to as a service principal that trusts the identity."""
        ...

    def workspace(self, host: str, token: SecretStr) -> T:
        """A workspace, as the holder of this access token sees it."""
        ...


class Services(Authenticator[WorkspaceApi], Protocol):
    """The clouds, as one trust zone may use them. Every method raises `ServiceError` when a service fails it."""

    @property
    def identity(self) -> Service:
        """Who is asked for tokens: the managed identity, or the Azure CLI."""
        ...

    def token(self, resource: str) -> Token:
        """A token of the zone's identity; for Azure DevOps, of the tenant in which its organizations are."""
        ...

    def secret(self, name: str) -> Secret:
        """A secret in Key Vault."""
        ...

    def heads(self, token: Token) -> RefResolver:
        """Azure DevOps, as the holder of this token sees it."""
        ...


class AdminAccess(Protocol):
    """The way into a workspace of a person who administers it, where only the app's own identity can sign in as the service principal."""

    def open(self, services: Services, host: str, client_id: str) -> WorkspaceApi:
        """Return the workspace to read from, with the Git credentials of this service principal in place of the person's own.

        Raises:
            ServiceError: the person does not administer the workspace, or the service principal is not in it.
        """
        ...


class ClaimResult(StrEnum):
    """How it stands with a slice that a message asks for."""

    OURS = "ours"
    """Nobody has begun it: it is this message's now."""
    AGAIN = "again"
    """This message was delivered before, and its worker has died."""
    ENDED = "ended"
    """It was done, well or not."""
    ANOTHERS = "another's"
    """Another message has it: the same slice was put on the queue twice."""


class SliceClaims(Protocol):
    """The claims on messages' slices; see `claims.BlobClaims`."""

    def begin(self, slice_: Slice, fingerprint: str, message_id: str) -> ClaimResult: ...
    def end(self, slice_: Slice, fingerprint: str, message_id: str) -> None: ...
    def close(self) -> None: ...


class Clouds(Protocol):
    """The clouds of one run; `app.AllClouds` is the real one."""

    @property
    def admin(self) -> AdminAccess | None:
        """How federated workspaces are read where a person is signed in; None in the app, and where something is written."""
        ...

    def services(self, zone: Zone) -> Services:
        """What one trust zone may use."""
        ...

    def clock_behind(self) -> timedelta:
        """How far this machine's clock is behind the services', as far as their answers have told."""
        ...

    def close(self) -> None:
        """The run is over: let go of every connection."""
        ...
