"""What people see of a run, a plan and a check. Needs `rich`, which is not deployed."""

import io
import os
import re
import sys
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, override

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from git_refresh.cli import options
from git_refresh.cli.checks import LAYERS, CheckReport, Layer, count
from git_refresh.cli.findings import STYLE, UNFOLDED, Places, Told, once, placed, tally, tell
from git_refresh.diagnosis.explain import Diagnosis
from git_refresh.redact import visible
from git_refresh.report import FolderReport, Report, WorkspaceReport
from git_refresh.settings.names import SETTINGS
from git_refresh.values import Problem

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
_STEP = {
    "created": "+",
    "updated": "~",
    "unchanged": "=",
    "kept": "=",
    "warning": "!",
    "failed": "✗",
    "skipped": "–",  # noqa: RUF001
}


def echo(text: str) -> None:
    """Print what a program reads."""
    click.echo(text)


def say(text: str) -> None:
    """One line on stderr."""
    click.echo(visible(text), err=True)


class _Stderr(io.TextIOWrapper):
    """A stderr that takes what it cannot write: progress and log lines end no command, on a full disk for example."""

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
    """Give the process a stdout and a stderr, also where it was started without, and let nothing on stderr end the command."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # as long as the process
    if isinstance(sys.stderr, io.TextIOWrapper):
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        steady = _Stderr(sys.stderr.detach(), encoding, errors, line_buffering=True)
        sys.stderr = sys.__stderr__ = steady  # type: ignore[misc]  # Python flushes both at the end


def _to_nowhere(stream: TextIO) -> None:
    """Let what is still to be written to a stream go nowhere; else Python tries once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def writing() -> Iterator[None]:
    """Write to stdout. Whoever reads may have seen enough, as `| head -1` has; that is no failure.

    Raises:
        SystemExit: what is written goes nowhere, as on a full disk; that is said in one line.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # it is a file's that is opened here
            raise
        _to_nowhere(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            say(f"The output cannot be written: {error.strerror}.")
            sys.exit(1)


class _Console(Console):
    """Shows every text literally: no markup, no emoji codes, and of what is not seen its escape. Only styles of ours apply."""

    def __init__(self, *, stderr: bool, width: int | None = None) -> None:
        super().__init__(
            stderr=stderr,
            width=width,
            highlight=False,
            markup=False,
            emoji=False,
            no_color=True if options.colourless() else None,
        )

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(_literal(segment.text), segment.style)

    @override
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console(*, stderr: bool = False) -> Console:
    """Where people read: coloured only on a terminal and never against NO_COLOR; not folded where it is piped."""
    made = _Console(stderr=stderr)
    return made if made.is_terminal else _Console(stderr=stderr, width=UNFOLDED)


def _literal(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))


def show_report(report: Report, out: Console, places: Places | None = None) -> None:
    """What became of everything, then every failure with its cause and what to do."""
    table = report_table(report)
    if options.quiet():
        pass
    elif Measurement.get(out, out.options.update(width=UNFOLDED), table).maximum <= out.width:
        out.print(table)
    else:
        _show_steps(report, out)
    _show_findings(report, out, places or {})
    style = STYLE[report.result]
    out.print(Text(f"{report.summary().split('. ')[0]}, in {report.duration_s:.1f} s.", style=style))


def report_table(report: Report) -> Table:
    """Workspace, credential, folder, from → to."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Workspace", "Credential", "Git folder", "Ref", "From → to", "Action"):
        table.add_column(heading, overflow="fold")
    for workspace in report.workspaces:
        rejected = workspace.result == "rejected"
        head = _workspace_cells(workspace)
        for folder in _folders(workspace) or (None,):
            table.add_row(*head, *_folder_cells(folder, rejected=rejected))
            head = (Text(""), Text(""))
    return table


def show_plan(report: Report, out: Console, places: Places | None = None, *, changes: bool = False) -> None:
    """What a run would do and why, and at the end how much of each.

    Args:
        report: of a dry run.
        out: where people read.
        places: where in the settings the workspaces are.
        changes: leave out what stays as it is, and credentials that only get their next token.
    """
    if report.workspaces and not options.quiet():
        _show_steps(report, out, changes=changes)
        out.print()
    _show_findings(report, out, places or {})
    out.print(Text(plan_summary(report), "bold"))


def plan_summary(report: Report) -> str:
    """How much of each a run would do, in one line."""
    credentials = [workspace.credential.action for workspace in report.workspaces if workspace.credential]
    folders = [folder.action for workspace in report.workspaces for folder in workspace.folders]
    failures = sum(len(workspace.failures()) for workspace in report.workspaces)
    said = (
        f"Plan: Git credentials: {credentials.count('created')} to create, {credentials.count('updated')} to update. "
        f"Git folders: {folders.count('created')} to create, {folders.count('updated')} to update, "
        f"{folders.count('unchanged')} unchanged."
    )
    return f"{said} {count(failures, 'failure')}." if failures else said


def show_check(
    report: CheckReport, out: Console, places: Places | None = None, *, left_out: str = ""
) -> None:
    """The lines by layer, and under each that is not well the cause and what to do; and what was not asked for, unless that is told too."""
    blocked = _blocked(report)
    for layer in LAYERS:
        checks = [check for check in report.checks if check.layer == layer]
        checks = [check for check in checks if not (options.quiet() and check.status == "ok")]
        if not checks or layer in blocked:
            continue
        out.print(Text(_LAYER[layer], "bold"))
        told = [
            Told(
                check.status,
                check.subject if check.status in {"ok", "skipped"} else placed(check.subject, places or {}),
                check.message,
                check.error if layer != "settings" else None,
            )
            for check in checks
        ]
        tell(told, out, indent=2)
    if blocked:
        because = blocked[next(iter(blocked))]
        tell([Told("skipped", "everything else", because)], out)
    if (
        left_out
        and not options.quiet()
        and ("workspace", "ok") in {(each.layer, each.status) for each in report.checks}
    ):
        out.print(Text(left_out, "dim"))
    said = tally([check.status for check in report.checks])
    out.print(Text(f"{count(len(report.checks), 'check')}: {said}.", STYLE[report.result]))


def show_nothing_run(problems: Sequence[Problem], out: Console) -> None:
    """What is wrong with the settings, where that keeps everything from being run."""
    tell([Told("failed", problem.where, problem.message) for problem in problems], out)
    out.print(Text("Nothing was run.", "red"))


def _blocked(report: CheckReport) -> dict[Layer, str]:
    """Layers of which nothing was looked at, with the reason."""
    return {
        check.layer: check.message
        for check in report.checks
        if (check.status, check.subject) == ("skipped", "everything")
    }


def _show_findings(report: Report, out: Console, places: Places) -> None:
    """Each failure, those with the same remedy together; what is wrong with the settings, place by place; and what is not well besides."""
    grouped: dict[tuple[str, str, str], list[Told]] = {}
    for workspace in report.workspaces:
        for where, error in workspace.failures():
            if error.code not in {"invalid_settings", "invalid_folder"}:  # told below, by their place
                told = Told("failed", placed(where, places), error.message, error)
                grouped.setdefault((error.code, error.cause, error.remedy), []).append(told)
    tell([told for group in grouped.values() for told in group], out)
    noted = {str(folder.note): folder.note for workspace in report.workspaces for folder in workspace.folders}
    tell([_told(problem, noted.get(problem.message), places) for problem in report.problems], out)


def _told(problem: Problem, note: Diagnosis | None, places: Places) -> Told:
    if note is not None:
        return Told("warning", placed(problem.where, places), note.message, note)
    return Told("failed" if _fails(problem) else "warning", problem.where, problem.message)


def _fails(problem: Problem) -> bool:
    """Whether a run fails for it: settings that are wrong, and a token that ends too soon."""
    return problem.where == "token" or re.split(r"[.\[]", problem.where)[0] in SETTINGS


def _show_steps(report: Report, out: Console, *, changes: bool = False) -> None:
    for workspace in report.workspaces:
        steps = [*_steps(workspace, changes=changes)]
        if steps:
            out.print(Text.assemble((workspace.name, "bold"), f"  {workspace.host}"), soft_wrap=True)
        for step in steps:
            out.print(step, soft_wrap=True)


def _steps(workspace: WorkspaceReport, *, changes: bool) -> Iterator[Text]:
    credential = workspace.credential
    if credential is not None and not (changes and credential.action in {"updated", "kept"}):
        id_ = f" {credential.id}" if credential.id else ""
        failed = workspace.error.code if workspace.error and credential.action == "failed" else ""
        yield _step(credential.action, f"Git credential{id_}", failed or credential.why)
    elif credential is None and workspace.error is not None:
        yield _step("skipped", "its entry in WORKSPACES is wrong", workspace.error.code)
    for folder in _folders(workspace):
        frozen = folder.note and folder.action == "unchanged"
        if frozen or not (changes and folder.action == "unchanged"):
            why = folder.error.code if folder.error else folder.why
            yield _step("warning" if frozen else folder.action, f"{folder.path}{_moved(folder)}", why)


def _folders(workspace: WorkspaceReport) -> list[FolderReport]:
    """Its Git folders; but of many that failed or were skipped alike the first, with the first paths and a count."""

    def outcome(folder: FolderReport) -> Hashable:
        untouched = folder.action in {"failed", "skipped"}
        return (folder.action, folder.error.code if folder.error else folder.why) if untouched else folder

    return [
        folder
        if paths == folder.path
        else FolderReport(paths, folder.action, error=folder.error, why=folder.why)
        for folder, paths in once(workspace.folders, outcome, lambda folder: folder.path)
    ]


def _step(action: str, what: str, why: str) -> Text:
    reason = f": {why}" if why else ""
    return Text.assemble((f"  {_STEP[action]} ", STYLE[action]), what, (reason, "dim"))


def _moved(folder: FolderReport) -> str:
    before, after = (commit[:8] if commit else "" for commit in (folder.from_, folder.to))
    ref = f" {folder.ref}" if folder.ref else ""
    if before and after and before != after:
        return f"{ref} {before} → {after}"
    return f"{ref} {after or before}".rstrip()


def _workspace_cells(workspace: WorkspaceReport) -> tuple[Text, Text]:
    action = workspace.credential.action if workspace.credential else "—"
    return Text(workspace.name, STYLE[workspace.result]), Text(action, STYLE.get(action, ""))


def _folder_cells(folder: FolderReport | None, *, rejected: bool) -> tuple[Text, Text, Text, Text]:
    if folder is None:
        return Text("—"), Text(""), Text(""), Text("rejected" if rejected else "")
    before, after = (commit[:8] if commit else "—" for commit in (folder.from_, folder.to))
    moved = before if before == after or folder.to is None else f"{before} → {after}"
    mark = (" !", STYLE["warning"]) if folder.note else ""
    action = Text.assemble((folder.action, STYLE[folder.action]), mark)
    return Text(folder.path), Text(folder.ref or "—"), Text(moved), action
