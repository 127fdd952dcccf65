"""The CONNECT proxy: serves production host names on loopback, with the cloud's certificates."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Literal, cast

import trustme
from aiohttp import web

from localcloud.faults import Connect
from localcloud.observer import Observer, Site

HTTPS = "443"
DRIP_INTERVAL = 0.02
"""Seconds between two bytes of a proxy with the fault `drip`."""

type ProxyTls = Literal["same authority", "own authority"]
"""The signer of a TLS proxy's own certificate; the bundle trusts both."""


class Certificates:
    """TLS contexts with certificates of the cloud's authority.

    One for each parent domain, as in production: a thousand workspaces share twenty certificates.
    """

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self._stranger = trustme.CA()
        self._proxy_authority = trustme.CA()
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}

    def write_bundle(self, path: Path) -> None:
        """Write the certificates that a client must trust."""
        self._authority.cert_pem.write_to_path(str(path))
        self._proxy_authority.cert_pem.write_to_path(str(path), append=True)

    def proxy_context(self, tls: ProxyTls) -> ssl.SSLContext:
        """Return a context with the proxy's own certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority = self._authority if tls == "same authority" else self._proxy_authority
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        return context

    def write_certificate(self, directory: Path, *hosts: str) -> tuple[Path, Path]:
        """Write a certificate for these hosts and its key, for a server in another process."""
        leaf = self._authority.issue_cert(*hosts)
        certificate, key = directory / "certificate.pem", directory / "key.pem"
        leaf.cert_chain_pems[0].write_to_path(str(certificate))
        leaf.private_key_pem.write_to_path(str(key))
        return certificate, key

    def trust(self) -> ssl.SSLContext:
        """Return a context for a client of such a server."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context

    def context(self, host: str, *, trusted: bool = True) -> ssl.SSLContext:
        domain = host.partition(".")[2]
        key = (domain, trusted)
        if key not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority = self._authority if trusted else self._stranger
            authority.issue_cert(f"*.{domain}").configure_cert(context)
            self._contexts[key] = context
        return self._contexts[key]


class Proxy:
    """Tunnels to the cloud's sites and refuses every other host.

    Attributes:
        refused: the `host:port` of each request turned away.
    """

    def __init__(
        self, site: Callable[[str], Site | None], observer: Observer, certificates: Certificates
    ) -> None:
        self.refused: list[str] = []
        self._site = site
        self._observer = observer
        self._certificates = certificates
        self._runners: dict[str, web.AppRunner] = {}
        self._starting = asyncio.Lock()
        self._tunnels: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int, tls: ProxyTls | None = None) -> int:
        """Listen on loopback, with TLS if given, and return the port (a free one for 0)."""
        loop = asyncio.get_running_loop()
        context = self._certificates.proxy_context(tls) if tls else None
        self._server = await loop.create_server(
            lambda: _Client(self._accept), "127.0.0.1", port, backlog=1024, ssl=context
        )
        address: tuple[str, int] = self._server.sockets[0].getsockname()
        return address[1]

    async def close(self) -> None:
        """Stop listening and drop every connection, without waiting for handlers."""
        if self._server is not None:
            self._server.close()
            await _cancelled(self._tunnels)
            await asyncio.gather(*(ended(runner) for runner in self._runners.values()))
            self._server.abort_clients()

    def _accept(self, client: "_Client", head: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._tunnel(client, head))
        self._tunnels.add(task)
        task.add_done_callback(self._tunnels.discard)

    async def _tunnel(self, client: "_Client", head: bytes) -> None:
        method, target = (*head.decode("latin-1").split(), "", "")[:2]
        host, _, port = target.lower().rpartition(":")
        site = self._site(host) if method == "CONNECT" and port == HTTPS else None
        if site is None:
            self.refused.append(target)
            client.refuse(HTTPStatus.FORBIDDEN)
            return
        fault = self._observer.connect_fault(site.service, host)
        if fault is Connect.REFUSE:
            client.refuse(HTTPStatus.BAD_GATEWAY)
            return
        if fault is Connect.DRIP:
            await client.drip()
            return
        client.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        if fault is not Connect.HANG:
            await self._serve(client, await self._runner(site), self._context(host, fault))

    async def _serve(self, client: "_Client", runner: web.AppRunner, context: ssl.SSLContext) -> None:
        """Pass the connection, after the TLS handshake, to the site's HTTP server."""
        early = _Early()
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            transport = await loop.start_tls(client.transport, early, context, server_side=True)
            if transport is not None and not transport.is_closing() and runner.server is not None:
                early.hand_over(transport, runner.server())

    def _context(self, host: str, fault: Connect | None) -> ssl.SSLContext:
        name = "wrong.contoso.com" if fault is Connect.WRONG_NAME else host
        return self._certificates.context(name, trusted=fault is not Connect.UNTRUSTED)

    async def _runner(self, site: Site) -> web.AppRunner:
        async with self._starting:
            if site.host not in self._runners:
                self._runners[site.host] = await serving(site, self._observer)
            return self._runners[site.host]


async def serving(site: Site, observer: Observer) -> web.AppRunner:
    """Return a site's HTTP server, which closes without waiting for its handlers."""
    runner = web.AppRunner(observer.application(site), access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    return runner


async def ended(runner: web.AppRunner) -> None:
    """Close a site's HTTP server. A handler might finish just when aiohttp stops waiting for it."""
    with contextlib.suppress(asyncio.InvalidStateError):  # aiohttp sets the result of a canceled future
        await runner.cleanup()


class _Client(asyncio.Protocol):
    """A connection to the proxy, up to the end of its CONNECT request."""

    transport: asyncio.Transport

    def __init__(self, accept: Callable[["_Client", bytes], None]) -> None:
        self._accept = accept
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        complete = b"\r\n\r\n" in self._head
        self._head += data
        if not complete and b"\r\n\r\n" in self._head:
            self._accept(self, self._head)

    def refuse(self, status: HTTPStatus) -> None:
        self.transport.write(f"HTTP/1.1 {status} {status.phrase}\r\nContent-Length: 0\r\n\r\n".encode())
        self.transport.close()

    async def drip(self) -> None:
        """Send bytes without end, until the client gives up."""
        self.transport.write(b"HTTP/1.1 200 Connection established\r\nX-Slow: ")
        while not self.transport.is_closing():
            self.transport.write(b".")
            await asyncio.sleep(DRIP_INTERVAL)


class _Early(asyncio.Protocol):
    """A buffer for data between the TLS handshake and the start of the HTTP server."""

    def __init__(self) -> None:
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data

    def hand_over(self, transport: asyncio.Transport, server: asyncio.Protocol) -> None:
        transport.set_protocol(server)
        server.connection_made(transport)
        if self._data:
            server.data_received(self._data)


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
