"""Reads settings of the Functions host: the storage account, and the time limit.

Facts: https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from git_refresh.model.hosts import Domain, TrustedHosts, origin_of, parse_trusted_hosts
from git_refresh.model.values import GUID, Problem
from git_refresh.output.redact import INVISIBLE, looks_like_secret, redact

CONNECTION = "AzureWebJobsStorage"
"""Setting with a connection string, or prefix of settings such as `AzureWebJobsStorage__accountName`."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Blob endpoint of the storage account, and its connection string or identity."""

    connection_string: str = field(default="", repr=False)
    """Contains a key or signature; empty with an identity."""
    blobs: str = ""
    """URL of the blob endpoint; empty with a connection string."""
    client_id: str | None = None
    """Client ID of the user-assigned identity; None for the system-assigned one."""

    def secrets(self) -> list[str]:
        return [value for key, value in _parts(self.connection_string) if key in _OPENERS]


def read_storage(environ: Mapping[str, str]) -> Storage | Problem:
    """Return the storage account, or the problem of its settings. The problem quotes no connection string."""
    given = {
        name.replace(":", "__").lower(): value.strip()
        for name, value in environ.items()
        if name.lower().startswith(CONNECTION.lower()) and value.strip()
    }
    trusted, _ = parse_trusted_hosts(environ.get("TRUSTED_HOSTS", ""))
    plain = given.get(CONNECTION.lower())
    if plain is not None:
        return _from_connection_string(plain, trusted)
    account, queues, blobs, client_id = (
        given.get(f"{CONNECTION}__{name}".lower(), "")
        for name in ("accountName", "queueServiceUri", "blobServiceUri", "clientId")
    )
    if client_id and not GUID.fullmatch(client_id):
        wrong = f"{_quoted(client_id)} must be the client id of a user-assigned managed identity"
        return Problem(f"{CONNECTION}__clientId", wrong)
    if queues or blobs:
        return _from_urls(queues, blobs, client_id, trusted)
    if not account:
        return Problem(CONNECTION, _MISSING)
    if not re.fullmatch(r"[a-z0-9]{3,24}", account):
        near = re.search(r"(?:^|/)([a-z0-9]{3,24})(?:\.[a-z]+)?\.core\.windows\.net", account)
        advice = f'write "{near[1]}"' if near else "it has 3 to 24 small letters and digits"
        wrong = f"{_quoted(account)} must be the name of a storage account; {advice}"
        return Problem(f"{CONNECTION}__accountName", wrong)
    return Storage(blobs=f"https://{account}.blob.core.windows.net", client_id=client_id.lower() or None)


_MISSING = (
    'is missing, and FAN_OUT "queue" needs a storage account for its queue; set AzureWebJobsStorage__accountName to its name, and '
    "AzureWebJobsStorage__credential to managedidentity (docs/fan-out.md)"
)


def _from_connection_string(text: str, trusted: TrustedHosts) -> Storage | Problem:
    parts = dict(_parts(text))
    # The SDK does not accept parts without a value.
    whole = len(text) <= _LONGEST_STRING and not INVISIBLE.search(text) and "" not in parts.values()
    if whole and (parts.get("usedevelopmentstorage") == "true" or _has_credentials(parts)):
        return (
            Storage(connection_string=text)
            if _is_trusted_endpoint(parts, trusted)
            else Problem(CONNECTION, _ELSEWHERE)
        )
    return Problem(
        CONNECTION,
        "is not a connection string of a storage account (DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…); copy it anew, or "
        "better remove it, and set AzureWebJobsStorage__accountName and AzureWebJobsStorage__credential",
    )


_LONGEST_STRING = 4_000
_OPENERS = frozenset({"accountkey", "sharedaccesssignature"})


def _parts(text: str) -> list[tuple[str, str]]:
    """Return the names (in lower case) and values of a connection string. Missing values are ""."""
    found = [part.partition("=") for part in text.rstrip(";").split(";")] if text else []
    return [(name.lower(), value if name else "") for name, _, value in found]


def _has_credentials(parts: Mapping[str, str]) -> bool:
    try:
        base64.b64decode(parts.get("accountkey", ""), validate=True)
    except ValueError:
        return False
    return bool(parts.keys() & _OPENERS and parts.keys() & {"accountname", "blobendpoint"})


_ELSEWHERE = (
    "is a connection string whose blobs are not at https://ACCOUNT.blob.core.windows.net, below storage.azure.net or at a host listed in "
    "TRUSTED_HOSTS, so nothing is sent to them; copy it anew"
)


def _is_trusted_endpoint(parts: Mapping[str, str], trusted: TrustedHosts) -> bool:
    """Return whether the blob endpoint of a connection string is trusted. An emulator on this machine is.

    Security: any recipient of a shared access signature can use it.
    """
    suffix = parts.get("endpointsuffix", "core.windows.net")
    protocol = parts.get("defaultendpointsprotocol", "https")
    url = parts.get("blobendpoint") or f"{protocol}://{parts.get('accountname', '')}.blob.{suffix}"
    if "usedevelopmentstorage" in parts or re.match(r"http://(?:127\.0\.0\.1|localhost)[:/]", url):
        return True
    try:
        origin_of(url, Domain.STORAGE, trusted)
    except ValueError:
        return False
    return True


def _from_urls(queues: str, blobs: str, client_id: str, trusted: TrustedHosts) -> Storage | Problem:
    found: dict[str, str] = {}
    for name, url in (("queueServiceUri", queues), ("blobServiceUri", blobs)):
        place = f"{CONNECTION}__{name}"
        service = name.removesuffix("ServiceUri")
        if not url:
            return Problem(place, f"is missing; write https://ACCOUNT.{service}.core.windows.net")
        try:
            found[name] = origin_of(url, Domain.STORAGE, trusted)
        except ValueError as error:
            return Problem(place, f"{_quoted(url)} {error}")
    return Storage(blobs=found["blobServiceUri"], client_id=client_id.lower() or None)


def _quoted(text: str) -> str:
    return "what it says" if looks_like_secret(text) else f'"{redact(text)}"'


HOST_JSON = Path(__file__).parents[2] / "host.json"
"""Next to function_app.py. Without the file, as in a wheel, `FUNCTION_TIMEOUT` applies."""

FUNCTION_TIMEOUT = "00:10:00"
"""`functionTimeout` in host.json."""

ENDING_S = 5
"""Maximum time by which a run exceeds its time limit; see docs/reliability.md."""

_OVERRIDE = "azurefunctionsjobhost:functiontimeout"
_TIME_SPAN = re.compile(
    r"(?:(?P<d>\d{1,8})\.)?(?P<h>\d{1,2}):(?P<m>\d{1,2})(?::(?P<s>\d{1,2})(?:\.\d{1,7})?)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class FunctionTimeout:
    seconds: int
    place: str
    """Where the limit is set, as text."""


def function_timeout(environ: Mapping[str, str]) -> FunctionTimeout | None:
    """Return the time limit of a function; None if unlimited or unknown.

    Facts (azure-functions-host, `ScriptJobHostOptionsSetup`): the limit is a .NET `TimeSpan`, and -1 means no limit.
    App settings override host.json. Their names ignore case, and have `__` or `:` between a section and its key.
    """
    overriding = [
        (value, f"the app setting {redact(name)}")
        for name, value in environ.items()
        if overrides_timeout(name)
    ]
    limits = []
    for text, place in overriding or [(_in_file(), "host.json")]:
        seconds = _seconds(text.strip())
        limits += (
            [FunctionTimeout(seconds, f'functionTimeout of "{text.strip()}" in {place}')] if seconds else []
        )
    return min(limits, key=lambda limit: limit.seconds, default=None)


def overrides_timeout(name: str) -> bool:
    """Return whether an app setting of this name overrides the time limit in host.json."""
    return len(name) <= len(_OVERRIDE) + 1 and name.replace("__", ":").lower() == _OVERRIDE


def _in_file() -> str:
    try:
        content = json.loads(HOST_JSON.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return FUNCTION_TIMEOUT
    except (OSError, ValueError):
        return ""  # the host itself reports this
    return str(content.get("functionTimeout", "")) if isinstance(content, dict) else ""


def _seconds(text: str) -> int | None:
    """Return the whole seconds of `hh:mm:ss`, `d.hh:mm:ss` or a number of days; None for another text."""
    if re.fullmatch(r"[0-9]{1,8}", text):
        return int(text) * 86_400
    found = _TIME_SPAN.fullmatch(text)
    if not found:
        return None
    days, hours, minutes, seconds = (int(found[part] or 0) for part in "dhms")
    if hours > 23 or minutes > 59 or seconds > 59:  # noqa: PLR2004  # as in .NET
        return None
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
