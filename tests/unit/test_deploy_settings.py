"""The effect of deploying a list on app settings, without a service: changes, kept values, rollback."""

import json
from collections.abc import Mapping
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.admin.deployment import PAUSE, Deployment, deploy, is_ours, is_paused, restore
from git_refresh.cli import render
from git_refresh.cli.deploy import DeployReport, show_deployment
from git_refresh.cli.main import main
from git_refresh.settings.names import MOST_BYTES, PREVIOUS, SET_BY_DEPLOY, near_misses, unknown_names

HOST = "https://adb-1.1.azuredatabricks.net"
A, B = "5a1e0000-0000-4000-8000-00000000000a", "5a1e0000-0000-4000-8000-00000000000b"
OTHER = "https://adb-2.2.azuredatabricks.net"
URL = "https://dev.azure.com/contoso/Data%20Platform/_git/etl"
FOLDER = {"path": "/Repos/etl/prod", "url": URL, "branch": "main"}
ENTRY = {"host": HOST, "name": "production", "folders": [FOLDER, "/Repos/etl/test"]}
OF_OTHERS = {"AzureWebJobsStorage__accountName": "st", "SOMETHING": "else", "APPINSIGHTS": ""}
OF_TEMPLATE = {"REFRESH_SCHEDULE": "0 */15 * * * *", "FAN_OUT": "off", "AZURE_CLIENT_ID": "id"}
FIRST = {**OF_OTHERS, **OF_TEMPLATE, "KEY_VAULT_URL": "https://a.vault.azure.net", PAUSE: "true"}


def settings(**values: object) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def running(**values: object) -> dict[str, str]:
    return {**OF_OTHERS, **OF_TEMPLATE, **settings(**{"WORKSPACES": [ENTRY], **values})}


def set_by(deployment: Deployment) -> dict[str, str | None]:
    """Return the settings that change, without those that keep previous values; None: removed."""
    names = (deployment.existing.keys() | deployment.wanted.keys()) - set(PREVIOUS.values())
    return {
        name: deployment.wanted.get(name)
        for name in sorted(names)
        if deployment.wanted.get(name) != deployment.existing.get(name)
    }


def with_(**changes: Any) -> dict[str, Any]:
    return {**ENTRY, **changes}


def shown(old: object, new: object) -> list[tuple[str | None, ...]]:
    deployment = deploy(running(WORKSPACES=old), settings(WORKSPACES=new))
    return [
        (each.action, each.workspace, each.folder, each.key, each.old, each.new)
        for each in deployment.changes()
    ]


SAME: dict[str, tuple[object, object]] = {
    "the same": ([ENTRY], [ENTRY]),
    "in another order": ([ENTRY, OTHER], [OTHER, ENTRY]),
    "folders in another order": ([ENTRY], [with_(folders=ENTRY["folders"][::-1])]),
    "the short form": ([HOST], [{"host": HOST}]),
    "a folder's short form": ([with_(folders=["/a/b"])], [with_(folders=[{"path": "/a/b"}])]),
    "/Workspace in front": ([with_(folders=["/a/b"])], [with_(folders=["/Workspace/a/b"])]),
    "keys in another order": ([ENTRY], [dict(reversed(ENTRY.items()))]),
}


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [
        ({"client_id": A}, {"client_id": B}, ["adb-1"]),
        ({"client_id": A}, {}, ["adb-1"]),
        ({}, {"client_id": B}, []),
        ({"client_id": A}, {"client_id": A.upper()}, []),
    ],
)
def test_a_workspace_with_another_service_principal_is_named(
    old: dict[str, str], new: dict[str, str], replaced: list[str]
) -> None:
    """The ID can be in the entry or in the defaults."""
    host = {"host": HOST}
    in_entry = settings(WORKSPACES=[host | old])
    in_defaults = settings(WORKSPACES=[host], WORKSPACE_DEFAULTS=new)
    assert Deployment(in_entry, in_defaults).replaced_principals() == replaced


def test_a_replaced_principal_s_credential_is_named_with_a_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with click.Context(main):
        show_deployment(DeployReport("different", replaced_principals=("adb-1",)), render.console())
    words = " ".join(capsys.readouterr().out.split())
    assert words.count("onboard --remove --settings FILE") == 1


def test_no_folders_instead_of_those_of_the_defaults_is_a_change() -> None:
    defaults = {"WORKSPACE_DEFAULTS": {"folders": ["/Repos/prod/*"]}}
    before = running(WORKSPACES=[{"host": HOST}], **defaults)
    found = deploy(before, settings(WORKSPACES=[{"host": HOST, "folders": []}], **defaults))
    assert [(each.action, each.key, each.new) for each in found.changes()] == [("added", "folders", "[]")]
    assert [each.code for _, each in found.left_behind()] == ["pattern_removed"]


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=SAME)
def test_what_means_the_same_changes_no_setting(old: object, new: object) -> None:
    assert shown(old, new) == []
    assert not deploy(running(WORKSPACES=old), settings(WORKSPACES=new)).changes_app


CHANGED: dict[str, tuple[object, object, list[tuple[str | None, ...]]]] = {
    "a workspace more": ([ENTRY], [ENTRY, OTHER], [("added", "adb-2", None, None, None, OTHER)]),
    "a workspace less": (
        [OTHER, ENTRY],
        [OTHER],
        [("removed", "production", None, None, f"{HOST}, 2 Git folders", None)],
    ),
    "another name": (
        [ENTRY],
        [with_(name="prod")],
        [("changed", "prod", None, "name", '"production"', '"prod"')],
    ),
    "another address": (
        [ENTRY],
        [with_(host=OTHER)],
        [("changed", "production", None, "host", f'"{HOST}"', f'"{OTHER}"')],
    ),
    "a key more": (
        [ENTRY],
        [with_(additional_principal_ids=[7])],
        [("added", "production", None, "additional_principal_ids", None, "[7]")],
    ),
    "a key less": (
        [with_(auth="managed_identity")],
        [ENTRY],
        [("removed", "production", None, "auth", '"managed_identity"', None)],
    ),
    "true for 1": (
        [with_(additional_principal_ids=[True])],
        [with_(additional_principal_ids=[1])],
        [("changed", "production", None, "additional_principal_ids", "[true]", "[1]")],
    ),
    "a folder more": (
        [ENTRY],
        [with_(folders=[*ENTRY["folders"], "/x"])],
        [("added", "production", "/x", None, None, "")],
    ),
    "a folder less": (
        [ENTRY],
        [with_(folders=["/Repos/etl/test"])],
        [("removed", "production", "/Repos/etl/prod", None, f'url "{URL}", branch "main"', None)],
    ),
    "another branch": (
        [ENTRY],
        [with_(folders=[{**FOLDER, "branch": "dev"}, "/Repos/etl/test"])],
        [("changed", "production", "/Repos/etl/prod", "branch", '"main"', '"dev"')],
    ),
    "a tag for a branch": (
        [with_(folders=[{"path": "/a", "branch": "main"}])],
        [with_(folders=[{"path": "/a", "tag": "v1"}])],
        [
            ("added", "production", "/a", "tag", None, '"v1"'),
            ("removed", "production", "/a", "branch", '"main"', None),
        ],
    ),
    "no workspace, no folder": (
        [5, with_(folders=[7])],
        [6, with_(folders=[7])],
        [("changed", "WORKSPACES[0]", None, "", "5", "6")],
    ),
    "a name twice": (
        [ENTRY],
        [ENTRY, ENTRY],
        [("added", "production, WORKSPACES[1]", None, None, None, f"{HOST}, 2 Git folders")],
    ),
}


@pytest.mark.parametrize(("old", "new", "changes"), CHANGED.values(), ids=CHANGED)
def test_a_difference_is_named_by_workspace_folder_and_key(
    old: object, new: object, changes: list[tuple[str | None, ...]]
) -> None:
    assert shown(old, new) == changes
    assert deploy(running(WORKSPACES=old), settings(WORKSPACES=new)).changes_app


LEFT: dict[str, tuple[object, object, list[tuple[str, str]]]] = {
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


@pytest.mark.parametrize(("old", "new", "codes"), LEFT.values(), ids=LEFT)
def test_what_an_entry_leaves_behind_in_its_workspace_is_named(
    old: object, new: object, codes: list[tuple[str, str]]
) -> None:
    found = deploy(running(WORKSPACES=old), settings(WORKSPACES=new)).left_behind()
    assert [(name, each.code) for name, each in found] == codes
    assert all(each.code == "workspace_removed" or HOST in each.remedy for _, each in found)


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("client_id", "dose" + "0a" * 16),
        ("client_secret", "hunter2"),
        ("git_username", "eyJ0eXAiOiJKV1QiLCJhbGciOi.eyJhdWQiOiI0OTli.c2lnbmF0dXJl"),
    ],
)
def test_no_change_shows_a_secret(key: str, secret: str) -> None:
    for old, new in ((ENTRY, with_(**{key: secret})), (with_(**{key: secret}), with_(**{key: "x"}))):
        found = repr(deploy(running(WORKSPACES=[old]), settings(WORKSPACES=[new])).changes())
        assert secret not in found
        assert "***" in found


def test_no_change_shows_what_a_key_further_in_calls_a_secret() -> None:
    secret = with_(database={"password": "hunter2"})
    found = repr(deploy(running(WORKSPACES=[secret]), settings(WORKSPACES=[ENTRY])).changes())
    assert "hunter2" not in found
    assert "***" in found


def test_the_repr_of_a_deployment_has_no_setting() -> None:
    assert "canary" not in repr(deploy(running(SOME_KEY="canary"), settings(KEY_VAULT_URL="canary")))


SET = {
    "what the file does not have stays": (
        running(KEY_VAULT_URL="v", TRUSTED_HOSTS="a.b"),
        settings(REFRESH_CONCURRENCY="16"),
        {"REFRESH_CONCURRENCY": "16"},
    ),
    "defaults of a list without any are removed": (
        running(WORKSPACE_DEFAULTS={"client_id": "a"}),
        settings(WORKSPACES=[ENTRY]),
        {"WORKSPACE_DEFAULTS": "{}"},
    ),
    "no defaults for a list without any are none": (running(), settings(WORKSPACES=[ENTRY]), {}),
    "the template's settings are never set": (
        running(),
        settings(REFRESH_SCHEDULE="0 0 * * * *", FAN_OUT="queue", AZURE_CLIENT_ID="b"),
        {},
    ),
    "what is no setting of this app is never set": (running(), settings(SOMETHING="new", PATH="/x"), {}),
    "a setting that the file empties is removed": (
        running(TRUSTED_HOSTS="a.b"),
        settings(TRUSTED_HOSTS=" "),
        {"TRUSTED_HOSTS": None},
    ),
    "JSON is set without white space": (
        running(),
        {"WORKSPACES": '[\n  "https://é"\n]'},
        {"WORKSPACES": '["https://é"]'},
    ),
    "a list that is broken in the app is replaced": (
        running(WORKSPACES="[{"),
        settings(WORKSPACES=[HOST]),
        {"WORKSPACES": json.dumps([HOST])},
    ),
    "the first list ends the first deployment's pause": (
        FIRST,
        settings(WORKSPACES=[HOST]),
        {"WORKSPACES": json.dumps([HOST]), PAUSE: None},
    ),
    "without a list the first deployment's pause stays": (
        FIRST,
        settings(KEY_VAULT_URL="b"),
        {"KEY_VAULT_URL": "b"},
    ),
    "with an empty list it stays, too": (
        {**FIRST, "WORKSPACES": ""},
        settings(KEY_VAULT_URL="b"),
        {"KEY_VAULT_URL": "b"},
    ),
    "a pause by hand stays": (
        running(**{PAUSE: "true"}),
        settings(WORKSPACES=[HOST]),
        {"WORKSPACES": json.dumps([HOST])},
    ),
}


@pytest.mark.parametrize(("existing", "file", "changed"), SET.values(), ids=SET)
def test_only_what_a_file_says_of_its_own_settings_is_set(
    existing: dict[str, str], file: dict[str, str], changed: dict[str, str | None]
) -> None:
    deployment = deploy(existing, file)
    assert set_by(deployment) == changed
    assert deployment.changes_app == bool(changed)


def test_what_stays_and_what_is_never_set_is_named() -> None:
    deployment = deploy(
        running(KEY_VAULT_URL="v", TRUSTED_HOSTS="a.b"),
        settings(WORKSPACES=[HOST], REFRESH_SCHEDULE="0 0 * * * *", FAN_OUT="off", AZURE_CLIENT_ID="b"),
    )
    assert deployment.staying == ("KEY_VAULT_URL", "TRUSTED_HOSTS")
    assert deployment.not_set == ("REFRESH_SCHEDULE", "AZURE_CLIENT_ID")


def test_the_previous_values_are_kept_and_put_back_together() -> None:
    first = running(KEY_VAULT_URL="a", WORKSPACE_DEFAULTS={"client_id": "a"})
    second = deploy(first, settings(WORKSPACES=[OTHER], KEY_VAULT_URL="b", TRUSTED_HOSTS="x.y")).wanted
    back = restore(second)
    assert back is not None
    assert {name: back.wanted.get(name) for name in SET_BY_DEPLOY} == {
        name: first.get(name) for name in SET_BY_DEPLOY
    }
    again = restore(back.wanted)
    assert again is not None
    assert not again.changes_app


@pytest.mark.parametrize(
    "existing",
    [running(), FIRST, deploy(FIRST, settings(WORKSPACES=[HOST])).wanted],
    ids=["nothing was deployed before", "it waits for its first list", "before, it had no list"],
)
def test_without_a_previous_list_nothing_is_put_back(existing: Mapping[str, str]) -> None:
    assert restore(existing) is None


def test_previous_values_are_put_back_all_or_none() -> None:
    changed = deploy(running(), settings(WORKSPACES=[OTHER])).wanted
    for name in PREVIOUS.values():
        assert restore({key: value for key, value in changed.items() if key != name}) is None


def test_a_file_that_previous_would_put_back_is_recognized() -> None:
    changed = deploy(running(), settings(WORKSPACES=[OTHER])).wanted
    assert deploy(changed, settings(WORKSPACES=[ENTRY])).is_previous
    assert not deploy(changed, settings(WORKSPACES=[HOST])).is_previous
    assert not deploy(changed, settings(WORKSPACES=[OTHER])).is_previous, "nothing changes"


def test_previous_settings_are_no_misspelled_and_no_unknown_ones() -> None:
    assert near_misses(dict.fromkeys(PREVIOUS.values(), "")) == {}
    assert unknown_names(PREVIOUS.values()) == []
    assert unknown_names(["PREVIOUS_FAN_OUT"]) == ["PREVIOUS_FAN_OUT"]


@pytest.mark.parametrize(
    ("trusted", "file", "new"),
    [
        ("", "a.b.c, .d.e", [".d.e", "a.b.c"]),
        ("A.b.c", "a.b.c", []),
        (".b.c", "a.b.c,x.a.b.c,.a.b.c", []),
        ("a.b.c", ".b.c", [".b.c"]),
        (".b.c", "b.c", ["b.c"]),
        ("::1", "0:0::1,10.0.0.1", ["10.0.0.1"]),
    ],
)
def test_a_host_is_newly_trusted_unless_the_app_trusts_it(trusted: str, file: str, new: list[str]) -> None:
    deployment = deploy(running(TRUSTED_HOSTS=trusted), settings(TRUSTED_HOSTS=file))
    assert deployment.newly_trusted() == new


def test_a_host_that_previous_trusts_again_is_newly_trusted() -> None:
    changed = deploy(running(TRUSTED_HOSTS="a.b.c"), settings(TRUSTED_HOSTS="d.e.f")).wanted
    back = restore(changed)
    assert back is not None
    assert back.newly_trusted() == ["a.b.c"]


ROOM = MOST_BYTES - len("PREVIOUS_WORKSPACES=")


@pytest.mark.parametrize(("size", "fits"), [(ROOM, True), (ROOM + 1, False)])
def test_a_list_fits_if_it_can_be_kept_as_the_previous_one(size: int, *, fits: bool) -> None:
    text = json.dumps([f"https://{'x' * (size - len('["https://"]'))}"])
    assert len(text) == size
    assert list(deploy(running(), {"WORKSPACES": text}).too_long()) == (
        [] if fits else [("WORKSPACES", size, ROOM)]
    )
    replaced = deploy(running(WORKSPACES=text), settings(WORKSPACES=[HOST]))
    assert replaced.keeps_previous == fits
    assert any(name in replaced.wanted for name in PREVIOUS.values()) == fits


@pytest.mark.parametrize(
    ("existing", "ours"),
    [
        (FIRST, True),
        ({"AZURE_CLIENT_ID": "x", "FUNCTIONS_EXTENSION_VERSION": "~4"}, False),
        ({"KEY_VAULT_URL": "https://fabrikam.vault.azure.net", "TRUSTED_HOSTS": "shop.example"}, False),
        ({}, False),
    ],
)
def test_an_app_without_settings_of_this_one_is_another(existing: dict[str, str], *, ours: bool) -> None:
    assert is_ours(existing) == ours


TEXTS = st.sampled_from(["", "a", "b.c", ".c"])
LISTS = st.sampled_from([json.dumps(value) for value in ([HOST], [OTHER], [ENTRY], [ENTRY, OTHER])])
DEFAULTS = st.sampled_from(["", "{}", '{"client_id": "a"}'])
FILES = st.fixed_dictionaries(
    {},
    optional={
        "WORKSPACES": LISTS,
        "WORKSPACE_DEFAULTS": DEFAULTS,
        "KEY_VAULT_URL": TEXTS,
        "TRUSTED_HOSTS": TEXTS,
        "REFRESH_CONCURRENCY": TEXTS,
        "REFRESH_SCHEDULE": TEXTS,
        "SOMETHING": TEXTS,
        PAUSE: st.just("true"),
    },
)
OF_ANOTHER_ADMIN = st.dictionaries(
    st.sampled_from(["SOMETHING", "NEW", "REFRESH_SCHEDULE", PAUSE, "WORKSPACES", "TRUSTED_HOSTS"]), TEXTS
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deploy"), FILES),
        st.tuples(st.just("previous"), st.just({})),
        st.tuples(st.just("another admin"), OF_ANOTHER_ADMIN),
    ),
    max_size=12,
)
OURS = {*SET_BY_DEPLOY, *PREVIOUS.values()}


@given(st.sampled_from([FIRST, running(), {}]), STEPS)
def test_whatever_is_deployed_settings_of_others_stay(
    start: dict[str, str], steps: list[tuple[str, dict[str, str]]]
) -> None:
    existing: Mapping[str, str] = start
    for kind, values in steps:
        if kind == "another admin":
            existing = {**existing, **values}
            continue
        deployment = deploy(existing, values) if kind == "deploy" else restore(existing)
        if deployment is None:
            continue
        after = deployment.wanted
        of_others = {name: value for name, value in existing.items() if name not in OURS}
        ended = {PAUSE} if deployment.resumes else set()
        assert {name: value for name, value in after.items() if name not in OURS} == {
            name: value for name, value in of_others.items() if name not in ended
        }
        assert not ended or (deployment.is_first and after["WORKSPACES"] and not is_paused(after))
        second = deploy(after, values) if kind == "deploy" else restore(after)
        assert second is not None
        assert not second.changes_app, "the same command again finds nothing to do"
        if kind == "deploy" and deployment.changes_app and existing.get("WORKSPACES", "").strip():
            back = restore(after)
            assert back is not None
            assert {name: back.wanted.get(name, "").strip() for name in SET_BY_DEPLOY} == {
                name: existing.get(name, "").strip() for name in SET_BY_DEPLOY
            }
        existing = after
