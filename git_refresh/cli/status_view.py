"""What people see of a status, in the manner of `gh auth status`."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from git_refresh.cli.findings import STYLE, Finding, alike, code_style, explain, fold, once, show_line, tally
from git_refresh.cli.options import quiet
from git_refresh.cli.status import StatusReport, WorkspaceStatus
from git_refresh.output.text import count
from git_refresh.run.report import PLACES

_FROM_A_REPORT = "When tokens expire: status --report FILE, with the output of run --json."


def show_status(report: StatusReport, out: Console, *, with_ends: bool) -> None:
    """The lines by workspace, many that stand alike as one; then once for all that share them, cause and remedy; and what cannot be known.

    Args:
        report: what was found.
        out: where people read.
        with_ends: whether the report of a run was there to tell when what it stored ends.
    """
    shown = [
        workspace for workspace in report.workspaces if not quiet() or set(workspace.statuses()) != {"ok"}
    ]
    same: dict[Hashable, list[WorkspaceStatus]] = {}
    for workspace in shown:
        same.setdefault(_said(workspace), []).append(workspace)
    for workspace, names in once(shown, _said, lambda workspace: workspace.name):
        alone = names == workspace.name
        fold(Text(), Text.assemble((names, "bold"), f"  {workspace.host}" if alone else ""), out)
        lines = [*_lines(workspace)] if alone else _together(same[_said(workspace)])
        few: Callable[[Finding], int] = (lambda _: PLACES) if alone else (lambda _: 1)
        for line, where in once(lines, alike(lines), lambda line: line.location, few):
            if not quiet() or line.status != "ok":
                general = line.in_general if where != line.location else ""
                show_line(replace(line, location=where, message=general or line.message), out, indent=2)
    errors = [
        Finding("failed", "", error.message, error) for each in report.workspaces for error in each.errors()
    ]
    for told, _ in once(errors, alike(errors), lambda told: told.location, few=lambda _: 1):
        if told.error:
            explain(told.error, out, Text(), Text(told.error.code, code_style(told.error.code, out)))
    credentials = [each for workspace in report.workspaces for each in workspace.credentials]
    unknown = not with_ends and any(credential.is_stored for credential in credentials)
    if unknown and not quiet() and report.result == "ok":
        fold(Text(), Text(_FROM_A_REPORT, "dim"), out)
    said = tally([status for workspace in report.workspaces for status in workspace.statuses()])
    said = f"{count(len(report.workspaces), 'workspace')}: {said}."
    if unknown:
        said += " Whether stored tokens work is unknown."
    fold(Text(), Text(said, STYLE[report.result]), out)


def _said(workspace: WorkspaceStatus) -> Hashable:
    """All that is shown of it, but for what is its own in any case; where something failed, for all names and values."""
    lines = [*_lines(workspace, with_ids=False)]
    if not workspace.errors():
        return tuple((line.status, line.location, line.message) for line in lines)
    return frozenset(
        (line.status, line.error.code, line.error.kind) if line.error else (line.status, line.in_general)
        for line in lines
    )


def _together(workspaces: Sequence[WorkspaceStatus]) -> list[Finding]:
    """The lines of workspaces that stand alike, each once."""
    lines: dict[Hashable, Finding] = {}
    for line in (line for workspace in workspaces for line in _lines(workspace, with_ids=False)):
        lines.setdefault(
            (line.status, line.location, line.error.code if line.error else line.in_general), line
        )
    return list(lines.values())


def _lines(workspace: WorkspaceStatus, *, with_ids: bool = True) -> Iterator[Finding]:
    """Its lines; without ids, for many workspaces, also with what they say in general, which then tells them apart."""
    failed = "signing in" if workspace.status == "failed" else ""
    yield Finding(workspace.status, failed, workspace.message, workspace.error, in_general="signed in")
    for credential in workspace.credentials:
        id_ = f" {credential.id}" if credential.id and with_ids else ""
        said = credential.message
        yield Finding(credential.status, f"Git credential{id_}", said, credential.error, in_general=said)
    for folder in workspace.folders:
        said = folder.in_general or folder.message
        kind = "" if with_ids else said
        yield Finding(folder.status, folder.path, folder.message, folder.error, kind, said)
