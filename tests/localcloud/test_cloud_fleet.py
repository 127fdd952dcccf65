import json

from localcloud import Cloud, seed
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
