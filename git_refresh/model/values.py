"""The values that the run and the clouds speak of: plain data, which knows neither."""

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, override

from pydantic import SecretStr

GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""The form of the IDs of Microsoft Entra, and of a service principal's application ID in Databricks."""

AZURE_DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798"
AZURE_DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
KEY_VAULT = "https://vault.azure.net"
AZURE_STORAGE = "https://storage.azure.com"
RESOURCE_MANAGER = "https://management.azure.com"
TOKEN_EXCHANGE = "api://AzureADTokenExchange"  # noqa: S105  # a resource
"""Microsoft Entra's ids of the resources that a token can be for. One for the last is an assertion: others exchange it for theirs."""

PROVIDER = "azureDevOpsServices"
"""Databricks' name for Azure DevOps with a token."""

FEDERATED_PROVIDER = "azureDevOpsServicesAad"
"""And for Azure DevOps with tokens that the workspace fetches by itself. Such a credential is left alone."""

CREDENTIAL_NAME = "databricks-git-refresh"
"""The name that a Git credential gets when this app creates it, and by which it is known again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: `WORKSPACES[2].host`."""

    location: str
    message: str
    kind: str = field(default="", compare=False)
    """The same for problems that differ in a value alone. Not in the JSON."""
    severity: Literal["error", "warning"] = "error"
    """A run that has an error has failed."""
    diagnosis: object = field(default=None, compare=False, repr=False)
    """Its `Diagnosis`, where the table of failures has it. Not in the JSON."""
    commands: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """The commands in the message, in order: none of them is folded. Not in the JSON."""
    about: str = field(default="", compare=False, repr=False)
    """The name of the workspace that it is about; empty: none. Not in the JSON."""

    @override
    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


def json_of(value: Any) -> dict[str, Any]:  # noqa: ANN401  # any dataclass
    """Return a dataclass as the JSON has it: times as text, and without what only the text for people needs."""
    return asdict(value, dict_factory=_plain)


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        key: utc_text(each) if isinstance(each, datetime) else each
        for key, each in items
        if key not in _FOR_TEXT
    }


_FOR_TEXT = (
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
    """A time as all JSON has it: ISO 8601, UTC, whole seconds."""
    with suppress(OverflowError):  # in the first and last hours that a datetime can be
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a run, which another worker may do: the `number`th, from 1, of so many."""

    run_id: str
    number: int
    total: int

    def as_dict(self) -> dict[str, int]:
        """As log lines and reports have it, behind the run's id."""
        return {"slice": self.number, "slices": self.total}


@dataclass(frozen=True, slots=True)
class Registration:
    """An app registration that speaks for the identity in another tenant than its own."""

    tenant_id: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Zone:
    """A trust zone: its workspaces share one identity, and the Azure DevOps token that is stored in them.

    Whoever controls one of them can use that token for all that it opens. Nothing that was fetched for one zone is used in another.
    """

    identity: str | None = None
    """The client id of a user-assigned identity; None: the system-assigned one."""
    devops: Registration | None = None
    """Where the Azure DevOps organizations are in another tenant."""

    @override
    def __str__(self) -> str:
        own = f"managed identity {self.identity}" if self.identity else "system-assigned managed identity"
        return f"{own} in tenant {self.devops.tenant_id}" if self.devops else own


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """Who a token says that it is of and for; each empty if it does not tell. All of it may be shown."""

    object_id: str = ""
    """The identity's id in Entra, which Azure DevOps and Databricks administrators grant access to."""
    tenant_id: str = ""
    issuer: str = ""
    subject: str = ""
    audience: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and what it says of itself."""

    value: SecretStr
    expires_at: datetime
    claims: TokenClaims = TokenClaims()

    @property
    def object_id(self) -> str:
        """See `TokenClaims`."""
        return self.claims.object_id


@dataclass(frozen=True, slots=True)
class Secret:
    """The latest version of a secret in Key Vault."""

    value: SecretStr
    expires_at: datetime | None
    valid_from: datetime | None = None
    """Key Vault returns it before that day too."""


RefKind = Literal["branch", "tag"]


@dataclass(frozen=True, slots=True)
class Ref:
    """What a Git folder is to be on."""

    kind: RefKind
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def title(self) -> str:
        """As it begins a sentence."""
        return f"{self.kind.capitalize()} {self.name}"

    @property
    def branch(self) -> str | None:
        """The branch that a Git folder shows when it is on this ref; on a tag its head is detached."""
        return self.name if self.kind == "branch" else None

    @property
    def tag(self) -> str | None:
        """The tag, if it is one."""
        return self.name if self.kind == "tag" else None


@dataclass(frozen=True, slots=True)
class ResolvedRef:
    """What a ref points at in Azure DevOps; `commit` is None when there is no such ref."""

    commit: str | None
    empty: bool = False
    """Where no ref was asked for: whether the repository has no branch."""


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A Git credential as the workspace shows it: never with its token."""

    id: int
    provider: str
    username: str
    is_default: bool = False
    name: str = ""
    """Empty: it has none."""


@dataclass(frozen=True, slots=True)
class GitFolder:
    """A Git folder as the workspace shows it. `branch` is None on a detached head, `commit` before the first."""

    id: int
    path: str
    url: str
    branch: str | None
    commit: str | None
    git_cli: bool = False
    """It has Git CLI access: the list of Git folders leaves it out, and the Workspace API calls it a directory."""


@dataclass(frozen=True, slots=True)
class OtherObject:
    """Something else than a Git folder at a path."""

    type: str
    id: int = field(default=0, compare=False)
    """0: the workspace does not tell."""
    inside: str = ""
    """The path of the Git folder that it is in; empty: it is in none, or the workspace does not tell."""
    broken: bool = False
    """The workspace calls it a Git folder, and has no repository behind it."""

    @property
    def is_directory(self) -> bool:
        """Whether it is an ordinary directory, which Git folders can be in."""
        return self.type == DIRECTORY and not self.inside and not self.broken


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a directory, as the Workspace API shows it."""

    path: str
    id: int
    type: str
    git_folder: bool | None = None
    """Whether the workspace calls it a Git folder; None: it does not tell."""

    @property
    def is_git_folder(self) -> bool:
        """Whether it is called a Git folder."""
        return self.type == REPO or self.git_folder is True

    @property
    def may_be_git_folder(self) -> bool:
        """Whether only the Repos API can deny that it is one."""
        return self.is_git_folder or (self.type == DIRECTORY and self.git_folder is None)


REPO, DIRECTORY = "REPO", "DIRECTORY"
"""Types of the Workspace API: a legacy Git folder, and a directory or a Git folder with Git CLI access."""

FILES = frozenset({"FILE", "NOTEBOOK", "LIBRARY", "DASHBOARD"})
"""Types of what has nothing in it."""


def patterns_above(key: str) -> Iterator[str]:
    """The paths ending in `/*` that cover a Git folder, by its key; the nearest first."""
    while key:
        key = key.rpartition("/")[0]
        yield f"{key}/*"


def listed_as(key: str, listed: Collection[str]) -> str | None:
    """Which key of a list a Git folder is wanted by: its own, or the nearest path ending in `/*` above it."""
    if key in listed:
        return key
    return next((pattern for pattern in patterns_above(key) if pattern in listed), None)


def folder_key(path: str) -> str:
    """A Git folder's path without /Workspace and a trailing slash: one folder, one key."""
    path = path.rstrip("/")
    return path.removeprefix("/Workspace") if path.startswith("/Workspace/") else path
