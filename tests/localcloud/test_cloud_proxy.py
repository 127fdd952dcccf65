import socket
import ssl
from typing import Any, override
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from localcloud import Cloud, Connect, Fault
from localcloud.authority import DEVOPS_RESOURCE
from localcloud.databricks.workspace import Workspace
from localcloud.proxy import ProxyTls
from localcloud.rest import Rest


def connect(cloud: Cloud, request: bytes) -> bytes:
    """Send data to the proxy and return the first line of its response."""
    proxy = urlsplit(cloud.environment()["HTTPS_PROXY"])
    with socket.create_connection((str(proxy.hostname), int(proxy.port or 0)), timeout=5) as connection:
        connection.sendall(request)
        return connection.recv(1000).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("request_line", "name"),
    [
        (b"CONNECT example.com:443 HTTP/1.1", "example.com:443"),
        (b"CONNECT adb-9.9.azuredatabricks.net:443 HTTP/1.1", "adb-9.9.azuredatabricks.net:443"),
        (b"CONNECT nobody.visualstudio.com:443 HTTP/1.1", "nobody.visualstudio.com:443"),
        (b"CONNECT dev.azure.com:80 HTTP/1.1", "dev.azure.com:80"),
        (b"CONNECT dev.azure.com HTTP/1.1", "dev.azure.com"),
        (b"GET http://dev.azure.com/ HTTP/1.1", "http://dev.azure.com/"),
        (b"", ""),
    ],
)
def test_refuses_what_the_cloud_does_not_imitate(cloud: Cloud, request_line: bytes, name: str) -> None:
    assert connect(cloud, request_line + b"\r\n\r\n") == b"HTTP/1.1 403 Forbidden"
    assert cloud.refused == [name]
    assert cloud.requests == []


def test_accepts_a_host_in_any_letter_case(cloud: Cloud) -> None:
    answer = connect(cloud, b"CONNECT DEV.azure.com:443 HTTP/1.1\r\n\r\n")
    assert answer == b"HTTP/1.1 200 Connection established"
    assert cloud.refused == []


def test_clients_see_a_refusal_as_a_proxy_error(session: requests.Session, cloud: Cloud) -> None:
    with pytest.raises(requests.exceptions.ProxyError, match="403"):
        session.get("https://example.com", timeout=5)
    assert cloud.refused == ["example.com:443"]


def test_routes_by_the_connect_host_and_not_by_the_host_header(
    session: requests.Session, workspace: Workspace
) -> None:
    url = f"{workspace.url}/.well-known/databricks-config"
    answer = session.get(url, headers={"Host": "dev.azure.com"}, timeout=5)
    assert answer.json()["workspace_id"] == "1111111111111111"


def test_its_certificates_hold_against_strict_verification(cloud: Cloud, workspace: Workspace) -> None:
    proxy = urlsplit(cloud.environment()["HTTPS_PROXY"])
    context = ssl.create_default_context(cafile=cloud.environment()["REQUESTS_CA_BUNDLE"])
    with socket.create_connection((str(proxy.hostname), int(proxy.port or 0)), timeout=5) as connection:
        connection.sendall(f"CONNECT {workspace.host}:443 HTTP/1.1\r\n\r\n".encode())
        connection.recv(1000)
        with context.wrap_socket(connection, server_hostname=workspace.host) as secure:
            assert secure.version() == "TLSv1.3"


def test_it_can_answer_without_end(cloud: Cloud, workspace: Workspace) -> None:
    cloud.inject(Fault(Connect.DRIP, host=workspace.host))
    proxy = urlsplit(cloud.environment()["HTTPS_PROXY"])
    with socket.create_connection((str(proxy.hostname), int(proxy.port or 0)), timeout=5) as connection:
        connection.sendall(f"CONNECT {workspace.host}:443 HTTP/1.1\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"..."):
            answer += connection.recv(100)
    assert answer.startswith(b"HTTP/1.1 200 Connection established\r\nX-Slow: ")


class BehindTls(HTTPAdapter):
    """An adapter that uses the same certificates for proxy and site, unlike requests."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    @override
    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, proxy_ssl_context=self._context, **options)


@pytest.mark.parametrize("tls", ["same authority", "own authority"])
def test_it_can_be_reached_over_tls_itself(tls: ProxyTls) -> None:
    with Cloud(proxy_tls=tls) as cloud, requests.Session() as session:
        place = cloud.environment()
        assert place["HTTPS_PROXY"].startswith("https://127.0.0.1:")
        session.proxies, session.verify = {"https": place["HTTPS_PROXY"]}, place["REQUESTS_CA_BUNDLE"]
        session.trust_env = False  # otherwise the machine's own CA bundle takes precedence
        context = ssl.create_default_context(cafile=place["REQUESTS_CA_BUNDLE"])
        session.mount("https://", BehindTls(context))
        workspace = cloud.workspace("adb-1111111111111111.1.azuredatabricks.net")
        api = Rest(session, workspace, workspace.service_principal("app-1", "s3cret"))
        api.store_token(cloud.identity.token(DEVOPS_RESOURCE))
        repository = cloud.devops.repository("contoso", "Data Platform", "etl")
        folder = workspace.add_folder("/Repos/etl/prod", repository)
        assert api("PATCH", f"/repos/{folder.id}", json={"branch": "main"}).status_code == 200, (
            "git trusts it too"
        )
