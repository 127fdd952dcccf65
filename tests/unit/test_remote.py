"""Remote URLs of Git folders in all common forms."""

import pytest

from git_refresh.model.hosts import NO_HOSTS, TrustedHosts
from git_refresh.model.repository import RemoteKind, on_server, parse_repository, read_remote

TOKEN = "correcthorsebatterystaple"
HTTPS = "https://dev.azure.com/contoso/Data%20Platform/_git/etl"
TRUSTED = TrustedHosts(("git.contoso.com", "tfs.contoso.com", "10.0.0.4"))


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{TOKEN}@dev.azure.com/contoso/Data%20Platform/_git/etl",
        f"https://:{TOKEN}@dev.azure.com/contoso/Data%20Platform/_git/etl",
        f"https://me:{TOKEN}@x@dev.azure.com/contoso/Data%20Platform/_git/etl",
        f"https://me:{TOKEN}@contoso.visualstudio.com/Data%20Platform/_git/etl",
        f"https://{'a' * 51}2@dev.azure.com/contoso/Data%20Platform/_git/etl",
    ],
)
def test_a_remote_with_a_password_is_its_repository_without_it(url: str) -> None:
    found = read_remote(url, NO_HOSTS)
    assert (found.kind, found.has_password) == (RemoteKind.REPOSITORY, True)
    assert found.repository == parse_repository(HTTPS, NO_HOSTS)
    assert TOKEN not in repr(found)


@pytest.mark.parametrize("url", [HTTPS, HTTPS.replace("https://", "https://contoso@"), f"{HTTPS}/"])
def test_an_organization_before_the_host_is_no_password(url: str) -> None:
    found = read_remote(url, NO_HOSTS)
    assert (found.kind, found.has_password) == (RemoteKind.REPOSITORY, False)


@pytest.mark.parametrize(
    "url",
    [
        "git@ssh.dev.azure.com:v3/contoso/Data%20Platform/etl",
        "ssh://git@ssh.dev.azure.com/v3/contoso/Data%20Platform/etl",
        "ssh://git@ssh.dev.azure.com:22/v3/contoso/Data%20Platform/etl/",
        "ssh://git@ssh.dev.azure.com:v3/contoso/Data%20Platform/etl",
        "contoso@vs-ssh.visualstudio.com:v3/contoso/Data%20Platform/etl",
        "ssh://contoso@vs-ssh.visualstudio.com:22/v3/contoso/Data%20Platform/etl",
        f"git::{HTTPS}",
    ],
)
def test_what_is_no_https_address_leads_to_the_one_that_is_meant(url: str) -> None:
    found = read_remote(url, NO_HOSTS)
    assert (found.kind, found.https) == (RemoteKind.NO_HTTPS, HTTPS)


@pytest.mark.parametrize(
    "url", [f"{HTTPS}.git", HTTPS.replace("%20", "%2520"), HTTPS.replace("%20", "%2520") + ".git"]
)
def test_a_wrong_azure_devops_url_comes_with_the_right_one(url: str) -> None:
    assert read_remote(url, NO_HOSTS).https == HTTPS


SERVERS = (
    "https://tfs.contoso.com/tfs/DefaultCollection/Data/_git/etl",
    "http://tfs.contoso.com:8080/tfs/DefaultCollection/Data/_git/etl",
    "https://devops.fabrikam.com/DefaultCollection/Data/_git/etl",
    "https://devops.fabrikam.com/Contoso/Data/_git/etl",
    "https://devops.fabrikam.com:8080/Contoso/_git/etl",
    "https://me:secret@10.1.2.3/tfs/Contoso/Data/_git/etl",
    "ssh://tfs.fabrikam.local:22/DefaultCollection/Data/_git/etl",
    "https://git.contoso.com/tfs/Contoso/Data/_git/etl",
    "https://git.contoso.com/defaultcollection/Data/_git/etl",
    "https://git.contoso.com:8080/Contoso/Data/_git/etl",
    "https://10.0.0.4:8080/Contoso/Data/_git/etl",
    "https://tfs.contoso.com/Contoso/Data/_git/etl",
)


@pytest.mark.parametrize("url", SERVERS)
def test_azure_devops_server_is_known_by_its_address_trusted_or_not(url: str) -> None:
    assert read_remote(url, TRUSTED).kind is RemoteKind.SERVER
    with pytest.raises(ValueError, match=r"Azure DevOps Server|password") as caught:
        parse_repository(url, TRUSTED)
    assert "TRUSTED_HOSTS" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        HTTPS,
        "https://contoso.visualstudio.com/DefaultCollection/Data/_git/etl",
        "https://dev.azure.com/contoso/tfs/_git/etl",
        "https://git.contoso.com/contoso/Data/_git/etl",
        "https://git.contoso.com:8443/contoso/tfs/_git/etl",
        "https://github.com/tfs/etl.git",
        "https://gitea.fabrikam.com/tfs/etl.git",
        "git@ssh.dev.azure.com:v3/contoso/tfs/etl",
        "https://[",
        "",
    ],
)
def test_nothing_else_is_taken_for_azure_devops_server(url: str) -> None:
    assert not on_server(url, TRUSTED)
    assert read_remote(url, TRUSTED).kind is not RemoteKind.SERVER


@pytest.mark.parametrize(
    "url", ["https://github.com/a/b", "https://me:x@gitlab.contoso.com/a/b.git", "file:///tmp/x"]
)
def test_another_service_is_elsewhere(url: str) -> None:
    assert read_remote(url, TRUSTED).kind is RemoteKind.ELSEWHERE
