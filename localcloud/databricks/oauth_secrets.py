"""The OAuth secrets of service principals in a workspace's API.

Facts: https://docs.databricks.com/api/azure/workspace/serviceprincipalsecretsproxy. Unrecorded: the texts of
errors, except for a missing principal.
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from localcloud.databricks.account import MOST_LIFETIME, AccountPrincipal, OAuthSecret, new_secret
from localcloud.databricks.errors import error, fields, identifier, invalid, not_found
from localcloud.databricks.sign_in import SignIn

MOST = 5
"""The limit for one service principal."""

PATH = "/api/2.0/accounts/servicePrincipals/{principal}/credentials/secrets"


class OAuthSecrets:
    """The API for OAuth secrets, for account admins and workspace admins."""

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get(PATH, self._list),
            web.post(PATH, self._create),
            web.delete(f"{PATH}/{{secret}}", self._delete),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        secrets = self._principal(request).secrets
        start, size = int(request.query.get("page_token", "0")), int(request.query.get("page_size", MOST))
        answer: dict[str, Any] = {}
        if page := [_shown(known) for known in secrets[start : start + size]]:
            answer["secrets"] = page
        if start + size < len(secrets):
            answer["next_page_token"] = str(start + size)
        return web.json_response(answer)

    async def _create(self, request: web.Request) -> web.Response:
        principal, content = self._principal(request), await fields(request)
        lifetime = re.fullmatch(r"([0-9]+)s", str(content.get("lifetime", f"{MOST_LIFETIME}s")))
        if lifetime is None or not 0 < int(lifetime[1]) <= MOST_LIFETIME:
            raise invalid(f"Invalid lifetime: {content['lifetime']}")
        if len(principal.secrets) >= MOST:
            raise error(
                400,
                "RESOURCE_LIMIT_EXCEEDED",
                f"Service principal {principal.id} has reached the limit of {MOST} secrets.",
            )
        delay = self._sign_in.account.secret_delay
        made = new_secret(int(lifetime[1]), tuple(content.get("scopes") or ()), delay)
        principal.secrets.append(made)
        digest = hashlib.sha256(made.value.encode()).hexdigest()
        return web.json_response({**_shown(made), "secret": made.value, "secret_hash": digest})

    async def _delete(self, request: web.Request) -> web.Response:
        principal = self._principal(request)
        for known in principal.secrets:
            if known.id == request.match_info["secret"]:
                principal.secrets.remove(known)
                return web.json_response({})
        raise not_found(f"Secret {request.match_info['secret']} does not exist.")

    def _principal(self, request: web.Request) -> AccountPrincipal:
        """Return the principal in the path, if it is in this workspace and the caller can see its secrets."""
        caller = self._sign_in.authenticate(request)
        if not caller.admin and caller.object_id not in self._sign_in.account.admins:
            raise error(
                403, "PERMISSION_DENIED", "Only account or workspace admins can manage OAuth secrets."
            )
        known = self._sign_in.by_id(identifier(request.match_info["principal"]))
        if known is None or known.account is None or not known.assigned:
            raise not_found(f"Service principal with id {request.match_info['principal']} not found.")
        return known.account


def _shown(known: OAuthSecret) -> dict[str, Any]:
    return {
        "id": known.id,
        "status": "ACTIVE",
        "create_time": _time(known.created),
        "update_time": _time(known.created),
        "expire_time": _time(known.expires),
        **({"scopes": list(known.scopes)} if known.scopes else {}),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
