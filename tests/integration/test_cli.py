"""The command line as a process: exit codes, and what goes to stdout and stderr."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from git_refresh import __version__
from localcloud import Cloud, Fleet

ROOT = Path(__file__).parents[2]
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(cloud: Cloud) -> Cli:
    def cli(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "git_refresh", *map(str, arguments)]
        environ = {**os.environ, **cloud.environment(), **settings, "COLUMNS": "120"}
        return subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    return cli


@pytest.fixture
def settings_file(fleet: Fleet, tmp_path: Path) -> Path:
    file = tmp_path / "local.settings.json"
    file.write_text(json.dumps({"IsEncrypted": False, "Values": dict(fleet.settings)}))
    return file


def test_a_run_prints_one_json_object_and_logs_to_stderr(cli: Cli, fleet: Fleet) -> None:
    done = cli("run", "--json", **fleet.settings)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["result"], len(report["workspaces"])) == ("ok", 3)
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert events == ["git_refresh.workspace"] * 3 + ["git_refresh.run"]


def test_a_run_for_people_is_a_table(cli: Cli, settings_file: Path) -> None:
    done = cli("run", "--settings", settings_file)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 workspaces fresh" in done.stdout
    assert "/Repos/reports/prod" in done.stdout
    assert "\x1b[" not in done.stdout, "no colour where it is no terminal"
    assert done.stderr == ""


def test_the_settings_of_the_file_take_the_place_of_the_environment_s(cli: Cli, settings_file: Path) -> None:
    assert cli("run", "--settings", settings_file, WORKSPACES="[", FAN_OUT="nonsense").returncode == 0


def test_a_failed_run_exits_with_1_and_says_what_to_do(cli: Cli, cloud: Cloud, fleet: Fleet) -> None:
    cloud.devops.organization("contoso").remove_member(cloud.identity.object_id)
    done = cli("run", **fleet.settings)
    assert done.returncode == 1
    assert "✗ data-1  devops_not_a_member" in done.stdout
    assert cloud.identity.object_id in done.stdout


WRONG = {
    "no WORKSPACES": ({"WORKSPACES": ""}, "WORKSPACES: is missing"),
    "not JSON": ({"WORKSPACES": "nonsense"}, "WORKSPACES: is not valid JSON: line 1, column 1"),
    "no array": ({"WORKSPACES": "{}"}, "WORKSPACES: must be an array"),
    "no vault": ({"KEY_VAULT_URL": ""}, "KEY_VAULT_URL: is missing"),
}


@pytest.mark.parametrize(("changes", "line"), WRONG.values(), ids=WRONG)
def test_wrong_settings_exit_with_2_and_nothing_is_run(
    cli: Cli, cloud: Cloud, fleet: Fleet, changes: dict[str, str], line: str
) -> None:
    done = cli("run", **{**fleet.settings, **changes})
    assert (done.returncode, done.stdout) == (2, "")
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    as_json = cli("run", "--json", **{**fleet.settings, **changes})
    assert as_json.returncode == 2
    report = json.loads(as_json.stdout)
    assert f"{report['problems'][0]['where']}: {report['problems'][0]['message']}".startswith(line)
    assert cloud.requests == []


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "cannot be read as JSON: line 1, column 2"),
        ("[]", "must have the form"),
        ('{"Values": {"WORKSPACES": ["https://x"]}}', "Values.WORKSPACES: must be text in double quotes"),
        ("\xff", "cannot be read as JSON"),
    ],
)
def test_a_settings_file_that_cannot_be_used_exits_with_2(
    cli: Cli, tmp_path: Path, content: str, line: str
) -> None:
    file = tmp_path / "settings.json"
    file.write_text(content, encoding="latin-1")
    done = cli("run", "--settings", file)
    assert done.returncode == 2
    assert line in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["run", "--nonsense"], ["nonsense"], ["run", "--settings", "/none/such"]]
)
def test_wrong_usage_exits_with_2(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_help_and_version_need_no_settings(cli: Cli) -> None:
    assert "run" in cli("--help").stdout
    assert __version__ in cli("--version").stdout


def test_without_the_command_line_s_libraries_it_says_what_to_do(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError(\"No module named 'click'\", name='click')")
    done = cli("run", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("The command line needs click")
