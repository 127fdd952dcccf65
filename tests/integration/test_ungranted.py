"""The app in a fleet without permissions, and after an admin has granted them by the services' APIs."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
import requests
from databricks.sdk import AccountClient, WorkspaceClient
from databricks.sdk.service.iam import (
    AccessControlRequest,
    ComplexValue,
    Patch,
    PatchOp,
    PermissionLevel,
    WorkspacePermission,
)
from databricks.sdk.service.oauth2 import FederationPolicy, OidcFederationPolicy

from git_refresh.run.report import Report
from localcloud import Cloud, UngrantedFleet, seed_ungranted
from localcloud.authority import (
    DATABRICKS_RESOURCE,
    DEVOPS_RESOURCE,
    EXCHANGE_AUDIENCE,
    GRAPH_RESOURCE,
    OTHER_TENANT,
    TENANT,
    entra_v2,
)
from localcloud.databricks.workspace import Workspace
from localcloud.fleet import (
    CLIENT_ID,
    FEDERATED_CLIENT_ID,
    ORGANIZATION,
    SECOND_ORGANIZATION,
    SECRET,
    SECRET_NAME,
)
from tests.support.app import run_app

PREVIEW = {"api-version": "7.1-preview.1"}
ACCESS = "workspace-access"


@pytest.fixture(params=[False, True], ids=["one tenant", "two tenants"])
def fleet(cloud: Cloud, request: pytest.FixtureRequest) -> UngrantedFleet:
    return seed_ungranted(cloud, foreign=request.param)


@pytest.fixture
def run(fleet: UngrantedFleet) -> Callable[[], Report]:
    return lambda: run_app({**os.environ, **fleet.settings})


def codes(report: Report) -> list[list[str]]:
    """Return the codes of each workspace's errors."""
    errors = [
        [workspace.error, *(folder.error for folder in workspace.folders)] for workspace in report.workspaces
    ]
    return [[error.code for error in found if error] for found in errors]


def test_without_grants_nothing_works_and_with_them_everything(
    cloud: Cloud, fleet: UngrantedFleet, run: Callable[[], Report]
) -> None:
    assert [bool(found) for found in codes(run())] == [True] * 3
    with requests.Session() as session:
        _let_into_azure_devops(session, cloud, fleet)
    _let_into_databricks(cloud, fleet)
    report = run()
    assert codes(report) == [["secret_not_found"], [], []]
    fleet.vault.set(SECRET_NAME, SECRET)
    fleet.workspaces[0].service_principal(CLIENT_ID, SECRET)
    again = run()
    assert (again.result, codes(again)) == ("ok", [[], [], []])
    made = [*again.workspaces[:1], *report.workspaces[1:]]
    assert [[folder.action for folder in each.folders] for each in made] == [["unchanged", "created"]] * 3


def _let_into_azure_devops(session: requests.Session, cloud: Cloud, fleet: UngrantedFleet) -> None:
    abroad = OTHER_TENANT if fleet.application else TENANT
    second = fleet.application or fleet.identity
    zones = [
        (ORGANIZATION, TENANT, cloud.identity.client_id),
        (SECOND_ORGANIZATION, abroad, second.client_id),
    ]
    for organization, tenant_id, client_id in zones:
        object_id = _get(
            session,
            f"https://graph.microsoft.com/v1.0/servicePrincipals(appId='{client_id}')",
            fleet.admin.token(GRAPH_RESOURCE, tenant_id),
        )["id"]
        token = fleet.admin.token(DEVOPS_RESOURCE, tenant_id)
        place = f"https://dev.azure.com/{organization}/_apis/projects/Data%20Platform"
        entitlement = {
            "accessLevel": {"accountLicenseType": "express"},
            "servicePrincipal": {"origin": "aad", "originId": object_id, "subjectKind": "servicePrincipal"},
            "projectEntitlements": [
                {
                    "group": {"groupType": "projectReader"},
                    "projectRef": {"id": _get(session, place, token)["id"]},
                }
            ],
        }
        answer = session.post(
            f"https://vsaex.dev.azure.com/{organization}/_apis/serviceprincipalentitlements",
            params=PREVIEW,
            json=entitlement,
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )
        assert answer.json()["isSuccess"], answer.text


def _get(session: requests.Session, url: str, token: str) -> dict[str, Any]:
    body: dict[str, Any] = session.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).json()
    return body


def _let_into_databricks(cloud: Cloud, fleet: UngrantedFleet) -> None:
    token = fleet.admin.token(DATABRICKS_RESOURCE)
    first, second, third = fleet.workspaces
    account = AccountClient(
        host="https://accounts.azuredatabricks.net",
        account_id=cloud.account.id,
        token=token,
        auth_type="pat",
    )
    for workspace, client_id in ((first, CLIENT_ID), (third, FEDERATED_CLIENT_ID)):
        (principal,) = account.service_principals_v2.list(filter=f'applicationId eq "{client_id}"')
        number, user = int(workspace.members.organization_id), [WorkspacePermission.USER]
        account.workspace_assignment.update(number, int(str(principal.id)), permissions=user)
    policy = OidcFederationPolicy(
        issuer=entra_v2(TENANT), subject=fleet.identity.object_id, audiences=[EXCHANGE_AUDIENCE]
    )
    account.service_principal_federation_policy.create(
        int(str(principal.id)), FederationPolicy(oidc_policy=policy), policy_id="git-refresh"
    )
    account.api_client._api_client._session.close()

    for workspace in fleet.workspaces:
        client = WorkspaceClient(host=workspace.url, token=token, auth_type="pat")
        if workspace is second:
            entitlements = [ComplexValue(value=ACCESS)]
            client.service_principals.create(
                application_id=cloud.identity.client_id, display_name="app", entitlements=entitlements
            )
        else:
            (found,) = client.service_principals.list()
            add = Patch(op=PatchOp.ADD, path="entitlements", value=[{"value": ACCESS}])
            client.service_principals.patch(str(found.id), operations=[add])
        _let_manage(client, workspace)
        client.api_client._api_client._session.close()


def _let_manage(client: WorkspaceClient, workspace: Workspace) -> None:
    """Grant the existing folder, and the directory of the missing one."""
    (found,) = client.service_principals.list()
    level = PermissionLevel.CAN_MANAGE
    grants = [AccessControlRequest(service_principal_name=found.application_id, permission_level=level)]
    client.workspace.mkdirs("/Repos/reports")
    for kind, path in (("repos", "/Repos/etl/prod"), ("directories", "/Repos/reports")):
        number = client.workspace.get_status(path).object_id
        client.permissions.update(kind, str(number), access_control_list=grants)
    assert workspace.folder("/Repos/reports/prod") is None


def test_the_settings_name_three_ways_of_signing_in(fleet: UngrantedFleet) -> None:
    entries = json.loads(fleet.settings["WORKSPACES"])
    assert [entry.get("auth", "oauth_secret") for entry in entries] == [
        "oauth_secret",
        "managed_identity",
        "federated",
    ]
