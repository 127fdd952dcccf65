"""Client of Databricks' SCIM API, for the service principals of a workspace or an account.

Facts: https://docs.databricks.com/api/azure/workspace/serviceprincipals and
https://docs.databricks.com/api/azure/account/accountserviceprincipals
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, WrapValidator

from git_refresh.clients.responses import NumericText, Response, Word, or_nothing
from git_refresh.clients.rest import Nothing, Rest
from git_refresh.clients.retry import Retry
from git_refresh.failures.failure import Attempt, Operation, none_if_missing
from git_refresh.model.values import GUID

WORKSPACE_ACCESS = "workspace-access"
"""Entitlement that Git credentials and Git folders require."""
ADD_WORKSPACE_ACCESS = {
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [{"op": "add", "path": "entitlements", "value": [{"value": WORKSPACE_ACCESS}]}],
}
_PRINCIPAL_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ServicePrincipal"
ADMINS = "admins"
_USERS = "users"

_IDS = "id,applicationId"
_ALL = f"{_IDS},displayName,active,entitlements,groups"


def principal_body(client_id: str | None, name: str) -> dict[str, object]:
    """Return a service principal with workspace access; without `client_id`, one that Databricks manages."""
    identity = {"applicationId": client_id} if client_id else {}
    return {
        **identity,
        "displayName": name,
        "active": True,
        "entitlements": [{"value": WORKSPACE_ACCESS}],
    }


class _Value(Response):
    value: Word = ""
    display: Annotated[Word | None, WrapValidator(or_nothing)] = None


_Values = Annotated[tuple[_Value, ...], Field(max_length=5000)]


class _Principal(Response):
    id: NumericText
    applicationId: Word = ""  # noqa: N815  # SCIM's names, here and below
    displayName: Word = ""  # noqa: N815
    active: bool = True
    entitlements: _Values = ()
    groups: _Values = ()


class _Principals(Response):
    Resources: Annotated[tuple[_Principal, ...], Field(max_length=1000)] = ()


class _Group(Response):
    displayName: Word = ""  # noqa: N815
    entitlements: _Values = ()


class _Groups(Response):
    Resources: Annotated[tuple[_Group, ...], Field(max_length=1000)] = ()


class Me(Response):
    """`GET /Me`: the caller. `userName` of a service principal is its application ID."""

    userName: Word  # noqa: N815
    groups: _Values = ()

    @property
    def is_admin(self) -> bool:
        return any(group.display == ADMINS for group in self.groups)


@dataclass(frozen=True, slots=True)
class Principal:
    id: int
    client_id: str
    name: str
    active: bool
    entitled: bool
    """True with workspace access, directly or from the group `users`."""
    groups: frozenset[str]
    entitlements: frozenset[str] = frozenset()
    """Direct entitlements."""


class ScimClient:
    """SCIM API of a workspace or an account. Methods raise `ServiceError` on failure."""

    def __init__(self, rest: Rest, path: str = "/api/2.0/preview/scim/v2") -> None:
        self._rest = rest
        self._path = path
        self._users_entitled: bool | None = None

    def me(self) -> Me:
        return self._rest.get(Operation.LOOK_UP_CALLER.of(), f"{self._path}/Me", Me)

    def principal_ids(self, client_id: str, what: Operation = Operation.LOOK_UP_PRINCIPAL) -> list[int]:
        """Return the IDs of service principals with this application ID, normally at most one."""
        return [each.id for each in self._with_client_id(client_id, what, _IDS)]

    def principal(self, client_id: str) -> Principal | None:
        found = self._with_client_id(client_id, Operation.LOOK_UP_PRINCIPAL, _ALL)
        return next(map(self._shown, found), None)

    def principals_named(self, name: str) -> list[Principal]:
        """Return the service principals of a workspace with this display name, which might not be unique."""
        found = self._list(Operation.LOOK_UP_PRINCIPALS_BY_NAME.of(), f'displayName eq "{name}"', _ALL)
        return [self._shown(each) for each in found if each.displayName == name]

    def client_id(self, principal_id: int) -> str | None:
        what, path = (
            Operation.LOOK_UP_PRINCIPAL.of(principal_id),
            f"{self._path}/ServicePrincipals/{principal_id}",
        )
        found = none_if_missing(lambda: self._rest.get(what, path, _Principal))
        return found.applicationId if found else None

    def add_principal(self, client_id: str | None, name: str) -> str:
        """Add a service principal with workspace access to a workspace, and return its application ID.

        Without `client_id`, Databricks creates one that it manages.
        Retried only if throttled, because a second request could create a second one with this name.
        """
        body = {"schemas": [_PRINCIPAL_SCHEMA], **principal_body(client_id, name)}
        what, path = Operation.ADD_PRINCIPAL.of(), f"{self._path}/ServicePrincipals"
        return self._rest.send("POST", what, path, _Principal, body=body).applicationId

    def add_workspace_access(self, principal_id: int) -> None:
        path = f"{self._path}/ServicePrincipals/{principal_id}"
        body, repeat = ADD_WORKSPACE_ACCESS, Retry.IDEMPOTENT
        self._rest.send(
            "PATCH", Operation.GIVE_WORKSPACE_ACCESS.of(), path, Nothing, body=body, repeat=repeat
        )

    def _with_client_id(self, client_id: str, what: Operation, attributes: str) -> list[_Principal]:
        if not GUID.fullmatch(client_id):  # prevents injection into the filter
            return []
        found = self._list(what.of(client_id), f'applicationId eq "{client_id}"', attributes)
        return [each for each in found if each.applicationId.lower() == client_id.lower()]

    def _list(self, what: Attempt, condition: str, attributes: str) -> tuple[_Principal, ...]:
        query = {"filter": condition, "attributes": attributes}
        return self._rest.get(what, f"{self._path}/ServicePrincipals", _Principals, query).Resources

    def _shown(self, found: _Principal) -> Principal:
        groups = frozenset(group.display for group in found.groups if group.display) | {_USERS}
        entitled = _has_access(found.entitlements) or self._users_are_entitled()
        own = frozenset(each.value for each in found.entitlements)
        return Principal(
            found.id, found.applicationId, found.displayName, found.active, entitled, groups, own
        )

    def _users_are_entitled(self) -> bool:
        """Return whether every member of the workspace has workspace access, which is the default."""
        if self._users_entitled is None:
            # Without the attribute `members`: a group can have a hundred thousand.
            query = {"filter": f'displayName eq "{_USERS}"', "attributes": "displayName,entitlements"}
            found = self._rest.get(Operation.LOOK_UP_USERS.of(), f"{self._path}/Groups", _Groups, query)
            self._users_entitled = any(
                _has_access(group.entitlements) for group in found.Resources if group.displayName == _USERS
            )
        return self._users_entitled


def _has_access(entitlements: tuple[_Value, ...]) -> bool:
    return any(each.value == WORKSPACE_ACCESS for each in entitlements)
