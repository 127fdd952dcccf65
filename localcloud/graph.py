"""The part of Microsoft Graph that looks up service principals.

Facts: https://learn.microsoft.com/graph/api/serviceprincipal-get
"""

import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime

import jwt
from aiohttp import web

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.authority import GRAPH_RESOURCE, TENANTS, Authority, entra
from localcloud.directory import Directory

_BY_APPLICATION = re.compile(r"servicePrincipals\(appId='([^']*)'\)")


class Graph:
    """`graph.microsoft.com`; every user of a tenant can read its service principals."""

    service = "graph"
    host = "graph.microsoft.com"
    request_id_header = "request-id"

    def __init__(self, authority: Authority, directory: Directory) -> None:
        self._authority = authority
        self._directory = directory

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/v1.0/servicePrincipals/{id}", self._by_object_id),
            web.get("/v1.0/{resource}", self._by_client_id),
        ]

    async def _by_object_id(self, request: web.Request) -> web.Response:
        tenant_id, wanted = self._tenant(request), _guid(request.match_info["id"])
        return self._shown(tenant_id, wanted, by_application=False)

    async def _by_client_id(self, request: web.Request) -> web.Response:
        tenant_id = self._tenant(request)
        resource = request.match_info["resource"]
        match = _BY_APPLICATION.fullmatch(resource)
        if match is None:
            raise _error(400, "BadRequest", f"Resource not found for the segment '{resource}'.")
        return self._shown(tenant_id, _guid(match[1]), by_application=True)

    def _shown(self, tenant_id: str, wanted: str, *, by_application: bool) -> web.Response:
        find = self._directory.application if by_application else self._directory.find
        found = find(tenant_id, wanted)
        if found is None:
            text = f"Resource '{wanted}' does not exist or one of its queried reference-property objects are not present."
            raise _error(404, "Request_ResourceNotFound", text)
        return web.json_response(
            {
                "@odata.context": f"https://{self.host}/v1.0/$metadata#servicePrincipals/$entity",
                "id": found.object_id,
                "appId": found.client_id,
                "displayName": found.name,
                "servicePrincipalType": found.kind,
            }
        )

    def _tenant(self, request: web.Request) -> str:
        """Return the tenant of the caller's token.

        Raises Graph's error for an invalid token, and for an application, which has no permissions here.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _error(401, "InvalidAuthenticationToken", "Access token is empty.")
        try:
            claims = self._authority.verify(token, [GRAPH_RESOURCE], [entra(tenant) for tenant in TENANTS])
        except jwt.ExpiredSignatureError:
            text = "Lifetime validation failed, the token is expired."
            raise _error(401, "InvalidAuthenticationToken", text) from None
        except jwt.InvalidAudienceError:
            text = "Access token validation failure. Invalid audience."
            raise _error(401, "InvalidAuthenticationToken", text) from None
        except jwt.InvalidTokenError:
            raise _error(401, "InvalidAuthenticationToken", "CompactToken parsing failed.") from None
        request[PRINCIPAL] = claims["oid"]
        if claims.get("idtyp") != "user":
            text = "Insufficient privileges to complete the operation."
            raise _error(403, "Authorization_RequestDenied", text)
        return str(claims["tid"])


def _guid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise _error(400, "Request_BadRequest", f"Invalid object identifier '{text}'.") from None


def _error(status: int, code: str, message: str) -> ApiError:
    request_id = str(uuid.uuid4())
    inner = {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        "request-id": request_id,
        "client-request-id": request_id,
    }
    return ApiError(status, {"error": {"code": code, "message": message, "innerError": inner}})
