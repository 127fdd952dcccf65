"""Hosts that can receive a token, by which the settings are validated."""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from urllib.parse import SplitResult, urlsplit

from git_refresh.output.redact import CONTAINS_INVISIBLE, INVISIBLE, redact


class Domain(Enum):
    """Domains of the public cloud, which are always trusted."""

    DATABRICKS = (".azuredatabricks.net",)
    KEY_VAULT = (".vault.azure.net",)
    STORAGE = (".core.windows.net", ".storage.azure.net")
    AZURE_DEVOPS = ("dev.azure.com", "*.visualstudio.com")
    """`*` is exactly one label, an organization. Deeper names, such as tunnels.api, are other services."""

    def has(self, host: str) -> bool:
        """Return whether a host (in lower case) belongs to this domain."""
        return _matches(host, self.value)


_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return getattr(address, "scope_id", None) is None  # %eth0 is valid on one machine only


def _canonical(host: str) -> str:
    """Return a host name in lower case, or the canonical form of an IP address."""
    return str(ipaddress.ip_address(host)) if _is_address(host) else host.lower()


@dataclass(frozen=True, slots=True)
class TrustedHosts:
    """`TRUSTED_HOSTS`: names (`a.b.c`), suffixes (`.b.c`) and IP addresses, without ports."""

    entries: Collection[str] = frozenset()

    def __post_init__(self) -> None:
        """Normalize the entries, because an IPv6 address has several forms."""
        object.__setattr__(self, "entries", frozenset(map(_canonical, self.entries)))

    def trusts(self, hostname: str) -> bool:
        """Return whether an administrator trusts this host, on any port."""
        return _matches(_canonical(hostname), self.entries)


NO_HOSTS = TrustedHosts()
"""Trust only the built-in domains."""


def parse_trusted_hosts(text: str) -> tuple[TrustedHosts, list[str]]:
    """Parse a comma-separated list. Also return a message for each invalid entry."""
    entries = [entry.strip().lower() for entry in text.split(",") if entry.strip()]
    complaints = [
        f'"{redact(entry)}" must be a host name like git.contoso.com, a suffix like .contoso.com or an IP address, '
        "without https://, path or port"
        for entry in entries
        if not (_NAME.fullmatch(entry.removeprefix(".")) or _is_address(entry))
    ]
    return TrustedHosts(entries), complaints


def origin_of(url: str, domain: Domain, trusted: TrustedHosts) -> str:
    """Return the `https://host[:port]` of a URL that can receive a token.

    Raises:
        ValueError: the URL cannot receive a token. The text continues a sentence that begins with the URL.
    """
    parts = split_url(url)
    if parts.scheme == "https" and "@" in parts.netloc:
        raise ValueError("must not contain a user name or password before the host")
    return origin_of_parts(parts, domain, trusted)


def origin_of_parts(parts: SplitResult, domain: Domain, trusted: TrustedHosts) -> str:
    """Return the origin of a split URL; see `origin_of`. The URL can have a user name before the host."""
    host = parts.hostname or ""
    if parts.scheme != "https":
        raise ValueError(f"must start with https://{_with_https(parts, domain, trusted)}")
    if not (_NAME.fullmatch(host) or _is_address(host)):
        raise ValueError("has no valid host name; write it as the browser shows it, in plain letters")
    port = "" if parts.port in {None, 443} else f":{parts.port}"
    if trusted.trusts(host):
        name = _canonical(host)
        return f"https://[{name}]{port}" if ":" in name else f"https://{name}{port}"
    if not _matches(host, domain.value):
        raise ValueError(
            f"is not on a trusted host, so nothing is sent to it: expected {_expected(domain)}, or a host listed in TRUSTED_HOSTS"
        )
    if port:
        raise ValueError(f"must not contain a port; write https://{host}")
    return f"https://{host}"


def _with_https(parts: SplitResult, domain: Domain, trusted: TrustedHosts) -> str:
    """Return the advice to write the URL with https://, or "" if that is invalid."""
    secure = parts._replace(scheme="https")
    if parts.scheme != "http" or "@" in parts.netloc:
        return ""
    try:
        origin_of_parts(secure, domain, trusted)
    except ValueError:
        return ""
    return f"; write {redact(secure.geturl().rstrip('/'))}"


def split_url(url: str) -> SplitResult:
    """Split a URL.

    Raises:
        ValueError: the text is not a URL. The message continues a sentence that begins with it.
    """
    if INVISIBLE.search(url):  # urlsplit would silently remove some
        raise ValueError(CONTAINS_INVISIBLE)
    try:
        parts = urlsplit(url)
        _ = parts.port  # validates the port
    except ValueError:
        raise ValueError("is not a valid URL") from None
    return parts


def _expected(domain: Domain) -> str:
    return " or ".join(f"*{entry}" if entry.startswith(".") else entry for entry in domain.value)


def _matches(hostname: str, entries: Collection[str]) -> bool:
    labels = hostname.split(".")
    parents = [".".join(["", *labels[at:]]) for at in range(1, len(labels))]
    one_below = f"*{parents[0]}" if parents else ""
    return hostname in entries or one_below in entries or any(parent in entries for parent in parents)
