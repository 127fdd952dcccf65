"""What one value of an entry may be, and what to write where it is something else.

Each check returns the value as it is used, or raises a `ValueError` whose text reads on after what was found.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from git_refresh.hosts import NO_HOSTS, Domain, TrustedHosts, origin_of, split_url
from git_refresh.redact import CONTAINS_INVISIBLE, INVISIBLE, REVOKE_IT, looks_like_secret, shown
from git_refresh.repository import parse_repository
from git_refresh.values import folder_key


def trusted_hosts(info: ValidationInfo) -> TrustedHosts:
    """Which hosts whoever validates has given as trusted."""
    context: dict[str, TrustedHosts] = info.context or {}
    return context.get("trusted", NO_HOSTS)


def is_guid(text: str) -> bool:
    """Whether this can be an id in Microsoft Entra, or a service principal's application id in Databricks."""
    return re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text) is not None


def no_secret(value: object) -> object:
    """What is no secret; a secret is neither taken nor quoted, wherever it was typed."""
    if isinstance(value, str) and looks_like_secret(value):
        raise PydanticCustomError("secret", REVOKE_IT)
    return value


def seen(value: str) -> str:
    """The text, if all of it is seen.

    Raises:
        ValueError: it is not.
    """
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
    origin = origin_of(value.strip(), Domain.DATABRICKS, trusted_hosts(info))
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
    parse_repository(value, trusted_hosts(info))
    return value


def _path(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError(
            "contains a line break, a tab or another control character: was it written with \\ ? Write / instead"
        )
    seen(value)
    if "://" in value:
        raise ValueError("must be a path in the workspace, like /Repos/etl/production, not an address")
    if "\\" in value:
        raise ValueError(f'must use / as separator; write "{shown(value.replace("\\", "/"))}"')
    if not value:
        raise ValueError("must not be empty; write a path like /Repos/etl/production")
    path = _absolute(value)
    if folder_key(path) == "/*":
        raise ValueError(
            "would match the whole workspace; write one for each top-level folder, like /Repos/* and /Shared/*"
        )
    names = path.split("/")[1:]
    if any("*" in name for name in names[:-1]) or ("*" in names[-1] and names[-1] != "*"):
        raise ValueError(
            "may contain * only as its last part: /Repos/etl/* means every Git folder below /Repos/etl"
        )
    return path


def _absolute(value: str) -> str:
    """A path from the top, each of its parts a name."""
    path = value.rstrip("/")
    names = [name for name in path.split("/") if name not in {"", "."}]
    if ".." in names:
        raise ValueError('must not contain ".."; write the whole path, like /Repos/etl/production')
    if len(names) < 2:  # noqa: PLR2004  # a folder and a name
        what = "must name a Git folder" if value.startswith("/") else "must be an absolute path"
        raise ValueError(f"{what}, like /Repos/etl/production or /Workspace/Shared/etl")
    plain = "/" + "/".join(names)
    if not value.startswith("/"):
        raise ValueError(f'must be an absolute path; write "{shown(plain)}"')
    if path != plain:
        raise ValueError(
            f'must not contain {'"//"' if "//" in path else 'a part "."'}; write "{shown(plain)}"'
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
    seen(value)
    if not value:
        raise ValueError("is empty; write its name, or leave the key out")
    short = re.sub(r"^refs/(heads|tags)/", "", value)
    if short != value:
        raise ValueError(f'must be the short name; write "{shown(short)}"')
    if re.search(r"[\s~^:?*\[\\\x00-\x1f\x7f]|\.\.|@\{|^[-/]|[/.]$|//", value):
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


def _guid(what: str, shown_by: str) -> AfterValidator:
    """An id in Microsoft Entra, in small letters: it is the same in any."""

    def check(value: str) -> str:
        if not is_guid(value):
            raise ValueError(
                f"must be {what.format('00000000-0000-0000-0000-000000000000')}; {shown_by} shows it"
            )
        return value.lower()

    return AfterValidator(check)


_LONG = Field(max_length=2000)  # longer than any path or address, and quickly looked through
Name = Annotated[str, Field(min_length=1, max_length=200), BeforeValidator(no_secret), AfterValidator(seen)]
Host = Annotated[str, _LONG, AfterValidator(_host)]
Path = Annotated[str, _LONG, AfterValidator(_path)]
Url = Annotated[str, _LONG, AfterValidator(_url)]
RefName = Annotated[str, _LONG, AfterValidator(_ref)]
SecretName = Annotated[str, _LONG, AfterValidator(_secret_name)]
PrincipalId = Annotated[
    int, BeforeValidator(_principal_id), BeforeValidator(no_secret), Field(gt=0, lt=2**63)
]
ApplicationId = Annotated[
    str,
    _LONG,
    _guid(
        "the application id of a service principal, like {}",
        "the workspace (Settings, Identity and access, Service principals)",
    ),
]
IdentityId = Annotated[
    str,
    _LONG,
    _guid(
        "the client id of a user-assigned managed identity, like {}",
        "az identity show --name NAME --resource-group GROUP --query clientId",
    ),
]
TenantId = Annotated[
    str,
    _LONG,
    _guid(
        "the id of the tenant, like {}, not its name",
        "az login --tenant NAME, then az account show --query tenantId",
    ),
]
RegistrationId = Annotated[
    str,
    _LONG,
    _guid(
        "the application id of the app registration, like {}",
        "az ad app list --display-name NAME --query '[].appId'",
    ),
]
