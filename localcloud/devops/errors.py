"""Azure DevOps' error responses. The texts are recorded ones, unless marked unrecorded."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from aiohttp import web

from localcloud.answers import ApiError
from localcloud.authority import LOGIN_HOST

NOT_AUTHORIZED: Final = "TF400813: The user '' is not authorized to access this resource."
ASSEMBLY: Final = "Microsoft.TeamFoundation.Framework.Server"


def failure(status: int, message: str, kind: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """Return an error of the REST API; `kind` is its typeKey."""
    return ApiError(
        status,
        {
            "$id": "1",
            "innerException": None,
            "message": message,
            "typeName": f"{ASSEMBLY}.{kind}, {ASSEMBLY}",
            "typeKey": kind,
            "errorCode": 0,
            "eventId": 3000,
        },
        headers,
    )


def deactivated(organization: str) -> ApiError:
    """Return the error of an unused organization, which comes back when a person signs in."""
    text = (
        f"TF24668: The following team project collection is stopped: {organization}. Start the collection and then try again. "
        "Administrator Reason: This Azure DevOps organization has been deactivated due to inactivity. For more information please visit "
        "aka.ms/adofootprintreduction"
    )
    kind = "VssServiceException"
    space = "Microsoft.VisualStudio.Services.Common"
    body = {**failure(503, text, kind).body, "typeName": f"{space}.{kind}, {space}"}
    return ApiError(503, body, service_error(text), marked=True)


def no_controller(path: str) -> web.Response:
    """Return the 404 of a path without an API."""
    text = f"The controller for path '{path}' was not found or does not implement IController."
    return web.Response(status=404, text=text, headers=service_error(text))


def service_error(text: str) -> Mapping[str, str]:
    """Return the header that repeats an error's text or has it instead of a body."""
    return {"X-TFS-ServiceError": quote(text, safe="")}


def unauthorized(tenant_id: str) -> ApiError:
    """Return the 401 for a missing or invalid token; its challenge names the organization's tenant."""
    return failure(401, NOT_AUTHORIZED, "UnauthorizedRequestException", _challenges(tenant_id))


def unknown_identity(object_id: str, tenant_id: str) -> ApiError:
    """Return the error for a valid token of an identity that is not in the organization."""
    name = f"{tenant_id}\\{tenant_id}\\{object_id}"
    text = (
        f"TF401444: Please sign-in at least once as {name} in a web browser to enable access to the service."
    )
    return failure(401, text, "UnauthorizedRequestException", _challenges(tenant_id))


def _challenges(tenant_id: str) -> Mapping[str, str]:
    bearer = f"Bearer authorization_uri=https://{LOGIN_HOST}/{tenant_id}"
    return {"WWW-Authenticate": f'{bearer}, Basic realm="https://dev.azure.com/"'}


def unknown_project(name: str) -> ApiError:
    text = (
        f"VS800075: The project with id '{name}' does not exist, or you do not have permission to access it."
    )
    return failure(404, text, "ProjectDoesNotExistException")


def unknown_repository(name: str) -> ApiError:
    text = (
        f"TF401019: The Git repository with name or identifier {name} does not exist "
        "or you do not have permissions for the operation you are attempting."
    )
    return failure(404, text, "GitRepositoryNotFoundException")


def unknown_commit(commit: str) -> ApiError:
    """Return the error for an unknown commit. Unrecorded: the text."""
    return failure(
        404, f"TF401175: The commit {commit} could not be found.", "GitCommitDoesNotExistException"
    )


def read_only() -> ApiError:
    text = (
        "TF401027: You need the Git 'GenericContribute' permission to perform this action. Details: identity "
        "'git-refresh', scope 'repository'."
    )
    return failure(403, text, "GitNeedsPermissionException")


def unknown_project_name(name: str) -> ApiError:
    """Return the 404 of the projects API."""
    text = (
        f"TF200016: The following project does not exist: {name}. Verify that the name of the project is correct "
        "and that the project exists on the specified Azure DevOps Server."
    )
    return failure(404, text, "ProjectDoesNotExistWithNameException")


def invalid(message: str) -> ApiError:
    """Return a 400. Unrecorded: the texts."""
    return failure(400, message, "VssPropertyValidationException")


def version_missing(method: str) -> ApiError:
    text = (
        f'No api-version was supplied for the "{method}" request. The version must be supplied either as part of the Accept header '
        '(e.g. "application/json; api-version=1.0") or as a query parameter (e.g. "?api-version=1.0").'
    )
    return failure(400, text, "VssVersionNotSpecifiedException")


def version_without_preview(version: str) -> ApiError:
    text = (
        f'The requested version "{version}" of the resource is under preview. The -preview flag must be supplied in the api-version '
        f'for such requests. For example: "{version}-preview"'
    )
    return failure(400, text, "VssInvalidPreviewVersionException")


def content_type(given: str, method: str, wanted: str) -> ApiError:
    text = (
        f'The request indicated a Content-Type of "{given}" for method type "{method}" which is not supported. Valid content types '
        f"for this method are: {wanted}."
    )
    return failure(415, text, "VssRequestContentTypeNotSupportedException")


def unknown_subject(identifier: str) -> ApiError:
    """Return the error for an unknown subject. Unrecorded: the text."""
    return failure(404, f"Could not find a graph subject for {identifier}.", "GraphSubjectNotFoundException")


def no_membership(subject: str, container: str) -> ApiError:
    """Return the error for a missing membership. Unrecorded: the text."""
    text = f"Could not find a membership of {subject} in {container}."
    return failure(404, text, "GraphMembershipNotFoundException")


def may_not_edit(name: str) -> ApiError:
    """Return the 403 for editing a group. The text is recorded. Unrecorded: that this API uses it."""
    text = (
        f"TF50309: The following account does not have sufficient permissions to complete the operation: {name}. The following "
        "permissions are needed to perform this operation: Edit project-level information."
    )
    return failure(403, text, "GroupSecurityServiceException")


def unknown_entitlement(identifier: str) -> ApiError:
    """Return the error for an unknown entitlement. Unrecorded: the text."""
    return failure(404, f"Could not find a member with the id {identifier}.", "MemberNotFoundException")
