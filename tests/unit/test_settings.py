import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.model.values import Problem, Ref
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.load import Settings, SettingsError, load
from git_refresh.settings.names import SETTINGS, near_misses, unknown_names
from tests.support.entries import GOOD, GUID, HOST, URL
from tests.support.paths import ROOT

WORKSPACE_KEYS = ["host", "name", "auth", "client_id", "client_secret_name", "git_username", "workspaceUrl"]
FOLDER_KEYS = ["path", "url", "branch", "tag", "on_conflict"]


def settings(*workspaces: object, **more: str) -> Settings:
    return load(
        {"WORKSPACES": json.dumps(workspaces), "KEY_VAULT_URL": "https://contoso.vault.azure.net", **more}
    )


def only(found: Settings) -> Entry:
    (entry,) = found.entries
    assert isinstance(entry, Entry)
    return entry


def test_an_entry_gets_the_defaults_of_the_contract() -> None:
    workspace = only(settings(GOOD)).workspace
    assert (workspace.name, workspace.auth, workspace.git_username) == (
        "adb-1",
        "oauth_secret",
        "git-refresh",
    )
    assert (workspace.folders, workspace.additional_principal_ids) == ((), ())
    found = settings(GOOD)
    assert (found.concurrency, found.timeout_s, found.client_id) == (32, 540.0, None)
    assert found.key_vault_url == "https://contoso.vault.azure.net"
    assert not found.trusted.entries


def test_what_is_set_for_all_workspaces_is_what_the_run_gets() -> None:
    found = settings(
        GOOD,
        KEY_VAULT_URL=" https://other.vault.azure.net/ ",
        AZURE_CLIENT_ID="0000ABCD-0000-0000-0000-00000000ef01",
        TRUSTED_HOSTS="git.contoso.com",
        REFRESH_CONCURRENCY="256",
        REFRESH_TIMEOUT_SECONDS="30",
        REFRESH_SCHEDULE="0 */15 * * * *",
        FAN_OUT="off",
    )
    assert found.key_vault_url == "https://other.vault.azure.net"
    assert found.client_id == "0000abcd-0000-0000-0000-00000000ef01"
    assert found.trusted.trusts("git.contoso.com")
    assert (found.concurrency, found.timeout_s) == (256, 30.0)


def test_trusted_hosts_vouches_for_workspaces_and_repositories() -> None:
    url = "https://git.contoso.com:8443/org/project/_git/etl"
    entry = {**GOOD, "host": "https://bricks.contoso.com:8443", "folders": [{"path": "/a/b", "url": url}]}
    workspace = only(settings(entry, TRUSTED_HOSTS=".contoso.com")).workspace
    assert workspace.host == "https://bricks.contoso.com:8443"
    repository = workspace.folders[0].repository
    assert repository is not None
    assert repository.url == url


def test_a_string_is_a_host_and_defaults_are_merged_under_every_entry() -> None:
    defaults = json.dumps(
        {
            "client_id": "5a1e0000-0000-4000-8000-000000000001",
            "client_secret_name": "b",
            "folders": ["/Repos/x/y"],
        }
    )
    entry = only(settings(HOST, WORKSPACE_DEFAULTS=defaults))
    assert entry.workspace.client_id == "5a1e0000-0000-4000-8000-000000000001"
    assert [folder.path for folder in entry.workspace.folders] == ["/Repos/x/y"]


def test_an_entry_wins_over_the_defaults() -> None:
    found = settings({**GOOD, "git_username": "mine"}, WORKSPACE_DEFAULTS='{"git_username": "theirs"}')
    assert only(found).workspace.git_username == "mine"


def test_a_managed_identity_needs_no_secret_and_no_vault() -> None:
    found = load({"WORKSPACES": json.dumps([{"host": HOST, "auth": "managed_identity"}])})
    assert only(found).workspace.client_id is None


def test_paths_with_and_without_workspace_are_the_same_folder() -> None:
    entry = only(settings({**GOOD, "folders": ["/Workspace/Shared/etl", "/Shared/etl/"]}))
    assert [folder.key for folder in entry.workspace.folders] == ["/Shared/etl"]
    assert str(entry.bad_folders[0].problem) == (
        'WORKSPACES[0].folders[1].path: "/Shared/etl/" is listed twice in this workspace; keep one'
    )


def test_a_folder_has_the_ref_that_it_names() -> None:
    folders = [{"path": "/a/b", "branch": "x"}, {"path": "/a/c", "tag": "v1"}, "/a/d"]
    found = only(settings({**GOOD, "folders": folders})).workspace.folders
    assert [folder.ref for folder in found] == [Ref("branch", "x"), Ref("tag", "v1"), None]


def test_ids_of_service_principals_are_numbers_however_they_are_written() -> None:
    assert only(
        settings({**GOOD, "additional_principal_ids": [1, "20"]})
    ).workspace.additional_principal_ids == (1, 20)


FATAL = {
    "endlessly nested": (
        {"WORKSPACES": "[" * 100_000},
        "WORKSPACES: is not valid JSON: line 1, column 101, in [0][0][0][0][0][0]…: the brackets are nested too deeply; remove the extra ones. At: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ <-- HERE [[[[[[[[[[[[[[[[[[[[",
    ),
    "no WORKSPACES": (
        {},
        'WORKSPACES: is missing; write a JSON array of workspaces: [{"host": "https://adb-….azuredatabricks.net", …}]',
    ),
    "blank WORKSPACES": (
        {"WORKSPACES": "  "},
        'WORKSPACES: is missing; write a JSON array of workspaces: [{"host": "https://adb-….azuredatabricks.net", …}]',
    ),
    "not JSON": (
        {"WORKSPACES": '[{"host": ]'},
        'WORKSPACES: is not valid JSON: line 1, column 11, in [0].host: the value after the colon is missing; write it, or remove the key too. At: [{"host": ] <-- HERE',
    ),
    "not JSON that can be read": (
        {"WORKSPACES": f"[{'1' * 5000}]"},
        "WORKSPACES: is not valid JSON: line 1, column 2, in [0]: this number is too long; shorten it, or put it in double quotes if it is a string. At: [… <-- HERE ]",
    ),
    "not an array": (
        {"WORKSPACES": '{"host": "x"}'},
        "WORKSPACES: must be an array; put [ ] around the workspace's { }",
    ),
    "empty": (
        {"WORKSPACES": "[]"},
        'WORKSPACES: is empty; write a JSON array of workspaces: [{"host": "https://adb-….azuredatabricks.net", …}]',
    ),
    "no vault": (
        {
            "WORKSPACES": '[{"host": "https://adb-1.1.azuredatabricks.net", "client_id": "5a1e0000-0000-4000-8000-000000000001", "client_secret_name": "oauth-secret"}]',
            "KEY_VAULT_URL": "",
        },
        "KEY_VAULT_URL: is missing, but a workspace reads its secret from it; write https://NAME.vault.azure.net",
    ),
    "vault on http": (
        {"KEY_VAULT_URL": "http://x.vault.azure.net"},
        'KEY_VAULT_URL: "http://x.vault.azure.net" must start with https://; write https://x.vault.azure.net',
    ),
    "vault elsewhere": (
        {"KEY_VAULT_URL": "https://vault.evil.com"},
        'KEY_VAULT_URL: "https://vault.evil.com" is not on a trusted host, so nothing is sent to it: expected *.vault.azure.net, or a host listed in TRUSTED_HOSTS',
    ),
    "identity": (
        {"AZURE_CLIENT_ID": "my-identity"},
        'AZURE_CLIENT_ID: "my-identity" must be the client id of a user-assigned managed identity, like 00000000-0000-0000-0000-000000000000; remove it to use the system-assigned one',
    ),
    "concurrency": (
        {"REFRESH_CONCURRENCY": "many"},
        'REFRESH_CONCURRENCY: "many" must be a whole number from 1 to 256; remove it to use the default, 32',
    ),
    "timeout": (
        {"REFRESH_TIMEOUT_SECONDS": "5"},
        'REFRESH_TIMEOUT_SECONDS: "5" must be a whole number from 30 to 3600; remove it to use the default, 540',
    ),
    "fan-out": (
        {"FAN_OUT": "Queue"},
        'FAN_OUT: "Queue" must be "off" or "queue", in lower case; did you mean "queue"?',
    ),
    "fan-out of something": (
        {"FAN_OUT": "1"},
        'FAN_OUT: "1" must be "off" or "queue", in lower case; write "off" for one run that does all',
    ),
    "a slice longer than the queue waits for it": (
        {
            "FAN_OUT": "queue",
            "REFRESH_TIMEOUT_SECONDS": "571",
            "AzureFunctionsJobHost__functionTimeout": "01:00:00",
        },
        'REFRESH_TIMEOUT_SECONDS: "571" is too long for FAN_OUT "queue": after ten minutes without a word the queue gives a slice to another worker; write at most 570',
    ),
    "trusted hosts": (
        {"TRUSTED_HOSTS": "https://git.contoso.com"},
        'TRUSTED_HOSTS: "https://git.contoso.com" must be a host name like git.contoso.com, a suffix like .contoso.com or an IP address, without https://, path or port',
    ),
    "defaults not JSON": (
        {"WORKSPACE_DEFAULTS": "{,}"},
        "WORKSPACE_DEFAULTS: is not valid JSON: line 1, column 2: there is a comma right after the opening bracket; remove it. At: {, <-- HERE }",
    ),
    "defaults an array": (
        {"WORKSPACE_DEFAULTS": "[]"},
        'WORKSPACE_DEFAULTS: must be one object, in { }, not an array; write {"client_id": "…", …}',
    ),
    "defaults null": (
        {"WORKSPACE_DEFAULTS": "null"},
        'WORKSPACE_DEFAULTS: must be one object, in { }, not null; write {"client_id": "…", …}',
    ),
    "default host": (
        {"WORKSPACE_DEFAULTS": '{"host": "x"}'},
        "WORKSPACE_DEFAULTS.host: belongs to one workspace; write it in WORKSPACES",
    ),
    "default name": (
        {"WORKSPACE_DEFAULTS": '{"name": "x"}'},
        "WORKSPACE_DEFAULTS.name: belongs to one workspace; write it in WORKSPACES",
    ),
    "default key": (
        {"WORKSPACE_DEFAULTS": '{"clientid": "x"}'},
        'WORKSPACE_DEFAULTS.clientid: is not a key of a workspace; did you mean "client_id"?',
    ),
    "default host, misspelled": (
        {"WORKSPACE_DEFAULTS": '{"hots": "x"}'},
        'WORKSPACE_DEFAULTS.hots: is not a key of a workspace; if it is "host", it belongs to one workspace; write it in WORKSPACES',
    ),
    "default host, in another word": (
        {"WORKSPACE_DEFAULTS": '{"workspace": "x"}'},
        'WORKSPACE_DEFAULTS.workspace: is not a key of a workspace; if it is "host", it belongs to one workspace; write it in WORKSPACES',
    ),
    "default key that nobody knows": (
        {"WORKSPACE_DEFAULTS": '{"color": "x"}'},
        "WORKSPACE_DEFAULTS.color: is not a key of a workspace; the known keys are auth, client_id, client_secret_name, git_username, folders, additional_principal_ids, identity, devops",
    ),
    "default key nearer to one that is allowed": (
        {"WORKSPACE_DEFAULTS": '{"git_name": "x"}'},
        'WORKSPACE_DEFAULTS.git_name: is not a key of a workspace; did you mean "git_username"?',
    ),
    "default key of a folder": (
        {"WORKSPACE_DEFAULTS": '{"branch": "release"}'},
        'WORKSPACE_DEFAULTS.branch: is not a key of a workspace; it belongs to a folder: write "folders": [{"path": "/Repos/etl/production", "branch": "release"}]',
    ),
    "a workspace without brackets": (
        {
            "WORKSPACES": '{"host": "https://adb-1.1.azuredatabricks.net", "client_id": "5a1e0000-0000-4000-8000-000000000001", "client_secret_name": "oauth-secret"}'
        },
        "WORKSPACES: must be an array; put [ ] around the workspace's { }",
    ),
    "settings by name": (
        {"WORKSPACES": '{"WORKSPACES": []}'},
        'WORKSPACES: contains app settings by name; write only what follows "WORKSPACES": here, the array in [ ]',
    ),
    "text": (
        {"WORKSPACES": '"https://x"'},
        'WORKSPACES: must be an array; put [ ] around the string: ["https://…"]',
    ),
    "a number": (
        {"WORKSPACES": "5"},
        'WORKSPACES: must be an array, not a number; write a JSON array of workspaces: [{"host": "https://adb-….azuredatabricks.net", …}]',
    ),
    "null": (
        {"WORKSPACES": "null"},
        'WORKSPACES: must be an array, not null; write a JSON array of workspaces: [{"host": "https://adb-….azuredatabricks.net", …}]',
    ),
    "line break before a mistake": (
        {"WORKSPACES": '\n[\n  {"host": "x",}\n]'},
        'WORKSPACES: is not valid JSON: line 3, column 15, in [0]: there is a comma before the closing }; remove it. At: [ {"host": "…", <-- HERE } ]',
    ),
    "vault by its name": (
        {"KEY_VAULT_URL": "contoso"},
        'KEY_VAULT_URL: "contoso" must be the address of the vault; write https://contoso.vault.azure.net',
    ),
    "vault by its host": (
        {"KEY_VAULT_URL": "contoso.vault.azure.net"},
        'KEY_VAULT_URL: "contoso.vault.azure.net" must be the address of the vault; write https://contoso.vault.azure.net',
    ),
    "vault by its host and a secret": (
        {"KEY_VAULT_URL": "Contoso.vault.azure.net/secrets/x"},
        'KEY_VAULT_URL: "Contoso.vault.azure.net/secrets/x" must be the address of the vault; write https://Contoso.vault.azure.net',
    ),
    "vault by its host and a port": (
        {"KEY_VAULT_URL": "contoso.vault.azure.net:443"},
        'KEY_VAULT_URL: "contoso.vault.azure.net:443" must be the address of the vault; write https://contoso.vault.azure.net',
    ),
    "vault by its id": (
        {"KEY_VAULT_URL": "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/contoso"},
        'KEY_VAULT_URL: "***" must be the address of the vault; write https://contoso.vault.azure.net',
    ),
    "vault of another kind": (
        {"KEY_VAULT_URL": "contoso.example.com"},
        'KEY_VAULT_URL: "contoso.example.com" must be the address of the vault; write https://NAME.vault.azure.net',
    ),
    "vault with a port": (
        {"KEY_VAULT_URL": "https://contoso.vault.azure.net:8443"},
        'KEY_VAULT_URL: "https://contoso.vault.azure.net:8443" must not contain a port; write https://contoso.vault.azure.net',
    ),
    "minus": (
        {"REFRESH_CONCURRENCY": "-1"},
        'REFRESH_CONCURRENCY: "-1" must be a whole number from 1 to 256; remove it to use the default, 32',
    ),
    "fraction": (
        {"REFRESH_TIMEOUT_SECONDS": "540.5"},
        'REFRESH_TIMEOUT_SECONDS: "540.5" must be a whole number from 30 to 3600; remove it to use the default, 540',
    ),
    "trusted secret": (
        {"TRUSTED_HOSTS": "https://me:hunter2@git.contoso.com"},
        'TRUSTED_HOSTS: "https://git.contoso.com" must be a host name like git.contoso.com, a suffix like .contoso.com or an IP address, without https://, path or port',
    ),
    "too long": (
        {"TRUSTED_HOSTS": "git.contoso.com," * 501},
        "TRUSTED_HOSTS: is too long: 8,016 characters; write at most 8,000",
    ),
    "too many": (
        {"WORKSPACES": json.dumps(["x"] * 5001)},
        "WORKSPACES: contains 5,001 workspaces; write at most 5,000, and give the rest to another app",
    ),
    "schedule too long": (
        {"REFRESH_SCHEDULE": "1" * 1001},
        "REFRESH_SCHEDULE: is too long: 1,001 characters; write at most 1,000",
    ),
    "defaults with a wrong folder": (
        {"WORKSPACE_DEFAULTS": '{"folders": ["x"]}'},
        'WORKSPACE_DEFAULTS.folders[0].path: "x" must be an absolute path, like /Repos/etl/production or /Workspace/Shared/etl',
    ),
}


@pytest.mark.parametrize(("changes", "expected"), FATAL.values(), ids=FATAL)
def test_what_concerns_every_workspace_stops_the_run(changes: dict[str, str], expected: str) -> None:
    environ = {"WORKSPACES": json.dumps([GOOD]), "KEY_VAULT_URL": "https://contoso.vault.azure.net"}
    with pytest.raises(SettingsError) as caught:
        load({**({} if not changes else environ), **changes})
    assert [str(problem) for problem in caught.value.problems] == [expected]


def test_every_setting_that_is_read_is_known_by_name() -> None:
    class Environ(dict[str, str]):
        def get(self, key: str, default: Any = None) -> Any:
            read.add(key)
            return super().get(key, default)

    read: set[str] = set()
    load(Environ(WORKSPACES=json.dumps([GOOD]), KEY_VAULT_URL="https://contoso.vault.azure.net"))
    assert read == SETTINGS.keys()


def test_a_vault_that_is_not_set_at_all_stops_the_run() -> None:
    with pytest.raises(
        SettingsError, match="KEY_VAULT_URL: is missing, but a workspace reads its secret from it"
    ):
        load({"WORKSPACES": json.dumps([GOOD])})


def test_a_mistake_in_the_defaults_is_reported_once_for_all_workspaces() -> None:
    with pytest.raises(SettingsError) as caught:
        settings(
            "https://adb-2.2.azuredatabricks.net",
            GOOD,
            WORKSPACE_DEFAULTS='{"additional_principal_ids": ["x"], "folders": [7]}',
        )
    places = [problem.location for problem in caught.value.problems]
    assert places == ["WORKSPACE_DEFAULTS.additional_principal_ids[0]", "WORKSPACE_DEFAULTS.folders[0]"]


REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "federated as nobody": (
        {"auth": "federated", "client_id": None},
        "WORKSPACES[1]: needs client_id, the application id of the service principal that the app signs in as (onboard --new-principal makes one); write it here or in WORKSPACE_DEFAULTS",
    ),
    "an identity by name": (
        {"identity": "id-git-refresh"},
        'WORKSPACES[1].identity: "id-git-refresh" must be the client id of a user-assigned managed identity, like 00000000-0000-0000-0000-000000000000; az identity show --name NAME --resource-group GROUP --query clientId shows it',
    ),
    "an identity under its kind": (
        {"managed_identity": GUID},
        'WORKSPACES[1].managed_identity: is not a key of a workspace; did you mean "identity"?',
    ),
    "a tenant beside the keys": (
        {"tenant_id": GUID},
        'WORKSPACES[1].tenant_id: is not a key of a workspace; did you mean "devops"?',
    ),
    "a tenant by name": (
        {"devops": {"tenant_id": "fabrikam.onmicrosoft.com", "client_id": GUID}, "identity": GUID},
        'WORKSPACES[1].devops.tenant_id: "fabrikam.onmicrosoft.com" must be the id of the tenant, like 00000000-0000-0000-0000-000000000000, not its name; az login --tenant NAME, then az account show --query tenantId shows it',
    ),
    "a registration by name": (
        {"devops": {"tenant_id": GUID, "client_id": "git-refresh"}, "identity": GUID},
        "WORKSPACES[1].devops.client_id: \"git-refresh\" must be the application id of the app registration, like 00000000-0000-0000-0000-000000000000; az ad app list --display-name NAME --query '[].appId' shows it",
    ),
    "a tenant alone": (
        {"devops": {"tenant_id": GUID}, "identity": GUID},
        'WORKSPACES[1].devops.client_id: is missing; write "client_id": "5a1e0000-0000-4000-8000-000000000004"',
    ),
    "a tenant that is no object": (
        {"devops": GUID, "identity": GUID},
        'WORKSPACES[1].devops: must be an object: {"tenant_id": "…", "client_id": "…"}',
    ),
    "another key of devops": (
        {"devops": {"tenant_id": GUID, "client_id": GUID, "app": GUID}, "identity": GUID},
        "WORKSPACES[1].devops.app: is not a key of devops; the known keys are tenant_id, client_id",
    ),
    "another tenant for a system-assigned identity": (
        {"devops": {"tenant_id": GUID, "client_id": GUID}},
        "WORKSPACES[1].devops: needs a user-assigned managed identity: an app registration cannot trust a system-assigned one; write the client id of one in identity, or in AZURE_CLIENT_ID",
    ),
    "superscript": (
        {"additional_principal_ids": ["²"]},
        'WORKSPACES[1].additional_principal_ids[0]: "²" must be the service principal\'s numeric id, which the Databricks CLI shows as id (databricks service-principals list), not its application id',
    ),
    "http": (
        {"host": "http://adb-1.1.azuredatabricks.net"},
        'WORKSPACES[1].host: "http://adb-1.1.azuredatabricks.net" must start with https://; write https://adb-1.1.azuredatabricks.net',
    ),
    "http, with a user": (
        {"host": "http://me:hunter2@adb-1.1.azuredatabricks.net"},
        'WORKSPACES[1].host: "http://adb-1.1.azuredatabricks.net" must start with https://',
    ),
    "http to elsewhere": (
        {"host": "http://adb-1.example.com"},
        'WORKSPACES[1].host: "http://adb-1.example.com" must start with https://',
    ),
    "ftp": (
        {"host": "ftp://adb-1.1.azuredatabricks.net"},
        'WORKSPACES[1].host: "ftp://adb-1.1.azuredatabricks.net" must start with https://',
    ),
    "no scheme": (
        {"host": "adb-1.1.azuredatabricks.net"},
        'WORKSPACES[1].host: "adb-1.1.azuredatabricks.net" must start with https://; write https://adb-1.1.azuredatabricks.net',
    ),
    "account console": (
        {"host": "https://accounts.azuredatabricks.net"},
        'WORKSPACES[1].host: "https://accounts.azuredatabricks.net" is the account console; write the address of a workspace',
    ),
    "not trusted": (
        {"host": "https://adb-1.1.azuredatabricks.net.evil.com"},
        'WORKSPACES[1].host: "https://adb-1.1.azuredatabricks.net.evil.com" is not on a trusted host, so nothing is sent to it: expected *.azuredatabricks.net, or a host listed in TRUSTED_HOSTS',
    ),
    "mistyped key": ({"hots": 1}, 'WORKSPACES[1].hots: is not a key of a workspace; did you mean "host"?'),
    "unknown key": (
        {"color": 1},
        "WORKSPACES[1].color: is not a key of a workspace; the known keys are host, name, auth, client_id, client_secret_name, git_username, folders, additional_principal_ids, identity, devops",
    ),
    "blank": ({"name": " "}, "WORKSPACES[1].name: must not be empty; leave it out instead"),
    "long": (
        {
            "name": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        },
        "WORKSPACES[1].name: is too long; write at most 200 characters",
    ),
    "null": (
        {"name": None},
        "WORKSPACES[1].name: must be a string, not null; leave the key out to use its default",
    ),
    "long host": (
        {"host": f"https://{'x' * 2000}"},
        "WORKSPACES[1].host: is too long; write at most 2,000 characters",
    ),
    "id of too many digits": (
        {"additional_principal_ids": ["9" * 5000]},
        'WORKSPACES[1].additional_principal_ids[0]: "***…" must be the service principal\'s numeric id, which the Databricks CLI shows as id (databricks service-principals list), not its application id',
    ),
    "id too large": (
        {"additional_principal_ids": [2**63]},
        "WORKSPACES[1].additional_principal_ids[0]: is too large for a service principal's numeric id",
    ),
    "too many ids": (
        {"additional_principal_ids": [1] * 201},
        "WORKSPACES[1].additional_principal_ids: has too many items; write at most 200",
    ),
    "true": ({"name": True}, "WORKSPACES[1].name: must be a string in double quotes, not true"),
    "broken text": (
        {"git_username": "\ud800"},
        "WORKSPACES[1].git_username: contains an unpaired surrogate; type it again",
    ),
    "no array": (
        {"additional_principal_ids": "5"},
        "WORKSPACES[1].additional_principal_ids: must be an array, not a string; put [ ] around it",
    ),
    "fraction": (
        {"additional_principal_ids": [1.5]},
        "WORKSPACES[1].additional_principal_ids[0]: must be a whole number, not a number with a decimal point",
    ),
    "zero": (
        {"additional_principal_ids": ["0"]},
        "WORKSPACES[1].additional_principal_ids[0]: must be greater than 0",
    ),
    "array of arrays": (
        {"additional_principal_ids": [[1]]},
        "WORKSPACES[1].additional_principal_ids[0]: must be a whole number, not an array",
    ),
    "auth an object": (
        {"auth": {}},
        'WORKSPACES[1].auth: must be "oauth_secret", "managed_identity" or "federated", not an object',
    ),
    "number": ({"host": 5}, "WORKSPACES[1].host: must be a string in double quotes, not a number"),
    "auth": (
        {"auth": "pat"},
        'WORKSPACES[1].auth: "pat" must be "oauth_secret", "managed_identity" or "federated"',
    ),
    "no client": (
        {"client_id": None},
        'WORKSPACES[1]: needs client_id (onboard --new-principal makes one); write it here or in WORKSPACE_DEFAULTS, or write "auth": "managed_identity"',
    ),
    "neither client nor secret": (
        {"client_id": None, "client_secret_name": None},
        'WORKSPACES[1]: needs client_id (onboard --new-principal makes one) and client_secret_name; write both here or in WORKSPACE_DEFAULTS, or write "auth": "federated" or "managed_identity"',
    ),
    "no secret": (
        {"client_secret_name": None},
        'WORKSPACES[1]: needs client_secret_name; write it here or in WORKSPACE_DEFAULTS, or write "auth": "federated" or "managed_identity"',
    ),
    "secret itself": (
        {"client_secret_name": "dose0123456789abcdef0123456789abcdef"},
        "WORKSPACES[1].client_secret_name: looks like a secret: revoke it, store a new one in Key Vault and write its name in client_secret_name",
    ),
    "secret name": (
        {"client_secret_name": "a b"},
        "WORKSPACES[1].client_secret_name: must be the name of a Key Vault secret: 1 to 127 letters, digits and hyphens",
    ),
    "additional_principal_ids": (
        {"additional_principal_ids": ["8d6f-app-id"]},
        'WORKSPACES[1].additional_principal_ids[0]: "8d6f-app-id" must be the service principal\'s numeric id, which the Databricks CLI shows as id (databricks service-principals list), not its application id',
    ),
    "the secret in the list": (
        {"client_secret": "hunter2"},
        "WORKSPACES[1].client_secret: is not a key of a workspace; secrets do not belong here: store it in Key Vault, and write the name of the Key Vault secret in client_secret_name",
    ),
    "a folder's key": (
        {"branch": "main"},
        'WORKSPACES[1].branch: is not a key of a workspace; it belongs to a folder: write "folders": [{"path": "/Repos/etl/production", "branch": "main"}]',
    ),
    "another word for host": (
        {"workspace": "x"},
        'WORKSPACES[1].workspace: is not a key of a workspace; did you mean "host"?',
    ),
    "another word for folders": (
        {"paths": "/a/b"},
        'WORKSPACES[1].paths: is not a key of a workspace; did you mean "folders"?',
    ),
    "a folder's path": (
        {"path": "/a/b"},
        'WORKSPACES[1].path: is not a key of a workspace; it belongs to a folder: write "folders": [{"path": "/a/b"}]',
    ),
    "a folder's path, quoted in part": (
        {"path": 'a"b'},
        'WORKSPACES[1].path: is not a key of a workspace; it belongs to a folder: write "folders": [{"path": "a\\"b"}]',
    ),
    "a folder's key with a value that is not repeated": (
        {"url": "https://me:hunter2@dev.azure.com/a/b/_git/c"},
        'WORKSPACES[1].url: is not a key of a workspace; it belongs to a folder: write "folders": [{"path": "/Repos/etl/production", "url": "https://dev.azure.com/contoso/Data%20Platform/_git/etl"}]',
    ),
    "a folder's key with no string in it": (
        {"sparse": [1]},
        'WORKSPACES[1].sparse: is not a key of a workspace; it belongs to a folder: write "folders": [{"path": "/Repos/etl/production", "sparse": ["src", "conf"]}]',
    ),
    "a secret's address": (
        {"client_secret_name": "https://v.vault.azure.net/secrets/abc"},
        'WORKSPACES[1].client_secret_name: must be only the name of the secret, without its address; write "abc"',
    ),
    "a Key Vault reference": (
        {"client_secret_name": "@Microsoft.KeyVault(SecretUri=x)"},
        "WORKSPACES[1].client_secret_name: must be only the name of the secret; the app reads Key Vault itself, without a reference",
    ),
    "nearly": (
        {"auth": "managedidentity"},
        'WORKSPACES[1].auth: "managedidentity" must be "oauth_secret", "managed_identity" or "federated"; did you mean "managed_identity"?',
    ),
    "auth null": (
        {"auth": None},
        'WORKSPACES[1].auth: must be "oauth_secret", "managed_identity" or "federated", not null',
    ),
    "host null": ({"host": None}, "WORKSPACES[1].host: must be a string in double quotes, not null"),
    "one id": (
        {"additional_principal_ids": 5},
        "WORKSPACES[1].additional_principal_ids: must be an array, not a number; put [ ] around it",
    ),
    "zero as a number": (
        {"additional_principal_ids": [0]},
        "WORKSPACES[1].additional_principal_ids[0]: must be greater than 0",
    ),
    "negative": (
        {"additional_principal_ids": [-4]},
        "WORKSPACES[1].additional_principal_ids[0]: must be greater than 0",
    ),
    "empty": ({"git_username": ""}, "WORKSPACES[1].git_username: must not be empty; leave it out instead"),
    "no host name": (
        {"host": "https://"},
        'WORKSPACES[1].host: "https://" has no valid host name; write it as the browser shows it, in plain letters',
    ),
    "a user in the address": (
        {"host": "https://me@adb-1.1.azuredatabricks.net"},
        'WORKSPACES[1].host: "https://adb-1.1.azuredatabricks.net" must not contain a user name or password before the host',
    ),
    "a port": (
        {"host": "https://adb-1.1.azuredatabricks.net:8443"},
        'WORKSPACES[1].host: "https://adb-1.1.azuredatabricks.net:8443" must not contain a port; write https://adb-1.1.azuredatabricks.net',
    ),
    "line break": (
        {"host": "https://adb-1.1.azure\ndatabricks.net"},
        'WORKSPACES[1].host: "https://adb-1.1.azure\\ndatabricks.net" contains a line break or another invisible character',
    ),
    "a region": (
        {"host": "https://westeurope.azuredatabricks.net/?o=123"},
        'WORKSPACES[1].host: "https://westeurope.azuredatabricks.net/" is the address of a region; write that of the workspace, https://adb-….azuredatabricks.net (Azure portal, the workspace, URL)',
    ),
    "empty host": (
        {"host": " "},
        'WORKSPACES[1].host: must not be empty; write the workspace\'s address, like "https://adb-….azuredatabricks.net"',
    ),
    "empty client": (
        {"client_id": ""},
        (
            "WORKSPACES[1].client_id: must be the application id of a service principal, like "
            "00000000-0000-0000-0000-000000000000; the workspace (Settings, Identity and access, Service principals) shows it"
        ),
    ),
    "a client by name": (
        {"client_id": "my-principal"},
        (
            'WORKSPACES[1].client_id: "my-principal" must be the application id of a service principal, like '
            "00000000-0000-0000-0000-000000000000; the workspace (Settings, Identity and access, Service principals) shows it"
        ),
    ),
    "a client that a shell would run": (
        {"client_id": "'$(touch${IFS}FILE)'"},
        (
            "WORKSPACES[1].client_id: \"'$(touch${IFS}FILE)'\" must be the application id of a service principal, like "
            "00000000-0000-0000-0000-000000000000; the workspace (Settings, Identity and access, Service principals) shows it"
        ),
    ),
    "a line of az": (
        {"workspaceUrl": "adb-1.1.azuredatabricks.net", "location": "westeurope"},
        'WORKSPACES[1]: looks like output of az databricks workspace list; write "https://adb-1.1.azuredatabricks.net" instead',
    ),
    "AWS": (
        {"host": "https://dbc-1.cloud.databricks.com"},
        'WORKSPACES[1].host: "https://dbc-1.cloud.databricks.com" is not on a trusted host, so nothing is sent to it: expected *.azuredatabricks.net, or a host listed in TRUSTED_HOSTS',
    ),
}


@pytest.mark.parametrize(("changes", "expected"), REJECTED.values(), ids=REJECTED)
def test_a_bad_entry_is_rejected_with_its_place_and_the_others_run(
    changes: dict[str, Any], expected: str
) -> None:
    found = settings(
        "https://adb-9.9.azuredatabricks.net",
        {**GOOD, **changes},
        WORKSPACE_DEFAULTS='{"client_id": "5a1e0000-0000-4000-8000-000000000001", "client_secret_name": "b"}',
    )
    good, bad = found.entries
    assert isinstance(good, Entry)
    assert isinstance(bad, Rejected)
    assert [str(problem) for problem in found.problems] == [expected]


def test_a_key_of_a_folder_in_a_workspace_gets_its_place() -> None:
    found = settings({**GOOD, "url": URL, "Path": "/Repos/etl/prod", "branch": "main"})
    folder = f'{{"path": "/Repos/etl/prod", "url": "{URL}", "branch": "main"}}'
    advice = f'is not a key of a workspace; it belongs to a folder: write "folders": [{folder}]'
    assert found.problems == tuple(
        Problem(f"WORKSPACES[0].{key}", advice) for key in ("url", "Path", "branch")
    )
    assert only(settings({**GOOD, "folders": [json.loads(folder)]})).workspace.folders[0].ref


def test_without_a_host_a_url_is_taken_for_it() -> None:
    found = settings({"url": HOST, "auth": "managed_identity"})
    assert [str(problem) for problem in found.problems] == [
        'WORKSPACES[0].host: is missing; write "host": "https://adb-1234567890123456.7.azuredatabricks.net"',
        'WORKSPACES[0].url: is not a key of a workspace; did you mean "host"?',
    ]


def test_the_second_entry_for_a_host_is_rejected_however_it_is_written() -> None:
    found = settings(GOOD, {**GOOD, "name": "again", "host": "https://ADB-1.1.azuredatabricks.net:443/"})
    entry, rejected = found.entries
    assert isinstance(entry, Entry)
    problem = Problem(
        "WORKSPACES[1].host",
        f'"{HOST}" is already in WORKSPACES[0]; keep one entry for it, with all its folders',
    )
    assert rejected == Rejected("again", HOST, (problem,))


def test_two_workspaces_do_not_have_one_name_in_reports() -> None:
    other = HOST.replace("1.1", "1.2")
    found = settings(GOOD, {**GOOD, "host": other, "name": "ADB-1"})
    entry, rejected = found.entries
    assert isinstance(entry, Entry)
    problem = Problem("WORKSPACES[1].name", '"ADB-1" is already in WORKSPACES[0]; give each its own name')
    assert rejected == Rejected("ADB-1", other, (problem,))


def test_an_entry_that_is_no_workspace_at_all_costs_only_itself() -> None:
    rejected, entry = settings(5, GOOD).entries
    problem = Problem("WORKSPACES[0]", "must be a workspace's address or an object, not a number")
    assert rejected == Rejected("WORKSPACES[0]", "", (problem,))
    assert isinstance(entry, Entry)


NAMED = {
    "by its name": ({"name": "prod", "auth": "pat"}, ("prod", HOST)),
    "by its host": ({"auth": "pat"}, ("adb-1", HOST)),
    "by a host without scheme": (
        {"host": "adb-7.7.azuredatabricks.net/?o=1"},
        ("adb-7", "adb-7.7.azuredatabricks.net/?o=1"),
    ),
    "without the password before its host": (
        {"host": "https://me:hunter2@adb-7.7.azuredatabricks.net"},
        ("adb-7", "https://adb-7.7.azuredatabricks.net"),
    ),
    "by nothing but a name": ({"name": "prod", "host": 5}, ("prod", "")),
    "by its place, with nothing else": ({"name": 5, "host": 5}, ("WORKSPACES[0]", "")),
}


@pytest.mark.parametrize(("changes", "named"), NAMED.values(), ids=NAMED)
def test_a_rejected_entry_is_found_again_in_the_report(
    changes: dict[str, Any], named: tuple[str, str]
) -> None:
    (rejected,) = settings({**GOOD, **changes}).entries
    assert isinstance(rejected, Rejected)
    assert (rejected.name, rejected.host) == named


FOLDERS: dict[str, tuple[Any, str]] = {
    "both": (
        {"path": "/a/b", "branch": "x", "tag": "y"},
        'WORKSPACES[0].folders[0]: has both branch "x" and tag "y"; keep one of them',
    ),
    "relative": (
        {"path": "Repos/a/b"},
        'WORKSPACES[0].folders[0].path: "Repos/a/b" must be an absolute path; write "/Repos/a/b"',
    ),
    "dots": (
        {"path": "/Repos/../b"},
        'WORKSPACES[0].folders[0].path: "/Repos/../b" must not contain ".."; write the whole path, like /Repos/etl/production',
    ),
    "dot": (
        {"path": "/Repos/./b"},
        'WORKSPACES[0].folders[0].path: "/Repos/./b" must not contain a part "."; write "/Repos/b"',
    ),
    "nothing between slashes": (
        {"path": "/Repos//b"},
        'WORKSPACES[0].folders[0].path: "/Repos//b" must not contain "//"; write "/Repos/b"',
    ),
    "slashes in front": (
        {"path": "//Repos/etl//b/"},
        'WORKSPACES[0].folders[0].path: "//Repos/etl//b/" must not contain "//"; write "/Repos/etl/b"',
    ),
    "from here": (
        {"path": "./Repos/etl"},
        'WORKSPACES[0].folders[0].path: "./Repos/etl" must be an absolute path; write "/Repos/etl"',
    ),
    "from above": (
        {"path": "../Repos/etl"},
        'WORKSPACES[0].folders[0].path: "../Repos/etl" must not contain ".."; write the whole path, like /Repos/etl/production',
    ),
    "from here, and one name": (
        {"path": "./etl"},
        'WORKSPACES[0].folders[0].path: "./etl" must be an absolute path, like /Repos/etl/production or /Workspace/Shared/etl',
    ),
    "a dot at the end": (
        {"path": "/Repos/etl/."},
        'WORKSPACES[0].folders[0].path: "/Repos/etl/." must not contain a part "."; write "/Repos/etl"',
    ),
    "one name": (
        {"path": "/Repos/"},
        'WORKSPACES[0].folders[0].path: "/Repos/" must name a Git folder, like /Repos/etl/production or /Workspace/Shared/etl',
    ),
    "no branch": (
        {"path": "/a/b", "branch": ""},
        "WORKSPACES[0].folders[0].branch: is empty; write its name, or leave the key out",
    ),
    "blank tag": (
        {"path": "/a/b", "tag": " "},
        "WORKSPACES[0].folders[0].tag: is empty; write its name, or leave the key out",
    ),
    "part of a name starred": (
        {"path": "/Repos/etl/a*"},
        'WORKSPACES[0].folders[0].path: "/Repos/etl/a*" may contain * only as its last part: /Repos/etl/* means every Git folder below /Repos/etl',
    ),
    "star": (
        {"path": "/Repos/*/b"},
        'WORKSPACES[0].folders[0].path: "/Repos/*/b" may contain * only as its last part: /Repos/etl/* means every Git folder below /Repos/etl',
    ),
    "star url": (
        {"path": "/Repos/*", "url": "https://dev.azure.com/contoso/Data%20Platform/_git/etl"},
        "WORKSPACES[0].folders[0]: has a path ending in /*, so url and sparse have no effect; leave them out",
    ),
    "url": (
        {"path": "/a/b", "url": "https://github.com/a/b"},
        'WORKSPACES[0].folders[0].url: "https://github.com/a/b" is on GitHub, and this app keeps only clones from Azure DevOps up to date: write an address like https://dev.azure.com/{organization}/{project}/_git/{repository}, or leave this folder out',
    ),
    "repos": (
        {"path": "/Repos/a", "url": "https://dev.azure.com/contoso/Data%20Platform/_git/etl"},
        'WORKSPACES[0].folders[0]: has path "/Repos/a", but below /Repos a folder can only be created as /Repos/FOLDER/NAME',
    ),
    "long ref": (
        {"path": "/a/b", "branch": "refs/heads/main"},
        'WORKSPACES[0].folders[0].branch: "refs/heads/main" must be the short name; write "main"',
    ),
    "no ref": (
        {"path": "/a/b", "tag": "v 1"},
        'WORKSPACES[0].folders[0].tag: "v 1" is not a valid name of a branch or tag in Git: it must not contain spaces, any of ~ ^ : ? * [ \\, .. or //, and must not end with / or .',
    ),
    "conflict": (
        {"path": "/a/b", "on_conflict": "drop"},
        'WORKSPACES[0].folders[0].on_conflict: "drop" must be "fail" or "discard"',
    ),
    "sparse": (
        {"path": "/a/b", "sparse": ["src"]},
        "WORKSPACES[0].folders[0]: has sparse but no url; sparse is used only when the folder is created",
    ),
    "empty sparse": (
        {"path": "/a/b", "url": "https://dev.azure.com/contoso/Data%20Platform/_git/etl", "sparse": []},
        "WORKSPACES[0].folders[0].sparse: must not be empty; leave it out instead",
    ),
    "blank sparse": (
        {"path": "/a/b", "url": "https://dev.azure.com/contoso/Data%20Platform/_git/etl", "sparse": [" "]},
        "WORKSPACES[0].folders[0].sparse[0]: must not be empty; leave it out instead",
    ),
    "key": (
        {"path": "/a/b", "brnach": "x"},
        'WORKSPACES[0].folders[0].brnach: is not a key of a folder; did you mean "branch"?',
    ),
    "no path": (
        {"url": "https://dev.azure.com/contoso/Data%20Platform/_git/etl"},
        'WORKSPACES[0].folders[0].path: is missing; write "path": "/Repos/etl/production"',
    ),
    "number": (7, "WORKSPACES[0].folders[0]: must be a path or an object, not a number"),
    "escapes by accident": (
        {"path": "\new\table"},
        'WORKSPACES[0].folders[0].path: "\\new\\table" contains a line break, a tab or another control character: was it written with \\ ? Write / instead',
    ),
    "backslashes": (
        {"path": "\\Repos\\a"},
        'WORKSPACES[0].folders[0].path: "\\Repos\\a" must use / as separator; write "/Repos/a"',
    ),
    "an address as path": (
        {"path": "https://adb-1.1.azuredatabricks.net/#folder/1"},
        'WORKSPACES[0].folders[0].path: "https://adb-1.1.azuredatabricks.net/" must be a path in the workspace, like /Repos/etl/production, not an address',
    ),
    "another word for url": (
        {"path": "/a/b", "repo": "x"},
        'WORKSPACES[0].folders[0].repo: is not a key of a folder; did you mean "url"?',
    ),
    "a word for on_conflict": (
        {"path": "/a/b", "discard": True},
        'WORKSPACES[0].folders[0].discard: is not a key of a folder; write "on_conflict": "discard"',
    ),
    "path null": (
        {"path": None},
        "WORKSPACES[0].folders[0].path: must be a string in double quotes, not null",
    ),
    "empty path": (
        {"path": ""},
        "WORKSPACES[0].folders[0].path: must not be empty; write a path like /Repos/etl/production",
    ),
    "nothing": ({}, 'WORKSPACES[0].folders[0].path: is missing; write "path": "/Repos/etl/production"'),
    "no repository in the address": (
        {"path": "/a/b", "url": "https://dev.azure.com/contoso/etl"},
        'WORKSPACES[0].folders[0].url: "https://dev.azure.com/contoso/etl" must have the form https://dev.azure.com/{organization}/{project}/_git/{repository}',
    ),
    "password": (
        {"path": "/a/b", "url": "https://me:hunter2@dev.azure.com/contoso/x/_git/etl"},
        'WORKSPACES[0].folders[0].url: "https://dev.azure.com/contoso/x/_git/etl" must not contain a password: the app uses its own token; revoke it, and write https://dev.azure.com/contoso/x/_git/etl',
    ),
    "one pattern": (
        {"path": "/a/b", "url": "https://dev.azure.com/contoso/Data%20Platform/_git/etl", "sparse": "src"},
        "WORKSPACES[0].folders[0].sparse: must be an array, not a string; put [ ] around it",
    ),
    "an array": ([], "WORKSPACES[0].folders[0]: must be a path or an object, not an array"),
    "long path": (
        {"path": f"/a/{'é' * 1998}"},
        "WORKSPACES[0].folders[0].path: is too long; write at most 2,000 characters",
    ),
    "slash at the end": (
        {"path": "/a/b", "branch": "feature/"},
        'WORKSPACES[0].folders[0].branch: "feature/" is not a valid name of a branch or tag in Git: it must not contain spaces, any of ~ ^ : ? * [ \\, .. or //, and must not end with / or .',
    ),
}


@pytest.mark.parametrize(("folder", "expected"), FOLDERS.values(), ids=FOLDERS)
def test_a_bad_folder_is_left_out_alone(folder: object, expected: str) -> None:
    entry = only(settings({**GOOD, "folders": [folder, "/Repos/good/one"]}))
    assert [good.path for good in entry.workspace.folders] == ["/Repos/good/one"]
    assert [str(bad.problem) for bad in entry.bad_folders] == [expected]


@pytest.mark.parametrize(
    "advised", [path for _, told in FOLDERS.values() for path in re.findall(r'path: .* write "(/.*)"$', told)]
)
def test_the_path_that_a_message_says_to_write_is_taken(advised: str) -> None:
    entry = only(settings({**GOOD, "folders": [advised]}))
    assert [good.path for good in entry.workspace.folders] == [advised]


UNSEEN = {
    "bidi": "\u202e",
    "line separator": "\u2028",
    "escape": "\x1b",
    "next line": "\x85",
    "no width": "\u200b",
    "tag": "\U000e0041",
    "Hangul filler": "\u3164",
}
TYPE_AGAIN = "contains a line break or another invisible character; type it again"


@pytest.mark.parametrize("sign", [*UNSEEN.values(), "\ud800"], ids=[*UNSEEN, "an unpaired surrogate"])
@pytest.mark.parametrize(
    ("place", "entry"),
    {
        "host": {"host": "https://adb-1.{}1.azuredatabricks.net"},
        "name": {"name": "a{}b"},
        "auth": {"auth": "a{}b"},
        "client_id": {"client_id": "a{}b"},
        "client_secret_name": {"client_secret_name": "a{}b"},
        "git_username": {"git_username": "a{}b"},
        "additional_principal_ids[0]": {"additional_principal_ids": ["1{}"]},
        "folders[0].path": {"folders": ["/a/b{}c"]},
        "folders[0].url": {"folders": [{"path": "/a/b", "url": URL + "{}x"}]},
        "folders[0].branch": {"folders": [{"path": "/a/b", "branch": "a{}b"}]},
        "folders[0].tag": {"folders": [{"path": "/a/b", "tag": "a{}b"}]},
        "folders[0].sparse[0]": {"folders": [{"path": "/a/b", "url": URL, "sparse": ["a{}b"]}]},
    }.items(),
)
def test_an_unreadable_text_is_refused_by_its_place_and_shown_escaped(
    place: str, entry: dict[str, Any], sign: str
) -> None:
    written = json.loads(json.dumps(entry).replace("{}", json.dumps(sign)[1:-1]))
    (problem,) = settings({**GOOD, **written}).problems
    assert problem.location == f"WORKSPACES[0].{place}"
    assert str(problem).isprintable()


@pytest.mark.parametrize("sign", UNSEEN.values(), ids=UNSEEN)
@pytest.mark.parametrize("name", sorted(SETTINGS.keys() - {"WORKSPACES", "WORKSPACE_DEFAULTS"}))
def test_an_unreadable_setting_is_refused(name: str, sign: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(GOOD, **{name: f"a{sign}b"})
    sign_in_letters = sign.encode("unicode_escape").decode()
    assert [str(problem) for problem in caught.value.problems] == [
        f'{name}: "a{sign_in_letters}b" {TYPE_AGAIN}'
    ]


@given(st.text(st.characters()), st.sampled_from([*WORKSPACE_KEYS, *FOLDER_KEYS, "a key"]))
def test_every_problem_is_one_line_that_can_be_read(text: str, key: str) -> None:
    changes = {text: 1} if key == "a key" else {key: text}
    entry = (
        {**GOOD, **changes} if key in WORKSPACE_KEYS else {**GOOD, "folders": [{"path": "/a/b", **changes}]}
    )
    found = settings(entry)
    assert all(str(problem).isprintable() for problem in found.problems)
    assert all(entry.name.isprintable() for entry in found.entries if isinstance(entry, Rejected))


def test_letters_joiners_and_spaces_of_all_scripts_are_taken() -> None:
    name = "営業\u3000部 नमस्\u200dते می\u200cکنم"
    found = only(settings({**GOOD, "name": name, "folders": [f"/Shared/{name}"]}))
    assert (found.workspace.name, found.workspace.folders[0].path) == (name, f"/Shared/{name}")


def test_bad_folders_are_reported_by_path_and_cost_no_good_one() -> None:
    folders = [{"path": "/a/b", "tag": ""}, 7, "/a/c", "/a/c/", {"path": "/a/d", "x": 1, "y": 1}, "/a/e"]
    entry = only(settings({**GOOD, "folders": folders}))
    assert [good.path for good in entry.workspace.folders] == ["/a/c", "/a/e"]
    assert [(bad.path, bad.problem.location.partition(".")[2]) for bad in entry.bad_folders] == [
        ("/a/b", "folders[0].tag"),
        (None, "folders[1]"),
        (None, "folders[3].path"),
        ("/a/d", "folders[4].x"),
        ("/a/d", "folders[4].y"),
    ]


def test_folders_that_are_no_array_do_not_cost_the_credential() -> None:
    entry = only(settings({**GOOD, "folders": "/Repos/a/b"}))
    assert str(entry.bad_folders[0].problem) == (
        'WORKSPACES[0].folders: must be an array of folders, in [ ], not a string; put [ ] around it: ["/Repos/…"]'
    )


def test_too_many_folders_do_not_cost_the_credential() -> None:
    entry = only(settings({**GOOD, "folders": [f"/a/{number}" for number in range(5001)]}))
    assert [str(bad.problem) for bad in entry.bad_folders] == [
        "WORKSPACES[0].folders: contains 5,001 folders; write at most 5,000, or a path ending in /*"
    ]


def test_a_repeated_key_is_reported() -> None:
    listed = """[
      {"host": "https://adb-1.1.azuredatabricks.net", "auth": "managed_identity", "auth": "oauth_secret"},
      {"host": "https://adb-2.2.azuredatabricks.net", "auth": "managed_identity", "folders": ["/a/b"], "folders": [
        {"path": "/a/c", "tag": "x", "tag": "y"}, "/a/d"]}
    ]"""
    found = load({"WORKSPACES": listed})
    assert [str(problem) for problem in found.problems] == [
        "WORKSPACES[0].auth: is written more than once; keep one",
        'WORKSPACES[0]: needs client_id (onboard --new-principal makes one) and client_secret_name; write both here or in WORKSPACE_DEFAULTS, or write "auth": "federated" or "managed_identity"',
        "WORKSPACES[1].folders[0].tag: is written more than once; keep one",
        "WORKSPACES[1].folders: is written more than once; keep one",
    ]
    rejected, entry = found.entries
    assert isinstance(rejected, Rejected)
    assert isinstance(entry, Entry), "a typo in the folders does not cost the credential"
    assert [folder.path for folder in entry.workspace.folders] == ["/a/d"]


def test_a_key_that_is_written_twice_in_the_defaults_stops_the_run() -> None:
    with pytest.raises(SettingsError, match=r"WORKSPACE_DEFAULTS\.auth: is written more than once; keep one"):
        settings(HOST, WORKSPACE_DEFAULTS='{"auth": "managed_identity", "auth": "managed_identity"}')


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WORKSPACE", "WORKSPACES"),
        ("workspaces", "WORKSPACES"),
        ("KEYVAULT_URL", "KEY_VAULT_URL"),
        ("REFRESH_TIMEOUT_SECOND", "REFRESH_TIMEOUT_SECONDS"),
        ("REFRESH_TIMEOUT", "REFRESH_TIMEOUT_SECONDS"),
        ("TIMEOUT_SECONDS", "REFRESH_TIMEOUT_SECONDS"),
        ("CONCURRENCY", "REFRESH_CONCURRENCY"),
        ("Schedule", "REFRESH_SCHEDULE"),
        ("VAULT_URL", "KEY_VAULT_URL"),
        ("KEY_VAULT", "KEY_VAULT_URL"),
        ("CLIENT_ID", None),
        ("TIMEOUT", None),
        ("AZURE_TENANT_ID", None),
        ("AZURE_CLIENTID", "AZURE_CLIENT_ID"),
        ("AZUER_CLIENT_ID", "AZURE_CLIENT_ID"),
        ("ARM_CLIENT_ID", None),
        ("MSI_CLIENT_ID", None),
        ("AWS_CLIENT_ID", None),
        ("TF_VAR_AZURE_CLIENT_ID", None),
        ("PATH", None),
    ],
)
def test_a_misspelled_setting_is_pointed_out_while_the_real_one_is_not_set(
    name: str, meant: str | None
) -> None:
    assert near_misses({name: "x"}) == ({name: meant} if meant else {})
    if meant:
        assert near_misses({name: "x", meant: "y"}) == {}


def test_unknown_names_differ_from_names_of_the_app_and_the_platform() -> None:
    example = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    assert unknown_names(example) == []
    deployed = re.findall(r"[ {]([A-Z][A-Za-z]*_\w+|WORKSPACES): ", (ROOT / "infra/main.bicep").read_text())
    assert {"WORKSPACES", "AzureWebJobsStorage__accountName"} <= set(deployed)
    assert unknown_names(name for name in deployed if "_" in name) == []
    platform = ["WEBSITE_RUN_FROM_PACKAGE", "HTTPS_PROXY", "https_proxy", "SCM_DO_BUILD_DURING_DEPLOYMENT"]
    assert unknown_names([*platform, "AZURE_TENANT_ID", "FUNCTIONS_EXTENSION_VERSION"]) == []
    strange = ["CONCURRENCY", "REFRESH_TIMEOUT", "workspaces", "PATHS", "SLACK_URL", ""]
    assert unknown_names([*platform, *strange]) == strange


def test_a_misspelled_required_setting_is_named_where_it_is_missing() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"WORKSPACE": json.dumps([GOOD])})
    assert str(caught.value).endswith('("WORKSPACE" is set: is that a misspelling?)')


def test_all_problems_come_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        settings({**GOOD, "hst": 1}, REFRESH_CONCURRENCY="x", FAN_OUT="x", AZURE_CLIENT_ID="x")
    places = [problem.location for problem in caught.value.problems]
    assert places == ["REFRESH_CONCURRENCY", "AZURE_CLIENT_ID", "FAN_OUT", "WORKSPACES[0].hst"]


SAID = "looks like a secret: revoke it, store a new one in Key Vault and write its name in client_secret_name"
KINDS = [
    "dapi0123456789abcdef0123456789abcdef-2",
    "abc8Q~" + "aB3.-_~x" * 4 + "ab",
    "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst",
]


def dump(found: Settings) -> str:
    return "\n".join(map(str, found.problems)) + repr(found.entries)


@pytest.mark.parametrize("secret", KINDS, ids=["Databricks", "Entra", "Azure DevOps"])
@pytest.mark.parametrize("around", ["{}", " my {} "])
class TestASecretIsRefusedAndShownNowhere:
    @pytest.mark.parametrize("key", WORKSPACE_KEYS)
    def test_in_any_text_of_a_workspace(self, key: str, secret: str, around: str) -> None:
        written = around.format(secret)
        found = settings({**GOOD, key: written})
        place = "WORKSPACES[0]" + (f".{key}" if key != "workspaceUrl" else "")
        assert [str(problem) for problem in found.problems] == [f"{place}: {SAID}"]
        assert secret not in dump(found)
        assert "my" not in dump(found), "not even what stands around it"

    @pytest.mark.parametrize("key", FOLDER_KEYS)
    def test_in_any_text_of_a_folder(self, key: str, secret: str, around: str) -> None:
        found = settings({**GOOD, "folders": [{"path": "/a/b", key: around.format(secret)}]})
        assert [str(problem) for problem in found.problems] == [f"WORKSPACES[0].folders[0].{key}: {SAID}"]
        assert secret not in dump(found)

    def test_in_the_short_forms(self, secret: str, around: str) -> None:
        found = settings(around.format(secret), {**GOOD, "folders": [around.format(secret)]})
        assert [str(problem) for problem in found.problems[:1]] == [f"WORKSPACES[0].host: {SAID}"]
        assert [str(problem) for problem in found.problems[-1:]] == [f"WORKSPACES[1].folders[0].path: {SAID}"]
        assert secret not in dump(found)

    def test_in_an_array(self, secret: str, around: str) -> None:
        written = around.format(secret)
        folder = {"path": "/a/b", "url": URL, "sparse": ["src", written]}
        found = settings({**GOOD, "additional_principal_ids": [1, written], "folders": [folder]})
        assert [str(problem) for problem in found.problems] == [
            f"WORKSPACES[0].additional_principal_ids[1]: {SAID}",
            f"WORKSPACES[0].folders[0].sparse[1]: {SAID}",
        ]

    def test_as_a_key(self, secret: str, around: str) -> None:
        found = settings({**GOOD, around.format(secret): 1})
        assert [problem.message for problem in found.problems] == [SAID]
        assert secret not in dump(found)

    @pytest.mark.parametrize("name", sorted(SETTINGS.keys() - {"WORKSPACE_DEFAULTS"}))
    def test_in_any_setting(self, name: str, secret: str, around: str) -> None:
        written = around.format(secret)
        with pytest.raises(SettingsError) as caught:
            settings(GOOD, **{name: json.dumps(written) if name == "WORKSPACES" else written})
        assert [str(problem) for problem in caught.value.problems] == [f"{name}: {SAID}"]


@pytest.mark.parametrize(
    "changes",
    [
        {"client_secret_name": "dose" + "0123456789abcdef" * 2},
        {"client_secret_name": "my password is 0123456789abcdef"},
        {"client_secret": "dose" + "0123456789abcdef" * 2},
        {"host": "https://user:0123456789abcdef@adb-1.1.azuredatabricks.net"},
        {"host": "https://adb-1.1.azuredatabricks.net/?token=0123456789abcdef"},
        {"name": ["0123456789abcdef"]},
        {"folders": [{"path": "/a/b", "url": "https://me:0123456789abcdef@dev.azure.com/a/b/_git/c"}]},
        {"folders": [{"path": "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.0123456789abcdef.x"}]},
    ],
)
def test_what_could_be_a_secret_is_not_repeated(changes: dict[str, Any]) -> None:
    found = settings({**GOOD, **changes})
    assert found.problems
    assert "0123456789abcdef" not in "\n".join(map(str, found.problems)) + repr(found)


@pytest.mark.parametrize(
    ("folders", "report_s"),
    [
        ([], 1 + 2),
        ([f"/Repos/etl/{number}" for number in range(60)], 1 + 2 + 12),
        (["/Repos/*"], 1 + 2 + 0.2 + 20),
    ],
    ids=["credentials alone", "60 folders each", "all below a path each"],
)
def test_a_run_of_a_thousand_workspaces_leaves_time_for_its_report(
    folders: list[str], report_s: float
) -> None:
    hosts = [f"https://adb-{number}.1.azuredatabricks.net" for number in range(1_000)]
    defaults = json.dumps({"auth": "managed_identity", "folders": folders})
    found = settings(*hosts, WORKSPACE_DEFAULTS=defaults)
    for budget in (60.0, 540.0):
        assert replace(found, timeout_s=budget).work_s == pytest.approx(budget - min(report_s, budget / 5))
