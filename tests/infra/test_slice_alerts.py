"""Alerts and workbook for runs in slices: the queries run on log lines as the app writes them."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from localcloud import kusto
from tests.support.templates import QUERIES
from tools.alert_clock import LONGEST_INGESTION, Rule
from tools.alerts import INTERVALS, deployed, times

START = datetime(2026, 11, 25, tzinfo=UTC)
BY_INTERVAL = deployed()
type Line = tuple[float, dict[str, Any]]
"""A minute, and the line that was written then."""


def moment(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def iso(minute: float) -> str:
    return moment(minute).isoformat().replace("+00:00", "Z")


def dispatch(tick: float, interval: float = 15, slices: int = 3) -> Line:
    event = {
        "event": "git_refresh.dispatch",
        "run_id": f"run at {tick:g}",
        "slices": slices,
        "workspaces": 50 * slices,
        "valid_until": iso(tick + interval),
        "problems": [],
    }
    return tick, event


def names(slice_: int) -> list[str]:
    """Return the names of the workspaces in a slice."""
    return [f"{slice_}-a", f"{slice_}-b"]


def queued(tick: float, slice_: int, interval: float = 15, slices: int = 3) -> Line:
    event = {
        "event": "git_refresh.queued",
        "run_id": f"run at {tick:g}",
        "slice": slice_,
        "slices": slices,
        "valid_until": iso(tick + interval),
        "names": names(slice_),
    }
    return tick, event


def dispatched(tick: float, interval: float = 15, slices: int = 3) -> Iterator[Line]:
    """Yield the lines of the timer."""
    yield dispatch(tick, interval, slices)
    for number in range(1, slices + 1):
        yield queued(tick, number, interval, slices)


def of_workspace(tick: float, name: str, minute: float, result: str = "failed", **also: Any) -> Line:
    event = {"event": "git_refresh.workspace", "run_id": f"run at {tick:g}", "slice": 1, "name": name}
    return minute, {
        **event,
        "result": result,
        "credential": "token_rejected" if result == "failed" else "updated",
        "folders": {"failed": 2} if result == "failed" else {"unchanged": 2},
        **({"alert_after_runs": 1} if result == "failed" else {}),
        "failures": [{"location": name, "code": "devops_no_access"}] if result == "failed" else [],
        **also,
    }


def done(tick: float, slice_: int, minute: float, result: str = "ok", slices: int = 3) -> Iterator[Line]:
    """Yield the lines of a slice. In a failed slice, the last workspace failed."""
    *others, last = names(slice_)
    for name in others:
        yield of_workspace(tick, name, minute, "ok")
    yield of_workspace(tick, last, minute, result)
    yield ended(tick, slice_, minute, result, slices)


def ended(tick: float, slice_: int, minute: float, result: str = "ok", slices: int = 3, **also: Any) -> Line:
    event = {"event": "git_refresh.run", "run_id": f"run at {tick:g}", "slice": slice_, "slices": slices}
    return minute, {**event, **counted(result), **also}


def whole(tick: float, minute: float, result: str = "ok", **also: Any) -> Line:
    """Yield the lines of a run with `FAN_OUT=off`."""
    return minute, {"event": "git_refresh.run", "run_id": f"run at {tick:g}", **counted(result), **also}


def nothing_done(minute: float) -> Line:
    event = {"event": "git_refresh.run", "result": "failed", "code": "invalid_settings"}
    return minute, {**event, "problems": ["WORKSPACES: is missing"]}


def not_done(tick: float, slice_: int, minute: float, code: str, result: str = "dropped") -> Line:
    event = {
        "event": "git_refresh.message_skipped",
        "result": result,
        "run_id": f"run at {tick:g}",
        "slice": slice_,
    }
    return minute, {**event, "slices": 3, "code": code, "problems": [f"queue: {code}"]}


def counted(result: str) -> dict[str, Any]:
    failed = int(result == "failed")
    return {
        "result": result,
        "dry_run": False,
        "duration_s": 60.0,
        "workspaces": 50,
        "workspaces_ok": 50 - failed,
        "workspaces_failed": failed,
        "workspaces_rejected": 0,
        "folders": 100,
        "folders_created": 0,
        "folders_updated": 2,
        "folders_unchanged": 98 - failed,
        "folders_failed": failed,
        "folders_skipped": 0,
        "min_token_remaining_s": 4000,
        "tokens": [],
        "problems": [f"Azure DevOps: {result}"] if failed else [],
    }


def in_slices(tick: float, *results: str, interval: float = 15, spread: float = 3) -> Iterator[Line]:
    """Yield a run whose slices complete one after another over so many minutes. "" never completes."""
    yield from dispatched(tick, interval, len(results))
    for number, result in enumerate(results, start=1):
        if result:
            minute = tick + spread * number / len(results)
            yield from done(tick, number, minute, result, len(results))


def answer(query: str, lines: Iterable[Line], now: float, window: float = 10_000) -> kusto.Rows:
    """Return the rows of a query at a time, on the lines of its window that have arrived."""
    rows = [
        {"timestamp": moment(minute), "message": json.dumps(event)}
        for minute, event in lines
        if now - window < minute <= now
    ]
    return kusto.run(query, {"traces": rows, "requests": []}, moment(now))


def fires(rule: Rule, lines: Iterable[Line], now: float, ingestion: float = 0) -> bool:
    seen = [line for line in lines if line[0] + ingestion <= now]
    return rule.compares(len(answer(rule.query, seen, now, rule.window)))


def shown(name: str, lines: Iterable[Line], now: float) -> kusto.Rows:
    (query,) = (text for file, text in QUERIES.items() if file[3:] == f"{name}.kql")
    return answer(query, lines, now)


GOOD = ("ok", "ok", "ok")


# Alerts


def slice_rows(lines: Iterable[Line], now: float) -> list[tuple[str, int, str]]:
    """Return run, slice and workspace of each row of `slice-not-completed`."""
    rows = answer(BY_INTERVAL[15]["slice-not-completed"].query, lines, now)
    return sorted((row["run_id"], row["slice"], row["workspace"]) for row in rows)


def failed_rows(
    lines: Iterable[Line], now: float, rule: str = "slice-failed", interval: int = 15
) -> list[tuple[str, str, int]]:
    """Return what the emails show: the workspace, the code and the number of workspaces."""
    own = BY_INTERVAL[interval][rule]
    rows = answer(own.query, lines, now, own.window)
    assert len(rows) <= 10
    return sorted((row["workspace"], row["code"], row["workspaces"]) for row in rows)


def test_each_slice_and_workspace_that_failed_is_named_and_no_other() -> None:
    lines = [
        *in_slices(0, *GOOD),
        *in_slices(15, "ok", "failed", "ok"),
        whole(30, 31, "failed"),
        nothing_done(45),
    ]
    lines += [not_done(45, 2, 46, "slice_abandoned", "failed"), not_done(45, 1, 46, "slice_too_late")]
    assert failed_rows(lines, 50) == [("2-b", "devops_no_access", 1), ("slice 2", "slice_abandoned", 1)]
    assert failed_rows(lines, 50, "run-failed") == [("whole run", "invalid_settings", 1)]


@pytest.mark.parametrize("rule", ["run-failed", "slice-failed"])
def test_up_to_ten_failures_have_a_mail_each_and_more_have_one(rule: str) -> None:
    def failed(count: int, codes: int) -> list[tuple[str, str, int]]:
        lines = [
            of_workspace(0, f"w{number:02}", 1, failures=[{"code": f"code_{number % codes}"}])
            for number in range(count)
        ]
        if rule == "run-failed":
            lines = [(minute, {**event, "slice": None}) for minute, event in lines]
        return failed_rows(lines, 10, rule)

    assert failed(10, 3) == [(f"w{number:02}", f"code_{number % 3}", 1) for number in range(10)]
    assert failed(11, 3) == [("more than ten", "several codes", 11)]
    assert failed(1_000, 1) == [("more than ten", "code_0", 1_000)]


@pytest.mark.parametrize(("workspaces", "mails"), [(1, 1), (10, 10), (11, 1)])
def test_what_fails_all_day_has_at_most_one_mail_for_each_pair(workspaces: int, mails: int) -> None:
    """Each evaluation finds the same pairs, so no alert is resolved and fires again."""
    rule = BY_INTERVAL[15]["slice-failed"]
    lines = [
        of_workspace(tick, f"w{w}", tick + 1) for tick in range(0, 24 * 60, 15) for w in range(workspaces)
    ]
    found = {frozenset(failed_rows(lines, now)) for now in range(rule.every, 24 * 60, rule.every)}
    (pairs,) = found
    assert len(pairs) == mails


def failing(tick: float, minute: float, after: int) -> Line:
    return of_workspace(tick, "1-a", minute, alert_after_runs=after, failures=[{"code": "timeout"}])


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_workspace_in_a_slice_that_fails_in_passing_alerts_nobody(interval: int) -> None:
    """The first slice ends with the last second of a run, and its lines arrive at any possible time."""
    ticks = range(0, 5 * interval, interval)
    fine = [of_workspace(tick, "1-a", tick + 1, "ok") for tick in ticks]
    for bad, spread in product(({1}, {0, 2}, {1, 3}), (1, interval - 1)):
        lines = [
            failing(tick, tick + spread, 2) if tick // interval in bad else fine[tick // interval]
            for tick in ticks
        ]
        for now in range(0, 6 * interval, interval // 15):
            for ingestion in (0, LONGEST_INGESTION):
                assert not fires(BY_INTERVAL[interval]["slice-failed"], lines, now, ingestion)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize(("after", "runs"), [(1, 1), (2, 2)])
def test_a_workspace_in_a_slice_alerts_with_the_run_that_its_line_says(
    interval: int, after: int, runs: int
) -> None:
    rule = BY_INTERVAL[interval]["slice-failed"]
    documented = times(rule)
    for early, late, ingestion, phase in product(
        (0, interval - 1), (0, interval - 1), (0, 8), range(rule.every)
    ):
        ends = [early, interval + late][:runs] if runs == 2 else [early]
        lines = [failing(interval * at, end, after) for at, end in enumerate(ends)]
        looks = rule.evaluations(phase, 0, 3 * rule.window)
        first = next(now for now in looks if fires(rule, lines, now, ingestion))
        assert 0 <= first - ends[-1] <= documented.latest


def test_the_line_of_a_run_between_is_given_the_time_to_arrive() -> None:
    lines = [failing(0, 12, 2), failing(30, 31, 2)]
    assert failed_rows(lines, 31 + LONGEST_INGESTION - 1) == []
    assert failed_rows(lines, 31 + LONGEST_INGESTION) == [("1-a", "timeout", 1)]
    assert failed_rows([*lines, of_workspace(15, "1-a", 26, "ok")], 31 + LONGEST_INGESTION) == []


def test_a_workspace_that_was_refreshed_in_a_second_attempt_has_not_failed() -> None:
    lines = [failing(0, 1, 1), of_workspace(0, "1-a", 3, "ok")]
    assert failed_rows(lines, 20) == []


def test_lines_of_a_version_without_the_field_alert_at_once() -> None:
    minute, event = of_workspace(0, "1-a", 1)
    del event["alert_after_runs"]
    assert failed_rows([(minute, event)], 10) == [("1-a", "devops_no_access", 1)]


def test_each_workspace_that_never_ended_is_named_ten_minutes_later() -> None:
    lines = [*in_slices(0, *GOOD), *in_slices(15, "", "failed", ""), not_done(15, 3, 31, "slice_too_late")]
    assert slice_rows(lines, 40) == []
    assert slice_rows(lines, 40.1) == [
        ("run at 15", number, name) for number in (1, 3) for name in names(number)
    ]


def forged(tick: float, name: str, minute: float, result: str = "ok", slice_: int = 1) -> list[Line]:
    """Yield the lines of a forged message with one name of the list."""
    return [of_workspace(tick, name, minute, result), ended(tick, slice_, minute, result)]


def test_one_workspace_of_a_slice_does_not_end_the_others_of_its_slice() -> None:
    lines = [*in_slices(0, "", "ok", "ok"), *forged(0, "1-a", 1)]
    assert slice_rows(lines, 26) == [("run at 0", 1, "1-b")]


def test_a_workspace_refreshed_after_the_next_run_was_due_is_named() -> None:
    lines = [*in_slices(0, "", "ok", "ok"), *forged(0, "1-a", 14.9), *forged(0, "1-b", 15.1)]
    assert slice_rows(lines, 26) == [("run at 0", 1, "1-b")]


def test_a_run_that_was_made_whole_after_its_time_is_no_success() -> None:
    runs = [line for tick in (0, 15, 30) for line in in_slices(tick, "", "ok", "ok")]
    for after, fired in ((14.9, False), (15.1, True)):
        late = [line for tick in (0, 15, 30) for line in done(tick, 1, tick + after)]
        assert fires(BY_INTERVAL[15]["no-successful-run"], [*runs, *late], 50) is fired


def test_a_workspace_that_left_the_list_in_mid_run_is_not_missed() -> None:
    minute, event = not_done(0, 1, 2, "workspace_not_listed")
    gone: Line = minute, {**event, "names": names(1)}
    runs = [line for tick in (0, 15, 30) for line in in_slices(tick, "", "ok", "ok")]
    assert slice_rows([*runs, gone], 26) == []
    assert fires(BY_INTERVAL[15]["no-successful-run"], runs, 50)
    assert not fires(BY_INTERVAL[15]["no-successful-run"], [*runs, gone], 50)


@pytest.mark.parametrize("left_out", ["1-a", "2-b"])
def test_a_run_of_which_one_workspace_was_not_refreshed_is_no_success(left_out: str) -> None:
    lines = [
        line for tick in (0, 15, 30) for line in in_slices(tick, *GOOD) if line[1].get("name") != left_out
    ]
    assert fires(BY_INTERVAL[15]["no-successful-run"], lines, 50)


def test_a_run_with_names_missing_in_the_log_is_no_success() -> None:
    lines = [line for tick in (0, 15, 30) for line in in_slices(tick, *GOOD)]
    shorter = [
        line for line in lines if (line[1]["event"], line[1].get("slice")) != ("git_refresh.queued", 2)
    ]
    assert not fires(BY_INTERVAL[15]["no-successful-run"], lines, 50)
    assert fires(BY_INTERVAL[15]["no-successful-run"], shorter, 50)


def test_what_the_timer_has_not_dispatched_is_no_run() -> None:
    unknown = [line for minute in range(0, 50, 2) for line in done(1_000 + minute, 1, minute, slices=1)]
    bad = [line for tick in (0, 15, 30) for line in in_slices(tick, "", "ok", "ok")]
    assert fires(BY_INTERVAL[15]["no-successful-run"], [*unknown, *bad], 50)
    failing = [line for minute in range(0, 50, 2) for line in done(1_000 + minute, 1, minute, "failed")]
    assert not fires(BY_INTERVAL[15]["no-successful-run"], [*failing, *in_slices(0, "", "ok", "ok")], 50)
    assert fires(BY_INTERVAL[15]["no-run"], unknown, 50)
    assert shown("the-last-run", [*in_slices(0, *GOOD), *unknown], 51)[0]["timestamp"] == moment(3)
    assert len(shown("the-slowest-runs", [*in_slices(0, *GOOD), *unknown], 51)) == 1


def test_a_fleet_without_slices_fires_no_slice_alert() -> None:
    lines = [whole(0, 1), whole(15, 16, "failed"), nothing_done(30)]
    for now in range(100):
        assert not failed_rows(lines, now)
        assert not slice_rows(lines, now)


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_slice_that_never_ended_alerts_in_time_at_every_phase(interval: int) -> None:
    rule = BY_INTERVAL[interval]["slice-not-completed"]
    documented = times(rule)
    for late, ingestion, phase in product((0, 1), (0, LONGEST_INGESTION), range(rule.every)):
        lines = [
            (minute + late * (event["event"] == "git_refresh.dispatch"), event)
            for minute, event in in_slices(0, "ok", "", interval=interval)
        ]
        looks = rule.evaluations(phase, 0, 3 * rule.window)
        first = next(now for now in looks if fires(rule, lines, now, ingestion))
        assert documented.earliest < first - interval <= documented.latest


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("spread", [0.5, 0.99])
@pytest.mark.parametrize("ingestion", [0, LONGEST_INGESTION])
def test_no_good_fleet_in_slices_is_called_red(interval: int, spread: float, ingestion: float) -> None:
    """Not even if slices take all the time until the next run."""
    lines = [
        line
        for run in range(10)
        for line in in_slices(run * interval, *GOOD, interval=interval, spread=spread * interval)
    ]
    named = ("no-successful-run", "slice-failed", "slice-not-completed", "token-expires-too-soon")
    for now in range(6 * interval, 7 * interval, interval // 15):
        assert not [name for name in named if fires(BY_INTERVAL[interval][name], lines, now, ingestion)], now


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_run_with_a_first_slice_eleven_minutes_late_is_a_run(interval: int) -> None:
    for early, late in product((False, True), repeat=2):
        lines = [
            line
            for tick in range(0, 9 * interval, interval)
            for line in (
                dispatch(tick, interval),
                ended(tick, 1, tick + (22 if (late if tick == 8 * interval else early) else 0)),
            )
        ]
        rule = BY_INTERVAL[interval]["no-run"]
        looked = range(4 * interval, 8 * interval, interval // 15)
        assert not [now for now in looked if fires(rule, lines, now, LONGEST_INGESTION)]


def test_dispatch_lines_do_not_hide_that_no_slice_runs() -> None:
    lines = [line for run in range(9) for line in in_slices(15 * run, "", "")]
    assert fires(BY_INTERVAL[15]["no-run"], lines, 100)
    assert fires(BY_INTERVAL[15]["slice-not-completed"], lines, 100)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("results", [("ok", "failed", "ok"), ("ok", "", "ok")])
@pytest.mark.parametrize("ingestion", [0, LONGEST_INGESTION])
def test_a_slice_missing_or_failing_in_every_run_keeps_the_alert_firing(
    interval: int, results: tuple[str, ...], ingestion: float
) -> None:
    lines = [line for run in range(12) for line in in_slices(run * interval, *results, interval=interval)]
    named = ["no-successful-run", "slice-not-completed" if "" in results else "slice-failed"]
    for now in range(6 * interval, 7 * interval, interval // 15):
        for name in named:
            assert fires(BY_INTERVAL[interval][name], lines, now, ingestion), (name, now)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("bad", [("ok", "failed", "ok"), ("ok", "", "ok")])
def test_one_bad_run_in_slices_among_good_ones_is_no_lack_of_success(
    interval: int, bad: tuple[str, ...]
) -> None:
    rule = BY_INTERVAL[interval]["no-successful-run"]
    for spread, ingestion in product((1, min(interval - 1, 50)), (0, LONGEST_INGESTION)):
        lines = [
            line
            for run in range(10)
            for line in in_slices(
                run * interval, *(bad if run == 5 else GOOD), interval=interval, spread=spread
            )
        ]
        assert not [
            now
            for now in range(5 * interval, 9 * interval, interval // 15)
            if fires(rule, lines, now, ingestion)
        ], spread


@pytest.mark.parametrize("on", [True, False], ids=["on", "off"])
def test_nothing_is_red_while_the_queue_is_switched(*, on: bool) -> None:
    lines: list[Line] = []
    for run in range(12):
        sliced = (run >= 6) == on
        lines += in_slices(15 * run, *GOOD) if sliced else [whole(15 * run, 15 * run + 1)]
    for now in range(75, 135):
        for name, rule in BY_INTERVAL[15].items():
            if name not in {"run-failed", "log-cap-reached"}:
                assert not fires(rule, lines, now, LONGEST_INGESTION), (name, now)


def test_with_one_piece_a_run_counts_as_it_always_has() -> None:
    rule = BY_INTERVAL[15]["no-successful-run"]
    assert not fires(rule, [whole(0, 1, "failed")], 20)
    assert fires(rule, [whole(0, 1, "failed"), whole(15, 16, "failed")], 20)
    assert fires(rule, [nothing_done(1), nothing_done(16)], 20), (
        "lines without a run_id are runs of their own"
    )
    assert not fires(rule, [whole(0, 1), whole(15, 16, "failed"), whole(30, 31, "failed")], 40)


def test_a_slice_that_was_done_twice_does_not_make_up_for_another() -> None:
    rule = BY_INTERVAL[15]["no-successful-run"]
    lines = [
        line
        for run in (0, 15, 30)
        for line in (*dispatched(run), *(each for at in (1, 2, 3) for each in done(run, 1, run + at)))
    ]
    assert fires(rule, lines, 50)


# Workbook


def test_the_last_run_is_the_sum_of_its_slices_and_is_complete() -> None:
    lines = [*in_slices(0, *GOOD), *in_slices(15, "ok", "failed", "ok"), dispatch(30), ended(30, 1, 31)]
    (row,) = shown("the-last-run", lines, 32)
    assert row["timestamp"] == moment(18)
    assert (row["result"], row["duration_s"]) == ("failed", 180.0)
    assert (row["slices"], row["not_completed"]) == (3, 0)
    assert (row["workspaces"], row["ok"], row["failed"], row["folders"]) == (150, 149, 1, 300)
    assert row["problems"] == [["Azure DevOps: failed"]]


def test_a_run_with_a_slice_missing_is_the_last_one_when_its_time_is_over() -> None:
    lines = [*in_slices(0, *GOOD), *in_slices(15, "ok", "", "ok")]
    assert shown("the-last-run", lines, 29)[0]["result"] == "ok"
    (row,) = shown("the-last-run", lines, 31)
    assert (row["result"], row["not_completed"], row["workspaces"], row["ok"]) == ("failed", 2, 150, 100)


def test_a_last_run_that_lacks_a_workspace_has_failed() -> None:
    lines = [*in_slices(0, "", "ok", "ok"), *forged(0, "1-a", 4)]
    (row,) = shown("the-last-run", lines, 5)
    assert (row["result"], row["not_completed"]) == ("failed", 1)


def test_a_slice_that_was_done_twice_counts_once() -> None:
    (row,) = shown("the-last-run", [*in_slices(0, *GOOD), ended(0, 2, 4)], 5)
    assert (row["workspaces"], row["ok"], row["result"]) == (150, 150, "ok")


def test_in_one_piece_the_last_run_is_as_it_was_logged() -> None:
    lines = [*in_slices(0, *GOOD), whole(15, 17, "failed")]
    (row,) = shown("the-last-run", lines, 18)
    assert (row["result"], row["duration_s"], row["slices"]) == ("failed", 60.0, 1)
    assert (row["workspaces"], row["ok"], row["failed"]) == (50, 49, 1)
    (row,) = shown("the-last-run", [*lines, nothing_done(30)], 31)
    assert (row["result"], row["ok"], row["problems"]) == ("failed", 0, [["WORKSPACES: is missing"]])


def test_the_fleet_at_a_glance_is_the_whole_fleet() -> None:
    tiles = shown("the-fleet-at-a-glance", in_slices(0, "ok", "failed", ""), 20)
    assert {row["title"]: row["number"] for row in tiles} == {
        "workspaces": 150,
        "workspaces ok": 99,
        "workspaces failed": 1,
        "invalid entries": 0,
        "not completed": 2,
        "Git folders": 200,
        "Git folders failed": 1,
        "token minutes left": 66,
    }


def test_failures_and_folders_are_those_of_every_slice_of_the_last_run() -> None:
    failure = {"location": "a", "code": "git_conflict", "message": "m", "cause": "c", "remedy": "r"}
    lines = [*in_slices(0, *GOOD), *in_slices(15, "failed", "failed", "ok"), dispatch(30)]
    lines += [of_workspace(at, f"of {at}", at + 1, failures=[failure]) for at in (0, 15, 30)]
    lines += [of_workspace(15, "another", 17, failures=[{**failure, "location": "b"}])]
    assert [row["location"] for row in shown("failures-of-the-last-run", lines, 32)] == [
        "1-b",
        "2-b",
        "a",
        "b",
    ]
    behind = shown("git-folders-that-are-behind", lines, 32)
    assert {row["workspace"]: row["failed"] for row in behind} == dict.fromkeys(
        ("1-b", "2-b", "of 15", "another"), 2
    )


def test_every_failure_in_a_time_range_is_shown_also_of_no_run() -> None:
    failure = {"location": "a", "code": "timeout", "message": "m", "cause": "c", "remedy": "r"}
    short = {"location": "b", "code": "timeout", "message": "m", "count": 4}
    token = {"code": "token_expires_before_next_run", "problems": ["token: it ends", "clock: a warning"]}
    lines = [
        whole(0, 1, "failed", failures=[failure], app_version="1.0.0", code=None),
        of_workspace(0, "a", 1, failures=[failure]),
        of_workspace(0, "b", 1, failures=[short]),
        of_workspace(0, "c", 1, "ok"),
        whole(15, 16, "failed", **token, app_version="1.0.1"),
        nothing_done(30),
        not_done(45, 2, 46, "slice_abandoned", "failed"),
        not_done(45, 3, 46, "slice_duplicate"),
    ]
    rows = shown("all-failures-in-this-time-range", lines, 60)
    told = [
        (row["location"], row["locations"], row["code"], row["remedy"], row["app_version"]) for row in rows
    ]
    assert told == [
        ("whole run", 1, "slice_abandoned", None, None),
        ("whole run", 1, "invalid_settings", None, None),
        ("whole run", 1, "token_expires_before_next_run", None, "1.0.1"),
        ("a", 1, "timeout", "r", "1.0.0"),
        ("b", 4, "timeout", "r", "1.0.0"),
    ]


def test_a_run_in_slices_is_as_slow_as_from_the_timer_to_its_last_slice() -> None:
    lines = [whole(0, 5, duration_s=200.0), *in_slices(15, *GOOD, spread=12), *in_slices(30, *GOOD)]
    slowest = shown("the-slowest-runs", lines, 40)
    assert [(row["duration_s"], row["slices"], row["workspaces"]) for row in slowest] == [
        (720.0, 3, 150),
        (200.0, 1, 50),
        (180.0, 3, 150),
    ]
    assert slowest[0]["longest_slice_s"] == 60.0


def test_every_slice_of_the_last_run_has_a_row_also_one_that_never_ended() -> None:
    lines = [*in_slices(0, "ok", "failed", "", ""), not_done(0, 4, 16, "slice_too_late")]
    lines += [not_done(0, 1, 3, "slice_duplicate")]
    rows = shown("slices-of-the-last-run", lines, 20)
    assert [(row["slice"], row["result"], row["code"]) for row in rows] == [
        (1, "ok", ""),
        (2, "failed", ""),
        (3, "not completed", ""),
        (4, "dropped", "slice_too_late"),
    ]
    assert [row["began_after_s"] for row in rows[:2]] == [-15.0, 30.0]
    assert shown("slices-of-the-last-run", [whole(0, 1)], 20) == []
