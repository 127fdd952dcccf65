"""The caller of Azure DevOps, on any of its host names, and the responses to unauthorized ones.

Facts: https://learn.microsoft.com/azure/devops/integrate/how-to/call-rest-api and
https://learn.microsoft.com/azure/devops/integrate/concepts/rest-api-versioning
"""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from localcloud.answers import PRINCIPAL, ApiError
from localcloud.authority import TENANT
from localcloud.devops import errors
from localcloud.devops.organization import Caller, DevOps, Organization

SIGN_IN_PAGE = (
    "<!DOCTYPE html><html><head><title>Azure DevOps Services | Sign In</title></head><body></body></html>"
)
SIGN_IN_URL = "https://spsprodweu1.vssps.visualstudio.com/_signin?realm=dev.azure.com"
NOT_FOUND_PAGE = (
    "<!DOCTYPE html><html><head><title>Azure DevOps Services | 404: not found</title></head></html>"
)


def authenticated(devops: DevOps, request: web.Request, organization: str) -> tuple[Organization, Caller]:
    """Return the organization and the caller, or raise the response to an invalid token.

    An unknown or deactivated organization raises its own response.
    """
    known = devops.known(organization)
    if known is not None and known.deactivated:
        raise errors.deactivated(known.name)
    caller = devops.caller(_token(request), known.tenant_id if known else TENANT)
    request[PRINCIPAL] = caller.object_id
    if known is None:
        raise web.HTTPNotFound(text=NOT_FOUND_PAGE, content_type="text/html")
    return known, caller


def member(devops: DevOps, request: web.Request) -> tuple[Organization, Caller]:
    """Return organization and caller for a preview API with the organization in the path.

    Raises the error of a caller who is not a member, or of a wrong `api-version`.
    """
    organization, caller = signed_in(devops, request, request.match_info["organization"])
    if organization.member(caller.object_id) is None:
        raise errors.unknown_identity(caller.object_id, organization.tenant_id)
    _check_version(request)
    return organization, caller


def signed_in(devops: DevOps, request: web.Request, organization: str) -> tuple[Organization, Caller]:
    """Return the organization and the caller of a REST API.

    Without a valid token a client gets the sign-in page, unless its headers opt out.
    """
    try:
        return authenticated(devops, request, organization)
    except ApiError as error:
        spared = request.headers.get("X-TFS-FedAuthRedirect") == "Suppress"
        if error.body["message"] != errors.NOT_AUTHORIZED or spared:
            raise
    if "Authorization" not in request.headers:
        raise web.HTTPFound(SIGN_IN_URL)
    raise web.HTTPNonAuthoritativeInformation(text=SIGN_IN_PAGE, content_type="text/html")


async def content_of(request: web.Request) -> Any:  # noqa: ANN401  # as `json.loads`
    """Return the request's JSON, or raise the 400 for invalid JSON."""
    try:
        return json.loads(await request.read())
    except ValueError:
        raise errors.invalid("The request body is missing or is no JSON.") from None


def page(request: web.Request, items: Sequence[Any], size: int) -> web.Response:
    """Return one page of a list; a header has the start of the next one."""
    start = int(request.query.get("continuationToken", "0"))
    shown = items[start : start + size]
    more = {"X-MS-ContinuationToken": str(start + size)} if items[start + size :] else None
    return web.json_response({"count": len(shown), "value": list(shown)}, headers=more)


def _check_version(request: web.Request) -> None:
    _, _, accepted = request.headers.get("Accept", "").partition("api-version=")
    version = request.query.get("api-version", accepted)
    if not version and request.method not in {"GET", "HEAD"}:
        raise errors.version_missing(request.method)
    if version and "-preview" not in version:
        raise errors.version_without_preview(version)


def _token(request: web.Request) -> str:
    """Return the token: Bearer, or the password of Basic authorization with any user name."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return value
    try:
        return base64.b64decode(value).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
