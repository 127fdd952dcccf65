"""`diff`: what would change if a list were deployed."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from git_refresh.cli.main import main

HOST = "https://adb-1.1.azuredatabricks.net"
OTHER = "https://adb-2.2.azuredatabricks.net"
URL = "https://dev.azure.com/contoso/Data%20Platform/_git/etl"
FOLDER = {"path": "/Repos/etl/prod", "url": URL, "branch": "main"}
ENTRY = {"host": HOST, "name": "production", "folders": [FOLDER, "/Repos/etl/test"]}


def listed(settings: dict[str, Any]) -> str:
    """As az prints what is deployed."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()}
    return json.dumps([{"name": name, "slotSetting": False, "value": text} for name, text in texts.items()])


def diff(tmp_path: Path, new: object, deployed: str, *options: str) -> Result:
    file = tmp_path / "workspaces.json"
    file.write_text(json.dumps(new))
    arguments = ["diff", str(file), "-", *options]
    return CliRunner().invoke(main, arguments, input=deployed, prog_name="git-refresh")


def changed(tmp_path: Path, old: object, new: object) -> list[str]:
    """The lines for two lists, without the last."""
    done = diff(tmp_path, new, listed({"WORKSPACES": old}))
    lines = done.stdout.splitlines()
    assert done.exit_code == (3 if lines[:-1] else 0), done.output
    assert lines[-1].endswith(f", from stdin to {tmp_path / 'workspaces.json'}.")
    return [line for line in lines[:-1] if not line.startswith(("! ", "  "))]


def with_(**changes: Any) -> dict[str, Any]:
    return {**ENTRY, **changes}


SAME: dict[str, tuple[object, object]] = {
    "the same": ([ENTRY], [ENTRY]),
    "in another order": ([ENTRY, OTHER], [OTHER, ENTRY]),
    "folders in another order": ([ENTRY], [with_(folders=ENTRY["folders"][::-1])]),
    "the short form": ([HOST], [{"host": HOST}]),
    "a folder's short form": ([with_(folders=["/a/b"])], [with_(folders=[{"path": "/a/b"}])]),
    "/Workspace in front": ([with_(folders=["/a/b"])], [with_(folders=["/Workspace/a/b"])]),
    "no folders": ([{"host": HOST}], [{"host": HOST, "folders": []}]),
}


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=SAME)
def test_what_means_the_same_is_no_difference(tmp_path: Path, old: object, new: object) -> None:
    assert changed(tmp_path, old, new) == []


def stays(tmp_path: Path, old: object, new: object) -> list[tuple[str, str]]:
    """The codes of what stays, with the workspace, as JSON; and each has its remedy in the text."""
    deployed = listed({"WORKSPACES": old})
    found = json.loads(diff(tmp_path, new, deployed, "--json").stdout)["stays"]
    said = " ".join(diff(tmp_path, new, deployed).stdout.split())
    assert all(each["remedy"] in said for each in found)
    assert all(each["code"] == "workspace_removed" or HOST in each["remedy"] for each in found)
    return [(each["workspace"], each["code"]) for each in found]


STAYS: dict[str, tuple[object, object, list[tuple[str, str]]]] = {
    "a workspace": ([ENTRY, OTHER], [ENTRY], [("adb-2", "workspace_removed")]),
    "a workspace in its short form": ([OTHER, HOST], [OTHER], [("adb-1", "workspace_removed")]),
    "all workspaces": ([HOST, OTHER], [], [("adb-1", "workspace_removed"), ("adb-2", "workspace_removed")]),
    "one whose address became another": ([ENTRY], [with_(host=OTHER)], [("production", "workspace_removed")]),
    "a folder": ([ENTRY], [with_(folders=["/Repos/etl/test"])], [("production", "folder_removed")]),
    "all folders": ([ENTRY], [{"host": HOST, "name": "production"}], [("production", "folder_removed")] * 2),
    "a pattern": ([with_(folders=["/a/b/*"])], [with_(folders=[])], [("production", "pattern_removed")]),
    "a principal": (
        [with_(additional_principal_ids=[7, "8"])],
        [with_(additional_principal_ids=[7])],
        [("production", "principal_removed")],
    ),
    "a folder that a pattern still covers": ([ENTRY], [with_(folders=["/Repos/*"])], []),
    "a pattern within another": ([with_(folders=["/a/b/*"])], [with_(folders=["/a/*"])], []),
    "another name": ([ENTRY], [with_(name="prod")], []),
    "another form": ([ENTRY], [with_(folders=["/Workspace/Repos/etl/prod/", "/Repos/etl/test"])], []),
    "nothing": ([ENTRY, OTHER], [OTHER, ENTRY], []),
    "an entry that is none": ([7, {"host": 3}, {"host": "x"}], [ENTRY], []),
}


@pytest.mark.parametrize(("old", "new", "codes"), STAYS.values(), ids=STAYS)
def test_diff_shows_what_stays_when_an_entry_leaves_the_list(
    tmp_path: Path, old: object, new: object, codes: list[tuple[str, str]]
) -> None:
    assert stays(tmp_path, old, new) == codes


CHANGED: dict[str, tuple[object, object, list[str]]] = {
    "a workspace more": ([ENTRY], [ENTRY, OTHER], [f"+ adb-2: {OTHER}"]),
    "a workspace less": ([OTHER, ENTRY], [OTHER], [f"- production: {HOST}, 2 Git folders"]),
    "another name": ([ENTRY], [with_(name="prod")], ['~ prod name: "production" → "prod"']),
    "another address": (
        [ENTRY],
        [with_(host=OTHER)],
        [f'~ production host: "{HOST}" → "{OTHER}"'],
    ),
    "a key more": (
        [ENTRY],
        [with_(additional_principal_ids=[7])],
        ["+ production additional_principal_ids: [7]"],
    ),
    "a key less": ([with_(auth="managed_identity")], [ENTRY], ['- production auth: "managed_identity"']),
    "a folder more": ([ENTRY], [with_(folders=[*ENTRY["folders"], "/x"])], ["+ production /x"]),
    "a folder less": (
        [ENTRY],
        [with_(folders=["/Repos/etl/test"])],
        [f'- production /Repos/etl/prod: url "{URL}", branch "main"'],
    ),
    "another branch": (
        [ENTRY],
        [with_(folders=[{**FOLDER, "branch": "dev"}, "/Repos/etl/test"])],
        ['~ production /Repos/etl/prod branch: "main" → "dev"'],
    ),
    "a tag for a branch": (
        [with_(folders=[{"path": "/a", "branch": "main"}])],
        [with_(folders=[{"path": "/a", "tag": "v1"}])],
        ['+ production /a tag: "v1"', '- production /a branch: "main"'],
    ),
    "no workspace, no folder": (
        [5, with_(folders=[7])],
        [6, with_(folders=[7])],
        ["~ WORKSPACES[0]: 5 → 6"],
    ),
    "a name twice": ([ENTRY], [ENTRY, ENTRY], [f"+ production, WORKSPACES[1]: {HOST}, 2 Git folders"]),
}


@pytest.mark.parametrize(("old", "new", "lines"), CHANGED.values(), ids=CHANGED)
def test_a_difference_is_shown_by_workspace_folder_and_key(
    tmp_path: Path, old: object, new: object, lines: list[str]
) -> None:
    assert changed(tmp_path, old, new) == lines


def test_settings_are_compared_one_by_one_and_foreign_ones_are_ignored(tmp_path: Path) -> None:
    deployed = listed(
        {
            "WORKSPACES": [ENTRY],
            "WORKSPACE_DEFAULTS": {"client_id": "a"},
            "FAN_OUT": "off",
            "AzureWebJobsStorage": "DefaultEndpointsProtocol=https;AccountKey=canary",
        }
    )
    new = {
        "$schema": "./docs/workspaces.schema.json",
        "WORKSPACES": [ENTRY],
        "WORKSPACE_DEFAULTS": {"client_id": "b"},
        "REFRESH_CONCURRENCY": 16,
    }
    done = diff(tmp_path, new, deployed)
    assert (done.exit_code, done.stdout.splitlines()[:-1]) == (
        3,
        [
            '~ WORKSPACE_DEFAULTS client_id: "a" → "b"',
            '+ REFRESH_CONCURRENCY: "16"',
            '- FAN_OUT: "off"',
        ],
    )
    assert done.stdout.splitlines()[-1].startswith("3 differences, from stdin to ")
    assert "canary" not in done.output


def test_a_list_is_compared_with_the_deployed_list_alone(tmp_path: Path) -> None:
    deployed = listed({"WORKSPACES": [ENTRY], "KEY_VAULT_URL": "https://contoso.vault.azure.net"})
    assert diff(tmp_path, [ENTRY], deployed).exit_code == 0


def test_where_nothing_is_deployed_yet_everything_is_new(tmp_path: Path) -> None:
    done = diff(tmp_path, [ENTRY], listed({"AzureWebJobsStorage": "x"}))
    assert (done.exit_code, done.stdout.splitlines()[0]) == (3, f"+ production: {HOST}, 2 Git folders")


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("client_id", "dose" + "0a" * 16),
        ("client_secret", "hunter2"),
        ("git_username", "eyJ0eXAiOiJKV1QiLCJhbGciOi.eyJhdWQiOiI0OTli.c2lnbmF0dXJl"),
    ],
)
def test_a_secret_is_never_shown(tmp_path: Path, key: str, secret: str) -> None:
    for old, new in ((ENTRY, with_(**{key: secret})), (with_(**{key: secret}), with_(**{key: "x"}))):
        for options in ([], ["--json"]):
            done = diff(tmp_path, [new], listed({"WORKSPACES": [old]}), *options)
            assert done.exit_code == 3
            assert secret not in done.output
            assert "***" in done.output


def test_what_is_typed_reaches_no_terminal_as_control_characters(tmp_path: Path) -> None:
    new = with_(name="\x1b[31mx", folders=[{"path": "/\x1b]8;;http://evil\x07", "br\x07": "\x9b1m"}])
    done = diff(tmp_path, [new], listed({"WORKSPACES": [OTHER]}))
    assert done.exit_code == 3
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in done.stdout.replace("\n", ""))


def test_for_machines_it_is_one_object(tmp_path: Path) -> None:
    old, new = [ENTRY], [with_(folders=[{**FOLDER, "branch": "dev"}, "/Repos/etl/test"])]
    done = json.loads(diff(tmp_path, new, listed({"WORKSPACES": old}), "--json").stdout)
    assert done == {
        "version": 1,
        "result": "different",
        "changes": [
            {
                "action": "changed",
                "setting": "WORKSPACES",
                "workspace": "production",
                "folder": "/Repos/etl/prod",
                "key": "branch",
                "old": '"main"',
                "new": '"dev"',
            }
        ],
        "stays": [],
    }
    assert json.loads(diff(tmp_path, new, listed({"WORKSPACES": new}), "--json").stdout) == {
        "version": 1,
        "result": "same",
        "changes": [],
        "stays": [],
    }


UNREADABLE = {
    "az printed nothing": (
        "",
        "stdin: is empty; pipe into it what az functionapp config appsettings list --output json prints, or name a file",
    ),
    "a list that is broken": (listed({"WORKSPACES": "[{"}), "stdin: WORKSPACES: is not valid JSON"),
    "no list": (listed({"WORKSPACES": "{}"}), "stdin: WORKSPACES: must be an array"),
    "no UTF-8": (b"\xff", "stdin: is not valid JSON: it is not UTF-8 text"),
}


@pytest.mark.parametrize(("deployed", "said"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_exits_with_2_in_one_line(
    tmp_path: Path, deployed: str | bytes, said: str
) -> None:
    file = tmp_path / "workspaces.json"
    file.write_text(json.dumps([ENTRY]))
    done = CliRunner().invoke(main, ["diff", str(file)], input=deployed)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    as_json = CliRunner().invoke(main, ["diff", str(file), "--json"], input=deployed)
    assert (as_json.exit_code, json.loads(as_json.stdout)["result"]) == (2, "failed")


def test_two_files_are_compared_and_one_with_itself_is_a_mistake(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps([ENTRY]))
    new.write_text(json.dumps([ENTRY, OTHER]))
    done = CliRunner().invoke(main, ["diff", str(new), str(old)])
    assert done.stdout == f"+ adb-2: {OTHER}\n1 difference, from {old} to {new}.\n"
    assert CliRunner().invoke(main, ["diff", str(new), str(new)]).exit_code == 2
