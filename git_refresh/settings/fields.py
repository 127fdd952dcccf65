"""Validates single values of an entry.

Each validator returns the value to use, or raises a `ValueError` whose text continues a sentence that begins with the value.
"""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from git_refresh.model.hosts import NO_HOSTS, Domain, TrustedHosts, origin_of, split_url
from git_refresh.model.repository import parse_repository, repository_url
from git_refresh.model.values import GUID, folder_key
from git_refresh.output.redact import CONTAINS_INVISIBLE, INVISIBLE, REVOKE_IT, looks_like_secret, redact
from git_refresh.settings.pasted import guid_in, remains, without_openers


class InvalidError(ValueError):
    """An invalid value. `commands` are the commands in the text."""

    def __init__(self, text: str, *commands: str) -> None:
        super().__init__(text)
        self.commands = commands


def trusted_hosts(info: ValidationInfo) -> TrustedHosts:
    context: dict[str, TrustedHosts] = info.context or {}
    return context.get("trusted", NO_HOSTS)


def typed(value: object) -> object:
    """Return a value unchanged, unless it is a secret or a placeholder.

    Raises:
        ValueError: the value is a placeholder or output of PowerShell.
        PydanticCustomError: the value is a secret. The text does not quote it.
    """
    if not isinstance(value, str):
        return value
    if looks_like_secret(value):
        raise PydanticCustomError("secret", "{text}", {"text": _advice_to_revoke(value)})
    if why := remains(value):
        raise ValueError(why)
    return value


def _advice_to_revoke(value: str) -> str:
    scheme, _, rest = value.partition("://")
    address = f"{scheme}://{rest.rpartition('@')[2]}"
    if "@" not in rest or looks_like_secret(address):
        return REVOKE_IT
    return f"contains a secret before the host: revoke it{_instead(address, parse_repository_alone)}"


def _instead(candidate: str, check: Callable[[str], object], *, quotes: bool = False) -> str:
    """Return the advice to write `candidate`, or "" if it is invalid or not safe to display."""
    if redact(candidate) != candidate or remains(candidate):
        return ""
    try:
        check(candidate)
    except ValueError:
        return ""
    return f'; write "{candidate}"' if quotes else f"; write {candidate}"


def parse_repository_alone(url: str) -> None:
    """Raise a `ValueError` unless the URL is a repository on a built-in host."""
    parse_repository(url, NO_HOSTS)


def seen(value: str) -> str:
    """Return a text unless it contains invisible characters."""
    if INVISIBLE.search(value):
        raise ValueError(f"{CONTAINS_INVISIBLE}; type it again")
    return value


_WORKSPACE = re.compile(r"adb-[0-9]+\.[0-9]+\.azuredatabricks\.net")
_EXAMPLE = "https://adb-1234567890123456.7.azuredatabricks.net"
_REGION = "is the address of a region; write that of the workspace, https://adb-….azuredatabricks.net (Azure portal, the workspace, URL)"


def _host(value: str, info: ValidationInfo) -> str:
    return workspace_address(value, trusted_hosts(info))


def workspace_address(value: str, trusted: TrustedHosts) -> str:
    """Return the `https://host` of a workspace, from its URL or the URL of one of its pages.

    Raises:
        ValueError: the value is not such a URL. The text continues a sentence that begins with the value.
    """
    value = value.strip()
    if not value:
        raise ValueError(
            'must not be empty; write the workspace\'s address, like "https://adb-….azuredatabricks.net"'
        )
    if "://" not in value or value.lower().startswith("http://"):
        plain = "https://" + re.sub(r"\A(?:https?(?=[:/]))?:?/*", "", value, flags=re.IGNORECASE)
        try:
            advice = f"; write {workspace_address(plain, trusted)}"
        except ValueError:
            if "@" not in plain and Domain.DATABRICKS.has(_host_in(plain)):  # its kind matters more
                raise
            raise ValueError("must start with https://") from None
        raise ValueError(f"must start with https://{advice}")
    if re.match(r"https://portal\.azure\.com/", value, re.IGNORECASE):
        raise ValueError(
            f"is a page of the Azure portal; write the URL that this page shows for the workspace, like {_EXAMPLE}"
        )
    origin = origin_of(value, Domain.DATABRICKS, trusted)
    parts = split_url(without_openers(value))
    if Domain.DATABRICKS.has(parts.hostname or "") and not trusted.trusts(parts.hostname or ""):
        _check_kind(origin.removeprefix("https://"))
    named = re.search(r"(?:^|&)o=(\d{1,30})(?:&|$)", parts.query, re.ASCII)
    number = re.match(r"https://adb-(\d{1,30})\.", origin, re.ASCII)
    if named and number and int(named[1]) != int(number[1]):
        raise ValueError(
            f"names two workspaces, {number[1]} in its host and {named[1]} behind o=; write the address of one alone"
        )
    return origin


def _host_in(address: str) -> str:
    try:
        return split_url(address).hostname or ""
    except ValueError:
        return ""


def _check_kind(host: str) -> None:
    """Raise a `ValueError` for a host of Azure Databricks that is not a workspace."""
    if _WORKSPACE.fullmatch(host):
        return
    if host.startswith("accounts."):
        raise ValueError("is the account console; write the address of a workspace")
    if ".privatelink." in host:
        plain = host.replace(".privatelink.", ".")
        advice = (
            f"https://{plain}"
            if _WORKSPACE.fullmatch(plain)
            else f"the address of the workspace, like {_EXAMPLE}"
        )
        raise ValueError(f"is the name of a private link; write {advice}")
    if host.count(".") == 2 and not host.startswith("adb-"):  # noqa: PLR2004  # REGION.azuredatabricks.net
        raise ValueError(_REGION)
    if re.match(r"adb-[0-9]+\.azuredatabricks", host):
        raise ValueError(
            f"lacks the number between two points; write the address as the browser shows it, like {_EXAMPLE}"
        )
    raise ValueError(
        f"is not the address of a workspace, which has the form {_EXAMPLE}; write it as the browser shows it"
    )


def _url(value: str, info: ValidationInfo) -> str:
    trusted = trusted_hosts(info)
    meant = repository_url(without_openers(value)).url
    try:
        parse_repository(meant, trusted)
    except ValueError as error:
        if "; write" in str(error) or "://" in meant:
            raise
        plain = repository_url(f"https://{meant.lstrip('/')}").url
        raise ValueError(f"{error}{_instead(plain, lambda url: parse_repository(url, trusted))}") from None
    return meant


_PATH_EXAMPLE = "/Repos/etl/production"
_ROOTS = {"repos": "Repos", "shared": "Shared", "users": "Users", "workspace": "Workspace"}
"""Top-level directories of every workspace, by name in lower case."""


def _path(value: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError(
            "contains a line break, a tab or another control character: was it written with \\ ? Write / instead"
        )
    seen(value)
    if not value:
        raise ValueError(f"must not be empty; write a path like {_PATH_EXAMPLE}")
    if why := _other_path(value):
        instead = _path_instead(value)
        like = "" if instead else f", like {_PATH_EXAMPLE}"
        raise ValueError(f"must be a path in the workspace{like}{why}{instead}")
    if "\\" in value:
        raise ValueError(f"must use / as separator{_path_instead(value)}")
    if (cased := _cased(value)) != value:
        top = "/".join(cased.split("/")[: 3 if cased.startswith("/Workspace/") else 2])
        raise ValueError(f"must begin with {top}, in this letter case{_path_instead(value)}")
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


def _other_path(value: str) -> str:
    """Return why a text is not a path in a workspace, or ""."""
    if re.match(r"(?:file|workspace):", value, re.IGNORECASE):
        return f", without {value.partition(':')[0]}:"
    if re.match(r"dbfs:|/(?:dbfs|Volumes)(?:/|$)", value, re.IGNORECASE):
        return ": DBFS and volumes contain no Git folders"
    if value.startswith("~"):
        return ": ~ is another directory for each user"
    return ", not an address" if "://" in value else ""


def _cased(path: str) -> str:
    first, *names = path.split("/")
    if first or not names:
        return path
    for at in (0, 1) if names[0].lower() == "workspace" else (0,):
        if at < len(names):
            names[at] = _ROOTS.get(names[at].lower(), names[at])
    return "/".join(["", *names])


def _path_instead(value: str) -> str:
    """Return the advice to write the workspace path in a text, or "" if it has none."""
    path = value.replace("\\", "/")
    if page := re.search(r"#workspace(/[^?#]+)", path):
        path = page[1]
    path = re.sub(r"\A(?:file|workspace|dbfs):/*", "/", path, flags=re.IGNORECASE)
    names = [name for name in path.split("/") if name not in {"", "."}]
    candidate = _cased("/" + "/".join(names))
    of_workspace = len(names) > 1 and candidate.split("/")[1] in _ROOTS.values()
    if (
        candidate == value
        or '"' in candidate
        or ":" in "".join(names[:1])
        or (_other_path(value) and not of_workspace)
    ):
        return ""
    return _instead(candidate, _path, quotes=True)


def _absolute(value: str) -> str:
    path = value.rstrip("/")
    names = [name for name in path.split("/") if name not in {"", "."}]
    if ".." in names:
        raise ValueError('must not contain ".."; write the whole path, like /Repos/etl/production')
    if len(names) < 2:  # noqa: PLR2004  # a folder and a name
        what = "must name a Git folder" if value.startswith("/") else "must be an absolute path"
        raise ValueError(f"{what}, like /Repos/etl/production or /Workspace/Shared/etl")
    plain = "/" + "/".join(names)
    if not value.startswith("/"):
        raise ValueError(f"must be an absolute path{_path_instead(value)}")
    if path != plain:
        raise ValueError(f"must not contain {'"//"' if '//' in path else 'a part "."'}{_path_instead(value)}")
    return path


def _cone(value: str) -> str:
    if value.startswith("!"):
        raise ValueError("must be a directory to include: a sparse checkout in cone mode excludes nothing")
    plain = re.sub(r"(?:/?\*+)+/?\Z", "", value.replace("\\", "/"))
    names = [name for name in plain.split("/") if name not in {"", "."}]
    if not names:
        raise ValueError("means the whole repository; leave sparse out")
    if re.search(r"[*?\[\]\\]", value) or {".", ".."} & set(value.split("/")):
        directory = "/".join(names)
        fine = not re.search(r"\A!|[*?\[\]]", directory) and ".." not in names
        advice = (
            f'; write "{directory}"' if fine and redact(directory) == directory else ", like src or conf/prod"
        )
        raise ValueError(f"must be the path of a directory, without wildcards{advice}")
    return value


def _secret_name(value: str) -> str:
    if value.startswith("@Microsoft.KeyVault"):
        named = re.search(r"(?:SecretName=|/secrets/)([0-9A-Za-z-]{1,127})", value)
        advice = f'; write "{named[1]}"' if named and not looks_like_secret(named[1]) else ""
        raise ValueError(
            f"must be only the name of the secret; the app reads Key Vault itself, without a reference{advice}"
        )
    if address := re.fullmatch(
        r"https://.*?/secrets/([0-9A-Za-z-]{1,127})(?:/\w*)?/?(?:[?#].*)?", value, re.IGNORECASE
    ):
        raise ValueError(
            f"must be only the name of the secret, without its address{_instead(address[1], _secret_name, quotes=True)}"
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
        raise ValueError(f"must be the short name{_instead(short, _ref, quotes=True)}")
    if re.fullmatch(r"(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})", value):
        raise ValueError(
            "is a commit, and the app takes a branch or a tag; tag the commit, and write the tag"
        )
    if re.search(r"[\s~^:?*\[\\\x00-\x1f\x7f]|\.\.|@\{|^[-/]|[/.]$|//", value):
        raise ValueError(
            r"is not a valid name of a branch or tag in Git: it must not contain spaces, any of ~ ^ : ? * [ \, .. or //, "
            "and must not end with / or ."
        )
    return value


def _principal_id(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,19}", value):
        command = "databricks service-principals list"
        raise InvalidError(
            "must be the service principal's numeric id, which the Databricks CLI shows as id "
            f"({command}), not its application id",
            command,
        )
    return int(value) if isinstance(value, str) else value


def _guid(what: str, *commands: str, page: str = "") -> AfterValidator:
    """Return a validator for an ID of Microsoft Entra. `commands` or `page` show the user the ID."""

    def check(value: str) -> str:
        if not GUID.fullmatch(value):
            number = ", not its numeric id" if re.fullmatch("[0-9]{1,19}", value) else ""
            near = guid_in(value)
            advice = f"write {near}" if near else f"{page or ', then '.join(commands)} shows it"
            wanted = what.format("00000000-0000-0000-0000-000000000000")
            raise InvalidError(f"must be {wanted}{number}; {advice}", *commands)
        return value.lower()

    return AfterValidator(check)


_LONG = Field(max_length=2000)  # longer than any path or URL, and quick to search
Name = Annotated[str, Field(min_length=1, max_length=200), BeforeValidator(typed), AfterValidator(seen)]
SparseDirectory = Annotated[
    str,
    Field(min_length=1, max_length=200),
    BeforeValidator(typed),
    AfterValidator(seen),
    AfterValidator(_cone),
]
Host = Annotated[str, _LONG, AfterValidator(_host)]
FolderPath = Annotated[str, _LONG, AfterValidator(_path)]
RepositoryUrl = Annotated[str, _LONG, AfterValidator(_url)]
RefName = Annotated[str, _LONG, AfterValidator(_ref)]
SecretName = Annotated[str, _LONG, AfterValidator(_secret_name)]
PrincipalId = Annotated[int, BeforeValidator(_principal_id), BeforeValidator(typed), Field(gt=0, lt=2**63)]
ApplicationId = Annotated[
    str,
    _LONG,
    _guid(
        "the application id of a service principal, like {}",
        page="the workspace (Settings, Identity and access, Service principals)",
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
        "az login --tenant NAME",
        "az account show --query tenantId",
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
