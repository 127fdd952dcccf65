"""The host names of Azure DevOps: refs over REST, clones and pushes over smart HTTP.

Facts: https://learn.microsoft.com/rest/api/azure/devops/git/refs/list
"""

import asyncio
import base64
import binascii
import uuid
from collections.abc import Iterable

from aiohttp import web

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.authority import TENANT
from localcloud.devops import errors, smart_http
from localcloud.devops.organization import DevOps
from localcloud.devops.repository import Repository

SIGN_IN_PAGE = (
    "<!DOCTYPE html><html><head><title>Azure DevOps Services | Sign In</title></head><body></body></html>"
)
SIGN_IN_URL = "https://spsprodweu1.vssps.visualstudio.com/_signin?realm=dev.azure.com"
NOT_FOUND_PAGE = (
    "<!DOCTYPE html><html><head><title>Azure DevOps Services | 404: not found</title></head></html>"
)
PAGE = 1000


class DevOpsSite:
    """`dev.azure.com`, or the older `{organization}.visualstudio.com` when an organization is given."""

    service = "devops"
    request_id_header = "X-VSS-E2EID"

    def __init__(self, devops: DevOps, organization: str | None = None) -> None:
        self.host = f"{organization}.visualstudio.com".lower() if organization else "dev.azure.com"
        self._devops = devops
        self._organization = organization

    def routes(self) -> Iterable[web.RouteDef]:
        for start in ["/DefaultCollection", ""] if self._organization else ["/{organization}"]:
            for project in ("/{project}", ""):
                rest = start + project + "/_apis/git/repositories/{repository}"
                clone = start + project + "/_git/{repository}"
                yield web.get(rest, self._repository)
                yield web.get(rest + "/refs", self._refs)
                yield web.get(rest + "/commits/{commit}", self._commit)
                yield web.get(clone + "/info/refs", self._git)
                yield web.post(clone + "/git-upload-pack", self._git)
                yield web.post(clone + "/git-receive-pack", self._git)

    async def _repository(self, request: web.Request) -> web.Response:
        found = self._find_for_rest(request)
        return web.json_response(
            {
                "id": _identifier(found),
                "name": found.name,
                "project": {"name": found.project, "state": "wellFormed"},
                "defaultBranch": "refs/heads/main",
                "remoteUrl": found.url,
                "webUrl": found.url,
            }
        )

    async def _refs(self, request: web.Request) -> web.Response:
        found = self._find_for_rest(request)
        wanted = "refs/" + request.query.get("filter", "")
        peel = request.query.get("peelTags", "").lower() == "true"
        refs = [
            {"name": name, "objectId": oid, "creator": {"displayName": "Contoso"}}
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

    async def _git(self, request: web.Request) -> web.Response:
        try:
            found = self._find(request)
            if "git-receive-pack" in request.path_qs:
                self._devops.organization(found.organization).check_push(request[PRINCIPAL])
        except ApiError as error:
            message = str(error.body["message"]) + "\n"
            return web.Response(status=error.status, text=message, headers=error.headers)
        route = request.match_info.route.resource
        suffix = route.canonical.partition("{repository}")[2] if route else ""
        return await smart_http.serve(request, found, suffix)

    def _find_for_rest(self, request: web.Request) -> Repository:
        """The repository; or the sign-in page, for a client that does not ask to be spared it."""
        try:
            return self._find(request)
        except ApiError as error:
            spared = request.headers.get("X-TFS-FedAuthRedirect") == "Suppress"
            if error.body["message"] != errors.NOT_AUTHORIZED or spared:
                raise
        if "Authorization" not in request.headers:
            raise web.HTTPFound(SIGN_IN_URL)
        raise web.HTTPNonAuthoritativeInformation(text=SIGN_IN_PAGE, content_type="text/html")

    def _find(self, request: web.Request) -> Repository:
        place = request.match_info
        organization = self._devops.known(self._organization or place["organization"])
        tenant_id = organization.tenant_id if organization else TENANT
        object_id = self._devops.object_id(_token(request), tenant_id)
        request[PRINCIPAL] = object_id
        if organization is None:
            raise web.HTTPNotFound(text=NOT_FOUND_PAGE, content_type="text/html")
        name = place["repository"]
        return organization.find(object_id, place.get("project", name), name)


def _token(request: web.Request) -> str:
    """The token, as Bearer or as the password of Basic with any user name."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return value
    try:
        return base64.b64decode(value).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _identifier(repository: Repository) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, repository.url))
