"""Connections whose reads and writes obey the deadline and byte limit of their operation.

A library's timeout applies to single reads, and no library limits an endless response head.
These connections do, with and without a proxy. All share one TLS context.
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
"""Seconds for one attempt. A host name can have several IP addresses, each with its own attempt."""


class AnswerTooLargeError(requests.RequestException):
    """A response larger than its limit. The rest was dropped."""


class _BoundedSocket(socket.socket):
    """Socket whose reads and writes obey the deadline and byte limit of the current operation.

    It waits for short intervals, because the operation might have to release its thread in between.
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
                raise AnswerTooLargeError("the response is too large")
            self.settimeout(turn(operation.seconds_left()))
            try:
                return attempt(*args, **kwargs)
            except TimeoutError as error:
                if error.errno is not None:  # of TCP: the other side has not acknowledged
                    raise


class _BoundedTLSSocket(_BoundedSocket, ssl.SSLSocket):
    @override
    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(at_once(min(CONNECT_LIMIT, current_operation().seconds_left())))
        super().do_handshake(block)


class _BoundedConnection(HTTPConnection):
    @override
    def _new_conn(self) -> socket.socket:
        return _bounded(super()._new_conn())


class _BoundedTLSConnection(HTTPSConnection):
    """Connection that is bounded from its first byte, including the request to a proxy."""

    @override
    def _new_conn(self) -> socket.socket:
        return _bounded(super()._new_conn())


def _bounded(connected: socket.socket) -> _BoundedSocket:
    bounded = _BoundedSocket(fileno=connected.detach())
    try:
        # Behind a proxy, urllib3 leaves this off. Each body would then wait for the acknowledgment of its head, often 40 ms.
        bounded.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        current_operation().seconds_left()
    except BaseException:  # too late, and only this function knows the socket
        bounded.close()
        raise
    return bounded


class _BoundedPool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection


class _BoundedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTLSConnection


_POOLS = {"http": _BoundedPool, "https": _BoundedTLSPool}


def bundle_variable(environ: Mapping[str, str]) -> str:
    """Return the variable that names the CA certificates; "" for those of certifi."""
    return next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environ.get(name)), "")


def openssl_reason(chain: Iterable[BaseException]) -> str:
    """Return why OpenSSL ended a connection, or "". The text quotes at most the host name."""
    for error in chain:
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", "") or str(
                getattr(error, "reason", None) or ""
            ).lower().replace("_", " ")
            if reason:
                return str(reason).rstrip(".")
    return ""


def tls_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return one context for a whole run: loading the CA bundle takes longer than all requests.

    Uses `REQUESTS_CA_BUNDLE` (a file or a directory), for companies with an inspecting proxy.
    """
    bundle = environ.get(bundle_variable(environ)) or certifi.where()
    directory = Path(bundle).is_dir()
    context = ssl.create_default_context(
        cafile=None if directory else bundle, capath=bundle if directory else None
    )
    context.sslsocket_class = _BoundedTLSSocket
    return context


class Adapter(HTTPAdapter):
    """Gives every connection the shared context. `requests` would load the CA bundle for each."""

    def __init__(self, tls: ssl.SSLContext, connections: int) -> None:
        self._tls = tls
        super().__init__(pool_connections=2, pool_maxsize=connections, max_retries=0)

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._tls, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    @override
    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        # A proxy's own certificate is verified against the same authorities.
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
