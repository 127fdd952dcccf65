import re

import pytest

from git_refresh.model.hosts import NO_HOSTS, Domain, TrustedHosts, origin_of, parse_trusted_hosts

HOSTILE = [
    "https://adb-1.azuredatabricks.net.evil.com",
    "https://evilazuredatabricks.net",
    "https://azuredatabricks.net",
    "https://.azuredatabricks.net",
    "https://adb-1.azuredatabricks.net@evil.com",
    "https://evil.com#adb-1.azuredatabricks.net",
    "https://evil.com?x=.azuredatabricks.net",
    "https://evil.com\\.azuredatabricks.net",
    "https://evil.com/.azuredatabricks.net",
    "https://adb-1.azuredatabricks.net.",
    "https://adb-1.azuredatabricks.net:8443",
    "https://adb-1.azuredatabricks.net:99999",
    "https://adb-1.\uff41zuredatabricks.net",
    "https://adb-1.azuredatabricks\u3002net",
    "https://xn--adb-1-.azuredatabricks.net:443:443",
    "https://[::1]",
    "https://[fe80::1%25eth0]",
    "https://[::ffff:10.0.0.1].azuredatabricks.net",
    "https://127.0.0.1",
    "https://2130706433",
    "https://localhost",
    "http://adb-1.azuredatabricks.net",
    "ftp://adb-1.azuredatabricks.net",
    "//adb-1.azuredatabricks.net",
    "https:adb-1.azuredatabricks.net",
    "https:///adb-1.azuredatabricks.net",
    "https://user:password@adb-1.azuredatabricks.net",
    "https://adb_1.azuredatabricks.net",
    "https://adb-1..azuredatabricks.net",
    "https://-.azuredatabricks.net",
    "https://adb-1 .azuredatabricks.net",
    "https://adb-1\n.azuredatabricks.net",
    "https://%61db-1.azuredatabricks.net",
    "",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_host_is_not_trusted(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        origin_of(url, Domain.DATABRICKS, NO_HOSTS)


REASONS = {
    "a user name": (
        Domain.DATABRICKS,
        "https://adb-1.azuredatabricks.net@evil.com",
        "must not contain a user name or password",
    ),
    "letters that only look like others": (
        Domain.DATABRICKS,
        "https://adb-1.\u0430zuredatabricks.net",
        "has no valid host name",
    ),
    "a line break": (
        Domain.DATABRICKS,
        "https://adb-1\n.azuredatabricks.net",
        "contains a line break or another invisible character",
    ),
    "a port": (
        Domain.DATABRICKS,
        "https://adb-1.azuredatabricks.net:8443",
        "must not contain a port; write https://adb-1.azuredatabricks.net",
    ),
    "another host": (
        Domain.AZURE_DEVOPS,
        "https://evil.com",
        "expected dev.azure.com or *.visualstudio.com, or",
    ),
}


@pytest.mark.parametrize(("domain", "url", "reason"), REASONS.values(), ids=REASONS)
def test_a_refused_host_has_a_reason_and_a_correction(domain: Domain, url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        origin_of(url, domain, NO_HOSTS)


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        (Domain.DATABRICKS, "dev.azure.com"),
        (Domain.DATABRICKS, "contoso.vault.azure.net"),
        (Domain.KEY_VAULT, "adb-1.7.azuredatabricks.net"),
        (Domain.KEY_VAULT, "vault.azure.net"),
        (Domain.KEY_VAULT, "contoso.azure.net"),
        (Domain.KEY_VAULT, "evilvault.azure.net"),
        (Domain.AZURE_DEVOPS, "contoso.azure.com"),
        (Domain.AZURE_DEVOPS, "evil.dev.azure.com"),
        (Domain.AZURE_DEVOPS, "evildev.azure.com"),
        (Domain.AZURE_DEVOPS, "evilvisualstudio.com"),
        (Domain.AZURE_DEVOPS, "visualstudio.com"),
        (Domain.AZURE_DEVOPS, "a.b.visualstudio.com"),
        (Domain.AZURE_DEVOPS, "x.tunnels.api.visualstudio.com"),
    ],
)
def test_one_service_is_not_trusted_in_the_place_of_another(domain: Domain, host: str) -> None:
    with pytest.raises(ValueError, match="not on a trusted host"):
        origin_of(f"https://{host}", domain, NO_HOSTS)


def test_one_host_has_one_origin() -> None:
    forms = [
        "https://adb-1.7.azuredatabricks.net",
        "https://ADB-1.7.AzureDatabricks.net:443/",
        "HTTPS://adb-1.7.azuredatabricks.net",
    ]
    assert {origin_of(form, Domain.DATABRICKS, NO_HOSTS) for form in forms} == {
        "https://adb-1.7.azuredatabricks.net"
    }


@pytest.mark.parametrize(
    ("entry", "host", "expected"),
    [
        ("git.contoso.com", "git.contoso.com", True),
        ("git.contoso.com", "a.git.contoso.com", False),
        (".contoso.com", "git.contoso.com", True),
        (".contoso.com", "contoso.com", False),
        (".contoso.com", "evilcontoso.com", False),
        ("10.0.0.4", "10.0.0.4", True),
        ("10.0.0.4", "10.0.0.40", False),
        ("fd00::4", "fd00::4", True),
        ("fd00:0:0::4", "fd00::4", True),
        ("fd00::4", "FD00:0::0004", True),
        ("fd00::4", "fd00::5", False),
        (".com", "a.contoso.com", True),
        ("contoso.com", ".contoso.com", False),
    ],
)
def test_trusted_hosts_are_names_suffixes_and_addresses(entry: str, host: str, expected: bool) -> None:  # noqa: FBT001
    trusted, complaints = parse_trusted_hosts(f" {entry.upper()} ,")
    assert not complaints
    assert trusted.trusts(host) is expected


def test_one_trusted_host_has_one_origin() -> None:
    trusted = TrustedHosts(("git.contoso.com", "fd00::4"))
    forms = ["https://git.contoso.com", "https://GIT.contoso.com:443/x", "https://git.contoso.com:/"]
    assert {origin_of(form, Domain.AZURE_DEVOPS, trusted) for form in forms} == {"https://git.contoso.com"}
    addresses = ["https://[fd00::4]", "https://[FD00:0::4]:443", "https://[fd00:0:0:0:0:0:0:4]/x"]
    assert {origin_of(form, Domain.AZURE_DEVOPS, trusted) for form in addresses} == {"https://[fd00::4]"}


def test_an_address_with_a_zone_is_none_that_could_be_trusted() -> None:
    trusted, complaints = parse_trusted_hosts("fe80::1%eth0")
    assert len(complaints) == 1
    with pytest.raises(ValueError, match="has no valid host name"):
        origin_of("https://[fe80::1%eth0]", Domain.KEY_VAULT, trusted)


@pytest.mark.parametrize(
    "origin", ["https://10.0.0.4:8443", "https://[fd00::4]:8443", "https://git.contoso.com:1"]
)
def test_a_trusted_host_may_be_asked_on_any_port(origin: str) -> None:
    trusted = TrustedHosts(("10.0.0.4", "fd00::4", "Git.Contoso.com"))
    assert origin_of(origin, Domain.KEY_VAULT, trusted) == origin


@pytest.mark.parametrize("entry", ["https://a.b", "a.b:443", "a.b/c", "*.b.c", "a b", "a..b", "."])
def test_an_entry_that_is_no_host_is_complained_about(entry: str) -> None:
    _, complaints = parse_trusted_hosts(f"good.example,{entry}")
    assert len(complaints) == 1
    assert f'"{entry}" must be a host name' in complaints[0]
