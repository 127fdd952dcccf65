"""The shape of one workspace and one Git folder in the app settings: keys, defaults, and what each may contain."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from git_refresh.hosts import NO_HOSTS, Domain, TrustedHosts, origin_of, split_url
from git_refresh.redact import CONTAINS_INVISIBLE, INVISIBLE, REVOKE_IT, looks_like_secret, shown
from git_refresh.repository import Repository, parse_repository
from git_refresh.values import Ref, folder_key


def _trusted(info: ValidationInfo) -> TrustedHosts:
    context: dict[str, TrustedHosts] = info.context or {}
    return context.get("trusted", NO_HOSTS)


def _no_secret(value: object) -> object:
    if isinstance(value, str) and looks_like_secret(value):
        raise PydanticCustomError("secret", REVOKE_IT)
    return value


def _seen(value: str) -> str:
    if INVISIBLE.search(value):
        raise ValueError(f"{CONTAINS_INVISIBLE}; type it again")
    return value


def _host(value: str, info: ValidationInfo) -> str:
    if not value.strip():
        raise ValueError(
            'must not be empty; write the workspace\'s address, like "https://adb-….azuredatabricks.net"'
        )
    parts = split_url(value.strip())
    if not parts.scheme and not value.startswith("/"):
        raise ValueError(f"must start with https://; write https://{shown(value.strip().rstrip('/'))}")
    origin = origin_of(value.strip(), Domain.DATABRICKS, _trusted(info))
    if origin.startswith("https://accounts."):
        raise ValueError("is the account console; write the address of a workspace")
    if re.search(r"(^|&)o=\d", parts.query) and "adb-" not in origin:
        raise ValueError(
            "is the address of a region; write that of the workspace, https://adb-….azuredatabricks.net (Azure portal, the workspace, URL)"
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"must end after the host name; remove what follows and write {origin}")
    return origin


def _url(value: str, info: ValidationInfo) -> str:
    parse_repository(value, _trusted(info))
    return value


def _path(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError(
            "contains a line break, a tab or another control character: was it written with \\ ? Write / instead"
        )
    _seen(value)
    if "://" in value:
        raise ValueError("must be a path in the workspace, like /Repos/etl/production, not an address")
    if "\\" in value:
        raise ValueError(f'must use / as separator; write "{shown(value.replace("\\", "/"))}"')
    if not value:
        raise ValueError("must not be empty; write a path like /Repos/etl/production")
    if not value.startswith("/"):
        raise ValueError(f'must be an absolute path; write "/{shown(value)}"')
    path = value.rstrip("/")
    names = path.split("/")[1:]
    if len(names) < 2 or any(name in {"", ".", ".."} for name in names):  # noqa: PLR2004  # a folder and a name
        raise ValueError("must name a Git folder, like /Repos/etl/production or /Workspace/Shared/etl")
    if folder_key(path) == "/*":
        raise ValueError(
            "would match the whole workspace; write one for each top-level folder, like /Repos/* and /Shared/*"
        )
    if any("*" in name for name in names[:-1]) or ("*" in names[-1] and names[-1] != "*"):
        raise ValueError(
            "may contain * only as its last part: /Repos/etl/* means every Git folder below /Repos/etl"
        )
    return path


def _secret_name(value: str) -> str:
    if value.startswith("@Microsoft.KeyVault"):
        raise ValueError(
            "must be only the name of the secret; the app reads Key Vault itself, without a reference"
        )
    if address := re.fullmatch(r"https://[^/]+/secrets/([0-9A-Za-z-]{1,127})(/\w*)?/?", value):
        raise ValueError(
            f'must be only the name of the secret, without its address; write "{shown(address[1])}"'
        )
    if not re.fullmatch(r"[0-9A-Za-z-]{1,127}", value):
        raise ValueError("must be the name of a Key Vault secret: 1 to 127 letters, digits and hyphens")
    return value


def _ref(value: str) -> str:
    _seen(value)
    short = re.sub(r"^refs/(heads|tags)/", "", value)
    if short != value:
        raise ValueError(f'must be the short name; write "{shown(short)}"')
    if not value or re.search(r"[\s~^:?*\[\\\x00-\x1f\x7f]|\.\.|@\{|^[-/]|[/.]$|//", value):
        raise ValueError(
            r"is not a valid name of a branch or tag in Git: it must not contain spaces, any of ~ ^ : ? * [ \, .. or //, "
            "and must not end with / or ."
        )
    return value


def _principal_id(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,19}", value):
        raise ValueError(
            "must be the service principal's numeric id, which the Databricks CLI shows as id "
            "(databricks service-principals list), not its application id"
        )
    return int(value) if isinstance(value, str) else value


_FROZEN = ConfigDict(extra="forbid", frozen=True, strict=True, str_strip_whitespace=True)
_LONG = Field(max_length=2000)  # longer than any path or address, and quickly looked through
Name = Annotated[str, Field(min_length=1, max_length=200), BeforeValidator(_no_secret), AfterValidator(_seen)]
PrincipalId = Annotated[
    int, BeforeValidator(_principal_id), BeforeValidator(_no_secret), Field(gt=0, lt=2**63)
]
RefName = Annotated[str, _LONG, AfterValidator(_ref)]
Array = Field(
    strict=False
)  # JSON has arrays and Python tuples: the one is taken for the other, what is in it is not


class _Typed(BaseModel):
    """What somebody types: a secret in any of it is refused before anything else is said, and so quoted by nothing."""

    model_config = _FROZEN

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        return _no_secret(value)


class Folder(_Typed):
    """A Git folder to keep up to date."""

    path: Annotated[str, _LONG, AfterValidator(_path)] = Field(
        description="Absolute path in the workspace, with or without /Workspace. Ending in /*: every Git folder below.",
        examples=["/Repos/etl/production", "/Workspace/Shared/etl", "/Repos/etl/*"],
        json_schema_extra={"pattern": "^/"},
    )
    url: Annotated[str, _LONG, AfterValidator(_url)] | None = Field(
        None,
        description="Azure DevOps repository. With it, a missing folder is created, and its parent folders too.",
        examples=["https://dev.azure.com/contoso/Data%20Platform/_git/etl"],
    )
    branch: RefName | None = Field(
        None, description="Branch to be on. Default: the branch the folder is on.", examples=["main"]
    )
    tag: RefName | None = Field(None, description="Tag to be on, instead of a branch.", examples=["v1.2.0"])
    on_conflict: Literal["report", "discard"] = Field(
        "report",
        description="What to do with uncommitted changes that block an update: report them, or discard them (for read-only mirrors).",
    )
    sparse: Annotated[tuple[Name, ...], Array, Field(min_length=1, max_length=200)] | None = Field(
        None,
        description="Cone patterns of a sparse checkout, used when the folder is created.",
        examples=[["src", "conf"]],
    )
    _repository: Repository | None = None

    @property
    def repository(self) -> Repository | None:
        """The repository that `url` names."""
        return self._repository

    @property
    def key(self) -> str:
        """The path without /Workspace: two paths with one key are the same folder."""
        return folder_key(self.path)

    @property
    def below(self) -> str | None:
        """For a path ending in `/*`: the key of the folder above."""
        return self.key.removesuffix("/*") if self.path.endswith("/*") else None

    @property
    def ref(self) -> Ref | None:
        """What the settings want it to be on; None: the branch it is on."""
        if self.tag is not None:
            return Ref("tag", self.tag)
        return Ref("branch", self.branch) if self.branch is not None else None

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> Self:
        if self.branch is not None and self.tag is not None:
            raise ValueError(
                f'has both branch "{shown(self.branch)}" and tag "{shown(self.tag)}"; keep one of them'
            )
        if self.below is not None and (self.url is not None or self.sparse is not None):
            raise ValueError("has a path ending in /*, so url and sparse have no effect; leave them out")
        if self.sparse is not None and self.url is None:
            raise ValueError("has sparse but no url; sparse is used only when the folder is created")
        if self.url is not None:
            if self.key.startswith("/Repos/") and self.key.count("/") != 3:  # noqa: PLR2004
                raise ValueError(
                    f'has path "{shown(self.path)}", but below /Repos a folder can only be created as /Repos/FOLDER/NAME'
                )
            self._repository = parse_repository(self.url, _trusted(info))
        return self


@dataclass(frozen=True, slots=True)
class OAuth:
    """A service principal of Databricks, and the Key Vault secret that contains its OAuth secret."""

    client_id: str
    secret_name: str


class Workspace(_Typed):
    """An Azure Databricks workspace whose Git credential and Git folders are kept fresh."""

    host: Annotated[str, _LONG, AfterValidator(_host)] = Field(
        description="Address of the workspace.",
        examples=["https://adb-1234567890123456.7.azuredatabricks.net"],
        json_schema_extra={"pattern": "^https://"},
    )
    name: Name = Field(
        "", description="Its name in reports. Default: the first label of the host.", examples=["data-prod"]
    )
    auth: Literal["oauth_secret", "managed_identity"] = Field(
        "oauth_secret",
        description="How the app signs in: with a service principal's OAuth secret, or with the app's own managed identity.",
    )
    client_id: Name | None = Field(
        None,
        description="Application id of the service principal (oauth_secret).",
        examples=["5a1e0000-0000-4000-8000-000000000001"],
    )
    client_secret_name: Annotated[str, _LONG, AfterValidator(_secret_name)] | None = Field(
        None,
        description="Name of the Key Vault secret that contains its OAuth secret (oauth_secret).",
        examples=["databricks-oauth-secret"],
        json_schema_extra={"pattern": "^[0-9A-Za-z-]{1,127}$"},
    )
    git_username: Name = Field(
        "git-refresh",
        description="User name stored with the credential. Azure DevOps accepts any.",
        examples=["git-refresh"],
    )
    folders: Annotated[tuple[Folder, ...], Array] = Field(
        (),
        description="Git folders to keep up to date, each a path or an object. Empty: only the credential.",
        examples=[["/Repos/etl/production", {"path": "/Workspace/Shared/etl", "branch": "main"}]],
    )
    run_as: Annotated[tuple[PrincipalId, ...], Array, Field(max_length=200)] = Field(
        (),
        description="Numeric ids of other service principals whose credential is kept fresh too.",
        examples=[[1234567890123456]],
    )

    @property
    def oauth(self) -> "OAuth | None":
        """How the app signs in as a service principal; None: it signs in as its own managed identity."""
        if self.auth != "oauth_secret" or self.client_id is None or self.client_secret_name is None:
            return None
        return OAuth(self.client_id, self.client_secret_name)

    @model_validator(mode="before")
    @classmethod
    def _name(cls, data: object) -> object:
        host = data.get("host") if isinstance(data, dict) else None
        usable = (
            isinstance(host, str)
            and host.strip()
            and not looks_like_secret(host)
            and not INVISIBLE.search(host)
        )
        if isinstance(data, dict) and isinstance(host, str) and "name" not in data and usable:
            return {**data, "name": default_name(host)[:63]}  # a label has no more
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.auth == "oauth_secret":
            missing = [key for key in ("client_id", "client_secret_name") if getattr(self, key) is None]
            if missing:
                raise ValueError(
                    f"needs {' and '.join(missing)}; write {'both' if len(missing) > 1 else 'it'} here or in "
                    'WORKSPACE_DEFAULTS, or write "auth": "managed_identity"'
                )
        return self


def default_name(host: str) -> str:
    """The host's first label."""
    return host.strip().rpartition("://")[2].split("/")[0].rpartition("@")[2].split(".")[0] or host
