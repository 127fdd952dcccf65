"""Azure DevOps repositories, and the forms of their URLs."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

from git_refresh.model.hosts import Domain, TrustedHosts, origin_of_parts, split_url
from git_refresh.output.redact import CONTAINS_INVISIBLE, INVISIBLE, looks_like_secret, redact

_ELSEWHERE = re.compile(r"(?:^|\.)(github|gitlab|bitbucket)\.", re.IGNORECASE)
"""Hosts of other Git services, including self-hosted ones."""
_NAMES = {"github": "GitHub", "gitlab": "GitLab", "bitbucket": "Bitbucket"}
_OLD = ".visualstudio.com"
BUILT_IN = "https://dev.azure.com"
"""Origin of all requests to Azure DevOps Services, for URLs of either form."""

_FORM = "https://dev.azure.com/{organization}/{project}/_git/{repository}"


_SERVER = (
    f"Azure DevOps Server, which takes no Microsoft Entra token, so none is sent there: write an address like {_FORM}, "
    "or leave this folder out"
)
_SERVER_PORT = 8080
_USER = re.compile(r"([a-z][a-z0-9+.-]*://)([^/?#:]*)(:[^/?#]*)?@", re.IGNORECASE)
"""Scheme, user and password of a URL, up to the last @ before the path."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of Azure DevOps Services. Values are equal if they mean the same repository."""

    key: tuple[str, str, str, str]
    """Origin, organization, project and name in lower case, as Azure DevOps ignores the case of ASCII.

    Security: other letters keep their case. Otherwise, a long s (U+017F) would equal an s, and a workspace could substitute a repository.
    """
    origin: str = field(compare=False)
    """`https://host[:port]` of the API. Security: dev.azure.com for both built-in forms of a URL."""
    organization: str = field(compare=False)
    project: str = field(compare=False)
    name: str = field(compare=False)
    _written: str = field(compare=False, repr=False)
    """Start of the clone URL, with the host of the original URL."""

    @property
    def url(self) -> str:
        """Clone URL as Azure DevOps writes it: percent-encoded, without `name@`."""
        return f"{self._written}/{quote(self.project)}/_git/{quote(self.name)}"

    @property
    def api_url(self) -> str:
        """URL in the REST API (Git - Repositories, api-version 7.1)."""
        base = f"{self.origin}/{quote(self.organization)}/{quote(self.project)}"
        return f"{base}/_apis/git/repositories/{quote(self.name)}"

    def __str__(self) -> str:
        return f"{self.organization}/{self.project}/{self.name}"


def parse_repository(url: str, trusted: TrustedHosts) -> Repository:
    """Parse a clone URL on `dev.azure.com`, `{organization}.visualstudio.com` or a trusted host.

    Raises:
        ValueError: the URL is not a clone URL on such a host. The text continues a sentence that begins with the URL.
    """
    origin, path = _address(url.strip(), trusted)
    if domain := _organization_of_old_form(origin):
        organization, written, origin = domain, origin, BUILT_IN
        if _folded(path[0]) == "defaultcollection":
            path = path[1:]
    else:
        organization, *path = path
        written = f"{origin}/{quote(organization)}"
    match path:
        case [project, "_git", name]:
            pass
        case ["_git", name]:  # short form of a repository with its project's name
            project = name
        case _:
            raise ValueError(f"must have the form {_FORM}")
    key = (origin, _folded(organization), _folded(project), _folded(name))
    return Repository(key, origin, organization, project, name, written)


def _address(url: str, trusted: TrustedHosts) -> tuple[str, list[str]]:
    """Return the trusted origin of a URL, and the decoded names in its path."""
    if ssh := re.fullmatch(r"(?:ssh://)?(?:[\w-]+@)?ssh\.dev\.azure\.com:v3/([^/]+)/([^/]+)/([^/]+)", url):
        address = "https://dev.azure.com/{}/{}/_git/{}".format(*ssh.groups())
        raise ValueError(f"is an SSH address; write {redact(address)}")
    parts = split_url(url)
    if parts.password is not None:
        raise ValueError(
            f"must not contain a password: the app uses its own token{_written_without_user(url, trusted)}"
        )
    # `urlsplit` finds no host in `git@github.com:team/etl.git`.
    host = parts.hostname or re.split("[:/]", url.rpartition("@")[2])[0]
    if (elsewhere := _ELSEWHERE.search(host)) and not trusted.trusts(host):
        raise ValueError(
            f"is on {_NAMES[elsewhere[1].lower()]}, and this app keeps only clones from Azure DevOps up to date: write an address like "
            f"{_FORM}, or leave this folder out"
        )
    if on_server(url, trusted):
        raise ValueError(f"is {'' if trusted.trusts(host) else 'not on a trusted host but '}on {_SERVER}")
    origin = origin_of_parts(parts, Domain.AZURE_DEVOPS, trusted)
    if parts.query or parts.fragment:
        address = redact(url)
        raise ValueError(
            f"is a link into a repository; remove the ? or # and what follows, and write {address}"
        )
    path = [_decoded(part) for part in parts.path.strip("/").split("/")]
    if any(part in {"", ".", ".."} or "/" in part or "\\" in part for part in path):
        raise ValueError(f"must have the form {_FORM}")
    return origin, path


def _written_without_user(url: str, trusted: TrustedHosts) -> str:
    """Return the advice to revoke a password in a URL, and to write the URL without it if that is valid."""
    scheme, _, rest = url.partition("://")
    plain = f"{scheme}://{rest.rpartition('@')[2]}"
    try:
        parse_repository(plain, trusted)
    except ValueError:
        return ""
    return f"; revoke it, and write {plain}" if redact(plain) == plain else "; revoke it"


def on_server(url: str, trusted: TrustedHosts) -> bool:
    """Return whether a URL is of Azure DevOps Server, by its host, port and path.

    A trusted host can also belong to Azure DevOps Services, so its URL must have a feature of the server.
    """
    try:
        parts = split_url(url)
    except ValueError:
        return False
    host = (parts.hostname or "").lower()
    names = [name.lower() for name in parts.path.strip("/").split("/")]
    if not host or host.endswith(_SERVICES) or _ELSEWHERE.search(host):
        return False
    collection = "defaultcollection" in names or (names[0] == "tfs" and not names[-1].endswith(".git"))
    sure = collection or host.partition(".")[0] == "tfs" or parts.port == _SERVER_PORT
    return collection or ("_git" in names and (sure or not trusted.trusts(host)))


_SERVICES = ("dev.azure.com", ".visualstudio.com")


def without_user(url: str) -> tuple[str, bool]:
    """Return a URL without `user:password@`, and whether it had a password or a token as user name."""
    found = _USER.match(url)
    if found is None:
        return url, False
    has_secret = len(found[3] or "") > len(":") or looks_like_secret(found[2])
    return found[1] + url[found.end() :], has_secret


def _decoded(part: str) -> str:
    try:
        decoded = unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has an invalid % escape; write it as the browser shows it") from None
    if INVISIBLE.search(decoded):
        raise ValueError(CONTAINS_INVISIBLE)
    return decoded


def _folded(text: str) -> str:
    return text.encode().lower().decode()  # of bytes, `lower` changes only ASCII letters


def _organization_of_old_form(origin: str) -> str | None:
    host = origin.removeprefix("https://")
    return host.removesuffix(_OLD) if host.endswith(_OLD) and "." not in host.removesuffix(_OLD) else None


@dataclass(frozen=True, slots=True)
class RepositoryUrl:
    """A clone URL, and how it differs from the text that contained it."""

    url: str
    differs: str = ""
    """Continues a sentence that begins with the text; empty if the text is the clone URL."""
    ref: tuple[Literal["branch", "tag"], str] | None = None
    """From the URL of a page, as is `commit`."""
    commit: str = ""


_TERRAFORM = re.compile(r"git(?:::|\+)(?=https://|ssh://)", re.IGNORECASE)
_SSH = re.compile(
    r"(?:ssh://)?(?:[^@/:]+@)?(?:ssh\.dev\.azure\.com|(?:[\w-]+\.)?vs-ssh\.visualstudio\.com)(?::22)?[:/]/*v3"
    r"/(?P<organization>[^/]+)/(?P<project>[^/]+)/(?P<name>[^/]+)/?",
    re.IGNORECASE,
)
_OLD_SSH = re.compile(
    r"(?:ssh://)?(?P<user>[\w-]+)@(?:(?:[\w-]+\.)?vs-ssh|(?P=user))\.visualstudio\.com(?::22)?[:/]/*(?:DefaultCollection/)?"
    r"(?:(?P<project>[^/]+)/)?_(?:ssh|git)/(?P<name>[^/]+)/?",
    re.IGNORECASE,
)
_PAGE = re.compile(
    r"(https://[^?#]*?/_git/)(_full/|_optimized/)?([^/?#]+)(/*(?:\?|#)?)(.*)", re.DOTALL | re.IGNORECASE
)
_TWICE = re.compile(r"%(?:25)+([0-9A-Fa-f]{2})")


def repository_url(text: str) -> RepositoryUrl:
    """Return the clone URL for a page, SSH address or other form of it; otherwise the text itself."""
    text = text.strip()
    url = _TERRAFORM.sub("", text, count=1)
    differs = ["begins with git::"] if url != text and "::" in text[:5] else []
    differs += ["begins with git+"] if url != text and not differs else []
    if ssh := _SSH.fullmatch(url):
        url = "https://dev.azure.com/{organization}/{project}/_git/{name}".format_map(ssh.groupdict())
        differs.append("is an SSH address")
    elif ssh := _OLD_SSH.fullmatch(url):
        project = ssh["project"] or ssh["name"]
        url = f"https://dev.azure.com/{ssh['user']}/{project}/_git/{ssh['name']}"
        differs.append("is an SSH address")
    page = _PAGE.fullmatch(url)
    if page is None:
        return RepositoryUrl(text)
    address, name = page[1], page[3]
    query = ""
    if page[2] or page[5] or "?" in page[4] or "#" in page[4]:
        differs.append("is a page of the repository")
        query = urlsplit(url).query
    if (plain := re.sub(r"(?<=[^/])\.git\Z", "", name, flags=re.IGNORECASE)) != name:
        differs.append("ends in .git, which Azure DevOps does not know")
        name = plain
    once = _TWICE.sub(r"%\1", address + name)
    if once != address + name:
        differs.append("is percent-encoded twice")
    if not differs:
        return RepositoryUrl(text)
    return RepositoryUrl(once, " and ".join(differs), *_version(query))


def _version(query: str) -> tuple[tuple[Literal["branch", "tag"], str] | None, str]:
    """Return the branch or tag, and the commit, from the query of an Azure DevOps page."""
    try:
        version = parse_qs(query, max_num_fields=50).get("version", [""])[0]
    except ValueError:
        return None, ""
    kind, name = version[:2], version[2:]
    if kind == "GB" and name:
        return ("branch", name), ""
    if kind == "GT" and name:
        return ("tag", name), ""
    return None, name if kind == "GC" else ""


class RemoteKind(StrEnum):
    REPOSITORY = "repository"
    NONE = "none"
    NO_HTTPS = "no_https"
    """Repository of Azure DevOps with a URL for which the stored credential does not work, such as SSH."""
    SERVER = "server"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote URL without its password."""

    kind: RemoteKind
    repository: Repository | None = None
    https: str = ""
    """Clone URL of the repository, if the remote URL has another form."""
    has_password: bool = False


def read_remote(url: str, trusted: TrustedHosts) -> Remote:
    if not url.strip():
        return Remote(RemoteKind.NONE)
    plain, has_password = without_user(url.strip().removeprefix("git::"))
    written = _repository(plain, trusted)
    address = repository_url(plain).url
    meant = written if address == plain else _repository(address, trusted)
    https = meant.url if meant is not None and (meant != written or "git::" in url) else ""
    if written is not None and "git::" not in url:
        return Remote(RemoteKind.REPOSITORY, written, https, has_password)
    if meant is not None:
        return Remote(RemoteKind.NO_HTTPS, https=https)
    return Remote(RemoteKind.SERVER if on_server(plain, trusted) else RemoteKind.ELSEWHERE)


def _repository(url: str, trusted: TrustedHosts) -> Repository | None:
    try:
        return parse_repository(url, trusted)
    except ValueError:
        return None
