"""App settings in files, in all common formats."""

import json
from pathlib import Path

import pytest

from git_refresh.cli.files import read_settings, write_client_id
from git_refresh.settings.load import SettingsError, load
from tests.support.entries import GOOD, HOST

ENTRIES = [GOOD, "https://adb-2.2.azuredatabricks.net"]
DEFAULTS = {"client_id": "5a1e0000-0000-4000-8000-000000000001", "client_secret_name": "b"}
VAULT = "https://contoso.vault.azure.net"
TEXT = {"WORKSPACES": json.dumps(ENTRIES), "WORKSPACE_DEFAULTS": json.dumps(DEFAULTS), "KEY_VAULT_URL": VAULT}

FORMS = {
    "local.settings.json": {"IsEncrypted": False, "Values": TEXT},
    "settings by name, as az takes them": TEXT,
    "settings by name, written out": {
        "$schema": "./docs/workspaces.schema.json",
        "WORKSPACES": ENTRIES,
        "WORKSPACE_DEFAULTS": DEFAULTS,
        "KEY_VAULT_URL": VAULT,
    },
    "as az and the portal list them": [
        {"name": name, "value": value, "slotSetting": False} for name, value in TEXT.items()
    ],
}


def file_with(tmp_path: Path, content: object) -> Path:
    file = tmp_path / "settings.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
    return file


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_every_form_of_the_settings_is_read(content: object, tmp_path: Path) -> None:
    assert load(read_settings(file_with(tmp_path, content)).values) == load(TEXT)


def test_an_array_of_workspaces_is_the_list_alone(tmp_path: Path) -> None:
    assert read_settings(file_with(tmp_path, [GOOD])).values.keys() == {"WORKSPACES"}
    named = [{"name": "production", **GOOD}]
    assert read_settings(file_with(tmp_path, named)).values.keys() == {"WORKSPACES"}


def test_a_mark_at_the_start_of_the_file_does_not_matter(tmp_path: Path) -> None:
    assert (
        read_settings(file_with(tmp_path, "\ufeff" + json.dumps([HOST]))).values["WORKSPACES"].startswith("[")
    )


WRONG = {
    "nothing": ("", "is not valid JSON"),
    "text": ('"x"', "must contain an array of workspaces"),
    "null": ("null", "must contain an array of workspaces"),
    "another object": ({"a": 1}, "must contain an array of workspaces, app settings by name"),
    "a setting misspelled": (
        {"workspaces": []},
        ': workspaces: is not an app setting; did you mean "WORKSPACES"?',
    ),
    "one workspace": (GOOD, "contains one workspace; put [ ] around its { }"),
    "encrypted": ({"IsEncrypted": True, "Values": {}}, "is encrypted; run func settings decrypt first"),
    "no text": (
        {"Values": {"WORKSPACES": ENTRIES}},
        ": Values.WORKSPACES: must be a string in double quotes, with its own quotes escaped",
    ),
    "key twice": (
        '{"WORKSPACES": [{"host": "a", "folders": [{"path": "/a/b", "path": "/a/c"}]}]}',
        ": WORKSPACES[0].folders[0].path: is written more than once; keep one",
    ),
    "nested without end, and valid": (
        '{"WORKSPACES": ' + "[" * 3000 + "]" * 3000 + "}",
        "nested too deeply",
    ),
    "no UTF-8": (None, "is not UTF-8 text"),
}


@pytest.mark.parametrize(("content", "expected"), WRONG.values(), ids=WRONG)
def test_a_file_that_cannot_be_used_is_named_with_what_to_do(
    content: object, expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    if content is None:
        file.write_bytes(b'["\xff"]')
    else:
        file_with(tmp_path, content)
    with pytest.raises(SettingsError) as caught:
        read_settings(file)
    (problem,) = caught.value.problems
    assert str(problem).startswith(str(file))
    assert expected in str(problem)


VALUES = json.dumps(json.dumps(ENTRIES))
OTHER = json.dumps(json.dumps([HOST]))
TWICE = {
    "at the top": (
        f'{{"WORKSPACES": {json.dumps(ENTRIES)}, "WORKSPACES": {json.dumps(ENTRIES)}}}',
        "WORKSPACES",
    ),
    "in another letter case": (
        f'{{"WORKSPACES": {json.dumps(ENTRIES)}, "Workspaces": {json.dumps([HOST])}}}',
        "WORKSPACES",
    ),
    "in local.settings.json": (
        f'{{"Values": {{"WORKSPACES": {VALUES}, "WORKSPACES": {OTHER}}}}}',
        "WORKSPACES",
    ),
    "Values itself": (
        f'{{"Values": {{"WORKSPACES": {VALUES}}}, "Values": {{"WORKSPACES": {OTHER}}}}}',
        "Values",
    ),
    "as az lists them": (
        f'[{{"name": "KEY_VAULT_URL", "value": "{VAULT}"}}, {{"name": "KEY_VAULT_URL", "value": "{VAULT}/x"}}]',
        "KEY_VAULT_URL",
    ),
    "in a line of az": (f'[{{"name": "WORKSPACES", "value": "x", "value": {VALUES}}}]', "value"),
}


@pytest.mark.parametrize(("content", "key"), TWICE.values(), ids=TWICE)
def test_a_key_that_stands_twice_is_refused(content: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(file_with(tmp_path, content))
    assert [problem.location for problem in caught.value.problems] == [f"{tmp_path / 'settings.json'}: {key}"]


DEVOPS = '{"tenant_id": "a", "tenant_id": "b", "client_id": "c"}'


@pytest.mark.parametrize(
    ("entry", "places"),
    [
        ('{"host": "x", "host": "y"}', ["host"]),
        (f'{{"host": "{HOST}", "devops": {DEVOPS}}}', ["devops.tenant_id"]),
        (
            f'{{"host": "{HOST}", "folders": [{{"path": "/a/b", "branch": "a", "branch": "b"}}]}}',
            ["folders[0].branch"],
        ),
        (f'{{"host": "{HOST}", "folders": ["/a/b"], "folders": ["/a/c"]}}', ["folders"]),
    ],
)
def test_a_key_that_stands_twice_in_an_entry_is_refused_in_every_form(
    entry: str, places: list[str], tmp_path: Path
) -> None:
    listed = f"[{entry}]"
    for content in (
        listed,
        json.dumps({"Values": {"WORKSPACES": listed}}),
        json.dumps({"WORKSPACES": listed}),
    ):
        problems = load(read_settings(file_with(tmp_path, content)).values, whole=False).problems
        told = [problem.location for problem in problems if "more than once" in problem.message]
        assert told == [f"WORKSPACES[0].{place}" for place in places]


FUNC_SYNTAX = {
    "a comment in front": f'// mine\n{{"Values": {{"WORKSPACES": {VALUES}}}}}',
    "a comment behind a value": f'{{"Values": {{"WORKSPACES": {VALUES} // the list\n}}}}',
    "a comment between": f'{{"IsEncrypted": false, /* a,\n }} */ "Values": {{/**/"WORKSPACES": {VALUES}}}}}',
    "trailing commas": f'{{"Values": {{"WORKSPACES": {VALUES},\n}}, "Host": {{"CORS": "*",}},}}',
    "both": f'{{"Values": {{"WORKSPACES": {VALUES}, // last\n}} /* end */ , }}',
    "what only looks like one": f'{{"Values": {{"WORKSPACES": {VALUES}, "X": "// /* ,}} \\" ,]", }}}}',
}


@pytest.mark.parametrize("content", FUNC_SYNTAX.values(), ids=FUNC_SYNTAX)
def test_local_settings_are_read_in_the_syntax_of_func(content: str, tmp_path: Path) -> None:
    assert read_settings(file_with(tmp_path, content)).values == {"WORKSPACES": json.dumps(ENTRIES)}


def test_other_files_are_json_without_comments(tmp_path: Path) -> None:
    for content in (f"// mine\n{json.dumps(ENTRIES)}", f'{{"WORKSPACES": {json.dumps(ENTRIES)},}}'):
        with pytest.raises(SettingsError, match="remove"):
            read_settings(file_with(tmp_path, content))


def test_a_mistake_in_local_settings_is_reported_at_its_place(tmp_path: Path) -> None:
    content = f'{{ // mine\n "Values": {{\n"WORKSPACES" {VALUES}}}}}'
    with pytest.raises(SettingsError, match=r"line 3, column 13.*a colon is missing"):
        read_settings(file_with(tmp_path, content))


def test_of_local_settings_only_the_app_s_own_are_taken(tmp_path: Path) -> None:
    values = {"WORKSPACES": json.dumps(ENTRIES), "PATH": "/x", "LD_PRELOAD": "y", "AzureWebJobsStorage": "z"}
    read = read_settings(
        file_with(tmp_path, {"IsEncrypted": False, "Values": values, "ConnectionStrings": {}})
    )
    assert read.values.keys() == {"WORKSPACES", "AzureWebJobsStorage"}
    assert set(read.names) == values.keys()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_settings(tmp_path / "none.json")


CLIENT_ID = "5a1e0000-0000-4000-8000-000000000009"
WRITTEN = {
    "one line": (
        '{"WORKSPACE_DEFAULTS": {"auth": "federated"}, "WORKSPACES": []}',
        f'{{"WORKSPACE_DEFAULTS": {{"client_id": "{CLIENT_ID}", "auth": "federated"}}, "WORKSPACES": []}}',
    ),
    "lines, as init writes them": (
        '\ufeff{\r\n  "WORKSPACE_DEFAULTS": {\r\n    "auth": ""\r\n  }, "WORKSPACES": []}\r\n',
        f'\ufeff{{\r\n  "WORKSPACE_DEFAULTS": {{\r\n    "client_id": "{CLIENT_ID}",\r\n    "auth": ""\r\n  }}, "WORKSPACES": []}}\r\n',
    ),
    "empty defaults": (
        '{"WORKSPACE_DEFAULTS": {}, "WORKSPACES": []}',
        f'{{"WORKSPACE_DEFAULTS": {{"client_id": "{CLIENT_ID}"}}, "WORKSPACES": []}}',
    ),
    "no defaults": (
        '{\n  "WORKSPACES": []\n}',
        f'{{\n  "WORKSPACE_DEFAULTS": {{"client_id": "{CLIENT_ID}"}},\n  "WORKSPACES": []\n}}',
    ),
}


@pytest.mark.parametrize(("before", "after"), WRITTEN.values(), ids=WRITTEN)
def test_a_new_client_id_is_all_that_changes_in_the_file(before: str, after: str, tmp_path: Path) -> None:
    file, link = tmp_path / "list.json", tmp_path / "link.json"
    file.write_bytes(before.encode())
    file.chmod(0o640)
    link.symlink_to(file)
    assert write_client_id(link, CLIENT_ID)
    assert (file.read_bytes().decode(), file.stat().st_mode & 0o777, link.is_symlink()) == (
        after,
        0o640,
        True,
    )
    assert json.loads(read_settings(link).values["WORKSPACE_DEFAULTS"])["client_id"] == CLIENT_ID


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"Values": {"WORKSPACES": "[]"}}',
        '{"WORKSPACES": [], "WORKSPACE_DEFAULTS": "{}"}',
        '{"WORKSPACES": [{"note": {"WORKSPACE_DEFAULTS": {}}}], "WORKSPACE_DEFAULTS": {}}',
        '{"WORKSPACES": []',
    ],
)
def test_a_file_that_cannot_have_a_client_id_there_stays(text: str, tmp_path: Path) -> None:
    file = file_with(tmp_path, text)
    assert not write_client_id(file, CLIENT_ID)
    assert (file.read_text(), [*tmp_path.iterdir()]) == (text, [file])
