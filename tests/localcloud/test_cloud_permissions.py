from typing import Literal

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, InvalidParameterValue, NotFound
from databricks.sdk.service.iam import AccessControlRequest, ObjectPermissions, PermissionLevel

from localcloud.databricks.folder import Folder
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from localcloud.rest import Rest, error_of

PATH = "/Repos/etl/prod"


@pytest.fixture
def closed(workspace: Workspace) -> Workspace:
    """Return a workspace in which each permission must be granted."""
    workspace.ungranted = True
    return workspace


@pytest.fixture
def folder(workspace: Workspace, repository: Repository) -> Folder:
    return workspace.add_folder(PATH, repository, git_cli=False)


def number(client: WorkspaceClient, path: str) -> str:
    return str(client.workspace.get_status(path).object_id)


def may_manage(principal: str) -> AccessControlRequest:
    return AccessControlRequest(service_principal_name=principal, permission_level=PermissionLevel.CAN_MANAGE)


def grant(client: WorkspaceClient, kind: str, path: str, *entries: AccessControlRequest) -> None:
    client.permissions.update(kind, number(client, path), access_control_list=list(entries))


def levels(permissions: ObjectPermissions, name: str) -> list[tuple[str, bool]]:
    """Return a principal's levels, each with True if inherited."""
    return [
        (each.permission_level.value if each.permission_level else "", bool(each.inherited))
        for entry in permissions.access_control_list or []
        if name in {entry.service_principal_name, entry.user_name, entry.group_name}
        for each in entry.all_permissions or []
    ]


# Granting


@pytest.mark.usefixtures("closed")
def test_a_patch_adds_and_what_is_below_inherits(folder: Folder, api: Rest, admin: WorkspaceClient) -> None:
    grant(admin, "directories", "/Repos/etl", may_manage("app-1"))
    above = admin.permissions.get("directories", number(admin, "/Repos/etl"))
    assert levels(above, "app-1") == [("CAN_MANAGE", False)]
    assert levels(above, "admins") == [("CAN_MANAGE", True)]
    below = admin.permissions.get("repos", str(folder.id))
    assert levels(below, "app-1") == [("CAN_MANAGE", True)]
    (entry,) = [each for each in below.access_control_list or [] if each.service_principal_name == "app-1"]
    (permission,) = entry.all_permissions or []
    assert permission.inherited_from_object == [f"/directories/{number(admin, '/Repos/etl')}"]
    assert (below.object_type, below.object_id) == ("repo", f"/repos/{folder.id}")
    assert entry.display_name == api.principal.name


@pytest.mark.usefixtures("api", "folder")
def test_a_patch_takes_nothing_away(closed: Workspace, admin: WorkspaceClient) -> None:
    closed.service_principal("app-2", "secret")
    grant(admin, "repos", PATH, may_manage("app-1"))
    grant(admin, "repos", PATH, may_manage("app-2"))
    read = AccessControlRequest(service_principal_name="app-1", permission_level=PermissionLevel.CAN_READ)
    grant(admin, "repos", PATH, read)
    there = admin.permissions.get("repos", number(admin, PATH))
    assert levels(there, "app-1") == levels(there, "app-2") == [("CAN_MANAGE", False)]


@pytest.mark.usefixtures("api", "folder")
def test_a_put_takes_away_what_it_does_not_name(closed: Workspace, admin: WorkspaceClient) -> None:
    closed.service_principal("app-2", "secret")
    grant(admin, "repos", PATH, may_manage("app-1"))
    admin.permissions.set("repos", number(admin, PATH), access_control_list=[may_manage("app-2")])
    there = admin.permissions.get("repos", number(admin, PATH))
    assert (levels(there, "app-1"), levels(there, "app-2")) == ([], [("CAN_MANAGE", False)])
    assert levels(there, "admins") == [("CAN_MANAGE", True)], "what is inherited stays"


@pytest.mark.usefixtures("folder")
def test_a_principal_that_a_request_names_must_exist(
    closed: Workspace, admin: WorkspaceClient, someone: WorkspaceClient
) -> None:
    assert someone.current_user.me().user_name == "bob@contoso.com"
    can_read = PermissionLevel.CAN_READ
    grant(admin, "repos", PATH, AccessControlRequest(user_name="bob@contoso.com", permission_level=can_read))
    grant(admin, "repos", PATH, AccessControlRequest(group_name="users", permission_level=can_read))
    with pytest.raises(NotFound, match=r"Principal: ServicePrincipalName\(nobody\) does not exist"):
        grant(admin, "repos", PATH, may_manage("nobody"))
    with pytest.raises(NotFound, match=r"Principal: GroupName\(nobody\) does not exist"):
        grant(admin, "repos", PATH, AccessControlRequest(group_name="nobody", permission_level=can_read))
    closed.service_principal("app-2", "secret").assigned = False
    with pytest.raises(NotFound, match="app-2"):
        grant(admin, "repos", PATH, may_manage("app-2"))


@pytest.mark.usefixtures("api", "folder")
@pytest.mark.parametrize(
    "entry",
    [
        AccessControlRequest(permission_level=PermissionLevel.CAN_READ),
        AccessControlRequest(service_principal_name="app-1", permission_level=PermissionLevel.CAN_ATTACH_TO),
    ],
)
def test_a_request_names_a_principal_and_a_known_level(
    admin: WorkspaceClient, entry: AccessControlRequest
) -> None:
    with pytest.raises(InvalidParameterValue):
        grant(admin, "repos", PATH, entry)


@pytest.mark.usefixtures("closed", "folder")
def test_only_who_manages_something_grants(api: Rest, admin: WorkspaceClient) -> None:
    read = AccessControlRequest(service_principal_name="app-1", permission_level=PermissionLevel.CAN_READ)
    grant(admin, "repos", PATH, read)
    place = f"/permissions/repos/{number(admin, PATH)}"
    entry = {"service_principal_name": "app-1", "permission_level": "CAN_MANAGE"}
    answer = api("PATCH", place, json={"access_control_list": [entry]})
    text = f"app-1 does not have Manage permissions on {PATH}. Please contact the owner or an administrator for access."
    assert error_of(answer) == (403, "PERMISSION_DENIED", text)
    assert api("GET", place).ok
    grant(admin, "repos", PATH, may_manage("app-1"))
    assert api("PATCH", place, json={"access_control_list": [entry]}).ok


def test_the_shared_directory_takes_no_grant(api: Rest, admin: WorkspaceClient) -> None:
    assert api.principal.client_id == "app-1"
    with pytest.raises(BadRequest, match="Cannot modify permissions of directory"):
        grant(admin, "directories", "/Shared", may_manage("app-1"))


def test_a_number_is_of_one_kind_of_object(folder: Folder, admin: WorkspaceClient) -> None:
    with pytest.raises(NotFound):
        admin.permissions.get("directories", str(folder.id))
    with pytest.raises(NotFound):
        admin.permissions.get("repos", number(admin, "/Repos/etl"))


@pytest.mark.parametrize("refusal", ["404", "400"])
@pytest.mark.parametrize(("here", "elsewhere"), [("repos", "directories"), ("directories", "repos")])
def test_a_git_folder_with_git_cli_access_has_its_permissions_in_one_place(
    repository: Repository,
    api: Rest,
    here: Literal["repos", "directories"],
    elsewhere: str,
    refusal: Literal["404", "400"],
) -> None:
    api.workspace.variant.permissions_at, api.workspace.variant.permissions_elsewhere = here, refusal
    folder = api.workspace.add_folder("/Users/me/etl", repository)
    assert api("GET", f"/permissions/{here}/{folder.id}").json()["object_id"] == f"/{here}/{folder.id}"
    assert api("GET", f"/permissions/{elsewhere}/{folder.id}").status_code == int(refusal)


def test_a_legacy_git_folder_has_its_permissions_at_repos(repository: Repository, api: Rest) -> None:
    api.workspace.variant.permissions_at = "directories"
    folder = api.workspace.add_folder(PATH, repository, git_cli=False)
    assert api("GET", f"/permissions/repos/{folder.id}").json()["object_type"] == "repo"
    assert api("GET", f"/permissions/directories/{folder.id}").status_code == 404


@pytest.mark.usefixtures("api", "folder")
def test_reads_lag_behind_writes(closed: Workspace, admin: WorkspaceClient) -> None:
    closed.lag = 60
    grant(admin, "repos", PATH, may_manage("app-1"))
    assert levels(admin.permissions.get("repos", number(admin, PATH)), "app-1") == []
    closed.lag = 0
    assert levels(admin.permissions.get("repos", number(admin, PATH)), "app-1") == [("CAN_MANAGE", False)]


# Effects of permissions


@pytest.fixture
def signed(api: Rest, devops_token: str) -> Rest:
    """Return the API for a principal with a valid stored token."""
    api.store_token(devops_token)
    return api


def create(api: Rest, repository: Repository, path: str) -> tuple[int, str | int, str]:
    body = {"url": repository.url, "provider": "azureDevOpsServices", "path": path}
    answer = api("POST", "/repos", json=body)
    return (200, "", "") if answer.ok else error_of(answer)


@pytest.mark.usefixtures("closed")
def test_an_update_takes_can_manage(folder: Folder, signed: Rest, admin: WorkspaceClient) -> None:
    place, moves = f"/repos/{folder.id}", {"branch": "main"}
    assert error_of(signed("PATCH", place, json=moves))[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    assert signed("GET", "/workspace/get-status", params={"path": PATH}).status_code == 404
    edit = AccessControlRequest(service_principal_name="app-1", permission_level=PermissionLevel.CAN_EDIT)
    grant(admin, "repos", PATH, edit)
    assert signed("GET", place).ok
    assert signed("GET", "/repos").json() == {}, "a list shows what somebody manages"
    assert error_of(signed("PATCH", place, json=moves))[:2] == (403, "PERMISSION_DENIED")
    assert error_of(signed("DELETE", place))[:2] == (403, "PERMISSION_DENIED")
    grant(admin, "directories", "/Repos/etl", may_manage("app-1"))
    assert signed("PATCH", place, json=moves).ok
    assert [each["path"] for each in signed("GET", "/repos").json()["repos"]] == [PATH]


@pytest.mark.usefixtures("closed")
def test_a_new_folder_takes_can_manage_on_the_one_above(
    repository: Repository, signed: Rest, admin: WorkspaceClient
) -> None:
    refused = (403, "PERMISSION_DENIED")
    assert error_of(signed("POST", "/workspace/mkdirs", json={"path": "/Repos/etl"}))[:2] == refused
    admin.workspace.mkdirs("/Repos/etl")
    assert create(signed, repository, PATH)[:2] == refused
    assert signed.workspace.folder(PATH) is None
    grant(admin, "directories", "/Repos/etl", may_manage("app-1"))
    assert create(signed, repository, PATH)[0] == 200
    there = admin.permissions.get("repos", number(admin, PATH))
    assert levels(there, "app-1") == [("CAN_MANAGE", False), ("CAN_MANAGE", True)], "it is the owner's"


@pytest.mark.usefixtures("closed")
def test_the_shared_directory_is_open_to_all(repository: Repository, signed: Rest) -> None:
    assert signed("POST", "/workspace/mkdirs", json={"path": "/Workspace/Shared/team/a"}).ok
    assert create(signed, repository, "/Shared/team/a/etl")[0] == 200


@pytest.mark.usefixtures("closed", "folder")
def test_a_user_sees_the_top_and_granted_objects(api: Rest, admin: WorkspaceClient) -> None:
    def children(path: str) -> list[str]:
        listed = api("GET", "/workspace/list", params={"path": path}).json()
        return [each["path"] for each in listed.get("objects", [])]

    assert children("/") == ["/Repos", "/Shared", "/Users"]
    assert children("/Repos") == []
    grant(admin, "directories", "/Repos/etl", may_manage("app-1"))
    assert (children("/Repos"), children("/Repos/etl")) == (["/Repos/etl"], [PATH])


def test_an_open_workspace_shows_that_everybody_manages_everything(
    folder: Folder, admin: WorkspaceClient
) -> None:
    assert levels(admin.permissions.get("repos", str(folder.id)), "users") == [("CAN_MANAGE", True)]
    folder.can_manage = False
    assert levels(admin.permissions.get("repos", str(folder.id)), "users") == []


def test_a_grant_opens_a_folder_that_was_closed_by_hand(
    folder: Folder, signed: Rest, admin: WorkspaceClient
) -> None:
    for attribute in ("can_manage", "visible"):
        setattr(folder, attribute, False)
        assert signed("PATCH", f"/repos/{folder.id}", json={"branch": "main"}).status_code in {403, 404}
    grant(admin, "repos", PATH, may_manage("app-1"))
    assert signed("PATCH", f"/repos/{folder.id}", json={"branch": "main"}).ok


def test_a_workspace_admin_may_always(closed: Workspace, folder: Folder, admin: WorkspaceClient) -> None:
    assert closed.ungranted
    folder.can_manage = folder.visible = False
    admin.workspace.mkdirs("/Repos/new")
    assert number(admin, PATH) == str(folder.id)
    admin.repos.delete(folder.id)
    assert closed.folder(PATH) is None
