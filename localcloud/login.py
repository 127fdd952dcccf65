"""Microsoft Entra's login host: app registrations authenticate with a client assertion.

Each tenant with consent accepts them. Facts:
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow and
https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from aiohttp import web

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.authority import (
    DATABRICKS_RESOURCE,
    DEVOPS_RESOURCE,
    EXCHANGE_AUDIENCE,
    EXCHANGE_RESOURCE,
    LOGIN_HOST,
    TENANT,
    TENANTS,
    VAULT_RESOURCE,
    Authority,
    entra,
    entra_v2,
)

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RESOURCES = (DEVOPS_RESOURCE, DATABRICKS_RESOURCE, VAULT_RESOURCE)


@dataclass(frozen=True, slots=True)
class FederatedCredential:
    """An issuer and subject whose tokens are client assertions of an app registration."""

    issuer: str
    subject: str
    audience: str = EXCHANGE_RESOURCE


class AppRegistration:
    """A multi-tenant app registration of the app's own tenant.

    `tenants`: those with its service principal: the home tenant and each with consent.
    `token_lifetime`: seconds that a new token is valid; if negative, it has expired already.
    """

    def __init__(self, name: str, authority: Authority) -> None:
        self.name = name
        self.client_id = _identifier(f"{name}/client")
        self.credentials: list[FederatedCredential] = []
        self.tenants = {TENANT}
        self.token_lifetime = 3900.0
        self._authority = authority

    def trust(
        self, subject: str, *, issuer: str = entra_v2(TENANT), audience: str = EXCHANGE_RESOURCE
    ) -> FederatedCredential:
        """Add a federated credential; the subject of a managed identity is its object ID."""
        credential = FederatedCredential(issuer, subject, audience)
        self.credentials.append(credential)
        return credential

    def consent(self, tenant_id: str) -> str:
        """Consent in a tenant, and return the object ID of the new service principal."""
        self.tenants.add(tenant_id)
        return self.object_id(tenant_id)

    def object_id(self, tenant_id: str) -> str:
        """Return the object ID of its service principal in a tenant."""
        return _identifier(f"{self.client_id}/{tenant_id}")

    def token(self, tenant_id: str, resource: str) -> str:
        """Return a token for this resource as the login host returns it."""
        object_id = self.object_id(tenant_id)
        claims = {"appid": self.client_id, "oid": object_id, "sub": object_id, "tid": tenant_id}
        return self._authority.issue(entra(tenant_id), resource, self.token_lifetime, claims)

    def expire_tokens(self) -> None:
        """Expire every token, in every tenant."""
        for tenant_id in TENANTS:
            self._authority.expire(entra(tenant_id), self.object_id(tenant_id))


class Login:
    """`login.microsoftonline.com`."""

    service = "login"
    host = LOGIN_HOST
    request_id_header = "x-ms-request-id"

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._applications: dict[str, AppRegistration] = {}

    @property
    def applications(self) -> list[AppRegistration]:
        return list(self._applications.values())

    def application(self, name: str) -> AppRegistration:
        """Return the app registration of this name; its IDs are the same in every cloud."""
        made = AppRegistration(name, self._authority)
        return self._applications.setdefault(made.client_id, made)

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", self._configuration),
            web.get("/{tenant}/discovery/v2.0/keys", self._keys),
            web.post("/{tenant}/oauth2/v2.0/token", self._token),
        ]

    async def _configuration(self, request: web.Request) -> web.Response:
        base = f"https://{LOGIN_HOST}/{_tenant(request)}"
        return web.json_response(
            {
                "issuer": f"{base}/v2.0",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "id_token_signing_alg_values_supported": [
                    "ES256"
                ],  # Azure uses RS256; these keys are faster to generate
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "subject_types_supported": ["pairwise"],
            }
        )

    async def _keys(self, request: web.Request) -> web.Response:
        _tenant(request)
        return web.json_response(self._authority.keys)

    async def _token(self, request: web.Request) -> web.Response:
        tenant_id = _tenant(request)
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form.get("grant_type") != "client_credentials":
            raise _error(70003, "The app requested an unsupported grant type.", "unsupported_grant_type")
        application = self._applications.get(form.get("client_id", ""))
        if application is None or tenant_id not in application.tenants:
            raise _error(
                700016,
                f"Application with identifier '{form.get('client_id')}' was not found in the directory '{tenant_id}'. This can "
                "happen if the application has not been installed by the administrator of the tenant or consented to by any user in "
                "the tenant. You may have sent your authentication request to the wrong tenant.",
                "unauthorized_client",
            )
        self._check(application, form)
        resource = form.get("scope", "").removesuffix("/.default")
        if resource not in RESOURCES:
            raise _error(
                500011,
                f"The resource principal named {resource} was not found in the tenant named {tenant_id}.",
                "invalid_resource",
            )
        request[PRINCIPAL] = application.object_id(tenant_id)
        lifetime = int(application.token_lifetime)
        return web.json_response(
            {
                "token_type": "Bearer",
                "expires_in": lifetime,
                "ext_expires_in": lifetime,
                "access_token": application.token(tenant_id, resource),
            }
        )

    def _check(self, application: AppRegistration, form: Mapping[str, str]) -> None:
        """Raise Entra's error unless a federated credential accepts the assertion."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise _refused(
                7000216,
                "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
            )
        try:
            claims = self._authority.claims(form.get("client_assertion", ""))
        except jwt.ExpiredSignatureError:
            raise _refused(700024, "Client assertion is not within its valid time range.") from None
        except jwt.InvalidTokenError:
            raise _refused(700027, "Client assertion failed signature validation.") from None
        _match(application.credentials, claims)


def _match(credentials: Iterable[FederatedCredential], claims: Mapping[str, Any]) -> None:
    issuer, subject, audience = claims["iss"], claims["sub"], claims["aud"]
    from_issuer = [credential for credential in credentials if credential.issuer == issuer]
    if not from_issuer:
        raise _unmatched(700211, f"issuer '{issuer}'")
    of_subject = [credential for credential in from_issuer if credential.subject == subject]
    if not of_subject and subject.lower() in [credential.subject.lower() for credential in from_issuer]:
        raise _unmatched(
            7002138,
            f"subject '{subject}'",
            "The subject matches with case-insensitive comparison, but not with case-sensitive comparison.",
        )
    if not of_subject:
        raise _unmatched(700213, f"subject '{subject}'")
    if audience != EXCHANGE_AUDIENCE:
        raise _unmatched(700212, f"audience '{audience}'")
    if EXCHANGE_RESOURCE not in [credential.audience for credential in of_subject]:
        # The code is as users report it, the text is not: for Entra's own tokens only the GUID works.
        raise _refused(700214, f"The audience of the federated credential must be '{EXCHANGE_RESOURCE}'.")


def _tenant(request: web.Request) -> str:
    tenant_id = request.match_info["tenant"].lower()
    if tenant_id not in TENANTS:
        raise _error(
            90002,
            f"Tenant '{tenant_id}' not found. Check to make sure you have the correct tenant ID and are signing into the correct "
            "cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.",
            "invalid_request",
        )
    return tenant_id


def _unmatched(code: int, what: str, more: str = "") -> ApiError:
    words = [f"No matching federated identity record found for presented assertion {what}."]
    words += [more] if more else []
    words += [
        "Check your federated identity credential Subject, Audience and Issuer against the presented assertion."
    ]
    return _refused(
        code, " ".join([*words, "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"])
    )


def _refused(code: int, message: str) -> ApiError:
    """Return the error of a failed client authentication."""
    return _error(code, message, "invalid_client", 401)


def _error(code: int, message: str, kind: str, status: int = 400) -> ApiError:
    trace, correlation, now = uuid.uuid4(), uuid.uuid4(), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}"
    ids = f"Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
    return ApiError(
        status,
        {
            "error": kind,
            "error_description": f"AADSTS{code}: {message} {ids}",
            "error_codes": [code],
            "timestamp": now,
            "trace_id": str(trace),
            "correlation_id": str(correlation),
            "error_uri": f"https://{LOGIN_HOST}/error?code={code}",
        },
    )


def _identifier(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))
