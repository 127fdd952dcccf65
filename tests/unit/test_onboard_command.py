"""Options that `onboard` and `rotate` refuse before any request."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from git_refresh.admin.grants import Grant
from git_refresh.cli.ask import ADD_APPLY
from git_refresh.cli.checks import Check, CheckReport
from git_refresh.cli.main import main
from git_refresh.cli.onboard import OnboardResult, OnboardView
from git_refresh.output.log import RedactingLogger
from git_refresh.output.shell import Command
from git_refresh.settings.names import SETTINGS

GUID = "5a1e0000-0000-4000-8000-000000000001"
LIST = {
    "REFRESH_SCHEDULE": "0 */15 * * * *",
    "AZURE_CLIENT_ID": GUID,
    "WORKSPACE_DEFAULTS": {"auth": "federated", "client_id": GUID},
    "WORKSPACES": ["https://adb-1.1.azuredatabricks.net"],
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.setenv(name, "")  # so the command's change is undone
        monkeypatch.delenv(name)


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="git-refresh")


@pytest.mark.parametrize(
    "name", ["REFRESH_SHEDULE", "REFRESH_SCHEDULE"], ids=["a misspelled schedule", "none in it"]
)
def test_a_list_that_the_check_rejects_offline_is_not_looked_at(tmp_path: Path, name: str) -> None:
    file = tmp_path / "workspaces.json"
    value = "" if name in LIST else LIST["REFRESH_SCHEDULE"]
    file.write_text(
        json.dumps({**{key: LIST[key] for key in LIST if key != "REFRESH_SCHEDULE"}, name: value})
    )
    assert typed("check", "--settings", str(file), "--offline").exit_code == 2
    done = typed("onboard", "--settings", str(file), "--apply", "--yes")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.removeprefix(f"Settings: {file}.\n").removeprefix(
        "Ignored in the file (not settings of this app): REFRESH_SHEDULE.\n"
    ) == (
        '✗ REFRESH_SCHEDULE: is missing, so Azure Functions never runs the function; write "0 */15 * * * *" for every 15 minutes\n'
    )


@pytest.mark.parametrize("command", ["onboard", "rotate"])
def test_a_yes_to_nothing_is_refused(command: str) -> None:
    done = typed(command, "--yes")
    assert (done.exit_code, "--yes needs --apply" in done.stderr) == (2, True)


@pytest.mark.parametrize(("days", "meant"), [("900d", "730d"), ("0d", "60d"), ("60", "60d"), ("soon", "60d")])
def test_days_are_shown_as_they_are_written(days: str, meant: str) -> None:
    done = typed("rotate", "--within", days)
    assert (done.exit_code, f"write {meant}" in done.stderr) == (2, True)


def grant(*, is_there: bool, code: str = "") -> Grant:
    made = Grant(
        "principal",
        "data-1",
        "service principal 1: in the workspace",
        "a workspace admin",
        Command("command"),
    )
    return made.lacks(code) if code else made.existing(is_=is_there)


GRANTED = "All permissions are granted. Next, deploy the list: deploy"
ENDS: dict[str, tuple[list[Grant], bool, str]] = {
    "all there, looked at": ([grant(is_there=True)], False, "No permission is missing."),
    "something to grant": ([grant(is_there=False)], False, ADD_APPLY),
    "all there": ([grant(is_there=True)], True, GRANTED),
    "one refused": (
        [grant(is_there=True), grant(is_there=False, code="grant_refused")],
        True,
        "1 permission is missing. Resolve the lines marked ✗, then run onboard again.",
    ),
    "two failed": (
        [grant(is_there=False, code=code) for code in ("grant_refused", "check_timed_out")],
        True,
        "2 permissions are missing. Resolve the lines marked ✗, then run onboard again.",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_last_line_says_what_is_left_to_do(end: str, capsys: pytest.CaptureFixture[str]) -> None:
    grants, applied, said = ENDS[end]
    checked = CheckReport((Check("settings", "app settings", "ok", "1 workspace"),)) if applied else None
    done = OnboardResult(tuple(grants), checked, applied=applied, interrupted=False)
    with click.Context(main):
        OnboardView(RedactingLogger(), {}, Command("deploy"), as_json=False).show_summary(done)
    shown = capsys.readouterr().out.splitlines()
    assert " ".join(shown[shown.index(next(line for line in shown if line.startswith(said[:12]))) :]) == said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--remove", "--apply"], "--remove cannot be combined"),
        (["--remove", "--new-principal", "git-refresh"], "--remove cannot be combined"),
        (["--only", "adb-1"], "need --remove"),
        (["--app", "contoso-git-refresh"], "need --remove"),
    ],
)
def test_options_of_removing_go_with_it_alone(options: list[str], said: str) -> None:
    done = typed("onboard", *options)
    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


def test_a_workspace_that_is_not_in_the_list_is_not_removed(tmp_path: Path) -> None:
    file = tmp_path / "workspaces.json"
    file.write_text(json.dumps(LIST))
    done = typed("onboard", "--settings", str(file), "--remove", "--only", "adb-2", "--json")
    assert done.exit_code == 2
    assert [problem["location"] for problem in json.loads(done.stdout)["problems"]] == ["--only"]
