"""Recorded refusals of services, as faults by name.

Excluded are those that the emulator's services produce by themselves. Facts:
https://github.com/databricks/databricks-sdk-go, `apierr`;
https://learn.microsoft.com/azure/databricks/repos/errors-troubleshooting; recordings of
https://github.com/Azure/azure-devops-cli-extension
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal

from aiohttp import web

from localcloud import logs, resource_manager
from localcloud.answers import ApiError
from localcloud.devops import errors
from localcloud.faults import Action, Proceed, status

_FORBIDDEN_PAGE = "<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1></body></html>"
_INCOMPLETE = (
    "Failed to clone repo. Repo may be incomplete. Failure reason: com.microsoft.azure.storage.StorageException: "
    "The specified resource does not exist."
)
_INCONSISTENT = "There was a problem with deleting folders. The repo could be in an inconsistent state and re-cloning is recommended."


def network_refused(form: Literal["json", "text", "html"] = "json") -> Action:
    """Return a workspace's response to a blocked network, even with valid credentials.

    Unrecorded: that it can be an HTML page.
    """

    async def act(request: web.Request, _: Proceed) -> web.StreamResponse:
        number = re.search(r"\d+", request.host)
        text = f"Unauthorized network access to workspace: {number[0] if number else 0}"
        if form == "text":
            return web.Response(status=403, text=text)
        if form == "html":
            page = f"<html><body><h1>403 Forbidden</h1><p>{text}</p></body></html>"
            return web.Response(status=403, text=page, content_type="text/html")
        return web.json_response({"error_code": "403", "message": text}, status=403)

    return act


def no_controller() -> Action:
    """Return Azure DevOps' response to a path without an API."""

    async def act(request: web.Request, _: Proceed) -> web.StreamResponse:
        return errors.no_controller(request.path)

    return act


def _error(error: ApiError) -> Action:
    return status(error.status, error.body, error.headers)


def _databricks(code: int, error_code: str, message: str) -> Callable[[], Action]:
    return lambda: status(code, {"error_code": error_code, "message": message})


_BASIC = {"WWW-Authenticate": 'Basic realm="https://dev.azure.com/"'}

DATABRICKS: Mapping[str, Callable[[], Action]] = {
    "is closed to this network": network_refused,
    "is closed to this network, in plain text": lambda: network_refused("text"),
    "is closed to this network, in HTML": lambda: network_refused("html"),
    "answers 403 in HTML": lambda: status(403, _FORBIDDEN_PAGE),
    "throttles with 400": _databricks(
        400, "REQUEST_LIMIT_EXCEEDED", "Too many requests"
    ),  # unrecorded: the text
    "loses an answer with 400": _databricks(400, "BAD_REQUEST", "Timed out after 60 seconds"),
    "lets a deadline pass with 400": _databricks(400, "BAD_REQUEST", "deadline exceeded"),
    "leaves a clone incomplete": _databricks(400, "BAD_REQUEST", _INCOMPLETE),  # unrecorded: the code
    "is inconsistent after deleting": _databricks(400, "BAD_REQUEST", _INCONSISTENT),  # unrecorded: the code
}
"""Faults of a workspace, by names that complete "a workspace that …"."""

DEVOPS: Mapping[str, Callable[[], Action]] = {
    "answers 401 and nothing": lambda: status(401, headers=_BASIC),
    "answers 401 with an empty list": lambda: status(401, {"count": 0, "value": []}, _BASIC),
    "has no such controller": no_controller,
    "answers an improper error": lambda: status(
        400, {"count": 1, "value": {"Message": "An error has occurred."}}
    ),
    "says why in a header alone": lambda: status(
        500, headers=errors.service_error("TF400733: The request has been canceled.")
    ),
}
"""Faults of Azure DevOps, by names that complete "an Azure DevOps that …"."""

RESOURCE_MANAGER: Mapping[str, Callable[[], Action]] = {
    "throttles for 17 seconds": lambda: _error(resource_manager.throttled(17)),
    "throttles for an hour": lambda: _error(resource_manager.throttled(3600)),
    "has another operation in progress": lambda: _error(resource_manager.in_progress()),
    "has another operation in progress, as 429": lambda: _error(resource_manager.in_progress(429)),
}
"""Faults of Azure Resource Manager, by names that complete "a Resource Manager that …"."""

LOGS: Mapping[str, Callable[[], Action]] = {
    "throttles for 17 seconds": lambda: _error(logs.throttled(17)),
    "throttles for an hour": lambda: _error(logs.throttled(3600)),
    "lets a query time out": lambda: _error(logs.timed_out()),
}
"""Faults of Log Analytics, by names that complete "logs that …"."""
