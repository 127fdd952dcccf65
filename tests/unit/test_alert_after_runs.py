"""The number of failed runs in a row before an alert, as the log line has it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, override

import pytest

from git_refresh.failures.diagnosis import DiagnosisContext, explain, finding, noted
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.failures.table import TABLE
from git_refresh.model.schedule import interval
from git_refresh.model.values import Problem, StoredCredential
from git_refresh.output.log import RedactingLogger
from git_refresh.run.report import log_nothing_done, log_run
from tests.support.fake_fleet import NEW, behind, host, run
from tests.support.fakes import FakeServices, FakeWorkspace, failure
from tests.support.reports import report, workspace

BUSY, MISSING = failure(status=503), failure(status=404)
EVERY = {minutes: timedelta(minutes=minutes) for minutes in (15, 20, 30, 60)}


def waits(
    caplog: pytest.LogCaptureFixture,
    broken: FakeWorkspace,
    minutes: int = 15,
    entry: dict[str, Any] | None = None,
) -> int | None:
    """Return the number of runs before the first workspace's alert."""
    caplog.set_level("INFO", "git_refresh")
    services = FakeServices({host(1): broken, host(2): FakeWorkspace(at=behind())}, {"main": NEW})
    run(services, entry or {}, {}, interval=EVERY[minutes])
    lines = [json.loads(message) for message in caplog.messages]
    found = {line["host"]: line for line in lines if line["event"] == "git_refresh.workspace"}
    assert "alert_after_runs" not in found[host(2)], "it is ok"
    after: int | None = found[host(1)].get("alert_after_runs")
    return after


@pytest.mark.parametrize(("minutes", "runs"), [(15, 2), (20, 2), (30, 1), (60, 1)])
@pytest.mark.parametrize("what", ["credentials", "create_credential"])
def test_a_credential_not_stored_waits_as_long_as_the_one_before_is_valid(
    caplog: pytest.LogCaptureFixture, what: str, minutes: int, runs: int
) -> None:
    assert waits(caplog, FakeWorkspace(at=behind(), fail={what: BUSY}), minutes) == runs


@pytest.mark.parametrize("minutes", [15, 30, 60])
def test_a_git_folder_that_a_503_keeps_from_moving_waits_for_a_second_run(
    caplog: pytest.LogCaptureFixture, minutes: int
) -> None:
    assert waits(caplog, FakeWorkspace(at=behind(), fail={"move_folder": BUSY}), minutes) == 2


@pytest.mark.parametrize("minutes", [15, 60])
def test_what_does_not_pass_by_itself_alerts_at_once(caplog: pytest.LogCaptureFixture, minutes: int) -> None:
    assert waits(caplog, FakeWorkspace(), minutes) == 1, "it has no such Git folder"
    caplog.clear()
    assert waits(caplog, FakeWorkspace(at=behind()), minutes, {"auth": "none"}) == 1, "a rejected entry"
    caplog.clear()
    both = {"folders": ["/Repos/etl/prod", "/Repos/etl/none"]}
    assert waits(caplog, FakeWorkspace(at=behind(), fail={"move_folder": BUSY}), minutes, both) == 1


@dataclass
class OfOthers(FakeWorkspace):
    """A workspace with an error only for credentials of `additional_principal_ids`."""

    errors: Mapping[int, ServiceError] = field(default_factory=dict)

    @override
    def credentials(self, principal_id: int | None) -> list[StoredCredential]:
        if principal_id is not None and principal_id in self.errors:
            raise self.errors[principal_id]
        return super().credentials(principal_id)


@pytest.mark.parametrize(
    ("errors", "minutes", "runs"),
    [
        ({7: BUSY}, 15, 2),
        ({7: BUSY}, 60, 1),
        ({7: MISSING}, 15, 1),
        ({7: BUSY, 8: MISSING}, 15, 1),
    ],
)
def test_the_credential_of_an_additional_principal_counts_as_its_own(
    caplog: pytest.LogCaptureFixture, errors: Mapping[int, ServiceError], minutes: int, runs: int
) -> None:
    entry = {"additional_principal_ids": [7, 8]}
    assert waits(caplog, OfOthers(at=behind(), errors=errors), minutes, entry) == runs


NO_FAILURE_OF_A_WORKSPACE = {
    "app_update_in_progress",
    "claim_not_made",
    "secret_name_busy",
}


def test_what_its_remedy_calls_temporary_does_not_alert_at_once() -> None:
    told = {row.code for row in TABLE if "sually temporary" in row.remedy}
    assert told - {row.code for row in TABLE if row.temporary} == NO_FAILURE_OF_A_WORKSPACE


@pytest.mark.parametrize(("detail", "temporary"), [("", True), ("certificate has expired", False)])
def test_a_certificate_that_is_refused_does_not_pass_by_itself(detail: str, *, temporary: bool) -> None:
    found = ServiceFailure(Service.DATABRICKS, Operation.SIGN_IN.of(), FailureKind.TLS, detail=detail)
    assert explain(found, DiagnosisContext()).temporary is temporary


@pytest.mark.parametrize(
    ("schedule", "late", "minutes"),
    [("0 */15 * * * *", 0, 15), ("0 0 * * * *", 50, 60), ("0 */15 7-18 * * *", 0, 15), ("01:00:00", 0, 60)],
)
def test_the_interval_is_that_of_the_schedule_also_in_a_late_run(
    schedule: str, late: int, minutes: int
) -> None:
    now = datetime(2026, 11, 30, 12, late, 1, tzinfo=UTC)
    due = datetime(2026, 11, 30, 13 if minutes == 60 else 12, minutes % 60, tzinfo=UTC)
    assert interval(now, due, schedule) == timedelta(minutes=minutes)


def test_a_run_that_failed_in_no_workspace_says_why_by_a_code(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "git_refresh")
    found = finding("token_expires_before_next_run", DiagnosisContext())
    problems = (Problem("timer", "late", severity="warning"), noted("token", found, "error"))
    bad = workspace(result="failed")
    short = replace(report(workspace(), problems=problems), result="failed")
    for each in (report(workspace()), short, report(bad, problems=problems)):
        log_run(each, RedactingLogger())
    log_nothing_done([Problem("WORKSPACES", "is missing")], RedactingLogger())
    codes = [json.loads(message)["code"] for message in caplog.messages]
    assert codes == [None, "token_expires_before_next_run", None, "invalid_settings"]
