"""`deploy`: set a list in the deployed app, plan first, with the sign-in of whoever runs it. It can put the previous settings back."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.text import Text

from git_refresh.admin.deployment import (
    PAUSE,
    Change,
    Deployment,
    is_ours,
    is_paused,
    restore,
)
from git_refresh.admin.deployment import (
    deploy as deployed,
)
from git_refresh.admin.runs import LONGEST_RUN, VISIBLE_AFTER, LoggedRun
from git_refresh.admin.values import DiagnosedError
from git_refresh.cli import ask, options, render
from git_refresh.cli.check_settings import check_settings
from git_refresh.cli.checks import Check, CheckReport, failed
from git_refresh.cli.deployed import NAMED_BY_INFRA, AppName, app_options, open_logs
from git_refresh.cli.files import FileSettings, is_read, read_settings
from git_refresh.cli.findings import STYLE, Finding, fold, show_finding
from git_refresh.cli.options import SettingsSource
from git_refresh.cli.runs import History, show_history
from git_refresh.cli.runs import clock as utc_clock
from git_refresh.cli.shared import (
    CHANGES,
    FAILED,
    INTERRUPTED,
    WRONG,
    exit_with_problems,
    outlet_for,
    put_out,
    settings_files,
)
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, diagnose, finding
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.hosts import TrustedHosts
from git_refresh.model.schedule import Schedule
from git_refresh.model.values import Problem, json_of, utc_text
from git_refresh.model.waiting import pause
from git_refresh.output.redact import escape_unprintable
from git_refresh.output.shell import NO_COMMAND, Command, command
from git_refresh.output.text import count, first_of
from git_refresh.settings.load import SettingsError, load
from git_refresh.settings.names import SETTINGS

if TYPE_CHECKING:
    from git_refresh.admin.logs import AppLogs
    from git_refresh.admin.resource_manager import AlertRule, FunctionApp, ResourceManager
    from git_refresh.admin.services import AdminServices

BUDGET_S = 14_400.0
"""Seconds for everything, the answers to the questions included. Each call has a limit of its own, of seconds."""
MAX_UNTIL_DUE = timedelta(hours=2)
"""How far away the next run may be that --wait waits for."""
POLL_S = 20.0
"""Seconds between two looks at the logs."""
RESTART = timedelta(minutes=1)
"""How long a restart takes at most."""
ALERT_RULES = "ar-git-refresh-"
"""How the names of the alert rules of infra/ begin."""
_SIGN = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


@click.command(short_help="Set a list in the deployed app: a plan first, then --apply.")
@options.list_argument
@app_options(required=True)
@click.option("--apply", "applies", is_flag=True, help="Do what is shown, after a question.")
@click.option("--yes", "-y", is_flag=True, help="With --apply: do not ask.")
@click.option(
    "--previous",
    is_flag=True,
    help="Put the settings from before the last deployment back, in place of FILE.",
)
@click.option(
    "--wait", is_flag=True, help="With --apply: stay until the first run with these settings, and show it."
)
@click.option("--exit-code", is_flag=True, help="Exit with 3 if there is something to deploy.")
@options.trusted_app_hosts_option
@options.json_option
@options.output_options
def deploy(  # noqa: PLR0913  # one for each option
    workspaces: Path | None,
    app: AppName,
    trust_host: tuple[str, ...],
    *,
    applies: bool,
    yes: bool,
    previous: bool,
    wait: bool,
    exit_code: bool,
    as_json: bool,
) -> None:
    """Set the list of FILE in the function app. Without --apply it only shows what would change.

    FILE is a workspaces.json, as check takes it; by default ./workspaces.json. What FILE does not have stays in the app. REFRESH_SCHEDULE,
    FAN_OUT and AZURE_CLIENT_ID are never set: a deployment of infra/ sets them. The values from before are kept, and --previous puts them
    back together.

    It acts as whoever has run az login. Setting restarts the app: a run in progress is cut off, and made again at once.

    Exit codes: 0 nothing to do, shown or set; 1 something failed, or with --wait the run; 2 wrong settings or usage, nothing was set;
    3 with --exit-code, there is something to deploy.
    """
    file = _file(workspaces, previous=previous)
    if yes and not applies:
        raise click.UsageError("--yes needs --apply")
    if wait and not applies:
        raise click.UsageError("--wait needs --apply")
    if applies and as_json and not yes:
        raise click.UsageError("--json shows nothing that a question could be about; add --yes")
    logger = outlet_for(as_json=as_json)
    clock = SystemClock()
    try:
        given = _given(file)
        from git_refresh.admin.services import AdminServices  # noqa: PLC0415  # the SDKs take a second: not for --help

        with closing(AdminServices(Deadline.after(BUDGET_S, clock), os.environ, logger)) as services:
            work = _Work(services, given, app, _typed(workspaces, app, previous=previous))
            with render.console(stderr=True).status("Looking …"):
                report = work.look(previous=previous)
            asks = applies and not yes and report.result == "different"
            if applies and report.result == "different":
                hosts = work.untrusted(report, trust_host)
                if asks:
                    show_deployment(logger.redact(report), render.console(stderr=True), asks=True)
                    _ask(hosts, work.typed, app.name)
                else:
                    _refuse_untrusted(hosts, work.typed)
                report = work.apply(report)
                if wait and report.result == "deployed":
                    report = work.wait(report)
    except SettingsError as error:
        exit_with_problems(error.problems, as_json=as_json)
    report = logger.redact(report)
    shown = partial(show_deployment, report, was_shown=asks)
    put_out(logger, as_json, report.as_dict(), lambda: shown(render.console()))
    sys.exit(report.exit_code(applies=applies, tells_changes=exit_code))


def _file(file: Path | None, *, previous: bool) -> Path | None:
    """The file that is deployed; None if the previous settings are put back."""
    if previous:
        if file is not None:
            raise click.UsageError("--previous takes the place of FILE; write one of them")
        return None
    files = settings_files(SettingsSource(file))
    if not files:
        raise click.UsageError(f"name FILE: there is no {options.LIST} here")
    return files[0]


def _given(file: Path | None) -> FileSettings:
    """What a file says; without one, nothing.

    Raises:
        SettingsError: it cannot be read, or has nothing that could be set.
    """
    if file is None:
        return FileSettings({}, ())
    given = read_settings(file)
    options.tell_what_is_used([file], given.values, environment=False)
    where = "stdin" if str(file) == "-" else escape_unprintable(str(file))
    if not given.values.keys() & SETTINGS.keys():
        raise SettingsError([Problem(where, "contains none of this app's settings")])
    if "WORKSPACE_DEFAULTS" in given.values and "WORKSPACES" not in given.values:
        message = "is set together with WORKSPACES only; add WORKSPACES to the file"
        raise SettingsError([Problem(f"{where}: WORKSPACE_DEFAULTS", message)])
    return given


def _typed(file: Path | None, named: AppName, *, previous: bool) -> Command:
    """The command as it was typed, without what it is to do."""
    parts = [command(" {file}", file=str(file))] if file else []
    parts += [Command(" --previous")] if previous else []
    parts.append(command(" --app {app}", app=named.name))
    parts += [command(" --resource-group {group}", group=named.group)] if named.group else []
    parts += [command(" --subscription {id}", id=named.subscription)] if named.subscription else []
    return Command(str(options.invocation(NO_COMMAND).of("deploy")) + "".join(parts))


Result = Literal["same", "different", "deployed", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class DeployReport:
    """What deploying would do, or has done."""

    result: Result
    app: "FunctionApp | None" = None
    changes: tuple[Change, ...] = ()
    left_behind: tuple[tuple[str, Diagnosis], ...] = ()
    staying: tuple[str, ...] = ()
    not_set: tuple[str, ...] = ()
    newly_trusted: tuple[str, ...] = ()
    resumes: bool = False
    is_first: bool = False
    checks: tuple[Check, ...] = ()
    notes: tuple[Diagnosis, ...] = ()
    """What is odd about the app or the file."""
    alerts_enabled: tuple[str, ...] = ()
    """The alert rules that were enabled, or will be."""
    next_run: datetime | None = None
    paused: bool = False
    """Whether no run follows, because the function is disabled."""
    error: Diagnosis | None = None
    run: History | None = None
    """The first run with these settings."""
    stopped_waiting: bool = False
    """Whether the wait for it was interrupted."""
    wrong_usage: bool = False
    """Whether the error is in what was typed."""

    def as_dict(self) -> dict[str, Any]:
        """As `--json` has it."""
        app = self.app
        return {
            "version": 1,
            "result": self.result,
            "app": app
            and {"name": app.name, "resource_group": app.group, "subscription_id": app.subscription_id},
            "changes": [asdict(change) for change in self.changes],
            "left_behind": [{"workspace": name, **json_of(each)} for name, each in self.left_behind],
            "staying": list(self.staying),
            "not_set": list(self.not_set),
            "newly_trusted": list(self.newly_trusted),
            "ends_pause": self.resumes,
            "alerts_enabled": list(self.alerts_enabled),
            "checks": [json_of(check) for check in self.checks],
            "notes": [json_of(note) for note in self.notes],
            "next_run": self.next_run and utc_text(self.next_run),
            "run": self.run.runs[0].as_dict() if self.run else None,
            "error": json_of(self.error) if self.error else None,
        }

    def exit_code(self, *, applies: bool, tells_changes: bool) -> int:
        """The code of the command."""
        if self.result == "interrupted" or self.stopped_waiting:
            return INTERRUPTED
        if self.result == "deployed":  # with --wait the run can fail, or be missing
            return FAILED if self.error or (self.run and self.run.result == "failed") else 0
        if self.result == "failed":
            return WRONG if self.wrong_usage or self.error is None else FAILED
        return CHANGES if tells_changes and not applies and self.result == "different" else 0


@dataclass
class _Work:
    """One app, looked at and set."""

    services: "AdminServices"
    given: FileSettings
    named: AppName
    typed: Command
    _rules: "list[AlertRule]" = field(default_factory=list)
    _deployment: Deployment | None = None
    _set_at: datetime | None = None

    def look(self, *, previous: bool) -> DeployReport:
        """Work out what is to be done. Changes nothing."""
        named = self.named
        context = named.context()
        app = None
        try:
            app = self.services.find_app(named.name, named.subscription, named.group)
            context = _context(app)
            deployment = self._deploying(self._manager.app_settings(app), context, previous=previous)
            self._deployment = deployment
            return self._planned(app, deployment, context)
        except DiagnosedError as error:
            return DeployReport("failed", app, error=error.diagnosis, wrong_usage=True)
        except ServiceError as error:
            return DeployReport("failed", app, error=diagnose(error, context))

    def _deploying(
        self, existing: Mapping[str, str], context: DiagnosisContext, *, previous: bool
    ) -> Deployment:
        """What is to be done to these app settings.

        Raises:
            DiagnosedError: it is another app's, or nothing can be put back.
        """
        if not is_ours(existing):
            raise DiagnosedError(finding("not_a_git_refresh_app", context))
        deployment = restore(existing) if previous else deployed(existing, self.given.values)
        if deployment is None:
            raise DiagnosedError(finding("no_previous_settings", context))
        return deployment

    @property
    def _manager(self) -> "ResourceManager":
        return self.services.resource_manager()

    def _planned(self, app: "FunctionApp", deployment: Deployment, context: DiagnosisContext) -> DeployReport:
        checks = _checks(deployment, self.given.names)
        is_wrong = any(check.status == "failed" for check in checks)
        notes = [finding("defaults_removed", context)] if deployment.drops_defaults else []
        notes += [] if is_wrong else self._notes(app, deployment, context)
        result: Result = "failed" if is_wrong else "different" if deployment.changes_app else "same"
        return DeployReport(
            result,
            app,
            tuple(deployment.changes()),
            tuple(deployment.left_behind()),
            deployment.staying,
            deployment.not_set,
            tuple(deployment.newly_trusted()),
            deployment.resumes,
            deployment.is_first,
            tuple(checks),
            tuple(notes),
            tuple(rule.name for rule in self._to_enable(deployment)),
            _next_run(deployment, self._manager.now()),
            is_paused(deployment.wanted),
        )

    def _notes(
        self, app: "FunctionApp", deployment: Deployment, context: DiagnosisContext
    ) -> Iterator[Diagnosis]:
        if deployment.is_previous:
            yield finding("file_is_previous", context)
        if deployment.changes_app and not deployment.keeps_previous:
            yield finding("previous_too_long", context)
        try:
            rules = self._manager.alert_rules(app)
        except ServiceError as error:
            # A first list whose alerts are off would fail in silence.
            if deployment.resumes:
                raise
            yield diagnose(error, context)
            return
        self._rules = [rule for rule in rules if _is_of(app, rule)]
        disabled = [rule.name for rule in self._rules if not rule.enabled]
        if not self._rules:
            yield finding("alert_rules_missing", context)
        elif disabled and not deployment.is_first:
            yield finding("alert_rules_disabled", context, rules=first_of(disabled, _MOST_NAMED))

    def _to_enable(self, deployment: Deployment) -> "list[AlertRule]":
        """The alert rules that the first list turns on."""
        return [rule for rule in self._rules if not rule.enabled] if deployment.resumes else []

    def untrusted(self, report: DeployReport, flags: Sequence[str]) -> list[str]:
        """The hosts that the app would newly trust and no flag names."""
        allowed = TrustedHosts(flags)
        return [host for host in report.newly_trusted if not allowed.trusts(host)]

    def apply(self, plan: DeployReport) -> DeployReport:
        """Do it, if all is as it was shown."""
        deployment, app = self._deployment, plan.app
        from git_refresh.admin.resource_manager import AppSettingsChange  # noqa: PLC0415  # an HTTP library: not for --help

        assert deployment is not None  # noqa: S101  # it was shown
        assert app is not None  # noqa: S101
        context = _context(app)
        enabled: list[str] = []
        try:
            with render.console(stderr=True).status("Setting …"):
                change = AppSettingsChange(self._manager, app, deployment.existing, deployment.wanted)
                change.check_unchanged()
                # Alerts first: from its first list on, an app that fails must not do so in silence.
                for rule in self._to_enable(deployment):
                    self._manager.enable(rule)
                    enabled.append(rule.name)
                self._set_at = change.make(self.services.deadline.clock)
        except KeyboardInterrupt:
            return replace(plan, result="interrupted", alerts_enabled=tuple(enabled))
        except DiagnosedError as error:
            return replace(plan, result="failed", error=error.diagnosis, alerts_enabled=tuple(enabled))
        except ServiceError as error:
            return replace(
                plan, result="failed", error=diagnose(error, context), alerts_enabled=tuple(enabled)
            )
        next_run = _next_run(deployment, self._set_at)
        return replace(plan, result="deployed", next_run=next_run, alerts_enabled=tuple(enabled))

    def wait(self, done: DeployReport) -> DeployReport:
        """Wait until the logs show the first run that began after the settings were set, or until it can no longer be expected."""
        assert done.app is not None  # noqa: S101  # it was set
        if done.paused:
            return done
        context, clock = _context(done.app), self.services.deadline.clock
        set_at = self._set_at or clock.now()
        until_due = (done.next_run or set_at) - set_at
        # If the next one is too far away, only the run that the restart has cut off can follow.
        until_due = until_due if until_due <= MAX_UNTIL_DUE else timedelta()
        deadline = Deadline.after((until_due + LONGEST_RUN + 2 * VISIBLE_AFTER).total_seconds(), clock)
        try:
            logs = open_logs(self.services, done.app)
            context = logs.about
            latest = clock.now() + timedelta(seconds=deadline.remaining())
            what = f"Waiting for the first run, until {latest:%H:%M} UTC at the latest. Logs lag by some minutes …"
            with render.console(stderr=True).status(what):
                while (run := _first_run(logs, set_at)) is None:
                    if deadline.remaining() <= 0:
                        return replace(done, error=finding("run_not_seen", context))
                    pause(clock, POLL_S)
        except KeyboardInterrupt:
            return replace(done, error=finding("run_not_seen", context), stopped_waiting=True)
        except DiagnosedError as error:
            return replace(done, error=error.diagnosis)
        except ServiceError as error:
            return replace(done, error=diagnose(error, context))
        return replace(done, run=run)


def _first_run(logs: "AppLogs", set_at: datetime) -> History | None:
    """The first run that began after the settings were set, once it has ended.

    Raises:
        ServiceError: the logs cannot be read, and that does not pass by itself.
    """
    now = logs.now()
    try:
        found = logs.runs(now - set_at + timedelta(minutes=1))
    except ServiceError as error:
        if error.failure.outcome_unknown or error.failure.throttled:
            return None
        raise
    began = [run for run in found.runs if run.started_at >= set_at and not _cut_off(run, set_at)]
    first = min(began, key=lambda run: run.started_at, default=None)
    if first is None or first.result == "running":
        return None
    about = logs.about
    newest = found.newest_line
    return History(
        about.app, about.component, set_at, now, newest, found.complete, (first,), first, (), False, ()
    )


def _cut_off(run: LoggedRun, set_at: datetime) -> bool:
    """Whether it is the run that the restart has cut off: it can have written lines until then."""
    codes = {failure.code for failure in run.failures}
    return codes == {"run_not_completed"} and run.started_at < set_at + RESTART


_MOST_NAMED = 5


def _is_of(app: "FunctionApp", rule: "AlertRule") -> bool:
    """Return whether infra/ has created the alert rule, and for this app: then the names end alike."""
    app_name, name = app.name.casefold(), rule.name.casefold()
    of_infra = app_name.startswith(NAMED_BY_INFRA)
    ending = f"-{app_name.removeprefix(NAMED_BY_INFRA)}" if of_infra else ""
    return name.startswith(ALERT_RULES) and name.endswith(ending)


def _context(app: "FunctionApp") -> DiagnosisContext:
    return AppName(app.name, app.group, app.subscription_id).context()


def _checks(deployment: Deployment, named: Sequence[str]) -> list[Check]:
    """What `check --offline` says of the settings that the app will have, and of the names in the file."""
    values = {name: value for name, value in deployment.wanted.items() if is_read(name)}
    try:
        settings = load(values)
        checks = check_settings(values, settings.problems, settings, named=named)
    except SettingsError as error:
        checks = check_settings(values, error.problems, None, named=named)
    too_long = [
        failed(
            "settings",
            name,
            finding("long_setting", DiagnosisContext(), setting=name, size=f"{size:,}", most=f"{most:,}"),
        )
        for name, size, most in deployment.too_long()
        if not any((check.subject, check.status) == (name, "failed") for check in checks)
    ]
    references = deployment.references()
    checks = [check for check in checks if check.subject not in references or check.status != "failed"]
    checks += [Check("settings", name, "warning", _UNCHECKED) for name in references]
    replaced = {check.subject for check in too_long}
    return [
        *(check for check in checks if check.subject not in replaced or check.status == "failed"),
        *too_long,
    ]


_UNCHECKED = "is a reference that only Azure can resolve; its value was not checked"


def _next_run(deployment: Deployment, now: datetime) -> datetime | None:
    """When the next run is due by the app's schedule; None if it is not known, or the function is disabled."""
    if is_paused(deployment.wanted):
        return None
    try:
        return Schedule.read(deployment.wanted.get("REFRESH_SCHEDULE", "")).next_after(now)
    except ValueError:
        return None


def _trusting(hosts: Sequence[str], typed: Command) -> Command:
    flags = "".join(command(" --trust-host {host}", host=host) for host in hosts)
    return Command(f"{typed}{flags} --apply")


def _refuse_untrusted(hosts: Sequence[str], typed: Command) -> None:
    """Refuse to let the app send tokens to hosts that only a file names.

    Raises:
        SettingsError: there are some.
    """
    if hosts:
        again = Command(f"{_trusting(hosts, typed)} --yes")
        message = (
            f"names hosts that the app does not trust yet: {', '.join(hosts)}. If you trust them: {again}"
        )
        raise SettingsError([Problem("TRUSTED_HOSTS", message, commands=(again,))])


def _ask(hosts: Sequence[str], typed: Command, name: str) -> None:
    """Ask about new hosts first, then whether to go on.

    Raises:
        SettingsError: the answer is no, or there is no terminal to ask on.
    """
    if hosts:
        ask.agree(
            "TRUSTED_HOSTS",
            [
                f"From then on the app sends its tokens to hosts outside of Azure: {', '.join(hosts)}. Trust them?"
            ],
            without_terminal=f"names hosts that the app does not trust yet: {', '.join(hosts)}; if you trust them, run "
            f"{_trusting(hosts, typed)} --yes",
            declined="was declined; nothing was set",
        )
    ask.agree(
        "--apply",
        [f"Set this in {name}, which restarts it?"],
        without_terminal="there is no terminal to ask on; add --yes to set what deploy shows without --apply",
        declined="was declined; nothing was set",
    )


def show_deployment(
    report: DeployReport, out: Console, *, asks: bool = False, was_shown: bool = False
) -> None:
    """Show the changes, what stays, what is odd, and what happens next; of a plan that was shown, only what came of it."""
    if not was_shown:
        _show_plan(report, out)
    if report.error is not None and report.result != "deployed":
        show_finding([Finding("failed", "", report.error.message, report.error)], out)
    for line, style in _ending(report, asks=asks):
        fold(Text(), Text(line, style), out)
    if report.error is not None and report.result == "deployed":
        show_finding([Finding("failed", "", report.error.message, report.error)], out)
    if report.run is not None:
        show_history(report.run, out, only_failed=False)


def _show_plan(report: DeployReport, out: Console) -> None:
    if report.app is not None and not options.quiet():
        app = report.app
        fold(
            Text(),
            Text.assemble(
                (app.name, "bold"), f", resource group {app.group}, subscription {app.subscription_id}"
            ),
            out,
        )
    wrong = any(check.status == "failed" for check in report.checks)
    if not wrong:
        for change in report.changes:
            _show_change(change, out)
        _show_settings(report, out)
        show_finding([Finding("warning", name, each.message, each) for name, each in report.left_behind], out)
    if report.checks and (wrong or not options.quiet()):
        render.show_check(CheckReport(report.checks), out)
    show_finding([Finding("warning", "", note.message, note) for note in report.notes], out)


def _show_change(change: Change, out: Console) -> None:
    sign, style = _SIGN[change.action]
    parts = [change.workspace or change.setting, *(part for part in (change.folder, change.key) if part)]
    old_new = " → ".join(value for value in (change.old, change.new) if value)
    fold(
        Text(f"{sign} ", style),
        Text.assemble((" ".join(parts), "bold"), f": {old_new}" if old_new else ""),
        out,
    )


def _show_settings(report: DeployReport, out: Console) -> None:
    """What is not changed although it might have been expected, and what changes beside the list."""
    if options.quiet():
        return
    if report.staying:
        fold(
            Text("= ", "dim"),
            Text(f"Stay, because the file does not have them: {', '.join(report.staying)}."),
            out,
        )
    if report.not_set:
        names = ", ".join(report.not_set)
        fold(
            Text("! ", "yellow"),
            Text(f"Not set, because only a deployment of infra/ sets them: {names}."),
            out,
        )
    if report.newly_trusted:
        hosts = ", ".join(report.newly_trusted)
        fold(Text("! ", "yellow"), Text(f"Newly trusted with the app's tokens: {hosts}."), out)
    if report.resumes:
        fold(Text("~ ", "yellow"), Text(f"Ends the pause of the first deployment ({PAUSE})."), out)
    if report.alerts_enabled:
        number = count(len(report.alerts_enabled), "alert rule")
        verb = (
            "Enabled"
            if report.result in {"deployed", "failed", "interrupted"}
            else "Enables, before the list,"
        )
        fold(Text("~ ", "yellow"), Text(f"{verb} {number}."), out)


def _ending(report: DeployReport, *, asks: bool) -> Iterator[tuple[str, str]]:
    """The last lines: how many changes, what happens next, what to add."""
    match report.result:
        case "same":
            yield "No difference: the app has these settings.", STYLE["ok"]
        case "interrupted":
            yield "Interrupted. Run the command again: it shows what is left to do.", STYLE["failed"]
        case "failed":
            if report.error is None:
                yield "Nothing was set.", STYLE["failed"]
        case "different" | "deployed":
            number = count(len(report.changes), "difference")
            if report.result == "different":
                yield f"{number}. {_RESTARTS}", "bold"
            else:
                yield f"Set: {number}. The app restarts.", STYLE["ok"]
            if report.paused:
                yield (
                    f"The function is disabled, so no run follows: delete the app setting {PAUSE}.",
                    STYLE["warning"],
                )
            elif report.next_run is not None:
                yield f"The next run is at {utc_clock(report.next_run)} (REFRESH_SCHEDULE).", ""
            if report.result == "different" and not asks:
                yield "Nothing was set: to do it, add --apply.", ""


_RESTARTS = "Setting restarts the app: a run in progress is cut off, and made again at once."
