from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from git_refresh.model.hosts import NO_HOSTS, TrustedHosts, parse_trusted_hosts
from git_refresh.model.repository import Repository, parse_repository
from git_refresh.output.redact import INVISIBLE

SAME = [
    "https://dev.azure.com/contoso/Data%20Platform/_git/etl",
    "https://dev.azure.com/contoso/Data Platform/_git/etl",
    "https://contoso@dev.azure.com/contoso/Data%20Platform/_git/etl",
    "https://DEV.azure.com/Contoso/data%20platform/_git/ETL/",
    "https://contoso.visualstudio.com/Data%20Platform/_git/etl",
    "https://contoso.visualstudio.com/DefaultCollection/Data%20Platform/_git/etl",
    " https://dev.azure.com:443/contoso/Data%20Platform/_git/etl ",
]


@pytest.mark.parametrize("url", SAME)
def test_every_way_to_write_a_url_names_the_same_repository(url: str) -> None:
    found, first = parse_repository(url, NO_HOSTS), parse_repository(SAME[0], NO_HOSTS)
    assert found == first
    assert hash(found) == hash(first)


def test_a_repository_with_its_projects_name_may_leave_the_project_out() -> None:
    short = parse_repository("https://dev.azure.com/contoso/_git/etl", NO_HOSTS)
    assert short == parse_repository("https://dev.azure.com/contoso/etl/_git/etl", NO_HOSTS)


def test_what_is_asked_is_percent_encoded() -> None:
    found = parse_repository(SAME[1], NO_HOSTS)
    assert found.url == SAME[0]
    assert found.api_url == "https://dev.azure.com/contoso/Data%20Platform/_apis/git/repositories/etl"
    spaced = parse_repository("https://dev.azure.com/contoso/p/_git/my etl", NO_HOSTS)
    assert spaced.url == "https://dev.azure.com/contoso/p/_git/my%20etl"
    assert spaced.api_url.endswith("/repositories/my%20etl")


@pytest.mark.parametrize("url", SAME)
def test_a_repository_is_asked_at_one_address_however_it_is_written(url: str) -> None:
    found = parse_repository(url, NO_HOSTS)
    assert found.origin == "https://dev.azure.com"
    assert found.api_url.lower() == (
        "https://dev.azure.com/contoso/data%20platform/_apis/git/repositories/etl"
    )


def test_a_repository_is_cloned_from_the_host_that_it_was_written_with() -> None:
    urls = [parse_repository(url, NO_HOSTS).url for url in SAME[4:6]]
    assert urls == ["https://contoso.visualstudio.com/Data%20Platform/_git/etl"] * 2


@pytest.mark.parametrize("trusted", ["x.tunnels.api.visualstudio.com", ".visualstudio.com"])
def test_a_trusted_host_below_an_organization_host_gets_its_own_requests(
    trusted: str,
) -> None:
    url = "https://x.tunnels.api.visualstudio.com/contoso/Data%20Platform/_git/etl"
    found = parse_repository(url, TrustedHosts((trusted,)))
    assert found.origin == "https://x.tunnels.api.visualstudio.com"
    assert found != parse_repository(SAME[0], NO_HOSTS)


def test_a_host_of_trusted_hosts_has_the_url_form_of_dev_azure_com() -> None:
    found = parse_repository(
        "https://git.contoso.com:8443/org/project/_git/repo", TrustedHosts(("git.contoso.com",))
    )
    assert (found.organization, found.origin) == ("org", "https://git.contoso.com:8443")


@pytest.mark.parametrize("port", ["", ":443", ":8443"])
def test_a_host_may_be_an_ipv6_address(port: str) -> None:
    trusted, _ = parse_trusted_hosts("fd00::1")
    found = parse_repository(f"https://me@[FD00:0::1]{port}/org/project/_git/repo", trusted)
    origin = f"https://[fd00::1]{port.replace(':443', '')}"
    assert found.origin == origin
    assert found.url == f"{origin}/org/project/_git/repo"


NAMES = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="/\\"), min_size=1
).filter(lambda name: name not in {".", "..", "_git"} and not INVISIBLE.search(name))
ALIKE = st.text("s\u017fK\u212aiI\u0130\u0131\u00df\u1e9e\u00e9\u00c9\u01c5aA", min_size=1, max_size=3)
CHANGES = st.sampled_from([str.casefold, str.upper, str.lower, str.swapcase, str.title])


def in_small_ascii(text: str) -> str:
    return "".join(sign.lower() if sign.isascii() else sign for sign in text)


@given(NAMES | ALIKE, CHANGES, st.integers(0, 2))
@example("shared", lambda _: "\u017fhared", 2)
def test_repositories_that_differ_only_in_ascii_case_are_one(
    one: str, change: Callable[[str], str], place: int
) -> None:
    def at(name: str) -> Repository:
        names = ["a", "b", "c"]
        names[place] = quote(name)
        return parse_repository("https://dev.azure.com/{}/{}/_git/{}".format(*names), NO_HOSTS)

    other = change(one)
    same = in_small_ascii(one) == in_small_ascii(other)
    assert (at(one) == at(other)) is same
    assert not same or at(one).api_url.lower() == at(other).api_url.lower()


@pytest.mark.parametrize("port", [":1", ":2", ""])
def test_a_repository_on_another_host_or_port_is_another(port: str) -> None:
    trusted = TrustedHosts(("git.contoso.com", "git2.contoso.com"))
    urls = [f"https://git.contoso.com{port}", "https://git.contoso.com:3", "https://git2.contoso.com"]
    assert len({parse_repository(f"{url}/a/b/_git/c", trusted) for url in urls}) == 3


NO_REPOSITORY = [
    ("https://github.com/contoso/etl", "is on GitHub, and this app keeps only clones from Azure DevOps"),
    ("https://www.GitHub.com/contoso/etl/_git/etl", "is on GitHub"),
    ("http://www.github.com/contoso/etl", "is on GitHub"),
    ("git@github.com:contoso/etl.git", "is on GitHub"),
    ("ssh://git@github.com/contoso/etl", "is on GitHub"),
    ("github.com/contoso/etl", "is on GitHub"),
    ("https://gitlab.com/contoso/etl", "is on GitLab"),
    ("https://GitLab.contoso.com/etl", "is on GitLab"),
    ("https://me@bitbucket.org/contoso/etl", "is on Bitbucket"),
    ("https://dev.azure.com/github.com/etl", "must have the form"),
    ("https://mygithub.com/contoso/etl", "is not on a trusted host"),
    ("https://dev.azure.com@evil.com/a/b/_git/c", "not on a trusted host"),
    ("https://dev.azure.com.evil.com/a/b/_git/c", "not on a trusted host"),
    ("https://evil.com/dev.azure.com/a/_git/c", "not on a trusted host"),
    ("https://x.tunnels.api.visualstudio.com/b/_git/c", "not on a trusted host"),
    ("https://a.b.visualstudio.com/DefaultCollection/b/_git/c", "not on a trusted host"),
    ("https://visualstudio.com/a/b/_git/c", "not on a trusted host"),
    ("https://-a.visualstudio.com/b/_git/c", "has no valid host name"),
    ("https://a_b.visualstudio.com/b/_git/c", "has no valid host name"),
    ("https://a.visualstudio.com:8443/b/_git/c", "must not contain a port"),
    ("https://a.visualstudio.com/DefaultCollection", "must have the form"),
    ("http://dev.azure.com/a/b/_git/c", "must start with https://"),
    ("https://me:secret@dev.azure.com/a/b/_git/c", "must not contain a password"),
    ("https://dev.azure.com/a/b%0a/_git/c", "invisible character"),
    ("https://dev.azure.com/a/b/_git/c%E2%80%AE", "invisible character"),
    ("https://dev.azure.com/a/b/_git/c\u2028d", "invisible character"),
    ("https://dev.azure.com/a/b/_git/c\ud800d", "invisible character"),
    ("https://dev.azure.com/a/b/_git/%FF", "invalid % escape"),
    ("https://dev.azure.com/a/b/_git/c?path=/x", "is a link into a repository"),
    ("https://dev.azure.com/a/b", "must have the form"),
    ("https://dev.azure.com/a/b/c/_git/d", "must have the form"),
    ("https://dev.azure.com/a/../_git/d", "must have the form"),
    ("https://dev.azure.com/a/./_git/d", "must have the form"),
    ("https://dev.azure.com/a//_git/d", "must have the form"),
    ("https://dev.azure.com/a/b%2fc/_git/d", "must have the form"),
    ("https://dev.azure.com/a/b%5cc/_git/d", "must have the form"),
    ("https://dev.azure.com:99999/a/b/_git/c", "not a valid URL"),
    ("https://[::1/a/b/_git/c", "not a valid URL"),
    ("", "must start with https://"),
]


@pytest.mark.parametrize(("url", "reason"), NO_REPOSITORY)
def test_what_is_no_repository_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_repository(url, NO_HOSTS)


def test_a_trusted_host_may_have_any_name() -> None:
    url = "https://github.contoso.com/contoso/etl/_git/etl"
    assert parse_repository(url, TrustedHosts(["github.contoso.com"])).url == url
