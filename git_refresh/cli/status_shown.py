"""What people see of a status, in the manner of `gh auth status`."""

from rich.console import Console
from rich.text import Text

from git_refresh.cli.checks import count
from git_refresh.cli.findings import MARK, STYLE, fold, tally
from git_refresh.cli.options import quiet
from git_refresh.cli.pages import code_style, code_text
from git_refresh.cli.status import CredentialStatus, FolderStatus, StatusReport, WorkspaceStatus

_NOBODY_TELLS = (
    "When a stored token ends, only the run knows that stored it: run --json > report.json, then status --report report.json. "
    "Of the deployed app's runs, min_token_remaining_s in the log line tells."
)


def show_status(report: StatusReport, out: Console, *, with_ends: bool) -> None:
    """The lines by workspace; then once for all that share them, cause and remedy; and what cannot be known.

    Args:
        report: what was found.
        out: where people read.
        with_ends: whether the report of a run was there to tell when what it stored ends.
    """
    for workspace in report.workspaces:
        if not quiet() or set(workspace.statuses()) != {"ok"}:
            _show_workspace(workspace, out)
    errors = [error for workspace in report.workspaces for error in workspace.errors()]
    for error in {(error.code, error.cause, error.remedy): error for error in errors}.values():
        fold(Text(), Text.assemble((error.code, code_style(error.code, out)), f": {error.cause}"), out)
        fold(Text(" " * 6), Text.assemble(("→ ", "bold"), error.remedy), out)
    if not with_ends and not quiet() and any(workspace.credentials for workspace in report.workspaces):
        fold(Text(), Text(_NOBODY_TELLS, "dim"), out)
    said = tally([status for workspace in report.workspaces for status in workspace.statuses()])
    out.print(Text(f"{count(len(report.workspaces), 'workspace')}: {said}.", STYLE[report.result]))


def _show_workspace(workspace: WorkspaceStatus, out: Console) -> None:
    out.print(Text.assemble((workspace.name, "bold"), f"  {workspace.host}"), soft_wrap=True)
    _show("signing in" if workspace.status == "failed" else "", workspace, out)
    for credential in workspace.credentials:
        _show(f"Git credential{f' {credential.id}' if credential.id else ''}", credential, out)
    for folder in workspace.folders:
        _show(folder.path, folder, out)


def _show(what: str, item: WorkspaceStatus | CredentialStatus | FolderStatus, out: Console) -> None:
    if quiet() and item.status == "ok":
        return
    code = code_text(item.error.code, out) if item.error else ""
    said = f"{': ' if what else ''}{item.message}"
    fold(
        Text.assemble("  ", (f"{MARK[item.status]} ", STYLE[item.status])),
        Text.assemble((what, "bold"), said, code),
        out,
    )
