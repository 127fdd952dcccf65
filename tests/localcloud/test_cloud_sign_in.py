import pytest
import requests

from localcloud import Cloud
from localcloud.authority import DATABRICKS_RESOURCE, DEVOPS_RESOURCE
from localcloud.databricks.workspace import Workspace
from localcloud.rest import Rest, error_of


def me(session: requests.Session, workspace: Workspace, token: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return session.get(f"{workspace.url}/api/2.0/preview/scim/v2/Me", headers=headers, timeout=10)


def test_the_secret_may_come_in_the_form(api: Rest) -> None:
    form = {
        "grant_type": "client_credentials",
        "scope": "all-apis",
        "client_id": "app-1",
        "client_secret": str(api.principal.secret),
    }
    answer = api.session.post(f"{api.workspace.url}/oidc/v1/token", data=form, timeout=10)
    assert answer.json()["access_token"]


@pytest.mark.parametrize(
    ("form", "auth", "status", "code"),
    [
        ({}, ("app-1", "wrong"), 401, "invalid_client"),
        ({}, ("nobody", "s3cret+/="), 401, "invalid_client"),
        ({}, None, 401, "invalid_client"),
        ({"scope": "something"}, ("app-1", "s3cret+/="), 400, "invalid_scope"),
        ({"grant_type": "password"}, ("app-1", "s3cret+/="), 400, "unsupported_grant_type"),
    ],
)
def test_refuses_wrong_clients_and_grants(
    api: Rest, form: dict[str, str], auth: tuple[str, str] | None, status: int, code: str
) -> None:
    data = {"grant_type": "client_credentials", "scope": "all-apis"} | form
    answer = api.session.post(f"{api.workspace.url}/oidc/v1/token", data=data, auth=auth, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (status, code)


def test_refuses_a_token_for_something_else(
    cloud: Cloud, session: requests.Session, workspace: Workspace
) -> None:
    workspace.add_managed_identity(cloud.identity.object_id)
    answer = me(session, workspace, cloud.identity.token(DEVOPS_RESOURCE))
    assert error_of(answer) == (403, 403, "Invalid access token.")


def test_refuses_another_workspaces_token(cloud: Cloud, api: Rest) -> None:
    other = cloud.workspace("adb-2222222222222222.2.azuredatabricks.net")
    other.service_principal(client_id="app-1", secret="s3cret+/=")
    assert me(api.session, api.workspace, api.token).status_code == 200
    assert me(api.session, other, api.token).status_code == 403


def test_refuses_a_lapsed_token(cloud: Cloud, session: requests.Session, workspace: Workspace) -> None:
    workspace.add_managed_identity(cloud.identity.object_id)
    cloud.identity.token_lifetime = -1
    answer = me(session, workspace, cloud.identity.token(DATABRICKS_RESOURCE))
    assert error_of(answer) == (403, 403, "Token is expiring within 30 seconds. (token expired)")


def test_refuses_no_token_at_all(session: requests.Session, workspace: Workspace) -> None:
    status, _, message = error_of(me(session, workspace, ""))
    assert (status, message) == (
        401,
        "Credential was not sent or was of an unsupported type for this API.",
    )


def test_an_unknown_api_is_not_found(api: Rest) -> None:
    assert error_of(api("GET", "/clusters/list"))[:2] == (404, "ENDPOINT_NOT_FOUND")


def test_a_workspace_is_the_same_by_its_host(cloud: Cloud, workspace: Workspace) -> None:
    assert cloud.workspace(workspace.host) is workspace
