"""The run: one token for each trust zone, every workspace's credential, then every folder, within a budget.

    settings → per zone: Azure DevOps token → per workspace: sign in, store the Git credential → bring each folder to its ref → report

All credentials are queued before any folder, so a run that is killed midway has done what matters. In which order, is in `fleet`.
"""

from collections.abc import Callable, Mapping, Sequence
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
from git_refresh.run.context import Notes, SignIns
from git_refresh.run.fleet import Fleet
from git_refresh.run.pool import MAX_THREADS, Limits, Pool, Task, start_thread
from git_refresh.run.ports import Clouds, NullProgress, Progress
from git_refresh.run.report import Report, TokenReport, WorkspaceReport, log_run, log_workspace
from git_refresh.run.zone import ZoneRefresh
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.load import Settings


def refresh(  # noqa: PLR0913  # each a fact of its own, given by name
    settings: Settings,
    clouds: Clouds,
    deadline: Deadline,
    *,
    logger: RedactingLogger,
    next_run: datetime | None = None,
    slice_: Slice | None = None,
    notes: Sequence[Problem] = (),
    dry_run: bool = False,
    progress: Progress | None = None,
    threads: int = MAX_THREADS,
    start: Callable[[Task], None] = start_thread,
) -> Report:
    """Refresh the whole fleet once. Never raises for what a service does; the report tells.

    Args:
        settings: whom to refresh.
        clouds: how to reach them.
        deadline: when the budget is over; its clock tells the time.
        logger: where log lines go out; the report has passed it too. It learns the run's secrets.
        next_run: when the next run is due, if that is known; else 15 minutes after this one. A token that ends before is reported as
            `token_expires_before_next_run`.
        slice_: which part of a run this is, if it is one.
        notes: what the report is to say that is no failure.
        dry_run: look, decide and report, but write nothing.
        progress: who is shown what is under way.
        threads: how many there may be.
        start: begins something on a thread of its own.
    """
    clock = deadline.clock
    started_at, started = clock.now(), clock.monotonic()
    due = next_run or started_at + DEFAULT_INTERVAL
    run_id = slice_.run_id if slice_ else str(uuid4())
    warnings = Notes()  # what workspaces say comes last: it may crowd out nothing else
    shown = RedactingProgress(progress, logger) if progress else NullProgress()
    limits = Limits.of(deadline.remaining(), settings.concurrency, threads, len(settings.entries))
    sign_ins = SignIns(entry.workspace for entry in settings.entries if isinstance(entry, Entry))
    zones = {
        zone: ZoneRefresh(
            zone,
            own,
            clouds,
            deadline,
            dry_run=dry_run,
            progress=shown,
            notes=warnings,
            share_s=limits.share_s,
            sign_ins=sign_ins,
        )
        for zone, own in settings.zones().items()
    }
    log = partial(log_workspace, run_id, logger=logger, slice_=slice_)
    pool = Pool(limits, clock, start)
    workspaces = _refresh_all(settings, zones, shown, Fleet(pool, run_id, sign_ins, deadline), log)
    behind = clouds.clock_behind()
    context = DiagnosisContext(vault=settings.key_vault_url or "")
    short = [
        problem
        for each in zones.values()
        for problem in _short_token(each, due, behind, alone=len(zones) == 1)
    ]
    problems = [
        *short,
        *settings.problems,
        *notes,
        *_skew(behind, context),
        *settings.notes,
        *warnings.all(),
    ]
    fine = not short and not settings.problems and all(workspace.result == "ok" for workspace in workspaces)
    report = logger.redact(
        Report(
            run_id=run_id,
            started_at=started_at,
            duration_s=clock.monotonic() - started,
            dry_run=dry_run,
            result="ok" if fine else "failed",
            tokens=tuple(_token_report(each, each.token, clock) for each in zones.values() if each.token),
            problems=tuple(problems),
            workspaces=tuple(workspaces),
            slice=slice_,
        )
    )
    log_run(report, logger)
    return report


class RedactingProgress:
    """Passes on to a watcher what may be shown (`ports.Progress`)."""

    def __init__(self, progress: Progress, logger: RedactingLogger) -> None:
        self._progress = progress
        self._logger = logger

    def started(self, name: str, what: str) -> None:
        self._progress.started(self._logger.redact_text(name), self._logger.redact_text(what))

    def finished(self, report: WorkspaceReport) -> None:
        self._progress.finished(self._logger.redact(report))


def _refresh_all(
    settings: Settings,
    zones: Mapping[Zone, ZoneRefresh],
    progress: Progress,
    fleet: Fleet,
    log: Callable[[WorkspaceReport], None],
) -> list[WorkspaceReport]:
    """Work on every workspace at once; log each when it is done, here, on the invocation's own thread."""
    reports: dict[str, WorkspaceReport] = {}
    why = out_of_time

    def done(entry: Entry) -> WorkspaceReport:
        """A workspace's report, as of now, shown and logged, where it is cleaned; what is returned is cleaned with the whole report."""
        report = zones[settings.zone(entry.workspace)].report(entry, why)
        progress.finished(report)
        log(report)
        return report

    try:
        for entry in fleet.refreshed(zones.values()):
            reports[entry.workspace.host] = done(entry)
    except KeyboardInterrupt:
        why = interrupted
    finally:
        fleet.close()
    return [
        _rejected(entry, log)
        if isinstance(entry, Rejected)
        else reports.get(entry.workspace.host) or done(entry)
        for entry in settings.entries
    ]


def _rejected(entry: Rejected, log: Callable[[WorkspaceReport], None]) -> WorkspaceReport:
    """The report of an entry that says nothing that could be done."""
    report = WorkspaceReport(entry.name, entry.host, "rejected", error=wrong_entry(entry.problems))
    log(report)
    return report


def _token_report(zone: ZoneRefresh, token: Token, clock: Clock) -> TokenReport:
    tenant = zone.zone.devops.tenant_id if zone.zone.devops else token.claims.tenant_id or None
    left = (token.expires_at - clock.now()).total_seconds()
    return TokenReport(zone.zone.identity, tenant, token.expires_at, left, len(zone.entries))


def _short_token(zone: ZoneRefresh, next_run: datetime, behind: timedelta, *, alone: bool) -> list[Problem]:
    token = zone.token
    if token is None or not expires_before(next_run, token.expires_at, behind):
        return []
    told = finding(
        "token_expires_before_next_run",
        zone.context,
        which="that was stored" if alone else f"of {zone.zone} that was stored",
        ends=f"{token.expires_at:%H:%M:%S} UTC",
        next_run=f"the next run is due at {next_run:%H:%M:%S} UTC",
    )
    return [noted("token", told, "error")]


def lateness(late: timedelta, *, past_due: bool) -> list[Problem]:
    """Return the problem of a run that began so much later than scheduled; without a delay, none."""
    if not late:
        return []
    context = DiagnosisContext(late_because=_PAST_DUE if past_due else _OVERLAP)
    told = finding("late_run", context, minutes=f"{late / timedelta(minutes=1):.0f}")
    return [noted("timer", told)]


_OVERLAP = "The previous run took longer than the time between two runs."
_PAST_DUE = "The app was not running, or a run was cut off: an outage, a deployment or a saved app setting."
"""The host's status does not show which of them it was."""


def _skew(behind: timedelta, context: DiagnosisContext) -> list[Problem]:
    return [noted("clock", clock_skew(behind, context))] if behind else []
