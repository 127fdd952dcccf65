"""The secrets that the cloud remembers for each of its hosts."""

import json

import pytest
import requests
from azure.identity import ClientAssertionCredential, ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
from databricks.sdk import WorkspaceClient

from localcloud import Cloud, ZonedFleet, seed_zones
from localcloud.authority import DEVOPS_RESOURCE, EXCHANGE_RESOURCE
from localcloud.fleet import CLIENT_ID, SECRET, SECRET_NAME
from localcloud.rest import Rest

LOGIN = "login.microsoftonline.com"


@pytest.fixture
def fleet(cloud: Cloud) -> ZonedFleet:
    cloud.remember_secrets()
    return seed_zones(cloud, foreign=True)


def use_first_zone(fleet: ZonedFleet, session: requests.Session) -> list[str]:
    """Store a credential with an OAuth secret from the vault; return the secrets used."""
    with ManagedIdentityCredential() as managed, SecretClient(fleet.vault.url, managed) as vault:
        secret = vault.get_secret(SECRET_NAME).value
        api = Rest(session, fleet.workspaces[0], fleet.workspaces[0].service_principal(CLIENT_ID, SECRET))
        token = managed.get_token(f"{DEVOPS_RESOURCE}/.default").token
    api.store_token(token)
    return [str(secret), api.token, token]


def use_second_zone(fleet: ZonedFleet, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Authenticate in the federated workspace and the foreign organization; return the secrets used."""
    third = json.loads(fleet.settings["WORKSPACES"])[2]
    with ManagedIdentityCredential(client_id=third["identity"]) as managed:
        assertion = managed.get_token(f"{EXCHANGE_RESOURCE}/.default").token
    with ClientAssertionCredential(**third["devops"], func=lambda: assertion) as credential:
        token = credential.get_token(f"{DEVOPS_RESOURCE}/.default").token
    monkeypatch.setenv("DATABRICKS_OIDC_TOKEN", assertion)
    client = WorkspaceClient(host=third["host"], client_id=third["client_id"], auth_type="env-oidc")
    access = client.config.authenticate()["Authorization"].removeprefix("Bearer ")
    client.api_client._api_client._session.close()
    return [assertion, token, access]


def test_which_secrets_a_host_knows(
    cloud: Cloud, fleet: ZonedFleet, session: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = use_first_zone(fleet, session)
    assertion, token, access = use_second_zone(fleet, monkeypatch)
    assert cloud.known_to(fleet.workspaces[0].host) == first
    assert cloud.known_to(fleet.workspaces[1].host) == []
    assert cloud.known_to(fleet.workspaces[2].host) == [assertion, access]
    assert cloud.known_to(LOGIN) == [assertion, token]
    assert {*first, assertion, token, access} < set(cloud.issued)


def test_secrets_are_only_remembered_where_that_is_asked_for(cloud: Cloud) -> None:
    assert (cloud.known_to(LOGIN), cloud.issued) == ([], [])
