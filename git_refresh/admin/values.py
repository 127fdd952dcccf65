"""Jobs, OAuth secrets and versions of Key Vault secrets, as values. Loads no SDK."""

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
    """Who is signed in: a user name, or an application ID; and whether they administer the workspace."""

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


MADE_BY = "made-by"
TOOL = "databricks-git-refresh"
"""The mark on a version that a command of ours has stored."""

SECRET_ID = "databricks-secret-id"  # noqa: S105  # a tag's name
CLIENT_ID = "databricks-client-id"
"""Tags with the ID of the OAuth secret that a version contains, and its principal's application ID.

They can be set manually, and a copy has them too: they prove nothing.
"""

STORED_AS = "databricks-stored-as"
"""The tag with the place where it was stored, as `VAULT_HOST/NAME`. A version elsewhere is a copy."""

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
        """The application ID of the service principal that its tags name."""
        tags = self.tags
        return tags.get(CLIENT_ID, "").lower() or None if _ID.fullmatch(tags.get(SECRET_ID, "")) else None

    def names(self, client_id: str) -> str | None:
        """Return the ID of the OAuth secret that its tags name, if they name this service principal too."""
        return self.tags[SECRET_ID] if self.owner == client_id.lower() else None

    def stored_by_us(self, client_id: str, place: str) -> str | None:
        """Return the same ID, if a command of ours has stored the version at this place. Only such a secret may ever be deleted."""
        ours = self.tags.get(MADE_BY) == TOOL and self.tags.get(STORED_AS) == place
        return self.names(client_id) if ours else None


@dataclass(frozen=True, slots=True)
class Current:
    """The latest version of a secret, which the app reads, with its value."""

    version: Version
    value: SecretStr


@dataclass(frozen=True, slots=True)
class OAuthSecret:
    """An OAuth secret as a workspace lists it, without its value."""

    id: str
    created_at: datetime | None = None
    expires_at: datetime | None = None
    """None: it does not end."""
    scopes: tuple[str, ...] = ()
    """Those that a token of it can have; none: all that the principal may do."""


class SignIn(StrEnum):
    """The result of a sign-in with an OAuth secret."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    """Neither: there was no response, or one that is not about the secret."""


class DiagnosedError(Exception):
    """A step that cannot go on, for a reason that it has found itself."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.code)
        self.diagnosis = diagnosis


@dataclass(frozen=True, slots=True)
class NewSecret:
    """An OAuth secret that was just made. Databricks returns its value only now."""

    about: OAuthSecret
    value: SecretStr = field(repr=False)


def place_of(vault: str, name: str) -> str:
    """Where a secret is stored, as it is written into a tag: the same for each way to write the vault's URL and the name."""
    return f"{urlsplit(vault).hostname or ''}/{name}".lower()


def tags_of(secret_id: str, client_id: str, place: str) -> dict[str, str]:
    """Return the tags of a version that contains this OAuth secret, and is stored at this place."""
    return {MADE_BY: TOOL, SECRET_ID: secret_id, CLIENT_ID: client_id, STORED_AS: place}
