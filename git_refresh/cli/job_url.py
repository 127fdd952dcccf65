"""Where a job's git_url leads: to a repository, to an address that is none though it is meant for Azure DevOps, or elsewhere. Pure."""

import re
from dataclasses import dataclass

from git_refresh.admin.job_values import GitSource
from git_refresh.model.hosts import Domain, TrustedHosts
from git_refresh.model.repository import Repository, parse_repository, without_user
from git_refresh.model.values import PROVIDER

_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#]*@)?([^/?#:]*)", re.IGNORECASE)
_SSH = "ssh.dev.azure.com"
_OF_FOLDERS = ", or leave this folder out"
"""How what is wrong with a URL ends where it is that of a Git folder."""


@dataclass(frozen=True, slots=True)
class JobUrl:
    """A URL that is meant for Azure DevOps.

    Attributes:
        url: as it is written, without a user or a password.
        repository: where it leads; None: nowhere.
        problem: what is wrong with it, as it reads on after the URL.
        surely: whether no job can clone from an address like this. It may be another name of Azure DevOps that no setting knows.
        has_secret: whether a password or a token is in it.
    """

    url: str
    repository: Repository | None
    problem: str = ""
    surely: bool = True
    has_secret: bool = False


def read_address(source: GitSource, trusted: TrustedHosts) -> JobUrl | None:
    """Read the URL of a job's Git source; None: it is one of another service."""
    url, has_secret = without_user(source.url.strip())
    try:
        return JobUrl(url, parse_repository(url, trusted), has_secret=has_secret)
    except ValueError as error:
        problem = str(error).removesuffix(_OF_FOLDERS)
    for_devops = source.provider.casefold().startswith(PROVIDER.casefold())
    found = _HOST.match(url)
    host = found[1].lower() if found else ""
    theirs = host == _SSH or Domain.AZURE_DEVOPS.has(host)
    # On a trusted host there may be other services besides.
    theirs = theirs or (trusted.trusts(host) and (for_devops or "/_git/" in url))
    if not theirs and not for_devops:
        return None
    written = url if "://" in url else url.rpartition("@")[2]
    return JobUrl(written, None, problem, surely=theirs, has_secret=has_secret)
