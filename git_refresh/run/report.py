"""The report of a run, as JSON and as log lines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from git_refresh import __version__
from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.failures.failure import ServiceFailure
from git_refresh.model.schedule import DEFAULT_INTERVAL
from git_refresh.model.values import (
    Problem,
    Slice,
    StoredCredential,
    json_of,
    utc_text,
)
from git_refresh.output.log import RedactingLogger, shorten
from git_refresh.output.text import count, first_of
from git_refresh.run.decide import FolderState, Source

Result = Literal["ok", "failed", "rejected"]
CredentialAction = Literal["created", "updated", "token_rejected", "failed"]
FolderAction = Literal["created", "updated", "unchanged", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class CredentialReport:
    """The result of a Git credential. The JSON has only `action` and `id`."""

    action: CredentialAction
    id: int | None = None
    why: str = ""
    error: Diagnosis | None = None
    """Reason for `failed` or `token_rejected`."""
    rejected_by: tuple[Source, ...] = ()
    """Ref lookups in which Azure DevOps rejected the token."""
    principal_id: int | None = None
    """Principal in `additional_principal_ids`; None for the principal that the app signs in as."""
    stored: tuple[StoredCredential, ...] | None = None
    """The principal's credentials before the run; None if the workspace did not list them."""

    def as_dict(self) -> dict[str, Any]:
        return {"action": self.action, "id": self.id}


@dataclass(frozen=True, slots=True)
class FolderReport:
    """The result of one Git folder. `from_` and `to` are commits. The JSON has the fields up to `error`."""

    path: str
    action: FolderAction
    ref: str | None = None
    from_: str | None = None
    to: str | None = None
    error: Diagnosis | None = None
    why: str = ""
    note: Diagnosis | None = None
    """Warning. The JSON has it in `problems`."""
    seen: FolderState | None = None
    """State before the run; None if the run did not reach the folder."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "action": self.action,
            "ref": self.ref,
            "from": self.from_,
            "to": self.to,
            "error": self.error and json_of(self.error),
        }


@dataclass(frozen=True, slots=True)
class PatternReport:
    """A finding about a path ending in `/*` itself, not about the Git folders below."""

    path: str
    diagnosis: Diagnosis
    failed: bool


@dataclass(frozen=True, slots=True)
class WorkspaceReport:
    """The result of one workspace. The JSON has the fields up to `error`."""

    name: str
    host: str
    result: Result
    credential: CredentialReport | None = None
    folders: tuple[FolderReport, ...] = ()
    error: Diagnosis | None = None
    failure: ServiceFailure | None = None
    """Call that failed before the credentials were listed."""
    additional: tuple[CredentialReport, ...] = ()
    """Credentials of `additional_principal_ids`."""
    patterns: tuple[PatternReport, ...] = ()
    credentials_stored: bool = False
    """True if the run stored all credentials of the workspace."""

    def outcome(self) -> Self:
        """Return a copy without the fields that the report of a run omits."""
        credential = self.credential and replace(self.credential, error=None, rejected_by=(), stored=None)
        folders = tuple(replace(folder, seen=None) for folder in self.folders)
        return replace(self, credential=credential, folders=folders, failure=None, additional=(), patterns=())

    @property
    def single_folders(self) -> list[FolderReport]:
        """Git folders without paths ending in `/*`, whose failures `patterns` has."""
        patterns = {pattern.path for pattern in self.patterns}
        return [folder for folder in self.folders if folder.path not in patterns]

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "host": self.host,
            "result": self.result,
            "credential": self.credential and self.credential.as_dict(),
            "folders": [folder.as_dict() for folder in self.folders],
            "error": self.error and json_of(self.error),
        }

    def failures(self) -> list[tuple[str, Diagnosis]]:
        """Return each failure with its location: the workspace's name, followed by a folder's path."""
        own = [(self.name, self.error)] if self.error is not None else []
        return own + [
            (f"{self.name} {folder.path}", folder.error)
            for folder in self.folders
            if folder.error is not None
        ]


@dataclass(frozen=True, slots=True)
class TokenReport:
    """An Azure DevOps token that the run stored."""

    identity: str | None
    """Client ID of the user-assigned managed identity; None for the system-assigned one."""
    tenant: str | None
    """Tenant ID; None if unknown."""
    expires_at: datetime
    remaining_s: float
    """Remaining seconds at the end of the run."""
    workspaces: int

    def expiration(self) -> dict[str, Any]:
        return {"expires_at": utc_text(self.expires_at), "remaining_s": round(self.remaining_s)}

    def as_dict(self) -> dict[str, Any]:
        own = {"identity": self.identity, "tenant": self.tenant, **self.expiration()}
        return {**own, "workspaces": self.workspaces}


@dataclass(frozen=True, slots=True)
class Report:
    """A run, or one slice of it."""

    run_id: str
    started_at: datetime
    duration_s: float
    dry_run: bool
    result: Literal["ok", "failed"]
    tokens: tuple[TokenReport, ...]
    """One for each identity and tenant, in the order of the list."""
    problems: tuple[Problem, ...]
    workspaces: tuple[WorkspaceReport, ...]
    slice: Slice | None = None
    """None without fan-out."""
    version: int = field(default=1)

    @property
    def token(self) -> TokenReport | None:
        """The token that expires first."""
        return min(self.tokens, key=_expires_at, default=None)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON report: times in ISO 8601 UTC, durations in seconds."""
        return {
            "version": self.version,
            "run_id": self.run_id,
            **_part(self.slice),
            "started_at": utc_text(self.started_at),
            "duration_s": round(self.duration_s, 3),
            "dry_run": self.dry_run,
            "result": self.result,
            "token": self.token and self.token.expiration(),
            "tokens": [token.as_dict() for token in self.tokens],
            "problems": [json_of(problem) for problem in self.problems],
            "workspaces": [workspace.as_dict() for workspace in self.workspaces],
        }

    def tally(self) -> str:
        """Return the number of refreshed workspaces and, if the run failed, of refreshed Git credentials."""
        counts = self.counts()
        total = counts["workspaces"]
        line = f"Refreshed {counts['workspaces_ok']} of {count(total, 'workspace')}"
        if self.result == "ok":
            return line
        stored = sum(
            workspace.credential is not None and workspace.credential.action in {"created", "updated"}
            for workspace in self.workspaces
        )
        return f"{line} and {stored} of {count(total, 'Git credential')}"

    def summary(self) -> str:
        """Return one line: `tally`, and for a failed run the first failure and the number of others."""
        line = self.tally()
        failures = [failure for workspace in self.workspaces for failure in workspace.failures()]
        if failures:
            where, error = failures[0]
            more = f" (and {count(len(failures) - 1, 'more failure')})" if len(failures) > 1 else ""
            return f"{line}. {where}{more}: {error.code}: {error.message} {error.cause} {error.remedy}"
        if self.result == "failed" and self.problems:
            return f"{line}. {self.problems[0]}"
        return line

    def counts(self) -> dict[str, int]:
        """Return the numbers of workspaces and folders, in total and by result."""
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


PLACES = 3
"""Maximum locations in a record of several failures."""

MAX_SHORT_TEXT_CHARS = 120
"""Maximum characters, as JSON, of each text in a short record."""

LOGGED_CODES = 20
"""Maximum failure records in the run's log line."""

LOGGED_TOKENS = 20
"""Maximum tokens in the run's log line. The JSON report has all."""


def _expires_at(token: TokenReport) -> datetime:
    return token.expires_at


def by_kind(failures: Iterable[tuple[str, Diagnosis]]) -> list[list[tuple[str, Diagnosis]]]:
    """Group failures with their locations by code and kind, in their order."""
    found: dict[tuple[str, str], list[tuple[str, Diagnosis]]] = {}
    for where, error in failures:
        found.setdefault((error.code, error.kind), []).append((where, error))
    return list(found.values())


def _full_record(alike: Sequence[tuple[str, Diagnosis]]) -> dict[str, Any]:
    """Return the record of failures of one kind, with the texts of the first."""
    (where, error), *more = alike
    record = {"location": where, **json_of(error), "count": len(alike)}
    return {**record, "places": [place for place, _ in alike[:PLACES]]} if more else record


def _short_record(alike: Sequence[tuple[str, Diagnosis]], logger: RedactingLogger) -> dict[str, Any]:
    """Return the record of failures without cause and remedy, which an earlier log line has."""
    where, error = alike[0]
    texts = {"location": where, "code": error.code, "message": error.message}
    short = {key: shorten(logger.redact_text(text), MAX_SHORT_TEXT_CHARS) for key, text in texts.items()}
    return {**short, "count": len(alike)}


def _failure_records(report: Report) -> list[dict[str, Any]]:
    """Return a record for each kind of failure in the run, the most frequent first."""
    failures = [(workspace, failure) for workspace in report.workspaces for failure in workspace.failures()]
    hosts: dict[tuple[str, str], set[str]] = {}
    for workspace, (_, error) in failures:
        hosts.setdefault((error.code, error.kind), set()).add(workspace.host)
    most = sorted(by_kind(failure for _, failure in failures), key=len, reverse=True)[:LOGGED_CODES]
    counted = [(alike, hosts[alike[0][1].code, alike[0][1].kind]) for alike in most]
    return [{**_full_record(alike), "workspaces": len(of)} for alike, of in counted]


def _problems(problems: Sequence[Problem]) -> list[str]:
    """Return one line for each kind of problem, with the first locations and the number of others."""
    alike: dict[str, list[Problem]] = {}
    for problem in problems:
        alike.setdefault(problem.kind or str(problem), []).append(problem)
    return [
        f"{first_of([each.location for each in some], PLACES)}: {some[0].message}" for some in alike.values()
    ]


MIN_TOKEN_LIFE = timedelta(minutes=60)
"""Assumed lifetime of a new token. Tokens of app registrations are valid for 60 to 90 minutes."""

MAX_RUN = timedelta(minutes=10)
"""`functionTimeout` in host.json."""


def alert_after_runs(workspace: WorkspaceReport, interval: timedelta) -> int | None:
    """Return after how many consecutive failed runs an alert fires; None if the workspace is `ok`.

    2 for temporary failures, unless the stored token can expire before then. Otherwise 1.
    """
    if workspace.result == "ok":
        return None
    errors = [error for _, error in workspace.failures()]
    errors += [each.error for each in workspace.additional if each.error is not None]
    stays_valid = workspace.credentials_stored or 2 * interval + MAX_RUN <= MIN_TOKEN_LIFE
    return 2 if stays_valid and errors and all(error.temporary for error in errors) else 1


def _code(problem: Problem) -> str:
    """Return a problem's code; `invalid_settings` without a diagnosis."""
    return problem.diagnosis.code if isinstance(problem.diagnosis, Diagnosis) else "invalid_settings"


def _code_of_run(report: Report) -> str | None:
    """Return the code of a failure that affects no single workspace, or None."""
    if report.result == "ok" or any(workspace.result != "ok" for workspace in report.workspaces):
        return None
    return next((_code(problem) for problem in report.problems if problem.severity == "error"), None)


def log_run(report: Report, logger: RedactingLogger, next_run: datetime | None = None) -> None:
    """Write the log line `git_refresh.run`."""
    event = {
        "event": "git_refresh.run",
        "run_id": report.run_id,
        **_part(report.slice),
        "app_version": __version__,
        "result": report.result,
        "code": _code_of_run(report),
        "dry_run": report.dry_run,
        "duration_s": round(report.duration_s, 3),
        "next_run": next_run and utc_text(next_run),
        **report.counts(),
        "min_token_remaining_s": round(report.token.remaining_s) if report.token else None,
        "tokens": [token.as_dict() for token in sorted(report.tokens, key=_expires_at)[:LOGGED_TOKENS]],
        "failures": _failure_records(report),
        "problems": _problems(report.problems),
    }
    logger.log(event, "failures", "problems", ok=report.result == "ok")


def log_workspace(
    run_id: str,
    workspace: WorkspaceReport,
    logger: RedactingLogger,
    slice_: Slice | None = None,
    *,
    interval: timedelta = DEFAULT_INTERVAL,
) -> None:
    """Write the log line `git_refresh.workspace`. `interval` is the time between two runs."""
    actions = [folder.action for folder in workspace.folders]
    alert = alert_after_runs(workspace, interval)
    event = {
        "event": "git_refresh.workspace",
        "run_id": run_id,
        **({"slice": slice_.number} if slice_ else {}),
        "name": workspace.name,
        "host": workspace.host,
        "result": workspace.result,
        **({"alert_after_runs": alert} if alert else {}),
        "credential": workspace.credential.action if workspace.credential else None,
        "folders": {action: actions.count(action) for action in dict.fromkeys(actions)},
        "failures": [
            _full_record(alike) if logger.explains(alike[0][1].code) else _short_record(alike, logger)
            for alike in by_kind(workspace.failures())
        ],
    }
    logger.log(event, "failures", ok=workspace.result == "ok")


def log_nothing_done(
    problems: Sequence[Problem], logger: RedactingLogger, slice_: Slice | None = None
) -> None:
    """Write the log line `git_refresh.run` of a run without a report."""
    event = {
        "event": "git_refresh.run",
        **_run_and_slice(slice_),
        "app_version": __version__,
        "result": "failed",
        "code": _code(problems[0]) if problems else None,
        "problems": [str(problem) for problem in problems],
    }
    logger.log(event, "problems", ok=False)


def log_dispatch(
    run_id: str,
    slices: int,
    workspaces: int,
    until: datetime,
    problems: Sequence[Problem],
    logger: RedactingLogger,
) -> None:
    """Write the log line `git_refresh.dispatch` of the timer function with fan-out."""
    event = {
        "event": "git_refresh.dispatch",
        "run_id": run_id,
        "app_version": __version__,
        "slices": slices,
        "workspaces": workspaces,
        "valid_until": utc_text(until),
        "problems": [str(problem) for problem in problems],
    }
    logger.log(event, "problems", ok=True)


def log_queued(slice_: Slice, until: datetime, names: Sequence[str], logger: RedactingLogger) -> None:
    """Write the log line `git_refresh.queued` with the workspaces of a slice."""
    event = {
        "event": "git_refresh.queued",
        **_run_and_slice(slice_),
        "valid_until": utc_text(until),
        "names": list(names),
    }
    logger.log(event, "names", ok=True)


def log_message(
    slice_: Slice | None,
    found: Diagnosis,
    logger: RedactingLogger,
    *,
    result: str = "dropped",
    ok: bool = False,
    names: Sequence[str] = (),
) -> None:
    """Write the log line `git_refresh.message_skipped`: of a message, or of the workspaces `names` in it."""
    event = {
        "event": "git_refresh.message_skipped",
        "result": result,
        **(_run_and_slice(slice_) or {"run_id": None, "slice": None, "slices": None}),
        "code": found.code,
        "problems": [str(found)],
        **({"names": list(names)} if names else {}),
    }
    logger.log(event, "names" if names else "problems", ok=ok)


def _part(slice_: Slice | None) -> dict[str, Any]:
    return slice_.as_dict() if slice_ else {}


def _run_and_slice(slice_: Slice | None) -> dict[str, Any]:
    return {"run_id": slice_.run_id, **slice_.as_dict()} if slice_ else {}
