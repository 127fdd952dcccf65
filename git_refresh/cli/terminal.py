"""What people see of a run, a plan and a check. Needs `rich`, which is not deployed."""

from collections.abc import Sequence
from itertools import zip_longest

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from git_refresh.cli.checks import LAYERS, Check, CheckReport, Layer, count
from git_refresh.diagnosis.explain import Diagnosis
from git_refresh.report import FolderReport, Report, WorkspaceReport
from git_refresh.values import Problem

_STYLE = {
    "ok": "green",
    "created": "green",
    "updated": "green",
    "unchanged": "dim",
    "kept": "yellow",
    "warning": "yellow",
    "skipped": "yellow",
    "failed": "red",
    "rejected": "red",
}
_MARK = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}  # noqa: RUF001  # a dash that is seen
_LAYER: dict[Layer, str] = {
    "settings": "Settings",
    "identity": "Identity",
    "key_vault": "Key Vault",
    "azure_devops": "Azure DevOps",
    "workspace": "Workspaces",
    "credential": "Git credentials",
    "folder": "Git folders",
}
_STEP = {"created": "+", "updated": "~", "unchanged": "=", "kept": "=", "failed": "✗", "skipped": "–"}  # noqa: RUF001


def echo(text: str) -> None:
    """Print what a program reads."""
    click.echo(text)


def console(*, stderr: bool = False) -> Console:
    """Where people read: coloured only on a terminal and never against NO_COLOR; not folded where it is piped."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=_UNFOLDED)


_UNFOLDED = 1000


def show_report(report: Report, out: Console) -> None:
    """A table of what changed, then every failure with its cause and what to do."""
    out.print(report_table(report))
    _show_failures(report, out)
    style = _STYLE[report.result]
    out.print(Text(f"{report.summary().split('. ')[0]}, in {report.duration_s:.1f} s.", style=style))


def report_table(report: Report) -> Table:
    """Workspace, credential, folder, from → to."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Workspace", "Credential", "Git folder", "Ref", "From → to", "Action"):
        table.add_column(heading, overflow="fold")
    for workspace in report.workspaces:
        rejected = workspace.result == "rejected"
        head = _workspace_cells(workspace)
        for folder in workspace.folders or (None,):
            table.add_row(*head, *_folder_cells(folder, rejected=rejected))
            head = (Text(""), Text(""))
    return table


def show_plan(report: Report, out: Console) -> None:
    """What a run would do and why, and at the end how much of each."""
    for workspace in report.workspaces:
        out.print(Text.assemble((workspace.name, "bold"), f"  {workspace.host}"))
        credential = workspace.credential
        if credential is not None:
            id_ = f" {credential.id}" if credential.id else ""
            failed = workspace.error.code if workspace.error and credential.action == "failed" else ""
            out.print(
                _step(credential.action, f"Git credential{id_}", failed or credential.why), soft_wrap=True
            )
        elif workspace.error is not None:
            out.print(
                _step("skipped", "its entry in WORKSPACES is wrong", workspace.error.code), soft_wrap=True
            )
        for folder in workspace.folders:
            why = folder.error.code if folder.error else folder.why
            out.print(_step(folder.action, f"{folder.path}{_moved(folder)}", why), soft_wrap=True)
    if report.workspaces:
        out.print()
    _show_failures(report, out)
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


def show_check(report: CheckReport, out: Console) -> None:
    """The lines by layer, and under each that is not well the cause and what to do."""
    for layer in LAYERS:
        checks = [check for check in report.checks if check.layer == layer]
        if checks:
            out.print(Text(_LAYER[layer], "bold"))
        for check, following in zip_longest(checks, checks[1:]):
            _show_check(check, out)
            # What several in a row have in common is told once, below the last of them.
            if (
                check.error
                and check.layer != "settings"
                and not _same(check.error, following.error if following else None)
            ):
                _show_remedy(check.error, out)
    statuses = [check.status for check in report.checks]
    counts = ", ".join(_counted(statuses.count(status), status) for status in _MARK if status in statuses)
    out.print(Text(f"{count(len(statuses), 'check')}: {counts}.", _STYLE[report.result]))


def _counted(number: int, status: str) -> str:
    return count(number, status) if status == "warning" else f"{number} {status}"


def _same(error: Diagnosis, other: Diagnosis | None) -> bool:
    return other is not None and (error.code, error.cause, error.remedy) == (
        other.code,
        other.cause,
        other.remedy,
    )


def _show_check(check: Check, out: Console) -> None:
    mark = (f"  {_MARK[check.status]} ", _STYLE[check.status])
    code = f"  ({check.error.code})" if check.error and check.layer != "settings" else ""
    out.print(
        Text.assemble(mark, (check.subject, "bold"), f": {check.message}", (code, "dim")), soft_wrap=True
    )


def _show_remedy(error: Diagnosis, out: Console) -> None:
    for text in (Text(error.cause), Text.assemble(("→ ", "bold"), error.remedy)):
        out.print(Padding(text, (0, 0, 0, 6), expand=False))


def _show_failures(report: Report, out: Console) -> None:
    """Each failure; and once for all that share them, cause and remedy."""
    failures = [failure for workspace in report.workspaces for failure in workspace.failures()]
    shared: dict[tuple[str, str, str], list[tuple[str, Diagnosis]]] = {}
    for where, error in failures:
        shared.setdefault((error.code, error.cause, error.remedy), []).append((where, error))
    for group in shared.values():
        for where, error in group:
            told = (f": {error.message}", (f"  ({error.code})", "dim"))
            out.print(Text.assemble(("✗ ", "red"), (where, "bold"), *told), soft_wrap=True)
        _show_remedy(group[0][1], out)
    texts = [error.message for _, error in failures]
    left = [problem for problem in report.problems if not any(str(problem) in text for text in texts)]
    show_problems(left, out)


def show_problems(problems: Sequence[Problem], out: Console) -> None:
    """One line for each problem."""
    for problem in problems:
        out.print(
            Text.assemble(("! ", "yellow"), (problem.where, "bold"), f": {problem.message}"), soft_wrap=True
        )


def _step(action: str, what: str, why: str) -> Text:
    reason = f": {why}" if why else ""
    return Text.assemble((f"  {_STEP[action]} ", _STYLE[action]), what, (reason, "dim"))


def _moved(folder: FolderReport) -> str:
    before, after = (commit[:8] if commit else "" for commit in (folder.from_, folder.to))
    ref = f" {folder.ref}" if folder.ref else ""
    if before and after and before != after:
        return f"{ref} {before} → {after}"
    return f"{ref} {after or before}".rstrip()


def _workspace_cells(workspace: WorkspaceReport) -> tuple[Text, Text]:
    action = workspace.credential.action if workspace.credential else "—"
    return Text(workspace.name, _STYLE[workspace.result]), Text(action, _STYLE.get(action, ""))


def _folder_cells(folder: FolderReport | None, *, rejected: bool) -> tuple[Text, Text, Text, Text]:
    if folder is None:
        return Text("—"), Text(""), Text(""), Text("rejected" if rejected else "")
    before, after = (commit[:8] if commit else "—" for commit in (folder.from_, folder.to))
    moved = before if before == after or folder.to is None else f"{before} → {after}"
    return Text(folder.path), Text(folder.ref or "—"), Text(moved), Text(folder.action, _STYLE[folder.action])
