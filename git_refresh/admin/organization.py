"""An Azure DevOps organization: its members, with their access levels and projects.

Facts: https://learn.microsoft.com/rest/api/azure/devops/memberentitlementmanagement/service-principal-entitlements and
https://learn.microsoft.com/rest/api/azure/devops/graph
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field, WrapValidator

from git_refresh.clients.responses import Guid, Page, Response, Word, or_nothing
from git_refresh.clients.rest import Nothing, Rest
from git_refresh.clients.retry import Retry
from git_refresh.failures.failure import (
    Attempt,
    FailureKind,
    Operation,
    Service,
    ServiceError,
    ServiceFailure,
    none_if_missing,
)

DEVOPS_ORIGIN = "https://dev.azure.com"
ENTITLEMENTS_ORIGIN = "https://vsaex.dev.azure.com"
DEVOPS_GRAPH_ORIGIN = "https://vssps.dev.azure.com"

MAX_MEMBERS_PAGES = 200
"""A list of service principals with more pages is treated as endless."""

READERS = "Readers"
_READING = frozenset({"projectreader", "projectcontributor", "projectadministrator"})
"""Project groups whose members can read repositories."""
_VERSION = {"api-version": "7.1-preview.1"}
_WITHOUT_REPOSITORIES = frozenset({"none", "stakeholder"})
_GONE = frozenset({"deleted", "none"})
"""Statuses of an identity that is no longer a member."""
_BLOCKED = frozenset({"disabled", "expired"})
"""Statuses of a member that cannot sign in. `pending` is normal before the first sign-in."""

Descriptor = Annotated[str, Field(strict=True, max_length=400, pattern=r"^[A-Za-z0-9._-]+$")]
"""An opaque name of a member or group. Security: strict, because it becomes part of a URL."""


class _Project(Response):
    id: Guid


class _Value(Response):
    value: Descriptor


class _Subject(Response):
    descriptor: Descriptor
    displayName: Annotated[Word | None, WrapValidator(or_nothing)] = None  # noqa: N815  # Azure DevOps' names, here and below
    principalName: Annotated[Word | None, WrapValidator(or_nothing)] = None  # noqa: N815
    originId: Word = ""  # noqa: N815
    isDeletedInOrigin: bool = False  # noqa: N815


class _Subjects(Page):
    value: Annotated[tuple[_Subject, ...], Field(max_length=5000)] = ()


class _Membership(Response):
    containerDescriptor: Descriptor  # noqa: N815


class _Memberships(Response):
    value: Annotated[tuple[_Membership, ...], Field(max_length=5000)] = ()


class _Licence(Response):
    accountLicenseType: Word = "none"  # noqa: N815
    licensingSource: Word = ""  # noqa: N815
    status: Word = ""


class _OfProject(Response):
    groupType: Word = ""  # noqa: N815


class _Entitled(Response):
    projectRef: _Project  # noqa: N815
    group: _OfProject = _OfProject()


class _Origin(Response):
    isDeletedInOrigin: bool = False  # noqa: N815


class _Entitlement(Response):
    servicePrincipal: _Origin = _Origin()  # noqa: N815
    accessLevel: _Licence = _Licence()  # noqa: N815
    projectEntitlements: Annotated[tuple[_Entitled, ...], Field(max_length=5000)] = ()  # noqa: N815


class _Error(Response):
    key: Any = None
    value: Annotated[str, Field(strict=True, max_length=20_000)] = ""


class _Operation(Response):
    errors: Annotated[tuple[_Error, ...], Field(max_length=100)] = ()


class _Outcome(Response):
    """The result of a change. A refused change also has status 200."""

    isSuccess: Annotated[bool, Field(strict=True)]  # noqa: N815
    operationResult: _Operation = _Operation()  # noqa: N815
    operationResults: Annotated[tuple[_Operation, ...], Field(max_length=100)] = ()  # noqa: N815


@dataclass(frozen=True, slots=True)
class Member:
    """A service principal in the organization."""

    descriptor: str
    storage_key: str
    licensed: bool
    """True for access level Basic or higher, which can read repositories."""
    projects: frozenset[str]
    """IDs of the projects whose repositories it can read."""
    blocked: str = ""
    """`disabled` or `expired` if it cannot sign in."""


def entitlement(object_id: str, project_ids: Sequence[str]) -> dict[str, object]:
    """Return the body that adds an identity with access level Basic, also to the Readers of projects."""
    body: dict[str, object] = {
        "accessLevel": {"accountLicenseType": "express"},
        "servicePrincipal": {"origin": "aad", "originId": object_id, "subjectKind": "servicePrincipal"},
    }
    if project_ids:
        body["projectEntitlements"] = [
            {"group": {"groupType": "projectReader"}, "projectRef": {"id": project_id}}
            for project_id in project_ids
        ]
    return body


class Organization:
    """Client of one organization. Every method raises `ServiceError` if the call fails."""

    def __init__(self, name: str, devops: Rest, entitlements: Rest, graph: Rest) -> None:
        self.name = name
        self._path = f"/{quote(name)}/_apis"
        self._devops = devops
        self._entitlements = entitlements
        self._graph = graph

    def project_id(self, project: str) -> str:
        path = f"{self._path}/projects/{quote(project, safe='')}"
        what = Operation.LOOK_UP_PROJECT.of(f"{project} of {self.name}")
        return self._devops.get(what, path, _Project, {"api-version": "7.1"}).id.lower()

    def member(self, object_id: str) -> Member | None:
        """Return the member with this object ID; None if it is not a member."""
        what = Operation.LIST_MEMBERS.of(self.name)
        descriptor = next(
            (
                each.descriptor
                for each in self._subjects(what, "serviceprincipals")
                if each.originId.lower() == object_id.lower() and not each.isDeletedInOrigin
            ),
            None,
        )
        if descriptor is None:
            return None
        what = Operation.READ_ACCESS_LEVEL.of(self.name)
        key = self._graph.get(what, f"{self._path}/graph/storagekeys/{descriptor}", _Value, _VERSION).value
        path = f"{self._path}/serviceprincipalentitlements/{key}"
        found = none_if_missing(lambda: self._entitlements.get(what, path, _Entitlement, _VERSION))
        if found is None:  # in the directory, but without an access level
            return None
        status = found.accessLevel.status.lower()
        if status in _GONE or found.servicePrincipal.isDeletedInOrigin:
            return None
        licensed = (
            found.accessLevel.accountLicenseType.lower() not in _WITHOUT_REPOSITORIES
            or found.accessLevel.licensingSource.lower() == "msdn"
        )
        projects = frozenset(
            entitled.projectRef.id.lower()
            for entitled in found.projectEntitlements
            if entitled.group.groupType.lower() in _READING
        )
        return Member(descriptor, key, licensed, projects, status if status in _BLOCKED else "")

    def _subjects(self, what: Attempt, kind: str, **query: str) -> Iterator[_Subject]:
        path = f"{self._path}/graph/{kind}"
        for page in self._graph.pages(what, path, _Subjects, _VERSION | query, most=MAX_MEMBERS_PAGES):
            yield from page.value

    def add(self, object_id: str, project_ids: Sequence[str]) -> None:
        """Add a service principal with access level Basic, also to the Readers of projects. Idempotent."""
        what = Operation.ADD_MEMBER.of(self.name)
        path = f"{self._path}/serviceprincipalentitlements"
        self._change("POST", what, path, entitlement(object_id, project_ids))

    def set_basic(self, member: Member) -> None:
        what = Operation.RAISE_ACCESS_LEVEL.of(self.name)
        value = {"accountLicenseType": "express", "licensingSource": "account"}
        body = [{"op": "replace", "path": "/accessLevel", "value": value}]
        self._change("PATCH", what, f"{self._path}/serviceprincipalentitlements/{member.storage_key}", body)

    def _change(self, method: str, what: Attempt, path: str, body: object) -> None:
        outcome = self._entitlements.send(
            method, what, path, _Outcome, query=_VERSION, body=body, repeat=Retry.IDEMPOTENT
        )
        if not outcome.isSuccess:
            errors = [
                *outcome.operationResult.errors,
                *(e for r in outcome.operationResults for e in r.errors),
            ]
            message = " ".join(error.value for error in errors)
            raise ServiceError(
                ServiceFailure(Service.AZURE_DEVOPS, what, FailureKind.ANSWER, status=200, message=message)
            )

    def readers(self, project: str, project_id: str) -> str:
        """Return the descriptor of a project's Readers group."""
        what = Operation.FIND_READERS.of(project)
        scope = self._graph.get(what, f"{self._path}/graph/descriptors/{project_id}", _Value, _VERSION).value
        for group in self._subjects(what, "groups", scopeDescriptor=scope):
            if group.displayName == READERS:
                return group.descriptor
        raise self._graph.unexpected(what)

    def groups(self, member: Member) -> dict[str, str]:
        """Return the full names of the groups that directly contain a member, by descriptor."""
        what, path = (
            Operation.LIST_GROUPS.of(self.name),
            f"{self._path}/graph/memberships/{member.descriptor}",
        )
        found = self._graph.get(what, path, _Memberships, _VERSION | {"direction": "up"})
        names = {each.descriptor: each.principalName or "" for each in self._subjects(what, "groups")}
        containers = [each.containerDescriptor for each in found.value]
        return {container: names.get(container) or container for container in containers}

    def add_to_group(self, member: Member, group: str, project: str) -> None:
        """Add a member to a group. Idempotent."""
        what = Operation.ADD_READER.of(project)
        path = f"{self._path}/graph/memberships/{member.descriptor}/{group}"
        self._graph.send("PUT", what, path, Nothing, query=_VERSION, repeat=Retry.IDEMPOTENT)
