"""Reconstructs the runs of the deployed app from its log lines. Loads no SDK.

A run with fan-out starts with the timer's line. As in the alerts, the run ends when each queued workspace is refreshed, when a slice
fails, or when the next run is due.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from git_refresh.clients.responses import Response, UnexpectedAnswerError, read, read_json
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, finding, logged
from git_refresh.model.values import json_of
from git_refresh.output.mask import SecretFilter
from git_refresh.output.text import first_of

MAX_ROWS = 5_000
"""Limit in the queries of `queries/`. A result with this many rows is incomplete."""

MAX_STORED_ROWS = 20_000
"""Limit in `stored-tokens.kql`."""

VISIBLE_AFTER = timedelta(minutes=8)
"""Longest time until a log line can be queried (docs/monitoring.md)."""

LONGEST_RUN = timedelta(minutes=11)
"""`functionTimeout` of host.json, and a minute for the start of the app."""

_TOLERANCE = timedelta(seconds=5)
"""Difference between the times of an invocation and of its log lines."""

RunResult = Literal["ok", "failed", "running"]

_MOST = 10**12

_Text = Annotated[str, Field(strict=True, max_length=40_000)]
_Count = Annotated[int, Field(strict=True, ge=0, le=_MOST)]
_Seconds = Annotated[int, Field(strict=True, ge=-_MOST, le=_MOST)]


def _credible(moment: datetime) -> datetime:
    """Return a moment in UTC that is safe for date arithmetic."""
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError("not the time of a run")
    return moment.astimezone(UTC)


_FIRST_YEAR, _LAST_YEAR = 2000, 2999
_Moment = Annotated[AwareDatetime, AfterValidator(_credible)]


def _listed(value: object) -> object:
    """Parse a list that the service returned as JSON text."""
    return read_json(value.encode()) if isinstance(value, str) else value


# Rows of the queries


class LineRow(Response):
    """A row of `runs` or `last-run`."""

    timestamp: _Moment
    message: _Text


class WorkspacesRow(Response):
    """A row of `workspaces-by-run`."""

    run_id: _Text
    first_at: _Moment
    last_at: _Moment
    workspaces: _Count
    workspaces_ok: _Count
    queued: _Count
    refreshed: _Count
    never_ended: _Count
    names: Annotated[tuple[_Text, ...], BeforeValidator(_listed)] = ()


class InvocationRow(Response):
    """A row of `failed-invocations`."""

    timestamp: _Moment
    duration: float = 0.0
    """Milliseconds."""


class StoredRow(Response):
    """A row of `stored-tokens`."""

    host: _Text
    stored: bool
    timestamp: _Moment
    run_id: _Text
    credential: _Text


class HostRow(Response):
    """A row of `host`."""

    text: _Text
    times: _Count
    last_at: _Moment


# The app's log lines


class _Failure(Response):
    location: _Text
    code: _Text
    message: _Text
    cause: _Text = ""
    remedy: _Text = ""
    count: _Count = 1
    places: tuple[_Text, ...] = ()


class _Token(Response):
    identity: _Text | None = None
    tenant: _Text | None = None
    expires_at: _Moment


class _Line(Response):
    event: Literal["git_refresh.run", "git_refresh.dispatch", "git_refresh.message_skipped"]
    run_id: _Text | None = None
    slice: _Count | None = None
    slices: _Count | None = None
    result: _Text = ""
    code: _Text | None = None
    app_version: _Text | None = None
    duration_s: float = 0.0
    next_run: _Moment | None = None
    valid_until: _Moment | None = None
    workspaces: _Count = 0
    workspaces_ok: _Count = 0
    workspaces_failed: _Count = 0
    workspaces_rejected: _Count = 0
    folders_created: _Count = 0
    folders_updated: _Count = 0
    folders_unchanged: _Count = 0
    folders_failed: _Count = 0
    folders_skipped: _Count = 0
    min_token_remaining_s: _Seconds | None = None
    tokens: tuple[_Token, ...] = ()
    failures: tuple[_Failure, ...] = ()
    failures_omitted: _Count = 0
    problems: tuple[_Text, ...] = ()


_ACTIONS = ("created", "updated", "unchanged", "failed", "skipped")


# Results: dataclasses, whose texts can be redacted


@dataclass(frozen=True, slots=True)
class Failure:
    """One or more failures of a run that differ only in names and values."""

    location: str
    """The first location."""
    code: str
    message: str
    cause: str
    remedy: str
    count: int = 1
    places: tuple[str, ...] = ()

    def as_diagnosis(self) -> Diagnosis:
        return logged(self.code, self.message, self.cause, self.remedy)


@dataclass(frozen=True, slots=True)
class LoggedToken:
    """A token that a run stored."""

    identity: str | None
    tenant: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class HostReport:
    """An error of the Functions host, with the number of occurrences."""

    message: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """A run, with None for each unknown count."""

    run_id: str
    started_at: datetime
    ended_at: datetime | None
    result: RunResult
    app_version: str | None = None
    code: str | None = None
    """Error code of a run that failed without a failed workspace."""
    workspaces: int | None = None
    workspaces_ok: int | None = None
    workspaces_failed: int | None = None
    workspaces_rejected: int | None = None
    never_ended: int = 0
    """Number of queued workspaces without a log line."""
    slices: int | None = None
    folders: Mapping[str, int] | None = None
    """Counts by action, without zeros."""
    token_remaining_s: int | None = None
    next_run: datetime | None = None
    """Time at which the following run is due."""
    tokens: tuple[LoggedToken, ...] = ()
    failures: tuple[Failure, ...] = ()
    failures_omitted: int = 0
    problems: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return json_of(self)


@dataclass(frozen=True, slots=True)
class Gap:
    """A period in which a run was due, but none started."""

    last: datetime
    """Start of the run before the gap."""
    due: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class LoggedRuns:
    """The runs of a period, the latest first."""

    runs: tuple[LoggedRun, ...]
    newest_line: datetime | None
    complete: bool
    """False if earlier or other runs might be missing."""

    @property
    def last_ended(self) -> LoggedRun | None:
        """The latest run that is not in progress."""
        return next((run for run in self.runs if run.result != "running"), None)

    def gaps(self, now: datetime) -> list[Gap]:
        """Return the gaps, the latest first. The first one can last until now."""
        found = []
        following = now
        for run in self.runs:
            latest = following - LONGEST_RUN - (VISIBLE_AFTER if following == now else timedelta())
            if run.next_run is not None and run.next_run < latest:
                found.append(Gap(run.started_at, run.next_run, following))
            following = run.started_at
        return found


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """The tokens that runs stored in each workspace."""

    since: datetime
    """Earlier lines were not read."""
    rows: tuple[StoredRow, ...]
    runs: tuple[LoggedRun, ...]
    newest_line: datetime | None
    complete: bool
    """False if rows might be missing."""

    def latest(self, host: str, *, stored: bool) -> StoredRow | None:
        """Return the latest line of a workspace in which a token was `stored`, or was not."""
        return next((row for row in self.rows if row.host == host and row.stored is stored), None)

    def expires_at(self, run_id: str, identity: str | None, tenant: str | None) -> datetime | None:
        """Return when a stored token expires; None if unknown. A `tenant` of None matches all."""
        tokens = (token for run in self.runs if run.run_id == run_id for token in run.tokens)
        found = (
            token.expires_at
            for token in tokens
            if token.identity == identity and tenant in {None, token.tenant}
        )
        return min(found, default=None)


def read_runs(
    rows: Sequence[LineRow],
    workspaces: Sequence[WorkspacesRow],
    invocations: Sequence[InvocationRow],
    now: datetime,
    *,
    complete: bool,
) -> LoggedRuns:
    """Return the runs in these rows, the latest first. Ignores lines that this app did not write.

    If the rows are not `complete`, a run without its own line is not reported as failed.
    """
    whole = complete and len(rows) < MAX_ROWS and len(workspaces) < MAX_ROWS
    lines = [(row.timestamp, line) for row in rows if (line := _line(row.message)) is not None]
    by_run = {row.run_id: row for row in workspaces}
    found = [
        _without_fan_out(at, line) for at, line in lines if line.event == "git_refresh.run" and not line.slice
    ]
    slices: dict[str, list[tuple[datetime, _Line]]] = {}
    for at, line in lines:
        if line.run_id and (line.slice or line.event == "git_refresh.dispatch"):
            slices.setdefault(line.run_id, []).append((at, line))
    for run_id, of_run in slices.items():
        found += _with_fan_out(run_id, of_run, by_run.get(run_id), now, whole=whole)
    if whole:
        known = {run.run_id for run in found} | slices.keys()
        found += [_cut_off(row, now) for row in workspaces if row.run_id not in known and not row.queued]
        found += _unseen(invocations, found, now)
    newest = max([row.timestamp for row in rows] + [row.last_at for row in workspaces], default=None)
    return LoggedRuns(
        tuple(sorted(found, key=lambda run: run.started_at, reverse=True)), newest, complete=whole
    )


def _line(message: str) -> _Line | None:
    try:
        return read(_Line, read_json(message.encode(errors="replace")), SecretFilter())
    except UnexpectedAnswerError:
        return None


def _without_fan_out(at: datetime, line: _Line) -> LoggedRun:
    counted = "workspaces" in line.model_fields_set  # missing if nothing was run
    run = LoggedRun(
        line.run_id or "",
        at - timedelta(seconds=max(0.0, min(line.duration_s, _DAY_S))),
        at,
        "ok" if line.result == "ok" else "failed",
        app_version=line.app_version,
        code=line.code,
        next_run=line.next_run,
        token_remaining_s=line.min_token_remaining_s,
        tokens=_tokens(line),
        failures=_failures(line),
        failures_omitted=line.failures_omitted,
        problems=line.problems,
    )
    return _counted(run, [line]) if counted else run


_DAY_S = 86_400.0


def _counted(run: LoggedRun, lines: Sequence[_Line]) -> LoggedRun:
    folders = {action: sum(getattr(line, f"folders_{action}") for line in lines) for action in _ACTIONS}
    return replace(
        run,
        workspaces=sum(line.workspaces for line in lines),
        workspaces_ok=sum(line.workspaces_ok for line in lines),
        workspaces_failed=sum(line.workspaces_failed for line in lines),
        workspaces_rejected=sum(line.workspaces_rejected for line in lines),
        folders={action: number for action, number in folders.items() if number},
    )


def _with_fan_out(
    run_id: str,
    lines: Sequence[tuple[datetime, _Line]],
    workspaces: WorkspacesRow | None,
    now: datetime,
    *,
    whole: bool,
) -> Iterator[LoggedRun]:
    """Yield the run, unless the timer's line is missing.

    If rows might be missing (not `whole`), the run has ended when each slice has a line.
    """
    dispatched = next(((at, line) for at, line in lines if line.event == "git_refresh.dispatch"), None)
    if dispatched is None:
        return
    began, dispatch = dispatched
    latest: dict[int, _Line] = {}
    for _, line in sorted(lines, key=lambda item: item[0]):
        if line.event == "git_refresh.run" and line.slice:
            latest[line.slice] = line
    done = list(latest.values())
    failed = any(line.result == "failed" for _, line in lines)
    until = dispatch.valid_until or began
    refreshed = workspaces is not None and 0 < workspaces.queued == workspaces.refreshed
    ended = refreshed if whole else len(done) == dispatch.slices
    over = failed or ended or now >= until + VISIBLE_AFTER
    missing = workspaces.never_ended if workspaces and now >= until + VISIBLE_AFTER else 0
    failures = [failure for line in done for failure in _failures(line)]
    if missing and workspaces:
        lost = finding(
            "slice_not_completed", DiagnosisContext(), count=missing, places=first_of(workspaces.names, 3)
        )
        failures.append(_failure(lost, missing))
    run = LoggedRun(
        run_id,
        began,
        max(at for at, _ in lines) if over else None,
        "failed" if failed else "ok" if ended else "failed" if over else "running",
        never_ended=missing,
        app_version=dispatch.app_version
        or next((line.app_version for line in done if line.app_version), None),
        slices=dispatch.slices,
        next_run=dispatch.valid_until,
        token_remaining_s=min(
            (line.min_token_remaining_s for line in done if line.min_token_remaining_s is not None),
            default=None,
        ),
        tokens=tuple(token for line in done for token in _tokens(line)),
        failures=tuple(failures),
        failures_omitted=sum(line.failures_omitted for line in done),
        problems=tuple(dict.fromkeys(problem for _, line in lines for problem in line.problems)),
    )
    yield replace(_counted(run, done), workspaces=dispatch.workspaces)


def _failures(line: _Line) -> tuple[Failure, ...]:
    return tuple(Failure(**each.model_dump()) for each in line.failures)


def _tokens(line: _Line) -> tuple[LoggedToken, ...]:
    return tuple(LoggedToken(**each.model_dump()) for each in line.tokens)


def _failure(found: Diagnosis, count: int = 1) -> Failure:
    return Failure("", found.code, found.message, found.cause, found.remedy, count)


def _not_completed() -> tuple[Failure, ...]:
    return (_failure(finding("run_not_completed", DiagnosisContext())),)


def _cut_off(row: WorkspacesRow, now: datetime) -> LoggedRun:
    """Return a run that has only lines of workspaces."""
    over = now >= row.first_at + LONGEST_RUN + VISIBLE_AFTER
    return LoggedRun(
        row.run_id,
        row.first_at,
        row.last_at if over else None,
        "failed" if over else "running",
        workspaces_ok=row.workspaces_ok,
        workspaces_failed=row.workspaces - row.workspaces_ok,
        failures=_not_completed() if over else (),
    )


def _unseen(
    invocations: Iterable[InvocationRow], found: Sequence[LoggedRun], now: datetime
) -> Iterator[LoggedRun]:
    """Yield failed invocations during which no run wrote a line."""
    times = sorted(time for run in found for time in (run.started_at, run.ended_at) if time is not None)
    for each in invocations:
        ended = each.timestamp + timedelta(milliseconds=max(0.0, min(each.duration, _DAY_S * 1000)))
        first = bisect_left(times, each.timestamp - _TOLERANCE)
        has_a_line = first < len(times) and times[first] <= ended + _TOLERANCE
        if now >= ended + VISIBLE_AFTER and not has_a_line:
            yield LoggedRun("", each.timestamp, ended, "failed", failures=_not_completed())
