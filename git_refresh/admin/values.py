"""Data classes for jobs, OAuth secrets, and versions of Key Vault secrets. Loads no SDK."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol, override
from urllib.parse import urlsplit

from pydantic import SecretStr

from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.model.values import Ref, StoredCredential
from git_refresh.run.ports import Authenticator


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity that calls the workspace."""

    name: str
    """User name or application ID."""
    admin: bool
    """True for a workspace admin."""


@dataclass(frozen=True, slots=True)
class GitSource:
    """The Git source of a job. Without `ref` and `commit`, it clones the default branch."""

    url: str
    provider: str
    ref: Ref | None = None
    commit: str = ""


@dataclass(frozen=True, slots=True)
class RunAs:
    """The *Run as* identity of a job."""

    kind: Literal["service principal", "user", "group"]
    name: str
    """Application ID of a service principal."""

    @override
    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job in the list, which does not contain the *Run as* identity."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job. Without `source`, its code is in the workspace."""

    id: int
    name: str
    run_as: RunAs | None
    source: GitSource | None


class Jobs(Protocol):
    """The jobs of a workspace that a token can view. Every method can raise `ServiceError`."""

    def caller(self) -> Caller: ...
    def listed(self) -> Iterator[list[ListedJob]]:
        """Yield the visible jobs page by page."""
        ...

    def job(self, id_: int) -> Job | None:
        """Return a job; None if it was deleted."""
        ...

    def principal_id(self, application_id: str) -> int | None:
        """Return the service principal ID; None if the workspace has no such principal."""
        ...

    def credentials(self, principal_id: int) -> list[StoredCredential]: ...
    def close(self) -> None: ...


type JobsClientFactory = Authenticator[Jobs]
"""Authenticates to workspaces to read their jobs."""


MADE_BY = "made-by"
TOOL = "databricks-git-refresh"
"""Tag and its value on versions that this product stored."""

SECRET_ID = "databricks-secret-id"  # noqa: S105  # a tag's name
CLIENT_ID = "databricks-client-id"
"""Tags with the ID of the OAuth secret in a version, and its application ID.

They are not proof, because a user can set them and a copy keeps them.
"""

STORED_AS = "databricks-stored-as"
"""Tag with `VAULT_HOST/NAME`. A version under another name is a copy."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a secret in Key Vault, without its value."""

    id: str
    created_on: datetime | None = None
    expires_on: datetime | None = None
    enabled: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str | None:
        """Application ID in its tags; None without a valid secret ID."""
        tags = self.tags
        return tags.get(CLIENT_ID, "").lower() or None if _ID.fullmatch(tags.get(SECRET_ID, "")) else None

    def names(self, client_id: str) -> str | None:
        """Return the ID of the OAuth secret in its tags; None if they name another service principal."""
        return self.tags[SECRET_ID] if self.owner == client_id.lower() else None

    def stored_by_us(self, client_id: str, place: str) -> str | None:
        """Return the same as `names`, but None unless this product stored the version in this place.

        Only such a secret can be deleted.
        """
        ours = self.tags.get(MADE_BY) == TOOL and self.tags.get(STORED_AS) == place
        return self.names(client_id) if ours else None


@dataclass(frozen=True, slots=True)
class Current:
    """The latest version of a secret, with its value."""

    version: Version
    value: SecretStr


@dataclass(frozen=True, slots=True)
class OAuthSecret:
    """An OAuth secret without its value."""

    id: str
    created_at: datetime | None = None
    expires_at: datetime | None = None
    """None if it does not expire."""
    scopes: tuple[str, ...] = ()
    """Scopes of its tokens; empty for all."""


class SignIn(StrEnum):
    """The result of a sign-in with an OAuth secret."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    """No response, or a failure that does not concern the secret."""


class DiagnosedError(Exception):
    """An error that a command found itself, with its diagnosis."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.code)
        self.diagnosis = diagnosis


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A new OAuth secret. Databricks returns its value only once."""

    about: OAuthSecret
    value: SecretStr = field(repr=False)


def place_of(vault: str, name: str) -> str:
    """Return the value of the tag `STORED_AS`, equal for all spellings of the vault's URL and name."""
    return f"{urlsplit(vault).hostname or ''}/{name}".lower()


def tags_of(secret_id: str, client_id: str, place: str) -> dict[str, str]:
    return {MADE_BY: TOOL, SECRET_ID: secret_id, CLIENT_ID: client_id, STORED_AS: place}
