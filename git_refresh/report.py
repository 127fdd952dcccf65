"""What a run has done: one value, which becomes the JSON report, the log lines and the exit code."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from git_refresh.diagnosis import Diagnosis
from git_refresh.problems import Problem

Result = Literal["ok", "failed", "rejected"]
CredentialAction = Literal["created", "updated", "kept", "failed"]
FolderAction = Literal["created", "updated", "unchanged", "failed", "skipped"]

_log = logging.getLogger("git_refresh")


@dataclass(frozen=True, slots=True)
class CredentialReport:
    """What became of the Git credential; its id where there is one."""

    action: CredentialAction
    id: int | None = None
    why: str = ""
    """For people; not in the JSON."""

    def as_dict(self) -> dict[str, Any]:
        """As the contract writes it."""
        return {"action": self.action, "id": self.id}


@dataclass(frozen=True, slots=True)
class FolderReport:
    """What became of one Git folder. `from_` and `to` are commits."""

    path: str
    action: FolderAction
    ref: str | None = None
    from_: str | None = None
    to: str | None = None
    error: Diagnosis | None = None
    why: str = ""
    """For people; not in the JSON."""

    def as_dict(self) -> dict[str, Any]:
        """As the contract writes it: `from` without the underscore that Python needs."""
        return {key.rstrip("_"): value for key, value in asdict(self).items() if key != "why"}


@dataclass(frozen=True, slots=True)
class WorkspaceReport:
    """What became of one workspace."""

    name: str
    host: str
    result: Result
    credential: CredentialReport | None = None
    folders: tuple[FolderReport, ...] = ()
    error: Diagnosis | None = None

    def as_dict(self) -> dict[str, Any]:
        """As the contract writes it."""
        return {
            **asdict(self),
            "credential": self.credential and self.credential.as_dict(),
            "folders": [folder.as_dict() for folder in self.folders],
        }

    def failures(self) -> list[tuple[str, Diagnosis]]:
        """Everything that failed, with the place it concerns: the workspace's name, or a folder's path in it."""
        own = [(self.name, self.error)] if self.error is not None else []
        return own + [
            (f"{self.name} {folder.path}", folder.error)
            for folder in self.folders
            if folder.error is not None
        ]


@dataclass(frozen=True, slots=True)
class TokenReport:
    """The Azure DevOps token that was stored: when it ends, and how many seconds that was from the end of the run."""

    expires_at: datetime
    remaining_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run."""

    run_id: str
    started_at: datetime
    duration_s: float
    dry_run: bool
    result: Literal["ok", "failed"]
    token: TokenReport | None
    problems: tuple[Problem, ...]
    workspaces: tuple[WorkspaceReport, ...]
    version: int = field(default=1)

    def as_dict(self) -> dict[str, Any]:
        """As the contract writes it: times in ISO 8601 UTC, durations in seconds."""
        token = self.token
        return {
            "version": self.version,
            "run_id": self.run_id,
            "started_at": _iso(self.started_at),
            "duration_s": round(self.duration_s, 3),
            "dry_run": self.dry_run,
            "result": self.result,
            "token": token
            and {"expires_at": _iso(token.expires_at), "remaining_s": round(token.remaining_s)},
            "problems": [asdict(problem) for problem in self.problems],
            "workspaces": [workspace.as_dict() for workspace in self.workspaces],
        }

    def summary(self) -> str:
        """One line for people; of a failed run it names who failed and the first reason."""
        counts = self._counts()
        line = f"{counts['workspaces_ok']} of {counts['workspaces']} workspaces fresh"
        if self.result != "ok":
            stored = sum(
                workspace.credential is not None and workspace.credential.action in {"created", "updated"}
                for workspace in self.workspaces
            )
            line = (
                f"{counts['workspaces_ok']} of {counts['workspaces']} workspaces without a failure, "
                f"{stored} of {counts['workspaces']} credentials fresh"
            )
        failures = [failure for workspace in self.workspaces for failure in workspace.failures()]
        if failures:
            where, error = failures[0]
            more = f" (and {len(failures) - 1} more failures)" if len(failures) > 1 else ""
            return f"{line}. {where}: {error.code}: {error.message} {error.cause} {error.remedy}{more}"
        if self.result == "failed" and self.problems:
            return f"{line}. {self.problems[0]}"
        return line

    def log(self) -> None:
        """The run's own log line: `git_refresh.run`."""
        _write(
            self.result == "ok",
            {
                "event": "git_refresh.run",
                "run_id": self.run_id,
                "result": self.result,
                "dry_run": self.dry_run,
                "duration_s": round(self.duration_s, 3),
                **self._counts(),
                "min_token_remaining_s": round(self.token.remaining_s) if self.token else None,
                "problems": [str(problem) for problem in self.problems],
            },
            "problems",
        )

    def _counts(self) -> dict[str, int]:
        results = [workspace.result for workspace in self.workspaces]
        actions = [folder.action for workspace in self.workspaces for folder in workspace.folders]
        return {
            "workspaces": len(results),
            **{f"workspaces_{result}": results.count(result) for result in ("ok", "failed", "rejected")},
            "folders": len(actions),
            **{
                f"folders_{action}": actions.count(action)
                for action in ("created", "updated", "unchanged", "failed", "skipped")
            },
        }


def log_workspace(run_id: str, workspace: WorkspaceReport) -> None:
    """A workspace's log line: `git_refresh.workspace`, written when it is done."""
    actions = [folder.action for folder in workspace.folders]
    _write(
        workspace.result == "ok",
        {
            "event": "git_refresh.workspace",
            "run_id": run_id,
            "name": workspace.name,
            "host": workspace.host,
            "result": workspace.result,
            "credential": workspace.credential.action if workspace.credential else None,
            "folders": {action: actions.count(action) for action in dict.fromkeys(actions)},
            "failures": [{"where": where, **asdict(error)} for where, error in workspace.failures()],
        },
        "failures",
    )


def log_settings_error(problems: Sequence[Problem]) -> None:
    """The log line of a run that could not begin."""
    _write(
        False,
        {"event": "git_refresh.run", "result": "failed", "problems": [str(problem) for problem in problems]},
        "problems",
    )


LONGEST_LINE = 30_000
"""Characters of a log line. Application Insights cuts a message after 32,768, and what is cut is no JSON any more."""


def _write(fine: bool, event: dict[str, Any], many: str) -> None:  # noqa: FBT001  # private, and read at the call sites
    """One JSON object on one line: the Functions host keeps only a log record's message.

    As much of the list `many` as fits; how many are left out stands beside it.
    """
    items = event[many]
    room = LONGEST_LINE - len(json.dumps({**event, many: []}, ensure_ascii=False))
    kept = 0
    for item in items:
        room -= len(json.dumps(item, ensure_ascii=False)) + 2
        if room < 0:
            break
        kept += 1
    event |= {many: items[:kept], f"{many}_left_out": len(items) - kept}
    _log.log(logging.INFO if fine else logging.ERROR, json.dumps(event, ensure_ascii=False))


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
