import json
from collections.abc import Mapping

import pytest
import requests
from azure.identity import ClientAssertionCredential, ManagedIdentityCredential

from localcloud import Cloud, ZonedFleet, seed_ungranted, seed_zones
from localcloud.authority import DEVOPS_RESOURCE, EXCHANGE_RESOURCE
from localcloud.devops.repository import Repository


def tokens(fleet: ZonedFleet) -> list[str]:
    """Return each zone's token for Azure DevOps, requested as in its settings."""
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
