"""The schema for workspaces.json in editors."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from git_refresh.cli.schema import schema
from git_refresh.settings.entries import MAX_WORKSPACES
from git_refresh.settings.load import SettingsError, load
from git_refresh.settings.names import SETTINGS
from tests.support.entries import GOOD, GUID, HOST, URL
from tests.support.examples import as_often_as

VALIDATOR = Draft202012Validator(schema())


def test_it_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("name", ["Workspace", "Folder", "DevOps", "settings"])
def test_each_key_has_a_description(name: str) -> None:
    properties: dict[str, Any] = schema()["$defs"][name]["properties"]
    assert all(value.get("description") for key, value in properties.items() if key != "$schema")


@pytest.mark.parametrize(
    "content",
    [
        [HOST],
        [GOOD],
        [{**GOOD, "additional_principal_ids": [1, "20"], "folders": ["/Repos/a/b", {"path": "/Repos/a/c"}]}],
        [{**GOOD, "folders": [{"path": "/a/b", "url": URL, "sparse": ["src"], "on_conflict": "discard"}]}],
        [{"host": HOST, "auth": "federated", "client_id": GUID, "identity": GUID.upper()}],
        [{"host": HOST, "auth": "managed_identity", "devops": {"tenant_id": GUID, "client_id": GUID}}],
        {"$schema": "./x.json", "WORKSPACES": [HOST], "WORKSPACE_DEFAULTS": {"auth": "managed_identity"}},
        {"WORKSPACES": json.dumps([GOOD]), "REFRESH_CONCURRENCY": 8, "HTTPS_PROXY": "http://proxy"},
    ],
)
def test_it_takes_what_the_app_takes(content: object) -> None:
    assert list(VALIDATOR.iter_errors(content)) == []


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        "x",
        [5],
        [{}],
        [{**GOOD, "hots": HOST}],
        [{**GOOD, "auth": "pat"}],
        [{**GOOD, "folders": "/Repos/a/b"}],
        [{**GOOD, "folders": [{"path": "/Repos/a/b", "on_conflict": "x"}]}],
        [HOST] * (MAX_WORKSPACES + 1),
        {"WORKSPACES": []},
        {"WORKSPACES": [HOST], "WORKSPACE_DEFAULTS": {"host": HOST}},
    ],
)
def test_it_marks_wrong_keys_types_choices_and_counts(content: object) -> None:
    assert not VALIDATOR.is_valid(content)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "host": st.sampled_from([HOST, f" {HOST}/ ", f"{HOST}/?o=1", "x"]),
    "auth": st.sampled_from(["managed_identity", "oauth_secret", "pat"]),
    "client_id": st.sampled_from([GUID, GUID.upper(), f" {GUID}", None]),
    "name": st.text(max_size=3),
    "additional_principal_ids": st.lists(st.sampled_from([0, 1, 2**63, "7", "x"]), max_size=2),
    "folders": st.lists(
        st.fixed_dictionaries(
            {"path": st.sampled_from(["/Repos/a/b", "/Shared/*", "x"])},
            optional={
                "url": st.sampled_from([URL, None]),
                "branch": st.sampled_from(["main", "refs/heads/main", None]),
                "tag": st.sampled_from(["v1", None]),
                "sparse": st.sampled_from([["src"], [], None]),
            },
        ),
        max_size=2,
    ),
}


@as_often_as(300)
@given(st.fixed_dictionaries({}, optional=VALUES))
def test_it_marks_no_entry_that_the_app_takes(changes: dict[str, Any]) -> None:
    entries = [{**GOOD, **changes}]
    if not load({"WORKSPACES": json.dumps(entries)}, whole=False).problems:
        assert list(VALIDATOR.iter_errors(entries)) == []


def test_the_app_takes_the_examples_of_the_settings() -> None:
    assert not load({name: setting.example for name, setting in SETTINGS.items()}).problems


def test_the_documented_defaults_are_those_of_the_app() -> None:
    given = {
        name: setting.default
        for name, setting in SETTINGS.items()
        if setting.default in {"{}", "32", "540", "off"}
    }
    assert len(given) == 4
    entry = {"WORKSPACES": json.dumps([{"host": HOST, "auth": "managed_identity"}])}
    assert load({**entry, **given}) == load(entry)


def test_the_defaults_have_no_key_that_each_workspace_has_for_itself() -> None:
    assert not {"host", "name"} & schema()["$defs"]["defaults"]["properties"].keys()
    with pytest.raises(SettingsError):
        load(
            {"WORKSPACES": json.dumps([GOOD]), "WORKSPACE_DEFAULTS": json.dumps({"host": HOST})}, whole=False
        )
