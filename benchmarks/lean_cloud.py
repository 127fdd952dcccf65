"""A lightweight cloud for fleets of any size, to measure clients instead of Git.

`LeanCloud` is the measuring side; `python -m benchmarks.lean_cloud` is the cloud in its own process. It reads
an order per line and returns a line of JSON. Production host names lead to it through its CONNECT proxy, with
localcloud's certificates. Each response is delayed by the latency of its case; connections and TLS handshakes
are not.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import certifi

from benchmarks.cases import Case
from benchmarks.lean_answers import Answers, Asked, Told
from localcloud.proxy import Certificates


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """A run as seen by the cloud.

    `requests`: their number per service and per route of a workspace.
    `handshakes`: the number of TLS connections.
    `stored`: when the last Git credential was stored, on the machine's monotonic clock.
    `cpu`: CPU seconds of the cloud.
    """

    requests: Mapping[str, int]
    handshakes: int
    stored: float
    cpu: float


class LeanCloud:
    """The cloud in a new process.

    `environment`: the environment variables through which a client process reaches it.
    """

    environment: Mapping[str, str]

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="lean-cloud-")
        command = [sys.executable, "-m", "benchmarks.lean_cloud", self._scratch.name]
        self._process = subprocess.Popen(  # noqa: S603  # itself
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        self.environment = self._told()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # closes its input, so it exits
        self._scratch.cleanup()

    def begin(self, case: Case) -> None:
        """Set the fleet to its state before a run of this case."""
        self._ask(dataclasses.asdict(case))

    def seen(self) -> Seen:
        """Return what the cloud has seen since `begin`."""
        return Seen(**self._ask(None))

    def _ask(self, order: object) -> Any:  # noqa: ANN401  # any JSON
        assert self._process.stdin  # noqa: S101  # for the type checker: a pipe
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._told()

    def _told(self) -> Any:  # noqa: ANN401  # any JSON
        assert self._process.stdout  # noqa: S101  # for the type checker: a pipe
        return json.loads(self._process.stdout.readline())


class _Cloud:
    """The process's event loop with all services."""

    def __init__(self, directory: Path) -> None:
        self.loop = asyncio.get_running_loop()
        self.certificates = Certificates()
        self.bundle = directory / "ca.pem"
        self.certificates.write_bundle(self.bundle)
        # As many authorities as in production: some clients read them for each connection.
        with self.bundle.open("a") as file:
            file.write(Path(certifi.where()).read_text())
        self.tunnels: set[asyncio.Task[None]] = set()
        self.begin(Case(1, 0, 0, "quiet"))

    def begin(self, case: Case) -> None:
        self.latency = case.latency / 1000
        self.answers = Answers(case)
        self.handshakes = 0
        self.stored = 0.0
        self._cpu = time.process_time()

    def seen(self) -> Seen:
        cpu = time.process_time() - self._cpu
        return Seen(dict(self.answers.asked), self.handshakes, self.stored, cpu)

    async def serve(self) -> None:
        proxy = await self.loop.create_server(lambda: _Tunnel(self), "127.0.0.1", 0, backlog=4096)
        identity = await self.loop.create_server(lambda: _Http(self, "identity"), "127.0.0.1", 0, backlog=64)
        proxy_port, identity_port = (each.sockets[0].getsockname()[1] for each in (proxy, identity))
        url = f"http://127.0.0.1:{proxy_port}"
        environment = {
            **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), url),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
            "REQUESTS_CA_BUNDLE": str(self.bundle),
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{identity_port}/msi/token",
            "IDENTITY_HEADER": "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a",
        }
        print(json.dumps(environment), flush=True)  # noqa: T201  # the parent process reads it
        orders = asyncio.StreamReader()
        await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        while line := await orders.readline():
            if (order := json.loads(line)) is not None:
                self.begin(Case(**order))
            print(json.dumps(dataclasses.asdict(self.seen())), flush=True)  # noqa: T201  # the parent process reads it


class _Http(asyncio.Protocol):
    """A connection to one host, with one request after the other."""

    def __init__(self, cloud: _Cloud, host: str) -> None:
        self._cloud = cloud
        self._host = host
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handle data that arrived together with the end of the TLS handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._acknowledge(self._transport)
        self._answer()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._transport is not None:
            self._acknowledge(self._transport)
            self._answer()

    def _acknowledge(self, transport: asyncio.Transport) -> None:
        """Acknowledge at once: through a proxy, urllib3 waits for it, which Linux delays by 40 ms."""
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _answer(self) -> None:
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        asked = Asked.of(self._host, head, rest)
        if len(rest) < int(asked.headers.get("content-length", 0)):
            return
        self._data = b""
        told = self._cloud.answers(asked)
        if self._cloud.latency:
            self._cloud.loop.call_later(self._cloud.latency, self._send, told)
        else:
            self._send(told)

    def _send(self, told: Told) -> None:
        if told.stores:
            self._cloud.stored = time.monotonic()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_written(told))


def _written(told: Told) -> bytes:
    body = json.dumps(told.body).encode()
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Date": formatdate(usegmt=True),
        "Server": "databricks",
        "Vary": "Accept-Encoding",
        "X-Request-Id": "6f4c2a1e-0000-4000-8000-000000000001",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
        "X-Content-Type-Options": "nosniff",
        **told.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {told.status} {told.status.phrase}\r\n{lines}\r\n".encode() + body


class _Tunnel(asyncio.Protocol):
    """A connection to the proxy, up to the end of its CONNECT request."""

    def __init__(self, cloud: _Cloud) -> None:
        self._cloud = cloud
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            task = self._cloud.loop.create_task(self._connect(self._head.split()[1].decode()))
            self._cloud.tunnels.add(task)
            task.add_done_callback(self._cloud.tunnels.discard)

    async def _connect(self, target: str) -> None:
        host = target.lower().partition(":")[0]
        self._transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        http = _Http(self._cloud, host)
        context = self._cloud.certificates.context(host)
        context.num_tickets = 0  # no client resumes a session
        with contextlib.suppress(OSError):
            transport = await self._cloud.loop.start_tls(self._transport, http, context, server_side=True)
            if transport is not None:
                self._cloud.handshakes += 1
                http.connection_made(transport)


async def _serve(directory: str) -> None:
    await _Cloud(Path(directory)).serve()
    os._exit(0)  # drops a thousand connections instead of closing them


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_serve(sys.argv[1]))
