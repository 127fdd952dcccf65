"""What people see of a status, in the manner of `gh auth status`."""

from collections.abc import Hashable, Iterator
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from git_refresh.cli.checks import count
from git_refresh.cli.findings import STYLE, Told, alike, explain, fold, once, show_line, tally
from git_refresh.cli.options import quiet
from git_refresh.cli.pages import code_style
from git_refresh.cli.status import StatusReport, WorkspaceStatus

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
    for workspace, names in once(shown, _said, lambda workspace: workspace.name):
        alone = names == workspace.name
        fold(Text(), Text.assemble((names, "bold"), f"  {workspace.host}" if alone else ""), out)
        lines = [*_lines(workspace, with_ids=alone)]
        for line, where in once(lines, alike(lines), lambda line: line.where):
            if not quiet() or line.status != "ok":
                show_line(replace(line, where=where), out, indent=2)
    errors = [
        Told("failed", "", error.message, error) for each in report.workspaces for error in each.errors()
    ]
    for told, _ in once(errors, alike(errors), lambda told: told.where, few=lambda _: 1):
        if told.error:
            explain(told.error, out, Text(), Text(told.error.code, code_style(told.error.code, out)))
    credentials = [each for workspace in report.workspaces for each in workspace.credentials]
    if not with_ends and not quiet() and credentials:
        fold(Text(), Text(_FROM_A_REPORT, "dim"), out)
    said = tally([status for workspace in report.workspaces for status in workspace.statuses()])
    said = f"{count(len(report.workspaces), 'workspace')}: {said}."
    if not with_ends and any(credential.is_stored for credential in credentials):
        said += " Whether stored tokens work is unknown."
    fold(Text(), Text(said, STYLE[report.result]), out)


def _said(workspace: WorkspaceStatus) -> Hashable:
    """All that is shown of it, but for what is its own in any case."""
    return tuple(
        (line.status, line.where, line.error.code if line.error else line.message)
        for line in _lines(workspace, with_ids=False)
    )


def _lines(workspace: WorkspaceStatus, *, with_ids: bool) -> Iterator[Told]:
    failed = "signing in" if workspace.status == "failed" else ""
    yield Told(workspace.status, failed, workspace.message, workspace.error)
    for credential in workspace.credentials:
        id_ = f" {credential.id}" if credential.id and with_ids else ""
        yield Told(credential.status, f"Git credential{id_}", credential.message, credential.error)
    for folder in workspace.folders:
        yield Told(folder.status, folder.path, folder.message, folder.error)
