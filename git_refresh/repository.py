"""Azure DevOps repositories: one value for all the forms their URLs are written in."""

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from git_refresh.hosts import Domain, TrustedHosts, origin_of_parts, split_url
from git_refresh.redact import shown

_ELSEWHERE = ("github.com", "gitlab.com", "bitbucket.org")
_FORM = "https://dev.azure.com/{organization}/{project}/_git/{repository}"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of Azure DevOps Services. Two are equal when they are the same repository, however their URLs are written."""

    key: tuple[str, str, str, str]
    """Service, organization, project and name, folded: Azure DevOps does not tell letter case apart."""
    origin: str = field(compare=False)
    """`https://host[:port]` that is asked about it."""
    organization: str = field(compare=False)
    project: str = field(compare=False)
    name: str = field(compare=False)
    _base: str = field(compare=False, repr=False, default="")

    @property
    def url(self) -> str:
        """How Azure DevOps itself writes it: percent-encoded, without `name@`."""
        return f"{self.origin}{self._base}/{quote(self.project)}/_git/{quote(self.name)}"

    @property
    def api_url(self) -> str:
        """The repository in the REST API (Git - Repositories, api-version 7.1)."""
        return f"{self.origin}{self._base}/{quote(self.project)}/_apis/git/repositories/{quote(self.name)}"

    def __str__(self) -> str:
        return f"{self.organization}/{self.project}/{self.name}"


def parse_repository(url: str, trusted: TrustedHosts) -> Repository:
    """Read a repository's URL: `dev.azure.com` with or without `name@`, or the older `{organization}.visualstudio.com`.

    Raises:
        ValueError: it is none, or on a host that is not trusted; the text reads on after the URL.
    """
    if ssh := re.fullmatch(
        r"(?:ssh://)?(?:[\w-]+@)?ssh\.dev\.azure\.com:v3/([^/]+)/([^/]+)/([^/]+)", url.strip()
    ):
        address = "https://dev.azure.com/{}/{}/_git/{}".format(*ssh.groups())
        raise ValueError(f"is an address for SSH; write {shown(address)}")
    parts = split_url(url.strip())
    if parts.password is not None:
        raise ValueError("must not hold a password: the app brings its own token")
    if (parts.hostname or "").removeprefix("www.") in _ELSEWHERE:
        raise ValueError("is not in Azure DevOps, and this app keeps only Azure DevOps fresh")
    origin = origin_of_parts(parts, Domain.AZURE_DEVOPS, trusted)
    if parts.query or parts.fragment:
        address = shown(url.strip())
        raise ValueError(
            f"is a link into a repository; remove the ? or # and what follows, and write {address}"
        )
    path = [unquote(part) for part in parts.path.strip("/").split("/")]
    if any(part in {"", ".", ".."} or "/" in part or "\\" in part for part in path):
        raise ValueError(f"must have the form {_FORM}")
    if (parts.hostname or "").endswith(".visualstudio.com"):
        service, organization = (
            "https://dev.azure.com",
            (parts.hostname or "").removesuffix(".visualstudio.com"),
        )
        base = ""
        if path[0].casefold() == "defaultcollection":
            path = path[1:]
    else:
        service, organization, *path = (origin, *path)
        base = f"/{quote(organization)}"
    match path:
        case [project, "_git", name]:
            pass
        case ["_git", name]:  # the repository that has its project's name
            project = name
        case _:
            raise ValueError(f"must have the form {_FORM}")
    key = (service, organization.casefold(), project.casefold(), name.casefold())
    return Repository(key, origin, organization, project, name, base)
