"""The session of every SDK: requests that it refuses before it needs a socket."""

import pytest
import requests

from git_refresh.clients.connections import tls_context
from git_refresh.clients.session import BoundedSession, RequestRefusedError, proxy_of
from git_refresh.model.clock import Deadline, current_operation, operation
from tests.support.fakes import FakeClock

ORIGIN = "https://adb-1.1.azuredatabricks.net"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://adb-2.1.azuredatabricks.net/",
        "https://adb-1.1.azuredatabricks.net.evil.example/",
        "https://adb-1.1.azuredatabricks.net@evil.example/",
        "https://user@adb-1.1.azuredatabricks.net/",
        "https://adb-1.1.azuredatabricks.net:8443/",
        "https://adb-1.1.azuredatabricks.net:80/",
        "https://adb-1.1.azuredatabricks.net:443@evil.example/",
        "https://evil.example:443/",
        "http://adb-1.1.azuredatabricks.net:443/",
        "https://adb-1.1.azuredatabricks.net./",
        "http://adb-1.1.azuredatabricks.net/",
        "https://127.0.0.1/",
    ],
)
def test_nothing_is_sent_to_another_origin(url: str) -> None:
    session = BoundedSession([ORIGIN], tls_context())
    with operation(Deadline.after(60, FakeClock())), pytest.raises(RequestRefusedError):
        session.get(url, headers={"Authorization": "Bearer secret"})


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        (ORIGIN, f"{ORIGIN}:443/secrets/oauth/versions?$skiptoken=1"),
        (f"{ORIGIN}:443", f"{ORIGIN}/"),
        (ORIGIN.upper().replace("HTTPS", "https"), f"{ORIGIN}/"),
        (f"{ORIGIN}:8443", f"{ORIGIN}:8443/"),
    ],
)
def test_a_port_that_goes_without_saying_is_the_same_origin(
    monkeypatch: pytest.MonkeyPatch, origin: str, url: str
) -> None:
    class SentError(Exception):
        pass

    def send(*_: object, **__: object) -> None:
        raise SentError

    monkeypatch.setattr(requests.Session, "send", send)
    session = BoundedSession([origin], tls_context())
    with operation(Deadline.after(60, FakeClock())), pytest.raises(SentError):
        session.get(url)


@pytest.mark.parametrize(
    ("proxies", "shown"),
    [
        ({}, ""),
        ({"http": "http://proxy.contoso.com:8080"}, ""),
        ({"https": "http://proxy.contoso.com:8080"}, "proxy.contoso.com:8080"),
        ({"https": "proxy.contoso.com:8080/"}, "proxy.contoso.com:8080"),
        ({"https": "http://me:hunter2@proxy.contoso.com:8080"}, "proxy.contoso.com:8080"),
        ({"https": "me:hunter2@proxy.contoso.com"}, "proxy.contoso.com"),
        ({"all": "socks5://[::1]:1080"}, "[::1]:1080"),
        ({"https": "http://proxy:hunter2"}, ""),
        ({"https": "http://[proxy"}, ""),
    ],
)
def test_a_proxy_is_named_without_its_password(proxies: dict[str, str], shown: str) -> None:
    assert proxy_of(ORIGIN, proxies) == shown


def test_nothing_is_sent_outside_of_an_operation_or_after_its_end() -> None:
    session = BoundedSession([ORIGIN], tls_context())
    with pytest.raises(LookupError):
        session.get(ORIGIN)
    with operation(Deadline.after(0, FakeClock())), pytest.raises(TimeoutError):
        session.get(ORIGIN)


def test_an_operation_inside_another_ends_with_the_earlier_one() -> None:
    clock = FakeClock()
    with operation(Deadline.after(5, clock)), operation(Deadline.after(60, clock)):
        assert current_operation().seconds_left() == 5
    with operation(Deadline.after(60, clock)), operation(Deadline.after(5, clock)):
        assert current_operation().seconds_left() == 5


def test_certificates_are_always_verified() -> None:
    context = tls_context()
    assert (context.verify_mode.name, context.check_hostname) == ("CERT_REQUIRED", True)
