"""Renamed settings: a warning, and their previous effect."""

import json
from datetime import timedelta
from typing import Any

import pytest

from git_refresh.cli.check_settings import check_settings
from git_refresh.cli.checks import CheckReport
from git_refresh.cli.render import show_check
from git_refresh.run.refresh import lateness
from git_refresh.settings.load import Settings, load
from tests.support.fake_fleet import NEW, host, run
from tests.support.fakes import FakeServices, FakeWorkspace
from tests.support.reports import console, text

ENTRY = {"host": host(1), "auth": "managed_identity"}


def settings(entry: dict[str, Any], defaults: dict[str, Any] | None = None) -> Settings:
    environ = {
        "WORKSPACES": json.dumps([{**ENTRY, **entry}]),
        "WORKSPACE_DEFAULTS": json.dumps(defaults or {}),
    }
    return load(environ)


def ids(found: Settings) -> tuple[int, ...]:
    (entry,) = found.entries
    return entry.workspace.additional_principal_ids  # type: ignore[union-attr]  # it is accepted


@pytest.mark.parametrize(
    ("entry", "defaults", "place", "expected"),
    [
        ({"run_as": [7]}, {}, "WORKSPACES[0].run_as", (7,)),
        ({}, {"run_as": [7]}, "WORKSPACE_DEFAULTS.run_as", (7,)),
        ({"run_as": [7]}, {"additional_principal_ids": [8]}, "WORKSPACES[0].run_as", (7,)),
        ({"additional_principal_ids": [7]}, {"run_as": [8]}, "WORKSPACE_DEFAULTS.run_as", (7,)),
        ({"run_as": [7, 8], "additional_principal_ids": [8]}, {}, "WORKSPACES[0].run_as", (8, 7)),
    ],
)
def test_the_old_key_of_further_principals_keeps_their_credential(
    entry: dict[str, Any], defaults: dict[str, Any], place: str, expected: tuple[int, ...]
) -> None:
    found = settings(entry, defaults)
    assert ids(found) == expected
    assert not found.problems
    (note,) = found.notes
    assert (note.location, note.severity) == (place, "warning")
    assert "was renamed" in note.message
    assert '"additional_principal_ids"' in note.message


@pytest.mark.parametrize("where", ["entry", "defaults"])
def test_the_old_value_of_on_conflict_does_what_it_did(where: str) -> None:
    folders = {"folders": [{"path": "/Repos/a/b", "on_conflict": "report"}]}
    found = settings(folders if where == "entry" else {}, folders if where == "defaults" else {})
    (entry,) = found.entries
    assert [folder.on_conflict for folder in entry.workspace.folders] == ["fail"]  # type: ignore[union-attr]
    assert not found.problems
    (note,) = found.notes
    assert note.location.endswith(".folders[0].on_conflict")
    assert '"fail"' in note.message


@pytest.mark.parametrize("value", [7, "7", {"id": 7}, [[]]])
def test_what_is_wrong_under_an_old_name_is_refused(value: object) -> None:
    (problem, *_) = settings({"run_as": value}).problems
    assert problem.location.startswith("WORKSPACES[0].additional_principal_ids")


def test_check_warns_of_an_old_name_with_a_code_of_its_own() -> None:
    environ = {"WORKSPACES": json.dumps([{**ENTRY, "run_as": [7]}])}
    found = check_settings(environ, [], load(environ), scheduled=False, named=())
    assert [(line.status, line.error.code) for line in found if line.error] == [
        ("warning", "setting_renamed")
    ]


def test_a_run_warns_of_an_old_name_and_stores_the_credential() -> None:
    workspace = FakeWorkspace()
    report = run(FakeServices({host(1): workspace}, {"main": NEW}), {"run_as": [4711], "folders": []})
    assert report.result == "ok"
    (problem,) = report.as_dict()["problems"]
    assert (problem["location"], problem["severity"]) == ("WORKSPACES[0].run_as", "warning")


def test_each_old_name_is_reported_with_its_new_one() -> None:
    entries = [
        {
            "host": host(number),
            "auth": "managed_identity",
            "run_as": [7],
            "folders": [{"path": "/Repos/a/b", "on_conflict": "report"}],
        }
        for number in range(1, 31)
    ]
    environ = {"WORKSPACES": json.dumps(entries)}
    report = CheckReport(tuple(check_settings(environ, [], load(environ), scheduled=False)))
    out = console(200)
    show_check(report, out)
    lines = [line for line in text(out).splitlines() if "was renamed" in line]
    assert len(lines) == 2
    assert all(('"fail"' in line) == ("on_conflict" in line) for line in lines)
    assert all(('"additional_principal_ids"' in line) == ("run_as" in line) for line in lines)


def test_a_run_separates_errors_and_warnings() -> None:
    bad = {"folders": ["not a path"]}
    report = run(
        FakeServices({host(1): FakeWorkspace()}, {"main": NEW}),
        bad,
        notes=lateness(timedelta(minutes=9), past_due=False),
    )
    severities = {each["location"]: each["severity"] for each in report.as_dict()["problems"]}
    assert severities == {"WORKSPACES[0].folders[0].path": "error", "timer": "warning"}
