"""Unusable proxies are found before any request, without leaking their password."""

import json
import logging
import os
import socket
import threading
from collections.abc import Iterator

import pytest
import requests

from git_refresh.clients.proxies import flaw_of
from localcloud import Cloud, Fleet
from tests.support import warm
from tests.support.app import run_app

SECRET = "correct-horse"
VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def environment(fleet: Fleet, **proxies: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return {**kept, **fleet.settings, **proxies}


@pytest.mark.parametrize("command", ["run", "plan", "check", "status"])
def test_nothing_is_sent_where_the_proxy_cannot_be_used(cloud: Cloud, fleet: Fleet, command: str) -> None:
    for name, proxy in (
        ("HTTPS_PROXY", f"http://me:{SECRET}#1@127.0.0.1:9"),
        ("ALL_PROXY", f"socks5://me:{SECRET}@127.0.0.1:9"),
    ):
        for form in ("--json", "--verbose"):
            done = warm.run(command, form, environ=environment(fleet, **{name: proxy}))
            told = (done.stdout + done.stderr).decode()
            assert done.returncode == 2, told
            assert name in told
            assert SECRET not in told
    assert cloud.requests == []


def test_check_has_it_among_the_settings_and_skips_the_rest(cloud: Cloud, fleet: Fleet) -> None:
    done = warm.run("check", "--json", environ=environment(fleet, https_proxy="socks5://127.0.0.1:9"))
    checks = json.loads(done.stdout)["checks"]
    failed = [(each["layer"], each["subject"]) for each in checks if each["status"] == "failed"]
    assert failed == [("settings", "https_proxy")]
    assert {each["status"] for each in checks if each["layer"] != "settings"} == {"skipped"}
    assert cloud.requests == []


def test_offline_such_a_proxy_is_a_warning(fleet: Fleet) -> None:
    environ = environment(fleet, https_proxy="socks5://127.0.0.1:9")
    done = warm.run("check", "--offline", "--json", environ=environ)
    warned = [each for each in json.loads(done.stdout)["checks"] if each["status"] == "warning"]
    assert done.returncode == 0
    assert [(each["subject"], each["error"]["code"]) for each in warned] == [
        ("https_proxy", "proxy_surprising")
    ]


def test_a_proxy_that_no_way_leads_through_stops_nothing(fleet: Fleet) -> None:
    direct = "azuredatabricks.net,azure.net,azure.com,microsoftonline.com,127.0.0.1"
    environ = environment(fleet, ALL_PROXY="socks5://127.0.0.1:9", NO_PROXY=direct, no_proxy=direct)
    done = warm.run("check", "--offline", environ=environ)
    assert (done.returncode, b"ALL_PROXY" in done.stdout) == (0, False)


def test_a_proxy_without_a_port_is_pointed_out(fleet: Fleet) -> None:
    done = warm.run(
        "check",
        "--offline",
        "--json",
        environ=environment(fleet, HTTPS_PROXY=f"http://me:{SECRET}@127.0.0.1"),
    )
    (warned,) = (each for each in json.loads(done.stdout)["checks"] if each["status"] == "warning")
    assert (warned["subject"], warned["error"]["code"]) == ("HTTPS_PROXY", "proxy_surprising")
    assert SECRET not in done.stdout.decode()


class RefusingProxy:
    """A proxy that responds to every CONNECT with one status."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with client:
                self.heads.append(client.recv(65536))
                client.sendall(self.answer)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def proxy() -> Iterator[RefusingProxy]:
    found = RefusingProxy()
    yield found
    found.close()


@pytest.mark.parametrize("written", ["", f"me:{SECRET}@", f"me:{SECRET}@x@"])
def test_a_proxy_that_asks_to_sign_in_is_a_failure_of_its_own(
    fleet: Fleet,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    proxy: RefusingProxy,
    written: str,
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", f"http://{written}127.0.0.1:{proxy.port}")
    caplog.set_level(logging.DEBUG)
    report = run_app({**os.environ, **fleet.settings})
    errors = [found.error for found in report.workspaces if found.error is not None]
    assert {error.code for error in errors} == {"proxy_sign_in"}
    assert len(errors) == len(fleet.workspaces)
    assert f"127.0.0.1:{proxy.port}" in errors[0].cause
    assert "ALL_PROXY" in errors[0].remedy
    assert SECRET not in f"{report} {caplog.text}"


@pytest.mark.parametrize(
    "written",
    [
        "http://{}",
        "HTTP://{}/",
        "{}",
        "//{}",
        "http://me:p@ss@{}",
        "http://me:two words@{}",
        "http://me:100%@{}",
        "me@{}",
        "http://me:x#y@{}",
        "http://me:x/y@{}",
        "http://me:x?y@{}",
        "http://me:x[y@{}",
        "http://contoso\\me:x@{}",
        "me:x@{}",
        "http:/{}",
        "http://{} ",
        " http://{}",
        '"http://{}"',
        "socks5://{}",
        "SOCKS4://me:x@{}",
        "ftp://{}",
        "http;//{}",
        "http://{}:80",
    ],
)
def test_a_proxy_is_called_unusable_exactly_where_nothing_reaches_it(
    proxy: RefusingProxy, written: str
) -> None:
    """The real library decides, with the address of a working proxy."""
    address = written.format(f"127.0.0.1:{proxy.port}")
    with pytest.raises((requests.RequestException, ValueError)):
        requests.get("https://dev.azure.com", proxies={"https": address}, timeout=5)
    assert bool(proxy.heads) == (flaw_of(address) is None)
