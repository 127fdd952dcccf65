"""A workspace's SCIM API: who is in it.

Facts: https://docs.databricks.com/api/azure/workspace/serviceprincipals
"""

import re
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from localcloud.databricks.errors import error, identifier
from localcloud.databricks.sign_in import ServicePrincipal, SignIn

PATH = "/api/2.0/preview/scim/v2"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_FILTER = re.compile(r'(applicationId|displayName) eq "?([^"]*)"?')


class Scim:
    """Service principals, and who is calling."""

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get(f"{PATH}/Me", self._me),
            web.get(f"{PATH}/ServicePrincipals", self._list),
            web.get(f"{PATH}/ServicePrincipals/{{id}}", self._get),
        ]

    async def _me(self, request: web.Request) -> web.Response:
        caller = self._sign_in.authenticate(request)
        return web.json_response(
            {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                "id": str(caller.id),
                "userName": caller.client_id,
                "displayName": caller.name,
                "active": True,
                "groups": _groups(caller),
            }
        )

    async def _list(self, request: web.Request) -> web.Response:
        """Who is no admin sees who there is, and no more of them."""
        caller = self._sign_in.authenticate(request)
        found = [_shown(known, caller) for known in self._matching(request.query.get("filter"))]
        start, size = int(request.query.get("startIndex", "1")), int(request.query.get("count", "100"))
        page = found[start - 1 : start - 1 + size]
        answer = {
            "schemas": [LIST],
            "totalResults": len(found),
            "startIndex": start,
            "itemsPerPage": len(page),
        }
        return web.json_response(answer | ({"Resources": page} if page else {}))

    async def _get(self, request: web.Request) -> web.Response:
        caller = self._sign_in.authenticate(request)
        return web.json_response(_shown(self.one(request), caller))

    def one(self, request: web.Request) -> ServicePrincipal:
        """The principal that a path names."""
        number = identifier(request.match_info["id"])
        for known in self._service_principals():
            if known.id == number:
                return known
        raise error(404, 404, f"Service principal with id {number} not found.")

    def _matching(self, text: str | None) -> list[ServicePrincipal]:
        known = self._service_principals()
        if text is None:
            return known
        match = _FILTER.fullmatch(text)
        if match is None:
            raise error(400, 400, f"Given filter operator is not supported: {text}")
        attribute = "client_id" if match[1] == "applicationId" else "name"
        return [each for each in known if getattr(each, attribute) == match[2]]

    def _service_principals(self) -> list[ServicePrincipal]:
        """Those of this workspace."""
        return [each for each in self._sign_in.principals if each.account is not None and each.assigned]


def _shown(known: ServicePrincipal, caller: ServicePrincipal) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServicePrincipal"],
        "id": str(known.id),
        "applicationId": known.client_id,
        "displayName": known.name,
        "active": known.account is None or known.account.active,
    }
    if caller.admin:
        shown["entitlements"] = [{"value": value} for value in sorted(known.entitlements)]
        shown["groups"] = _groups(known)
    return shown


def _groups(known: ServicePrincipal) -> list[dict[str, str]]:
    names = ["users", *(["admins"] if known.admin else [])]
    return [{"display": name, "value": f"{number}"} for number, name in enumerate(names, start=100)]
