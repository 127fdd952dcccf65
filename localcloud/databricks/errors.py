"""Databricks' error responses and request bodies.

The texts are recorded ones. `unrecorded: the text` marks the others, here and in the modules of the APIs.
"""

import json
from typing import Any

from aiohttp import web

from localcloud.answers import ApiError

MISSING = (
    "Missing Git provider credentials. "
    "Go to User settings > Git Integration to add your personal access token."
)
INVALID = (
    "Invalid Git provider credentials. Go to User Settings > Git Integration to ensure that:\n"
    "1. You have entered a username with your Git provider credentials.\n"
    "2. You have selected the correct Git provider with your credentials.\n"
    "3. Your personal access token or app password has the correct repo access.\n"
    "4. Your personal access token has not expired.\n"
    "5. If you have SSO enabled with your Git provider, be sure to authorize your token."
)
FEDERATED = (
    "Encountered an error with your Azure Active Directory credentials. "
    "Please try logging out of Azure Active Directory (https://portal.azure.com) and logging back in."
)
NOT_FOUND = (
    "Remote repo not found. Please ensure that:\n1. Your remote Git repo URL is valid.\n"
    "2. Your personal access token or app password has the correct repo access."
)


def error(status: int, code: str | int, message: str) -> ApiError:
    """Return an error of the REST API; an authentication failure has its code as a number."""
    return ApiError(status, {"error_code": code, "message": message})


def invalid(message: str) -> ApiError:
    return error(400, "INVALID_PARAMETER_VALUE", message)


def not_found(message: str) -> ApiError:
    return error(404, "RESOURCE_DOES_NOT_EXIST", message)


def scim_error(status: int, detail: str, kind: str | None = None) -> ApiError:
    """Return an error of the SCIM API: https://www.rfc-editor.org/rfc/rfc7644#section-3.12."""
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "detail": detail,
        "status": str(status),
    }
    return ApiError(status, body | ({"scimType": kind} if kind else {}))


async def fields(request: web.Request) -> dict[str, Any]:
    """Return the request's JSON object."""
    try:
        content = json.loads(await request.read() or b"{}")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise error(400, "MALFORMED_REQUEST", "Could not parse request object: expected a JSON object")
    return content


def required(content: dict[str, Any], name: str) -> str:
    """Return a required text field."""
    value = content.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"Missing required field: {name}")
    return value


def identifier(text: str) -> int:
    """Return a numeric ID from a path or a query."""
    if not text.isdigit():
        raise invalid(f"{text} is not a valid id.")
    return int(text)
