"""`rotate`: new OAuth secrets for those that end soon, with an admin's own sign-in. It shows what it would do, and does it with --apply."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from git_refresh.admin.rotation.decide import Decision, places, targets_of, why_not_there
from git_refresh.admin.rotation.report import RotationReport, SecretReport
from git_refresh.admin.rotation.work import MAX_PARALLEL_WORKSPACES, Rotation
from git_refresh.admin.values import SignIn
from git_refresh.cli import ask, complete, options, render
from git_refresh.cli.findings import STYLE, Finding, fold, of_problem, show_finding
from git_refresh.cli.options import SettingsSource, quiet
from git_refresh.cli.shared import (
    allow,
    exit_with_problems,
    finish,
    given_settings,
    outlet_for,
    put_out,
)
from git_refresh.failures.diagnosis import DiagnosisContext, diagnose, finding
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Deadline, SystemClock
from git_refresh.model.values import KEY_VAULT, Problem
from git_refresh.output.log import RedactingLogger
from git_refresh.output.redact import redact
from git_refresh.output.text import count, first_of
from git_refresh.run.pool import Executor
from git_refresh.settings.entries import Rejected
from git_refresh.settings.load import Settings, SettingsError, load

if TYPE_CHECKING:
    from git_refresh.admin.services import AdminServices

_LONGEST_DAYS = 730
_LEAST_S = 540.0
"""Seconds that there are at least: nobody kills a command after REFRESH_TIMEOUT_SECONDS, which may be too few for one rotation."""
_TAKING_BACK_S = 60.0


class _Days(click.ParamType[timedelta]):
    name = "days"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,4})d", str(value))
        if found is None or not 0 < int(found[1]) <= _LONGEST_DAYS:
            meant = _LONGEST_DAYS if found and int(found[1]) else 60
            self.fail(
                f'"{redact(str(value))}" must be days from 1d to {_LONGEST_DAYS}d; write {meant}d', param, ctx
            )
        return timedelta(days=int(found[1]))


@click.command(short_help="Replace OAuth secrets that end soon.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete.secrets)
@click.option(
    "--within",
    type=_Days(),
    default="60d",
    show_default=True,
    metavar="60d",
    help="Rotate what ends within so many days, from 1d to 730d, and is in the second half of its life.",
)
@click.option(
    "--lifetime",
    type=_Days(),
    metavar="180d",
    help="Let new ones live for so many days, from 1d to 730d, instead of for as long as the former ones.",
)
@click.option(
    "--force", is_flag=True, help="Rotate each NAME now, whenever it ends: one that has leaked, for example."
)
@click.option("--apply", "applies", is_flag=True, help="Do what is shown, after asking.")
@click.option("--yes", "-y", is_flag=True, help="With --apply: do not ask.")
@click.option(
    "--allow-unreachable",
    is_flag=True,
    help="Store a new secret also where some of its workspaces cannot be reached to try it.",
)
@options.settings_option
@options.json_option
@options.output_options
def rotate(  # noqa: PLR0913  # one for each option
    names: Sequence[str],
    within: timedelta,
    lifetime: timedelta | None,
    source: SettingsSource,
    *,
    force: bool,
    applies: bool,
    yes: bool,
    allow_unreachable: bool,
    as_json: bool,
) -> None:
    """Replace OAuth secrets that end soon, with your own sign-in (az login).

    NAME is the name of a secret in Key Vault (client_secret_name); without any, all of the list are looked at. For each that ends soon a
    new one is made in Databricks, tried at every workspace that uses it, and stored in Key Vault as the next version. The former one is
    deleted by a later call, a day or more after, once all of them accept the new one, and only if this command has made it. Without
    --apply it only shows what it would do.
    """
    if yes and not applies:
        raise click.UsageError("--yes needs --apply")
    if force and not names:
        raise click.UsageError("--force needs the NAME of each secret that is to be rotated")
    logger = outlet_for(as_json=as_json)
    try:
        given = given_settings(source)
        settings = allow(load(given.values), given.source)
        command = _Command(settings, logger, within, lifetime, force=force, as_json=as_json)
        command.choose(names, allow_unreachable=allow_unreachable)
        report = command.plan()
        if applies and not report.interrupted:
            acts = any(secret.acts for secret in report.secrets)
            if acts and not yes:
                untried = [] if allow_unreachable else _unreachable(report)
                _ask(logger.redact(report), untried, as_json=as_json)
                command.allowed |= set(untried)
            report = command.apply(report) if acts else replace(report, applied=True)
    except SettingsError as error:
        exit_with_problems(error.problems, as_json=as_json)
    report = logger.redact(report)
    put_out(logger, as_json, report.as_dict(), lambda: show_rotation(report, render.console()))
    finish(ok=report.result == "ok", interrupted=report.interrupted)


class _Command:
    """The secrets of a list, looked at and rotated one after the other.

    Attributes:
        allowed: the workspaces (hosts) that a new secret may be stored without, where they cannot be reached.
    """

    def __init__(
        self,
        settings: Settings,
        logger: RedactingLogger,
        within: timedelta,
        lifetime: timedelta | None,
        *,
        force: bool,
        as_json: bool,
    ) -> None:
        self._settings = settings
        self._logger = logger
        self._within = within
        self._lifetime = lifetime
        self._force = force
        self._as_json = as_json
        rejected = [entry for entry in settings.entries if isinstance(entry, Rejected)]
        self._problems = tuple(problem for entry in rejected for problem in entry.problems)
        self._targets = targets_of(settings)
        self.allowed = set[str]()
        self._approved: dict[str, Decision] = {}

    def choose(self, names: Sequence[str], *, allow_unreachable: bool) -> None:
        """Keep only these, and without a name all; they may be stored without each workspace that cannot be reached.

        Raises:
            SettingsError: one is not there.
        """
        there = {target.name.lower(): target.name for target in self._targets}
        problems = [
            Problem("NAME", why_not_there(name, list(there.values()), self._settings))
            for name in names
            if name.lower() not in there
        ]
        if problems:
            raise SettingsError(problems)
        wanted = {there[name.lower()] for name in names} or set(there.values())
        self._targets = [target for target in self._targets if target.name in wanted]
        if allow_unreachable:
            self.allowed |= {host for target in self._targets for host in target.hosts}

    def plan(self) -> RotationReport:
        """What is to be done. Writes nothing."""

        def look(rotation: Rotation) -> SecretReport:
            report, decision = rotation.plan()
            if decision is not None and decision.acts:
                self._approved[report.name] = decision
            return report

        showing = render.console(stderr=True).status("Looking …") if not self._as_json else nullcontext()
        with showing:
            return self._each(look, applied=False)

    def apply(self, plan: RotationReport) -> RotationReport:
        """Do it: what is to be done now, and was in the plan."""
        nothing = {secret.name: secret for secret in plan.secrets if secret.name not in self._approved}
        return self._each(
            lambda rotation: rotation.apply(self._approved[rotation.target.name]),
            applied=True,
            as_planned=nothing,
        )

    def _each(
        self,
        work: Callable[[Rotation], SecretReport],
        *,
        applied: bool,
        as_planned: Mapping[str, SecretReport] | None = None,
    ) -> RotationReport:
        """With a sign-in and a deadline of its own: somebody may have thought for long before saying yes."""
        from git_refresh.admin.services import AdminServices  # noqa: PLC0415  # SDKs: not for --help, nor for a wrong option

        settings, reports, interrupted = self._settings, [], False
        url = settings.key_vault_url or ""
        clock = SystemClock()
        deadline = Deadline.after(max(settings.timeout_s, _LEAST_S), clock)
        # Longer than the rotations: what was made and cannot be stored has to be deleted again, however late it is.
        services = AdminServices(Deadline(clock, deadline.at + _TAKING_BACK_S), os.environ, self._logger)
        try:
            vault = services.vault(url) if self._targets else None
            context = DiagnosisContext(vault=url, invocation=settings.invocation)
            try:
                context = replace(context, object_id=_own(services) if self._targets else "")
            except KeyboardInterrupt:
                interrupted = True
            for target in self._targets:
                if target.shared_by:
                    shared = finding(
                        "secret_shared_by_principals",
                        DiagnosisContext(secret=target.name),
                        client_ids=", ".join(target.shared_by),
                    )
                    reports.append(SecretReport(target.name, "", "", (), "failed", errors=(shared,)))
                    continue
                assert vault is not None  # noqa: S101  # there is one where there is a target
                if as_planned and target.name in as_planned:
                    reports.append(as_planned[target.name])
                    continue
                rotation = Rotation(
                    target,
                    vault=vault,
                    services=services,
                    executor=Executor(MAX_PARALLEL_WORKSPACES, deadline),
                    deadline=deadline,
                    within=self._within,
                    context=context,
                    lifetime=self._lifetime,
                    force=self._force,
                    hold=_HOLD if self._problems else "",
                    allowed=frozenset(self.allowed),
                    on_step=self._say if applied else lambda _: None,
                )
                if interrupted:
                    reports.append(rotation.interrupted())
                    continue
                try:
                    reports.append(work(rotation))
                except KeyboardInterrupt:
                    reports.append(rotation.interrupted())
                    interrupted = True
                except Exception as error:  # noqa: BLE001  # a defect must not stop the others
                    reports.append(rotation.failed(diagnose(error, DiagnosisContext())))
        finally:
            services.close()
        return RotationReport(tuple(reports), self._problems, applied, interrupted)

    def _say(self, what: str) -> None:
        """Each thing as it is done: should this end early, it is known how far it came."""
        if not self._as_json and not options.quiet():
            render.say(self._logger.redact_text(what))


_HOLD = "an entry of the list is wrong, and may use it"
"""Which secret that entry names, nobody has read."""


def _own(services: "AdminServices") -> str:
    """The object id of whoever is signed in; empty if nobody is, which each look tells by itself."""
    try:
        return services.token(KEY_VAULT).object_id
    except ServiceError:
        return ""


def _unreachable(plan: RotationReport) -> list[str]:
    """The workspaces where a new secret could not be tried now."""
    found = [
        each.host
        for secret in plan.secrets
        if secret.action == "rotate"
        for each in secret.not_signed_in
        if each.result is SignIn.UNREACHABLE
    ]
    return list(dict.fromkeys(found))


def _ask(plan: RotationReport, untried: Sequence[str], *, as_json: bool) -> None:
    """Before anything is changed, also whether to go on without the workspaces that cannot be reached.

    Raises:
        SettingsError: the answer is no, or there is nobody to ask.
    """
    if as_json:
        message = "with --json nothing is shown to be agreed to; add --yes to do what rotate --json shows without --apply"
        raise SettingsError([Problem("--apply", message)])
    if sys.stdin.isatty() and sys.stderr.isatty():
        show_rotation(plan, render.console(stderr=True), asks=True)
    made = sum(secret.action == "rotate" for secret in plan.secrets)
    gone = sum(each.action == "delete" for secret in plan.secrets for each in secret.previous)
    parts = [f"makes and stores {count(made, 'OAuth secret')}"] if made else []
    parts += [f"deletes {count(gone, 'former one')}"] if gone else []
    questions = [f"This {' and '.join(parts)}. Go on?"]
    if untried:
        questions.insert(
            0, f"{places(untried)} cannot be reached. Store a new OAuth secret without trying it there?"
        )
    ask.agree(
        "--apply",
        questions,
        without_terminal="there is no terminal to ask on; add --yes to do what rotate shows without --apply",
        declined="was declined; nothing was done",
    )


def show_rotation(report: RotationReport, out: Console, *, asks: bool = False) -> None:
    """Each secret with what is done about it, then what is not well, then how much of each; and what to add, unless it is asked next."""
    for secret in [] if quiet() else report.secrets:
        principal = f"  service principal {secret.client_id}" if secret.client_id else ""
        used = (
            f", {first_of(secret.workspaces, 1, 'workspace')}, looked after in {secret.host}"
            if secret.workspaces
            else ""
        )
        fold(Text(), Text.assemble((secret.name, "bold"), f"{principal}{used}"), out)
        for mark, step in _steps(secret):
            fold(mark, step, out)
    if report.secrets and not quiet():
        out.print()
    findings = [
        Finding("failed", secret.name, error.message, error)
        for secret in report.secrets
        for error in secret.errors
    ]
    findings += [
        Finding("warning", each.host, each.error.message, each.error)
        for secret in report.secrets
        for each in secret.not_signed_in
    ]
    findings += [
        Finding(
            "warning", secret.name, each.note.message, replace(each.note, kind=each.id)
        )  # each has a command
        for secret in report.secrets
        for each in secret.unmanaged
    ]
    findings += map(of_problem, report.problems)
    show_finding(findings, out)
    style = STYLE[report.result]
    if not report.secrets and not report.problems:
        nothing = "No workspace of the list signs in with an OAuth secret: there is nothing to rotate."
        fold(Text(), Text(nothing, style), out)
        return
    fold(Text(), Text(report.summary(), style if report.applied else "bold"), out)
    if report.interrupted:
        done = "what was done is above" if report.applied else "nothing was done"
        fold(Text(), Text(f"Interrupted; {done}.", STYLE["failed"]), out)
    elif not asks and not report.applied and any(secret.acts for secret in report.secrets):
        fold(Text(), Text("Nothing was done: to do it, add --apply."), out)


def _steps(secret: SecretReport) -> Iterator[tuple[Text, Text]]:
    sign, style = {
        "rotate": ("+", "created"),
        "rotated": ("+", "created"),
        "unchanged": ("=", "unchanged"),
        "failed": ("✗", "failed"),
    }[secret.action]
    what = {
        "rotate": "a new OAuth secret is made and stored",
        "rotated": f"OAuth secret {secret.new_id} was made and stored",
        "unchanged": "stays",
        "failed": "was not rotated",
    }[secret.action]
    until = (
        f", and ends on {secret.expires_at:%Y-%m-%d}"
        if secret.action == "rotated" and secret.expires_at
        else ""
    )
    yield _step(sign, style, f"{what}{until}", secret.reason)
    for each in secret.previous:
        made = f" of {each.created_at:%Y-%m-%d}" if each.created_at else ""
        name = f"former OAuth secret {each.id}{made}"
        match each.action:
            case "delete":
                yield _step("-", "failed", f"{name} is deleted", "it was replaced")
            case "deleted":
                yield _step("-", "failed", f"{name} was deleted", "it was replaced")
            case "failed":
                yield _step("✗", "failed", f"{name} is still there", "it could not be deleted")
            case "kept":
                until = (
                    f"a run may still use it until {each.kept_until:%Y-%m-%d %H:%M} UTC"
                    if each.kept_until
                    else each.reason
                )
                yield _step("=", "unchanged", f"{name} stays", until)


def _step(sign: str, style: str, what: str, why: str) -> tuple[Text, Text]:
    return Text(f"  {sign} ", STYLE[style]), Text.assemble(what, (f": {why}" if why else "", "dim"))
