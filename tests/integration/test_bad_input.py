"""Mistakes in settings: one clear line each, no request to a wrong host, and other workspaces run."""

import json
from collections.abc import Callable

import pytest

from git_refresh.run.report import Report
from localcloud import Cloud, Fleet

Run = Callable[..., Report]


@pytest.mark.parametrize(
    "host",
    [
        "https://adb-1.1.azuredatabricks.net.evil.example",
        "https://evil.example",
        "https://adb-1.1.azuredatabricks.net@evil.example",
        "http://adb-1.1.azuredatabricks.net",
        "https://adb-1.1.azuredatabricks.net:8443",
    ],
)
def test_a_host_that_is_not_trusted_gets_nothing_and_the_others_run(
    cloud: Cloud, fleet: Fleet, run: Run, host: str
) -> None:
    good = json.loads(fleet.settings["WORKSPACES"])
    report = run(WORKSPACES=json.dumps([*good, {"host": host}]))
    assert [workspace.result for workspace in report.workspaces] == ["ok", "ok", "ok", "rejected"]
    assert report.result == "failed"
    assert report.problems[0].location == "WORKSPACES[3].host"
    assert not cloud.refused, "nothing was even tried"


def test_a_folder_of_an_untrusted_host_costs_no_credential(cloud: Cloud, fleet: Fleet, run: Run) -> None:
    folders = [
        "/Repos/etl/prod",
        {"path": "/Repos/x/y", "url": "https://dev.azure.com.evil.example/a/b/_git/c"},
    ]
    report = run(WORKSPACES=json.dumps([{"host": fleet.workspaces[0].url, "folders": folders}]))
    (found,) = report.workspaces
    assert found.credential
    assert found.credential.action == "created"
    assert [(folder.path, folder.action) for folder in found.folders] == [
        ("/Repos/etl/prod", "unchanged"),
        ("/Repos/x/y", "failed"),
    ]
    assert found.folders[1].error
    assert found.folders[1].error.code == "invalid_folder"
    assert report.problems[0].location == "WORKSPACES[0].folders[1].url"
    assert not cloud.refused


def test_a_trusted_host_is_talked_to(cloud: Cloud, run: Run) -> None:
    report = run(
        TRUSTED_HOSTS=".databricks.contoso.com",
        WORKSPACES='["https://data.databricks.contoso.com"]',
    )
    assert report.workspaces[0].error
    assert report.workspaces[0].error.code == "workspace_unreachable"
    assert cloud.refused == ["data.databricks.contoso.com:443"]
