"""The managed identity endpoint of App Service and Functions.

Facts: https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

import time
from collections.abc import Iterable

from aiohttp import web

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.authority import (
    DATABRICKS_RESOURCE,
    DEVOPS_RESOURCE,
    ENTRA,
    TENANT,
    VAULT_RESOURCE,
    Authority,
)

RESOURCES = {DEVOPS_RESOURCE, DATABRICKS_RESOURCE, VAULT_RESOURCE}


class Identity:
    """One managed identity: answers as system-assigned, and to its client id as user-assigned.

    Attributes:
        token_lifetime: seconds that a newly issued token lives; negative: it has already lapsed.
        cached: hand out each resource's last answer again, as the platform's cache does.
        enabled: off, the app has no identity and its environment no endpoint.
    """

    service = "identity"
    host = "127.0.0.1"
    request_id_header = "x-ms-request-id"

    def __init__(self, authority: Authority) -> None:
        self.tenant_id = TENANT
        self.client_id = "1b2c3d4e-0000-4000-8000-00000000c11d"
        self.object_id = "1b2c3d4e-0000-4000-8000-00000000001d"
        self.header = "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a"
        self.token_lifetime = 3900.0
        self.cached = False
        self.enabled = True
        self._authority = authority
        self._answers: dict[str, dict[str, str]] = {}

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/msi/token", self._token)]

    def token(self, resource: str) -> str:
        """A token for this resource, as the endpoint would hand it out."""
        return self._answer(resource)["access_token"]

    def expire_tokens(self) -> None:
        """Let every token handed out so far lapse now, wherever it is stored."""
        self._authority.expire(ENTRA)
        self._answers.clear()

    async def _token(self, request: web.Request) -> web.Response:
        if request.headers.get("X-IDENTITY-HEADER") != self.header:
            raise _error(401, "The X-IDENTITY-HEADER request header is missing or wrong.")
        client_id = request.query.get("client_id", self.client_id)
        if not self.enabled or client_id != self.client_id:
            raise _error(
                400,
                "No User Assigned or Delegated Managed Identity found for specified "
                "ClientId/ResourceId/PrincipalId.",
            )
        if request.query.get("api-version") != "2019-08-01":
            raise _error(400, "The api-version is missing or not supported.")
        resource = request.query.get("resource", "").rstrip("/")
        if resource not in RESOURCES:
            raise _error(
                400,
                f"AADSTS500011: The resource principal named {resource} was not found in the tenant "
                f"named {self.tenant_id}.",
            )
        request[PRINCIPAL] = self.object_id
        return web.json_response(self._answer(resource))

    def _answer(self, resource: str) -> dict[str, str]:
        if not self.cached or resource not in self._answers:
            self._answers[resource] = {
                "access_token": self._issue(resource),
                "expires_on": str(int(time.time() + self.token_lifetime)),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": self.client_id,
            }
        return self._answers[resource]

    def _issue(self, resource: str) -> str:
        claims = {
            "oid": self.object_id,
            "appid": self.client_id,
            "tid": self.tenant_id,
            "sub": self.object_id,
        }
        return self._authority.issue(ENTRA, resource, self.token_lifetime, claims)


def _error(status: int, message: str) -> ApiError:
    correlation = "8797a7fe-6157-44e2-b24d-3e5713d2111d"
    return ApiError(status, {"statusCode": status, "message": message, "correlationId": correlation})
