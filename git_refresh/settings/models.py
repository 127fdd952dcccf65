"""Models of a workspace and a Git folder in the app settings."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from git_refresh.model.repository import Repository, parse_repository
from git_refresh.model.values import Ref, Registration, folder_key
from git_refresh.output.redact import INVISIBLE, looks_like_secret, redact
from git_refresh.settings.fields import (
    ApplicationId,
    FolderPath,
    Host,
    IdentityId,
    Name,
    PrincipalId,
    RefName,
    RegistrationId,
    RepositoryUrl,
    SecretName,
    SparseDirectory,
    TenantId,
    trusted_hosts,
    typed,
)
from git_refresh.settings.pasted import remains

# Converts JSON arrays to tuples, but not their items.
Array = Field(strict=False)


class _Typed(BaseModel):
    """Model that checks texts for secrets and placeholders before all else, so no message quotes a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, str_strip_whitespace=True)

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        return typed(value)


class Folder(_Typed):
    """A Git folder to update."""

    path: FolderPath = Field(
        description="Absolute path, with or without /Workspace. A path that ends in /* matches every Git folder below.",
        examples=["/Repos/etl/production", "/Workspace/Shared/etl", "/Repos/etl/*"],
    )
    url: RepositoryUrl | None = Field(
        None,
        description="Clone URL of an Azure DevOps repository, to create a missing folder and its parents.",
        examples=["https://dev.azure.com/contoso/Data%20Platform/_git/etl"],
    )
    branch: RefName | None = Field(
        None, description="Branch to check out. By default the current one.", examples=["main"]
    )
    tag: RefName | None = Field(
        None, description="Tag to check out instead of a branch.", examples=["v1.2.0"]
    )
    on_conflict: Literal["fail", "discard"] = Field(
        "fail",
        description="Handling of uncommitted changes. fail: report those that conflict with an update. "
        "discard: discard all before an update.",
    )
    sparse: Annotated[tuple[SparseDirectory, ...], Array, Field(min_length=1, max_length=200)] | None = Field(
        None,
        description="Directories of a sparse checkout, used when the folder is created.",
        examples=[["src", "conf"]],
    )
    _repository: Repository | None = None

    @property
    def repository(self) -> Repository | None:
        return self._repository

    @property
    def key(self) -> str:
        """Path without /Workspace. Paths with the same key mean the same folder."""
        return folder_key(self.path)

    @property
    def below(self) -> str | None:
        """Key of the directory above a path with `/*`; None for other paths."""
        return self.key.removesuffix("/*") if self.path.endswith("/*") else None

    @property
    def ref(self) -> Ref | None:
        """Configured branch or tag; None for the folder's current branch."""
        if self.tag is not None:
            return Ref("tag", self.tag)
        return Ref("branch", self.branch) if self.branch is not None else None

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        if self.branch is not None and self.tag is not None:
            raise ValueError(
                f'has both branch "{redact(self.branch)}" and tag "{redact(self.tag)}"; keep one of them'
            )
        if self.below is not None and (self.url is not None or self.sparse is not None):
            raise ValueError("has a path ending in /*, so url and sparse have no effect; leave them out")
        if self.sparse is not None and self.url is None:
            raise ValueError("has sparse but no url; sparse is used only when the folder is created")
        if self.url is not None:
            if self.key.startswith("/Repos/") and self.key.count("/") != 3:  # noqa: PLR2004
                raise ValueError(
                    f'has path "{redact(self.path)}", but below /Repos a folder can only be created as /Repos/FOLDER/NAME'
                )
            self._repository = parse_repository(self.url, trusted_hosts(info))
        return self


@dataclass(frozen=True, slots=True)
class OAuth:
    """A Databricks service principal, and the Key Vault secret that contains its OAuth secret."""

    client_id: str
    secret_name: str


class DevOps(_Typed):
    """Azure DevOps organizations of another tenant than the identity's."""

    tenant_id: TenantId = Field(
        description="ID of the tenant that the organizations are connected to.",
        examples=["5a1e0000-0000-4000-8000-000000000003"],
    )
    client_id: RegistrationId = Field(
        description="Application ID of an app registration that trusts the identity and has admin consent in that tenant.",
        examples=["5a1e0000-0000-4000-8000-000000000004"],
    )

    @property
    def registration(self) -> Registration:
        return Registration(self.tenant_id, self.client_id)


class Workspace(_Typed):
    """An Azure Databricks workspace whose Git credential and Git folders the app refreshes."""

    host: Host = Field(
        description="Workspace URL.",
        examples=["https://adb-1234567890123456.7.azuredatabricks.net"],
    )
    name: Name = Field(
        "", description="Name in reports. By default the first label of the host.", examples=["data-prod"]
    )
    auth: Literal["oauth_secret", "managed_identity", "federated"] = Field(
        "oauth_secret",
        description="Authentication method. oauth_secret: a service principal with an OAuth secret. managed_identity: the "
        "managed identity. federated: a service principal whose federation policy trusts that identity.",
    )
    client_id: ApplicationId | None = Field(
        None,
        description="Application ID of the service principal. Required by oauth_secret and federated.",
        examples=["5a1e0000-0000-4000-8000-000000000001"],
    )
    client_secret_name: SecretName | None = Field(
        None,
        description="Name of the Key Vault secret with its OAuth secret. Required by oauth_secret.",
        examples=["databricks-oauth-secret"],
    )
    git_username: Name = Field(
        "git-refresh",
        description="User name in the Git credential. Azure DevOps accepts any.",
        examples=["git-refresh"],
    )
    folders: Annotated[tuple[Folder, ...], Array] = Field(
        (),
        description="Git folders to update, each a path or an object. If empty, the app refreshes only the credential.",
        examples=[["/Repos/etl/production", {"path": "/Workspace/Shared/etl", "branch": "main"}]],
    )
    additional_principal_ids: Annotated[tuple[PrincipalId, ...], Array, Field(max_length=200)] = Field(
        (),
        description="Service principal IDs (numbers) whose Git credentials the app also refreshes.",
        examples=[[1234567890123456]],
    )
    identity: IdentityId | None = Field(
        None,
        description="Client ID of the user-assigned managed identity for this workspace. By default AZURE_CLIENT_ID.",
        examples=["5a1e0000-0000-4000-8000-000000000002"],
    )
    devops: DevOps | None = Field(
        None,
        description="Tenant and app registration, only for Azure DevOps organizations in another tenant.",
    )

    @property
    def oauth(self) -> "OAuth | None":
        """Service principal and secret for `oauth_secret`; None for other authentication methods."""
        if self.auth != "oauth_secret" or self.client_id is None or self.client_secret_name is None:
            return None
        return OAuth(self.client_id, self.client_secret_name)

    @property
    def federated(self) -> str | None:
        """Application ID of the service principal for `federated`; None for other authentication methods."""
        return self.client_id if self.auth == "federated" else None

    @model_validator(mode="before")
    @classmethod
    def _name(cls, data: object) -> object:
        host = data.get("host") if isinstance(data, dict) else None
        usable = (
            isinstance(host, str)
            and host.strip()
            and not looks_like_secret(host)
            and not remains(host)
            and not INVISIBLE.search(host)
        )
        if isinstance(data, dict) and isinstance(host, str) and "name" not in data and usable:
            return {**data, "name": default_name(host)[:63]}  # the maximum length of a label
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.auth == "oauth_secret":
            missing = [key for key in ("client_id", "client_secret_name") if getattr(self, key) is None]
            if missing:
                others = (
                    '"federated" or "managed_identity"'
                    if "client_secret_name" in missing
                    else '"managed_identity"'
                )
                raise ValueError(
                    f"needs {' and '.join(_MADE.get(key, key) for key in missing)}; "
                    f"write {'both' if len(missing) > 1 else 'it'} here or in "
                    f'WORKSPACE_DEFAULTS, or write "auth": {others}'
                )
        if self.auth == "federated" and self.client_id is None:
            raise ValueError(
                "needs client_id, the application id of the service principal that the app signs in as "
                "(onboard --new-principal makes one); write it here or in WORKSPACE_DEFAULTS"
            )
        return self


_MADE = {"client_id": "client_id (onboard --new-principal makes one)"}


def default_name(host: str) -> str:
    """Return the first label of a host or URL."""
    return host.strip().rpartition("://")[2].split("/")[0].rpartition("@")[2].split(".")[0] or host
