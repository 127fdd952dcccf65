"""Pasted values: accepted if their meaning is certain, else refused with a replacement."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from git_refresh.cli.check_schedule import schedule_problem, schedule_warnings
from git_refresh.cli.check_settings import check_settings
from git_refresh.model.values import Problem, Ref
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings, SettingsError, load
from tests.support.examples import as_often_as
from tests.support.fakes import NOW

HOST = "https://adb-77.3.azuredatabricks.net"
GUID = "5a1e0000-0000-4000-8000-00000000000a"
REPOSITORY = "https://dev.azure.com/fabrikam/Data%20Lake/_git/jobs"
PLAIN = "https://dev.azure.com/fabrikam/lake/_git/jobs"


def settings(entry: object, **more: str) -> Settings:
    return load({"WORKSPACES": json.dumps([entry]), **more}, whole=False)


def workspace(**keys: object) -> dict[str, object]:
    return {"host": HOST, "auth": "managed_identity", **keys}


def folder(**keys: object) -> dict[str, object]:
    return workspace(folders=[{"path": "/Shared/jobs", **keys}])


def problems(entry: object, **more: str) -> list[Problem]:
    try:
        return list(settings(entry, **more).problems)
    except SettingsError as error:
        return error.problems


def noted(found: Settings) -> list[str]:
    assert not found.problems
    return [note.location for note in found.notes]


# Accepted URLs

WORKSPACE_PAGES = [
    "/?o=77",
    "/?o=77#folder/4123",
    "/browse/folders/4123?o=77",
    "/login.html?next_url=%2F",
    "//jobs/5/runs/6?o=77",
    ":443/sql/editor",
    "/#notebook/12/command/13",
]


@pytest.mark.parametrize("page", WORKSPACE_PAGES)
def test_a_page_of_a_workspace_is_taken_for_the_workspace(page: str) -> None:
    for entry in (workspace(host=HOST + page), {"host": f" {HOST}{page} ", "auth": "managed_identity"}):
        found = settings(entry)
        assert [entry.workspace.host for entry in found.entries if isinstance(entry, Entry)] == [HOST]
        assert noted(found) == ["WORKSPACES[0].host"]
        assert HOST in found.notes[0].message


SAME_REPOSITORY = {
    REPOSITORY: [
        f"{REPOSITORY}?path=%2Fsrc&version=GBrelease%2F7&_a=contents",
        f"{REPOSITORY}/pullrequest/12?_a=files",
        f"{REPOSITORY}/commit/{'0a' * 20}",
        f"{REPOSITORY}#readme",
        f"{REPOSITORY}.git",
        f"{REPOSITORY}.git/",
        REPOSITORY.replace("%20", "%2520"),
        REPOSITORY.replace("%20", "%252520"),
        REPOSITORY.replace("/_git/", "/_git/_full/"),
        f"git::{REPOSITORY}//modules/a?ref=v3",
        f"git+{REPOSITORY}.git",
        "git@ssh.dev.azure.com:v3/fabrikam/Data%20Lake/jobs",
        "ssh://git@ssh.dev.azure.com/v3/fabrikam/Data%20Lake/jobs",
        "ssh://git@ssh.dev.azure.com:22/v3/fabrikam/Data%20Lake/jobs/",
        "fabrikam@vs-ssh.visualstudio.com:v3/fabrikam/Data%20Lake/jobs",
        "ssh://fabrikam@vs-ssh.visualstudio.com/v3/fabrikam/Data%20Lake/jobs",
        "ssh://fabrikam@fabrikam.visualstudio.com:22/DefaultCollection/Data%20Lake/_git/jobs",
        "ssh://fabrikam@vs-ssh.visualstudio.com:22/Data%20Lake/_ssh/jobs",
        "git::ssh://git@ssh.dev.azure.com/v3/fabrikam/Data%20Lake/jobs",
    ],
    "https://dev.azure.com/fabrikam/jobs/_git/jobs": [
        "ssh://fabrikam@vs-ssh.visualstudio.com:22/_ssh/jobs",
        "https://dev.azure.com/fabrikam/_git/jobs?path=/x",
    ],
    "https://fabrikam.visualstudio.com/lake/_git/jobs": [
        "https://fabrikam.visualstudio.com/DefaultCollection/lake/_git/jobs/branches?_a=mine"
    ],
}


@pytest.mark.parametrize(
    ("written", "meant"), [(written, meant) for meant, all_ in SAME_REPOSITORY.items() for written in all_]
)
def test_a_repository_is_taken_however_its_address_was_copied(written: str, meant: str) -> None:
    found = settings(folder(url=written))
    (entry,) = found.entries
    assert isinstance(entry, Entry)
    repository = entry.workspace.folders[0].repository
    assert repository is not None
    assert repository.url == meant
    assert noted(found) == ["WORKSPACES[0].folders[0].url"]


VERSIONS = {
    "GBmain": '"branch": "main"',
    "GBfeature%2Fx": '"branch": "feature/x"',
    "GTv1.2": '"tag": "v1.2"',
    f"GC{'1f' * 20}": "commit",
}


@pytest.mark.parametrize(("version", "told"), VERSIONS.items())
def test_a_branch_in_a_pasted_url_is_reported_and_moves_no_folder(version: str, told: str) -> None:
    found = settings(folder(url=f"{PLAIN}?version={version}"))
    (entry,) = found.entries
    assert isinstance(entry, Entry)
    assert entry.workspace.folders[0].ref is None
    assert told in found.notes[0].message
    named = settings(folder(url=f"{PLAIN}?version={version}", branch="other"))
    assert '"branch"' not in named.notes[0].message
    (entry,) = named.entries
    assert isinstance(entry, Entry)
    assert entry.workspace.folders[0].ref == Ref("branch", "other")


VAULTS = [
    "https://fabrikam.vault.azure.net/secrets/oauth/0123456789abcdef",
    "https://fabrikam.vault.azure.net/?x=1",
    f"https://portal.azure.com/#@fabrikam.com/resource/subscriptions/{GUID}/resourceGroups/g/providers/Microsoft.KeyVault/vaults/fabrikam/secrets",
    f"https://portal.azure.com/#view/HubsExtension/x/subscriptions/{GUID}/providers/Microsoft.KeyVault/vaults/Fabrikam",
]


@pytest.mark.parametrize("text", VAULTS)
def test_a_page_of_a_vault_is_taken_for_the_vault(text: str) -> None:
    found = settings(workspace(), KEY_VAULT_URL=text)
    assert found.key_vault_url == "https://fabrikam.vault.azure.net"
    assert noted(found) == ["KEY_VAULT_URL"]


def test_check_warns_of_each_address_that_is_taken_for_another() -> None:
    values = {
        "WORKSPACES": json.dumps(
            [workspace(host=f"{HOST}/?o=77", folders=[{"path": "/Shared/a", "url": f"{PLAIN}.git"}])]
        ),
        "KEY_VAULT_URL": VAULTS[0],
        "REFRESH_SCHEDULE": "0 */15 * * * *",
    }
    lines = check_settings(values, (), load(values))
    told = {line.subject: line.error.code for line in lines if line.status == "warning" and line.error}
    assert told == dict.fromkeys(
        ("WORKSPACES[0].host", "WORKSPACES[0].folders[0].url", "KEY_VAULT_URL"), "setting_understood"
    )


def test_a_plain_address_gets_no_warning() -> None:
    found = settings(
        folder(url=PLAIN.replace("https://", "https://fabrikam@")),
        KEY_VAULT_URL="https://fabrikam.vault.azure.net/",
    )
    assert noted(found) == []
    assert noted(settings(workspace(host=f"{HOST.upper().replace('HTTPS', 'https')}:443/"))) == []


def test_a_note_on_the_defaults_appears_once() -> None:
    defaults = json.dumps({"folders": [{"path": "/Shared/a", "url": f"{PLAIN}.git"}]})
    found = load(
        {
            "WORKSPACES": json.dumps([workspace(), workspace(host=HOST.replace("77", "78"))]),
            "WORKSPACE_DEFAULTS": defaults,
        }
    )
    assert [note.location for note in found.notes] == ["WORKSPACE_DEFAULTS.folders[0].url"]


# Refused values

UNFILLED = [
    "$(Databricks.Host)",
    "${{ vars.WORKSPACE }}",
    "${WORKSPACE}",
    "{{ workspace_host }}",
    "#{Workspace}#",
    "#{Workspace}",
    "<WORKSPACE>",
    "<your workspace>",
    "__WORKSPACE__",
    "%WORKSPACE%",
    "$env:WORKSPACE",
    "{organization}",
]
PLACES: dict[str, str] = {
    "host": "{}",
    "host, inside": "https://adb-{}.3.azuredatabricks.net",
    "name": "{}",
    "client_id": "{}",
    "client_secret_name": "{}",
    "git_username": "{}",
    "identity": "{}",
    "auth": "{}",
    "path": "/Workspace/Shared/{}/etl",
    "url": "https://dev.azure.com/{}/Data%20Lake/_git/etl",
    "branch": "{}",
    "branch, inside": "release/{}",
    "tag": "{}",
    "on_conflict": "{}",
    "sparse": "conf/{}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("placeholder", UNFILLED)
def test_a_placeholder_that_was_never_filled_in_is_called_that(place: str, placeholder: str) -> None:
    key, text = place.partition(",")[0], PLACES[place].format(placeholder)
    value: Any = [text] if key == "sparse" else text
    of_folder = key in {"path", "url", "branch", "tag", "on_conflict", "sparse"}
    changed = {"path": "/Shared/jobs", "url": PLAIN, key: value}
    entry = workspace(folders=[changed]) if of_folder else workspace(**{key: value})
    (problem,) = problems(entry)
    assert key in problem.location
    assert "placeholder" in problem.message
    assert "; write https" not in problem.message


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("KEY_VAULT_URL", "https://$(Vault).vault.azure.net"),
        ("KEY_VAULT_URL", "#{Vault}#"),
        ("AZURE_CLIENT_ID", "__CLIENT_ID__"),
        ("TRUSTED_HOSTS", "${{ vars.HOSTS }}"),
        ("FAN_OUT", "%FAN_OUT%"),
        ("REFRESH_TIMEOUT_SECONDS", "<seconds>"),
        ("WORKSPACE_DEFAULTS", "${{ vars.DEFAULTS }}"),
    ],
)
def test_a_placeholder_in_a_setting_is_called_that(name: str, text: str) -> None:
    (problem,) = problems(workspace(), **{name: text})
    assert (problem.location, "placeholder" in problem.message) == (name, True)


REMAINS = [
    "@{host=https://adb-77.3.azuredatabricks.net; auth=managed_identity}",
    "@{path=/Shared/jobs; branch=main} @{path=/Shared/etl}",
    "System.Object[]",
    "System.Collections.Hashtable",
    "System.Collections.Specialized.OrderedDictionary",
    "System.Management.Automation.PSCustomObject",
    "System.Collections.Generic.List`1[System.Object]",
]


@pytest.mark.parametrize("text", REMAINS)
def test_a_value_that_powershell_damaged_is_reported_with_a_remedy(text: str) -> None:
    cases = [
        text,
        workspace(folders=text),
        workspace(folders=[text]),
        workspace(additional_principal_ids=text),
    ]
    for entry in [*cases, workspace(devops=text), workspace(folders=[{"path": "/Shared/a", "sparse": text}])]:
        (problem,) = problems(entry)
        assert "add -Depth 10" in problem.message
        assert "put [ ]" not in problem.message
    for name in ("WORKSPACES", "WORKSPACE_DEFAULTS"):
        (problem,) = problems(workspace(), **{name: text})
        assert "add -Depth 10" in problem.message


def test_arrays_that_powershell_changed_are_reported() -> None:
    (problem,) = problems(workspace(folders="/Shared/a /Shared/b"))
    assert "-Depth 10" in problem.message
    (problem,) = problems(workspace(folders={"value": ["/Shared/a"], "Count": 1}))
    assert '"value"' in problem.message


ALLOWED = {
    "path": ["/Repos/100%-a/50%", "/Shared/a{b}", "/Shared/__init__", "/Shared/C$/x", "/Users/a@b.c/x"],
    "branch": ["feature/#12", "50%", "a%b%c", "__init__", "x{y}", "users/a$b", "deadbeef", "a(b)"],
    "url": ["https://dev.azure.com/o/Data%20Lake%20X/_git/a%20b%20c"],
}


@pytest.mark.parametrize(("key", "text"), [(key, text) for key, texts in ALLOWED.items() for text in texts])
def test_odd_names_are_no_placeholders(key: str, text: str) -> None:
    assert not problems(workspace(folders=[{"path": "/Shared/jobs", key: text}]))


OTHER_ADDRESSES = {
    "https://northeurope.azuredatabricks.net": "address of a region",
    "northeurope.azuredatabricks.net": "address of a region",
    "https://eastus-c3.azuredatabricks.net/?o=77": "address of a region",
    "http://westus2.azuredatabricks.net": "address of a region",
    "https://adb-77.azuredatabricks.net": "like https://adb-",
    "adb-77.azuredatabricks.net": "like https://adb-",
    "https://adb-77.3.privatelink.azuredatabricks.net": f"; write {HOST}",
    "adb-77.3.privatelink.azuredatabricks.net": f"; write {HOST}",
    "https://westeurope.pl-auth.privatelink.azuredatabricks.net": "like https://adb-",
    "https://adb-dp-77.3.azuredatabricks.net": "has the form",
    "https://adb-77.3.4.azuredatabricks.net": "has the form",
    f"https://portal.azure.com/#@x/resource/subscriptions/{GUID}/providers/Microsoft.Databricks/workspaces/w": "the Azure portal",
    f"{HOST}/?o=78": "two workspaces",
    "http://adb-77.3.azuredatabricks.net/?o=77": f"; write {HOST}",
    "adb-77.3.azuredatabricks.net:443/x": f"; write {HOST}",
    f"{HOST}/?token=0123456789abcdef": "what could be a secret",
}


@pytest.mark.parametrize(("text", "said"), OTHER_ADDRESSES.items())
def test_an_address_of_another_kind_is_refused_with_its_kind(text: str, said: str) -> None:
    (problem,) = problems(workspace(host=text))
    assert problem.location == "WORKSPACES[0].host"
    assert said in problem.message


def test_an_address_that_trusted_hosts_names_may_have_any_form() -> None:
    host = "https://adb-77.3.privatelink.azuredatabricks.net"
    assert not problems(workspace(host=host), TRUSTED_HOSTS="adb-77.3.privatelink.azuredatabricks.net")


PATHS = {
    "file:/Workspace/Shared/etl": "/Workspace/Shared/etl",
    "file:///Workspace/Repos/a/b": "/Workspace/Repos/a/b",
    "dbfs:/Workspace/Users/a@b.c/etl": "/Workspace/Users/a@b.c/etl",
    "dbfs:/mnt/etl": None,
    "file:/tmp/etl": None,
    "/dbfs/FileStore/etl": None,
    "/Volumes/main/default/etl": None,
    "~/etl": None,
    "/repos/etl/prod": "/Repos/etl/prod",
    "/SHARED/etl": "/Shared/etl",
    "/users/a@b.c/etl": "/Users/a@b.c/etl",
    "/workspace/Shared/etl": "/Workspace/Shared/etl",
    "/Workspace/repos/etl/prod": "/Workspace/Repos/etl/prod",
    "/WORKSPACE/REPOS/etl/*": "/Workspace/Repos/etl/*",
    "\\Repos\\etl\\prod": "/Repos/etl/prod",
    "repos\\etl\\prod": "/Repos/etl/prod",
    "C:\\git\\etl": None,
    "workspace/shared//etl": "/Workspace/Shared/etl",
    f"{HOST}/?o=77#workspace/Repos/etl/prod": "/Repos/etl/prod",
    f"{HOST}/browse/folders/12": None,
}


@pytest.mark.parametrize(("text", "meant"), PATHS.items())
def test_a_path_of_another_kind_is_refused_with_the_workspace_s(text: str, meant: str | None) -> None:
    (problem,) = problems(workspace(folders=[text]))
    assert problem.location == "WORKSPACES[0].folders[0].path"
    assert suggested(problem) == ([meant] if meant else [])


SPARSE = {
    "!docs": None,
    "*.sql": None,
    "**/conf": None,
    "a?c": None,
    "[ab]": None,
    "../x": None,
    "/*": None,
    ".": None,
    "src/*": "src",
    "/src/**/*": "src",
    "./src/a": "src/a",
    "src\\a": "src/a",
}


@pytest.mark.parametrize(("text", "meant"), SPARSE.items())
def test_a_sparse_pattern_that_is_no_directory_is_refused(text: str, meant: str | None) -> None:
    (problem,) = problems(folder(url=PLAIN, sparse=["conf", text]))
    assert problem.location == "WORKSPACES[0].folders[0].sparse[1]"
    assert suggested(problem) == ([meant] if meant else [])


def test_directories_are_what_sparse_takes() -> None:
    assert not problems(folder(url=PLAIN, sparse=["src", "a/b c", "/conf", "x/", ".github", "a.b"]))


IDS = {
    f"{{{GUID}}}": GUID,
    GUID.replace("-", ""): GUID,
    f"api://{GUID}": GUID,
    f"urn:uuid:{GUID.upper()}": GUID,
    "4711": None,
    "sp-git-refresh": None,
    f"/subscriptions/{GUID}/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/x": None,
}


@pytest.mark.parametrize(("text", "meant"), IDS.items())
def test_an_id_in_another_form_is_refused_with_the_guid(text: str, meant: str | None) -> None:
    for key in ("client_id", "identity"):
        (problem,) = problems(workspace(**{key: text}))
        assert suggested(problem) == ([meant] if meant else [])
    (problem,) = problems(workspace(), AZURE_CLIENT_ID=text)
    assert suggested(problem) == ([meant] if meant else [])


@pytest.mark.parametrize("commit", ["0a" * 20, "F1" * 20, "1" * 64])
def test_a_commit_is_no_branch_and_no_tag(commit: str) -> None:
    for key in ("branch", "tag"):
        (problem,) = problems(folder(**{key: commit}))
        assert "tag the commit" in problem.message
    for key in ("commit", "sha", "revision"):
        (problem,) = problems(folder(**{key: commit}))
        assert "tag the commit" in problem.message


TOKEN = "k3" * 26


@pytest.mark.parametrize("user", [f"me:{TOKEN}", TOKEN, "me:hunter2", f":{TOKEN}", "me:p@ss/w:rd"])
def test_a_password_in_a_repository_url_is_reported_and_never_shown(user: str) -> None:
    (problem,) = problems(folder(url=PLAIN.replace("https://", f"https://{user}@")))
    assert problem.location == "WORKSPACES[0].folders[0].url"
    assert f"write {PLAIN}" in problem.message
    assert "revoke it" in problem.message
    assert not {"hunter2", TOKEN, "p@ss"} & set(re.split("[:/ ]", problem.message))


VAULTS_REFUSED = {
    "https://fabrikam.privatelink.vaultcore.azure.net": "https://fabrikam.vault.azure.net",
    "fabrikam.vaultcore.azure.net": "https://fabrikam.vault.azure.net",
    "https://fabrikam.privatelink.vault.azure.net/": "https://fabrikam.vault.azure.net",
    f"/subscriptions/{GUID}/resourceGroups/g/providers/Microsoft.KeyVault/vaults/fabrikam": "https://fabrikam.vault.azure.net",
    "http://fabrikam.vault.azure.net": "https://fabrikam.vault.azure.net",
}


@pytest.mark.parametrize(("text", "meant"), VAULTS_REFUSED.items())
def test_a_vault_by_another_name_is_refused_with_its_address(text: str, meant: str) -> None:
    (problem,) = problems(workspace(), KEY_VAULT_URL=text)
    assert suggested(problem) == [meant]


@pytest.mark.parametrize(
    "text",
    [
        "https://fabrikam.vault.azure.net/secrets/oauth/0123",
        "https://portal.azure.com/#view/x/Secret/https://fabrikam.vault.azure.net/secrets/oauth/0123",
        "@Microsoft.KeyVault(VaultName=fabrikam;SecretName=oauth)",
        "@Microsoft.KeyVault(SecretUri=https://fabrikam.vault.azure.net/secrets/oauth/)",
    ],
)
def test_the_address_of_a_secret_is_refused_with_its_name(text: str) -> None:
    (problem,) = problems(workspace(client_secret_name=text))
    assert suggested(problem) == ["oauth"]


# A property of all messages

_SUGGESTION = re.compile(r'(?<=write )"([^"]+)"|(?<=write )(https://\S+|[0-9a-f]{8}-[0-9a-f-]{27})')


def suggested(problem: Problem) -> list[str]:
    """Return the replacements in a message."""
    return [quoted or plain for quoted, plain in _SUGGESTION.findall(problem.message)]


PIECES = [
    *("https://", "http://", "ssh://", "git::", "adb-77.3", ".azuredatabricks.net", "adb-7", "westeurope"),
    *(".privatelink", "dev.azure.com", "ssh.dev.azure.com:v3", "/o/p", "/_git/r", ".git", "?version=GBx"),
    *(
        "/",
        "\\",
        "Repos",
        "repos",
        "/Workspace",
        "workspace",
        "file:",
        "dbfs:",
        "~",
        "*",
        "**",
        ".",
        "..",
        " ",
    ),
    *("refs/heads/", "main", "$(X)", "%25", "%20", "me:pw@", "portal.azure.com", "/vaults/v1x", "fabrikam"),
    *(
        ".vault.azure.net",
        "/secrets/abc",
        "{",
        "}",
        GUID,
        GUID.replace("-", ""),
        "api://",
        "#",
        "!",
        "a",
        "é",
    ),
    *("\u200b", '"', "x" * 130, "0a" * 20, "origin", "vaultcore.azure.net", "accounts", ":443", "?o=77"),
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
KEYS = [
    *("host", "name", "client_id", "client_secret_name", "identity", "auth", "git_username"),
    *("path", "url", "branch", "tag", "on_conflict", "sparse"),
    *("KEY_VAULT_URL", "AZURE_CLIENT_ID", "TRUSTED_HOSTS", "FAN_OUT", "REFRESH_TIMEOUT_SECONDS"),
]


def case(key: str, text: str) -> tuple[object, dict[str, str]]:
    """Return an entry and settings with one value."""
    if key.isupper():
        return workspace(), {key: text}
    if key == "sparse":
        return folder(url=PLAIN, sparse=[text]), {}
    if key in {"path", "url", "branch", "tag", "on_conflict"}:
        return workspace(folders=[{"path": "/Shared/jobs", key: text}]), {}
    return workspace(**{key: text}), {}


def told_of(key: str, text: str) -> Iterator[Problem]:
    entry, more = case(key, text)
    for problem in problems(entry, **more):
        if key in problem.location:
            yield problem


@as_often_as(600)
@given(st.sampled_from(KEYS), TEXTS)
@example("path", "repos\\..\\x")
@example("branch", "refs/heads/refs/tags/x")
@example("branch", f"refs/heads/{'0a' * 20}")
@example("host", "http://westeurope.azuredatabricks.net")
@example("host", "x")
@example("path", f"\\Repos\\{'x' * 130}")
@example("KEY_VAULT_URL", "f" * 30)
def test_no_value_that_a_message_suggests_is_refused(key: str, text: str) -> None:
    for problem in told_of(key, text):
        for value in suggested(problem):
            if "NAME" not in value and "…" not in value:
                assert list(told_of(key, value)) == [], (problem.message, value)


@as_often_as(300)
@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    "*",
                    "?",
                    "L",
                    "W",
                    "1-7",
                    "5#2",
                    "7",
                    "*/15",
                    "0",
                    "61",
                    "MON",
                    "@daily",
                    "FRI-MON",
                    "22-6",
                ),
                *("1/0", "00:15:00", "15", "", "24:00:00", "MONDAY", "x", "*/0", "2,3", "0/30", "*/90", "30"),
            ]
        ),
        min_size=1,
        max_size=8,
    ).map(" ".join)
)
@example("0 */15 * * *")
@example("0 0 * * * 7")
def test_no_schedule_that_a_message_suggests_is_refused(text: str) -> None:
    refused = schedule_problem(text)
    messages = [refused.message] if refused else []
    messages += [line.message for line in schedule_warnings(text, NOW)]
    for message in messages:
        for value in re.findall(r'"([^"]* [^"]* [^"]*)"', message.partition("; ")[2]):
            assert schedule_problem(value) is None, (message, value)
