"""`deploy` for admins and pipelines: their own session, over the emulated Azure Resource Manager."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from git_refresh.admin import resource_manager
from git_refresh.cli import deploy as deploy_command
from git_refresh.cli.ask import ADD_APPLY, NO_TERMINAL
from git_refresh.cli.main import main
from git_refresh.clients import rest
from git_refresh.model.clock import SystemClock
from git_refresh.settings.names import PREVIOUS, SET_BY_DEPLOY
from localcloud import Cloud, Fault, faults, seed
from localcloud.authority import OTHER_TENANT
from localcloud.fleet import APP, COMPONENT, PAUSE, Fleet
from localcloud.logs import Logs
from localcloud.observer import Request
from localcloud.people import Person
from localcloud.resource_manager import FunctionApp, throttled
from tests.support import warm
from tests.support.admin_laptop import laptop_of
from tests.support.failure_kinds import ONE_OF_EACH

pytestmark = pytest.mark.timeout(60)

CANARY = "correct-horse-battery"
SETTINGS_PATH = "/config/appsettings$"


@dataclass
class Stage:
    """A deployed app, its list without one workspace in a file, and a laptop that can deploy."""

    cloud: Cloud
    fleet: Fleet
    admin: Person
    environ: dict[str, str]
    file: Path

    @property
    def app(self) -> FunctionApp:
        return self.fleet.app

    def write(self, **settings: object) -> None:
        """Write the file as an object of settings with defaults."""
        defaults = json.loads(self.fleet.settings["WORKSPACE_DEFAULTS"])
        self.file.write_text(json.dumps({"WORKSPACE_DEFAULTS": defaults, **settings}))

    def deploy(self, *arguments: str, file: bool = True) -> subprocess.CompletedProcess[bytes]:
        typed = [*([str(self.file)] if file else []), "--app", APP, *arguments]
        return warm.run("deploy", *typed, environ=self.environ)

    def apply(self, *arguments: str, file: bool = True) -> tuple[int, dict[str, Any]]:
        return self.report("--apply", "--yes", *arguments, file=file)

    def report(self, *arguments: str, file: bool = True) -> tuple[int, dict[str, Any]]:
        done = self.deploy("--json", *arguments, file=file)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def fail(self, action: faults.Action, route: str = SETTINGS_PATH, **where: Any) -> None:
        self.cloud.inject(Fault(action, service="resource_manager", route=route, **where))

    @property
    def written(self) -> list[str]:
        """The requests that change something."""
        return [
            f"{seen.method} {seen.path.rpartition('/')[2]}"
            for seen in self.cloud.requests
            if seen.service == "resource_manager" and seen.method in {"PUT", "PATCH"}
        ]


def workspaces(settings: Mapping[str, str]) -> list[Any]:
    found: list[Any] = json.loads(settings["WORKSPACES"])
    return found


@pytest.fixture
def stage(cloud: Cloud, tmp_path: Path) -> Stage:
    fleet = seed(cloud, 2)
    admin = cloud.person("ada")
    fleet.app.group.assign(admin.object_id, "Website Contributor", "Monitoring Contributor")
    fleet.app.settings["OF_OTHERS"] = CANARY
    file = tmp_path / "workspaces.json"
    stage = Stage(cloud, fleet, admin, laptop_of(admin, cloud, tmp_path / "az"), file)
    stage.write(WORKSPACES=workspaces(fleet.settings)[:1])
    return stage


@pytest.fixture
def new_stage(stage: Stage) -> Stage:
    """Return the stage after the first deployment of infra/: no list, paused, alert rules off."""
    del stage.app.settings["WORKSPACES"]
    stage.app.settings.pop("WORKSPACE_DEFAULTS", None)
    stage.app.settings[PAUSE] = "true"
    for rule in stage.app.group.alert_rules:
        rule.enabled = False
    return stage


def assert_of_others_unchanged(stage: Stage, before: Mapping[str, str]) -> None:
    ours = {*SET_BY_DEPLOY, *PREVIOUS.values(), PAUSE}
    assert {name: value for name, value in stage.app.settings.items() if name not in ours} == {
        name: value for name, value in before.items() if name not in ours
    }


# Effects


def test_without_apply_it_shows_the_changes_and_sets_nothing(stage: Stage) -> None:
    before = dict(stage.app.settings)
    done = stage.deploy()
    shown = done.stdout.decode()
    second = workspaces(before)[1]["name"]
    assert done.returncode == 0, done.stderr
    assert f"- {second}: " in shown
    assert "(workspace_removed)" in shown
    assert "The next run starts at " in shown
    assert shown.splitlines()[-1] == ADD_APPLY
    assert (stage.written, stage.app.settings) == ([], before)
    assert stage.deploy("--exit-code").returncode == 3


def test_apply_sets_the_list_and_keeps_the_previous_values(stage: Stage) -> None:
    before = dict(stage.app.settings)
    code, report = stage.apply()
    assert (code, report["result"], report["error"]) == (0, "deployed", None)
    assert len(workspaces(stage.app.settings)) == 1
    for name, previous in PREVIOUS.items():
        assert stage.app.settings[previous] == before.get(name, "")
    assert_of_others_unchanged(stage, before)
    assert stage.app.restarts == 1
    assert stage.apply()[1]["result"] == "same"
    assert stage.app.restarts == 1, "the same again restarts nothing"
    assert stage.deploy("--exit-code").returncode == 0


def test_previous_puts_back_what_was_there_and_can_be_repeated(stage: Stage) -> None:
    before = dict(stage.app.settings)
    stage.write(WORKSPACES=workspaces(before), KEY_VAULT_URL="https://other.vault.azure.net")
    assert stage.apply()[0] == 0
    assert stage.app.settings["KEY_VAULT_URL"] == "https://other.vault.azure.net"
    assert stage.apply("--previous", file=False)[0] == 0
    assert {name: stage.app.settings.get(name) for name in SET_BY_DEPLOY} == {
        name: before.get(name) for name in SET_BY_DEPLOY
    }
    code, report = stage.apply("--previous", file=False)
    assert (code, report["result"], stage.app.restarts) == (0, "same", 2)


def test_a_key_vault_reference_stays_and_is_put_back(stage: Stage) -> None:
    reference = "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/list)"
    stage.app.settings["WORKSPACES"] = reference
    assert stage.apply()[0] == 0
    code, report = stage.apply("--previous", file=False)
    assert (code, report["result"], stage.app.settings["WORKSPACES"]) == (0, "deployed", reference)
    assert ("WORKSPACES", "warning") in [(each["subject"], each["status"]) for each in report["checks"]]
    stage.write(WORKSPACES=reference + " ")
    del stage.app.settings["PREVIOUS_WORKSPACES"]
    stage.app.settings["WORKSPACES"] = "[]"
    assert stage.apply()[0] == 2


def test_the_first_list_enables_alerts_first_and_ends_the_pause(new_stage: Stage) -> None:
    rules = new_stage.app.group.alert_rules
    seen: list[bool] = []
    new_stage.app.on_save = lambda: seen.append(all(rule.enabled for rule in rules))
    code, report = new_stage.report()
    assert (code, report["ends_pause"], len(report["alerts_enabled"])) == (0, True, len(rules))
    assert new_stage.written == []
    code, report = new_stage.apply()
    assert (code, report["result"], seen) == (0, "deployed", [True])
    assert PAUSE not in new_stage.app.settings
    assert new_stage.written[-1] == "PUT appsettings"


def test_a_running_app_keeps_its_pause_and_alerts_that_are_off_are_named(stage: Stage) -> None:
    stage.app.settings[PAUSE] = "true"
    rule = stage.app.group.alert_rules[0]
    rule.enabled = False
    code, report = stage.apply()
    assert (code, report["ends_pause"], report["next_run"]) == (0, False, None)
    assert (stage.app.settings[PAUSE], rule.enabled) == ("true", False)
    (note,) = report["notes"]
    assert (note["code"], rule.name in note["message"]) == ("alert_rules_disabled", True)
    assert "function_disabled" in {check["error"]["code"] for check in report["checks"] if check["error"]}


def test_what_stays_and_what_is_never_set_is_named(stage: Stage) -> None:
    before = dict(stage.app.settings)
    stage.write(WORKSPACES=workspaces(before), REFRESH_SCHEDULE="0 0 * * * *", REFRESH_CONCURRENCY=8)
    code, report = stage.apply()
    assert (code, report["not_set"]) == (0, ["REFRESH_SCHEDULE"])
    assert "KEY_VAULT_URL" in report["staying"]
    assert stage.app.settings["REFRESH_SCHEDULE"] == before["REFRESH_SCHEDULE"]
    assert stage.app.settings["REFRESH_CONCURRENCY"] == "8"


def test_a_bare_list_removes_the_defaults_of_the_app_and_says_so(stage: Stage) -> None:
    stage.file.write_text(json.dumps(workspaces(stage.app.settings)))
    code, report = stage.apply()
    assert (code, stage.written) == (2, []), "its entries need them"
    assert [note["code"] for note in report["notes"]] == ["defaults_removed"]
    stage.file.write_text(
        json.dumps([{"host": "https://adb-1.1.azuredatabricks.net", "auth": "managed_identity"}])
    )
    code, report = stage.apply()
    assert (code, [note["code"] for note in report["notes"]]) == (0, ["defaults_removed"])
    assert stage.app.settings["WORKSPACE_DEFAULTS"] == "{}"


def test_a_mistake_in_the_settings_to_come_sets_nothing(stage: Stage) -> None:
    stage.write(WORKSPACES=["http://adb-1.1.azuredatabricks.net"])
    code, report = stage.apply()
    assert (code, report["result"], stage.written) == (2, "failed", [])
    assert "WORKSPACES[0].host" in {check["subject"] for check in report["checks"]}


# Trust


@pytest.fixture
def trusting(stage: Stage) -> Stage:
    stage.write(WORKSPACES=workspaces(stage.app.settings), TRUSTED_HOSTS="git.contoso.com")
    return stage


def test_yes_alone_trusts_no_new_host(trusting: Stage) -> None:
    done = trusting.deploy("--apply", "--yes")
    assert (done.returncode, trusting.written) == (2, [])
    assert f"--app {APP} --trust-host git.contoso.com --apply --yes" in done.stderr.decode()
    assert trusting.apply("--trust-host", ".fabrikam.com")[0] == 2
    assert trusting.apply("--trust-host", "git.contoso.com")[0] == 0
    assert trusting.app.settings["TRUSTED_HOSTS"] == "git.contoso.com"
    assert trusting.apply()[1]["result"] == "same"


def test_previous_alone_trusts_no_host_again(trusting: Stage) -> None:
    trusting.app.settings["TRUSTED_HOSTS"] = "old.contoso.com"
    assert trusting.apply("--trust-host", ".contoso.com")[0] == 0
    done = trusting.deploy("--previous", "--apply", "--yes", file=False)
    assert (done.returncode, trusting.app.restarts) == (2, 1)
    assert "--previous" in done.stderr.decode()
    assert trusting.apply("--previous", "--trust-host", "old.contoso.com", file=False)[0] == 0


@pytest.mark.parametrize(
    ("keys", "code", "set_"),
    [("y\n", 0, True), ("n\n", 2, False), ("\n", 2, False), ("\x04", 130, False)],
)
def test_at_a_terminal_a_new_host_is_asked_about_first(
    trusting: Stage, keys: str, code: int, *, set_: bool
) -> None:
    done = warm.on_terminal(
        "deploy",
        str(trusting.file),
        "--app",
        APP,
        "--apply",
        environ={**trusting.environ, "TERM": "dumb"},
        columns=200,
        keys={"git.contoso.com. Continue? [y/N]": keys, "restarts it. Continue? [y/N]": "y\n"},
    )
    shown = done.stdout.decode()
    assert (done.returncode, bool(trusting.written)) == (code, set_), shown
    assert shown.count("+ TRUSTED_HOSTS") == 1, shown


def test_without_a_terminal_nothing_is_set_without_yes(stage: Stage) -> None:
    done = stage.deploy("--apply")
    assert (done.returncode, stage.written) == (2, [])
    assert NO_TERMINAL in done.stderr.decode()


# Concurrent and repeated


def test_what_another_admin_changed_since_is_not_overwritten(stage: Stage) -> None:
    def change() -> None:
        stage.app.settings["KEY_VAULT_URL"] = "https://new.vault.azure.net"

    stage.fail(faults.before(change), f"{SETTINGS_PATH[:-1]}/list$", nth=2)
    code, report = stage.apply()
    assert (code, report["error"]["code"], stage.written) == (1, "app_settings_changed", [])
    assert stage.apply()[0] == 0
    assert stage.app.settings["KEY_VAULT_URL"] == "https://new.vault.azure.net"


def test_what_another_admin_changes_right_after_is_noticed(stage: Stage) -> None:
    def change() -> None:
        stage.app.settings["WORKSPACES"] = "[]"

    stage.fail(faults.before(change), f"{SETTINGS_PATH[:-1]}/list$", nth=4)
    code, report = stage.apply()
    assert (code, report["error"]["code"]) == (1, "app_settings_not_kept")
    assert stage.apply()[0] == 0


def test_a_lost_response_is_settled_by_reading(stage: Stage) -> None:
    stage.fail(faults.act_then(faults.reset()), method="PUT", times=1)
    code, report = stage.apply()
    assert (code, report["result"], stage.app.restarts) == (0, "deployed", 1)


def test_a_request_that_was_lost_before_is_reported(stage: Stage) -> None:
    stage.fail(faults.reset(), method="PUT", times=1)
    code, report = stage.apply()
    assert (code, report["error"]["code"], stage.app.restarts) == (1, "connection_lost", 0)
    assert stage.apply()[0] == 0


REFUSED: dict[str, tuple[faults.Action, str]] = {
    "429": (faults.status(429, throttled().body, {"Retry-After": "3600"}), "throttled"),
    "403": (
        faults.status(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}),
        "app_settings_forbidden",
    ),
    "409 of a lock": (
        faults.status(409, {"error": {"code": "ScopeLocked", "message": "no"}}),
        "azure_resource_locked",
    ),
    "503": (faults.status(503, "later"), "service_unavailable"),
}


@pytest.mark.parametrize(("action", "error"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_reported_with_its_code(stage: Stage, action: faults.Action, error: str) -> None:
    stage.fail(action, method="PUT", times=3)
    code, report = stage.apply()
    assert (code, report["error"]["code"], stage.app.restarts) == (1, error, 0)


@pytest.fixture
def impatient(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Return a stage with the command in this process and short timeouts."""
    for name, value in stage.environ.items():
        monkeypatch.setenv(name, value)
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(rest, "CALL_LIMIT_S", 2.0)
    monkeypatch.setattr(resource_manager, "BETWEEN_READS_S", 0.0)
    return stage


@pytest.mark.parametrize("route", ["/Microsoft.Web/sites$", "/appsettings/list$", "/appsettings$"])
@pytest.mark.parametrize("fault", ONE_OF_EACH)
def test_whatever_azure_answers_the_command_ends_with_a_code(
    impatient: Stage, fault: str, route: str
) -> None:
    impatient.cloud.inject(Fault(faults.NAMED[fault](), service="resource_manager", route=route))
    typed = ["deploy", str(impatient.file), "--app", APP, "--apply", "--yes", "--json"]
    done = CliRunner().invoke(main, typed)
    assert done.exit_code == 1, done.output
    assert json.loads(done.stdout)["error"]["code"] not in {"internal_error", "unknown"}
    assert impatient.app.restarts == 0


@pytest.mark.parametrize("fault", ONE_OF_EACH)
def test_alert_rules_that_cannot_be_listed_are_a_note(impatient: Stage, fault: str) -> None:
    impatient.cloud.inject(
        Fault(faults.NAMED[fault](), service="resource_manager", route="/scheduledQueryRules$")
    )
    done = CliRunner().invoke(main, ["deploy", str(impatient.file), "--app", APP, "--json"])
    (note,) = json.loads(done.stdout)["notes"]
    assert (done.exit_code, note["code"] in {"internal_error", "unknown"}) == (0, False)


def test_another_operation_in_progress_is_reported(stage: Stage) -> None:
    stage.app.busy = True
    code, report = stage.apply()
    assert (code, report["error"]["code"]) == (1, "app_update_in_progress")
    stage.app.busy = False
    assert stage.apply()[0] == 0


@pytest.mark.parametrize("when", ["before it is done", "when it is done"])
def test_killed_at_each_request_and_typed_again_it_ends_in_the_same_place(
    new_stage: Stage, when: str, tmp_path: Path
) -> None:
    stage = new_stage
    before = dict(stage.app.settings)
    running: list[ForkServerProcess] = []
    struck: set[tuple[str, str, int]] = set()
    counted: list[str] = []
    busy = threading.Event()

    def kill(request: Request) -> None:
        if request.service != "resource_manager" or busy.is_set():
            return
        counted.append(request.path)
        key = (request.method, request.path, counted.count(request.path))
        if key not in struck:
            struck.add(key)
            busy.set()
            running[-1].kill()
            if when == "before it is done":
                stage.cloud.inject(Fault(faults.reset(), service="resource_manager", times=1))

    arguments = ["deploy", str(stage.file), "--app", APP, "--apply", "--yes", "--json"]
    for _ in range(40):
        stage.cloud.on_request = kill
        busy.clear()
        counted.clear()
        running.append(warm.start(*arguments, environ=stage.environ, stdout=tmp_path / "out"))
        running[-1].join(50)
        stage.cloud.clear_faults()
        if running[-1].exitcode != -signal.SIGKILL:
            break
    stage.cloud.on_request = None
    assert running[-1].exitcode == 0
    assert len(struck) >= 10
    assert len(workspaces(stage.app.settings)) == 1
    assert PAUSE not in stage.app.settings
    assert all(rule.enabled for rule in stage.app.group.alert_rules)
    assert stage.app.restarts == 1
    assert all(stage.app.settings[previous] == before.get(name, "") for name, previous in PREVIOUS.items())
    assert_of_others_unchanged(stage, before)
    assert stage.apply()[1]["result"] == "same"


def test_ctrl_c_while_it_sets_says_to_run_it_again(stage: Stage) -> None:
    running: list[ForkServerProcess] = []

    def interrupt(request: Request) -> None:
        if request.method == "PUT":
            os.kill(running[0].pid or 0, signal.SIGINT)

    stage.fail(faults.act_then(faults.hang()), method="PUT")
    stage.cloud.on_request = interrupt
    arguments = ["deploy", str(stage.file), "--app", APP, "--apply", "--yes"]
    running.append(warm.start(*arguments, environ=stage.environ))
    running[0].join(50)
    assert running[0].exitcode == 130
    stage.cloud.on_request = None
    stage.cloud.clear_faults()
    assert stage.apply()[0] == 0
    assert stage.app.restarts == 1


# Bad input


def without_role(stage: Stage) -> None:
    stage.app.group.unassign(stage.admin.object_id)


def a_reader(stage: Stage) -> None:
    without_role(stage)
    stage.app.group.assign(stage.admin.object_id, "Reader")


def another_app(stage: Stage) -> None:
    stage.app.settings = {"AZURE_CLIENT_ID": "x", "FUNCTIONS_EXTENSION_VERSION": "~4"}


WRONG: dict[str, tuple[Callable[[Stage], None], str, int]] = {
    "somebody else's app": (another_app, "not_a_git_refresh_app", 2),
    "a Reader": (a_reader, "app_settings_forbidden", 1),
}


@pytest.mark.parametrize(("change", "error", "code"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_the_app_is_reported(
    stage: Stage, change: Callable[[Stage], None], error: str, code: int
) -> None:
    change(stage)
    found, report = stage.apply()
    assert (found, report["error"]["code"], stage.written) == (code, error, [])


def test_an_app_that_does_not_exist_is_reported(stage: Stage) -> None:
    done = warm.run("deploy", str(stage.file), "--app", "func-x", "--json", environ=stage.environ)
    report = json.loads(done.stdout)
    assert (done.returncode, report["error"]["code"]) == (2, "function_app_not_found")


def test_an_app_in_another_subscription_names_it(stage: Stage) -> None:
    other = stage.cloud.resource_manager.subscription("other")
    app = other.group("rg").function_app("func-other", dict(stage.app.settings))
    other.assign(stage.admin.object_id, "Contributor")
    arguments = ["deploy", str(stage.file), "--app", "FUNC-other", "--json"]
    done = warm.run(*arguments, environ=stage.environ)
    report = json.loads(done.stdout)
    assert (done.returncode, report["error"]["code"]) == (2, "function_app_elsewhere")
    option = f"--subscription {other.subscription_id}"
    assert option in report["error"]["remedy"]
    done = warm.run(*arguments, *option.split(), "--apply", "--yes", environ=stage.environ)
    assert done.returncode == 0
    assert app.restarts == 1


def test_a_subscription_of_another_tenant_names_the_tenant(stage: Stage) -> None:
    other = stage.cloud.resource_manager.subscription("foreign", OTHER_TENANT)
    code, report = stage.report("--subscription", other.subscription_id)
    assert (code, report["error"]["code"]) == (1, "azure_wrong_tenant")
    assert OTHER_TENANT in report["error"]["remedy"]


def test_a_person_without_a_sign_in_gets_advice_to_sign_in(stage: Stage, tmp_path: Path) -> None:
    az = tmp_path / "none" / "az"
    az.parent.mkdir()
    az.write_text("#!/bin/sh\necho \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1\n")
    az.chmod(0o755)
    stage.environ["PATH"] = f"{az.parent}{os.pathsep}{stage.environ['PATH']}"
    code, report = stage.report()
    assert (code, report["error"]["code"]) == (1, "azure_cli_not_signed_in")


def test_a_list_that_is_too_long_is_refused_with_the_number(stage: Stage) -> None:
    entry = workspaces(stage.app.settings)[0]
    folders = [{"path": f"/Repos/etl/{'x' * 100}{number}"} for number in range(1_200)]
    stage.write(WORKSPACES=[{**entry, "folders": folders}])
    code, report = stage.apply()
    found = {check["error"]["code"]: check["message"] for check in report["checks"] if check["error"]}
    assert (code, stage.written) == (2, [])
    assert "131,051" in found["long_setting"] or "131,060" in found["long_setting"]


def test_a_file_that_previous_would_put_back_is_named(stage: Stage) -> None:
    old = workspaces(stage.app.settings)
    assert stage.apply()[0] == 0
    stage.write(WORKSPACES=old)
    code, report = stage.report()
    assert (code, [note["code"] for note in report["notes"]]) == (0, ["file_is_previous"])


def test_without_previous_settings_there_is_nothing_to_put_back(stage: Stage) -> None:
    code, report = stage.apply("--previous", file=False)
    assert (code, report["error"]["code"], stage.written) == (2, "no_previous_settings", [])


def test_where_alert_rules_cannot_be_read_it_is_said(new_stage: Stage) -> None:
    without_role(new_stage)
    new_stage.app.group.assign(new_stage.admin.object_id, "Website Contributor")
    code, report = new_stage.apply()
    assert (code, [note["code"] for note in report["notes"]]) == (0, ["alert_rules_missing"])


def test_the_first_list_is_not_set_while_alert_rules_are_unknown(new_stage: Stage, impatient: Stage) -> None:
    new_stage.fail(faults.status(503, "try later"), "/scheduledQueryRules$")
    typed = ["deploy", str(impatient.file), "--app", APP, "--apply", "--yes", "--json"]
    done = CliRunner().invoke(main, typed)
    assert (done.exit_code, json.loads(done.stdout)["result"]) == (1, "failed")
    assert (new_stage.written, new_stage.app.settings[PAUSE]) == ([], "true")


def test_alert_rules_of_another_app_in_the_group_are_left(new_stage: Stage) -> None:
    group = new_stage.app.group
    group.alert_rule(
        "ar-git-refresh-no-run-fabrikam", scopes=[group.component("appi-git-refresh-fabrikam").id]
    )
    other = group.alert_rules[-1]
    other.enabled = False
    code, report = new_stage.apply()
    assert (code, other.enabled, other.name in report["alerts_enabled"]) == (0, False, False)
    assert all(rule.enabled for rule in group.alert_rules if rule is not other)


def test_where_alert_rules_cannot_be_enabled_nothing_is_set(new_stage: Stage) -> None:
    without_role(new_stage)
    new_stage.app.group.assign(new_stage.admin.object_id, "Website Contributor", "Reader")
    code, report = new_stage.apply()
    assert (code, report["error"]["code"]) == (1, "alert_rules_forbidden")
    assert new_stage.app.restarts == 0


# The first run


@pytest.fixture
def here(impatient: Stage, monkeypatch: pytest.MonkeyPatch) -> Logs:
    """Return the app's logs, which the command polls often."""
    stage = impatient
    monkeypatch.setattr(deploy_command, "POLL_S", 0.1)
    group = stage.app.group
    group.assign(stage.admin.object_id, "Log Analytics Reader")
    component = group.component(COMPONENT)
    return stage.cloud.logs.of(component)


def line(**more: object) -> tuple[datetime, str, str]:
    """Return a run's line with the current time."""
    told = {"event": "git_refresh.run", "run_id": "new", "result": "ok", "duration_s": 0.0, "workspaces": 1}
    return datetime.now(UTC), "INFO", json.dumps({**told, "workspaces_ok": 1, **more})


def waited(stage: Stage, *arguments: str) -> tuple[int, dict[str, Any]]:
    typed = ["deploy", str(stage.file), "--app", APP, "--apply", "--yes", "--wait", "--json", *arguments]
    done = CliRunner().invoke(main, typed)
    return done.exit_code, json.loads(done.stdout)


def runs_once_set(stage: Stage, logs: Logs, **more: object) -> None:
    """Let the restarted app run at once; its line arrives a little later."""
    logs.trace(line(run_id="old")[2])  # an earlier run
    logs.delay = timedelta(seconds=0.5)

    def run() -> None:
        began = datetime.now(UTC) + timedelta(seconds=2.5)  # the service's time has a precision of a second
        lines = [(began, *line(**more)[1:])]
        logs.invocation("refresh_git", lines, began=began, ended=began, ok=True)

    stage.app.on_save = run


@pytest.mark.parametrize(("result", "code"), [("ok", 0), ("failed", 1)])
def test_wait_stays_until_the_first_run_that_has_the_settings(
    stage: Stage, here: Logs, result: str, code: int
) -> None:
    runs_once_set(stage, here, result=result)
    found, report = waited(stage)
    assert (found, report["result"], report["error"]) == (code, "deployed", None)
    assert (report["run"]["run_id"], report["run"]["result"]) == ("new", result)


def test_wait_shows_the_run_as_runs_does(stage: Stage, here: Logs) -> None:
    runs_once_set(stage, here)
    typed = ["deploy", str(stage.file), "--app", APP, "--apply", "--yes", "--wait"]
    done = CliRunner().invoke(main, typed)
    assert done.exit_code == 0
    assert f"{APP}: 1 run in " in done.stdout.splitlines()[-1]


def test_wait_ends_when_no_run_can_be_expected_any_more(
    stage: Stage, here: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.trace(line(run_id="old")[2])
    monkeypatch.setattr(deploy_command, "MAX_UNTIL_DUE", timedelta())
    monkeypatch.setattr(deploy_command, "LONGEST_RUN", timedelta())
    monkeypatch.setattr(deploy_command, "VISIBLE_AFTER", timedelta(seconds=0.25))
    code, report = waited(stage)
    assert (code, report["result"], report["error"]["code"]) == (1, "deployed", "run_not_seen")


@pytest.mark.parametrize("schedule", ["0 0 0 1 1 *", "0 0 0 30 2 *"])
def test_wait_waits_for_no_run_that_is_not_due_for_hours(
    stage: Stage, here: Logs, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    here.trace(line(run_id="old")[2])
    monkeypatch.setattr(deploy_command, "LONGEST_RUN", timedelta())
    monkeypatch.setattr(deploy_command, "VISIBLE_AFTER", timedelta(seconds=0.2))
    stage.app.settings["REFRESH_SCHEDULE"] = schedule
    code, report = waited(stage)
    assert (code, report["result"], report["error"]["code"]) == (1, "deployed", "run_not_seen")


@pytest.mark.parametrize("behind", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_wrong_clock_of_the_laptop_changes_no_time_of_a_run(
    stage: Stage, here: Logs, monkeypatch: pytest.MonkeyPatch, behind: timedelta
) -> None:
    class WrongClock(SystemClock):
        def now(self) -> datetime:
            return super().now() - behind

    monkeypatch.setattr(deploy_command, "SystemClock", WrongClock)
    runs_once_set(stage, here)
    began = datetime.now(UTC)
    code, report = waited(stage)
    next_run = datetime.fromisoformat(report["next_run"])
    assert (code, report["error"], began < next_run <= began + timedelta(minutes=16)) == (0, None, True)


def test_the_next_run_is_named_with_its_day(stage: Stage) -> None:
    stage.app.settings["REFRESH_SCHEDULE"] = "0 0 0 1 1 *"
    assert b"-01-01 00:00 UTC" in b" ".join(stage.deploy().stdout.split())
    assert stage.report()[1]["next_run"].endswith("-01-01T00:00:00Z")


def test_wait_without_a_role_on_the_logs_says_that_the_settings_are_set(stage: Stage, here: Logs) -> None:
    del here
    stage.app.group.unassign(stage.admin.object_id)
    stage.app.assign(stage.admin.object_id, "Website Contributor")
    code, report = waited(stage)
    assert (code, report["result"], report["run"], stage.app.restarts) == (1, "deployed", None, 1)
    assert report["error"]["code"]


def test_wait_does_not_wait_for_a_function_that_is_disabled(stage: Stage, here: Logs) -> None:
    del here
    stage.app.settings[PAUSE] = "true"
    code, report = waited(stage)
    assert (code, report["result"], report["run"]) == (0, "deployed", None)


def test_no_setting_of_others_and_no_token_comes_out(stage: Stage) -> None:
    for arguments in (["-v"], ["--json", "-v"], ["--apply", "--yes", "-v"]):
        done = stage.deploy(*arguments)
        assert CANARY.encode() not in done.stdout + done.stderr
        assert b"eyJ" not in done.stdout + done.stderr
