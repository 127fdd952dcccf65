"""The worst day logs at most twice as much as a quiet one: 1,000 workspaces, 60 Git folders each, every 15 minutes."""

import json
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, explain, out_of_time
from git_refresh.failures.failure import Attempt, FailureKind, Operation, Service, ServiceFailure
from git_refresh.model.values import Problem
from git_refresh.output.log import EXPLAINED, RedactingLogger
from git_refresh.run.report import (
    CredentialReport,
    FolderReport,
    Report,
    Result,
    WorkspaceReport,
    log_run,
    log_workspace,
)
from tools.costs import PLATFORM_BYTES, RECORD_BYTES, STORAGE_BYTES

WORKSPACES, FOLDERS, RUNS = 1_000, 60, 96
PLATFORM = PLATFORM_BYTES + 15 * STORAGE_BYTES
"""Bytes that the platform and the storage account log from one run to the next."""
DAILY_CAP = 1_000_000_000
"""Bytes, as `logDailyCapGb` of infra."""

drawn = random.Random(29)  # noqa: S311  # reproducible IDs


FOLDER = DiagnosisContext(
    host="HOST", path="PATH", principal="service principal 1b2c3d4e-0000-4000-8000-00000000001d"
)


def explained(status: int, error_code: str, operation: Attempt) -> Callable[[str, str], Diagnosis]:
    """Return a function with the failure of each Git folder as Databricks reports it."""
    message = "there are Conflicting files: etl.py. Commit them."
    return of_each_folder(
        explain(
            ServiceFailure(
                Service.DATABRICKS, operation, FailureKind.ANSWER, status, error_code, message, "ID"
            ),
            FOLDER,
        )
    )


def of_each_folder(found: Diagnosis) -> Callable[[str, str], Diagnosis]:
    """Return a function with this diagnosis for each Git folder, with its own host, path and request ID."""

    def of(host: str, path: str) -> Diagnosis:
        request_id = str(UUID(int=drawn.getrandbits(128)))
        remedy = found.remedy.replace("HOST", host).replace("PATH", path)
        return replace(found, message=found.message.replace("ID)", f"{request_id})"), remedy=remedy)

    return of


FAILURES: dict[str, Callable[[str, str], Diagnosis] | None] = {
    "quiet": None,
    "conflicts": explained(400, "GIT_CONFLICT", Operation.MOVE_FOLDER.of("branch main")),
    "no permission": explained(403, "PERMISSION_DENIED", Operation.READ_FOLDER.of()),
    "server errors": explained(500, "INTERNAL_ERROR", Operation.MOVE_FOLDER.of("branch main")),
    "no time": of_each_folder(out_of_time(FOLDER)),
}


def fleet(fails: Callable[[str, str], Diagnosis] | None) -> Iterator[WorkspaceReport]:
    for number in range(WORKSPACES):
        host = f"https://adb-{7405600000000000 + number}.{number % 20}.azuredatabricks.net"
        folders = tuple(
            FolderReport(path, "failed", "branch main", "a" * 40, error=fails(host, path))
            if fails
            else FolderReport(path, "unchanged", "branch main", "a" * 40, "a" * 40)
            for path in (f"/Repos/data-platform/etl-{folder}" for folder in range(FOLDERS))
        )
        result: Result = "failed" if fails else "ok"
        yield WorkspaceReport(f"sales-{number}", host, result, CredentialReport("updated", number), folders)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("git_refresh")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield found
    logger.removeHandler(handler)


def report(workspaces: tuple[WorkspaceReport, ...], problems: tuple[Problem, ...] = ()) -> Report:
    started = datetime(2026, 11, 25, 17, 45, tzinfo=UTC)
    result = "ok" if all(each.result == "ok" for each in workspaces) else "failed"
    return Report(str(UUID(int=1)), started, 61.5, False, result, (), problems, workspaces)  # type: ignore[arg-type]


def logged(workspaces: tuple[WorkspaceReport, ...], lines: list[str]) -> list[str]:
    """Return the log lines of one run."""
    logger, whole = RedactingLogger(), report(workspaces)
    lines.clear()
    for workspace in workspaces:
        log_workspace(whole.run_id, workspace, logger)
    log_run(whole, logger)
    return list(lines)


def test_the_worst_day_logs_at_most_twice_a_quiet_one_and_below_the_cap(lines: list[str]) -> None:
    messages = {name: logged(tuple(fleet(fails)), lines) for name, fails in FAILURES.items()}
    assert {len(found) for found in messages.values()} == {WORKSPACES + 1}, "each workspace keeps its line"
    a_run = {name: sum(map(len, found)) for name, found in messages.items()}
    a_day = {name: RUNS * (size + RECORD_BYTES * (WORKSPACES + 1) + PLATFORM) for name, size in a_run.items()}
    assert max(a_run.values()) <= 2 * a_run["quiet"], a_run
    assert max(a_day.values()) < DAILY_CAP / 2, a_day


def test_failed_workspaces_log_code_and_count_and_the_run_explains_them(
    lines: list[str],
) -> None:
    *workspaces, run = map(json.loads, logged(tuple(fleet(FAILURES["conflicts"])), lines))
    assert {(each["code"], each["count"]) for line in workspaces for each in line["failures"]} == {
        ("git_conflict", FOLDERS)
    }
    explained = [line for line in workspaces if line["failures"][0].get("remedy")]
    assert explained == workspaces[:EXPLAINED]
    assert all(len(line["failures"][0]["places"]) == 3 for line in explained)
    (failure,) = run["failures"]
    assert (failure["count"], failure["workspaces"]) == (WORKSPACES * FOLDERS, WORKSPACES)
    assert len(failure["places"]) == 3
    assert failure["cause"]
    assert failure["remedy"]


def test_the_report_keeps_every_folder_with_its_own_error() -> None:
    (workspace, *_) = fleet(FAILURES["conflicts"])
    (found,) = report((workspace,)).as_dict()["workspaces"]
    errors = [folder["error"] for folder in found["folders"]]
    assert len({error["remedy"] for error in errors}) == FOLDERS
    assert all(set(error) == {"code", "message", "cause", "remedy"} for error in errors)


def test_failures_and_problems_of_a_run_do_not_crowd_each_other_out(lines: list[str]) -> None:
    long = "数" * 2_000
    failed = tuple(
        replace(workspace, error=Diagnosis(f"code_{number}", long, long, long))
        for number, workspace in enumerate(fleet(None))
    )
    logger = RedactingLogger()
    log_run(report(failed, tuple(Problem(f"sales-{number}", long) for number in range(500))), logger)
    (line,) = lines
    said = json.loads(line)
    assert len(line) <= 30_000
    assert len(said["failures"]) >= 3
    assert len(said["problems"]) >= 5
    assert len(said["problems"]) + said["problems_omitted"] == 500


def test_a_shortened_text_of_a_failure_is_bounded(lines: list[str]) -> None:
    long = Diagnosis("git_conflict", "数" * 2_000, "c", "r")
    failed = tuple(replace(workspace, result="failed", error=long) for workspace in fleet(None))[:10]
    found = logged(failed, lines)
    assert max(map(len, found[EXPLAINED:-1])) < 600
