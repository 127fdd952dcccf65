"""A run: one token for each trust zone, then every workspace's credential, then every Git folder.

Credentials come first, so they are stored even if the run is stopped midway. `fleet` has the details.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

from git_refresh.failures.diagnosis import (
    DiagnosisContext,
    clock_skew,
    finding,
    interrupted,
    noted,
    out_of_time,
    wrong_entry,
)
from git_refresh.model.clock import Clock, Deadline
from git_refresh.model.schedule import DEFAULT_INTERVAL, expires_before
from git_refresh.model.values import Problem, Slice, Token, Zone
from git_refresh.output.log import RedactingLogger
from git_refresh.run.context import Notes, Run, SignIns
from git_refresh.run.fleet import Fleet
from git_refresh.run.pool import MAX_THREADS, Limits, Pool, Task, start_thread
from git_refresh.run.ports import Clouds, NullProgress, Progress
from git_refresh.run.report import Report, TokenReport, WorkspaceReport, log_run, log_workspace
from git_refresh.run.zone import ZoneRefresh
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.load import Settings


def refresh(  # noqa: PLR0913  # independent values, passed by name
    settings: Settings,
    clouds: Clouds,
    deadline: Deadline,
    *,
    logger: RedactingLogger,
    next_run: datetime | None = None,
    interval: timedelta = DEFAULT_INTERVAL,
    slice_: Slice | None = None,
    notes: Sequence[Problem] = (),
    dry_run: bool = False,
    progress: Progress | None = None,
    threads: int = MAX_THREADS,
    start: Callable[[Task], None] = start_thread,
) -> Report:
    """Refresh all workspaces once, and return the report. Failures of services are in the report.

    If a token expires before `next_run` (default: in 15 minutes), the report has `token_expires_before_next_run`.
    `interval` is the time between two runs, and determines when alerts fire. The logger redacts the report.
    """
    clock = deadline.clock
    started_at, started = clock.now(), clock.monotonic()
    due = next_run or started_at + DEFAULT_INTERVAL
    run_id = slice_.run_id if slice_ else str(uuid4())
    done = walk(
        settings,
        clouds,
        deadline,
        run_id=run_id,
        dry_run=dry_run,
        progress=RedactingProgress(progress, logger) if progress else None,
        log=partial(log_workspace, run_id, logger=logger, slice_=slice_, interval=interval),
        threads=threads,
        start=start,
    )
    zones, workspaces = done.zones, done.workspaces
    behind = clouds.clock_behind()
    context = DiagnosisContext(vault=settings.key_vault_url or "")
    alone = len(zones) == 1
    short = [each for zone in zones.values() for each in _short_token(zone, due, behind, alone=alone)]
    problems = [
        *short,
        *settings.problems,
        *notes,
        *([noted("clock", clock_skew(behind, context))] if behind else []),
        *([noted("sign-in", finding("read_as_admin", context))] if done.as_admin else []),
        *settings.notes,
        *done.notes,  # last: a full log line omits these first
    ]
    fine = not short and not settings.problems and all(workspace.result == "ok" for workspace in workspaces)
    report = logger.redact(
        Report(
            run_id=run_id,
            started_at=started_at,
            duration_s=clock.monotonic() - started,
            dry_run=dry_run,
            result="ok" if fine else "failed",
            tokens=tuple(_token_report(each, each.run.token, clock) for each in zones.values() if each.run),
            problems=tuple(problems),
            workspaces=tuple(workspace.outcome() for workspace in workspaces),
            slice=slice_,
        )
    )
    log_run(report, logger, due)
    return report


@dataclass(frozen=True, slots=True)
class Walked:
    """Result of `walk`, for the run and for commands."""

    zones: Mapping[Zone, ZoneRefresh]
    workspaces: tuple[WorkspaceReport, ...]
    """In the order of the settings."""
    notes: tuple[Problem, ...]
    interrupted: bool

    @property
    def as_admin(self) -> bool:
        """True if a workspace was read with the signed-in user account."""
        runs = [(zone.run, zone.entries) for zone in self.zones.values() if zone.run is not None]
        return any(run.reads_as_admin(entry.workspace) for run, entries in runs for entry in entries)

    def by_host(self) -> dict[str, WorkspaceReport]:
        """Return the reports by host, without rejected entries."""
        return {report.host: report for report in self.workspaces if report.result != "rejected"}


def walk(  # noqa: PLR0913  # independent values, passed by name
    settings: Settings,
    clouds: Clouds,
    deadline: Deadline,
    *,
    run_id: str = "",
    dry_run: bool = True,
    asks_devops: bool = True,
    progress: Progress | None = None,
    log: Callable[[WorkspaceReport], None] = lambda _: None,
    threads: int = MAX_THREADS,
    start: Callable[[Task], None] = start_thread,
) -> Walked:
    """Visit all workspaces once. Failures of services are in the reports.

    `run_id` determines the random order of the workspaces. `log` receives each report when it is final.
    """
    notes, shown = Notes(), progress or NullProgress()
    limits = Limits.of(deadline.remaining(), settings.concurrency, threads, len(settings.entries))
    sign_ins = SignIns(entry.workspace for entry in settings.entries if isinstance(entry, Entry))
    begin = partial(
        Run,
        deadline=deadline,
        dry_run=dry_run,
        progress=shown,
        notes=notes,
        share_s=limits.share_s,
        sign_ins=sign_ins,
        asks_devops=asks_devops,
    )
    zones = {zone: ZoneRefresh(zone, own, clouds, begin) for zone, own in settings.zones().items()}
    fleet = Fleet(Pool(limits, deadline.clock, start), run_id or str(uuid4()), sign_ins, deadline)
    reports: dict[str, WorkspaceReport] = {}
    why = out_of_time

    def done(entry: Entry | Rejected) -> WorkspaceReport:
        """Show and log the report of an entry. Call this on the main thread only."""
        if isinstance(entry, Rejected):
            report = WorkspaceReport(entry.name, entry.host, "rejected", error=wrong_entry(entry.problems))
        else:
            report = zones[settings.zone(entry.workspace)].report(entry, why)
            shown.finished(report)
        log(report)
        return report

    try:
        for entry in fleet.refreshed(zones.values()):
            reports[entry.workspace.host] = done(entry)
    except KeyboardInterrupt:
        why = interrupted
    finally:
        fleet.close()
    workspaces = [
        (isinstance(entry, Entry) and reports.get(entry.workspace.host)) or done(entry)
        for entry in settings.entries
    ]
    return Walked(zones, tuple(workspaces), notes.all(), interrupted=why is interrupted)


class RedactingProgress:
    def __init__(self, progress: Progress, logger: RedactingLogger) -> None:
        self._progress = progress
        self._logger = logger

    def started(self, name: str, what: str) -> None:
        self._progress.started(self._logger.redact_text(name), self._logger.redact_text(what))

    def finished(self, report: WorkspaceReport) -> None:
        self._progress.finished(self._logger.redact(report.outcome()))


def _token_report(zone: ZoneRefresh, token: Token, clock: Clock) -> TokenReport:
    tenant = zone.zone.devops.tenant_id if zone.zone.devops else token.claims.tenant_id or None
    left = (token.expires_at - clock.now()).total_seconds()
    return TokenReport(zone.zone.identity, tenant, token.expires_at, left, len(zone.entries))


def _short_token(zone: ZoneRefresh, next_run: datetime, behind: timedelta, *, alone: bool) -> list[Problem]:
    if zone.run is None or not expires_before(next_run, zone.run.token.expires_at, behind):
        return []
    diagnosis = finding(
        "token_expires_before_next_run",
        zone.context,
        which="that was stored" if alone else f"of {zone.zone} that was stored",
        ends=f"{zone.run.token.expires_at:%H:%M:%S} UTC",
        next_run=f"the next run is due at {next_run:%H:%M:%S} UTC",
    )
    return [noted("token", diagnosis, "error")]


def lateness(late: timedelta, *, past_due: bool) -> list[Problem]:
    """Return a `late_run` warning if the run started late, otherwise an empty list."""
    if not late:
        return []
    context = DiagnosisContext(late_because=_PAST_DUE if past_due else _OVERLAP)
    diagnosis = finding("late_run", context, minutes=f"{late / timedelta(minutes=1):.0f}")
    return [noted("timer", diagnosis)]


_OVERLAP = "The previous run took longer than the time between two runs."
_PAST_DUE = "The app was not running, or a run was cut off: an outage, a deployment or a saved app setting."
"""All possible causes, because the host does not report which one applies."""
