"""The progress of a run on stderr: live on a terminal, plain lines if piped."""

import time
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from git_refresh.output.redact import escape_unprintable
from git_refresh.output.text import count
from git_refresh.run.report import WorkspaceReport

_SHOWN = 12
"""Workspaces shown at the same time, so the display fits a terminal of 24 lines."""


class Lines:
    """A `ports.Progress` that prints a line for each finished workspace."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = Lock()
        self._started: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def started(self, name: str, _what: str) -> None:
        with self._lock:
            self._started.setdefault(name, time.monotonic())

    def finished(self, report: WorkspaceReport) -> None:
        with self._lock:
            started = self._started.pop(report.name, None)
        took = f" in {time.monotonic() - started:.1f} s" if started is not None else ""
        self._console.print(
            Text(f"{report.name}: {report.result}{took}: {outcome(report)}"),
            soft_wrap=True,
        )


def outcome(report: WorkspaceReport) -> str:
    actions = [folder.action for folder in report.folders]
    parts = [f"credential {report.credential.action}"] if report.credential else []
    parts += [f"{count(actions.count(action), 'Git folder')} {action}" for action in dict.fromkeys(actions)]
    parts += [report.error.code] if report.error else []
    return ", ".join(parts) or "nothing to do"


class Live:
    """A `ports.Progress` that shows a counter and the current step of each workspace."""

    def __init__(self, console: Console, workspaces: int) -> None:
        self._lock = Lock()
        self._tasks: dict[str, TaskID] = {}
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[what]}", style="dim", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._fleet = self.progress.add_task("workspaces", total=workspaces, what=f"0 of {workspaces}")
        self._total = workspaces
        self._finished = 0

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def started(self, name: str, what: str) -> None:
        what = escape_unprintable(what)
        with self._lock:
            if name in self._tasks:
                self.progress.update(self._tasks[name], what=what)
            else:
                shown = len(self._tasks) < _SHOWN
                self._tasks[name] = self.progress.add_task(
                    escape_unprintable(name), total=None, what=what, visible=shown
                )

    def finished(self, report: WorkspaceReport) -> None:
        with self._lock:
            self._finished += 1
            self.progress.update(
                self._fleet, completed=self._finished, what=f"{self._finished} of {self._total}"
            )
            if (task := self._tasks.pop(report.name, None)) is not None:
                self.progress.remove_task(task)
            for waiting in list(self._tasks.values())[:_SHOWN]:
                self.progress.update(waiting, visible=True)
