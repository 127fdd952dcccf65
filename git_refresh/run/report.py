"""What a run has done: one value, which becomes the JSON report, the log lines and the exit code."""

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
from git_refresh.output.text import first_of
from git_refresh.run.decide import FolderState, Source

Result = Literal["ok", "failed", "rejected"]
CredentialAction = Literal["created", "updated", "token_rejected", "failed"]
FolderAction = Literal["created", "updated", "unchanged", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class CredentialReport:
    """What became of the Git credential; its ID where one exists. The JSON has only `action` and `id`."""

    action: CredentialAction
    id: int | None = None
    why: str = ""
    error: Diagnosis | None = None
    """Why it failed, or was left as it was."""
    rejected_by: tuple[Source, ...] = ()
    """The look-ups with which Azure DevOps rejected the token."""
    principal_id: int | None = None
    """The principal in `additional_principal_ids`; None: the principal that the app signs in as."""
    stored: tuple[StoredCredential, ...] | None = None
    """The principal's credentials before the run; None: the workspace did not list them, as it refused the sign-in."""

    def as_dict(self) -> dict[str, Any]:
        """As the contract writes it."""
        return {"action": self.action, "id": self.id}


@dataclass(frozen=True, slots=True)
class FolderReport:
    """What became of one Git folder. `from_` and `to` are commits. The JSON ends with `error`."""

    path: str
    action: FolderAction
    ref: str | None = None
    from_: str | None = None
    to: str | None = None
    error: Diagnosis | None = None
    why: str = ""
    note: Diagnosis | None = None
    """What to know of it, though it has not failed. The report has it among its problems."""
    seen: FolderState | None = None
    """The folder before the run; None: the run did not reach it."""

    def as_dict(self) -> dict[str, Any]:
        """As the contract writes it."""
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
    """A finding about a path ending in `/*`, besides the Git folders below it."""

    path: str
    diagnosis: Diagnosis
    failed: bool


@dataclass(frozen=True, slots=True)
class WorkspaceReport:
    """What became of one workspace. The JSON ends with `error`."""

    name: str
    host: str
    result: Result
    credential: CredentialReport | None = None
    folders: tuple[FolderReport, ...] = ()
    error: Diagnosis | None = None
    failure: ServiceFailure | None = None
    """The call that failed before the app had listed the credentials."""
    additional: tuple[CredentialReport, ...] = ()
    """The credentials of `additional_principal_ids`."""
    patterns: tuple[PatternReport, ...] = ()
    credentials_stored: bool = False
    """Whether the run stored each credential of the workspace."""

    def outcome(self) -> Self:
        """It without what the walk has seen: only texts are redacted, and not what the settings are made of."""
        credential = self.credential and replace(self.credential, error=None, rejected_by=(), stored=None)
        folders = tuple(replace(folder, seen=None) for folder in self.folders)
        return replace(self, credential=credential, folders=folders, failure=None, additional=(), patterns=())

    @property
    def single_folders(self) -> list[FolderReport]:
        """The Git folders without the failures of paths ending in `/*`, which are in `patterns`."""
        patterns = {pattern.path for pattern in self.patterns}
        return [folder for folder in self.folders if folder.path not in patterns]

    def as_dict(self) -> dict[str, Any]:
        """As the contract writes it."""
        return {
            "name": self.name,
            "host": self.host,
            "result": self.result,
            "credential": self.credential and self.credential.as_dict(),
            "folders": [folder.as_dict() for folder in self.folders],
            "error": self.error and json_of(self.error),
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
    """An Azure DevOps token that was stored: when it ends, and how many seconds that was from the end of the run."""

    identity: str | None
    """Client id of the user-assigned managed identity; None: the system-assigned one."""
    tenant: str | None
    """Id of the tenant, if the token tells."""
    expires_at: datetime
    remaining_s: float
    workspaces: int
    """For how many it is."""

    def ends(self) -> dict[str, Any]:
        """When it ends, as the contract writes it."""
        return {"expires_at": utc_text(self.expires_at), "remaining_s": round(self.remaining_s)}

    def as_dict(self) -> dict[str, Any]:
        """As the contract writes it."""
        own = {"identity": self.identity, "tenant": self.tenant, **self.ends()}
        return {**own, "workspaces": self.workspaces}


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run."""

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
    """Which part of the run this is, where it is spread over many workers."""
    version: int = field(default=1)

    @property
    def token(self) -> TokenReport | None:
        """The one that ends first."""
        return min(self.tokens, key=_ends, default=None)

    def as_dict(self) -> dict[str, Any]:
        """As the contract writes it: times in ISO 8601 UTC, durations in seconds."""
        return {
            "version": self.version,
            "run_id": self.run_id,
            **_part(self.slice),
            "started_at": utc_text(self.started_at),
            "duration_s": round(self.duration_s, 3),
            "dry_run": self.dry_run,
            "result": self.result,
            "token": self.token and self.token.ends(),
            "tokens": [token.as_dict() for token in self.tokens],
            "problems": [json_of(problem) for problem in self.problems],
            "workspaces": [workspace.as_dict() for workspace in self.workspaces],
        }

    def tally(self) -> str:
        """How many workspaces are fresh."""
        counts = self.counts()
        if self.result == "ok":
            return f"{counts['workspaces_ok']} of {counts['workspaces']} workspaces fresh"
        stored = sum(
            workspace.credential is not None and workspace.credential.action in {"created", "updated"}
            for workspace in self.workspaces
        )
        return (
            f"{counts['workspaces_ok']} of {counts['workspaces']} workspaces without a failure, "
            f"{stored} of {counts['workspaces']} credentials fresh"
        )

    def summary(self) -> str:
        """One line for people; of a failed run it names who failed and the first reason."""
        line = self.tally()
        failures = [failure for workspace in self.workspaces for failure in workspace.failures()]
        if failures:
            where, error = failures[0]
            more = f" (and {len(failures) - 1} more failures)" if len(failures) > 1 else ""
            return f"{line}. {where}{more}: {error.code}: {error.message} {error.cause} {error.remedy}"
        if self.result == "failed" and self.problems:
            return f"{line}. {self.problems[0]}"
        return line

    def counts(self) -> dict[str, int]:
        """How many workspaces and folders there are, and how many of each result."""
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
"""Places that are named where one record stands for more."""

LONGEST_IN_SHORT = 120
"""Characters, as JSON, of each text of a failure that other log lines of the run explain."""

LOGGED_CODES = 20
"""Of the kinds of failures, those that are most frequent, in the run's log line."""

LOGGED_TOKENS = 20
"""Of the tokens, those that end first, in the run's log line; the report has all."""


def _ends(token: TokenReport) -> datetime:
    return token.expires_at


def by_kind(failures: Iterable[tuple[str, Diagnosis]]) -> list[list[tuple[str, Diagnosis]]]:
    """The failures that differ in names and values alone together, with their places, in order."""
    found: dict[tuple[str, str], list[tuple[str, Diagnosis]]] = {}
    for where, error in failures:
        found.setdefault((error.code, error.kind), []).append((where, error))
    return list(found.values())


def _explained(alike: Sequence[tuple[str, Diagnosis]]) -> dict[str, Any]:
    """Failures of one kind as one record, explained by the first of them."""
    (where, error), *more = alike
    record = {"location": where, **json_of(error), "count": len(alike)}
    return {**record, "places": [place for place, _ in alike[:PLACES]]} if more else record


def _in_short(alike: Sequence[tuple[str, Diagnosis]], logger: RedactingLogger) -> dict[str, Any]:
    """The same where other lines of the run explain the code."""
    where, error = alike[0]
    texts = {"location": where, "code": error.code, "message": error.message}
    short = {key: shorten(logger.redact_text(text), LONGEST_IN_SHORT) for key, text in texts.items()}
    return {**short, "count": len(alike)}


def _of_run(report: Report) -> list[dict[str, Any]]:
    """The failures of a run, one record for all that differ in names and values alone, the most frequent first."""
    failures = [(workspace, failure) for workspace in report.workspaces for failure in workspace.failures()]
    hosts: dict[tuple[str, str], set[str]] = {}
    for workspace, (_, error) in failures:
        hosts.setdefault((error.code, error.kind), set()).add(workspace.host)
    most = sorted(by_kind(failure for _, failure in failures), key=len, reverse=True)[:LOGGED_CODES]
    counted = [(alike, hosts[alike[0][1].code, alike[0][1].kind]) for alike in most]
    return [{**_explained(alike), "workspaces": len(of)} for alike, of in counted]


def _problems(problems: Sequence[Problem]) -> list[str]:
    """Each problem in a line; those that differ in a value alone in one, with the first places and a count."""
    alike: dict[str, list[Problem]] = {}
    for problem in problems:
        alike.setdefault(problem.kind or str(problem), []).append(problem)
    return [
        f"{first_of([each.location for each in some], PLACES)}: {some[0].message}" for some in alike.values()
    ]


MIN_TOKEN_LIFE = timedelta(minutes=60)
"""For how long a token is assumed to be valid when it is stored: an app registration's are for 60 to 90 minutes."""

MAX_RUN = timedelta(minutes=10)
"""`functionTimeout` in host.json ends a run then."""


def alert_after_runs(workspace: WorkspaceReport, interval: timedelta) -> int | None:
    """Return after how many failed runs of the workspace in a row an alert fires; None if it is `ok`.

    A failure that usually passes waits for a second run, but not where a credential was not stored and the one before expires until then.
    """
    if workspace.result == "ok":
        return None
    errors = [error for _, error in workspace.failures()]
    errors += [each.error for each in workspace.additional if each.error is not None]
    stays_valid = workspace.credentials_stored or 2 * interval + MAX_RUN <= MIN_TOKEN_LIFE
    return 2 if stays_valid and errors and all(error.temporary for error in errors) else 1


def _code(problem: Problem) -> str:
    """The code of a problem that failed a run: the settings are wrong where the table of failures has no other."""
    return problem.diagnosis.code if isinstance(problem.diagnosis, Diagnosis) else "invalid_settings"


def _code_of_run(report: Report) -> str | None:
    """Why a run failed in which no workspace did."""
    if report.result == "ok" or any(workspace.result != "ok" for workspace in report.workspaces):
        return None
    return next((_code(problem) for problem in report.problems if problem.severity == "error"), None)


def log_run(report: Report, logger: RedactingLogger, next_run: datetime | None = None) -> None:
    """The run's own log line: `git_refresh.run`, with when the next run is due."""
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
        "tokens": [token.as_dict() for token in sorted(report.tokens, key=_ends)[:LOGGED_TOKENS]],
        "failures": _of_run(report),
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
    """A workspace's log line: `git_refresh.workspace`, written when it is done. `interval` is the time between two runs."""
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
            _explained(alike) if logger.explains(alike[0][1].code) else _in_short(alike, logger)
            for alike in by_kind(workspace.failures())
        ],
    }
    logger.log(event, "failures", ok=workspace.result == "ok")


def log_nothing_done(
    problems: Sequence[Problem], logger: RedactingLogger, slice_: Slice | None = None
) -> None:
    """The log line of a run that could not begin, or of which there is no report."""
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
    """The timer's log line where a run is spread over many workers: `git_refresh.dispatch`. Each slice has a run line of its own."""
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
    """The timer's log line for each slice: `git_refresh.queued`. By its names it is known which workspaces of a run were not refreshed."""
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
    """The log line of a message, or of names in it, for which nothing is done: `git_refresh.message_skipped`."""
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
