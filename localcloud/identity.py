"""The app's managed identities, and the token endpoint of App Service and Functions.

Facts: https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
"""

import time
import uuid
from collections.abc import Iterable

from aiohttp import web

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.authority import (
    DATABRICKS_RESOURCE,
    DEVOPS_RESOURCE,
    ENTRA,
    EXCHANGE_AUDIENCE,
    EXCHANGE_RESOURCE,
    STORAGE_RESOURCE,
    TENANT,
    VAULT_RESOURCE,
    Authority,
    entra_v2,
)

RESOURCES = {DEVOPS_RESOURCE, DATABRICKS_RESOURCE, VAULT_RESOURCE, STORAGE_RESOURCE, EXCHANGE_RESOURCE}
DEFAULT_NAME = "contoso-git-refresh"
HEADER = "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a"


class Identity:
    """One managed identity.

    `token_lifetime`: seconds that a new token is valid; if negative, it has expired already.
    `cached`: return the previous response for each resource again, like the platform's cache.
    `enabled`: if False, the app does not have this identity. Without any identity, the environment has no
    endpoint.
    `header`: the value that the endpoint requires, the same for all identities.
    """

    def __init__(self, authority: Authority, client_id: str, object_id: str) -> None:
        self.tenant_id = TENANT
        self.client_id = client_id
        self.object_id = object_id
        self.header = HEADER
        self.token_lifetime = 3900.0
        self.cached = False
        self.enabled = True
        self._authority = authority
        self._answers: dict[str, dict[str, str]] = {}

    def token(self, resource: str) -> str:
        """Return a token for this resource as the endpoint returns it."""
        return self.answer(resource)["access_token"]

    def expire_tokens(self) -> None:
        """Expire every token of this identity, wherever it is stored."""
        for issuer in (ENTRA, entra_v2(self.tenant_id)):
            self._authority.expire(issuer, self.object_id)
        self._answers.clear()

    def answer(self, resource: str) -> dict[str, str]:
        """Return the endpoint's response."""
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
        claims = {"oid": self.object_id, "tid": self.tenant_id, "sub": self.object_id}
        if resource == EXCHANGE_RESOURCE:
            issuer, audience = entra_v2(self.tenant_id), EXCHANGE_AUDIENCE
            claims |= {"azp": self.client_id, "ver": "2.0"}
        else:
            issuer, audience = ENTRA, resource
            claims["appid"] = self.client_id
        return self._authority.issue(issuer, audience, self.token_lifetime, claims)


class IdentityEndpoint:
    """An endpoint for the default, system-assigned identity and for user-assigned ones by client ID."""

    service = "identity"
    host = "127.0.0.1"
    request_id_header = "x-ms-request-id"

    def __init__(self, authority: Authority) -> None:
        self.default = Identity(
            authority, "1b2c3d4e-0000-4000-8000-00000000c11d", "1b2c3d4e-0000-4000-8000-00000000001d"
        )
        self._authority = authority
        self._named: dict[str, Identity] = {}

    @property
    def identities(self) -> list[Identity]:
        """The identities that the app has, the default one first."""
        return [each for each in (self.default, *self._named.values()) if each.enabled]

    @property
    def known(self) -> dict[str, Identity]:
        """All identities by name, including those that the app does not have."""
        return {DEFAULT_NAME: self.default, **self._named}

    def add(self, name: str) -> Identity:
        """Return the user-assigned identity of this name; its IDs are the same in every cloud."""
        if name not in self._named:
            client_id, object_id = (_identifier(f"{name}/{kind}") for kind in ("client", "object"))
            self._named[name] = Identity(self._authority, client_id, object_id)
        return self._named[name]

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/msi/token", self._token)]

    async def _token(self, request: web.Request) -> web.Response:
        if request.headers.get("X-IDENTITY-HEADER") != HEADER:
            raise _error(401, "The X-IDENTITY-HEADER request header is missing or wrong.")
        identity = self._find(request.query.get("client_id", self.default.client_id))
        if request.query.get("api-version") != "2019-08-01":
            raise _error(400, "The api-version is missing or not supported.")
        resource = request.query.get("resource", "").rstrip("/")
        if resource not in RESOURCES:
            raise _error(
                400,
                f"AADSTS500011: The resource principal named {resource} was not found in the tenant "
                f"named {identity.tenant_id}.",
            )
        request[PRINCIPAL] = identity.object_id
        return web.json_response(identity.answer(resource))

    def _find(self, client_id: str) -> Identity:
        for identity in self.identities:
            if identity.client_id == client_id:
                return identity
        raise _error(
            400,
            "No User Assigned or Delegated Managed Identity found for specified "
            "ClientId/ResourceId/PrincipalId.",
        )


def _identifier(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def _error(status: int, message: str) -> ApiError:
    correlation = "8797a7fe-6157-44e2-b24d-3e5713d2111d"
    return ApiError(status, {"statusCode": status, "message": message, "correlationId": correlation})
