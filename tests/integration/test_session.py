"""The session over a real socket: limits of a response, and the part that an SDK gets."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import repeat
from typing import Any

import pytest
import requests
import urllib3

from git_refresh.clients import connections
from git_refresh.clients.connections import AnswerTooLargeError, tls_context
from git_refresh.clients.retry import call
from git_refresh.clients.session import MAX_HEAD, BoundedSession, ByteBudget, NotJsonError, RedirectedError
from git_refresh.failures.failure import Operation, Service, ServiceError
from git_refresh.model.clock import Deadline, SystemClock, operation
from git_refresh.output.mask import SecretFilter
from tests.support.fakes import FakeClock

TLS = tls_context()
OK = b"HTTP/1.1 200 OK\r\n"
Pieces = Iterator[bytes]


class Server:
    """A plain HTTP server that sends the same pieces for every request, then closes.

    `heads`: each request up to its body.
    `written`: bytes of responses that were read.
    `left`: set when the client disconnects before the end.
    """

    def __init__(self, pieces: Callable[[], Pieces], *, pause: float = 0.0, reads: bool = True) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.heads: list[bytes] = []
        self.written = 0
        self.left = threading.Event()
        self._pieces, self._pause, self._reads = pieces, pause, reads
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection:
                    try:
                        self._answer(connection)
                    except OSError:
                        self.left.set()

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(20)
        if not self._reads:
            time.sleep(3)
            return
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65_536)
        self.heads.append(head)
        for piece in self._pieces():
            connection.sendall(piece)
            self.written += len(piece)
            time.sleep(self._pause)

    def close(self) -> None:
        with suppress(OSError):  # closed already
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def serve(*pieces: bytes, forever: bytes = b"", pause: float = 0.0, reads: bool = True) -> Server:
        def all_of_them() -> Pieces:
            yield from pieces
            if forever:
                yield from repeat(forever)

        servers.append(Server(all_of_them, pause=pause, reads=reads))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def ask(
    server: Server,
    method: str = "GET",
    *,
    seconds: float = 20.0,
    max_body: int = 100_000,
    session: BoundedSession | None = None,
    data: bytes | None = None,
) -> tuple[requests.Response, bytes]:
    """Return the response as an SDK gets it, and the body for the diagnosis."""
    session = session or BoundedSession([server.origin], TLS, max_body=max_body)
    session.trust_env = False
    with operation(Deadline.after(seconds, SystemClock())) as under_way:
        response = session.request(method, server.origin, data=data)
        assert under_way.answer is not None
        return response, under_way.answer.body


FAILED = (requests.RequestException, urllib3.exceptions.HTTPError, TimeoutError)
"""Exceptions that the guard converts; for a body, urllib3 raises them."""

ENDLESS = {
    "headers": (OK, b"x: y\r\n"),
    "one header": (OK + b"x: ", b"y" * 1000),
    "leaves to go on": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body of unknown length": (OK + b"\r\n", b" " * 1000),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"3e8\r\n" + b" " * 1000 + b"\r\n"),
    "extensions of chunks": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        b"1;" + b"x" * 60_000 + b"\r\n \r\n",
    ),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 200),
    "a body packed small": (
        OK + b"Content-Encoding: gzip\r\n\r\n",
        gzip.compress(b" " * 50_000_000),
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_of_an_answer_without_end_little_is_taken(serve: Callable[..., Server], what: str) -> None:
    start, forever = ENDLESS[what]
    server = serve(start, forever=forever)
    session = BoundedSession([server.origin], TLS, max_body=100_000)
    with pytest.raises(FAILED):
        ask(server, session=session)
    assert server.left.wait(5), "the connection is not kept"
    taken = 8_000_000  # the size plus both buffers of the connection
    assert server.written < taken


def test_an_endless_response_is_reported_as_too_large(serve: Callable[..., Server]) -> None:
    for start, forever in (ENDLESS["leaves to go on"], ENDLESS["chunks"], ENDLESS["extensions of chunks"]):
        server = serve(start, forever=forever)
        session = BoundedSession([server.origin], TLS, max_body=100_000)
        session.trust_env = False
        with pytest.raises(ServiceError) as caught:
            call(
                Service.DATABRICKS,
                Operation.READ_JOB.of(),
                partial(session.get, server.origin),
                deadline=Deadline.after(20, SystemClock()),
                secrets=SecretFilter(),
            )
        assert caught.value.failure.kind == "too_large"


@pytest.mark.parametrize("size", [100_000, 100_001])
def test_a_body_may_have_what_is_allowed_and_no_byte_more(serve: Callable[..., Server], size: int) -> None:
    body = b'{"a": "' + b"x" * (size - 9) + b'"}'
    server = serve(OK + b"Content-Length: %d\r\n\r\n" % size, body)
    if size == 100_000:
        assert ask(server)[0].content == body
        return
    with pytest.raises(AnswerTooLargeError):
        ask(server)


def test_the_head_counts_apart_from_the_body(serve: Callable[..., Server]) -> None:
    lines = b"".join(b"x%d: %s\r\n" % (number, b"y" * 600) for number in range(90))
    assert len(lines) < MAX_HEAD
    assert ask(serve(OK, lines, b"\r\n", b"{}"), max_body=2)[0].content == b"{}"


@pytest.mark.parametrize("start", [b"", OK, OK + b"\r\n"], ids=["its status", "its headers", "its body"])
def test_an_answer_that_drips_ends_with_its_operation(serve: Callable[..., Server], start: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(FAILED):
        ask(serve(start, forever=b"x", pause=0.05), seconds=0.6)
    assert time.monotonic() - began < 3


def test_a_request_that_is_not_taken_ends_with_its_operation(serve: Callable[..., Server]) -> None:
    began = time.monotonic()
    with pytest.raises(FAILED):
        ask(serve(reads=False), "POST", data=b"x" * 50_000_000, seconds=0.6)
    assert time.monotonic() - began < 2.5


def test_a_handshake_that_hangs_ends_with_its_operation(serve: Callable[..., Server]) -> None:
    origin = serve(reads=False).origin.replace("http:", "https:")
    session = BoundedSession([origin], TLS)
    session.trust_env = False
    began = time.monotonic()
    with (
        operation(Deadline.after(0.6, SystemClock())),
        pytest.raises((requests.RequestException, TimeoutError)),
    ):
        session.get(origin)
    assert time.monotonic() - began < 2.5


def test_one_party_may_send_no_more_than_its_allowance_in_a_run(serve: Callable[..., Server]) -> None:
    server = serve(OK + b"\r\n", b"{" + b" " * 98 + b"}")
    session = BoundedSession([server.origin], TLS, allowance=ByteBudget(250))
    for _ in range(2):
        ask(server, session=session)
    with pytest.raises(AnswerTooLargeError):
        ask(server, session=session)


def test_an_answer_is_forgotten_before_the_next_request(serve: Callable[..., Server]) -> None:
    server = serve(OK + b"\r\n{}")
    session = BoundedSession([server.origin], TLS)
    session.trust_env = False
    with operation(Deadline.after(20, SystemClock())) as under_way:
        session.get(server.origin)
        assert under_way.answer
        server.close()
        with pytest.raises(requests.ConnectionError):
            session.get(server.origin)
        assert under_way.answer is None


def test_the_proxy_of_an_origin_is_looked_up_once_and_honors_no_proxy(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # an unused port
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked, look_up = list[str](), requests.utils.get_environ_proxies

    def noted(url: str) -> dict[str, str]:
        asked.append(url)
        return look_up(url)

    monkeypatch.setattr(requests.utils, "get_environ_proxies", noted)
    server = serve(OK, b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
    with BoundedSession([server.origin], TLS) as session, operation(Deadline.after(5, SystemClock())):
        for number in range(3):
            assert session.get(f"{server.origin}/{number}").ok
    assert asked == [f"{server.origin}/0"]


def test_a_small_request_is_sent_at_once(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nagle's algorithm, which urllib3 uses through a proxy, delays a body by some 40 ms."""
    options = list[int]()
    bounded = connections._bounded

    def noted(connected: socket.socket) -> connections._BoundedSocket:
        made = bounded(connected)
        options.append(made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return made

    monkeypatch.setattr(connections, "_bounded", noted)
    server = serve(OK, b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
    monkeypatch.setenv("HTTP_PROXY", server.origin)
    monkeypatch.setenv("NO_PROXY", "")
    with (
        BoundedSession(["http://contoso.example"], TLS) as session,
        operation(Deadline.after(5, SystemClock())),
    ):
        assert session.get("http://contoso.example/").ok
    assert options == [1]


def test_no_cookie_is_kept(serve: Callable[..., Server]) -> None:
    server = serve(OK + b"Set-Cookie: a=b; Path=/\r\n\r\n{}")
    session = BoundedSession([server.origin], TLS)
    for _ in range(2):
        ask(server, session=session)
    assert not session.cookies
    assert not any(b"cookie" in head.lower() for head in server.heads)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_is_neither_followed_nor_a_success(
    serve: Callable[..., Server], status: int, method: str
) -> None:
    server = serve(b"HTTP/1.1 %d X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status)
    with pytest.raises(RedirectedError):
        ask(server, method)
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", b""), ("GET", b"<html>"), ("GET", b"[]"), ("POST", b"<html>"), ("GET", b'{"a": NaN}')],
)
def test_a_success_without_a_json_object_is_none(
    serve: Callable[..., Server], method: str, body: bytes
) -> None:
    with pytest.raises(NotJsonError):
        ask(serve(OK + b"\r\n", body), method)


def test_a_write_may_be_answered_with_nothing(serve: Callable[..., Server]) -> None:
    assert ask(serve(OK + b"\r\n"), "POST")[0].content == b""


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"\xff", b'{"a": ' + b"9" * 5000 + b"1e}"])
def test_an_sdk_gets_no_error_that_is_no_json_and_the_diagnosis_does(
    serve: Callable[..., Server], body: bytes
) -> None:
    response, kept = ask(serve(b"HTTP/1.1 500 X\r\n\r\n", body))
    assert (response.content, kept) == (b"", body)


def test_a_connection_that_is_there_too_late_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()

    def connect_late(*args: Any, **kwargs: Any) -> socket.socket:
        connected = connect(*args, **kwargs)
        clock.sleep(2)
        return connected

    connect = urllib3.util.connection.create_connection
    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect_late)
    with socket.create_server(("127.0.0.1", 0)) as server, operation(Deadline.after(1, clock)):
        origin = f"http://127.0.0.1:{server.getsockname()[1]}"
        with BoundedSession([origin], TLS) as session, pytest.raises(requests.ConnectionError) as held:
            session.get(origin)
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(5)
            assert accepted.recv(1) == b"", "whoever has connected has hung up"
    # kept until here, because its destructor closes the connection
    assert "the time for this operation has passed" in str(held.value)
