"""A workspace's SCIM API: its users, service principals and groups.

Facts: https://docs.databricks.com/api/azure/workspace/serviceprincipals and
https://docs.databricks.com/api/azure/workspace/groups
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from aiohttp import web

from localcloud.authority import TENANT
from localcloud.databricks.account import AccountPrincipal
from localcloud.databricks.errors import fields, identifier, scim_error
from localcloud.databricks.sign_in import ServicePrincipal, SignIn
from localcloud.databricks.variant import Variant

PATH = "/api/2.0/preview/scim/v2"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
SERVICE_PRINCIPAL = "urn:ietf:params:scim:schemas:core:2.0:ServicePrincipal"
GROUPS = {"users": "100", "admins": "101"}
_FILTER = re.compile(r'(applicationId|displayName) eq "?([^"]*)"?')
_ENTITLEMENT = re.compile(r'entitlements\[value eq "([^"]*)"\]')


class Scim:
    def __init__(self, sign_in: SignIn, variant: Variant) -> None:
        self._sign_in = sign_in
        self._variant = variant

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get(f"{PATH}/Me", self._me),
            web.get(f"{PATH}/ServicePrincipals", self._list),
            web.post(f"{PATH}/ServicePrincipals", self._create),
            web.get(f"{PATH}/ServicePrincipals/{{id}}", self._get),
            web.patch(f"{PATH}/ServicePrincipals/{{id}}", self._patch),
            web.delete(f"{PATH}/ServicePrincipals/{{id}}", self._delete),
            web.get(f"{PATH}/Groups", self._groups),
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
        """List principals; without admin permissions a caller sees fewer fields."""
        caller = self._sign_in.authenticate(request)
        found = matching(self._seen(), request.query.get("filter"))
        return listed(request, [_shown(known, caller) for known in found])

    async def _get(self, request: web.Request) -> web.Response:
        caller = self._sign_in.authenticate(request)
        return web.json_response(_shown(self.one(request), caller))

    async def _create(self, request: web.Request) -> web.Response:
        """Add a principal; an application ID refers to the account's or Entra's. Names need not be unique."""
        caller = self._admin(request)
        content = await fields(request)
        client_id = content.get("applicationId")
        known = self._of_application(str(client_id), content) if client_id else None
        if any(each.account is known and each.assigned for each in self._sign_in.principals if known):
            text = f"Service principal with application ID {client_id} already exists."
            raise scim_error(int(self._variant.duplicate_principal), text, "uniqueness")
        account = self._sign_in.account
        made = self._sign_in.assign(known or account.create(str(content.get("displayName", ""))))
        made.entitlements = set(_values(content.get("entitlements")))
        made.active = _truth(content.get("active", True))
        return web.json_response(_shown(made, caller), status=201)

    async def _patch(self, request: web.Request) -> web.Response:
        self._admin(request)
        principal = self.one(request, seen=False)
        content = await fields(request)
        changes = [change for each in content.get("Operations") or [] for change in _operations(each)]
        self._sign_in.writing(principal)
        for kind, attribute, value in changes:
            match kind, attribute:
                case "add", "entitlements":
                    principal.entitlements |= set(_values(value))
                case "replace", "entitlements":
                    principal.entitlements = set(_values(value))
                case "remove", "entitlements":
                    principal.entitlements -= set(_values(value)) or set(principal.entitlements)
                case "add" | "replace", "active":
                    principal.active = _truth(value)
                case _:
                    raise scim_error(400, f"Patch operation {kind} of {attribute} is not supported.")
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        """Remove a principal from the workspace. Unrecorded: that the account and its grants keep it."""
        self._admin(request)
        self._sign_in.remove(self.one(request, seen=False))
        return web.Response(status=204)

    async def _groups(self, request: web.Request) -> web.Response:
        caller = self._sign_in.authenticate(request)
        entitlements = {"users": self._sign_in.users, "admins": {"allow-cluster-create"}}
        found = [name for name in GROUPS if _named(name, request.query.get("filter"))]
        shown: list[dict[str, Any]] = [
            {
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
                "id": GROUPS[name],
                "displayName": name,
                "meta": {"resourceType": "WorkspaceGroup"},
            }
            | ({"entitlements": _entitlements(entitlements[name])} if caller.admin else {})
            for name in found
        ]
        return listed(request, shown)

    def one(self, request: web.Request, *, seen: bool = True) -> ServicePrincipal:
        """Return the principal that a path names, as reads show it or in its current state."""
        number = identifier(request.match_info["id"])
        for known in self._seen() if seen else self._sign_in.principals:
            if known.id == number and known.account is not None and known.assigned:
                return known
        raise scim_error(404, f"Service principal with id {number} not found.")

    def _seen(self) -> list[ServicePrincipal]:
        return [each for each in self._sign_in.seen() if each.account is not None]

    def _admin(self, request: web.Request) -> ServicePrincipal:
        """Return the calling admin. Unrecorded: the text for other callers."""
        caller = self._sign_in.authenticate(request)
        if not caller.admin:
            raise scim_error(403, "Only workspace admins can manage service principals.")
        return caller

    def _of_application(self, client_id: str, content: dict[str, Any]) -> AccountPrincipal:
        """Return the account's principal with this application ID, created for an application of Entra."""
        account = self._sign_in.account
        entra = account.directory.application(TENANT, client_id)
        known = account.find(client_id)
        if known is None and entra is None:  # unrecorded: the text
            raise scim_error(400, f"Application id {client_id} is not known.", "invalidValue")
        return known or account.add(client_id, str(content.get("displayName") or client_id))


class _Named(Protocol):
    @property
    def client_id(self) -> str: ...
    @property
    def name(self) -> str: ...


def matching[P: _Named](known: Iterable[P], text: str | None) -> list[P]:
    """Return the items that match a filter, or raise the API's 400 for an unsupported one."""
    if text is None:
        return list(known)
    match = _FILTER.fullmatch(text)
    if match is None:
        raise scim_error(400, f"Given filter operator is not supported: {text}")
    attribute = "client_id" if match[1] == "applicationId" else "name"
    return [each for each in known if getattr(each, attribute) == match[2]]


def listed(request: web.Request, found: Sequence[dict[str, Any]]) -> web.Response:
    """Return one page of a list."""
    start, size = int(request.query.get("startIndex", "1")), int(request.query.get("count", "100"))
    page = found[start - 1 : start - 1 + size]
    answer = {"schemas": [LIST], "totalResults": len(found), "startIndex": start, "itemsPerPage": len(page)}
    return web.json_response(answer | ({"Resources": page} if page else {}))


def _named(name: str, text: str | None) -> bool:
    match = _FILTER.fullmatch(text) if text else None
    if text and (match is None or match[1] != "displayName"):
        raise scim_error(400, f"Given filter operator is not supported: {text}")
    return match is None or match[2] == name


def _operations(operation: dict[str, Any]) -> list[tuple[str, str, object]]:
    """Return the parts of a patch operation, one per attribute."""
    kind, path, value = str(operation.get("op", "")).lower(), operation.get("path"), operation.get("value")
    if path is None and isinstance(value, dict):
        return [(kind, name, each) for name, each in value.items()]
    if match := _ENTITLEMENT.fullmatch(str(path)):
        return [(kind, "entitlements", [{"value": match[1]}])]
    return [(kind, str(path), value)]


def _values(content: object) -> list[str]:
    """Return the values of a multi-valued attribute."""
    several = content if isinstance(content, list) else [content]
    return [str(each["value"]) for each in several if isinstance(each, dict) and "value" in each]


def _truth(value: object) -> bool:
    """Read a boolean; Databricks also accepts a list of one text."""
    (text,) = _values(value) or [str(value)]
    return text.lower() == "true"


def _shown(known: ServicePrincipal, caller: ServicePrincipal) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "schemas": [SERVICE_PRINCIPAL],
        "id": str(known.id),
        "applicationId": known.client_id,
        "displayName": known.name,
        "active": known.active and (known.account is None or known.account.active),
    }
    if caller.admin:
        shown["entitlements"] = _entitlements(known.entitlements)
        shown["groups"] = _groups(known)
    return shown


def _entitlements(values: Iterable[str]) -> list[dict[str, str]]:
    return [{"value": value} for value in sorted(values)]


def _groups(known: ServicePrincipal) -> list[dict[str, str]]:
    names = ["users", *(["admins"] if known.admin else [])]
    return [{"display": name, "value": GROUPS[name]} for name in names]
