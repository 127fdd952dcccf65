"""Azure DevOps Member Entitlement Management: access levels and projects of service principals.

Facts:
https://learn.microsoft.com/rest/api/azure/devops/memberentitlementmanagement/service-principal-entitlements
and
https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/service-principal-managed-identity.
Numbers and texts of refusals: https://github.com/microsoft/terraform-provider-azuredevops/issues (86, 1036)
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from localcloud.devops import errors
from localcloud.devops.caller import content_of, member
from localcloud.devops.graph import service_principal
from localcloud.devops.organization import (
    BASIC,
    GROUP_TYPES,
    LICENSES,
    Caller,
    DevOps,
    Group,
    Member,
    Organization,
    highest,
    rank,
)

ENTITLEMENTS = "/{organization}/_apis/serviceprincipalentitlements"
PATCH_TYPE = "application/json-patch+json"
_LEVELS = {"none": "None", "stakeholder": "Stakeholder", "express": "Basic", "advanced": "Basic + Test Plans"}


class EntitlementSite:
    """`vsaex.dev.azure.com`; refusals also have status 200."""

    service = "devops"
    host = "vsaex.dev.azure.com"
    request_id_header = "X-VSS-E2EID"

    def __init__(self, devops: DevOps) -> None:
        self._devops = devops

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.post(ENTITLEMENTS, self._add),
            web.get(ENTITLEMENTS + "/{id}", self._get),
            web.patch(ENTITLEMENTS + "/{id}", self._patch),
            web.delete(ENTITLEMENTS + "/{id}", self._delete),
        ]

    async def _add(self, request: web.Request) -> web.Response:
        """Add a service principal. Unrecorded: that adding a member again succeeds and removes nothing."""
        organization, caller = member(self._devops, request)
        content = await content_of(request)
        if not isinstance(content, dict):
            raise errors.invalid("The request body is no object.")
        principal, level = content.get("servicePrincipal"), content.get("accessLevel")
        object_id = str((principal if isinstance(principal, dict) else {}).get("originId", ""))
        license_type = _license(level if isinstance(level, dict) else {})
        groups = _groups(organization, content.get("projectEntitlements") or [])
        refusal = (
            _may_not(organization, caller)
            or _unknown(organization, object_id)
            or _no_license(organization, object_id, license_type)
        )
        if refusal:
            return _done(None, [refusal])
        changed = organization.change(object_id)
        if changed.status in {"deleted", "none"}:  # unrecorded
            changed.status = "active"
        changed.license = max(changed.license, license_type, key=rank)
        changed.groups |= {group.descriptor for group in groups}
        return _done(_entitlement(organization, changed))

    async def _get(self, request: web.Request) -> web.Response:
        organization, _ = member(self._devops, request)
        found = organization.seen_by(request.match_info["id"].lower())
        if found is None or service_principal(organization, found) is None:
            raise errors.unknown_entitlement(request.match_info["id"])
        return web.json_response(_entitlement(organization, found))

    async def _patch(self, request: web.Request) -> web.Response:
        organization, caller = member(self._devops, request)
        if request.content_type != PATCH_TYPE:
            raise errors.content_type(request.content_type, request.method, PATCH_TYPE)
        found = organization.known_as(request.match_info["id"].lower())
        if found is None:
            raise errors.unknown_entitlement(request.match_info["id"])
        license_type, groups = _patched(organization, await content_of(request))
        refusal = _may_not(organization, caller)
        if license_type:
            refusal = refusal or _no_license(organization, found.object_id, license_type)
        if refusal:
            return _done(None, [refusal], several=True)
        changed = organization.change(found.object_id)
        changed.license = license_type or changed.license
        changed.groups |= {group.descriptor for group in groups}
        return _done(_entitlement(organization, changed), several=True)

    async def _delete(self, request: web.Request) -> web.Response:
        """Remove a member with its access level and memberships. Unrecorded: the refusal."""
        organization, caller = member(self._devops, request)
        found = organization.known_as(request.match_info["id"].lower())
        if found is None:
            raise errors.unknown_entitlement(request.match_info["id"])
        if not organization.administers(caller.object_id):
            raise errors.may_not_edit(caller.name)
        organization.remove_member(found.object_id)
        return web.Response(status=204)


def _license(level: Mapping[str, Any]) -> str:
    license_type = str(level.get("accountLicenseType", ""))
    if license_type not in LICENSES:
        raise errors.invalid(f"The account license type '{license_type}' is not known.")
    return license_type


def _groups(organization: Organization, entitlements: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Return the groups of the projects in an entitlement."""
    found = []
    for entitlement in entitlements:
        wanted = str(entitlement.get("projectRef", {}).get("id", ""))
        kind = str(entitlement.get("group", {}).get("groupType", ""))
        project = organization.project(wanted)
        if project is None or kind not in GROUP_TYPES:
            raise errors.invalid(f"The project '{wanted}' or its group '{kind}' is not known.")
        found.append(project.group(GROUP_TYPES[kind]))
    return found


def _patched(organization: Organization, operations: object) -> tuple[str, list[Group]]:
    """Return the new access level ("" for no change) and the groups to add."""
    license_type, groups = "", list[Group]()
    for operation in operations if isinstance(operations, list) else []:
        match operation:
            case {"op": "replace" | "add", "path": "/accessLevel", "value": dict(level)}:
                license_type = _license(level)
            case {"op": "add", "path": "/projectEntitlements" | "/projectEntitlements/-", "value": value}:
                groups += _groups(organization, value if isinstance(value, list) else [value])
            case _:
                raise errors.invalid(f"The patch operation {operation} is not supported.")
    if not license_type and not groups:
        raise errors.invalid("The patch document has no operation.")
    return license_type, groups


def _may_not(organization: Organization, caller: Caller) -> tuple[int, str] | None:
    if organization.administers(caller.object_id):
        return None
    text = f"Access Denied: {caller.name} needs the following permission(s) on the resource Users to perform this action: Add Users"
    return 5032, text


def _unknown(organization: Organization, object_id: str) -> tuple[int, str] | None:
    """Return the refusal of an unknown identity. The text is recorded. Unrecorded: its number."""
    if organization.directory.find(organization.tenant_id, object_id):
        return None
    return 5000, f"Failed to create service principal with object ID '{object_id}'"


def _no_license(organization: Organization, object_id: str, license_type: str) -> tuple[int, str] | None:
    known = organization.member(object_id)
    has_one = known is not None and rank(known.license) >= rank(BASIC)
    if has_one or rank(license_type) < rank(BASIC) or organization.licenses_left():
        return None
    name = f"Account-{license_type.capitalize()}"
    return (
        5005,
        f"Failed to assign license {name} to identity with id {organization.storage_key(object_id)}.",
    )


def _done(
    entitlement: Mapping[str, Any] | None,
    refusals: Iterable[tuple[int, str]] = (),
    *,
    several: bool = False,
) -> web.Response:
    done = entitlement is not None
    without_lists = {"projectEntitlements": None, "groupAssignments": None} if done and several else {}
    result = {
        "isSuccess": done,
        "errors": [{"key": key, "value": value} for key, value in refusals],
        "result": {**entitlement, **without_lists} if entitlement else None,  # of a change, as recorded
        "servicePrincipalId": entitlement["id"] if entitlement else str(uuid.UUID(int=0)),
    }
    results = {"operationResults": [result]} if several else {"operationResult": result}
    return web.json_response({"isSuccess": done, "servicePrincipalEntitlement": entitlement, **results})


def _entitlement(organization: Organization, each: Member) -> dict[str, Any]:
    groups = organization.memberships(each)
    entitled = [
        (project, highest(group for group in groups if group.project_id == project.id))
        for project in organization.projects
    ]
    kinds = {name: kind for kind, name in GROUP_TYPES.items()}
    return {
        "id": organization.storage_key(each.object_id),
        "servicePrincipal": service_principal(organization, each),
        "accessLevel": {
            "licensingSource": "account",
            "accountLicenseType": each.license,
            "msdnLicenseType": "none",
            "gitHubLicenseType": "none",
            "licenseDisplayName": _LEVELS[each.license],
            "status": each.status,
            "statusMessage": "",
            "assignmentSource": "unknown",
        },
        "projectEntitlements": [
            {
                "group": {"groupType": kinds[group.name], "displayName": group.name},
                "projectRef": {"id": project.id, "name": project.name},
                "projectPermissionInherited": "notInherited",
                "assignmentSource": "unknown",
                "teamRefs": [],
            }
            for project, group in entitled
            if group
        ],
        "extensions": [],
        "groupAssignments": [],
        "lastAccessedDate": "0001-01-01T00:00:00Z",
        "dateCreated": "2026-01-10T12:00:00.0000000Z",
    }
