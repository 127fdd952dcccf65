from collections.abc import Iterator

import pytest
import requests

from localcloud import Cloud
from localcloud.authority import DEVOPS_RESOURCE
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from localcloud.rest import Rest
from tests.cloud import embedded_cloud


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with embedded_cloud(monkeypatch) as cloud:
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
