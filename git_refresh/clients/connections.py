"""Connections that enforce the deadline and byte limit of their operation, with and without a proxy.

The timeouts of `requests` apply to single reads, and no library limits the size of a response's head.
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
"""Seconds to connect to one IP address. A host name can have several."""


class AnswerTooLargeError(requests.RequestException):
    """A response exceeded its size limit."""


class _BoundedSocket(socket.socket):
    """Socket that enforces the deadline and byte limit of the current operation.

    It waits for short intervals, so the operation can release its thread in between.
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
                if error.errno is not None:  # TCP itself timed out, not this interval
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
    """Connection with a bounded socket from its first byte, including the CONNECT request to a proxy."""

    @override
    def _new_conn(self) -> socket.socket:
        return _bounded(super()._new_conn())


def _bounded(connected: socket.socket) -> _BoundedSocket:
    bounded = _BoundedSocket(fileno=connected.detach())
    try:
        # urllib3 does not set this behind a proxy. Each body would then wait for the acknowledgment of its head, often 40 ms.
        bounded.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        current_operation().seconds_left()
    except BaseException:  # nothing else can close this socket
        bounded.close()
        raise
    return bounded


class _BoundedPool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection


class _BoundedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTLSConnection


_POOLS = {"http": _BoundedPool, "https": _BoundedTLSPool}


def bundle_variable(environ: Mapping[str, str]) -> str:
    """Return the environment variable that names the CA certificates; "" for those of certifi."""
    return next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environ.get(name)), "")


def openssl_reason(chain: Iterable[BaseException]) -> str:
    """Return OpenSSL's reason for a failed connection, or "". It quotes at most the host name."""
    for error in chain:
        if isinstance(error, ssl.SSLError):
            reason = getattr(error, "verify_message", "") or str(
                getattr(error, "reason", None) or ""
            ).lower().replace("_", " ")
            if reason:
                return str(reason).rstrip(".")
    return ""


def tls_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Return a TLS context for a whole run, because loading the CA certificates takes long.

    The variable of `bundle_variable` can name a file or a directory of certificates.
    """
    bundle = environ.get(bundle_variable(environ)) or certifi.where()
    directory = Path(bundle).is_dir()
    context = ssl.create_default_context(
        cafile=None if directory else bundle, capath=bundle if directory else None
    )
    context.sslsocket_class = _BoundedTLSSocket
    return context


class Adapter(HTTPAdapter):
    """Uses bounded sockets and one shared TLS context. `requests` would load the certificates each time."""

    def __init__(self, tls: ssl.SSLContext, connections: int) -> None:
        self._tls = tls
        super().__init__(pool_connections=2, pool_maxsize=connections, max_retries=0)

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._tls, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    @override
    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        # The same CA certificates verify a proxy's own certificate.
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
