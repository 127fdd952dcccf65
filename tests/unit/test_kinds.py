"""Failures that differ only in a host, ID, name or value are one finding, by their fields."""

import io
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from git_refresh.cli.check import check_clouds
from git_refresh.cli.check_settings import check_settings
from git_refresh.cli.checks import CheckReport
from git_refresh.cli.render import show_check, show_plan, show_report
from git_refresh.failures.diagnosis import DiagnosisContext, explain
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline
from git_refresh.model.values import StoredCredential
from git_refresh.output.log import RedactingLogger
from git_refresh.run.refresh import refresh
from git_refresh.run.report import Report
from git_refresh.settings.load import load
from tests.support.fake_fleet import host
from tests.support.fakes import NOW, FakeClock, FakeServices, FakeWorkspace

MANY = 30


def of(number: int, **changes: Any) -> dict[str, Any]:
    id_ = f"5a1e0000-0000-4000-8000-{number:012}"
    return {
        "host": host(number),
        "name": f"n{number}",
        "client_id": id_,
        "client_secret_name": "secret",
    } | changes


RULES: dict[str, Callable[[int], dict[str, Any]]] = {
    "no https": lambda n: of(n, host=f"http://adb-{n}.7.azuredatabricks.net"),
    "a region's host": lambda n: of(n, host=f"https://region{n}.azuredatabricks.net"),
    "no GUID": lambda n: of(n, client_id=f"sp-{n}"),
    "no such way": lambda n: of(n, auth=f"way-{n}"),
    "no name of a secret": lambda n: of(n, client_secret_name=f"my_secret_{n}"),
    "a key too many": lambda n: of(n, hots=n),
    "a path that is none": lambda n: of(n, folders=[f"etl{n}"]),
    "a branch that is none": lambda n: of(n, folders=[{"path": f"/a/b{n}", "branch": f"x y{n}"}]),
    "a path twice": lambda n: of(n, folders=[f"/a/b{n}", f"/a/b{n}/"]),
}


def settings_of(entries: list[dict[str, Any]]) -> dict[str, str]:
    return {
        "WORKSPACES": json.dumps(entries),
        "KEY_VAULT_URL": "https://v.vault.azure.net",
        "REFRESH_SCHEDULE": "0 */15 * * * *",
    }


def lines_of(show: Callable[[Console], None], width: int = 80) -> list[str]:
    out = Console(file=io.StringIO(), width=width, highlight=False)
    show(out)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


def ran(environ: dict[str, str], services: FakeServices, *, dry_run: bool = False) -> Report:
    deadline = Deadline.after(540, FakeClock())
    return refresh(load(environ), services, deadline, next_run=NOW, logger=RedactingLogger(), dry_run=dry_run)


@pytest.mark.parametrize("pair", [*itertools.combinations(RULES, 2)], ids=" and ".join)
def test_two_rules_broken_in_sixty_entries_are_two_findings(pair: tuple[str, str]) -> None:
    environ = settings_of([RULES[pair[number % 2]](number + 1) for number in range(2 * MANY)])
    services = FakeServices({host(number + 1): FakeWorkspace() for number in range(2 * MANY)})
    settings = load(environ)
    checks = CheckReport(tuple(check_settings(environ, settings.problems, settings)))
    report = ran(environ, services)
    for lines in (
        lines_of(lambda out: show_check(checks, out)),
        lines_of(lambda out: show_report(report, out)),
    ):
        assert sum(line.lstrip().startswith("✗ WORKSPACES[") for line in lines) == 2, lines
        assert len(lines) <= 24, lines


def failing(number: int, failure: ServiceFailure) -> FakeWorkspace:
    error = ServiceError(replace(failure, request_id=f"{number:08}-0000-4000-8000-000000000000"))
    stored = [StoredCredential(number, "azureDevOpsServices", "git-refresh")]
    return FakeWorkspace(stored=stored, fail={"sign_in": error})


REJECTED = ServiceFailure(
    Service.DATABRICKS, Operation.SIGN_IN.of(), FailureKind.ANSWER, 401, "invalid_client"
)
UNKNOWN = ServiceFailure(
    Service.DATABRICKS,
    Operation.SIGN_IN.of(),
    FailureKind.ANSWER,
    403,
    "PERMISSION_DENIED",
    "User is not a member of this workspace",
)
NO_NAME = ServiceFailure(Service.DATABRICKS, Operation.SIGN_IN.of(), FailureKind.DNS)
SYMPTOMS = {"rejected": REJECTED, "not a member": UNKNOWN, "no such name": NO_NAME}


@pytest.mark.parametrize("pair", [*itertools.combinations(SYMPTOMS, 2)], ids=" and ".join)
def test_two_failures_of_sixty_workspaces_are_two_findings_everywhere(
    pair: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    environ = settings_of([of(number + 1, folders=[f"/a/b{number}"]) for number in range(2 * MANY)])
    services = FakeServices(
        {host(number + 1): failing(number, SYMPTOMS[pair[number % 2]]) for number in range(2 * MANY)}
    )
    deadline = Deadline.after(540, FakeClock())
    caplog.set_level("INFO", "git_refresh")
    report = ran(environ, services)
    (line,) = [
        found
        for found in (json.loads(record.getMessage()) for record in caplog.records)
        if found["event"] == "git_refresh.run"
    ]
    codes = {workspace.error.code for workspace in report.workspaces if workspace.error}
    counts = [(each["count"], len(each["places"])) for each in line["failures"]]
    assert counts == [(2 * MANY // len(codes), 3)] * len(codes)
    checks = CheckReport(tuple(check_clouds(load(environ), services, deadline)))
    for show in (
        lambda out: show_check(checks, out),
        lambda out: show_report(report, out),
        lambda out: show_plan(report, out),
    ):
        lines = lines_of(show, 200)
        assert [sum(f"({code})" in line for line in lines) for code in codes] == [1] * len(codes), lines


def test_failures_of_one_code_that_differ_beyond_values_stay_separate() -> None:
    told = [
        explain(replace(REJECTED, status=status, request_id=f"{status}"), DiagnosisContext())
        for status in (418, 409)
    ]
    assert {each.code for each in told} == {"unknown"}
    assert told[0].kind != told[1].kind
    again = explain(replace(REJECTED, status=418, request_id="another"), DiagnosisContext(host=host(7)))
    assert again.kind == told[0].kind


def test_problems_of_one_kind_are_one_in_the_log_line_of_a_run(caplog: pytest.LogCaptureFixture) -> None:
    environ = settings_of([RULES["no GUID"](number + 1) for number in range(MANY)])
    caplog.set_level("INFO", "git_refresh")
    ran(environ, FakeServices({}))
    line = json.loads(caplog.records[-1].getMessage())
    assert [problem.count("WORKSPACES[") for problem in line["problems"]] == [3]
    assert f"and {MANY - 3} more: " in line["problems"][0]


def test_what_only_the_text_needs_is_not_in_the_json() -> None:
    environ = settings_of([RULES["no GUID"](1), of(2, folders=["/a/b"])])
    services = FakeServices({host(2): failing(2, REJECTED)})
    checks = check_clouds(load(environ), services, Deadline.after(540, FakeClock()))
    said = json.dumps([ran(environ, services).as_dict(), CheckReport(tuple(checks)).as_dict()])
    assert not [key for key in ('"kind"', '"diagnosis"', '"commands"', '"in_general"') if key in said]
