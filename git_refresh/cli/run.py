"""`run`, and `plan`, its dry run."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import click

from git_refresh.cli import ask, options, render
from git_refresh.cli.findings import Places
from git_refresh.cli.options import SettingsSource
from git_refresh.cli.progress import Lines, Live
from git_refresh.cli.scope import Scope, narrow, scope_options
from git_refresh.cli.shared import (
    CHANGES,
    WRONG,
    allow,
    finish,
    given_settings,
    outlet_for,
    places_of,
    put_out,
)
from git_refresh.failures.diagnosis import DiagnosisContext, finding, noted
from git_refresh.model.values import Problem, Slice
from git_refresh.output.redact import redact
from git_refresh.output.text import count, first_of
from git_refresh.run.ports import NullProgress, Progress
from git_refresh.run.refresh import refresh
from git_refresh.run.report import Report
from git_refresh.run.slices import cut
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings, SettingsError, load


@click.command()
@options.list_argument
@click.option(
    "--changes", is_flag=True, help="Show only changes. Omits credentials that only get a new token."
)
@click.option("--exit-code", is_flag=True, help="Exit with 3 if a run would create or update anything.")
@scope_options
@options.settings_option
@options.json_option
@options.output_options
def plan(
    workspaces: Path | None,
    source: SettingsSource,
    scope: Scope,
    *,
    changes: bool,
    exit_code: bool,
    as_json: bool,
) -> None:
    """Show what a run would change.

    Writes nothing. Cannot predict failures that only an attempt shows, such as uncommitted changes in a Git folder. FILE is a
    workspaces.json to use instead of the WORKSPACES setting.

    Exit codes: 0 success; 1 a workspace would fail; 2 invalid settings or usage; 3 a run would change something (--exit-code); 130
    interrupted.
    """
    show = partial(render.show_plan, changes=changes)
    report = _refresh(source, scope, show, as_json=as_json, dry_run=True, workspaces=workspaces)
    if exit_code and report.result == "ok" and _changes_something(report):
        sys.exit(CHANGES)
    _end(report)


@click.command()
@scope_options
@options.settings_option
@click.option(
    "--yes",
    "-y",
    is_flag=True,
    help="Skip the confirmation to store your own token.",
)
@click.option(
    "--slice",
    "number",
    type=int,
    metavar="N",
    help="Refresh only slice N, as numbered in alerts and logs (FAN_OUT=queue).",
)
@options.json_option
@options.output_options
def run(source: SettingsSource, scope: Scope, number: int | None, *, yes: bool, as_json: bool) -> None:
    """Refresh every workspace once.

    Does what a scheduled run does, with the managed identity of this machine. If no managed identity exists, stores the token of your
    Azure CLI account after confirmation. Federated workspaces require the app's identity. Assumes that the next run starts in 15
    minutes.

    Exit codes: 0 success; 1 a workspace or a Git folder failed; 2 invalid settings or usage; 130 interrupted.
    """
    if number is not None and scope:
        raise click.UsageError("--slice cannot be combined with --only or --folder")
    _end(_refresh(source, scope, render.show_report, as_json=as_json, dry_run=False, number=number, yes=yes))


def _refresh(  # noqa: PLR0913  # one for each option
    source: SettingsSource,
    scope: Scope,
    show: Callable[[Report, Any, Places], None],
    *,
    as_json: bool,
    dry_run: bool,
    workspaces: Path | None = None,
    number: int | None = None,
    yes: bool = False,
) -> Report:
    """Run or plan, print the report, and return it.

    Raises:
        SystemExit: the settings are invalid, or the user declined.
    """
    logger = outlet_for(as_json=as_json)
    try:
        given = given_settings(source, workspaces)
        settings = narrow(load(given.values), scope)
        part = None
        if number is not None:
            part, names = _slice(settings, number)
            settings = settings.only(names)
        settings = allow(settings, given.source)
        from git_refresh import app  # noqa: PLC0415  # keeps --help fast
        from git_refresh.admin.reader import AdminReader  # noqa: PLC0415

        if app.uses_azure_cli(os.environ) and not dry_run:
            _refuse_federated(settings)
            if not yes:
                _ask(settings)
        watcher = nullcontext(None) if as_json else _watcher(len(settings.entries), dry_run=dry_run)
        with (
            closing(
                app.connect(settings, os.environ, logger, admin=AdminReader if dry_run else None)
            ) as clouds,
            watcher as progress,
        ):
            report = refresh(
                clouds.settings,
                clouds,
                clouds.deadline,
                logger=logger,
                slice_=part,
                dry_run=dry_run,
                progress=progress,
                threads=clouds.threads,
            )
    except SettingsError as error:
        if as_json:
            put_out(logger, as_json, _not_run(error.problems, dry_run=dry_run).as_dict(), print)
        else:
            render.show_nothing_run(logger.redact(error.problems), render.console(stderr=True))
        sys.exit(WRONG)
    except KeyboardInterrupt:
        if as_json:
            problem = Problem("run", "was interrupted; no changes made")
            put_out(logger, as_json, _not_run([problem], dry_run=dry_run).as_dict(), print)
        raise
    put_out(logger, as_json, report.as_dict(), lambda: show(report, render.console(), places_of(settings)))
    return report


def _slice(settings: Settings, number: int) -> tuple[Slice, tuple[str, ...]]:
    """Return a slice and the names of its workspaces, as the timer would divide the list now.

    Raises:
        SettingsError: the slice does not exist.
    """
    parts = cut(settings)
    if not 1 <= number <= len(parts):
        has = "only slice 1" if len(parts) == 1 else f"slices 1 to {len(parts)}"
        raise SettingsError([Problem("--slice", f'"{number}" does not exist: the list has {has}')])
    return Slice(str(uuid4()), number, len(parts)), parts[number - 1]


def _end(report: Report) -> NoReturn:
    errors = [error.code for workspace in report.workspaces for _, error in workspace.failures()]
    finish(ok=report.result == "ok", interrupted="interrupted" in errors)


def _changes_something(report: Report) -> bool:
    """Return whether a run would do more than store new tokens."""
    return any(
        (workspace.credential is not None and workspace.credential.action == "created")
        or any(folder.action in {"created", "updated"} for folder in workspace.folders)
        for workspace in report.workspaces
    )


_MOST_NAMED = 5


def _refuse_federated(settings: Settings) -> None:
    """Refuse a run that needs the app's identity.

    Raises:
        SettingsError: a workspace has `auth: federated`, which exchanges a token of the app's identity.
    """
    workspaces = [entry.workspace for entry in settings.entries if isinstance(entry, Entry)]
    if names := [redact(each.name) for each in workspaces if each.federated]:
        diagnosis = finding("run_needs_app", DiagnosisContext(), names=first_of(names, _MOST_NAMED))
        raise SettingsError([noted("run", diagnosis, "error")])


def _ask(settings: Settings) -> None:
    """Ask for confirmation before a run stores the caller's own token.

    Raises:
        SettingsError: the caller declined, or the input is not a terminal.
    """
    number = count(sum(isinstance(entry, Entry) for entry in settings.entries), "workspace")
    stored = f"your own Azure DevOps token (az login) as the Git credential of {number}"
    ask.agree(
        "run",
        [f"No managed identity found. This stores {stored}, until the app's next run. Continue?"],
        without_terminal=f"found no managed identity, so it would store {stored}. It {ask.NO_TERMINAL}",
        declined="canceled",
    )


def _watcher(workspaces: int, *, dry_run: bool) -> AbstractContextManager[Progress]:
    """Return live progress on a terminal, otherwise lines for a run and nothing for a plan."""
    if options.quiet() or options.verbose():  # with --verbose the log lines show the progress
        return nullcontext(NullProgress())
    err = render.console(stderr=True)
    if err.is_terminal:
        return Live(err, workspaces)
    return nullcontext(NullProgress()) if dry_run else Lines(err)


def _not_run(problems: Sequence[Problem], *, dry_run: bool) -> Report:
    return Report("", datetime.now(UTC), 0.0, dry_run, "failed", (), tuple(problems), ())
