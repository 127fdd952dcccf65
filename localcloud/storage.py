"""A storage account's queues and blobs: Azurite behind Azure's names, authentication and roles.

Azurite keeps the data and implements visibility, dequeue counts, pop receipts, expiration and leases. It
accepts any well-formed token, so this module checks signatures and roles first.

Facts: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory
"""

import base64
import binascii
import secrets
import ssl
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as ET

import jwt
from aiohttp import ClientSession, ClientTimeout, web
from multidict import CIMultiDict
from yarl import URL

from localcloud.answers import PRINCIPAL
from localcloud.authority import ENTRA, STORAGE_RESOURCE, TENANT, Authority
from localcloud.azurite import SERVICES, Azurite, Service
from localcloud.proxy import Certificates

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date"}
_LONGEST = ClientTimeout(total=60)


class StorageAccount:
    """An account at `https://{name}.queue.core.windows.net` and `https://{name}.blob.core.windows.net`.

    `connection_string`: grants full access with the account's key.
    `bodies`: the body of every request, accepted or not.
    """

    def __init__(
        self, name: str, authority: Authority, owner: str, directory: Path, certificates: Certificates
    ) -> None:
        self.name = name
        self._key = base64.b64encode(secrets.token_bytes(64)).decode()
        self.connection_string = (
            f"DefaultEndpointsProtocol=https;AccountName={name};AccountKey={self._key};"
            "EndpointSuffix=core.windows.net"
        )
        self.bodies: list[bytes] = []
        self._authority = authority
        self._allowed: set[tuple[str, Service]] = {(owner, service) for service in SERVICES}
        directory.mkdir()
        hosts = [URL(self.url(service)).host or "" for service in SERVICES]
        self._process = Azurite(directory, name, self._key)
        self._process.start(*certificates.write_certificate(directory, *hosts))
        trust = certificates.trust()
        self.sites = [_Endpoint(self, service, self._process.ports[service], trust) for service in SERVICES]

    @property
    def process_id(self) -> int | None:
        """The emulator's process ID while it runs."""
        return self._process.id

    @property
    def settings(self) -> dict[str, str]:
        """The app settings of a host with a managed identity, without `AzureWebJobsStorage__clientId`."""
        return {
            "AzureWebJobsStorage__accountName": self.name,
            "AzureWebJobsStorage__credential": "managedidentity",
        }

    @property
    def texts(self) -> list[str]:
        """The text of every request; for a queue message, decoded from base64."""
        return [_text(body) for body in self.bodies if body]

    def url(self, service: Service) -> str:
        return f"https://{self.name}.{service}.core.windows.net"

    def allow(self, object_id: str, service: Service) -> None:
        """Grant Storage Blob Data Contributor, or Storage Queue Data Contributor."""
        self._allowed.add((object_id, service))

    def deny(self, object_id: str, service: Service) -> None:
        """Remove the role."""
        self._allowed.discard((object_id, service))

    def refusal(self, request: web.Request, service: Service) -> web.Response | None:
        """Return the response to a caller without a valid token or role; Azurite checks keys."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return None
        try:
            claims = self._authority.verify(token, [STORAGE_RESOURCE], [ENTRA])
        except jwt.InvalidTokenError as error:
            challenge = (
                f"Bearer authorization_uri=https://login.microsoftonline.com/{TENANT}/oauth2/authorize "
                f"resource_id={STORAGE_RESOURCE}"
            )
            message = (
                "Server failed to authenticate the request. Please refer to the information in the "
                f"www-authenticate header. {error}"
            )
            return _error(401, "InvalidAuthenticationInfo", message, {"WWW-Authenticate": challenge})
        request[PRINCIPAL] = claims["oid"]
        if (claims["oid"], service) not in self._allowed:
            message = "This request is not authorized to perform this operation using this permission."
            return _error(403, "AuthorizationPermissionMismatch", message)
        return None

    async def disconnect(self) -> None:
        """Drop the connections to Azurite; runs in the cloud's loop."""
        for site in self.sites:
            await site.disconnect()

    def stop(self) -> None:
        """Stop Azurite, which loses all data."""
        self._process.stop()


class _Endpoint:
    """One service of the account, which passes on authorized requests."""

    service = "storage"
    request_id_header = "x-ms-request-id"

    def __init__(self, account: StorageAccount, kind: Service, port: int, trust: ssl.SSLContext) -> None:
        self.host = URL(account.url(kind)).host or ""
        self._account = account
        self._kind: Service = kind
        self._port = port
        self._trust = trust
        self._session: ClientSession | None = None

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self._answer)]

    async def disconnect(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._account.bodies.append(body)
        refusal = self._account.refusal(request, self._kind)
        return refusal if refusal is not None else await self._pass_on(request, body)

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        if self._session is None:
            unasked = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
            self._session = ClientSession(auto_decompress=False, skip_auto_headers=unasked, timeout=_LONGEST)
        async with self._session.request(
            request.method,
            URL(f"https://127.0.0.1:{self._port}{request.raw_path}", encoded=True),
            headers=_passed_on(request.headers.items(), beside="date"),
            data=body or None,
            ssl=self._trust,
            server_hostname=self.host,
            allow_redirects=False,
        ) as answer:
            headers = _passed_on(answer.headers.items())
            if request.method == "HEAD" and "Content-Length" in answer.headers:
                headers["Content-Length"] = answer.headers["Content-Length"]
            return web.Response(status=answer.status, headers=headers, body=await answer.read() or None)


def _passed_on(headers: Iterable[tuple[str, str]], beside: str = "") -> CIMultiDict[str]:
    dropped = _HOP_BY_HOP - {beside}
    return CIMultiDict((name, value) for name, value in headers if name.lower() not in dropped)


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    given = {"Content-Type": "application/xml", "x-ms-error-code": code, **(headers or {})}
    return web.Response(status=status, body=body.encode(), headers=given)


def _text(body: bytes) -> str:
    try:
        message = ET.fromstring(body).findtext("MessageText")  # noqa: S314  # from this machine
    except ET.ParseError:
        message = None
    if message is None:
        return body.decode(errors="replace")
    try:
        return base64.b64decode(message, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return message
