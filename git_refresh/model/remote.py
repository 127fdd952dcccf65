"""The remote address of a Git folder, as a workspace shows it: whatever `git remote` takes, a password included."""

from dataclasses import dataclass
from enum import StrEnum

from git_refresh.model.hosts import TrustedHosts
from git_refresh.model.repository import Repository, on_server, parse_repository, repository_url, without_user


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


def read_remote(url: str, trusted: TrustedHosts) -> Remote:
    """Read a remote address."""
    if not url.strip():
        return Remote(Kind.NONE)
    plain, has_password = without_user(url.strip().removeprefix("git::"))
    written = _repository(plain, trusted)
    address = repository_url(plain).url
    meant = written if address == plain else _repository(address, trusted)
    https = meant.url if meant is not None and (meant != written or "git::" in url) else ""
    if written is not None and "git::" not in url:
        return Remote(Kind.REPOSITORY, written, https, has_password)
    if meant is not None:
        return Remote(Kind.NO_HTTPS, https=https)
    return Remote(Kind.SERVER if on_server(plain, trusted) else Kind.ELSEWHERE)


def _repository(url: str, trusted: TrustedHosts) -> Repository | None:
    try:
        return parse_repository(url, trusted)
    except ValueError:
        return None
