"""Client of a workspace for its admin: service principals, and permissions on folders.

Facts: https://docs.databricks.com/api/azure/workspace/serviceprincipals and https://docs.databricks.com/api/azure/workspace/permissions
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import Field

from git_refresh.clients.databricks import DatabricksWorkspaceApi
from git_refresh.clients.responses import Guid, Response, Word
from git_refresh.clients.rest import Nothing, Rest
from git_refresh.clients.retry import Retry
from git_refresh.clients.scim import ADMINS, Principal, ScimClient
from git_refresh.failures.failure import Operation, ServiceError, none_if_missing
from git_refresh.model.values import DIRECTORY, GitFolder, StoredCredential

MANAGE = "CAN_MANAGE"
_MANAGER = "roles/servicePrincipal.manager"
ObjectKind = Literal["repos", "directories"]

_OTHER_KIND = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})
"""Statuses of a permissions request with the wrong kind of object."""


class _Rule(Response):
    role: Word = ""
    principals: Annotated[tuple[Word, ...], Field(max_length=1000)] = ()


class _RuleSet(Response):
    grant_rules: Annotated[tuple[_Rule, ...], Field(max_length=100)] = ()


class _Metadata(Response):
    account_id: Guid | None = None


class _Level(Response):
    permission_level: Word = ""
    inherited: bool = False


class _Access(Response):
    service_principal_name: Word = ""
    group_name: Word = ""
    all_permissions: Annotated[tuple[_Level, ...], Field(max_length=100)] = ()


class _Permissions(Response):
    access_control_list: Annotated[tuple[_Access, ...], Field(max_length=10_000)] = ()


@dataclass(frozen=True, slots=True)
class FoundObject:
    id: int
    kind: ObjectKind
    """Kind of object in the URL of its permissions."""
    url: str | None = None
    """Remote URL of a Git folder."""
    folder: bool = True
    """True for a Git folder or a directory. Nothing is granted on other objects."""


def can_manage(client_id: str) -> dict[str, object]:
    """Return the body of a PATCH that grants a principal CAN MANAGE."""
    return {"access_control_list": [{"service_principal_name": client_id, "permission_level": MANAGE}]}


class AdminWorkspace:
    """Client of one workspace. Every method raises `ServiceError` if the call fails."""

    def __init__(self, host: str, rest: Rest) -> None:
        self.host = host
        self._rest = rest
        self.scim = ScimClient(rest)
        self._git = DatabricksWorkspaceApi.over(rest)
        self._kinds: dict[int, ObjectKind] = {}

    def account_id(self) -> str | None:
        """Return the account ID that the workspace reports; None if it reports none."""
        what, path = Operation.LOOK_UP_ACCOUNT.of(), "/.well-known/databricks-config"
        found = none_if_missing(lambda: self._rest.get(what, path, _Metadata))
        return found.account_id if found else None

    def managers(self, account_id: str, client_id: str) -> frozenset[str]:
        """Return the managers of a service principal: `servicePrincipals/…`, `groups/…`.

        The role is never granted here, because the API replaces the whole rule set.
        """
        name = f"accounts/{account_id}/servicePrincipals/{client_id}/ruleSets/default"
        path = "/api/2.0/preview/accounts/access-control/rule-sets"
        what = Operation.READ_ROLES.of(client_id)
        found = self._rest.get(what, path, _RuleSet, {"name": name, "etag": ""})
        return frozenset(
            who for rule in found.grant_rules if rule.role == _MANAGER for who in rule.principals
        )

    def at(self, path: str) -> FoundObject | None:
        found = self._git.find(path)
        if found is None:
            return None
        if isinstance(found, GitFolder):
            return FoundObject(found.id, "repos", found.url or None)
        if found.broken:
            return FoundObject(found.id, "repos")
        return FoundObject(found.id, "directories", folder=found.type == DIRECTORY)

    def manages(self, place: FoundObject, principal: Principal) -> bool:
        """Return whether a principal has CAN MANAGE, itself or through a group, directly or inherited."""
        if ADMINS in principal.groups:
            return True
        found = self._permissions(place)
        own = principal.client_id.lower()
        return any(
            level.permission_level == MANAGE
            for access in found.access_control_list
            if access.service_principal_name.lower() == own or access.group_name in principal.groups
            for level in access.all_permissions
        )

    def granted(self, place: FoundObject, client_id: str) -> str | None:
        """Return the principal's name in a direct CAN MANAGE; None if it is only inherited or missing."""
        for access in self._permissions(place).access_control_list:
            own = any(
                level.permission_level == MANAGE and not level.inherited for level in access.all_permissions
            )
            if own and access.service_principal_name.lower() == client_id.lower():
                return access.service_principal_name
        return None

    def _permissions(self, place: FoundObject) -> _Permissions:
        return self._at_permissions(
            place, lambda path: self._rest.get(Operation.READ_PERMISSIONS.of(), path, _Permissions)
        )

    def credentials(self, principal_id: int) -> list[StoredCredential]:
        return self._git.credentials(principal_id)

    def grant_can_manage(self, place: FoundObject, client_id: str) -> None:
        """Grant CAN MANAGE with PATCH, which adds a permission. PUT would replace those of others."""
        body = can_manage(client_id)
        self._at_permissions(
            place,
            lambda path: self._rest.send(
                "PATCH", Operation.GIVE_CAN_MANAGE.of(), path, Nothing, body=body, repeat=Retry.IDEMPOTENT
            ),
        )

    def kind_of(self, place: FoundObject) -> ObjectKind:
        """Return the kind that a permissions request confirmed, otherwise the expected one."""
        return self._kinds.get(place.id, place.kind)

    def _at_permissions[T](self, place: FoundObject, request: Callable[[str], T]) -> T:
        """Send a permissions request, and repeat it with the other kind of object if necessary.

        The kind of a Git folder with Git CLI access is unknown.
        """
        first = self.kind_of(place)
        kinds: tuple[ObjectKind, ...] = (first, "directories" if first == "repos" else "repos")
        failures = []
        for kind in kinds:
            try:
                found = request(f"/api/2.0/permissions/{kind}/{place.id}")
            except ServiceError as error:
                if error.failure.status not in _OTHER_KIND:
                    raise
                failures.append(error)
            else:
                self._kinds[place.id] = kind
                return found
        raise failures[0]

    def make_directory(self, path: str) -> FoundObject:
        """Create a directory and its missing parents."""
        self._git.make_directory(path)
        if (created := self.at(path)) is None:
            raise self._rest.unexpected(Operation.CREATE_DIRECTORY.of(path))
        return created
