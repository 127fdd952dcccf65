"""When the alerts of the template fire: every phase of evaluation, duration of a run, and delay of ingestion.

Times are whole minutes, and a run of one second has none.
This is exact, because a window ends with its evaluation, and a moment between two minutes is earlier than the later one.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud import kusto
from tools.alert_clock import (
    LATEST_START,
    LINE_ARRIVED,
    LONGEST_INGESTION,
    LONGEST_RUN,
    Rule,
    Run,
)
from tools.alerts import INTERVALS, deployed, times

BY_INTERVAL = deployed()
WINDOWS = {5, 10, 15, 30, 45, 60, 120, 180, 240, 300, 360, 1440, 2880}
"""Minutes that the service accepts, the last one not as a frequency. https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule
and the azurerm provider's page on `azurerm_monitor_scheduled_query_rules_alert_v2`. The service also accepts one minute."""
STATEFUL_AT_MOST = 720
"""The longest frequency of a rule that resolves itself: https://learn.microsoft.com/azure/azure-monitor/service-limits."""
CORNERS = list(product((0, LATEST_START + LONGEST_RUN), (0, LONGEST_INGESTION)))
"""The earliest and latest end of a run after its scheduled time, and the shortest and longest ingestion."""
QUIET, SLOW = CORNERS[0], CORNERS[-1]


def fleet(
    interval: int,
    ends: list[tuple[int, int]],
    failed: frozenset[int] = frozenset(),
    *,
    waits: bool = False,
) -> list[Run]:
    """Return scheduled runs from minute 0, after ten successful runs that end at once."""
    before = [Run(-interval * number, 0, 0) for number in range(10, 0, -1)]
    after = [
        Run(interval * at, *end, ok=at not in failed, waits=waits and at in failed)
        for at, end in enumerate(ends)
    ]
    return before + after


def missed(rule: Rule) -> Iterator[tuple[str, Run, int]]:
    """Yield failed runs after which a rule does not fire in the documented time."""
    documented = times(rule)
    for late, duration, ingestion, phase in product(
        range(LATEST_START + 1), range(LONGEST_RUN + 1), range(LONGEST_INGESTION + 1), range(rule.every)
    ):
        run = Run(late, duration, ingestion, ok=False)
        first = rule.first(phase, run.end, [run])
        if first is None or not documented.earliest <= first - run.end < documented.latest:
            yield rule.name, run, phase


def false_alerts(
    interval: int, rules_: list[Rule], failed: frozenset[int] = frozenset()
) -> Iterator[tuple[str, int]]:
    """Yield rules that fire although no run failed, or only these."""
    for ends in product(CORNERS, repeat=4):
        runs = fleet(interval, list(ends), failed)
        for now in range(3 * interval, 4 * interval):  # before the next run's row
            yield from ((rule.name, now) for rule in rules_ if rule.fires(now, runs))


def second_missed(rule: Rule, interval: int) -> Iterator[tuple[Run, int]]:
    """Yield second failures in a row after which a rule does not fire in time, although the next run succeeds."""
    documented = times(rule)
    for ends in product(CORNERS, repeat=2):
        for phase in range(rule.every):
            runs = fleet(interval, [*ends, QUIET], frozenset({0, 1}), waits=True)
            second = runs[11]
            first = rule.first(phase, 0, runs)
            if first is None or not documented.earliest <= first - second.end < documented.latest:
                yield second, phase


def after_silence(rule: Rule, interval: int) -> Iterator[float]:
    """Yield minutes from the last (successful) run until a rule fires."""
    further = 6 if rule.name == "no-successful-run" else 0
    for ends in product(CORNERS, repeat=4 if further else 2):
        all_ends = [*ends, *[ends[-1]] * further]
        last = 0 if further else len(ends) - 1
        runs = fleet(interval, all_ends, frozenset(range(last + 1, len(all_ends))))
        for phase in range(rule.every):
            first = rule.first(phase, 0, runs)
            yield float("inf") if first is None else first - runs[10 + last].end


@pytest.mark.parametrize("interval", INTERVALS)
def test_the_service_takes_every_window_and_frequency(interval: int) -> None:
    for rule in BY_INTERVAL[interval].values():
        assert rule.window in WINDOWS, rule.name
        assert rule.every in WINDOWS - {2880}, rule.name
        assert rule.every <= rule.window, rule.name
        assert not rule.stateful or rule.every <= STATEFUL_AT_MOST, rule.name


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("name", ["run-failed", "token-expires-too-soon", "poison-queue"])
def test_every_failed_run_alerts_in_time(name: str, interval: int) -> None:
    assert next(missed(BY_INTERVAL[interval][name]), None) is None


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_fleet_without_failures_fires_no_rule(interval: int) -> None:
    assert next(false_alerts(interval, list(BY_INTERVAL[interval].values())), None) is None


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("failed", range(4))
def test_one_failed_run_among_good_ones_is_no_lack_of_success(interval: int, failed: int) -> None:
    few = [BY_INTERVAL[interval][name] for name in ("no-run", "no-successful-run")]
    assert next(false_alerts(interval, few, frozenset({failed})), None) is None


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("failed", [{1}, {0, 2}, {1, 3}])
def test_a_failure_that_passes_by_the_next_run_alerts_nobody(interval: int, failed: set[int]) -> None:
    """`no-successful-run` does not fire either: see above."""
    rule = BY_INTERVAL[interval]["run-failed"]
    for ends in product(CORNERS, repeat=4):
        runs = fleet(interval, [*ends, *[QUIET] * 3], frozenset(failed), waits=True)
        for now in range(0, 6 * interval, interval // 15):
            assert not rule.fires(now, runs), (ends, now)


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_failure_that_stays_alerts_with_the_second_run_in_time(interval: int) -> None:
    assert next(second_missed(BY_INTERVAL[interval]["run-failed"], interval), None) is None


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_run_without_a_line_alerts_ten_minutes_after_its_end(interval: int) -> None:
    rule = BY_INTERVAL[interval]["run-failed"]
    waits = []
    for late, duration, ingestion, phase in product(
        range(LATEST_START + 1), (0, LONGEST_RUN), (0, LONGEST_INGESTION), range(rule.every)
    ):
        run = Run(late, duration, ingestion, ok=False, lost=True)
        first = rule.first(phase, run.end, [run])
        assert first is not None
        waits.append(first - run.end)
    assert (min(waits), max(waits)) == (LINE_ARRIVED + 1, LINE_ARRIVED + rule.every)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("name", ["no-run", "no-successful-run"])
def test_silence_and_lasting_failure_alert_within_the_documented_minutes(name: str, interval: int) -> None:
    rule = BY_INTERVAL[interval][name]
    waits = list(after_silence(rule, interval))
    assert (min(waits), max(waits)) == (times(rule).earliest, times(rule).latest - 1), (
        "a look is in [earliest, latest)"
    )


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("ends", CORNERS)
def test_a_lasting_failure_stays_fired_and_alerts_once(interval: int, ends: tuple[int, int]) -> None:
    """A rule that stops firing is resolved, and would notify again."""
    for waits in (False, True):
        runs = fleet(interval, [ends, *[QUIET, SLOW] * 4], frozenset(range(9)), waits=waits)
        for name in ("run-failed", "no-successful-run", "token-expires-too-soon"):
            rule = BY_INTERVAL[interval][name]
            assert all(rule.fires(now, runs) for now in range(5 * interval, 8 * interval)), name


def test_an_expiring_secret_alerts_every_day() -> None:
    rule = BY_INTERVAL[15]["secret-expires-soon"]
    for ends in CORNERS:
        runs = fleet(15, [ends] * 300, frozenset(range(300)))
        first = rule.first(0, 1, runs)
        assert first is not None
        assert first <= times(rule).latest
        assert rule.fires(first + rule.every, runs)


@given(
    interval=st.sampled_from(INTERVALS),
    ends=st.lists(
        st.tuples(st.floats(0, LATEST_START + LONGEST_RUN), st.floats(0, LONGEST_INGESTION)),
        min_size=4,
        max_size=4,
    ),
    look=st.floats(0, 1, exclude_max=True),
)
def test_between_the_corners_nothing_is_different(
    interval: int, ends: list[tuple[float, float]], look: float
) -> None:
    good = [Run(interval * at, end, ingestion) for at, (end, ingestion) in enumerate(ends)]
    runs = fleet(interval, []) + good
    assert not [
        rule.name for rule in BY_INTERVAL[interval].values() if rule.fires((3 + look) * interval, runs)
    ]


def test_a_window_as_long_as_the_frequency_misses_the_worst_runs() -> None:
    copy = replace(BY_INTERVAL[15]["run-failed"], window=15)
    assert next(missed(copy), None) is not None


@pytest.mark.parametrize("interval", [15, 30])
def test_a_window_of_one_run_misses_a_second_failure(interval: int) -> None:
    copy = replace(BY_INTERVAL[interval]["run-failed"], window=BY_INTERVAL[interval]["no-run"].window)
    assert next(second_missed(copy, interval), None) is not None


def test_a_window_of_two_intervals_fires_without_a_failure() -> None:
    copy = replace(BY_INTERVAL[15]["no-run"], window=30)
    assert ("no-run", 48) in false_alerts(15, [copy])


def test_one_run_without_success_is_not_enough_to_fire() -> None:
    rule = BY_INTERVAL[15]["no-successful-run"]
    copy = replace(rule, window=30, query=rule.query.replace("runs >= 2", "runs > 0"))
    assert copy.query != rule.query
    assert next(false_alerts(15, [copy], frozenset({2})), None) is not None


def test_a_short_window_never_alerts_of_lasting_failure() -> None:
    copy = replace(BY_INTERVAL[15]["no-successful-run"], window=15)
    assert float("inf") in after_silence(copy, 15)


# The simulation agrees with the query

START = datetime(2026, 11, 25, tzinfo=UTC)
FINE, PASSING = {"ok": True}, {"ok": False, "waits": True}
AT_ONCE, LOST = {"ok": False}, {"ok": False, "lost": True}
KINDS = st.sampled_from([FINE, FINE, PASSING, PASSING, PASSING, AT_ONCE, LOST])
TIMES = st.tuples(st.floats(0, LONGEST_RUN), st.floats(0, LONGEST_INGESTION))


def tables(runs: Sequence[Run]) -> dict[str, kusto.Rows]:
    """Return the tables after runs of two workspaces, of which one always succeeds."""
    traces: kusto.Rows = []
    requests: kusto.Rows = []
    for number, run in enumerate(runs):
        bad = {"result": "failed", "alert_after_runs": 1 + run.waits, "failures": [{"code": "timeout"}]}
        lines = [
            {"event": "git_refresh.workspace", "run_id": str(number), "name": "well", "result": "ok"},
            {"event": "git_refresh.workspace", "run_id": str(number), "name": "ill"}
            | ({"result": "ok"} if run.ok else bad),
            {"event": "git_refresh.run", "run_id": str(number), "result": "ok" if run.ok else "failed"}
            | {"code": None},
        ]
        own = {"operation_Id": str(number)}
        if not run.lost:
            ended = {"timestamp": START + timedelta(minutes=run.end), **own}
            traces += [{**ended, "message": json.dumps(line)} for line in lines]
        request = {
            "name": "refresh_git",
            "success": run.ok and not run.lost,
            "duration": run.duration * 60_000,
        }
        requests.append({"timestamp": START + timedelta(minutes=run.start), **own, **request})
    return {"traces": traces, "requests": requests}


@given(
    interval=st.sampled_from(INTERVALS),
    drawn=st.lists(st.tuples(KINDS, TIMES), min_size=1, max_size=4),
    later=st.floats(0, 40),
)
def test_the_simulation_of_failed_runs_fires_when_the_query_does(
    interval: int, drawn: list[tuple[dict[str, bool], tuple[float, float]]], later: float
) -> None:
    rule = BY_INTERVAL[interval]["run-failed"]
    runs = [Run(interval * at, *times_, **kind) for at, (kind, times_) in enumerate(drawn)]
    look = runs[-1].start + later
    seen = [run for run in runs if rule.sees(look, run)]
    rows = kusto.run(rule.query, tables(seen), START + timedelta(minutes=look))
    assert rule.compares(sum(row["workspaces"] for row in rows)) is rule.fires(look, runs)
