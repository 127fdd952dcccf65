"""The remote address of a Git folder, as a workspace shows it: whatever `git remote` takes, a password included."""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from git_refresh.model.hosts import TrustedHosts
from git_refresh.model.repository import Repository, on_server, parse_repository, without_user


class Kind(StrEnum):
    """Where a remote address leads."""

    REPOSITORY = "repository"
    NONE = "none"
    """There is no remote address."""
    NO_HTTPS = "no_https"
    """To a repository of Azure DevOps, but not as its HTTPS address: the stored credential does not work there."""
    SERVER = "server"
    """To Azure DevOps Server."""
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote address, without its password."""

    kind: Kind
    repository: Repository | None = None
    https: str = ""
    """The HTTPS address that is meant, where it is written in another way."""
    has_password: bool = False


_SSH = re.compile(
    r"(?:ssh://)?(?:[^@/]*@)?(?:ssh\.dev\.azure|vs-ssh\.visualstudio)\.com(?::22)?[:/]/?v3/([^/]+)/([^/]+)/([^/]+?)/?",
    re.IGNORECASE,
)
_TWICE = re.compile(r"%25(?=[0-9a-f]{2})", re.IGNORECASE)


def read_remote(url: str, trusted: TrustedHosts) -> Remote:
    """Read a remote address."""
    if not url.strip():
        return Remote(Kind.NONE)
    plain, has_password = without_user(url.strip().removeprefix("git::"))
    written = _repository(plain, trusted)
    address = _meant(plain)
    meant = written if address == plain else _repository(address, trusted)
    https = meant.url if meant is not None and (meant != written or "git::" in url) else ""
    if written is not None and "git::" not in url:
        return Remote(Kind.REPOSITORY, written, https, has_password)
    if meant is not None:
        return Remote(Kind.NO_HTTPS, https=https)
    return Remote(Kind.SERVER if on_server(plain, trusted) else Kind.ELSEWHERE)


def _meant(url: str) -> str:
    """The HTTPS address of what is written as Git or other tools write it."""
    if (ssh := _SSH.fullmatch(url)) is not None:
        url = "https://dev.azure.com/{}/{}/_git/{}".format(*(unquote(part) for part in ssh.groups()))
    return _TWICE.sub("%", url.rstrip("/")).removesuffix(".git")


def _repository(url: str, trusted: TrustedHosts) -> Repository | None:
    try:
        return parse_repository(url, trusted)
    except ValueError:
        return None
