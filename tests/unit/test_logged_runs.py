"""The runs of the deployed app, read from the app's log lines."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.admin.runs import LineRow, LoggedRun, read_runs
from git_refresh.failures.diagnosis import DiagnosisContext, finding
from git_refresh.model.values import Problem, Slice
from git_refresh.output.log import RedactingLogger
from git_refresh.run.report import (
    log_dispatch,
    log_message,
    log_nothing_done,
    log_queued,
    log_run,
    log_workspace,
)
from tests.support.fake_fleet import host, run
from tests.support.fakes import NOW, FakeServices, FakeWorkspace
from tests.support.reports import ERROR, report, workspace
from tests.support.stored_lines import StoredLines

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
type Write = Callable[[datetime, Callable[[], object]], None]


@pytest.fixture
def stored() -> StoredLines:
    return StoredLines()


@pytest.fixture
def write(stored: StoredLines, caplog: pytest.LogCaptureFixture) -> Write:
    return lambda at, what: stored.record(caplog, at, what)


def the_run(stored: StoredLines) -> LoggedRun:
    (found,) = stored.runs(DAY).runs
    return found


def test_a_run_is_read_from_the_lines_that_it_has_written(stored: StoredLines, write: Write) -> None:
    services = FakeServices({host(1): FakeWorkspace(), host(2): FakeWorkspace()})
    write(NOW - 5 * MINUTE, lambda: run(services, {"folders": []}, {}))
    found = the_run(stored)
    assert (found.result, found.workspaces, found.workspaces_ok, found.workspaces_failed) == (
        "failed",
        2,
        1,
        1,
    )
    assert found.folders == {"failed": 1}
    assert [failure.code for failure in found.failures] == ["folder_not_found"]
    assert all((each.location, each.cause, each.remedy) != ("", "", "") for each in found.failures)
    assert found.token_remaining_s is not None
    assert found.token_remaining_s > 0
    assert found.next_run == NOW + 15 * MINUTE
    assert found.ended_at == NOW - 5 * MINUTE


def test_a_run_that_could_not_begin_has_its_problems_and_no_counts(stored: StoredLines, write: Write) -> None:
    problems = [Problem("WORKSPACES", "is missing")]
    write(NOW - MINUTE, lambda: log_nothing_done(problems, RedactingLogger()))
    found = the_run(stored)
    assert (found.result, found.workspaces, found.problems) == ("failed", None, ("WORKSPACES: is missing",))


def test_version_and_code_are_those_of_the_line(stored: StoredLines) -> None:
    line = {
        "event": "git_refresh.run",
        "app_version": "1.2.3",
        "result": "failed",
        "code": "invalid_settings",
    }
    stored.add(line, NOW - MINUTE)
    assert (the_run(stored).app_version, the_run(stored).code) == ("1.2.3", "invalid_settings")


def test_a_run_without_a_line_of_its_own_was_cut_off(stored: StoredLines, write: Write) -> None:
    for name in ("data-1", "data-2"):
        write(NOW - 30 * MINUTE, partial(log_workspace, "id", workspace(name=name), RedactingLogger()))
    found = the_run(stored)
    assert (found.result, found.workspaces_ok) == ("failed", 2)
    assert [failure.code for failure in found.failures] == ["run_not_completed"]
    stored.at = NOW - 15 * MINUTE  # its line could still arrive
    assert the_run(stored).result == "running"


@pytest.mark.parametrize(("ago", "runs"), [(60, 1), (12, 0)])
def test_an_invocation_that_failed_without_a_line_was_cut_off(
    stored: StoredLines, ago: int, runs: int
) -> None:
    stored.failed_invocation(NOW - ago * MINUTE, 10 * MINUTE)
    found = stored.runs(DAY).runs
    assert [[failure.code for failure in each.failures] for each in found] == [["run_not_completed"]] * runs


def test_an_invocation_whose_run_has_a_line_is_that_run(stored: StoredLines, write: Write) -> None:
    write(
        NOW - 50 * MINUTE, lambda: log_run(report(workspace(result="failed", error=ERROR)), RedactingLogger())
    )
    stored.failed_invocation(NOW - 50 * MINUTE - timedelta(seconds=2), timedelta(seconds=2))
    assert [failure.code for failure in the_run(stored).failures] == ["git_conflict"]


def dispatched(write: Write, at: datetime, slices: int = 2) -> list[Slice]:
    """Log the timer's lines of a run with two workspaces per slice."""
    logger, until = RedactingLogger(), at + 15 * MINUTE
    parts = [Slice("id", number, slices) for number in range(1, slices + 1)]
    write(at, lambda: log_dispatch("id", slices, 2 * slices, until, [], logger))
    for part in parts:
        write(at, partial(log_queued, part, until, names(part), logger))
    return parts


def names(part: Slice) -> list[str]:
    return [f"data-{part.number}-{number}" for number in (1, 2)]


def refreshed(write: Write, at: datetime, part: Slice, **changes: Any) -> None:
    """Log a slice; its second workspace changed."""
    done = [workspace(name=name, **(changes if name.endswith("2") else {})) for name in names(part)]
    for each in done:
        write(at, partial(log_workspace, "id", each, RedactingLogger(), part))
    whole = report(*done)
    write(at, partial(log_run, replace(whole, slice=part), RedactingLogger(), NOW))


def test_a_run_in_slices_is_ok_when_every_workspace_was_refreshed(stored: StoredLines, write: Write) -> None:
    first, second = dispatched(write, NOW - 10 * MINUTE)
    refreshed(write, NOW - 9 * MINUTE, first)
    assert the_run(stored).result == "running"
    refreshed(write, NOW - 8 * MINUTE, second)
    found = the_run(stored)
    assert (found.result, found.slices, found.workspaces, found.workspaces_ok) == ("ok", 2, 4, 4)
    assert found.started_at == NOW - 10 * MINUTE
    assert found.next_run == NOW + 5 * MINUTE


def test_a_slice_that_failed_makes_its_run_failed_at_once(stored: StoredLines, write: Write) -> None:
    first, _ = dispatched(write, NOW - 10 * MINUTE)
    refreshed(write, NOW - 9 * MINUTE, first, result="failed", error=ERROR)
    found = the_run(stored)
    assert (found.result, found.workspaces_failed) == ("failed", 1)
    assert [failure.code for failure in found.failures] == ["git_conflict"]


def test_workspaces_without_a_line_until_the_next_run_are_missed(stored: StoredLines, write: Write) -> None:
    first, second = dispatched(write, NOW - 60 * MINUTE)
    refreshed(write, NOW - 59 * MINUTE, first)
    too_late = finding("slice_too_late", DiagnosisContext(), **second.as_dict(), until="12:00")
    write(NOW - 40 * MINUTE, lambda: log_message(second, too_late, RedactingLogger()))
    found = the_run(stored)
    assert (found.result, found.never_ended) == ("failed", 2)
    assert [(failure.code, failure.count) for failure in found.failures] == [("slice_not_completed", 2)]
    assert found.problems == (str(too_late),)


def test_workspaces_that_were_refreshed_too_late_make_a_run_failed(stored: StoredLines, write: Write) -> None:
    first, second = dispatched(write, NOW - 60 * MINUTE)
    refreshed(write, NOW - 59 * MINUTE, first)
    refreshed(write, NOW - 44 * MINUTE, second)
    assert (the_run(stored).result, the_run(stored).never_ended) == ("failed", 0)


def test_slices_that_the_timer_has_not_logged_are_no_run(stored: StoredLines, write: Write) -> None:
    refreshed(write, NOW - 9 * MINUTE, Slice("id", 1, 1))
    assert stored.runs(DAY).runs == ()


def every(write: Write, minutes: int, *times: int) -> None:
    """Log runs that ended this many minutes ago, on a schedule with this interval."""
    for ago in times:
        at = NOW - ago * MINUTE
        write(at, partial(log_run, report(workspace()), RedactingLogger(), at + minutes * MINUTE))


@pytest.mark.parametrize(
    ("minutes", "times", "gaps"),
    [
        (15, (45, 30, 15, 0), []),
        (15, (60, 45, 34), []),
        (15, (60, 45, 35), [0]),
        (15, (120, 45, 30, 15), [46]),
        (720, (721, 1), []),
    ],
)
def test_a_silence_is_too_long_by_what_the_run_before_it_has_said(
    stored: StoredLines, write: Write, minutes: int, times: tuple[int, ...], gaps: list[int]
) -> None:
    every(write, minutes, *times)
    found = stored.runs(DAY).gaps(NOW)
    assert [round((NOW - gap.until) / MINUTE) for gap in found] == [each and each - 1 for each in gaps]


def test_a_part_of_the_rows_makes_no_run_failed_for_want_of_a_line(stored: StoredLines, write: Write) -> None:
    write(NOW - 60 * MINUTE, lambda: log_workspace("id", workspace(), RedactingLogger()))
    stored.failed_invocation(NOW - 90 * MINUTE, 10 * MINUTE)
    stored.complete = False
    found = stored.runs(DAY)
    assert (found.runs, found.complete) == ((), False)


@pytest.mark.parametrize(
    "odd",
    [
        {"next_run": "0001-01-01T00:00:00+14:00"},
        {"next_run": "9999-12-31T23:59:59-14:00"},
        {"workspaces": 10**400},
        {"min_token_remaining_s": -(10**400)},
        {"failures": [{"location": "a", "code": "b", "message": "c", "count": 10**30}]},
    ],
)
def test_a_line_with_which_nothing_can_be_calculated_is_left_out(odd: dict[str, Any]) -> None:
    line = {"event": "git_refresh.run", "result": "ok", **odd}
    rows = [LineRow(timestamp=NOW, message=str(line).replace("'", '"'))]
    assert read_runs(rows, (), (), NOW, complete=True).runs == ()


ODD_VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59-14:00", "2026-11-23T11:00:00", 10**40, -1]
    )
)
FIELDS = (
    "run_id",
    "slice",
    "slices",
    "result",
    "duration_s",
    "failures",
    "tokens",
    "next_run",
    "valid_until",
    "workspaces",
)
ODD = st.text(max_size=60) | st.builds(
    lambda event, more: json.dumps({"event": event, "run_id": "id", **more}),
    st.sampled_from(["git_refresh.run", "git_refresh.dispatch", "git_refresh.message_skipped", "x"]),
    st.dictionaries(
        st.sampled_from(FIELDS),
        st.recursive(
            ODD_VALUES,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
        ),
        max_size=6,
    ),
)


@given(st.lists(ODD, max_size=5))
def test_no_odd_line_ends_the_reading(messages: list[str]) -> None:
    rows = [LineRow(timestamp=NOW, message=message) for message in messages]
    found = read_runs(rows, (), (), NOW, complete=True)
    assert len(found.runs) <= len(rows)
    found.gaps(NOW)
    json.dumps([each.as_dict() for each in found.runs])
