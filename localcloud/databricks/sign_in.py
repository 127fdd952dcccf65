"""A workspace's authentication: Databricks OAuth, Microsoft Entra tokens, and token federation.

Facts: https://learn.microsoft.com/azure/databricks/dev-tools/auth/oauth-m2m
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import jwt
from aiohttp import web

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.authority import DATABRICKS_RESOURCE, ENTRA, TENANT, Authority
from localcloud.databricks import federation
from localcloud.databricks.account import Account, AccountPrincipal
from localcloud.databricks.errors import error
from localcloud.databricks.federation import ACCOUNT_ID, FederationPolicy
from localcloud.lag import Lag

OAUTH_LIFETIME = 3600


WORKSPACE_ACCESS = "workspace-access"


@dataclass(slots=True)
class ServicePrincipal:
    """A service principal or a user in one workspace.

    `account`: its record in the account; None for a user.
    `id`: the number that `principal_id` takes.
    `client_id`: its application ID; for a user, the user name.
    `secret`: an OAuth secret of this workspace only, for tests.
    `object_id`: the owner of the Entra tokens that it accepts.
    `assigned`: if False, the account has it, but this workspace does not.
    `admin`: in the group of workspace admins.
    `entitlements`: its own; those of its groups are added.
    `policies`: federation policies of this workspace only, for tests.
    `active`: if False, it can do nothing here.
    """

    account: AccountPrincipal | None
    id: int
    client_id: str
    name: str
    secret: str | None = field(default=None, repr=False)
    object_id: str | None = None
    assigned: bool = True
    admin: bool = False
    entitlements: set[str] = field(default_factory=lambda: {WORKSPACE_ACCESS})
    policies: list[FederationPolicy] = field(default_factory=list)
    active: bool = True

    def knows(self, secret: str | None) -> bool:
        """Return whether this is one of its OAuth secrets."""
        if self.secret is not None and self.secret == secret:
            return True
        return self.assigned and self.account is not None and self.account.signs_in(secret)


class SignIn:
    """The principals of one workspace and its OAuth endpoints.

    `users`: the entitlements of the group `users`, which has all principals.
    `ungranted`: if True, a principal has no permission without a grant.
    `lag`: changes of principals that reads do not show yet, by ID.
    """

    def __init__(self, host: str, authority: Authority, account: Account) -> None:
        number = re.match(r"adb-(\d+)\.", host)
        self.organization_id = number[1] if number else "1"
        self.principals: list[ServicePrincipal] = []
        self._host = host
        self._issuer = f"https://{host}/oidc"
        self._authority = authority
        self.account = account
        self.users = {WORKSPACE_ACCESS, "databricks-sql-access"}
        self.ungranted = False
        self.lag = Lag()

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.post("/oidc/v1/token", self._token),
            web.get("/.well-known/databricks-config", self._configuration),
            web.get("/oidc/.well-known/oauth-authorization-server", self._endpoints),
        ]

    def add(self, client_id: str, name: str) -> ServicePrincipal:
        """Return the principal with this client ID, created if missing."""
        for principal in self.principals:
            if principal.client_id == client_id:
                return principal
        known = self.account.add(client_id, name)
        principal = ServicePrincipal(known, known.id, client_id, name)
        self.principals.append(principal)
        return principal

    def add_user(self, user_name: str, object_id: str, *, admin: bool) -> ServicePrincipal:
        """Add a user, or an admin, to the workspace."""
        user = ServicePrincipal(None, self.account.next_id(), user_name, user_name, object_id=object_id)
        user.admin = admin
        self.principals.append(user)
        return user

    def assign(self, known: AccountPrincipal) -> ServicePrincipal:
        """Assign a principal of the account to the workspace; it has only its groups' entitlements.

        A principal of an Entra application also accepts that application's tokens.
        """
        for principal in self.principals:
            if principal.account is known:
                self.writing(principal)
                principal.assigned = True
                return principal
        self.lag.writing(known.id, None)
        principal = ServicePrincipal(known, known.id, known.client_id, known.name, entitlements=set())
        application = self.account.directory.application(TENANT, known.client_id)
        principal.object_id = application.object_id if application else None
        self.principals.append(principal)
        return principal

    def remove(self, principal: ServicePrincipal) -> None:
        """Remove a principal from the workspace, with its entitlements and groups."""
        self.writing(principal)
        principal.assigned = principal.admin = False
        principal.entitlements.clear()

    def writing(self, principal: ServicePrincipal) -> None:
        """Keep the state of a principal for delayed reads; call this before a change."""
        self.lag.writing(principal.id, replace(principal, entitlements=set(principal.entitlements)))

    def seen(self) -> list[ServicePrincipal]:
        """Return the principals of the workspace as reads show them."""
        seen = []
        for each in self.principals:
            shown: ServicePrincipal | None = self.lag.shown(each.id, each)
            seen += [shown] if shown and shown.assigned else []
        return seen

    def by_id(self, number: int) -> ServicePrincipal | None:
        return next((principal for principal in self.principals if principal.id == number), None)

    def authenticate(self, request: web.Request) -> ServicePrincipal:
        """Return the calling principal, or raise the workspace's 401 or 403."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            raise error(401, 401, "Credential was not sent or was of an unsupported type for this API.")
        audiences = [self.organization_id, DATABRICKS_RESOURCE]
        try:
            claims = self._authority.verify(token, audiences, [self._issuer, ENTRA])
        except jwt.ExpiredSignatureError:
            raise error(403, 403, "Token is expiring within 30 seconds. (token expired)") from None
        except jwt.InvalidTokenError:
            raise error(403, 403, "Invalid access token.") from None
        entra = claims["iss"] == ENTRA
        for principal in self.principals:
            if claims["sub"] == (principal.object_id if entra else principal.client_id):
                request[PRINCIPAL] = principal.client_id
                if (
                    principal.assigned
                    and principal.active
                    and (principal.account is None or principal.account.active)
                ):
                    return principal
        raise self._unauthorized()

    def entitled(self, request: web.Request) -> ServicePrincipal:
        """Return the caller, who needs the Workspace access entitlement."""
        caller = self.authenticate(request)
        if caller.admin or WORKSPACE_ACCESS in caller.entitlements | self.users:
            return caller
        text = f"This API is disabled for users without the {WORKSPACE_ACCESS} entitlement."
        raise error(403, "PERMISSION_DENIED", text)

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form.get("grant_type") == federation.GRANT:
            return self._exchange(request, form)
        client_id, secret = _basic(request) or (form.get("client_id", ""), form.get("client_secret"))
        principal = next((p for p in self.principals if p.client_id == client_id), None)
        if principal is None or not principal.knows(secret):
            raise _oauth_error(401, "invalid_client", "Client authentication failed")
        if form.get("grant_type") != "client_credentials":
            raise _oauth_error(400, "unsupported_grant_type", "Only client_credentials is supported here")
        return self._issued(request, form, client_id, OAUTH_LIFETIME)

    def _exchange(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        """Exchange a token that a federation policy trusts for one of its service principal."""
        if form.get("subject_token_type") != federation.TOKEN_TYPE:
            raise _oauth_error(400, "invalid_request", "The subject_token_type is missing or not supported")
        client_id = form.get("client_id", "")
        principal = next((p for p in self.principals if p.client_id == client_id), None)
        known = self.account.find(client_id)
        policies = [*(principal.policies if principal else ()), *(known.policies if known else ())]
        federation.check(self._authority, policies, form.get("subject_token", ""))
        if principal is None or not principal.assigned:
            raise self._unauthorized()
        answer = {"issued_token_type": federation.ISSUED_TYPE}
        return self._issued(request, form, client_id, federation.LIFETIME, answer)

    def _issued(
        self,
        request: web.Request,
        form: Mapping[str, str],
        client_id: str,
        lifetime: int,
        beside: Mapping[str, str] | None = None,
    ) -> web.Response:
        if "all-apis" not in form.get("scope", "").split():
            raise _oauth_error(400, "invalid_scope", "The requested scope is invalid")
        request[PRINCIPAL] = client_id
        claims = {"sub": client_id, "client_id": client_id, "scope": "all-apis"}
        token = self._authority.issue(self._issuer, self.organization_id, lifetime, claims)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": "all-apis"}
        return web.json_response(answer | dict(beside or {}))

    def _unauthorized(self) -> ApiError:
        return error(403, 403, f"Unauthorized access to Org: {self.organization_id}")

    async def _configuration(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "oidc_endpoint": self._issuer,
                "account_id": ACCOUNT_ID,
                "workspace_id": self.organization_id,
                "cloud": "Azure",
                "host_type": "workspace",
            }
        )

    async def _endpoints(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self._issuer,
                "authorization_endpoint": f"{self._issuer}/v1/authorize",
                "token_endpoint": f"{self._issuer}/v1/token",
                "grant_types_supported": [
                    "client_credentials",
                    "authorization_code",
                    "refresh_token",
                    federation.GRANT,
                ],
            }
        )


def _basic(request: web.Request) -> tuple[str, str] | None:
    """Return client ID and secret from Basic authorization; the SDK does not form-encode them."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return client_id, secret


def _oauth_error(status: int, code: str, description: str) -> ApiError:
    return ApiError(status, {"error": code, "error_description": description})
