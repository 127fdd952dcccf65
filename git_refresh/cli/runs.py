"""`runs`: the runs and failures of the deployed app, read from its logs with the Azure CLI account."""

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from git_refresh.admin.runs import (
    LONGEST_RUN,
    VISIBLE_AFTER,
    Failure,
    HostReport,
    LoggedRun,
    LoggedRuns,
)
from git_refresh.admin.values import DiagnosedError
from git_refresh.cli import options, render
from git_refresh.cli.deployed import AppName, app_options, logs_of
from git_refresh.cli.findings import STYLE, Finding, fold, show_finding
from git_refresh.cli.options import quiet
from git_refresh.cli.shared import exit_with_problems, finish, outlet_for, put_out
from git_refresh.failures.diagnosis import Diagnosis, finding, without_request_id
from git_refresh.model.values import json_of, utc_text
from git_refresh.output.redact import redact
from git_refresh.output.text import count, first_of
from git_refresh.run.report import PLACES
from git_refresh.settings.load import SettingsError

if TYPE_CHECKING:
    from git_refresh.admin.logs import AppLogs

LONGEST_SINCE = timedelta(days=30)
_BEFORE = timedelta(days=30)
"""Period to search for the last run, if the chosen period has none."""
MAX_SHOWN_RUNS = 40
MAX_SHOWN_FAILURES = 20
MAX_SHOWN_PROBLEMS = 10
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_OPEN_CODES = frozenset({"unknown", "invalid_settings", "invalid_folder", "internal_error"})
"""Codes that cover different failures, which only the messages distinguish."""


class Since(click.ParamType[timedelta]):
    """A period up to now: `30m`, `24h` or `7d`."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,5})([mhd])", str(value).strip().lower(), re.ASCII)
        since = int(found[1]) * _UNITS[found[2]] if found else timedelta()
        if not timedelta() < since <= LONGEST_SINCE:
            self.fail(
                f'"{redact(str(value))}" must be a time from 1m to 30d; write 30m, 24h or 7d', param, ctx
            )
        return since


@click.command()
@app_options("Default: the only app in the subscription that infra/ created.")
@click.option(
    "--since", type=Since(), default="24h", show_default=True, help="Period to show, from 1m to 30d."
)
@click.option("--failed", "only_failed", is_flag=True, help="Show only failed runs.")
@options.json_option
@options.output_options
def runs(app: AppName, since: timedelta, *, only_failed: bool, as_json: bool) -> None:
    """Show runs and failures of the deployed app, from its logs.

    Your account needs Reader on the app and Log Analytics Reader on its Application Insights component.

    Exit codes: 0 last run succeeded; 1 last run failed, a run is overdue, or logs unreadable; 2 invalid usage.
    """
    logger = outlet_for(as_json=as_json)
    try:
        with (
            render.console(stderr=True).status("Reading the logs …"),
            logs_of(app, logger) as logs,
        ):
            history = logger.redact(read_history(logs, since))
    except SettingsError as error:
        exit_with_problems(error.problems, as_json=as_json)
    except DiagnosedError as error:
        failed = error.diagnosis
    else:
        put_out(
            logger,
            as_json,
            history.as_dict(only_failed=only_failed),
            lambda: show_history(history, render.console(), only_failed=only_failed),
        )
        finish(ok=history.result == "ok", interrupted=False)
    failed = logger.redact(failed)
    put_out(
        logger,
        as_json,
        {"version": 1, "result": "failed", "error": json_of(failed)},
        lambda: show_finding([Finding("failed", "logs", failed.message, failed)], render.console()),
    )
    finish(ok=False, interrupted=False)


@dataclass(frozen=True, slots=True)
class History:
    """The runs of a period, and findings about them."""

    app: str
    component: str
    since: datetime
    until: datetime
    newest_line: datetime | None
    complete: bool
    runs: tuple[LoggedRun, ...]
    last: LoggedRun | None
    """The last completed run. It can be older than the period."""
    findings: tuple[Diagnosis, ...]
    """Findings about the period. If `silent`, all but `logs_too_large` are failures, otherwise warnings."""
    silent: bool
    """True if a run is overdue."""
    host: tuple[HostReport, ...]

    @property
    def result(self) -> Literal["ok", "failed"]:
        """Result of the last run. An overdue run is a failure."""
        return "ok" if self.last and self.last.result == "ok" and not self.silent else "failed"

    def as_dict(self, *, only_failed: bool) -> dict[str, Any]:
        return {
            "version": 1,
            "result": self.result,
            "app": self.app,
            "component": self.component,
            "since": utc_text(self.since),
            "until": utc_text(self.until),
            "newest_line_at": self.newest_line and utc_text(self.newest_line),
            "complete": self.complete,
            "runs": [run.as_dict() for run in self.runs if not only_failed or run.result == "failed"],
            "findings": [json_of(each) for each in self.findings],
            "host": [json_of(each) for each in self.host],
        }


def read_history(logs: "AppLogs", since: timedelta) -> History:
    """Read the runs of the period up to now.

    Raises:
        ServiceError: the logs cannot be read.
    """
    found = logs.runs(since)
    now = logs.now()
    context = logs.about
    last = found.last_ended
    findings: list[Diagnosis] = []
    silent = False
    if not found.complete:
        findings.append(finding("logs_too_large", context, what=_incomplete(found)))
    if last is None:
        last = logs.last_run(_BEFORE)
        silent = not found.runs and not _still_in_time(last, now)
        if silent:
            findings.append(finding("no_run_logged", context, since=length(since)))
    gaps = found.gaps(now)
    silent = silent or any(gap.until == now for gap in gaps)
    findings += [
        finding("run_overdue", context, last=clock(gap.last), until=clock(gap.until), due=clock(gap.due))
        for gap in gaps[:MAX_SHOWN_PROBLEMS]
    ]
    host = logs.host_reports(since)
    return History(
        context.app,
        context.component,
        now - since,
        now,
        found.newest_line,
        found.complete,
        found.runs,
        last,
        tuple(findings),
        silent,
        host,
    )


def _still_in_time(last: LoggedRun | None, now: datetime) -> bool:
    """Return whether the next run is not overdue yet, according to the last run's log line."""
    return (
        last is not None and last.next_run is not None and last.next_run + LONGEST_RUN + VISIBLE_AFTER > now
    )


def _incomplete(found: LoggedRuns) -> str:
    if not found.runs:
        return "Log Analytics returned only part of the log lines."
    return f"Runs from before {clock(found.runs[-1].started_at)} are missing, and others might be missing."


def clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def length(time: timedelta) -> str:
    """Return a duration, rounded: `3 minutes`, `5 hours`, `2 days`."""
    minutes = round(time / timedelta(minutes=1))
    if minutes < 2 * 60:
        return count(minutes, "minute")
    return count(minutes // 60, "hour") if minutes < 3 * 24 * 60 else count(minutes // (24 * 60), "day")


def show_history(history: History, out: Console, *, only_failed: bool) -> None:
    shown = [run for run in history.runs if run.result == "failed" or not (only_failed or quiet())]
    if shown:
        out.print(_table(shown, history.until))
    explained = shown if only_failed else history.runs
    show_finding([*_failures(explained)], out)
    show_finding([*_problems(explained)], out)
    show_finding([_general(found, silent=history.silent) for found in history.findings], out)
    if not quiet() or history.silent:
        host = [
            Finding(
                "warning",
                "Functions host",
                f"{each.message} ({_times(each.count)}, last {clock(each.last_at)})",
            )
            for each in history.host
        ]
        show_finding(host, out)
    if not quiet():
        fold(Text(), Text(_freshness(history), "dim"), out)
    fold(Text(), Text(_summary(history), STYLE[history.result]), out)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _general(found: Diagnosis, *, silent: bool) -> Finding:
    warns = found.code == "logs_too_large" or not silent
    return Finding("warning" if warns else "failed", "runs", found.message, found)


def _freshness(history: History) -> str:
    newest = history.newest_line
    if newest is None:
        return "Log lines appear a few minutes after a run."
    return (
        f"The newest log line is from {clock(newest)}, {length(history.until - newest)} ago. "
        "Log lines appear a few minutes after a run."
    )


def _summary(history: History) -> str:
    results = [run.result for run in history.runs]
    counted = ", ".join(
        f"{results.count(result)} {result}" for result in ("ok", "failed", "running") if result in results
    )
    line = f"{history.app}: {count(len(results), 'run')} in {length(history.until - history.since)}"
    line += f" ({counted})." if results else "."
    if history.last:
        line += f" Last run: {history.last.result}, {length(history.until - history.last.started_at)} ago."
    return line


def _table(shown: Sequence[LoggedRun], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Run (UTC)", "Ago", "Result", "Workspaces", "Git folders", "Token valid for"):
        table.add_column(heading, overflow="fold")
    rows = [[*alike] for _, alike in groupby(shown, _row_key)]
    for alike in rows[:MAX_SHOWN_RUNS]:
        latest, earliest = alike[0], alike[-1]
        time = f"{latest.started_at.astimezone(UTC):%Y-%m-%d %H:%M}"
        if len(alike) > 1:
            time = f"{earliest.started_at.astimezone(UTC):%Y-%m-%d %H:%M} to {time} ({len(alike)} runs)"
        table.add_row(
            time,
            length(now - latest.started_at),
            Text(latest.result, STYLE.get(latest.result, "yellow")),
            _workspaces(latest),
            _folders(alike),
            _min_token_lifetime(alike),
        )
    left = sum(map(len, rows[MAX_SHOWN_RUNS:]))
    if left:
        table.add_row(f"and {count(left, 'earlier run')} (add --json)", "", "", "", "", "")
    return table


def _row_key(run: LoggedRun) -> Hashable:
    codes = frozenset(failure.code for failure in run.failures)
    numbers = (
        run.workspaces,
        run.workspaces_ok,
        run.workspaces_failed,
        run.workspaces_rejected,
        run.never_ended,
    )
    return run.result, numbers, codes, run.problems if not run.workspaces else ()


def _workspaces(run: LoggedRun) -> str:
    if run.workspaces is None and run.workspaces_ok is None:
        return "none refreshed" if run.problems else "unknown"
    parts = [f"{run.workspaces_ok or 0} of {run.workspaces} ok" if run.workspaces is not None else ""]
    if run.workspaces is None:
        parts = [f"{run.workspaces_ok} ok"]
    named = (
        (run.workspaces_failed, "failed"),
        (run.workspaces_rejected, "rejected"),
        (run.never_ended, "missing"),
    )
    return ", ".join([*parts, *(f"{number} {name}" for number, name in named if number)])


def _folders(alike: Sequence[LoggedRun]) -> str:
    """Return the summed folder actions of several runs. `unchanged` is that of the latest run."""
    total: dict[str, int] = {}
    for run in alike:
        for action, number in (run.folders or {}).items():
            total[action] = total.get(action, 0) + number
    latest = alike[0].folders or {}
    shown = {
        action: latest.get(action, 0) if action == "unchanged" else number for action, number in total.items()
    }
    return ", ".join(f"{number} {action}" for action, number in shown.items() if number) or "—"


def _min_token_lifetime(alike: Sequence[LoggedRun]) -> str:
    left = [run.token_remaining_s for run in alike if run.token_remaining_s is not None]
    return f"{round(min(left) / 60)} min" if left else "—"


def _failures(found: Sequence[LoggedRun]) -> Iterator[Finding]:
    """Yield each kind of failure, the latest first, with its locations and the number of runs."""
    kinds: dict[Hashable, list[tuple[LoggedRun, Failure]]] = {}
    for run in found:
        for failure in run.failures:
            kinds.setdefault(_kind(failure), []).append((run, failure))
    for alike in [*kinds.values()][:MAX_SHOWN_FAILURES]:
        latest, first = alike[0]
        number = sum(failure.count for run, failure in alike if run is latest)
        places = dict.fromkeys(
            place for _, failure in alike for place in failure.places or (failure.location,)
        )
        named = _places([place for place in places if place], number)
        when = _when([run for run, _ in alike])
        yield Finding(
            "failed",
            named or when,
            f"{first.message} ({when})" if named else first.message,
            first.as_diagnosis(),
        )
    if len(kinds) > MAX_SHOWN_FAILURES:
        more = count(len(kinds) - MAX_SHOWN_FAILURES, "more kind")
        yield Finding("failed", "", f"{more} of failures. To show all, add --json.")


def _places(places: Sequence[str], number: int) -> str:
    """Return the first locations and a count of the others, for at least `number` locations in total."""
    more = max(len(places), number) - PLACES
    return first_of(places[:PLACES], PLACES) + (f" and {more:,} more" if places and more > 0 else "")


def _kind(failure: Failure) -> Hashable:
    if failure.code in _OPEN_CODES:
        return failure.code, without_request_id(failure.message)
    return failure.code


def _when(found: Sequence[LoggedRun]) -> str:
    runs = [*dict.fromkeys(run.started_at for run in found)]
    if len(runs) == 1:
        return f"run of {clock(runs[0])}"
    return f"{len(runs)} runs, {clock(runs[-1])} to {clock(runs[0])}"


def _problems(found: Sequence[LoggedRun]) -> Iterator[Finding]:
    """Yield each distinct problem, the latest first: failed if it was the only cause of a failed run."""
    said: dict[str, tuple[bool, list[LoggedRun]]] = {}
    for run in found:
        for problem in run.problems:
            failed, runs = said.get(problem, (False, []))
            said[problem] = failed or (run.result == "failed" and not run.failures), [*runs, run]
    for problem, (failed, runs) in [*said.items()][:MAX_SHOWN_PROBLEMS]:
        if failed or not quiet():
            yield Finding("failed" if failed else "warning", _when(runs), problem)
    if len(said) > MAX_SHOWN_PROBLEMS:
        yield Finding(
            "warning",
            "",
            f"{count(len(said) - MAX_SHOWN_PROBLEMS, 'more problem')}. To show all, add --json.",
        )
