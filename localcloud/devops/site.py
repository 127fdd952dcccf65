"""The host names of Azure DevOps: refs over REST, clones and pushes over smart HTTP.

Facts: https://learn.microsoft.com/rest/api/azure/devops/git/refs/list and
https://learn.microsoft.com/rest/api/azure/devops/core/projects/get
"""

import asyncio
import uuid
from collections.abc import Iterable

from aiohttp import web

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.devops import errors, smart_http
from localcloud.devops.caller import authenticated, signed_in
from localcloud.devops.organization import Caller, DevOps, Organization
from localcloud.devops.repository import Repository

PAGE = 1000


class DevOpsSite:
    """`dev.azure.com`, or the older `{organization}.visualstudio.com` of a given organization."""

    service = "devops"
    request_id_header = "X-VSS-E2EID"

    def __init__(self, devops: DevOps, organization: str | None = None) -> None:
        self.host = f"{organization}.visualstudio.com".lower() if organization else "dev.azure.com"
        self._devops = devops
        self._organization = organization

    def routes(self) -> Iterable[web.RouteDef]:
        for start in ["/DefaultCollection", ""] if self._organization else ["/{organization}"]:
            yield web.get(start + "/_apis/projects/{project}", self._project)
            for project in ("/{project}", ""):
                rest = start + project + "/_apis/git/repositories/{repository}"
                clone = start + project + "/_git/{repository}"
                yield web.get(rest, self._repository)
                yield web.get(rest + "/refs", self._refs)
                yield web.get(rest + "/commits/{commit}", self._commit)
                yield web.get(rest + "/diffs/commits", self._diffs)
                yield web.get(clone + "/info/refs", self._git)
                yield web.post(clone + "/git-upload-pack", self._git)
                yield web.post(clone + "/git-receive-pack", self._git)
            yield web.route("*", start + "/{path:.*}", self._unknown)

    async def _project(self, request: web.Request) -> web.Response:
        organization, caller = signed_in(self._devops, request, self._name(request))
        if organization.member(caller.object_id) is None:
            raise errors.unknown_identity(caller.object_id, organization.tenant_id)
        wanted = request.match_info["project"]
        found = organization.project(wanted)
        if found is None or not organization.reads(caller.object_id, found):
            raise _no_project(wanted)
        return web.json_response(
            {
                "id": found.id,
                "name": found.name,
                "url": f"https://dev.azure.com/{organization.name}/_apis/projects/{found.id}",
                "state": "wellFormed",
                "revision": 1,
                "visibility": "private",
                "lastUpdateTime": "2026-01-10T12:00:00.000Z",
            }
        )

    async def _repository(self, request: web.Request) -> web.Response:
        found = self._find_for_rest(request)
        return web.json_response(
            {
                "id": _identifier(found),
                "name": found.name,
                "project": {"name": found.project, "state": "wellFormed"},
                "remoteUrl": found.url,
                "webUrl": found.url,
                "isDisabled": False,
            }
            | ({"defaultBranch": "refs/heads/main"} if found.refs() else {})
        )

    async def _refs(self, request: web.Request) -> web.Response:
        found = self._find_for_rest(request)
        wanted = "refs/" + request.query.get("filter", "")
        peel = request.query.get("peelTags", "").lower() == "true"
        refs = [
            {"name": name, "objectId": oid, "creator": {"displayName": "Contoso"}, "url": str(request.url)}
            | ({"peeledObjectId": peeled} if peel and peeled else {})
            for name, (oid, peeled) in (await asyncio.to_thread(found.refs)).items()
            if name.startswith(wanted)
        ]
        start, size = int(request.query.get("continuationToken", "0")), int(request.query.get("$top", PAGE))
        page = refs[start : start + size]
        more = {"x-ms-continuationtoken": str(start + size)} if refs[start + size :] else None
        return web.json_response({"value": page, "count": len(page)}, headers=more)

    async def _commit(self, request: web.Request) -> web.Response:
        found, commit = self._find_for_rest(request), request.match_info["commit"]
        if not await asyncio.to_thread(found.has_commit, commit):
            raise errors.unknown_commit(commit)
        return web.json_response({"commitId": commit, "url": str(request.url)})

    async def _diffs(self, request: web.Request) -> web.Response:
        """Return the merge base of two commits. Unrecorded: the response for unrelated histories."""
        found = self._find_for_rest(request)
        commits = [request.query[f"{which}Version"] for which in ("base", "target")]
        for commit in commits:
            if not await asyncio.to_thread(found.has_commit, commit):
                raise errors.unknown_commit(commit)
        base, target = commits
        common = await asyncio.to_thread(found.merge_base, base, target)
        shown: dict[str, object] = {
            "baseCommit": base,
            "targetCommit": target,
            "changes": [],
            "commonCommit": common,
        }
        return web.json_response({key: value for key, value in shown.items() if value is not None})

    async def _unknown(self, request: web.Request) -> web.Response:
        """Return the 404 of an API that the emulator does not have."""
        signed_in(self._devops, request, self._name(request))
        return errors.no_controller(request.path)

    async def _git(self, request: web.Request) -> web.Response:
        try:
            organization, caller = authenticated(self._devops, request, self._name(request))
            found = self._find(request, organization, caller)
            if organization.refuses_workspaces:  # unrecorded: the body
                return web.Response(status=organization.refuses_workspaces)
            if "git-receive-pack" in request.path_qs:
                organization.check_push(request[PRINCIPAL], found.project)
        except ApiError as error:
            message = str(error.body["message"]) + "\n"
            return web.Response(status=error.status, text=message, headers=error.headers)
        route = request.match_info.route.resource
        suffix = route.canonical.partition("{repository}")[2] if route else ""
        return await smart_http.serve(request, found, suffix)

    def _find_for_rest(self, request: web.Request) -> Repository:
        """Return the repository, or raise the sign-in page for a client that does not opt out."""
        return self._find(request, *signed_in(self._devops, request, self._name(request)))

    def _find(self, request: web.Request, organization: Organization, caller: Caller) -> Repository:
        place = request.match_info
        name = place["repository"]
        return organization.find(caller.object_id, place.get("project", name), name)

    def _name(self, request: web.Request) -> str:
        """Return the name of the organization."""
        return self._organization or request.match_info["organization"]


def _no_project(wanted: str) -> ApiError:
    try:
        return errors.unknown_project(f"vstfs:///Classification/TeamProject/{uuid.UUID(wanted)}")
    except ValueError:
        return errors.unknown_project_name(wanted)


def _identifier(repository: Repository) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, repository.url))
