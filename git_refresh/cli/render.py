"""Terminal output: streams and console of all commands, and the reports of run, plan, and check."""

import io
import os
import sys
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TextIO, override

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from git_refresh.cli import options
from git_refresh.cli.checks import LAYERS, CheckReport, Layer
from git_refresh.cli.findings import (
    STYLE,
    UNFOLDED,
    Finding,
    Places,
    fold,
    of_problem,
    once,
    show_finding,
    tally,
    wrapped,
)
from git_refresh.model.values import Problem
from git_refresh.output.redact import escape_unprintable
from git_refresh.output.text import count, first_of
from git_refresh.run.report import PLACES, FolderReport, Report, WorkspaceReport

_LAYER: dict[Layer, str] = {
    "settings": "Settings",
    "identity": "Identity",
    "key_vault": "Key Vault",
    "azure_devops": "Azure DevOps",
    "workspace": "Workspaces",
    "credential": "Git credentials",
    "folder": "Git folders",
    "job": "Jobs",
}
_MANY = 12
"""Most warnings and failures with which `check` also shows successful and skipped checks."""
_STEP = {
    "created": "+",
    "updated": "~",
    "unchanged": "=",
    "token_rejected": "=",
    "warning": "!",
    "failed": "✗",
    "skipped": "–",  # noqa: RUF001
}


def echo(text: str) -> None:
    """Print machine-readable output to stdout, unwrapped."""
    click.echo(text)


def say(text: str) -> None:
    """Print a text to stderr, wrapped at blanks."""
    click.echo("\n".join(wrapped(escape_unprintable(text), console(stderr=True).width)), err=True)


class _Stderr(io.TextIOWrapper):
    """A stderr that discards output it cannot write, so a full disk does not stop a command."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            _to_nowhere(self)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            _to_nowhere(self)


def open_streams() -> None:
    """Open stdout and stderr if the process has none, and ignore write errors on stderr."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # open until exit
    if isinstance(sys.stderr, io.TextIOWrapper):
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        steady = _Stderr(sys.stderr.detach(), encoding, errors, line_buffering=True)
        sys.stderr = sys.__stderr__ = steady  # type: ignore[misc]  # Python flushes both at the end


def _to_nowhere(stream: TextIO) -> None:
    """Redirect a stream to the null device. Otherwise, Python fails again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def writing() -> Iterator[None]:
    """Flush stdout at the end. A reader that closes the pipe early, such as `| head -1`, is not an error.

    Raises:
        SystemExit: stdout cannot be written, for example on a full disk.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # not an error of stdout
            raise
        _to_nowhere(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            say(f"Could not write the output: {error.strerror}.")
            sys.exit(1)


class _Console(Console):
    """A console that prints texts literally: no markup, no emoji codes, escaped invisible characters."""

    def __init__(self, *, stderr: bool, width: int | None = None) -> None:
        super().__init__(
            stderr=stderr,
            width=width,
            highlight=False,
            markup=False,
            emoji=False,
            no_color=True if options.colorless() else None,
        )

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(_literal(segment.text), segment.style)

    @override
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Return a console with colors only on a terminal without NO_COLOR. Piped output is not folded."""
    terminal = _Console(stderr=stderr)
    return terminal if terminal.is_terminal else _Console(stderr=stderr, width=UNFOLDED)


def _literal(text: str) -> str:
    return "\n".join(map(escape_unprintable, text.split("\n")))


def show_report(report: Report, out: Console, places: Places | None = None) -> None:
    """Print the outcome of a run as a table, or as steps if the table is too wide, and each failure."""
    table = report_table(report)
    if options.quiet():
        pass
    elif Measurement.get(out, out.options.update(width=UNFOLDED), table).maximum <= out.width:
        out.print(table)
    else:
        _show_steps(report, out)
    _show_findings(report, out, places or {})
    style = STYLE[report.result]
    fold(Text(), Text(f"{report.tally()} in {report.duration_s:.1f} s.", style=style), out)


def report_table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Workspace", "Credential", "Git folder", "Ref", "From → to", "Action"):
        table.add_column(heading, overflow="fold")
    for workspace, _ in _merged(report.workspaces):
        rejected = workspace.result == "rejected"
        action = workspace.credential.action if workspace.credential else "—"
        head = Text(workspace.name, STYLE[workspace.result]), Text(action, STYLE.get(action, ""))
        for folder in _folders(workspace) or (None,):
            table.add_row(*head, *_folder_cells(folder, rejected=rejected))
            head = (Text(""), Text(""))
    return table


def show_plan(report: Report, out: Console, places: Places | None = None, *, changes: bool = False) -> None:
    """Print steps with reasons, failures, and a summary.

    `changes` omits credentials that only get a new token, and unchanged Git folders.
    """
    if report.workspaces and not options.quiet():
        _show_steps(report, out, changes=changes)
        out.print()
    _show_findings(report, out, places or {})
    fold(Text(), Text(plan_summary(report), "bold"), out)


def plan_summary(report: Report) -> str:
    credentials = [workspace.credential.action for workspace in report.workspaces if workspace.credential]
    folders = [folder.action for workspace in report.workspaces for folder in workspace.folders]
    failures = sum(len(workspace.failures()) for workspace in report.workspaces)
    plan = (
        f"Plan: Git credentials: {credentials.count('created')} to create, {credentials.count('updated')} to update. "
        f"Git folders: {folders.count('created')} to create, {folders.count('updated')} to update, "
        f"{folders.count('unchanged')} unchanged."
    )
    return f"{plan} {count(failures, 'failure')}." if failures else plan


def show_check(
    report: CheckReport, out: Console, places: Places | None = None, *, left_out: str = ""
) -> None:
    """Print the lines by layer, the cause and remedy of each problem, the hint `left_out`, and a summary.

    With more than `_MANY` problems, shows only these and, for each reason, the number of skipped checks.
    """
    blocked = {check.layer: check.message for check in report.checks if check.whole_layer}
    crowded = sum(check.error is not None for check in report.checks) > _MANY
    hidden = {"ok", "skipped"} if crowded else {"ok"} if options.quiet() else set()
    for layer in LAYERS:
        checks = [check for check in report.checks if check.layer == layer]
        checks = [check for check in checks if check.status not in hidden or layer in blocked]
        if not checks or layer in blocked:
            continue
        out.print(Text(_LAYER[layer], "bold"))
        findings = [
            Finding(
                check.status,
                check.subject,
                check.message,
                check.error if layer != "settings" or check.status == "warning" else None,
                check.error.kind if check.error else check.kind,
                check.kind,
                "" if check.status in {"ok", "skipped"} else (places or {}).get(check.about, ""),
            )
            for check in checks
        ]
        show_finding(findings, out, indent=2, with_hint=not crowded)  # otherwise in the summary
    if blocked:
        because = blocked[next(iter(blocked))]
        show_finding([Finding("skipped", "everything else", because)], out)
    if crowded:
        reasons = Counter(
            check.kind or check.message
            for check in report.checks
            if check.status == "skipped" and check.layer not in blocked
        )
        show_finding(
            [Finding("skipped", count(number, "check"), why) for why, number in reasons.items()], out
        )
    if (
        left_out
        and not crowded
        and not options.quiet()
        and ("workspace", "ok") in {(each.layer, each.status) for each in report.checks}
    ):
        fold(Text(), Text(left_out, "dim"), out)
    counted = tally([check.status for check in report.checks])
    hint = " To show each, add --json." if crowded else ""
    fold(Text(), Text(f"{count(len(report.checks), 'check')}: {counted}.{hint}", STYLE[report.result]), out)


def show_nothing_run(problems: Sequence[Problem], out: Console) -> None:
    show_finding([*map(of_problem, problems)], out)
    out.print(Text("No changes made.", "red"))


def _show_findings(report: Report, out: Console, places: Places) -> None:
    findings = [
        Finding("failed", where, error.message, error, place=places.get(workspace.name, ""))
        for workspace in report.workspaces
        for where, error in workspace.failures()
        if error.code not in {"invalid_settings", "invalid_folder"}  # printed below, by location
    ]
    show_finding(findings, out)
    show_finding([of_problem(problem, places.get(problem.about, "")) for problem in report.problems], out)


def _show_steps(report: Report, out: Console, *, changes: bool = False) -> None:
    for workspace, alone in _merged(report.workspaces):
        if workspace.result != "ok" and not alone:
            continue  # a group with one failure, which is printed below
        steps = [*_steps(workspace, changes=changes)]
        if steps:
            fold(Text(), Text.assemble((workspace.name, "bold"), f"  {workspace.host}".rstrip()), out)
        for mark, step in steps:
            fold(mark, step, out)


def _merged(workspaces: Sequence[WorkspaceReport]) -> list[tuple[WorkspaceReport, bool]]:
    """Merge workspaces with the same outcome into one, named by the first names and a count.

    Return True with each workspace that is not merged. Successful workspaces have the same outcome if folders and commits are equal,
    failed ones if the kinds of failures are equal.
    """
    alike: dict[Hashable, list[WorkspaceReport]] = {}
    for workspace in workspaces:
        alike.setdefault(_outcome(workspace), []).append(workspace)
    found = once(workspaces, _outcome, lambda workspace: workspace.name)
    return [
        (workspace, True) if names == workspace.name else (_as_one(alike[_outcome(workspace)], names), False)
        for workspace, names in found
    ]


def _outcome(workspace: WorkspaceReport) -> Hashable:
    credential = (workspace.credential.action, workspace.credential.why) if workspace.credential else None
    error = (workspace.error.code, workspace.error.kind) if workspace.error else None
    fine = workspace.result == "ok"
    folders = workspace.folders if fine else frozenset(map(_folder_outcome, workspace.folders))
    return workspace.result, credential, error, folders


def _folder_outcome(folder: FolderReport) -> Hashable:
    if folder.error is not None:
        return folder.action, folder.error.code, folder.error.kind
    return folder.action, folder.why if folder.action == "skipped" else ""


def _as_one(workspaces: Sequence[WorkspaceReport], names: str) -> WorkspaceReport:
    first = workspaces[0]
    folders = first.folders
    if first.result != "ok":
        alike: dict[Hashable, dict[str, FolderReport]] = {}
        for folder in (folder for workspace in workspaces for folder in workspace.folders):
            alike.setdefault(_folder_outcome(folder), {})[folder.path] = folder
        folders = tuple(_many(list(same.values())) for same in alike.values())
    credential = replace(first.credential, id=None) if first.credential else None
    return replace(first, name=names, host="", credential=credential, folders=folders)


def _many(folders: Sequence[FolderReport]) -> FolderReport:
    """Merge Git folders with the same outcome into one, with their first paths and a count."""
    first = folders[0]
    paths = first_of([folder.path for folder in folders], PLACES)
    return FolderReport(paths, first.action, error=first.error, why=first.why)


def _steps(workspace: WorkspaceReport, *, changes: bool) -> Iterator[tuple[Text, Text]]:
    credential = workspace.credential
    if credential is not None and not (changes and credential.action in {"updated", "token_rejected"}):
        id_ = f" {credential.id}" if credential.id else ""
        failed = workspace.error.code if workspace.error and credential.action == "failed" else ""
        yield _step(credential.action, f"Git credential{id_}", failed or credential.why)
    elif credential is None and workspace.error is not None:
        yield _step("skipped", "invalid entry in WORKSPACES", workspace.error.code)
    for folder in _folders(workspace):
        frozen = folder.note and folder.action == "unchanged"
        if frozen or not (changes and folder.action == "unchanged"):
            why = folder.error.code if folder.error else folder.why
            yield _step("warning" if frozen else folder.action, f"{folder.path}{_moved(folder)}", why)


def _folders(workspace: WorkspaceReport) -> list[FolderReport]:
    """Return the Git folders, after merging those that failed or were skipped for the same reason."""

    def outcome(folder: FolderReport) -> Hashable:
        return _folder_outcome(folder) if folder.action in {"failed", "skipped"} else folder

    return [
        folder if paths == folder.path else replace(_many([folder]), path=paths)
        for folder, paths in once(workspace.folders, outcome, lambda folder: folder.path)
    ]


def _step(action: str, what: str, why: str) -> tuple[Text, Text]:
    reason = f": {why}" if why else ""
    return Text(f"  {_STEP[action]} ", STYLE[action]), Text.assemble(what, (reason, "dim"))


def _moved(folder: FolderReport) -> str:
    before, after = (commit[:8] if commit else "" for commit in (folder.from_, folder.to))
    ref = f" {folder.ref}" if folder.ref else ""
    if before and after and before != after:
        return f"{ref} {before} → {after}"
    return f"{ref} {after or before}".rstrip()


def _folder_cells(folder: FolderReport | None, *, rejected: bool) -> tuple[Text, Text, Text, Text]:
    if folder is None:
        return Text("—"), Text(""), Text(""), Text("rejected" if rejected else "")
    before, after = (commit[:8] if commit else "—" for commit in (folder.from_, folder.to))
    moved = before if before == after or folder.to is None else f"{before} → {after}"
    mark = (" !", STYLE["warning"]) if folder.note else ""
    action = Text.assemble((folder.action, STYLE[folder.action]), mark)
    return Text(folder.path), Text(folder.ref or "—"), Text(moved), action
