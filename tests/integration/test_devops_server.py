"""Azure DevOps Server on a host in TRUSTED_HOSTS: recognized by its challenge, and sent no token."""

import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from git_refresh.clients.connections import tls_context
from git_refresh.clients.devops import AzureDevOps
from git_refresh.clients.session import Network
from git_refresh.failures.failure import ServiceError, is_definite, is_rejection
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.hosts import TrustedHosts
from git_refresh.model.repository import Repository, parse_repository
from git_refresh.model.values import Ref, Token
from git_refresh.output.mask import SecretFilter
from tests.support.certificates import PEM, Chain

COMMIT = "a" * 40
SERVICES = (
    'Bearer authorization_uri=https://login.microsoftonline.com/x, Basic realm="https://x", TFS-Federated'
)


class Host(ThreadingHTTPServer):
    """A host with a configurable challenge, which responds to any token."""

    challenge = SERVICES
    status = 401

    def __init__(self, chain: Chain, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[str] = []
        (directory / "leaf.pem").write_bytes(chain.leaf.public_bytes(PEM) + chain.key)
        (directory / "root.pem").write_bytes(chain.root.public_bytes(PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "leaf.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        trust = {"REQUESTS_CA_BUNDLE": str(directory / "root.pem")}
        deadline = Deadline.after(20, SystemClock())
        token = Token(SecretStr("correct-horse-battery"), datetime.now(UTC) + timedelta(hours=1))
        self.client = AzureDevOps(token, Network(tls_context(trust), deadline, SecretFilter()))

    @property
    def repository(self) -> Repository:
        url = f"https://localhost:{self.server_port}/Contoso/Data/_git/etl"
        return parse_repository(url, TrustedHosts(("localhost",)))


class Handler(BaseHTTPRequestHandler):
    server: Host
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        authorization = self.headers.get("Authorization", "")
        self.server.seen.append(authorization)
        refs = {"value": [{"name": "refs/heads/main", "objectId": COMMIT}]}
        body = json.dumps(refs if authorization else {}).encode()
        self.send_response(200 if authorization else self.server.status)
        if not authorization:
            for challenge in self.server.challenge.split("; "):
                self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("NO_PROXY", "localhost")
    server = Host(Chain(), tmp_path)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.client.close()
    server.shutdown()
    server.server_close()


MAIN = Ref("branch", "main")


@pytest.mark.parametrize(
    "challenge", ["Negotiate; NTLM", "NTLM", "Negotiate", "negotiate, ntlm", 'Basic realm="tfs"; NTLM']
)
def test_a_host_that_asks_for_a_windows_sign_in_gets_no_token(host: Host, challenge: str) -> None:
    host.challenge = challenge
    for ref in (MAIN, None, Ref("tag", "v1")):
        with pytest.raises(ServiceError) as caught:
            host.client.head(host.repository, ref)
        failure = caught.value.failure
        assert (failure.kind, is_definite(failure), is_rejection(failure)) == ("server", True, False)
    assert host.client.names(host.repository, "branch") is None
    assert host.seen == [""]


@pytest.mark.parametrize(
    ("challenge", "status"),
    [
        (SERVICES, 401),
        ("Bearer; Negotiate; NTLM", 401),
        ('Basic realm="x"', 401),
        ("", 401),
        ("", 200),
        ("", 302),
    ],
)
def test_another_name_of_azure_devops_services_is_asked_once_who_it_is(
    host: Host, challenge: str, status: int
) -> None:
    host.challenge, host.status = challenge, status
    assert host.client.head(host.repository, MAIN).commit == COMMIT
    assert host.client.names(host.repository, "branch") == ("main",)
    assert [bool(authorization) for authorization in host.seen] == [False, True, True]


def test_an_unreachable_trusted_host_is_reported_as_unreachable(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = host.repository
    monkeypatch.setattr(host, "server_close", lambda: None)
    host.socket.close()
    for ref in (MAIN, None, Ref("tag", "v1")):
        with pytest.raises(ServiceError) as caught:
            host.client.head(repository, ref)
        assert caught.value.failure.kind == "refused"
    assert host.seen == []
