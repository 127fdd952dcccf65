"""The real SDKs, as they come, with a customer's settings."""

from collections.abc import Iterator

import pytest
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, ResourceConflict
from databricks.sdk.service.workspace import ObjectType

from localcloud import Cloud, Fleet, seed
from localcloud.authority import DATABRICKS_RESOURCE, DEVOPS_RESOURCE
from localcloud.fleet import CLIENT_ID, SECRET_NAME


@pytest.fixture
def fleet(cloud: Cloud) -> Fleet:
    return seed(cloud, workspaces=1)


@pytest.fixture
def credential() -> Iterator[ManagedIdentityCredential]:
    with ManagedIdentityCredential() as credential:
        yield credential


@pytest.fixture
def client(fleet: Fleet, credential: ManagedIdentityCredential) -> Iterator[WorkspaceClient]:
    with SecretClient(fleet.settings["KEY_VAULT_URL"], credential) as vault:
        secret = vault.get_secret(SECRET_NAME).value
    client = WorkspaceClient(host=fleet.workspaces[0].url, client_id=CLIENT_ID, client_secret=secret)
    yield client
    client.api_client._api_client._session.close()


def test_the_whole_way(
    cloud: Cloud, fleet: Fleet, client: WorkspaceClient, credential: ManagedIdentityCredential
) -> None:
    token = credential.get_token(f"{DEVOPS_RESOURCE}/.default").token
    stored = client.git_credentials.create(
        "azureDevOpsServices", git_username="git-refresh", personal_access_token=token
    )
    client.git_credentials.update(
        stored.credential_id, "azureDevOpsServices", git_username="git-refresh", personal_access_token=token
    )
    assert [each.credential_id for each in client.git_credentials.list()] == [stored.credential_id]

    etl, reports = fleet.repositories
    head = etl.commit({"jobs/new.py": "1"})
    there = client.workspace.get_status("/Workspace/Repos/etl/prod")
    assert there.object_type is ObjectType.DIRECTORY
    assert there.object_id is not None
    client.repos.update(there.object_id, branch="main")
    assert client.repos.get(there.object_id).head_commit_id == head

    client.workspace.mkdirs("/Repos/reports")
    created = client.repos.create(reports.url, "azureDevOpsServices", path="/Repos/reports/prod")
    assert created.head_commit_id == reports.head()
    assert client.repos.get(created.id or 0).git_cli_enabled
    assert list(client.repos.list(path_prefix="/Repos")) == []
    paths = [each.path for each in client.workspace.list("/Repos", recursive=False)]
    assert paths == ["/Repos/etl", "/Repos/reports"]
    assert cloud.refused == []


def test_errors_reach_the_sdk_as_the_real_ones_do(fleet: Fleet, client: WorkspaceClient) -> None:
    with pytest.raises(NotFound, match="doesn't exist"):
        client.workspace.get_status("/Repos/none")
    folder = fleet.workspaces[0].folder("/Repos/etl/prod")
    assert folder is not None
    with pytest.raises(PermissionDenied, match="Missing Git provider credentials"):
        client.repos.update(folder.id, branch="main")
    client.git_credentials.create("azureDevOpsServices", git_username="x", personal_access_token="stale")
    with pytest.raises(PermissionDenied, match="Invalid Git provider credentials"):
        client.repos.update(folder.id, branch="main")
    with pytest.raises(ResourceConflict, match="Only one credential per provider"):
        client.git_credentials.create("azureDevOpsServices", git_username="x", personal_access_token="t")


def test_a_conflict_reaches_the_sdk_as_a_bad_request(
    cloud: Cloud, fleet: Fleet, client: WorkspaceClient
) -> None:
    token = cloud.identity.token(DEVOPS_RESOURCE)
    client.git_credentials.create("azureDevOpsServices", git_username="x", personal_access_token=token)
    folder = fleet.workspaces[0].folder("/Repos/etl/prod")
    assert folder is not None
    folder.edit("README.md", "mine")
    fleet.repositories[0].commit({"README.md": "theirs"})
    with pytest.raises(BadRequest, match="Conflicting files: README") as caught:
        client.repos.update(folder.id, branch="main")
    assert caught.value.error_code == "GIT_CONFLICT"
    client.repos.update(folder.id, branch="main", dangerously_force_discard_all=True)
    assert folder.read("README.md") == "theirs"


def test_a_managed_identity_signs_in(cloud: Cloud, fleet: Fleet) -> None:
    fleet.workspaces[0].add_managed_identity(cloud.identity.object_id)
    token = cloud.identity.token(DATABRICKS_RESOURCE)
    client = WorkspaceClient(host=fleet.workspaces[0].url, token=token, auth_type="pat")
    assert client.current_user.me().user_name == cloud.identity.object_id
    client.api_client._api_client._session.close()
