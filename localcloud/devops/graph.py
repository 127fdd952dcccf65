"""Azure DevOps' Graph API: members of an organization and their groups.

Facts: https://learn.microsoft.com/rest/api/azure/devops/graph
"""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from localcloud.devops import errors
from localcloud.devops.caller import member, page
from localcloud.devops.organization import DevOps, Group, Member, Organization

_GRAPH = "/{organization}/_apis/graph"


class GraphSite:
    """`vssps.dev.azure.com`."""

    service = "devops"
    host = "vssps.dev.azure.com"
    request_id_header = "X-VSS-E2EID"

    def __init__(self, devops: DevOps) -> None:
        self._devops = devops

    def routes(self) -> Iterable[web.RouteDef]:
        membership = _GRAPH + "/memberships/{subject}/{container}"
        return [
            web.get(_GRAPH + "/serviceprincipals", self._service_principals),
            web.get(_GRAPH + "/serviceprincipals/{descriptor}", self._service_principal),
            web.get(_GRAPH + "/storagekeys/{descriptor}", self._storage_key),
            web.get(_GRAPH + "/descriptors/{key}", self._descriptor),
            web.get(_GRAPH + "/groups", self._groups),
            web.get(_GRAPH + "/memberships/{subject}", self._memberships),
            web.get(membership, self._membership),
            web.put(membership, self._add),
            web.delete(membership, self._remove),
        ]

    async def _service_principals(self, request: web.Request) -> web.Response:
        organization, _ = member(self._devops, request)
        shown = [service_principal(organization, each) for each in organization.seen()]
        return page(request, [each for each in shown if each], self._devops.page)

    async def _service_principal(self, request: web.Request) -> web.Response:
        organization, _ = member(self._devops, request)
        descriptor = request.match_info["descriptor"]
        found = organization.seen_by(descriptor)
        shown = service_principal(organization, found) if found else None
        if shown is None:
            raise errors.unknown_subject(descriptor)
        return web.json_response(shown)

    async def _storage_key(self, request: web.Request) -> web.Response:
        organization, _ = member(self._devops, request)
        descriptor = request.match_info["descriptor"]
        keys = {group.descriptor: group.origin_id for group in organization.groups}
        keys |= {project.scope_descriptor: project.id for project in organization.projects}
        found = organization.seen_by(descriptor)
        key = organization.storage_key(found.object_id) if found else keys.get(descriptor)
        if key is None:
            raise errors.unknown_subject(descriptor)
        return web.json_response({"value": key})

    async def _descriptor(self, request: web.Request) -> web.Response:
        organization, _ = member(self._devops, request)
        key = request.match_info["key"].lower()
        descriptors = {group.origin_id: group.descriptor for group in organization.groups}
        descriptors |= {project.id: project.scope_descriptor for project in organization.projects}
        found = organization.seen_by(key)
        descriptor = organization.descriptor(found.object_id) if found else descriptors.get(key)
        if descriptor is None:
            raise errors.unknown_subject(key)
        return web.json_response({"value": descriptor})

    async def _groups(self, request: web.Request) -> web.Response:
        organization, _ = member(self._devops, request)
        scope = request.query.get("scopeDescriptor")
        found = organization.groups
        if scope is not None:
            projects = [project for project in organization.projects if project.scope_descriptor == scope]
            if not projects:
                raise errors.unknown_subject(scope)
            found = projects[0].groups
        return page(request, [_group(group) for group in found], self._devops.page)

    async def _memberships(self, request: web.Request) -> web.Response:
        organization, _ = member(self._devops, request)
        subject = request.match_info["subject"]
        found = organization.seen_by(subject)
        if request.query.get("direction", "up").lower() == "down":
            within = [each for each in organization.seen() if _in(organization, each, subject)]
            pairs = [(organization.descriptor(each.object_id), subject) for each in within]
        elif found is None:
            raise errors.unknown_subject(subject)
        else:
            pairs = [(subject, group.descriptor) for group in organization.memberships(found)]
        shown = [_pair(*pair) for pair in pairs]
        return web.json_response({"count": len(shown), "value": shown})

    async def _membership(self, request: web.Request) -> web.Response:
        organization, _ = member(self._devops, request)
        subject, container = request.match_info["subject"], request.match_info["container"]
        found = organization.seen_by(subject)
        if found is None or not _in(organization, found, container):
            raise errors.no_membership(subject, container)
        return web.json_response(_pair(subject, container))

    async def _add(self, request: web.Request) -> web.Response:
        """Add a membership; adding it twice succeeds."""
        organization, caller = member(self._devops, request)
        subject, container = request.match_info["subject"], request.match_info["container"]
        if not organization.administers(caller.object_id):
            raise errors.may_not_edit(caller.name)
        found = organization.known_as(subject)
        if found is None or organization.group_of(container) is None:
            raise errors.unknown_subject(subject if found is None else container)
        organization.change(found.object_id).groups.add(container)
        return web.json_response(_pair(subject, container), status=201)

    async def _remove(self, request: web.Request) -> web.Response:
        organization, caller = member(self._devops, request)
        subject, container = request.match_info["subject"], request.match_info["container"]
        if not organization.administers(caller.object_id):
            raise errors.may_not_edit(caller.name)
        found = organization.known_as(subject)
        if found is None or not _in(organization, found, container):
            raise errors.no_membership(subject, container)
        organization.change(found.object_id).groups.discard(container)
        return web.Response()


def _in(organization: Organization, each: Member, container: str) -> bool:
    return any(group.descriptor == container for group in organization.memberships(each))


def service_principal(organization: Organization, each: Member) -> dict[str, Any] | None:
    """Return a member as responses show it, or None for a person."""
    known = organization.directory.find(organization.tenant_id, each.object_id)
    if known is None:
        return None
    descriptor = organization.descriptor(each.object_id)
    return {
        "subjectKind": "servicePrincipal",
        "applicationId": known.client_id,
        "metaType": "managedIdentity" if known.kind == "ManagedIdentity" else "application",
        "domain": organization.tenant_id,
        "principalName": known.object_id,
        "mailAddress": None,
        "origin": "aad",
        "originId": known.object_id,
        "displayName": known.name,
        "url": f"https://vssps.dev.azure.com/{organization.name}/_apis/graph/serviceprincipals/{descriptor}",
        "descriptor": descriptor,
        **({"isDeletedInOrigin": True} if each.deleted_in_origin else {}),
    }


def _group(group: Group) -> dict[str, Any]:
    place = f"TeamProject/{group.project_id}" if group.project_id else "Collection"
    return {
        "subjectKind": "group",
        "description": "",
        "domain": f"vstfs:///Classification/{place}",
        "principalName": group.principal_name,
        "mailAddress": None,
        "origin": "vsts",
        "originId": group.origin_id,
        "displayName": group.name,
        "url": f"https://vssps.dev.azure.com/_apis/graph/groups/{group.descriptor}",
        "descriptor": group.descriptor,
    }


def _pair(subject: str, container: str) -> dict[str, str]:
    return {"memberDescriptor": subject, "containerDescriptor": container}
