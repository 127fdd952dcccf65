"""`runs` and `status --app` with an admin's session, over log lines of real runs."""

import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from git_refresh.fan_out import dispatch
from git_refresh.run.report import Report
from git_refresh.run.slices import read_message
from localcloud import Cloud, Fault, faults, seed
from localcloud.authority import OTHER_TENANT
from localcloud.fleet import APP, Fleet
from localcloud.logs import LogHandler, Logs, throttled
from localcloud.people import Person
from localcloud.timer import NEVER, Call, Status
from tests.support import warm
from tests.support.admin_laptop import laptop_of
from tests.support.app import run_app
from tests.support.worker_runs import events, ticked

pytestmark = pytest.mark.timeout(60)

MINUTE = timedelta(minutes=1)
ROLES = ("Reader", "Log Analytics Reader")


@dataclass
class Stage:
    """A deployed app with its logs, and the laptop of a person with read permissions."""

    cloud: Cloud
    fleet: Fleet
    person: Person
    environ: dict[str, str]
    run: Callable[..., Report]

    @property
    def logs(self) -> Logs:
        return self.cloud.logs.of(self.fleet.component)

    @property
    def subscription(self) -> str:
        return self.fleet.app.group.subscription.id.rpartition("/")[2]

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Store the app's log lines like the host."""
        handler, logger = LogHandler(self.logs), logging.getLogger("git_refresh")
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)

    def refresh(self, **changes: Any) -> None:
        with self.logging():
            self.run(next_run=datetime.now(UTC) + 15 * MINUTE, **changes)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return warm.run(*arguments, environ=self.environ)

    def runs(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        done = self.command("runs", "--app", APP, "--json", *arguments)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def fail(self, action: faults.Action, **where: Any) -> None:
        self.cloud.inject(Fault(action, service="logs", **where))


@pytest.fixture
def fleet(cloud: Cloud) -> Fleet:
    return seed(cloud, 2)


@pytest.fixture
def stage(cloud: Cloud, fleet: Fleet, run: Callable[..., Report], tmp_path: Path) -> Stage:
    person = cloud.person("ada")
    fleet.app.group.assign(person.object_id, *ROLES)
    return Stage(cloud, fleet, person, laptop_of(person, cloud, tmp_path / "az"), run)


def test_a_good_run_is_shown_with_what_it_did(stage: Stage) -> None:
    stage.refresh()
    code, found = stage.runs()
    assert (code, found["result"], found["app"], found["findings"]) == (0, "ok", APP, [])
    (run,) = found["runs"]
    assert (run["result"], run["workspaces"], run["workspaces_ok"]) == ("ok", 2, 2)
    assert sum(run["folders"].values()) == 4
    assert run["token_remaining_s"] > 0
    shown = stage.command("runs", "--app", APP)
    assert shown.returncode == 0
    assert b"2 of 2 ok" in shown.stdout


def test_a_failed_run_is_shown_with_each_failure_and_its_remedy(stage: Stage) -> None:
    stage.refresh()
    stage.cloud.devops.organization("contoso").remove_member(stage.cloud.identity.object_id)
    stage.refresh()
    code, found = stage.runs("--failed")
    assert (code, found["result"]) == (1, "failed")
    (run,) = found["runs"]
    assert run["result"] == "failed"
    codes = {failure["code"] for failure in run["failures"]}
    assert "devops_not_a_member" in codes
    shown = stage.command("runs", "--app", APP, "--failed").stdout.decode()
    assert shown.count("→") == len(codes)
    assert all(failure["remedy"] in shown for failure in run["failures"])


def test_a_run_of_the_worker_is_read_as_the_host_has_stored_it(stage: Stage, tmp_path: Path) -> None:
    log, began = tmp_path / "lines", datetime.now(UTC)
    call = Call(began, Status(NEVER, began, NEVER), past_due=False)
    process = ticked(stage.cloud, stage.fleet.settings, log, call)
    process.join(50)
    assert process.exitcode == 0
    lines = [(datetime.now(UTC), "INFO", json.dumps(event)) for event in events(log)]
    stage.logs.invocation("refresh_git", lines, began=began, ended=datetime.now(UTC), ok=True)
    code, found = stage.runs()
    assert (code, [run["result"] for run in found["runs"]], found["host"]) == (0, ["ok"], [])
    assert found["runs"][0]["next_run"] > found["runs"][0]["ended_at"]


def test_an_invocation_that_the_platform_killed_is_a_failed_run(stage: Stage) -> None:
    began = datetime.now(UTC) - 60 * MINUTE
    stage.logs.invocation("refresh_git", [], began=began, ended=began + 10 * MINUTE, ok=False)
    timeout = "Timeout value of 00:10:00 exceeded by function 'Functions.refresh_git' (Id: '1')."
    stage.logs.trace(timeout, at=began + 10 * MINUTE, level="ERROR", function="")
    code, found = stage.runs()
    assert code == 1
    assert [failure["code"] for run in found["runs"] for failure in run["failures"]] == ["run_not_completed"]
    assert [each["message"] for each in found["host"]] == [timeout]


def test_slices_of_a_queue_are_one_run(stage: Stage) -> None:
    environ = {**os.environ, **stage.fleet.settings, "AzureWebJobsStorage": STORAGE}
    with stage.logging():
        messages = dispatch(environ, None)
        assert len(messages) == 1
        first = stage.runs()[1]["runs"]
        run_app({**os.environ, **stage.fleet.settings}, slice_=read_message(messages[0]).slice)
    assert [run["result"] for run in first] == ["running"]
    code, found = stage.runs()
    assert (code, [run["result"] for run in found["runs"]]) == (0, ["ok"])
    assert (found["runs"][0]["slices"], found["runs"][0]["workspaces"]) == (1, 2)


STORAGE = "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=a2V5;EndpointSuffix=core.windows.net"


def test_lines_that_are_minutes_late_are_not_there_yet_and_that_is_said(stage: Stage) -> None:
    stage.refresh()
    stage.logs.delay = 5 * MINUTE
    code, found = stage.runs()
    assert (code, found["runs"], found["newest_line_at"]) == (1, [], None)
    assert [each["code"] for each in found["findings"]] == ["no_run_logged"]
    assert b"Log lines appear a few minutes after a run." in stage.command("runs", "--app", APP).stdout


def test_a_part_of_the_rows_is_said_and_makes_no_run_failed(stage: Stage) -> None:
    for _ in range(3):
        stage.refresh()
    stage.logs.most = 2
    code, found = stage.runs()
    assert (code, found["complete"], len(found["runs"])) == (0, False, 2)
    assert [each["code"] for each in found["findings"]] == ["logs_too_large"]


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ((), "azure_permission_missing"),
        (("Website Contributor",), "logs_forbidden"),
        (("Reader",), ""),
        (("Monitoring Reader",), ""),
        (("Log Analytics Reader",), ""),
    ],
)
def test_each_role_reads_the_logs_or_is_told_which_one_to_ask_for(
    stage: Stage, roles: tuple[str, ...], expected: str
) -> None:
    stage.refresh()
    stage.fleet.app.group.unassign(stage.person.object_id)
    stage.fleet.app.group.assign(stage.person.object_id, *roles)
    code, found = stage.runs("--subscription", stage.subscription)
    assert (code, found.get("error", {}).get("code", "")) == (1 if expected else 0, expected)
    if expected == "logs_forbidden":
        assert (
            f'--assignee {stage.person.object_id} --role "Log Analytics Reader"' in found["error"]["remedy"]
        )
        assert stage.fleet.component.id in found["error"]["remedy"]


def test_a_throttled_query_is_sent_again_and_at_last_told(stage: Stage) -> None:
    stage.refresh()
    stage.fail(faults.status(429, throttled(0).body, {"Retry-After": "0"}), times=1)
    assert stage.runs()[0] == 0
    stage.fail(faults.status(429, throttled(900).body, {"Retry-After": "900"}))
    code, found = stage.runs()
    assert (code, found["error"]["code"]) == (1, "throttled")


def test_a_new_component_without_tables_is_told_as_such(stage: Stage) -> None:
    stage.logs.has_tables = False
    code, found = stage.runs()
    assert (code, found["error"]["code"]) == (1, "logs_empty")


def test_a_component_that_is_gone_is_told_with_its_id(stage: Stage) -> None:
    stage.fleet.app.tags["hidden-link: /app-insights-resource-id"] += "-gone"
    code, found = stage.runs()
    assert (code, found["error"]["code"]) == (1, "logs_not_found")


def test_an_app_without_a_component_is_told(stage: Stage) -> None:
    del stage.fleet.app.tags["hidden-link: /app-insights-resource-id"]
    code, found = stage.runs()
    assert (code, found["error"]["code"]) == (1, "component_not_found")


def test_an_app_that_does_not_exist_is_told(stage: Stage) -> None:
    done = stage.command("runs", "--app", "no-such-app", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (1, "function_app_not_found")


def test_somebody_of_another_tenant_is_told_where_to_sign_in(stage: Stage, tmp_path: Path) -> None:
    stranger = stage.cloud.person("eve", OTHER_TENANT)
    stage.environ = laptop_of(stranger, stage.cloud, tmp_path / "eve")
    code, found = stage.runs("--subscription", stage.subscription)
    assert (code, found["error"]["code"]) == (1, "azure_wrong_tenant")


def test_without_a_name_the_only_app_of_infra_is_meant(stage: Stage) -> None:
    stage.refresh()
    done = stage.command("runs", "--json")
    assert (done.returncode, json.loads(done.stdout)["app"]) == (0, APP)
    stage.fleet.app.group.function_app("func-git-refresh-second", {}, {})
    done = stage.command("runs", "--json")
    assert done.returncode == 2
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["location"] == "--app"
    assert "func-git-refresh-second" in problem["message"]


def test_without_a_subscription_no_app_is_called_missing(stage: Stage, tmp_path: Path) -> None:
    account = json.dumps({"id": OTHER_TENANT, "tenantId": OTHER_TENANT})
    real, az = shutil.which("az", path=stage.environ["PATH"]), tmp_path / "tools" / "az"
    az.parent.mkdir()
    az.write_text(
        f"#!/bin/sh\nif [ \"$1 $2\" = 'account show' ]; then echo '{account}'; else exec {real} \"$@\"; fi\n"
    )
    az.chmod(0o755)
    stage.environ["PATH"] = f"{az.parent}:{stage.environ['PATH']}"
    done = stage.command("runs", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (1, "subscription_not_chosen")


def test_a_token_goes_only_to_the_service_that_it_is_for(stage: Stage) -> None:
    stage.refresh()
    stage.runs()
    asked = {seen.service for seen in stage.cloud.requests if seen.service in {"logs", "resource_manager"}}
    assert asked == {"logs", "resource_manager"}
    assert not any(
        "list" in seen.path for seen in stage.cloud.requests if seen.service == "resource_manager"
    ), "app settings are never read"


def test_status_knows_from_the_logs_that_a_stored_token_is_valid(stage: Stage) -> None:
    stage.environ |= stage.fleet.settings
    stage.environ |= {
        name: value for name, value in stage.cloud.environment().items() if name.startswith("IDENTITY")
    }
    stage.refresh()
    done = stage.command("status", "--app", APP, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["result"], found["logs"]["error"]) == (0, "ok", None)
    ends = {each["expires_at"] for workspace in found["workspaces"] for each in workspace["credentials"]}
    assert all(each is not None for each in ends)


def test_status_of_a_fleet_whose_tokens_have_expired_is_failed(stage: Stage) -> None:
    stage.environ |= stage.fleet.settings
    stage.environ |= {
        name: value for name, value in stage.cloud.environment().items() if name.startswith("IDENTITY")
    }
    stage.refresh()
    assert stage.command("status").returncode == 0
    for row in stage.logs.visible(datetime.now(UTC))["traces"]:
        row["timestamp"] -= timedelta(days=2)
    done = stage.command("status", "--app", APP, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["result"]) == (1, "failed")
    codes = {
        each["error"]["code"]
        for workspace in found["workspaces"]
        for each in workspace["credentials"]
        if each["error"]
    }
    assert codes == {"stored_token_expired"}
