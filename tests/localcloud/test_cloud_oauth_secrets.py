"""OAuth secrets of service principals through Databricks' SDK."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, InvalidParameterValue, NotFound, PermissionDenied
from databricks.sdk.service.oauth2 import ServicePrincipalSecretsProxyAPI

from localcloud import Cloud
from localcloud.authority import DATABRICKS_RESOURCE
from localcloud.databricks.sign_in import ServicePrincipal
from localcloud.databricks.workspace import Workspace
from localcloud.people import Person


@pytest.fixture
def person(cloud: Cloud, workspace: Workspace) -> Person:
    person = cloud.person("ada")
    workspace.add_user(person, admin=True)
    return person


@pytest.fixture
def principal(workspace: Workspace) -> ServicePrincipal:
    return workspace.service_principal("5a1e0000-0000-4000-8000-000000000001", "only-here")


@pytest.fixture
def client(workspace: Workspace, person: Person) -> Iterator[WorkspaceClient]:
    client = WorkspaceClient(host=workspace.url, token=person.token(DATABRICKS_RESOURCE), auth_type="pat")
    yield client
    client.api_client._api_client._session.close()


@pytest.fixture
def secrets(client: WorkspaceClient) -> ServicePrincipalSecretsProxyAPI:
    return client.service_principal_secrets_proxy


def token(workspace: Workspace, client_id: str, secret: str | None, session: requests.Session) -> int:
    return session.post(
        f"{workspace.url}/oidc/v1/token",
        data={"grant_type": "client_credentials", "scope": "all-apis"},
        auth=(client_id, str(secret)),
        timeout=10,
    ).status_code


def test_one_that_is_made_signs_in_wherever_the_principal_is(
    cloud: Cloud,
    workspace: Workspace,
    principal: ServicePrincipal,
    secrets: ServicePrincipalSecretsProxyAPI,
    session: requests.Session,
) -> None:
    made = secrets.create(str(principal.id), lifetime="86400s", scopes=["all-apis"])
    assert made.id
    assert made.expire_time
    ends = datetime.fromisoformat(made.expire_time)
    assert abs(ends - datetime.now(UTC) - timedelta(days=1)) < timedelta(minutes=1)
    other = cloud.workspace("adb-2222222222222222.2.azuredatabricks.net")
    assert token(workspace, principal.client_id, made.secret, session) == 200
    assert token(other, principal.client_id, made.secret, session) == 401, "it is not assigned there"
    other.service_principal(principal.client_id, "only-there")
    assert token(other, principal.client_id, made.secret, session) == 200
    assert token(workspace, principal.client_id, "only-here", session) == 200

    listed = list(secrets.list(str(principal.id)))
    assert [(each.id, each.scopes, each.status) for each in listed] == [(made.id, ["all-apis"], "ACTIVE")]
    assert "secret" not in listed[0].as_dict()
    secrets.delete(str(principal.id), made.id)
    assert token(workspace, principal.client_id, made.secret, session) == 401
    with pytest.raises(NotFound):
        secrets.delete(str(principal.id), made.id)


def test_there_are_five_at_most_and_the_list_has_pages(
    principal: ServicePrincipal, secrets: ServicePrincipalSecretsProxyAPI
) -> None:
    made = [secrets.create(str(principal.id)).id for _ in range(5)]
    with pytest.raises(BadRequest, match="limit of 5 secrets"):
        secrets.create(str(principal.id))
    assert [each.id for each in secrets.list(str(principal.id), page_size=2)] == made


@pytest.mark.parametrize("lifetime", ["1 day", "0s", "63072001s"])
def test_a_lifetime_is_so_many_seconds_and_no_more_than_two_years(
    principal: ServicePrincipal, secrets: ServicePrincipalSecretsProxyAPI, lifetime: str
) -> None:
    with pytest.raises(InvalidParameterValue):
        secrets.create(str(principal.id), lifetime=lifetime)


def test_only_admins_of_the_workspace_or_the_account_may(
    cloud: Cloud,
    workspace: Workspace,
    person: Person,
    principal: ServicePrincipal,
    secrets: ServicePrincipalSecretsProxyAPI,
) -> None:
    for user in workspace._sign_in.principals:
        user.admin = False
    with pytest.raises(PermissionDenied):
        list(secrets.list(str(principal.id)))
    with pytest.raises(PermissionDenied):
        secrets.create(str(principal.id))
    cloud.account.admins.add(person.object_id)
    assert list(secrets.list(str(principal.id))) == []


def test_a_new_one_may_take_a_while_and_an_old_one_ends(
    cloud: Cloud,
    workspace: Workspace,
    principal: ServicePrincipal,
    secrets: ServicePrincipalSecretsProxyAPI,
    session: requests.Session,
) -> None:
    cloud.account.secret_delay = 60
    made = secrets.create(str(principal.id))
    assert token(workspace, principal.client_id, made.secret, session) == 401
    assert principal.account
    (known,) = principal.account.secrets
    known.works_from = 0
    assert token(workspace, principal.client_id, made.secret, session) == 200
    known.age(days=731)
    assert token(workspace, principal.client_id, made.secret, session) == 401


def test_a_secret_is_one_that_planted_secrets_are_searched_for(
    cloud: Cloud, principal: ServicePrincipal, secrets: ServicePrincipalSecretsProxyAPI
) -> None:
    cloud.remember_secrets()
    made = secrets.create(str(principal.id))
    assert made.secret in cloud.issued
    assert made.secret not in repr(cloud.requests) + repr(principal)
