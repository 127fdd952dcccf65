"""Values that the run and the clients share."""

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, override

from pydantic import SecretStr

GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""Form of the IDs in Microsoft Entra, and of application IDs in Databricks."""

AZURE_DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798"
AZURE_DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
KEY_VAULT = "https://vault.azure.net"
AZURE_STORAGE = "https://storage.azure.com"
RESOURCE_MANAGER = "https://management.azure.com"
TOKEN_EXCHANGE = "api://AzureADTokenExchange"  # noqa: S105  # a resource
"""Resources of tokens from Microsoft Entra. A token for the last is an assertion, for token exchange."""

PROVIDER = "azureDevOpsServices"
"""Databricks' Git provider for Azure DevOps with a stored token."""

FEDERATED_PROVIDER = "azureDevOpsServicesAad"
"""Databricks' Git provider for Azure DevOps with its own tokens. The app changes no such credential."""

CREDENTIAL_NAME = "databricks-git-refresh"
"""Name of the Git credentials that this app creates, by which it also recognizes them."""


@dataclass(frozen=True, slots=True)
class Problem:
    location: str
    """Setting with its path, such as `WORKSPACES[2].host`, or another subject."""
    message: str
    """Description and remedy."""
    kind: str = field(default="", compare=False)
    """Equal for problems that differ only in values. Not in the JSON."""
    severity: Literal["error", "warning"] = "error"
    """An `error` makes the run fail. A `warning` does not."""
    diagnosis: object = field(default=None, compare=False, repr=False)
    """The `Diagnosis`, if the problem has a code. Not in the JSON."""
    commands: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Commands in the message, in their order. The terminal does not wrap them. Not in the JSON."""
    about: str = field(default="", compare=False, repr=False)
    """Name of the affected workspace or service, or empty. Not in the JSON."""

    @override
    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


def json_of(value: Any) -> dict[str, Any]:  # noqa: ANN401  # any dataclass
    """Return a dataclass as JSON: times as text, without fields that only text output needs."""
    return asdict(value, dict_factory=_plain)


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        key: utc_text(each) if isinstance(each, datetime) else each
        for key, each in items
        if key not in _TEXT_ONLY
    }


_TEXT_ONLY = (
    "kind",
    "diagnosis",
    "commands",
    "in_general",
    "happened",
    "about",
    "whole_layer",
    "temporary",
)


def utc_text(moment: datetime) -> str:
    """Return a time as ISO 8601 in UTC with whole seconds, as in all JSON of the app."""
    with suppress(OverflowError):  # in the first and last hours of datetime
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Slice:
    """Identifies a part of a run that a worker refreshes with fan-out."""

    run_id: str
    number: int
    """From 1 to `total`."""
    total: int

    def as_dict(self) -> dict[str, int]:
        return {"slice": self.number, "slices": self.total}


@dataclass(frozen=True, slots=True)
class Registration:
    """An app registration that represents the identity in another tenant."""

    tenant_id: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Zone:
    """A trust zone: workspaces that share one identity, and the Azure DevOps token that they store.

    Security: anyone who controls one of the workspaces can use that token, so zones share no tokens or secrets.
    """

    identity: str | None = None
    """Client ID of a user-assigned identity; None for the system-assigned one."""
    devops: Registration | None = None
    """Set if the Azure DevOps organizations are in another tenant."""

    @override
    def __str__(self) -> str:
        own = f"managed identity {self.identity}" if self.identity else "system-assigned managed identity"
        return f"{own} in tenant {self.devops.tenant_id}" if self.devops else own


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """Claims of a token, empty if absent. They are not secret."""

    object_id: str = ""
    """Object ID of the identity, by which admins of Azure DevOps and Databricks grant access."""
    tenant_id: str = ""
    issuer: str = ""
    subject: str = ""
    audience: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    value: SecretStr
    expires_at: datetime
    claims: TokenClaims = TokenClaims()

    @property
    def object_id(self) -> str:
        return self.claims.object_id


@dataclass(frozen=True, slots=True)
class Secret:
    """The latest version of a secret in Key Vault."""

    value: SecretStr
    expires_at: datetime | None
    valid_from: datetime | None = None
    """Activation date. Key Vault also returns a secret before it."""


RefKind = Literal["branch", "tag"]


@dataclass(frozen=True, slots=True)
class Ref:
    kind: RefKind
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def title(self) -> str:
        """Text at the start of a sentence."""
        return f"{self.kind.capitalize()} {self.name}"

    @property
    def branch(self) -> str | None:
        """Current branch of a Git folder on this ref; None for a tag, because of the detached HEAD."""
        return self.name if self.kind == "branch" else None

    @property
    def tag(self) -> str | None:
        return self.name if self.kind == "tag" else None


@dataclass(frozen=True, slots=True)
class ResolvedRef:
    """Result of a ref lookup in Azure DevOps."""

    commit: str | None
    """None if the ref does not exist."""
    empty: bool = False
    """True after a lookup without a ref in a repository without branches."""


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A Git credential as the workspace returns it, without the token."""

    id: int
    provider: str
    username: str
    is_default: bool = False
    name: str = ""
    """Empty if the credential has no name."""


@dataclass(frozen=True, slots=True)
class GitFolder:
    """A Git folder as the workspace returns it."""

    id: int
    path: str
    url: str
    branch: str | None
    """None on a detached HEAD."""
    commit: str | None
    """None before the first commit."""
    git_cli: bool = False
    """True with Git CLI access. The list of Git folders omits such folders; their type is DIRECTORY."""


@dataclass(frozen=True, slots=True)
class OtherObject:
    """An object in a workspace that is not a Git folder."""

    type: str
    id: int = field(default=0, compare=False)
    """0 if the workspace does not return it."""
    inside: str = ""
    """Path of the Git folder that contains the object; empty without one or if unknown."""
    broken: bool = False
    """True if the workspace marks it as a Git folder, but it has no repository."""

    @property
    def is_directory(self) -> bool:
        """True for a directory that can contain Git folders."""
        return self.type == DIRECTORY and not self.inside and not self.broken


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in the Workspace API."""

    path: str
    id: int
    type: str
    git_folder: bool | None = None
    """True if the workspace marks it as a Git folder; None if unknown."""

    @property
    def is_git_folder(self) -> bool:
        return self.type == REPO or self.git_folder is True

    @property
    def may_be_git_folder(self) -> bool:
        """True if the object is marked as a Git folder, or if only the Repos API shows whether it is one."""
        return self.is_git_folder or (self.type == DIRECTORY and self.git_folder is None)


REPO, DIRECTORY = "REPO", "DIRECTORY"
"""Types in the Workspace API: a legacy Git folder; a directory, or a Git folder with Git CLI access."""

FILES = frozenset({"FILE", "NOTEBOOK", "LIBRARY", "DASHBOARD"})
"""Types in the Workspace API of objects that cannot contain others."""


def patterns_above(key: str) -> Iterator[str]:
    """Yield the paths with `/*` that match a Git folder's key, nearest first."""
    while key:
        key = key.rpartition("/")[0]
        yield f"{key}/*"


def listed_as(key: str, listed: Collection[str]) -> str | None:
    """Return the entry that matches a Git folder's key: the key itself, or the nearest path with `/*`."""
    if key in listed:
        return key
    return next((pattern for pattern in patterns_above(key) if pattern in listed), None)


def folder_key(path: str) -> str:
    """Return the key of a Git folder: its path without /Workspace and without a trailing slash."""
    path = path.rstrip("/")
    return path.removeprefix("/Workspace") if path.startswith("/Workspace/") else path
