"""What people see of a run. Needs `rich`, which is not deployed."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from git_refresh.problems import Problem
from git_refresh.report import FolderReport, Report, WorkspaceReport

_STYLE = {
    "ok": "green",
    "created": "green",
    "updated": "green",
    "unchanged": "dim",
    "kept": "yellow",
    "skipped": "yellow",
    "failed": "red",
    "rejected": "red",
}


def show_report(report: Report, console: Console | None = None) -> None:
    """A table of what changed, then every failure with its cause and what to do."""
    console = console or Console()
    console.print(report_table(report))
    for workspace in report.workspaces:
        for where, error in workspace.failures():
            console.print(Text.assemble(("✗ ", "red"), (where, "bold"), f"  {error.code}"))
            console.print(f"  {error.message} {error.cause}", highlight=False, markup=False)
            console.print(Text.assemble("  → ", error.remedy))
    show_problems(report.problems, console)
    console.print(Text(report.summary().split(". ")[0] + ".", style=_STYLE[report.result]))


def report_table(report: Report) -> Table:
    """Workspace, credential, folder, from → to."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Workspace", "Credential", "Git folder", "Ref", "From → to", ""):
        table.add_column(heading, overflow="fold")
    for workspace in report.workspaces:
        first = True
        for folder in workspace.folders or (None,):
            table.add_row(*(_workspace_cells(workspace) if first else ("", "")), *_folder_cells(folder))
            first = False
    return table


def show_problems(problems: Sequence[Problem], console: Console | None = None) -> None:
    """One line for each problem, on stderr unless told otherwise."""
    console = console or Console(stderr=True)
    for problem in problems:
        console.print(
            Text.assemble(("! ", "yellow"), (problem.where, "bold"), f": {problem.message}"), soft_wrap=True
        )


def _workspace_cells(workspace: WorkspaceReport) -> tuple[Text, Text]:
    action = workspace.credential.action if workspace.credential else "—"
    return Text(workspace.name, _STYLE[workspace.result]), Text(action, _STYLE.get(action, ""))


def _folder_cells(folder: FolderReport | None) -> tuple[Text, Text, Text, Text]:
    if folder is None:
        return Text("—"), Text(""), Text(""), Text("")
    before, after = (commit[:8] if commit else "—" for commit in (folder.from_, folder.to))
    moved = before if before == after else f"{before} → {after}"
    return Text(folder.path), Text(folder.ref or "—"), Text(moved), Text(folder.action, _STYLE[folder.action])
