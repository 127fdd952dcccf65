"""Azure Key Vault: reading secrets.

Facts: https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret
"""

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import jwt
from aiohttp import web

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.authority import ENTRA, TENANT, VAULT_RESOURCE, Authority


@dataclass(frozen=True, slots=True)
class Secret:
    """One version of a secret; times are Unix seconds."""

    version: str
    value: str
    enabled: bool
    created: int
    expires: int | None
    not_before: int | None


class KeyVault:
    """One vault, reached as `https://{name}.vault.azure.net`.

    Attributes:
        firewalled: the vault's firewall turns every caller away.
    """

    service = "keyvault"
    request_id_header = "x-ms-request-id"

    def __init__(self, name: str, authority: Authority, reader: str) -> None:
        self.name = name
        self.host = f"{name}.vault.azure.net"
        self.url = f"https://{self.host}"
        self.firewalled = False
        self._authority = authority
        self._readers = {reader}
        self._secrets: dict[str, list[Secret]] = {}

    def set(
        self,
        name: str,
        value: str,
        *,
        expires_on: datetime | None = None,
        not_before: datetime | None = None,
        enabled: bool = True,
    ) -> None:
        """Store a new version of a secret, which becomes the latest."""
        secret = Secret(
            uuid.uuid4().hex, value, enabled, int(time.time()), _seconds(expires_on), _seconds(not_before)
        )
        self._secrets.setdefault(name.lower(), []).append(secret)

    @property
    def ends(self) -> dict[str, datetime | None]:
        """When each secret ends."""
        latest = {name: versions[-1].expires for name, versions in self._secrets.items()}
        return {name: datetime.fromtimestamp(end, UTC) if end else None for name, end in latest.items()}

    def allow(self, object_id: str) -> None:
        """Grant Key Vault Secrets User."""
        self._readers.add(object_id)

    def deny(self, object_id: str) -> None:
        """Take Key Vault Secrets User away."""
        self._readers.discard(object_id)

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/secrets/{name}", self._get),
            web.get("/secrets/{name}/", self._get),
            web.get("/secrets/{name}/{version}", self._get),
        ]

    async def _get(self, request: web.Request) -> web.Response:
        self._authorize(request)
        name, version = request.match_info["name"], request.match_info.get("version")
        secret = self._find(name, version)
        if not secret.enabled:
            raise _forbidden("Operation get is not allowed on a disabled secret.", "SecretDisabled")
        attributes = {
            "enabled": True,
            "created": secret.created,
            "updated": secret.created,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
        }
        attributes |= {"exp": secret.expires} if secret.expires else {}
        attributes |= {"nbf": secret.not_before} if secret.not_before else {}
        identifier = f"{self.url}/secrets/{name}/{secret.version}"
        return web.json_response(
            {"value": secret.value, "id": identifier, "attributes": attributes, "tags": {}}
        )

    def _authorize(self, request: web.Request) -> None:
        """The challenge for a caller without a live token, then firewall, then role."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            claims = self._authority.verify(token, [VAULT_RESOURCE], [ENTRA])
        except jwt.InvalidTokenError:
            raise _challenge(f"AKV1000{5 if scheme else 0}") from None
        request[PRINCIPAL] = claims["oid"]
        caller = f"Caller: appid={claims['appid']};oid={claims['oid']};iss={ENTRA}\r\n"
        if self.firewalled:
            raise _forbidden(
                "Client address is not authorized and caller is not a trusted service.\r\n"
                f"Client address: 20.50.2.1\r\n{caller}Vault: {self.name};location=westeurope",
                "ForbiddenByFirewall",
            )
        if claims["oid"] not in self._readers:
            raise _forbidden(
                "Caller is not authorized to perform action on resource.\r\n"
                "If role assignments, deny assignments or role definitions were changed recently, "
                f"please observe propagation time.\r\n{caller}"
                "Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\n"
                "Assignment: (not found)\r\nDenyAssignmentId: null\r\n"
                "DecisionReason: 'DeniedWithNoValidRBAC' \r\n"
                f"Vault: {self.name};location=westeurope\r\n",
                "ForbiddenByRbac",
            )

    def _find(self, name: str, version: str | None) -> Secret:
        versions = self._secrets.get(name.lower(), [])
        for secret in reversed(versions):
            if version in (None, secret.version):
                return secret
        raise ApiError(
            404,
            {
                "error": {
                    "code": "SecretNotFound",
                    "message": f"A secret with (name/id) {name} was not found in this key vault. "
                    "If you recently deleted this secret you may be able to recover it using the correct "
                    "recovery command. For help resolving this issue, please see "
                    "https://go.microsoft.com/fwlink/?linkid=2125182",
                }
            },
        )


def _challenge(code: str) -> ApiError:
    return ApiError(
        401,
        {"error": {"code": "Unauthorized", "message": f"{code}: Request is missing a Bearer or PoP token."}},
        {
            "WWW-Authenticate": f'Bearer authorization="https://login.microsoftonline.com/{TENANT}", '
            f'resource="{VAULT_RESOURCE}"'
        },
    )


def _forbidden(message: str, inner: str) -> ApiError:
    error = {"code": "Forbidden", "message": message, "innererror": {"code": inner}}
    return ApiError(403, {"error": error})


def _seconds(when: datetime | None) -> int | None:
    return int(when.astimezone(UTC).timestamp()) if when else None
