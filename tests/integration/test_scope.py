"""--only and --folder over the local emulator: other workspaces get no request."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcloud import Cloud, Fault, Fleet, faults
from tests.support import warm
from tools.queries import ROOT

Cli = Callable[..., subprocess.CompletedProcess[str]]
ETL, REPORTS = "/Repos/etl/prod", "/Repos/reports/prod"


@pytest.fixture
def cli(cloud: Cloud, fleet: Fleet) -> Cli:
    """Return a function that runs a command with the fleet's settings."""

    def cli(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, **cloud.environment(), **fleet.settings, **settings, "COLUMNS": "160"}
        done = warm.run(*arguments, environ=environ)
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return cli


def entries(fleet: Fleet) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(fleet.settings["WORKSPACES"])
    return listed


def asked(cloud: Cloud) -> set[str]:
    """Return the workspaces that got a request."""
    return {request.host for request in cloud.requests if request.service == "databricks"}


def test_a_run_of_one_workspace_asks_no_other(cli: Cli, cloud: Cloud, fleet: Fleet) -> None:
    done = cli("run", "--only", "data-2", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["result"], [each["name"] for each in report["workspaces"]]) == ("ok", ["data-2"])
    assert asked(cloud) == {fleet.workspaces[1].host}
    assert [len(workspace.credentials) for workspace in fleet.workspaces] == [0, 1, 0]


def test_a_run_of_one_folder_looks_at_no_other_and_stores_the_credential(
    cli: Cli, cloud: Cloud, fleet: Fleet
) -> None:
    head = fleet.repositories[0].commit({"new.txt": "new"})
    done = cli("run", "--only", "data-2", "--folder", f"/Workspace{ETL}/", "--json")
    assert done.returncode == 0, done.stderr
    ((workspace,),) = [json.loads(done.stdout)["workspaces"]]
    assert workspace["credential"]["action"] == "created"
    assert [(each["path"], each["action"], each["to"]) for each in workspace["folders"]] == [
        (ETL, "updated", head)
    ]
    assert asked(cloud) == {fleet.workspaces[1].host}
    assert fleet.workspaces[1].folder(REPORTS) is None
    assert not any("reports" in request.path for request in cloud.requests if request.service == "devops")


def test_only_the_folder_of_a_pattern_is_moved(cli: Cli, fleet: Fleet) -> None:
    victim = fleet.workspaces[0]
    mirror = victim.add_folder("/Repos/etl/mirror", fleet.repositories[0])
    before = mirror.head
    head = fleet.repositories[0].commit({"new.txt": "new"})
    listed = [{**entries(fleet)[0], "folders": ["/Repos/etl/*"]}]
    done = cli("run", "--folder", ETL, "--json", WORKSPACES=json.dumps(listed))
    assert done.returncode == 0, done.stderr
    ((folder,),) = [each["folders"] for each in json.loads(done.stdout)["workspaces"]]
    assert (folder["path"], folder["to"], mirror.head) == (ETL, head, before)
    there_is_none = cli("run", "--folder", "/Repos/etl/none", WORKSPACES=json.dumps(listed))
    assert there_is_none.returncode == 1
    assert "The app can see no Git folder at /Repos/etl/none" in there_is_none.stdout
    assert "(folder_not_listed)" in there_is_none.stdout


def test_another_workspace_s_entry_is_no_failure_of_this_run(cli: Cli, fleet: Fleet) -> None:
    first, second, third = entries(fleet)
    listed = json.dumps([first, {**second, "hots": 1}, {**third, "folders": ["x"]}])
    done = cli("run", "--only", "data-1", "--json", WORKSPACES=listed)
    assert (done.returncode, json.loads(done.stdout)["problems"]) == (0, [])
    failed = cli("run", "--only", "data-2,data-1", WORKSPACES=listed)
    assert failed.returncode == 1
    assert 'WORKSPACES[1].hots: is not a key of a workspace; did you mean "host"?' in failed.stdout
    assert "Refreshed 1 of 2 workspaces" in failed.stdout


def test_the_place_of_a_failure_is_that_in_the_whole_list(cli: Cli, cloud: Cloud, fleet: Fleet) -> None:
    cloud.inject(Fault(faults.status(403), host=fleet.workspaces[2].host, route="git-credentials"))
    for command in ("run", "plan", "check"):
        done = cli(command, "--only", "data-3")
        assert done.returncode == 1
        assert "data-3 (WORKSPACES[2])" in done.stdout, command


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("run", ["--only", "data-4"], '--only: "data-4" is not a workspace in the list'),
        ("plan", ["--only", ""], "--only: is empty"),
        (
            "check",
            ["--only", "data-1", "--folder", "/Repos/elt/prod"],
            '--folder: "/Repos/elt/prod" is not a Git folder of data-1',
        ),
    ],
)
def test_what_is_not_in_the_list_exits_with_2_and_nothing_is_run(
    cli: Cli, cloud: Cloud, command: str, options: list[str], said: str
) -> None:
    done = cli(command, *options)
    assert done.returncode == 2
    assert f"✗ {said}" in done.stdout + done.stderr
    as_json = cli(command, *options, "--json")
    assert as_json.returncode == 2
    report = json.loads(as_json.stdout)
    places = [
        each.get("location") or each["subject"] for each in report.get("problems", report.get("checks"))
    ]
    assert said.partition(":")[0] in places
    assert cloud.requests == []


@pytest.mark.parametrize("option", [["--only", "data-1"], ["--folder", ETL]])
def test_a_slice_is_a_part_by_itself(cli: Cli, cloud: Cloud, option: list[str]) -> None:
    done = cli("run", "--slice", "1", *option)
    assert done.returncode == 2
    assert "--slice cannot be combined with --only or --folder" in done.stderr
    assert cloud.requests == []


def test_the_exit_code_of_a_scoped_plan_is_about_its_scope(cli: Cli, cloud: Cloud, fleet: Fleet) -> None:
    cli("run", "--only", "data-1")
    cloud.requests.clear()
    quiet = cli("plan", "--only", "data-1", "--exit-code", "--changes")
    assert quiet.returncode == 0, quiet.stdout
    assert asked(cloud) == {fleet.workspaces[0].host}
    assert cli("plan", "--exit-code").returncode == 3
    fleet.repositories[0].commit({"new.txt": "new"})
    assert cli("plan", "--only", "data-1", "--folder", REPORTS, "--exit-code").returncode == 0
    assert cli("plan", "--only", "data-1", "--folder", ETL, "--exit-code").returncode == 3


def test_a_check_of_a_part_looks_at_no_more(cli: Cli, cloud: Cloud, fleet: Fleet) -> None:
    first, second, third = entries(fleet)
    listed = json.dumps([first, {**second, "hots": 1}, third])
    done = cli("check", "--only", "data-3", "--folder", ETL, WORKSPACES=listed)
    assert done.returncode == 0, done.stdout
    assert "✓ app settings: 1 of 3 workspaces, 1 Git folder" in done.stdout
    assert f"✓ data-3 {ETL}" in done.stdout
    assert REPORTS not in done.stdout
    assert asked(cloud) == {fleet.workspaces[2].host}


def test_offline_the_whole_list_is_checked_and_the_part_has_to_be_in_it(
    cli: Cli, cloud: Cloud, fleet: Fleet
) -> None:
    first, second, third = entries(fleet)
    listed = json.dumps([first, {**second, "hots": 1}, third])
    done = cli("check", "--offline", "--only", "data-1", WORKSPACES=listed)
    assert done.returncode == 2
    assert "✗ WORKSPACES[1].hots" in done.stdout
    both = cli("check", "--offline", "--only", "data-9", WORKSPACES=listed)
    assert both.returncode == 2
    assert "✗ WORKSPACES[1].hots" in both.stdout
    assert '✗ --only: "data-9" is not a workspace in the list' in both.stdout
    assert cli("check", "--offline", "--only", "data-1", "--folder", ETL).returncode == 0
    assert cloud.requests == []


@pytest.mark.parametrize(("only", "code"), [("data-2", 0), ("", 2), ("data-4", 2)])
def test_the_pipeline_s_line_pulls_what_its_variables_name(
    cloud: Cloud, fleet: Fleet, tmp_path: Path, only: str, code: int
) -> None:
    """The line is read from the pipeline's file; `az` is a fake."""
    workflow = yaml.safe_load((ROOT / "docs/pipelines/pull-on-merge.github.yml").read_text())
    step = workflow["jobs"]["pull"]["steps"][-1]
    deployed = [
        {"name": name, "slotSetting": False, "value": value} for name, value in fleet.settings.items()
    ]
    (tmp_path / "deployed.json").write_text(json.dumps(deployed))
    for name, does in (
        ("az", f"cat {tmp_path}/deployed.json"),
        ("python", f'exec {shlex.quote(sys.executable)} "$@"'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    named = {"APP": "app", "RESOURCE_GROUP": "group", "ONLY": only, "FOLDER": ETL}
    assert named.keys() == step["env"].keys()
    environ = {**os.environ, **cloud.environment(), **named, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    head = fleet.repositories[0].commit({"new.txt": "new"})
    line = [step["shell"], "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(
        line, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert asked(cloud) == ({fleet.workspaces[1].host} if code == 0 else set())
    folder = fleet.workspaces[1].folder(ETL)
    assert folder
    assert (folder.head == head) == (code == 0)
