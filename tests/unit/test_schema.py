"""The schema that editors complete and check a workspaces.json by."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from git_refresh.cli.check_schedule import schedule_problem, schedule_warnings
from git_refresh.cli.schema import schema
from git_refresh.output.redact import INVISIBLE
from git_refresh.settings.load import SettingsError, load
from git_refresh.settings.names import SETTINGS
from tests.support.entries import GOOD, GUID, HOST, URL
from tests.support.examples import as_often_as
from tests.support.fakes import NOW
from tests.unit.test_hosts import HOSTILE
from tests.unit.test_repository import NO_REPOSITORY, SAME
from tests.unit.test_settings import FATAL, FOLDERS, REJECTED

VALIDATOR = Draft202012Validator(schema())
TRUSTED = "a host that TRUSTED_HOSTS might vouch for, which a list alone does not tell"
DEFAULTS = "WORKSPACE_DEFAULTS may have what an entry lacks"
AS_TEXT = "JSON as text: an editor does not look into it"
SAID_BY_THE_APP_ALONE = {
    "not trusted": TRUSTED,
    "a port": TRUSTED,
    "AWS": TRUSTED,
    "a region": TRUSTED,
    "vault elsewhere": TRUSTED,
    "vault with a port": TRUSTED,
    "no client": DEFAULTS,
    "neither client nor secret": DEFAULTS,
    "no secret": DEFAULTS,
    "federated as nobody": DEFAULTS,
    "another tenant for a system-assigned identity": "AZURE_CLIENT_ID may name a user-assigned one",
    "no vault": "it may be set elsewhere, and managed identities need none",
    "secret itself": "what a secret looks like changes; the app never quotes it",
    "broken text": "half a character, which no editor saves",
    "endlessly nested": AS_TEXT,
    "not JSON": AS_TEXT,
    "not JSON that can be read": AS_TEXT,
    "defaults not JSON": AS_TEXT,
    "line break before a mistake": AS_TEXT,
    "a slice longer than the queue waits for it": "another setting allows it",
    "too long": "the app counts after it has taken off the spaces around",
}
"""Of the tables of wrong inputs: each with the reason why a schema cannot say it, or should not."""

ESCAPED = {"%0a", "%E2", "%FF", "%2f", "%5c"}
"""In a repository's URL: what is meant by an escape, no pattern tells."""


def settings_by_name(changes: dict[str, str]) -> dict[str, Any]:
    """As one writes them in a file: with their JSON written out, as far as it is JSON."""
    content: dict[str, Any] = {"WORKSPACES": [GOOD], "KEY_VAULT_URL": "https://contoso.vault.azure.net"}
    content = {**content, **changes} if changes else {}
    for name in {"WORKSPACES", "WORKSPACE_DEFAULTS"} & content.keys():
        with suppress(ValueError, RecursionError, TypeError):
            content[name] = json.loads(content[name])
    return content


WRONG = {
    **{name: [{**GOOD, **changes}] for name, (changes, _) in REJECTED.items()},
    **{f"a folder: {name}": [{**GOOD, "folders": [folder]}] for name, (folder, _) in FOLDERS.items()},
    **{name: settings_by_name(changes) for name, (changes, _) in FATAL.items()},
}
FOLDER = "/Repos/etl/prod"


def test_it_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_every_key_is_described_and_has_an_example_or_choices() -> None:
    for name in ("workspace", "folder", "settings"):
        for key, value in schema()["$defs"][name]["properties"].items():
            if key != "$schema":
                assert value["description"], key
                assert "anyOf" in value or value.get("examples") or value.get("enum"), key


@pytest.mark.parametrize(
    "content",
    [
        [HOST],
        [GOOD],
        [
            {
                **GOOD,
                "additional_principal_ids": [1, "20"],
                "folders": ["/Repos/a/b", {"path": "/Repos/a/c", "tag": "v1"}],
            }
        ],
        [{**GOOD, "folders": [{"path": "/a/b", "url": URL, "sparse": ["src"], "on_conflict": "discard"}]}],
        [{"host": HOST, "auth": "federated", "client_id": GUID, "identity": GUID.upper()}],
        [{"host": HOST, "auth": "managed_identity", "devops": {"tenant_id": GUID, "client_id": GUID}}],
        {"$schema": "./x.json", "WORKSPACES": [HOST], "WORKSPACE_DEFAULTS": {"auth": "managed_identity"}},
        {
            "WORKSPACES": [GOOD],
            "KEY_VAULT_URL": "https://contoso.vault.azure.net",
            "HTTPS_PROXY": "http://proxy",
        },
    ],
)
def test_what_the_app_takes_is_valid(content: object) -> None:
    assert list(VALIDATOR.iter_errors(content)) == []


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        "x",
        [5],
        [{}],
        {"WORKSPACES": []},
        {"WORKSPACES": [HOST], "WORKSPACE_DEFAULTS": {"host": HOST}},
    ],
)
def test_what_stops_the_app_is_not(content: object) -> None:
    assert not VALIDATOR.is_valid(content)


@pytest.mark.parametrize("name", WRONG)
def test_an_editor_marks_what_the_app_refuses_and_exceptions_have_reasons(name: str) -> None:
    assert VALIDATOR.is_valid(WRONG[name]) is (name in SAID_BY_THE_APP_ALONE)


def test_every_exception_is_still_in_a_table() -> None:
    assert SAID_BY_THE_APP_ALONE.keys() <= WRONG.keys()


@pytest.mark.parametrize("url", [url for url in HOSTILE if "]." not in url])
def test_an_editor_marks_a_host_that_no_trust_could_allow(url: str) -> None:
    assert VALIDATOR.is_valid([url]) is might_be_trusted(url, "host")


@pytest.mark.parametrize("url", [case[0] for case in NO_REPOSITORY])
def test_an_editor_marks_a_repository_that_no_trust_could_allow(url: str) -> None:
    content = [{**GOOD, "folders": [{"path": FOLDER, "url": url}]}]
    unseen = INVISIBLE.search(url) is not None
    if not unseen and not any(escape in url for escape in ESCAPED):
        assert VALIDATOR.is_valid(content) is might_be_trusted(url, "url")


def might_be_trusted(url: str, key: str) -> bool:
    """Whether the app would take it if TRUSTED_HOSTS vouched for its host."""
    url = url.replace(":99999", "")  # no pattern counts so far
    entry = {**GOOD, **({"host": url} if key == "host" else {"folders": [{"path": FOLDER, "url": url}]})}
    with suppress(SettingsError, ValueError):
        host = urlsplit(url).hostname or ""
        if host.removeprefix("www.") in {"github.com", "gitlab.com", "bitbucket.org"}:
            return False  # nobody vouches for these, and an editor had better say so
        return not load({"WORKSPACES": json.dumps([entry]), "TRUSTED_HOSTS": host}, whole=False).problems
    return False


@pytest.mark.parametrize("url", SAME)
def test_every_way_to_write_a_repository_s_url_is_taken(url: str) -> None:
    assert VALIDATOR.is_valid([{**GOOD, "folders": [{"path": FOLDER, "url": url}]}])


def words(*words: str) -> st.SearchStrategy[str]:
    """Texts of these parts, as people might put them together."""
    return st.lists(st.sampled_from(words), max_size=7).map("".join)


HOSTS = words(
    "https://", "HTTPS://", "adb-1.1", ".azuredatabricks.net", "accounts", "git.contoso.com"
) | words(
    *(
        "https://adb-1.azuredatabricks.net",
        "/",
        " ",
        ":443",
        ":8443",
        "?",
        "#",
        "o=1",
        "x",
        "[fd00::4]",
        "me@",
    )
)
PATHS = words(
    "/", "a", "Repos", "/Repos/", "Workspace", "/Workspace", "*", ".", "..", " ", "\\", "://", "-", "\t", "é"
)
URLS = words("/", "a", " ", "_git", "/_git/", "..", "%20", "?", "#", "x=1", "DefaultCollection", ".").flatmap(
    lambda rest: st.sampled_from(
        [
            *("https://dev.azure.com/", "https://contoso@dev.azure.com/a", "https://a.visualstudio.com/"),
            *(
                "https://git.contoso.com:8443/a/b/_git",
                "https://github.com/a/b",
                "git@ssh.dev.azure.com:v3/a/",
            ),
        ]
    ).map(lambda start: start + rest)
)
REFS = words(
    "main",
    "refs/heads/",
    "refs/tags/",
    "/",
    ".",
    "..",
    "-",
    "@",
    "@{",
    "~",
    "^",
    "{",
    " ",
    "[",
    "é",
    "v1",
    "\n",
)
IDS = st.integers(-1, 3) | st.integers(2**63 - 1, 2**63) | words("0", "1", "99", " ", "x", "9" * 18)
BLANK = words(" ", "a", "\n", "\t", "é")


TEXTS: dict[str, st.SearchStrategy[Any]] = {
    "host": HOSTS,
    "name": BLANK,
    "client_id": BLANK | st.none(),
    "client_secret_name": words("a", "-", " ", "_", "Z9") | st.none(),
    "git_username": BLANK,
    "auth": st.sampled_from(["managed_identity", "oauth_secret", "pat"]),
    "additional_principal_ids": st.lists(IDS, max_size=2),
}
FOLDER_TEXTS: dict[str, st.SearchStrategy[Any]] = {
    "path": PATHS,
    "url": URLS,
    "branch": REFS,
    "tag": REFS,
    "sparse": st.lists(BLANK, max_size=2),
    "on_conflict": st.sampled_from(["fail", "discard", "x"]),
}


def one_of(texts: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """One key, in all forms: with several at once, hardly anything would be right."""
    return st.sampled_from(sorted(texts)).flatmap(lambda key: texts[key].map(lambda value: {key: value}))


PATHS_TOGETHER = [
    FOLDER,
    "/Workspace/Repos/a/b/",
    "/Repos/a/* ",
    "/Repos/a",
    "/Workspace/a/b/c",
    "/Repos/a/b/c",
]
TOGETHER = st.fixed_dictionaries(
    {"path": st.sampled_from(PATHS_TOGETHER)},
    optional={
        "url": st.sampled_from([URL, None]),
        "branch": st.sampled_from(["main", None]),
        "tag": st.sampled_from(["v1", None]),
        "sparse": st.sampled_from([["src"], None]),
    },
)
ENTRIES = one_of(TEXTS).map(lambda change: [{**GOOD, **change}]) | (
    one_of(FOLDER_TEXTS).map(lambda change: {"path": FOLDER, **change}) | TOGETHER
).map(lambda folder: [{**GOOD, "folders": [folder]}])


@as_often_as(300)
@given(ENTRIES)
@example([{**GOOD, "folders": [{"path": FOLDER, "branch": "main", "tag": None}]}])
@example([{**GOOD, "folders": [{"path": FOLDER, "url": None, "sparse": None}]}])
@example([{"host": f" {HOST}/ ", "auth": "managed_identity", "client_id": None}])
def test_no_entry_that_the_app_takes_is_marked(entries: list[dict[str, Any]]) -> None:
    environ = {
        "WORKSPACES": json.dumps(entries),
        "TRUSTED_HOSTS": "git.contoso.com,fd00::4,.azuredatabricks.net",
    }
    if not load(environ, whole=False).problems:
        assert list(VALIDATOR.iter_errors(entries)) == []


SETTING_TEXTS: dict[str, st.SearchStrategy[Any]] = {
    "KEY_VAULT_URL": words("https://", "HTTPS://", "contoso", ".vault.azure.net", "/", " ", ":443", "?"),
    "AZURE_CLIENT_ID": words("0000ABCD", "-0000", "-00000000ef01", " ", "x"),
    "TRUSTED_HOSTS": words("git.contoso.com", ",", " ", ".b", "10.0.0.4", "fd00::4", "*", "/", "_"),
    "REFRESH_CONCURRENCY": words("0", "1", "2", "5", "6", " ", "-") | st.integers(-1, 300),
    "REFRESH_TIMEOUT_SECONDS": words("0", "3", "6", "9", " ", "+") | st.integers(20, 4000),
    "FAN_OUT": words("off", " ", "queue"),
}


@as_often_as(300)
@given(one_of(SETTING_TEXTS))
def test_no_setting_that_the_app_takes_is_marked(values: dict[str, Any]) -> None:
    content = {"WORKSPACES": [{"host": HOST, "auth": "managed_identity"}], "OTHER": 1, **values}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in content.items()}
    with suppress(SettingsError):
        load(texts)
        assert list(VALIDATOR.iter_errors(content)) == []
        as_text = {**content, "WORKSPACES": json.dumps(content["WORKSPACES"]), "WORKSPACE_DEFAULTS": ""}
        assert list(VALIDATOR.iter_errors(as_text)) == []


@as_often_as(300)
@given(words("*", " ", "*/15", "0 ", "* * ", "MON-FRI", "\t", "1,2", "L", "?"))
@example("0 */15 * * * *")
def test_no_schedule_that_check_passes_is_marked(schedule: str) -> None:
    if schedule.strip() and not schedule_problem(schedule) and not schedule_warnings(schedule, NOW):
        content = {"WORKSPACES": [{"host": HOST, "auth": "managed_identity"}], "REFRESH_SCHEDULE": schedule}
        assert list(VALIDATOR.iter_errors(content)) == []


def test_the_examples_of_the_settings_are_accepted() -> None:
    examples = {name: setting.example for name, setting in SETTINGS.items()}
    assert not load(examples).problems


def test_the_documented_defaults_are_those_of_the_app() -> None:
    given = {
        name: setting.default
        for name, setting in SETTINGS.items()
        if setting.default in {"{}", "32", "540", "off"}
    }
    assert len(given) == 4
    entry = {"WORKSPACES": json.dumps([{"host": HOST, "auth": "managed_identity"}])}
    assert load({**entry, **given}) == load(entry)


def test_a_workspace_s_own_keys_are_no_defaults() -> None:
    keys: dict[str, Any] = schema()["$defs"]["defaults"]["properties"]
    assert not {"host", "name"} & keys.keys()
    with pytest.raises(SettingsError):
        load(
            {"WORKSPACES": json.dumps([GOOD]), "WORKSPACE_DEFAULTS": json.dumps({"host": HOST})}, whole=False
        )
