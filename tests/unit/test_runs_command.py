"""`runs`: its output on the deployed app's runs, exit codes and JSON."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner, Result

from git_refresh.admin.values import DiagnosedError
from git_refresh.cli import runs as command
from git_refresh.cli.main import main
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, finding
from git_refresh.model.values import Problem, Slice
from git_refresh.output.log import RedactingLogger
from git_refresh.run.report import log_dispatch, log_nothing_done, log_queued, log_run, log_workspace
from tests.support.fakes import NOW
from tests.support.reports import ERROR, report, workspace
from tests.support.stored_lines import StoredLines

MINUTE = timedelta(minutes=1)
CANARY = "dose7f3c9a1e5b2d8064c7e1f09a3b5d2c48"
type Ran = Callable[..., None]


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> StoredLines:
    logs = StoredLines()

    @contextmanager
    def logs_of(_: object, logger: RedactingLogger) -> Iterator[StoredLines]:
        logger.secrets.add(CANARY)
        yield logs

    monkeypatch.setattr(command, "logs_of", logs_of)
    return logs


@pytest.fixture
def ran(stored: StoredLines, caplog: pytest.LogCaptureFixture) -> Ran:
    """Return a function that logs a run that ended this many minutes ago, by default on schedule."""

    def write(ago: int, *workspaces: Any, problems: tuple[Problem, ...] = (), next_run: int = 15) -> None:
        done = report(*(workspaces or [workspace()]), problems=problems)
        at = NOW - ago * MINUTE
        stored.record(caplog, at, lambda: log_run(done, RedactingLogger(), at + next_run * MINUTE))

    return write


def runs(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["runs", "--app", "contoso-refresh", *arguments])


def as_json(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(runs("--json", *arguments).stdout)
    return found


def failing(name: str = "data-1", error: Diagnosis = ERROR) -> Any:
    return workspace(name=name, result="failed", error=error)


def test_a_good_last_run_ends_with_0_and_a_failed_one_with_1(stored: StoredLines, ran: Ran) -> None:
    ran(25, failing())
    ran(10)
    assert runs().exit_code == 0
    stored.at = NOW - 11 * MINUTE
    assert runs().exit_code == 1


def test_each_failure_is_shown_once_with_its_places_and_remedy(ran: Ran) -> None:
    for ago in (40, 25, 10):
        ran(ago, *(failing(f"data-{number}") for number in range(5)))
    shown = runs().output
    assert shown.count(ERROR.remedy) == 1
    assert shown.count(f"({ERROR.code})") == 1
    assert "data-0, data-1, data-2 and 2 more" in shown
    assert "3 runs" in shown


def test_more_places_than_are_named_are_counted(stored: StoredLines) -> None:
    failure = {"location": "a", "code": "x", "message": "m", "count": 10**11, "places": ["a", "b", "c"]}
    stored.add({"event": "git_refresh.run", "result": "failed", "failures": [failure]}, NOW - MINUTE)
    assert "a, b, c and 99,999,999,997 more: m" in runs().output


def test_failed_shows_only_the_runs_that_failed(ran: Ran) -> None:
    ran(25, failing())
    ran(10)
    assert [run["result"] for run in as_json("--failed")["runs"]] == ["failed"]
    assert [run["result"] for run in as_json()["runs"]] == ["ok", "failed"]
    assert as_json("--failed")["result"] == "ok"


def test_json_has_each_run_and_each_failure(ran: Ran) -> None:
    ran(10, failing())
    found = as_json()
    assert {key: found[key] for key in ("version", "result", "app", "complete")} == {
        "version": 1,
        "result": "failed",
        "app": "contoso-refresh",
        "complete": True,
    }
    assert found["newest_line_at"] == "2026-11-23T11:50:00Z"
    (run,) = found["runs"]
    assert run["started_at"] == "2026-11-23T11:49:58Z"
    assert run["next_run"] == "2026-11-23T12:05:00Z"
    assert (run["workspaces"], run["workspaces_failed"], run["token_remaining_s"]) == (1, 1, 3600)
    (failure,) = run["failures"]
    assert {failure[key] for key in ("code", "message", "cause", "remedy")} == {
        ERROR.code,
        ERROR.message,
        ERROR.cause,
        ERROR.remedy,
    }
    assert [token["expires_at"] for token in run["tokens"]] == ["2026-11-24T00:00:00Z"]


def test_a_run_that_is_overdue_ends_with_1_although_the_last_was_good(ran: Ran) -> None:
    ran(50)
    found = as_json()
    assert found["result"] == "failed"
    assert [each["code"] for each in found["findings"]] == ["run_overdue"]
    assert runs().exit_code == 1


def test_a_silence_that_has_ended_is_shown_and_no_failure(ran: Ran) -> None:
    ran(90)
    ran(5)
    assert [each["code"] for each in as_json()["findings"]] == ["run_overdue"]
    assert runs().exit_code == 0


@pytest.mark.parametrize(("next_run", "code", "findings"), [(600, 0, []), (15, 1, ["no_run_logged"])])
def test_no_run_in_the_time_is_fine_only_if_none_was_due(
    ran: Ran, next_run: int, code: int, findings: list[str]
) -> None:
    ran(120, next_run=next_run)
    assert [each["code"] for each in as_json("--since", "1h")["findings"]] == findings
    assert runs("--since", "1h").exit_code == code


def test_no_run_at_all_says_what_to_look_at(stored: StoredLines) -> None:
    stored.add("The 'refresh_git' function is in error: no worker.", NOW - 5 * MINUTE, severity=3)
    found = as_json()
    assert [each["code"] for each in found["findings"]] == ["no_run_logged"]
    assert [(each["message"], each["count"]) for each in found["host"]] == [
        ("The 'refresh_git' function is in error: no worker.", 1)
    ]
    assert runs().exit_code == 1


def test_moved_messages_are_shown_and_the_hosts_results_are_not(stored: StoredLines, ran: Ran) -> None:
    ran(1)
    moved = "Message has reached MaxDequeueCount of 5. Moving message to queue 'git-refresh-slices-poison'."
    stored.add(moved, NOW - 5 * MINUTE)
    stored.add("Executed 'Functions.refresh_git' (Failed, Id=1, Duration=2ms)", NOW - 5 * MINUTE, severity=3)
    assert [each["message"] for each in as_json()["host"]] == [moved]


def test_settings_with_which_nothing_was_run_are_shown_as_the_failure(
    stored: StoredLines, caplog: pytest.LogCaptureFixture
) -> None:
    problem = Problem("WORKSPACES[2].host", "must start with https://")
    stored.record(caplog, NOW - MINUTE, lambda: log_nothing_done([problem], RedactingLogger()))
    result = runs()
    assert result.exit_code == 1
    assert str(problem) in result.output


def test_the_age_of_the_newest_line_is_said(ran: Ran) -> None:
    ran(12)
    assert "2026-11-23 11:48 UTC, 12 minutes ago" in runs().output


def test_many_runs_and_failures_fit_on_some_screens(ran: Ran) -> None:
    for ago in range(15 * 300, 0, -15):
        errors = [
            Diagnosis(f"code_{ago % 7}_{number}", "It failed.", "It broke.", f"Mend {number}.")
            for number in range(20)
        ]
        ran(ago, *(failing(f"data-{number}", error) for number, error in enumerate(errors)))
    lines = runs("--since", "7d").output.splitlines()
    assert len(lines) < 200
    assert len(as_json("--since", "7d")["runs"]) == 300


def test_good_runs_in_a_row_are_one_line_of_the_table(ran: Ran) -> None:
    for ago in range(90, 0, -15):
        ran(ago)
    assert "(6 runs)" in runs().output
    assert len(runs().output.splitlines()) == 4


def test_quiet_shows_failed_runs_and_the_last_line(ran: Ran) -> None:
    ran(10)
    assert len(runs("--quiet").output.splitlines()) == 1


@pytest.mark.parametrize("since", ["0m", "31d", "24", "h", "-1h", "1w", "1e3h", "٣h"])
def test_a_time_that_is_none_is_refused(since: str) -> None:
    result = runs("--since", since)
    assert result.exit_code == 2
    assert "--since" in result.output


@pytest.mark.parametrize(("since", "hours"), [("30m", 0.5), ("24h", 24), ("7d", 168), (" 24H ", 24)])
def test_a_time_can_have_each_unit(since: str, hours: float) -> None:
    assert command.Since().convert(since, None, None) == timedelta(hours=hours)


def test_a_part_of_the_lines_is_said(stored: StoredLines, ran: Ran) -> None:
    ran(10)
    stored.complete = False
    found = as_json()
    assert found["complete"] is False
    assert [each["code"] for each in found["findings"]] == ["logs_too_large"]
    assert found["result"] == "ok"


def test_logs_that_cannot_be_read_are_told_with_their_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def logs_of(*_: object) -> NoReturn:
        raise DiagnosedError(finding("component_not_found", DiagnosisContext(app="contoso-refresh")))

    monkeypatch.setattr(command, "logs_of", logs_of)
    assert as_json()["error"]["code"] == "component_not_found"
    assert runs().exit_code == 1


def test_a_secret_of_the_command_in_a_log_line_is_not_shown(stored: StoredLines, ran: Ran) -> None:
    ran(10, failing("data-1", Diagnosis("x", f"It said {CANARY}.", "", "")))
    stored.add(f"Bearer {CANARY}", NOW, severity=3)
    assert CANARY not in runs().output
    assert CANARY not in json.dumps(as_json())


def test_control_characters_in_a_log_line_reach_no_terminal(stored: StoredLines, ran: Ran) -> None:
    ran(10, failing("data-1", Diagnosis("x", "a\x1b]8;;http://x\x07b", "", "")))
    stored.add("host \x1b[2J says \u202e so", NOW, severity=3)
    shown = runs().output
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def in_slices(stored: StoredLines, caplog: pytest.LogCaptureFixture, ago: int, *, ends: bool = True) -> None:
    """Log a run with two slices a minute apart, on an hourly schedule."""
    at, run_id, logger = NOW - ago * MINUTE, f"run {ago}", RedactingLogger()
    stored.record(caplog, at, lambda: log_dispatch(run_id, 2, 2, at + 60 * MINUTE, [], logger))
    for number in (1, 2):
        part = Slice(run_id, number, 2)
        stored.record(caplog, at, partial(log_queued, part, at + 60 * MINUTE, [f"data-{number}"], logger))
    for number in (1, 2) if ends else (1,):
        part, done = Slice(run_id, number, 2), workspace(name=f"data-{number}")
        whole = replace(report(done), slice=part, run_id=run_id)
        ended = at + number * MINUTE
        stored.record(caplog, ended, partial(log_workspace, run_id, done, logger, part))
        stored.record(caplog, ended, partial(log_run, whole, logger))


@pytest.mark.parametrize("since", ["10m", "21m", "24h"])
def test_a_run_in_slices_before_the_chosen_time_is_the_last_one(
    stored: StoredLines, caplog: pytest.LogCaptureFixture, since: str
) -> None:
    in_slices(stored, caplog, 22)
    assert (as_json("--since", since)["findings"], runs("--since", since).exit_code) == ([], 0)


def test_the_last_run_that_ended_counts_while_one_is_in_progress(
    stored: StoredLines, caplog: pytest.LogCaptureFixture
) -> None:
    in_slices(stored, caplog, 65)
    in_slices(stored, caplog, 5, ends=False)
    found = as_json("--since", "30m")
    assert ([run["result"] for run in found["runs"]], found["result"]) == (["running"], "ok")
