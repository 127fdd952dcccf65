"""The one HTTP session that every SDK of the app is given.

Whatever an SDK's own settings say, here a request goes to the one origin it is meant for, over TLS that was verified, is
never redirected, ends when its operation's deadline has come (connecting, a byte at a time, or endless), and
brings back at most `MAX_BODY` bytes. `~/.netrc` is not read. The answer is noted for the diagnosis, since SDK exceptions lose its
status and headers, and carry text that must not get out.
"""

import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, override
from urllib.parse import urlsplit

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from git_refresh.clock import Skew, seconds_left

MAX_BODY = 4 * 1024 * 1024
"""Bytes. The largest honest answer, a page of Git folders or a branch's refs, is far below it."""

CONNECT_LIMIT = 10.0
"""Seconds for one attempt to connect; a host name may have several addresses, and each is tried for so long."""


class RequestRefusedError(requests.RequestException):
    """A request to somewhere else than the session's origin: it was not sent."""


class RedirectedError(requests.RequestException):
    """A redirect: it is not followed, and never a success (an SDK takes one without a body for that)."""


class AnswerTooLargeError(requests.RequestException):
    """The answer went on past `MAX_BODY` and was dropped."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back last, kept for the diagnosis. The body may hold secrets: it is read, never shown."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


_last_answer: ContextVar[Answer | None] = ContextVar("last_answer", default=None)


def last_answer() -> Answer | None:
    """The answer to this thread's latest request; None when the request has had none."""
    return _last_answer.get()


def forget_answer() -> None:
    """Start afresh, so that a later failure is not explained by an earlier answer."""
    _last_answer.set(None)


class _BoundedSocket(socket.socket):
    """A socket of which each read and write ends with the operation it is for."""

    @override
    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(seconds_left())
        return super().recv_into(*args, **kwargs)

    @override
    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(seconds_left())
        super().sendall(*args, **kwargs)


class _BoundedTLSSocket(_BoundedSocket, ssl.SSLSocket):
    """The same over TLS."""


class _BoundedConnection(HTTPConnection):
    @override
    def connect(self) -> None:
        super().connect()
        self.sock = _BoundedSocket(fileno=self.sock.detach())


class _BoundedConnectionPool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection


def tls_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """One verified context for a whole run: parsing the CA bundle anew per connection costs more than all requests do.

    `REQUESTS_CA_BUNDLE` (a file or a directory) is honoured, as companies with an inspecting proxy expect.
    """
    bundle = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE") or certifi.where()
    directory = Path(bundle).is_dir()
    context = ssl.create_default_context(
        cafile=None if directory else bundle, capath=bundle if directory else None
    )
    context.sslsocket_class = _BoundedTLSSocket
    return context


class _Adapter(HTTPAdapter):
    """Hands every connection the shared context, which `requests` would otherwise load the CA bundle into again."""

    def __init__(self, tls: ssl.SSLContext, connections: int) -> None:
        self._tls = tls
        super().__init__(pool_connections=2, pool_maxsize=connections, max_retries=0)

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._tls, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            **self.poolmanager.pool_classes_by_scheme,
            "http": _BoundedConnectionPool,
        }

    @override
    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._tls, **kwargs)

    @override
    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        kept = {key: value for key, value in pool.items() if key not in {"ca_certs", "ca_cert_dir"}}
        return host, {**kept, "cert_reqs": "CERT_REQUIRED", "ssl_context": self._tls}

    @override
    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class BoundedSession(requests.Session):
    """A session for the given origins (`https://host[:port]`) and no others."""

    def __init__(
        self, origins: Iterable[str], tls: ssl.SSLContext, *, connections: int = 4, skew: Skew | None = None
    ) -> None:
        super().__init__()
        self._skew = skew
        self._origins = frozenset(origins)
        self.auth: Callable[[requests.PreparedRequest], requests.PreparedRequest] = _no_netrc
        adapter = _Adapter(tls, connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    @override
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        forget_answer()
        if _origin(request.url or "") not in self._origins:
            raise RequestRefusedError("this session does not talk to that host", request=request)
        left = seconds_left()
        kwargs.update(
            stream=True,
            timeout=(min(left, CONNECT_LIMIT), left),
            verify=True,
            cert=None,
        )
        response = super().send(request, **kwargs)
        # Read here, so that the body too is bounded; `_content` is where `requests` itself keeps what it has read.
        response._content = _read(response)  # noqa: SLF001
        response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001
        if self._skew is not None:
            self._skew.observe(response.headers.get("Date"))
        _last_answer.set(Answer(response.status_code, response.headers, response.content))
        if 300 <= response.status_code < 400:  # noqa: PLR2004  # HTTP's redirects
            raise RedirectedError("the answer is a redirect", response=response)
        return response

    @override
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: a redirect is an answer like any other, and a token never follows one."""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    try:
        for chunk in response.iter_content(64 * 1024):
            body += chunk
            if len(body) > MAX_BODY:
                raise AnswerTooLargeError("the answer is too large", response=response)
    finally:
        response.close()
    return bytes(body)
