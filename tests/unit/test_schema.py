"""The schema that editors complete and check a workspaces.json by."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from git_refresh.cli.schema import schema
from git_refresh.settings.load import SettingsError, load
from git_refresh.settings.names import SETTINGS
from tests.unit.test_settings import FOLDERS, GOOD, HOST, REJECTED, URL

VALIDATOR = Draft202012Validator(schema())
SAID_BY_THE_APP_ALONE = {
    # A schema cannot say which hosts are trusted, nor look for a mistake inside a name.
    *(
        "path",
        "account console",
        "not trusted",
        "no host name",
        "a user in the address",
        "a port",
        "line break",
        "AWS",
    ),
    *(
        "superscript",
        "zero",
        "broken text",
        "no client",
        "neither client nor secret",
        "no secret",
        "secret itself",
    ),
    *(
        "both",
        "dots",
        "dot",
        "nothing between slashes",
        "part of a name starred",
        "star",
        "star url",
        "url",
        "link",
        "ssh",
    ),
    *(
        "repos",
        "long ref",
        "no ref",
        "sparse",
        "blank sparse",
        "no repository in the address",
        "password",
        "slash at the end",
    ),
    "blank",
    "id of too many digits",
    "id too large",
    "a region",
}


def test_it_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_every_key_is_described_and_has_an_example_or_choices() -> None:
    for name in ("workspace", "folder", "settings"):
        for key, value in schema()["$defs"][name]["properties"].items():
            if key != "$schema":
                assert value["description"], key
                assert "$ref" in value or value.get("examples") or value.get("enum"), key


@pytest.mark.parametrize(
    "content",
    [
        [HOST],
        [GOOD],
        [{**GOOD, "run_as": [1, "20"], "folders": ["/Repos/a/b", {"path": "/Repos/a/c", "tag": "v1"}]}],
        [{**GOOD, "folders": [{"path": "/a/b", "url": URL, "sparse": ["src"], "on_conflict": "discard"}]}],
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


@pytest.mark.parametrize("name", REJECTED.keys() - SAID_BY_THE_APP_ALONE)
def test_an_editor_marks_a_wrong_entry(name: str) -> None:
    changes, _ = REJECTED[name]
    assert not VALIDATOR.is_valid([{**GOOD, **changes}])


@pytest.mark.parametrize("name", FOLDERS.keys() - SAID_BY_THE_APP_ALONE)
def test_an_editor_marks_a_wrong_folder(name: str) -> None:
    folder, _ = FOLDERS[name]
    assert not VALIDATOR.is_valid([{**GOOD, "folders": [folder]}])


def test_the_examples_of_the_settings_are_accepted() -> None:
    examples = {name: setting.example for name, setting in SETTINGS.items()}
    assert not load(examples).problems


def test_the_defaults_that_are_told_are_those_of_the_app() -> None:
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
