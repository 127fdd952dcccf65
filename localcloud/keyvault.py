"""Azure Key Vault, with reads and writes of secrets.

Facts: https://learn.microsoft.com/rest/api/keyvault/secrets and, for roles,
https://learn.microsoft.com/azure/key-vault/general/rbac-guide.
Unrecorded: the permission for properties of a deleted secret; the response to a recovery during the deletion.
"""

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from aiohttp import web

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.authority import ENTRA, TENANT, VAULT_RESOURCE, Authority


@dataclass(frozen=True, slots=True)
class Secret:
    """One version of a secret; times are Unix seconds."""

    version: str
    value: str = field(repr=False)
    enabled: bool
    created: int
    expires: int | None
    not_before: int | None
    tags: Mapping[str, str] = field(default_factory=dict)
    seen_from: float = 0.0


class KeyVault:
    """A vault at `https://{name}.vault.azure.net`.

    `firewalled`: the firewall refuses every caller.
    `lag`: seconds until a read shows a secret stored through the API.
    `purge_protection`: deleted secrets cannot be purged.
    `deletion_s`: seconds (some 4 in Azure) in which a deleted secret is missing from both lists; 0 ends
    pending deletions.
    `page`: versions on one page, unless the caller asks for fewer.
    """

    service = "keyvault"
    request_id_header = "x-ms-request-id"

    def __init__(self, name: str, authority: Authority, reader: str) -> None:
        self.name = name
        self.host = f"{name}.vault.azure.net"
        self.url = f"https://{self.host}"
        self.firewalled = False
        self._authority = authority
        self.lag = 0.0
        self.deletion_s = 4.0
        self.purge_protection = False
        self.page = 25
        self._readers = {reader}
        self._writers: set[str] = set()
        self._secrets: dict[str, list[Secret]] = {}
        self._deleted: dict[str, list[Secret]] = {}
        self._deleted_at: dict[str, float] = {}

    def set(
        self,
        name: str,
        value: str,
        *,
        expires_on: datetime | None = None,
        not_before: datetime | None = None,
        enabled: bool = True,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Store a new version of a secret without the API."""
        secret = Secret(
            uuid.uuid4().hex,
            value,
            enabled,
            int(time.time()),
            _seconds(expires_on),
            _seconds(not_before),
            dict(tags or {}),
        )
        self._secrets.setdefault(name.lower(), []).append(secret)

    def versions(self, name: str) -> list[Secret]:
        """Return all versions of a secret, the latest last."""
        return list(self._secrets.get(name.lower(), ()))

    def age(self, name: str, by: timedelta) -> None:
        """Move the times of all versions of a secret into the past."""
        seconds = int(by.total_seconds())
        aged = [replace(known, created=known.created - seconds) for known in self.versions(name)]
        self._secrets[name.lower()] = aged

    def delete(self, name: str) -> None:
        """Delete a secret; it can be recovered, and its name stays taken."""
        self._deleted[name.lower()] = self._secrets.pop(name.lower())
        self._deleted_at[name.lower()] = time.monotonic()

    @property
    def ends(self) -> dict[str, datetime | None]:
        """The expiration date of each secret."""
        latest = {name: versions[-1].expires for name, versions in self._secrets.items()}
        return {name: datetime.fromtimestamp(end, UTC) if end else None for name, end in latest.items()}

    def allow(self, object_id: str) -> None:
        """Grant Key Vault Secrets User."""
        self._readers.add(object_id)

    def allow_writing(self, object_id: str) -> None:
        """Grant Key Vault Secrets Officer."""
        self._writers.add(object_id)

    def deny(self, object_id: str) -> None:
        """Remove both roles."""
        self._readers.discard(object_id)
        self._writers.discard(object_id)

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/secrets/{name}", self._get),
            web.get("/secrets/{name}/", self._get),
            web.get("/secrets/{name}/versions", self._list),
            web.get("/secrets/{name}/{version}", self._get),
            web.put("/secrets/{name}", self._put),
            web.patch("/secrets/{name}/", self._patch),
            web.patch("/secrets/{name}/{version}", self._patch),
            web.delete("/secrets/{name}", self._delete),
            web.get("/deletedsecrets/{name}", self._get_deleted),
            web.delete("/deletedsecrets/{name}", self._purge),
            web.post("/deletedsecrets/{name}/recover", self._recover),
        ]

    async def _get(self, request: web.Request) -> web.Response:
        self._authorize(request, "getSecret")
        name, version = request.match_info["name"], request.match_info.get("version")
        secret = self._find(name, version)
        if not secret.enabled:
            raise _forbidden("Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return web.json_response({"value": secret.value, **self._shown(name, secret)})

    async def _list(self, request: web.Request) -> web.Response:
        """List versions without values, here by version; Key Vault promises no order."""
        self._authorize(request, "readMetadata")
        name = request.match_info["name"]
        found = sorted(self._visible(name), key=lambda secret: secret.version)
        start = int(request.query.get("$skiptoken", "0"))
        size = int(request.query.get("maxresults", self.page))
        answer: dict[str, Any] = {
            "value": [self._shown(name, each) for each in found[start : start + size]],
            "nextLink": None,
        }
        if start + size < len(found):
            query = (
                f"api-version={request.query.get('api-version')}&maxresults={size}&$skiptoken={start + size}"
            )
            answer["nextLink"] = f"{self.url}:443/secrets/{name}/versions?{query}"
        return web.json_response(answer)

    async def _put(self, request: web.Request) -> web.Response:
        self._authorize(request, "setSecret")
        name, content = request.match_info["name"], await _content(request)
        if not isinstance(content.get("value"), str):
            raise _bad("The request body is missing the property 'value'.")
        if self._being_deleted(name):
            raise _conflict("Secret is currently being deleted.", "ObjectIsBeingDeleted")
        if name.lower() in self._deleted:
            text = (
                f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; "
                "in this state, the secret can only be recovered or purged."
            )
            raise _conflict(text, "ObjectIsDeletedButRecoverable")
        made = Secret(uuid.uuid4().hex, content["value"], True, int(time.time()), None, None)
        made = replace(_changed(made, content), seen_from=time.time() + self.lag)
        self._secrets.setdefault(name.lower(), []).append(made)
        return web.json_response({"value": made.value, **self._shown(name, made)})

    async def _patch(self, request: web.Request) -> web.Response:
        self._authorize(request, "update")
        name = request.match_info["name"]
        known = self._find(name, request.match_info.get("version"))
        made = _changed(known, await _content(request))
        versions = self._secrets[name.lower()]
        versions[versions.index(known)] = made
        return web.json_response(self._shown(name, made))

    async def _get_deleted(self, request: web.Request) -> web.Response:
        self._authorize(request, "readMetadata")
        name = request.match_info["name"]
        known = self._deleted.get(name.lower())
        if known is None or self._being_deleted(name):
            raise _not_found(name)
        return web.json_response({**self._shown(name, known[-1]), **self._recovery(name)})

    def _recovery(self, name: str) -> dict[str, Any]:
        return {
            "recoveryId": f"{self.url}/deletedsecrets/{name}",
            "deletedDate": int(time.time()),
            "scheduledPurgeDate": int(time.time()) + 90 * 86_400,
        }

    async def _delete(self, request: web.Request) -> web.Response:
        self._authorize(request, "delete")
        name = request.match_info["name"]
        if self._being_deleted(name):
            raise _conflict("Secret is currently being deleted.", "ObjectIsBeingDeleted")
        latest = self._find(name, None)
        self.delete(name)
        return web.json_response({**self._shown(name, latest), **self._recovery(name)})

    async def _purge(self, request: web.Request) -> web.Response:
        """Purge a deleted secret. Unrecorded: the text of the refusal."""
        self._authorize(request, "purge")
        name = request.match_info["name"]
        if self._being_deleted(name):
            raise _conflict("Secret is currently being deleted.", "ObjectIsBeingDeleted")
        if name.lower() not in self._deleted:
            raise _not_found(name)
        if self.purge_protection:
            text = "Operation purge is not allowed because purge protection is enabled for this vault."
            raise _forbidden(text, "ForbiddenByPolicy")
        del self._deleted[name.lower()]
        return web.Response(status=204)

    async def _recover(self, request: web.Request) -> web.Response:
        self._authorize(request, "recover")
        name = request.match_info["name"]
        if self._being_deleted(name):
            raise _conflict("Secret is currently being deleted.", "ObjectIsBeingDeleted")
        if name.lower() not in self._deleted:
            raise _not_found(name)
        self._secrets[name.lower()] = self._deleted.pop(name.lower())
        return web.json_response(self._shown(name, self._secrets[name.lower()][-1]))

    def _shown(self, name: str, secret: Secret) -> dict[str, Any]:
        attributes = {
            "enabled": secret.enabled,
            "created": secret.created,
            "updated": secret.created,
            "recoveryLevel": "Recoverable" if self.purge_protection else "Recoverable+Purgeable",
            "recoverableDays": 90,
        }
        attributes |= {"exp": secret.expires} if secret.expires else {}
        attributes |= {"nbf": secret.not_before} if secret.not_before else {}
        identifier = f"{self.url}/secrets/{name}/{secret.version}"
        return {"id": identifier, "attributes": attributes, "tags": dict(secret.tags)}

    def _authorize(self, request: web.Request, action: str) -> None:
        """Raise the challenge for a caller without a valid token, then check firewall and role."""
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
        if claims["oid"] not in self._writers | (self._readers if action in _OF_READERS else set()):
            raise _forbidden(
                "Caller is not authorized to perform action on resource.\r\n"
                "If role assignments, deny assignments or role definitions were changed recently, "
                f"please observe propagation time.\r\n{caller}"
                f"Action: 'Microsoft.KeyVault/vaults/secrets/{action}/action'\r\n"
                "Assignment: (not found)\r\nDenyAssignmentId: null\r\n"
                "DecisionReason: 'DeniedWithNoValidRBAC' \r\n"
                f"Vault: {self.name};location=westeurope\r\n",
                "ForbiddenByRbac",
            )

    def _being_deleted(self, name: str) -> bool:
        """Return whether a deletion of this secret is in progress."""
        key = name.lower()
        return key in self._deleted and time.monotonic() < self._deleted_at[key] + self.deletion_s

    def _visible(self, name: str) -> list[Secret]:
        return [known for known in self.versions(name) if known.seen_from <= time.time()]

    def _find(self, name: str, version: str | None) -> Secret:
        for secret in reversed(self._visible(name)):
            if version in (None, secret.version):
                return secret
        raise _not_found(name)


_OF_READERS = {"getSecret", "readMetadata"}


def _not_found(name: str) -> ApiError:
    return ApiError(
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


async def _content(request: web.Request) -> dict[str, Any]:
    try:
        content = json.loads(await request.read())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise _bad("Property  has invalid value")
    return content


def _changed(known: Secret, content: Mapping[str, Any]) -> Secret:
    """Return a version with the attributes and tags of a request; others stay."""
    attributes = content.get("attributes") or {}
    return replace(
        known,
        enabled=attributes.get("enabled", known.enabled),
        expires=attributes.get("exp", known.expires),
        not_before=attributes.get("nbf", known.not_before),
        tags=content.get("tags", known.tags) or {},
    )


def _conflict(message: str, inner: str) -> ApiError:
    return ApiError(409, {"error": {"code": "Conflict", "message": message, "innererror": {"code": inner}}})


def _bad(message: str) -> ApiError:
    return ApiError(400, {"error": {"code": "BadParameter", "message": message}})


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
