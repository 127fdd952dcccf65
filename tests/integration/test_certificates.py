"""OpenSSL's certificate errors with matching remedies, from real handshakes on loopback."""

import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from git_refresh.clients.connections import tls_context
from git_refresh.clients.retry import Retry, call
from git_refresh.clients.session import BoundedSession
from git_refresh.failures.diagnosis import DiagnosisContext, explain
from git_refresh.failures.failure import Operation, Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.output.mask import SecretFilter
from tests.support.certificates import DAY, NOW, PEM, Chain

type Serve = Callable[[Chain | None], int]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that serves a certificate or plain HTTP on loopback, and returns the port."""
    listening: list[socket.socket] = []

    def begin(chain: Chain | None) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if chain is not None:
            (tmp_path / "leaf.pem").write_bytes(chain.leaf.public_bytes(PEM) + chain.key)
            context.load_cert_chain(tmp_path / "leaf.pem")

        def answer() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    try:
                        if chain is None:
                            client.recv(4096)
                            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                        else:
                            context.wrap_socket(client, server_side=True).close()
                    except OSError:
                        pass

        threading.Thread(target=answer, daemon=True).start()
        return int(server.getsockname()[1])

    yield begin
    for server in listening:
        server.close()


def failure(port: int) -> ServiceFailure:
    origin = f"https://localhost:{port}"
    with BoundedSession([origin], tls_context(os.environ)) as session, pytest.raises(ServiceError) as caught:
        call(
            Service.DATABRICKS,
            Operation.SIGN_IN.of(),
            lambda: session.get(origin),
            deadline=Deadline.after(10, SystemClock()),
            secrets=SecretFilter(),
            repeat=Retry.NEVER,
        )
    return caught.value.failure


CASES: dict[str, tuple[Callable[[], Chain], str, str]] = {
    "an expired one": (lambda: Chain(ends=NOW - DAY / 2), "certificate has expired", "clock"),
    "one of tomorrow": (lambda: Chain(begins=NOW + DAY / 2), "certificate is not yet valid", "clock"),
    "one for another host": (lambda: Chain(host="git.contoso.com"), "Hostname mismatch", "DNS record"),
    "a root with basic constraints that are not critical": (
        lambda: Chain(critical=False),
        "Basic Constraints of CA cert not marked critical",
        "issue the certificate again",
    ),
    "one without the key of its issuer": (
        lambda: Chain(identified=False),
        "Missing Authority Key Identifier",
        "issue the certificate again",
    ),
    "an issuer that is none": (
        lambda: Chain(authority=False),
        "invalid CA certificate",
        "issue the certificate again",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_openssl_s_reason_is_passed_on_with_its_own_remedy(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    make, reason, advice = CASES[case]
    chain = make()
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(chain.root.public_bytes(PEM))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    refused = failure(serve(chain))
    assert (refused.kind, refused.bundle) == ("tls", "REQUESTS_CA_BUNDLE")
    assert refused.detail.startswith(reason)
    found = explain(refused, DiagnosisContext(host="https://adb-1.2.azuredatabricks.net"))
    assert found.code == "workspace_unreachable"
    assert reason in found.message
    assert advice in found.remedy
    assert "CA_BUNDLE" not in found.remedy


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", ""])
def test_an_issuer_that_is_not_trusted_is_added_to_the_file_that_is_used(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    if variable:
        bundle = tmp_path / "bundle.pem"
        bundle.write_bytes(Chain().root.public_bytes(PEM))
        monkeypatch.setenv(variable, str(bundle))
    refused = failure(serve(Chain(issuer="Fabrikam Inspection")))
    assert refused.detail == "unable to get local issuer certificate"
    remedy = explain(refused, DiagnosisContext()).remedy
    assert bool(re.match(r"Set REQUESTS_CA_BUNDLE", remedy)) == (variable == "")
    assert (f"in {variable}" in remedy) == (variable != "")


def test_what_speaks_no_tls_is_no_matter_of_certificates(serve: Serve) -> None:
    refused = failure(serve(None))
    found = explain(refused, DiagnosisContext())
    assert refused.kind == "tls"
    assert "does not speak TLS" in found.cause
    assert "CA_BUNDLE" not in found.remedy
