"""The command line as a process: exit codes, stdout and stderr.

Most processes are forked from one with imported libraries; those of `fresh` are complete.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from git_refresh import __version__
from git_refresh.cli.checks import LAYERS
from localcloud import Cloud, Fault, Fleet, faults
from localcloud.fleet import CLIENT_ID
from tests.support import warm
from tests.support.terminal import on_a_terminal
from tools.queries import ROOT

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(cloud: Cloud) -> Cli:
    def cli(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, **cloud.environment(), **settings, "COLUMNS": "120"}
        done = warm.run(*arguments, environ=environ)
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return cli


@pytest.fixture
def fresh(cloud: Cloud) -> Cli:
    def fresh(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, **cloud.environment(), **settings, "COLUMNS": "120"}
        return subprocess.run(
            [sys.executable, "-m", "git_refresh", *map(str, arguments)],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return fresh


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
    assert events == ["git_refresh.settings"] + ["git_refresh.workspace"] * 3 + ["git_refresh.run"]


def test_a_run_for_people_is_a_table(fresh: Cli, settings_file: Path) -> None:
    done = fresh("run", "--settings", settings_file)
    assert done.returncode == 0, done.stderr
    assert "Refreshed 3 of 3 workspaces" in done.stdout
    assert "/Repos/reports/prod" in done.stdout
    assert "\x1b[" not in done.stdout + done.stderr, "no color without a terminal"
    _, *said = done.stderr.splitlines()
    lines = sorted(said)
    assert [re.sub(r"in [0-9.]+ s", "in … s", line) for line in lines] == [
        f"data-{n}: ok in … s: credential created, 1 Git folder unchanged, 1 Git folder created"
        for n in (1, 2, 3)
    ], "a line for each workspace, as it is done"


def test_the_settings_of_the_file_take_the_place_of_the_environment_s(cli: Cli, settings_file: Path) -> None:
    assert cli("run", "--settings", settings_file, WORKSPACES="[", FAN_OUT="nonsense").returncode == 0


def test_a_failed_run_exits_with_1_and_says_what_to_do(cli: Cli, cloud: Cloud, fleet: Fleet) -> None:
    cloud.devops.organization("contoso").remove_member(cloud.identity.object_id)
    done = cli("run", **fleet.settings)
    assert done.returncode == 1
    assert re.search(
        r"✗ data-1 \(WORKSPACES\[0\]\): Could not look up .* \(devops_not_a_member\)", done.stdout
    )
    assert cloud.identity.object_id in done.stdout


def test_a_slice_is_done_by_hand_by_its_number(cli: Cli, fleet: Fleet) -> None:
    entries = json.loads(fleet.settings["WORKSPACES"])
    own = "5a1e0000-0000-4000-8000-000000000009"  # its own identity and slice, unaffected
    changed = {**fleet.settings, "WORKSPACES": json.dumps([*entries[:2], {**entries[2], "identity": own}])}
    done = cli("run", "--slice", "1", "--json", **changed)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [workspace["name"] for workspace in report["workspaces"]] == ["data-1", "data-2"]
    assert (report["slice"], report["slices"]) == (1, 2)
    assert [bool(workspace.credentials) for workspace in fleet.workspaces] == [True, True, False]
    _, *events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {(event["run_id"], event["slice"]) for event in events} == {(report["run_id"], 1)}


@pytest.mark.parametrize("number", ["0", "2", "-1"])
def test_a_missing_slice_is_reported_and_nothing_runs(
    cli: Cli, cloud: Cloud, fleet: Fleet, number: str
) -> None:
    done = cli("run", "--slice", number, **fleet.settings)
    assert done.returncode == 2
    assert f'--slice: "{number}" does not exist: the list has only slice 1' in done.stderr
    assert cloud.requests == []


WRONG = {
    "no WORKSPACES": ({"WORKSPACES": ""}, "WORKSPACES: is missing"),
    "not JSON": ({"WORKSPACES": "[nonsense]"}, "WORKSPACES: is not valid JSON: line 1, column 2"),
}


@pytest.mark.parametrize(("changes", "line"), WRONG.values(), ids=WRONG)
def test_wrong_settings_exit_with_2_and_nothing_is_run(
    cli: Cli, cloud: Cloud, fleet: Fleet, changes: dict[str, str], line: str
) -> None:
    done = cli("run", **{**fleet.settings, **changes})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Settings: the environment.\n✗ {line}")
    assert done.stderr.splitlines()[2:] == ["No changes made."]
    as_json = cli("run", "--json", **{**fleet.settings, **changes})
    assert as_json.returncode == 2
    report = json.loads(as_json.stdout)
    assert f"{report['problems'][0]['location']}: {report['problems'][0]['message']}".startswith(line)
    assert cloud.requests == []


def test_a_settings_file_that_cannot_be_used_exits_with_2(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text("\xff", encoding="latin-1")
    done = cli("run", "--settings", file)
    assert done.returncode == 2
    assert "is not valid JSON: it is not UTF-8 text" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--nonsense"],
        ["nonsense"],
        ["run", "--settings", "/none/such"],
        ["plan", "file.json"],
        ["schema", "x"],
        [],
    ],
)
def test_wrong_usage_exits_with_2(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


# plan


def test_a_plan_says_what_a_run_will_do_and_why_and_writes_nothing(
    cli: Cli, cloud: Cloud, settings_file: Path
) -> None:
    done = cli("plan", "--settings", settings_file)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), "which settings were used"
    assert "  + Git credential: no credential for Azure DevOps exists\n" in done.stdout
    assert re.search(
        r"  = /Repos/etl/prod main \w{8}: it is at the latest commit of branch main\n", done.stdout
    )
    assert re.search(r"  \+ /Repos/reports/prod main \w{8}: nothing exists at this path\n", done.stdout)
    assert done.stdout.splitlines()[-1] == (
        "Plan: Git credentials: 3 to create, 0 to update. Git folders: 3 to create, 0 to update, 3 unchanged."
    )
    writes = {r.path for r in cloud.requests if r.method != "GET"}
    assert writes == {"/oidc/v1/token"}


def test_a_plan_that_meets_a_failure_exits_with_1_and_counts_it(cli: Cli, fleet: Fleet) -> None:
    fleet.workspaces[2].service_principal(CLIENT_ID, "dose" + "0" * 32)
    done = cli("plan", **fleet.settings)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith("2 unchanged. 1 failure.")
    assert "(not_in_workspace)" in done.stdout


def test_a_list_is_planned_for_in_place_of_the_one_that_is_set(
    cli: Cli, settings_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "workspaces.json"
    first = json.loads(json.loads(settings_file.read_text())["Values"]["WORKSPACES"])[0]
    file.write_text(json.dumps([first]))
    done = cli("plan", file, "--settings", settings_file)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "Plan: Git credentials: 1 to create, 0 to update. Git folders: 1 to create, 0 to update, 1 unchanged.",
    )


def test_the_exit_code_shows_a_pipeline_if_there_is_something_to_do(cli: Cli, fleet: Fleet) -> None:
    assert cli("plan", "--exit-code", **fleet.settings).returncode == 3
    assert cli("plan", **fleet.settings).returncode == 0
    cli("run", **fleet.settings)
    quiet = cli("plan", "--exit-code", "--changes", **fleet.settings)
    assert (quiet.returncode, quiet.stdout.splitlines()[:-1]) == (0, [""])
    fleet.repositories[0].commit({"more.txt": "more"})
    moved = cli("plan", "--exit-code", "--changes", **fleet.settings)
    assert moved.returncode == 3
    assert [line.split()[:2] for line in moved.stdout.splitlines() if line.startswith("  ")] == [
        ["~", "/Repos/etl/prod"]
    ] * 3


# Interrupts and pipes


def interrupt(process: ForkServerProcess, cloud: Cloud, path: str) -> None:
    """Press Ctrl-C after a request for this path."""
    asked = threading.Event()
    cloud.on_request = lambda request: asked.set() if path in request.path else None
    assert asked.wait(30)
    assert process.pid
    os.kill(process.pid, signal.SIGINT)
    process.join(30)


def test_an_interrupted_run_says_what_was_done_and_what_was_not(
    cloud: Cloud, fleet: Fleet, tmp_path: Path
) -> None:
    cloud.inject(Fault(faults.hang(), host=fleet.workspaces[1].host, route="git-credentials"))
    out, said = tmp_path / "out", tmp_path / "said"
    process = warm.start("run", "--json", environ={**os.environ, **fleet.settings}, stdout=out, stderr=said)
    interrupt(process, cloud, "/api/2.0/repos")
    assert process.exitcode == 130
    report = json.loads(out.read_text())
    codes = {ws["name"]: ws["error"] and ws["error"]["code"] for ws in report["workspaces"]}
    assert codes["data-2"] == "interrupted"
    done = {ws["credential"]["action"] for ws in report["workspaces"] if ws["credential"]}
    assert "created" in done, "folders are asked for when a credential is stored"
    assert "Traceback" not in said.read_text()


def test_an_interrupted_check_says_what_it_has_seen(cloud: Cloud, fleet: Fleet, tmp_path: Path) -> None:
    cloud.inject(Fault(faults.hang(), host=fleet.workspaces[1].host, route="git-credentials"))
    out = tmp_path / "out"
    process = warm.start("check", environ={**os.environ, **fleet.settings}, stdout=out)
    interrupt(process, cloud, "/api/2.0/repos")
    assert process.exitcode == 130
    assert re.search(r"✗ data-2.*\(interrupted\)", out.read_text())
    assert "✓ databricks-oauth-secret" in out.read_text()


def test_a_run_interrupted_during_sign_in_prints_whole_json_too(
    cloud: Cloud, fleet: Fleet, tmp_path: Path
) -> None:
    cloud.inject(Fault(faults.hang(), service="identity"))
    out, said = tmp_path / "out", tmp_path / "said"
    process = warm.start("run", "--json", environ={**os.environ, **fleet.settings}, stdout=out, stderr=said)
    interrupt(process, cloud, "/msi/token")
    assert process.exitcode == 130
    report = json.loads(out.read_text())
    assert [found["error"]["code"] for found in report["workspaces"]] == ["interrupted"] * 3
    assert report["tokens"] == []


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["plan"], ["check"], ["run", "--json"], ["schema"], ["explain"], ["explain", "--json"]],
)
def test_a_reader_of_only_the_first_line_causes_no_failure(
    fleet: Fleet, tmp_path: Path, arguments: list[str]
) -> None:
    pipe, said = tmp_path / "pipe", tmp_path / "said"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    process = warm.start(*arguments, environ={**os.environ, **fleet.settings}, stdout=pipe, stderr=said)
    while not said.exists():  # it opens this one after the pipe
        process.join(0.01)
    os.close(reader)
    process.join(30)
    assert process.exitcode == 0, said.read_text()
    assert "Traceback" not in said.read_text()
    assert "Broken pipe" not in said.read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        *(["run"], ["check"], ["check", "--json"], ["schema"], ["status"]),
        *(["explain"], ["explain", "--json"], ["explain", "git_conflict"]),
        *(
            ["deploy", "workspaces.json", "--app", "func-git-refresh"],
            ["deploy", "none.json", "--app", "func-git-refresh", "--json"],
        ),
    ],
)
def test_what_cannot_be_written_is_said_in_one_line(
    fleet: Fleet, tmp_path: Path, arguments: list[str]
) -> None:
    said = tmp_path / "said"
    for name in ("workspaces.json", "local.settings.json"):
        (tmp_path / name).write_text(json.dumps([{"host": fleet.workspaces[0].url, "name": name}]))
    (tmp_path / "none.json").write_text("5")
    arguments = [str(tmp_path / name) if name.endswith(".json") else name for name in arguments]
    process = warm.start(
        *arguments, environ={**os.environ, **fleet.settings}, stdout="/dev/full", stderr=said
    )
    process.join(30)
    assert process.exitcode == 1
    assert said.read_text().splitlines()[-1] == "Could not write the output: No space left on device."
    assert "Traceback" not in said.read_text()


def test_settings_are_read_from_stdin_too(fleet: Fleet) -> None:
    listed = [{"name": name, "value": value, "slotSetting": False} for name, value in fleet.settings.items()]
    done = subprocess.run(
        [sys.executable, "-m", "git_refresh", "check", "--offline", "--settings", "-"],
        cwd=ROOT,
        input=json.dumps(listed),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), "which settings were used"
    assert "✓ app settings: 3 workspaces, 6 Git folders" in done.stdout


# check


def test_check_prints_a_line_for_each_layer_and_exits_with_0(cli: Cli, settings_file: Path) -> None:
    done = cli("check", "--settings", settings_file)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), "which settings were used"
    headings = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert headings == [
        *(
            "Settings",
            "Identity",
            "Key Vault",
            "Azure DevOps",
            "Workspaces",
            "Git credentials",
            "Git folders",
        ),
        "Jobs were not checked. To check them, add --jobs.",
        "17 checks: 17 ok.",
    ]
    assert "  ✓ app settings: 3 workspaces, 6 Git folders\n" in done.stdout


def test_check_says_under_each_failure_what_to_do(cli: Cli, cloud: Cloud, fleet: Fleet) -> None:
    fleet.vault.deny(cloud.identity.object_id)
    done = cli("check", **fleet.settings)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("  ✗ "))
    assert lines[at].endswith("(key_vault_forbidden)")
    assert lines[at + 1].startswith("      The identity lacks the role Key Vault Secrets User")
    assert lines[at + 2].startswith(
        "      → Assign the role, and wait some minutes: az role assignment create"
    )
    because = 'skipped, because the secret "databricks-oauth-secret" cannot be used'
    assert f"  – data-1, data-2, data-3: {because}" in lines  # noqa: RUF001  # as it is printed
    assert lines[-1] == "13 checks: 3 ok, 1 failed, 9 skipped."


def test_check_for_machines_is_one_json_object(cli: Cli, fleet: Fleet) -> None:
    fleet.workspaces[2].service_principal(CLIENT_ID, "dose" + "0" * 32)
    done = cli("check", "--json", **fleet.settings)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["version"], report["result"]) == (1, "failed")
    assert all(
        check.keys() == {"layer", "subject", "status", "message", "error"} for check in report["checks"]
    )
    assert {check["status"] for check in report["checks"]} == {"ok", "failed", "skipped"}
    (failed,) = (check for check in report["checks"] if check["status"] == "failed")
    assert failed["error"].keys() == {"code", "message", "cause", "remedy"}


def test_check_of_unusable_settings_sends_no_request_and_exits_with_2(
    cli: Cli, cloud: Cloud, fleet: Fleet
) -> None:
    done = cli("check", "--json", **{**fleet.settings, "WORKSPACES": "[", "WORKSPACE": "[]"})
    assert done.returncode == 2
    checks = json.loads(done.stdout)["checks"]
    assert [(check["layer"], check["subject"], check["status"]) for check in checks] == [
        ("settings", "WORKSPACES", "failed"),
        *((name, "everything", "skipped") for name in LAYERS[1:-1]),
    ]
    assert cloud.requests == []


def test_check_of_jobs_too_is_skipped_by_settings_that_let_nothing_run(cli: Cli, fleet: Fleet) -> None:
    done = cli("check", "--jobs", "--json", **{**fleet.settings, "WORKSPACES": "["})
    checks = json.loads(done.stdout)["checks"]
    assert (done.returncode, checks[-1]["layer"], checks[-1]["status"]) == (2, "job", "skipped")


def test_check_goes_on_with_the_other_workspaces_and_exits_with_1(cli: Cli, fleet: Fleet) -> None:
    entries = [*json.loads(fleet.settings["WORKSPACES"]), {"host": "http://wrong", "name": "bad"}]
    done = cli("check", **{**fleet.settings, "WORKSPACES": json.dumps(entries)})
    assert done.returncode == 1
    assert '✗ WORKSPACES[3].host: "http://wrong" must start with https://' in done.stdout
    assert "– bad: skipped, because the entry in WORKSPACES is invalid" in done.stdout  # noqa: RUF001


def test_check_offline_sends_no_request(cli: Cli, cloud: Cloud, fleet: Fleet) -> None:
    done = cli("check", "--offline", **fleet.settings)
    assert (done.returncode, done.stdout) == (
        0,
        "Settings\n  ✓ app settings: 3 workspaces, 6 Git folders\n1 check: 1 ok.\n",
    )
    assert cloud.requests == []


def test_a_pipeline_checks_the_list_alone(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "workspaces.json"
    good = {
        "host": "https://adb-1.1.azuredatabricks.net",
        "client_id": "5a1e0000-0000-4000-8000-000000000001",
        "client_secret_name": "b",
    }
    file.write_text(json.dumps([good]))
    assert cli("check", file, "--offline").returncode == 0, "the vault is set elsewhere"
    file.write_text(json.dumps([{**good, "hots": 1}, {**good, "folders": ["x"]}]))
    done = cli("check", file, "--offline")
    assert done.returncode == 2
    assert '✗ WORKSPACES[0].hots: is not a key of a workspace; did you mean "host"?' in done.stdout
    assert '✗ WORKSPACES[1].folders[0].path: "x" must be an absolute path, like /Repos/etl/pro' in done.stdout
    file.write_text("[{“host”: 1}]")
    done = cli("check", file, "--offline", "--json")
    assert done.returncode == 2
    (check,) = json.loads(done.stdout)["checks"]
    assert (check["subject"], check["error"]["code"]) == (str(file), "invalid_settings")


def test_check_demands_the_schedule_of_all_settings_and_not_of_a_list(
    cli: Cli, cloud: Cloud, fleet: Fleet, tmp_path: Path
) -> None:
    values = {name: value for name, value in fleet.settings.items() if name != "REFRESH_SCHEDULE"}
    file = tmp_path / "workspaces.json"
    file.write_text(json.dumps(values))
    missing = "✗ REFRESH_SCHEDULE: is missing, "
    for arguments in (["--settings", file], []):
        done = cli("check", "--offline", *arguments, **(values if not arguments else {}))
        assert (done.returncode, missing in done.stdout) == (2, True)
        assert "✓ app settings" not in done.stdout
    assert cli("check", file, "--offline").returncode == 0
    file.write_text(fleet.settings["WORKSPACES"])
    defaults = {"WORKSPACE_DEFAULTS": fleet.settings["WORKSPACE_DEFAULTS"]}
    assert cli("check", file, "--offline", **defaults).returncode == 0
    assert cloud.requests == []


def test_a_schedule_that_makes_runs_fail_makes_check_fail(cli: Cli, cloud: Cloud, fleet: Fleet) -> None:
    cloud.identity.token_lifetime = 3600
    done = cli("check", **{**fleet.settings, "REFRESH_SCHEDULE": "0 0 */2 * * *"})
    assert done.returncode == 1
    assert "up to 120 minutes pass between two runs.  (token_expires_before_next_run)" in done.stdout


def test_a_list_is_checked_in_place_of_the_one_that_is_set(
    cli: Cli, settings_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "workspaces.json"
    first = json.loads(json.loads(settings_file.read_text())["Values"]["WORKSPACES"])[0]
    file.write_text(json.dumps([first]))
    done = cli("check", file, "--settings", settings_file)
    assert done.returncode == 0, done.stdout
    assert "✓ app settings: 1 workspace, 2 Git folders" in done.stdout


def test_without_any_settings_it_says_how_to_give_them(cli: Cli) -> None:
    for command in ("check", "plan", "run"):
        done = cli(command)
        assert done.returncode == 2
        assert "add --settings FILE" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "content", "reason"),
    [
        ("check", None, "No such file or directory"),
        ("plan", "none", "no certificates in it"),
        ("run", "none", "no certificates in it"),
    ],
)
def test_certificates_that_cannot_be_read_are_named(
    cli: Cli, fleet: Fleet, tmp_path: Path, command: str, content: str | None, reason: str
) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    done = cli(command, **{**fleet.settings, "REQUESTS_CA_BUNDLE": str(file)})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"cannot be read ({reason}); write the path of a file of certificates" in done.stdout + done.stderr


FORMS: dict[str, Callable[[dict[str, str]], object]] = {
    "a local.settings.json": lambda values: {"IsEncrypted": False, "Values": values},
    "settings by name": lambda values: {"$schema": "./docs/workspaces.schema.json", **values},
    "what az lists": lambda values: [{"name": name, "value": value} for name, value in values.items()],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_name_that_is_no_setting_is_pointed_out_in_every_file_of_them(
    cli: Cli, fleet: Fleet, tmp_path: Path, form: Callable[[dict[str, str]], object]
) -> None:
    more = {
        "REFRESH_TIMEOUT": "60",
        "CONCURRENCY": "8",
        "SLACK": "x",
        "FUNCTIONS_WORKER_RUNTIME": "python",
    }
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(form({**fleet.settings, **more})))
    done = cli("check", "--offline", "--settings", file)
    assert done.returncode == 0
    told = [line.partition("  (")[0] for line in done.stdout.splitlines() if line.startswith("  ! ")]
    assert sorted(told) == [
        "  ! CONCURRENCY: This is not a setting of this app; did you mean REFRESH_CONCURRENCY?",
        "  ! REFRESH_TIMEOUT: This is not a setting of this app; did you mean REFRESH_TIMEOUT_SECONDS?",
        "  ! SLACK: This is not a setting of this app or of its platform.",
    ]


# Output for people


def test_on_a_terminal_a_run_shows_live_what_each_workspace_is_at(cloud: Cloud, fleet: Fleet) -> None:
    shown = on_a_terminal(cloud, "run", **fleet.settings)
    assert "workspaces" in shown
    assert re.search(r"data-\d.*(signing in|storing the credential|/Repos/)", shown)
    assert re.search(r"\d:\d\d:\d\d", shown), "with its elapsed time"
    assert "Refreshed 3 of 3 workspaces" in shown
    assert "\x1b[32m" in shown, "in color"


def test_colour_is_never_used_against_no_color(cloud: Cloud, fleet: Fleet) -> None:
    for command in ("check", "plan", "run"):
        shown = on_a_terminal(cloud, command, NO_COLOR="1", **fleet.settings)
        assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", shown), command


def test_what_is_piped_is_utf_8_whatever_the_machine_s_encoding_is(fresh: Cli, settings_file: Path) -> None:
    done = fresh("check", "--settings", settings_file, "--offline", PYTHONIOENCODING="ascii")
    assert (done.returncode, "✓ app settings" in done.stdout) == (0, True), done.stderr


def test_help_and_version_need_no_settings(cli: Cli) -> None:
    help_ = cli("--help").stdout
    assert all(command in help_ for command in ("check", "plan", "run", "schema"))
    for command in ("check", "plan", "run"):
        assert "--json" in cli(command, "--help").stdout
    assert __version__ in cli("--version").stdout


def test_the_schema_is_the_one_that_is_checked_in(cli: Cli) -> None:
    done = cli("schema")
    assert (done.returncode, done.stdout) == (0, (ROOT / "docs/workspaces.schema.json").read_text())


def test_without_the_command_line_s_libraries_it_says_what_to_do(fresh: Cli, tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError(\"No module named 'click'\", name='click')")
    done = fresh("run", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("The command line needs click")
