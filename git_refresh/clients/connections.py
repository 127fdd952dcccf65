"""Connections that are bounded from their first byte: each read and write of a socket ends with the operation that it is for.

Through a proxy or not, before TLS or behind it, a byte at a time or endless: a library's time limit holds for one read, and none limits
a head that does not end. All connections share one TLS context.
"""

import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, override

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from git_refresh.model.clock import current_operation
from git_refresh.model.waiting import at_once, turn

CONNECT_LIMIT = 10.0
"""Seconds for one attempt to connect; a host name may have several addresses, and each is tried for so long."""


class AnswerTooLargeError(requests.RequestException):
    """The answer went on past what an honest one has, and was dropped."""


class _BoundedSocket(socket.socket):
    """A socket of which each read and write ends with the operation it is for, and which receives no more than that has room for.

    It waits a while at a time: in between, the operation may have to give its thread back.
    """

    @override
    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        received = self._patiently(super().recv, *args, **kwargs)
        current_operation().room -= len(received)
        return received

    @override
    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        received = self._patiently(super().recv_into, *args, **kwargs)
        current_operation().room -= received
        return received

    @override
    def send(self, *args: Any, **kwargs: Any) -> int:
        return self._patiently(super().send, *args, **kwargs)

    @override
    def sendall(self, data: Any, *args: Any) -> None:
        with memoryview(data) as view, view.cast("B") as left:
            sent = 0
            while sent < len(left):
                sent += self.send(left[sent:], *args)

    def _patiently[**P, T](self, attempt: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        while True:
            operation = current_operation()
            if operation.room <= 0:
                raise AnswerTooLargeError("the answer is too large")
            self.settimeout(turn(operation.seconds_left()))
            try:
                return attempt(*args, **kwargs)
            except TimeoutError as error:
                if error.errno is not None:  # the connection's own: the other side has not acknowledged
                    raise


class _BoundedTLSSocket(_BoundedSocket, ssl.SSLSocket):
    """The same over TLS."""

    @override
    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(at_once(min(CONNECT_LIMIT, current_operation().seconds_left())))
        super().do_handshake(block)


class _BoundedConnection(HTTPConnection):
    @override
    def _new_conn(self) -> socket.socket:
        return _bounded(super()._new_conn())


class _BoundedTLSConnection(HTTPSConnection):
    """Bounded from its first byte: what it says to a proxy, before there is TLS to the service, included."""

    @override
    def _new_conn(self) -> socket.socket:
        return _bounded(super()._new_conn())


def _bounded(connected: socket.socket) -> _BoundedSocket:
    bounded = _BoundedSocket(fileno=connected.detach())
    try:
        # Through a proxy urllib3 leaves it off: then each body waits, often for 40 ms, until its head has been acknowledged.
        bounded.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        current_operation().seconds_left()
    except BaseException:  # it came too late, and nothing else knows of it yet
        bounded.close()
        raise
    return bounded


class _BoundedPool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection


class _BoundedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTLSConnection


_POOLS = {"http": _BoundedPool, "https": _BoundedTLSPool}


def bundle_variable(environ: Mapping[str, str]) -> str:
    """The variable that names the certificates to trust; empty: those of certifi are trusted."""
    return next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environ.get(name)), "")


def openssl_reason(chain: Iterable[BaseException]) -> str:
    """Why OpenSSL ended a connection, in its own words; empty: it does not say. They quote no more than the host's name."""
    for error in chain:
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", "") or str(
                getattr(error, "reason", None) or ""
            ).lower().replace("_", " ")
            if reason:
                return str(reason).rstrip(".")
    return ""


def tls_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """One verified context for a whole run: parsing the CA bundle anew per connection costs more than all requests do.

    `REQUESTS_CA_BUNDLE` (a file or a directory) is honoured, as companies with an inspecting proxy expect.
    """
    bundle = environ.get(bundle_variable(environ)) or certifi.where()
    directory = Path(bundle).is_dir()
    context = ssl.create_default_context(
        cafile=None if directory else bundle, capath=bundle if directory else None
    )
    context.sslsocket_class = _BoundedTLSSocket
    return context


class Adapter(HTTPAdapter):
    """Hands every connection the shared context, which `requests` would otherwise load the CA bundle into again."""

    def __init__(self, tls: ssl.SSLContext, connections: int) -> None:
        self._tls = tls
        super().__init__(pool_connections=2, pool_maxsize=connections, max_retries=0)

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._tls, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    @override
    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        # The proxy's own certificate, where it is reached over TLS itself, is verified against the same authorities.
        manager = super().proxy_manager_for(
            proxy, ssl_context=self._tls, proxy_ssl_context=self._tls, **kwargs
        )
        manager.pool_classes_by_scheme = _POOLS
        return manager

    @override
    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        kept = {key: value for key, value in pool.items() if key not in {"ca_certs", "ca_cert_dir"}}
        return host, {**kept, "cert_reqs": "CERT_REQUIRED", "ssl_context": self._tls}

    @override
    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None
