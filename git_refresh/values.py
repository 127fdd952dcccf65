"""The values that the run and the clouds speak of: plain data, which knows neither."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, override

from pydantic import SecretStr

AZURE_DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798"
AZURE_DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
KEY_VAULT = "https://vault.azure.net"
"""Microsoft Entra's ids of the resources that a token can be for."""

PROVIDER = "azureDevOpsServices"
"""Databricks' name for Azure DevOps with a token."""

FEDERATED_PROVIDER = "azureDevOpsServicesAad"
"""And for Azure DevOps with tokens that the workspace fetches by itself. Such a credential is left alone."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: `WORKSPACES[2].host`."""

    where: str
    message: str

    @override
    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and what it says of itself."""

    value: SecretStr
    expires_at: datetime
    object_id: str
    """The identity's id in Entra, which Azure DevOps and Databricks administrators grant access to; empty if not told."""


@dataclass(frozen=True, slots=True)
class Secret:
    """The latest version of a secret in Key Vault."""

    value: SecretStr
    expires_at: datetime | None


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
class Head:
    """What a ref points at in Azure DevOps; `commit` is None when there is no such ref."""

    commit: str | None


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A Git credential as the workspace shows it: never with its token."""

    id: int
    provider: str
    username: str
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class GitFolder:
    """A Git folder as the workspace shows it. `branch` is None on a detached head, `commit` before the first."""

    id: int
    path: str
    url: str
    branch: str | None
    commit: str | None
    git_cli: bool = False
    """Made with the Git CLI in the workspace: such a one is never listed."""


@dataclass(frozen=True, slots=True)
class OtherObject:
    """Something else than a Git folder at a path."""

    type: str


def folder_key(path: str) -> str:
    """A Git folder's path without /Workspace and a trailing slash: one folder, one key."""
    path = path.rstrip("/")
    return path.removeprefix("/Workspace") if path.startswith("/Workspace/") else path
