import json
from collections.abc import Mapping

import pytest
import requests
from azure.identity import ClientAssertionCredential, ManagedIdentityCredential

from localcloud import Cloud, ZonedFleet, seed, seed_ungranted, seed_zones
from localcloud.authority import DEVOPS_RESOURCE, EXCHANGE_RESOURCE, OTHER_TENANT
from localcloud.devops.repository import Repository
from localcloud.rest import Rest


def test_seeds_what_its_settings_say(cloud: Cloud) -> None:
    fleet = seed(cloud, workspaces=2)
    assert fleet.settings["KEY_VAULT_URL"] == fleet.vault.url == "https://contoso.vault.azure.net"
    entries = json.loads(fleet.settings["WORKSPACES"])
    assert [entry["host"] for entry in entries] == [workspace.url for workspace in fleet.workspaces]
    there, missing = entries[0]["folders"]
    assert fleet.workspaces[0].folder(there) is not None
    assert fleet.workspaces[0].folder(missing["path"]) is None
    assert missing["url"] == fleet.repositories[1].url
    defaults = json.loads(fleet.settings["WORKSPACE_DEFAULTS"])
    assert set(defaults) == {"client_id", "client_secret_name"}


def test_a_thousand_hosts_have_names_of_their_own(cloud: Cloud) -> None:
    hosts = {cloud.workspace(f"adb-{number:016}.1.azuredatabricks.net").host for number in range(1000)}
    assert len(hosts) == 1000


def test_a_service_principal_of_the_fleet_signs_in(cloud: Cloud, api: Rest) -> None:
    fleet = seed(cloud, workspaces=1)
    defaults = json.loads(fleet.settings["WORKSPACE_DEFAULTS"])
    principal = fleet.workspaces[0].service_principal(defaults["client_id"], "rotated")
    assert Rest(api.session, fleet.workspaces[0], principal).token


def tokens(fleet: ZonedFleet) -> list[str]:
    """For Azure DevOps, each zone's, got as its settings say."""
    *_, third = json.loads(fleet.settings["WORKSPACES"])
    scope = f"{DEVOPS_RESOURCE}/.default"
    with (
        ManagedIdentityCredential(client_id=fleet.settings["AZURE_CLIENT_ID"]) as first,
        ManagedIdentityCredential(client_id=third["identity"]) as second,
    ):
        if "devops" not in third:
            return [each.get_token(scope).token for each in (first, second)]
        with ClientAssertionCredential(
            **third["devops"], func=lambda: second.get_token(f"{EXCHANGE_RESOURCE}/.default").token
        ) as foreign:
            return [first.get_token(scope).token, foreign.get_token(scope).token]


def reads(session: requests.Session, repository: Repository, token: str) -> bool:
    url = repository.url.replace("/_git/", "/_apis/git/repositories/")
    headers = {"Authorization": f"Bearer {token}", "X-TFS-FedAuthRedirect": "Suppress"}
    return session.get(url, headers=headers, timeout=10).ok


@pytest.mark.parametrize("foreign", [False, True])
def test_neither_zone_reads_what_is_the_other_s(
    cloud: Cloud, session: requests.Session, *, foreign: bool
) -> None:
    fleet = seed_zones(cloud, foreign=foreign)
    first, second = tokens(fleet)
    assert [reads(session, each, first) for each in fleet.repositories] == [True, True, False, False]
    assert [reads(session, each, second) for each in fleet.repositories] == [False, False, True, True]


def test_the_zones_settings_say_how_each_workspace_is_signed_in_to(cloud: Cloud) -> None:
    fleet = seed_zones(cloud, foreign=True)
    assert fleet.application is not None
    ways = [
        {key: value for key, value in entry.items() if key not in ("host", "name", "folders")}
        for entry in json.loads(fleet.settings["WORKSPACES"])
    ]
    assert ways == [
        {
            "client_id": "5a1e0000-0000-4000-8000-000000000001",
            "client_secret_name": "databricks-oauth-secret",
        },
        {"auth": "managed_identity"},
        {
            "auth": "federated",
            "client_id": "5a1e0000-0000-4000-8000-000000000003",
            "identity": fleet.identity.client_id,
            "devops": {"tenant_id": OTHER_TENANT, "client_id": fleet.application.client_id},
        },
    ]
    assert fleet.settings["AZURE_CLIENT_ID"] == cloud.identity.client_id
    assert list(fleet.by_name) == ["data-1", "data-2", "data-3"]


def test_a_zone_at_home_needs_no_application(cloud: Cloud) -> None:
    fleet = seed_zones(cloud)
    assert fleet.application is None
    assert "devops" not in json.loads(fleet.settings["WORKSPACES"])[2]


@pytest.mark.parametrize("foreign", [False, True])
def test_where_nothing_is_granted_neither_zone_reads_anything(
    cloud: Cloud, session: requests.Session, *, foreign: bool
) -> None:
    fleet = seed_ungranted(cloud, foreign=foreign)
    assert not [
        each.url for token in tokens(fleet) for each in fleet.repositories if reads(session, each, token)
    ]
    tenant_id = OTHER_TENANT if foreign else None
    at_home, there = (fleet.admin.token(DEVOPS_RESOURCE, each) for each in (None, tenant_id))
    assert [reads(session, each, at_home) for each in fleet.repositories[:2]] == [True, True]
    assert [reads(session, each, there) for each in fleet.repositories[2:]] == [True, True]


def test_where_nothing_is_granted_the_account_has_what_the_settings_name(cloud: Cloud) -> None:
    fleet = seed_ungranted(cloud)
    assert dict(fleet.settings) == dict(settings_of_zones())
    first, _, third = json.loads(fleet.settings["WORKSPACES"])
    for entry in (first, third):
        principal = cloud.account.find(entry["client_id"])
        assert principal is not None
        assert principal.policies == []
    assert cloud.account.admins == {fleet.admin.object_id}
    for workspace in fleet.workspaces:
        assert [each.client_id for each in workspace.members.principals] == [fleet.admin.user_name]
        assert (workspace.ungranted, workspace.users_entitlements) == (True, set())
        assert [each.path for each in workspace.folders] == ["/Repos/etl/prod"]
    assert fleet.vault.ends == {}


def settings_of_zones() -> Mapping[str, str]:
    with Cloud() as another:
        return seed_zones(another).settings
