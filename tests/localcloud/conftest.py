from collections.abc import Iterator

import pytest
import requests
from databricks.sdk import AccountClient, WorkspaceClient

from localcloud import Cloud
from localcloud.authority import DATABRICKS_RESOURCE, DEVOPS_RESOURCE
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from localcloud.people import Person
from localcloud.rest import Rest
from tests.support.embedded_cloud import embedded_cloud


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with embedded_cloud(monkeypatch, None) as cloud:
        yield cloud


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def workspace(cloud: Cloud) -> Workspace:
    return cloud.workspace("adb-1111111111111111.1.azuredatabricks.net")


@pytest.fixture
def api(session: requests.Session, workspace: Workspace) -> Rest:
    return Rest(session, workspace, workspace.service_principal(client_id="app-1", secret="s3cret+/="))


@pytest.fixture
def repository(cloud: Cloud) -> Repository:
    return cloud.devops.repository("contoso", "Data Platform", "etl", files={"README.md": "hi"})


@pytest.fixture
def devops_token(cloud: Cloud) -> str:
    return cloud.identity.token(DEVOPS_RESOURCE)


@pytest.fixture
def ada(cloud: Cloud, workspace: Workspace) -> Person:
    """Return an admin of the organization, the workspace and the account."""
    ada = cloud.person("ada")
    cloud.devops.organization("contoso").add_administrator(ada.object_id)
    workspace.add_user(ada, admin=True)
    cloud.account.admins.add(ada.object_id)
    return ada


@pytest.fixture
def bob(cloud: Cloud, workspace: Workspace) -> Person:
    """Return a member of everything without admin permissions."""
    bob = cloud.person("bob")
    cloud.devops.organization("contoso").add_member(bob.object_id)
    workspace.add_user(bob)
    return bob


@pytest.fixture
def admin(ada: Person, workspace: Workspace) -> Iterator[WorkspaceClient]:
    """Yield Databricks' SDK for the admin of the workspace."""
    token = ada.token(DATABRICKS_RESOURCE)
    client = WorkspaceClient(host=workspace.url, token=token, auth_type="pat")
    yield client
    client.api_client._api_client._session.close()


@pytest.fixture
def account(cloud: Cloud, ada: Person) -> Iterator[AccountClient]:
    """Yield Databricks' SDK for the admin of the account."""
    host, token = "https://accounts.azuredatabricks.net", ada.token(DATABRICKS_RESOURCE)
    client = AccountClient(host=host, account_id=cloud.account.id, token=token, auth_type="pat")
    yield client
    client.api_client._api_client._session.close()


@pytest.fixture
def someone(bob: Person, workspace: Workspace) -> Iterator[WorkspaceClient]:
    """Yield Databricks' SDK for a user without admin permissions."""
    token = bob.token(DATABRICKS_RESOURCE)
    client = WorkspaceClient(host=workspace.url, token=token, auth_type="pat")
    yield client
    client.api_client._api_client._session.close()
