import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, ResourceConflict
from databricks.sdk.service.iam import ComplexValue, Patch, PatchOp, PatchSchema

from localcloud import Cloud
from localcloud.authority import DATABRICKS_RESOURCE
from localcloud.databricks.sign_in import ServicePrincipal
from localcloud.databricks.workspace import Workspace
from localcloud.people import Person
from localcloud.rest import Rest, error_of

ACCESS = [ComplexValue(value="workspace-access")]
SCHEMAS = [PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP]
PATH = "/api/2.0/preview/scim/v2/ServicePrincipals"


def patch(admin: WorkspaceClient, number: str | None, *operations: Patch) -> None:
    admin.service_principals.patch(str(number), operations=list(operations), schemas=SCHEMAS)


def entitlements(admin: WorkspaceClient, number: str | None) -> set[str | None]:
    return {each.value for each in admin.service_principals.get(str(number)).entitlements or []}


def named(workspace: Workspace, number: str | None) -> ServicePrincipal:
    principal = workspace.members.by_id(int(str(number)))
    assert principal is not None
    return principal


# Creating


def test_creates_a_principal_that_databricks_manages(cloud: Cloud, admin: WorkspaceClient) -> None:
    made = admin.service_principals.create(display_name="git-refresh", active=True, entitlements=ACCESS)
    assert made.application_id is not None
    (found,) = admin.service_principals.list(filter=f'applicationId eq "{made.application_id}"')
    assert (found.id, found.display_name, found.active) == (made.id, "git-refresh", True)
    assert entitlements(admin, made.id) == {"workspace-access"}
    assert cloud.account.find(made.application_id) is not None, "it is one of the account"


def test_several_may_have_one_name(admin: WorkspaceClient) -> None:
    ids = {admin.service_principals.create(display_name="twin").application_id for _ in range(2)}
    found = admin.service_principals.list(filter='displayName eq "twin"')
    assert {each.application_id for each in found} == ids
    assert len(ids) == 2


def test_what_is_there_is_not_created_again(cloud: Cloud, admin: WorkspaceClient) -> None:
    made = admin.service_principals.create(application_id=cloud.identity.client_id)
    with pytest.raises(ResourceConflict, match="already exists"):
        admin.service_principals.create(application_id=made.application_id)


def test_an_application_has_to_be_known(admin: WorkspaceClient) -> None:
    with pytest.raises(BadRequest, match="is not known"):
        admin.service_principals.create(application_id="5a1e0000-0000-4000-8000-00000000dead")


def test_only_an_admin_creates_and_changes(admin: WorkspaceClient, someone: WorkspaceClient) -> None:
    made = admin.service_principals.create(display_name="git-refresh", entitlements=ACCESS)
    with pytest.raises(PermissionDenied, match="admins"):
        someone.service_principals.create(display_name="mine")
    with pytest.raises(PermissionDenied, match="admins"):
        patch(someone, made.id, Patch(op=PatchOp.ADD, path="entitlements", value=[{"value": "x"}]))
    seen = someone.service_principals.get(str(made.id))
    assert (seen.display_name, bool(seen.entitlements)) == ("git-refresh", False)


# Changing


def test_a_patch_adds_and_removes_an_entitlement(admin: WorkspaceClient) -> None:
    made = admin.service_principals.create(display_name="git-refresh")
    assert entitlements(admin, made.id) == set()
    patch(
        admin,
        made.id,
        Patch(op=PatchOp.ADD, path="entitlements", value=[{"value": "workspace-access"}]),
        Patch(op=PatchOp.ADD, value={"entitlements": [{"value": "databricks-sql-access"}]}),
    )
    assert entitlements(admin, made.id) == {"workspace-access", "databricks-sql-access"}
    patch(admin, made.id, Patch(op=PatchOp.REMOVE, path='entitlements[value eq "databricks-sql-access"]'))
    assert entitlements(admin, made.id) == {"workspace-access"}
    patch(admin, made.id, Patch(op=PatchOp.REPLACE, path="entitlements", value=[{"value": "other"}]))
    assert entitlements(admin, made.id) == {"other"}


def test_a_principal_that_is_not_active_does_nothing(api: Rest, admin: WorkspaceClient) -> None:
    number = str(api.principal.id)
    assert api("GET", "/git-credentials").ok
    patch(admin, number, Patch(op=PatchOp.REPLACE, path="active", value=False))
    assert admin.service_principals.get(number).active is False
    assert api("GET", "/git-credentials").status_code == 403
    patch(admin, number, Patch(op=PatchOp.REPLACE, path="active", value=[{"value": "true"}]))
    assert api("GET", "/git-credentials").ok


def test_refuses_other_changes(admin: WorkspaceClient) -> None:
    made = admin.service_principals.create(display_name="git-refresh")
    with pytest.raises(BadRequest, match="not supported"):
        patch(admin, made.id, Patch(op=PatchOp.REPLACE, path="displayName", value="x"))
    with pytest.raises(NotFound):
        patch(admin, "5", Patch(op=PatchOp.REPLACE, path="active", value=True))


# Effects of entitlements


@pytest.mark.parametrize("by", ["its own", "the group users", "the group admins"])
def test_git_credentials_take_workspace_access(api: Rest, admin: WorkspaceClient, by: str) -> None:
    principal, users = api.principal, api.workspace.users_entitlements
    principal.entitlements.clear()
    users.clear()
    assert error_of(api("GET", "/git-credentials")) == (
        403,
        "PERMISSION_DENIED",
        "This API is disabled for users without the workspace-access entitlement.",
    )
    match by:
        case "its own":
            value = [{"value": "workspace-access"}]
            patch(admin, str(principal.id), Patch(op=PatchOp.ADD, path="entitlements", value=value))
        case "the group users":
            users.add("workspace-access")
        case _:
            principal.admin = True
    assert api("GET", "/git-credentials").ok


def test_the_group_users_shows_what_everybody_has(
    workspace: Workspace, admin: WorkspaceClient, someone: WorkspaceClient
) -> None:
    (users,) = admin.groups.list(filter='displayName eq "users"')
    assert {each.value for each in users.entitlements or []} == {"workspace-access", "databricks-sql-access"}
    workspace.users_entitlements.clear()
    (users,) = admin.groups.list(filter='displayName eq "users"')
    assert not users.entitlements
    assert [each.display_name for each in admin.groups.list()] == ["users", "admins"]
    assert list(admin.groups.list(filter='displayName eq "nobody"')) == []
    assert not any(each.entitlements for each in someone.groups.list())
    with pytest.raises(BadRequest, match="filter operator"):
        list(admin.groups.list(filter='id eq "1"'))


# Delayed reads


def test_reads_lag_behind_writes(workspace: Workspace, admin: WorkspaceClient) -> None:
    workspace.lag = 60
    made = admin.service_principals.create(display_name="git-refresh")
    by_id = f'applicationId eq "{made.application_id}"'
    assert list(admin.service_principals.list(filter=by_id)) == []
    with pytest.raises(NotFound):
        admin.service_principals.get(str(made.id))
    workspace.lag = 0
    assert entitlements(admin, made.id) == set()
    workspace.lag = 60
    value = [{"value": "workspace-access"}]
    patch(admin, made.id, Patch(op=PatchOp.ADD, path="entitlements", value=value))
    assert entitlements(admin, made.id) == set()
    assert named(workspace, made.id).entitlements == {"workspace-access"}
    workspace.lag = 0
    assert entitlements(admin, made.id) == {"workspace-access"}


def test_the_errors_are_scim_errors(session: requests.Session, workspace: Workspace, bob: Person) -> None:
    headers = {"Authorization": f"Bearer {bob.token(DATABRICKS_RESOURCE)}"}
    answer = session.post(f"{workspace.url}{PATH}", headers=headers, json={}, timeout=10)
    body = answer.json()
    assert (answer.status_code, body["status"]) == (403, "403")
    assert body["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]


def test_a_deleted_principal_stays_in_the_account(
    cloud: Cloud, admin: WorkspaceClient, someone: WorkspaceClient
) -> None:
    made = admin.service_principals.create(
        display_name="git-refresh", entitlements=[ComplexValue(value="workspace-access")]
    )
    assert made.id
    assert made.application_id
    with pytest.raises(PermissionDenied):
        someone.service_principals.delete(made.id)
    admin.service_principals.delete(made.id)
    assert list(admin.service_principals.list(filter=f'applicationId eq "{made.application_id}"')) == []
    assert cloud.account.find(made.application_id) is not None
    with pytest.raises(NotFound):
        admin.service_principals.delete(made.id)
