"""Proxies in the environment: unusable ones, and their messages."""

import pytest

from git_refresh.clients.proxies import flaw_of, portless_proxy, proxy_problems, proxy_variable
from git_refresh.output.redact import shown_proxy

URLS = ("https://dev.azure.com", "https://contoso.vault.azure.net")
SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def _without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


UNUSABLE = {
    "socks5://proxy.contoso.com:1080": "SOCKS",
    f"SOCKS5H://me:{SECRET}@proxy:1080": "SOCKS",
    "socks4a://10.0.0.4:9050": "SOCKS",
    f"http://me:{SECRET}#1@proxy:8080": "%23 for #",
    f"http://me:{SECRET}/1@proxy:8080": "%2F for /",
    f"http://me:{SECRET}?1@proxy:8080": "%3F for ?",
    f"http://me:{SECRET}[1@proxy:8080": "%5B for [",
    f"http://CONTOSO\\me:{SECRET}@proxy:8080": "%5C for \\",
    f"me:{SECRET}#@proxy:8080": "%23 for #",
    f"http://me:{SECRET}@proxy:8080 ": "blank",
    " http://proxy:8080": "blank",
    "http://proxy:8080\n": "blank",
    '"http://proxy:8080"': "quotation marks",
    "'http://proxy:8080'": "quotation marks",
    "ftp://proxy:8080": "must start with http://",
    "proxy:8080": "must start with http://",
    f"me:{SECRET}@proxy:8080": "must start with http://",
    "http:/proxy:8080": "must start with http://",
    "http://": "is not the address of a proxy",
    f"http://me:{SECRET}@:8080": "is not the address of a proxy",
    "http://proxy:80a": "is not the address of a proxy",
    "http://proxy:99999": "is not the address of a proxy",
    "http://proxy:0": "is not the address of a proxy",
    "http://pro xy:8080": "is not the address of a proxy",
    "http://$(PROXY_HOST):8080": "placeholder",
    f"http://me:{SECRET}@${{PROXY}}": "placeholder",
    "http://<proxy>:8080": "placeholder",
}
USABLE = (
    "http://proxy.contoso.com:8080",
    "https://proxy.contoso.com:8443/",
    "HTTP://10.0.0.4:3128",
    "http://[fd00::4]:3128",
    "10.0.0.4:3128",
    "http://my_proxy:3128",
    "http://me:p@ss@proxy:8080",
    "http://me:two words@proxy:8080",
    "http://me:100%@proxy:8080",
    "http://me:%23@proxy:8080",
    "http://proxy",
)


@pytest.mark.parametrize("proxy", UNUSABLE)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "Https_Proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, proxy: str, name: str
) -> None:
    monkeypatch.setenv(name, proxy)
    (problem,) = proxy_problems(URLS)
    assert problem.location == name
    assert UNUSABLE[proxy] in problem.message
    assert SECRET not in str(problem)


@pytest.mark.parametrize("proxy", UNUSABLE)
def test_a_proxy_that_is_not_on_the_way_is_not_judged(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "azure.com,.azure.net")
    assert proxy_problems(URLS) == []
    assert proxy_problems([*URLS, "https://adb-1.2.azuredatabricks.net"])
    monkeypatch.setenv("HTTPS_PROXY", "http://10.0.0.4:3128")
    monkeypatch.delenv("NO_PROXY")
    assert proxy_problems(URLS) == []  # requests uses ALL_PROXY only without HTTPS_PROXY
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.delenv("ALL_PROXY")
    monkeypatch.setenv("HTTP_PROXY", proxy)
    assert proxy_problems(URLS) == []


@pytest.mark.parametrize("proxy", USABLE)
def test_a_proxy_that_can_be_used_is_no_problem(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert flaw_of(proxy) is None
    assert proxy_problems(URLS) == []


def test_the_variable_that_counts_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://a:1")
    assert proxy_variable() == "ALL_PROXY"
    monkeypatch.setenv("HTTPS_PROXY", "socks5://b:1")
    assert proxy_variable() == "HTTPS_PROXY"
    monkeypatch.setenv("https_proxy", "socks5://c:1")
    assert proxy_variable() == "https_proxy"
    monkeypatch.setenv("https_proxy", "socks5://b:1")
    assert proxy_variable() == "HTTPS_PROXY"


@pytest.mark.parametrize(
    ("proxy", "host"),
    [
        ("http://me:x@proxy", "proxy"),
        ("10.0.0.4", "10.0.0.4"),
        ("http://proxy:80", ""),
        ("socks5://proxy", ""),
    ],
)
def test_a_proxy_without_a_port_is_known(monkeypatch: pytest.MonkeyPatch, proxy: str, host: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert portless_proxy(URLS) == host
    monkeypatch.setenv("NO_PROXY", "*")
    assert portless_proxy(URLS) == ""


@pytest.mark.parametrize("proxy", [*UNUSABLE, *USABLE, f"me:{SECRET}", f"http://me:{SECRET}", f"x {SECRET}"])
def test_what_is_shown_of_a_proxy_is_its_address_alone(proxy: str) -> None:
    found = shown_proxy(proxy)
    assert SECRET not in found
    assert not {"p@ss", "words", "100%", "%23"} & set(found.replace("@", " ").replace(":", " ").split())
    assert "me" not in found.split(":")


def test_the_address_of_a_proxy_is_shown_in_full() -> None:
    assert shown_proxy(f"http://me:{SECRET}@p@proxy.contoso.com:8080/") == "http://proxy.contoso.com:8080"
    assert shown_proxy(f"me:{SECRET}@10.0.0.4") == "10.0.0.4"
