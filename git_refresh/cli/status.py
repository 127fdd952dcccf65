"""How do things stand? Each workspace's Git credential and Git folders as they are now, read and not judged against Azure DevOps."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal

from git_refresh.cli.checks import Status
from git_refresh.cli.executor import Executor
from git_refresh.cli.last_run import LastRun
from git_refresh.cli.zones import tokens_of
from git_refresh.failures.diagnosis import (
    Diagnosis,
    DiagnosisContext,
    diagnose,
    finding,
    interrupted,
    out_of_time,
    wrong_entry,
)
from git_refresh.failures.failure import ServiceError
from git_refresh.model.clock import Deadline
from git_refresh.model.values import GitFolder, OtherObject, json_of
from git_refresh.output.log import RedactingLogger
from git_refresh.run.context import Run, facts_of_principal, facts_of_zone
from git_refresh.run.decide import (
    Clone,
    LeaveAlone,
    Refuse,
    federated_credential,
    folder_step,
    own_credential,
)
from git_refresh.run.folder import remote_of
from git_refresh.run.listing import Listing
from git_refresh.run.ports import Clouds, WorkspaceApi
from git_refresh.settings.entries import Entry, Rejected
from git_refresh.settings.load import Settings
from git_refresh.settings.models import Folder


@dataclass(frozen=True, slots=True)
class CredentialStatus:
    """The Git credential for Azure DevOps of one principal."""

    principal: str
    status: Status
    message: str
    id: int | None = None
    username: str | None = None
    expires_at: datetime | None = None
    """When what is stored ends, by the report of the run that stored it; None: nobody can say."""
    error: Diagnosis | None = None

    @property
    def is_stored(self) -> bool:
        """Whether the workspace has a token for it."""
        return self.id is not None and (self.error is None or self.error.code != "federated_credential")


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """One Git folder."""

    path: str
    status: Status
    message: str
    branch: str | None = None
    commit: str | None = None
    error: Diagnosis | None = None
    in_general: str = field(default="", compare=False)
    """The message without branches and commits, where it has some. Not in the JSON."""


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """One workspace, and what is in it."""

    name: str
    host: str
    status: Status
    message: str
    error: Diagnosis | None = None
    credentials: tuple[CredentialStatus, ...] = ()
    folders: tuple[FolderStatus, ...] = ()

    def statuses(self) -> list[Status]:
        """Of itself and of all in it."""
        return [
            self.status,
            *(item.status for item in self.credentials),
            *(item.status for item in self.folders),
        ]

    def errors(self) -> list[Diagnosis]:
        """All that are told in it."""
        found = [
            self.error,
            *(item.error for item in self.credentials),
            *(item.error for item in self.folders),
        ]
        return [error for error in found if error is not None]


@dataclass(frozen=True, slots=True)
class StatusReport:
    """All workspaces, in the order of the settings."""

    workspaces: tuple[WorkspaceStatus, ...]

    @property
    def result(self) -> Literal["ok", "failed"]:
        return "failed" if any("failed" in workspace.statuses() for workspace in self.workspaces) else "ok"

    def as_dict(self) -> dict[str, Any]:
        """Times in ISO 8601 UTC."""
        return {
            "version": 1,
            "result": self.result,
            "workspaces": [json_of(workspace) for workspace in self.workspaces],
        }


def status(settings: Settings, logger: RedactingLogger, last: LastRun | None) -> StatusReport:
    """How things stand in the real clouds.

    Raises:
        SettingsError: the certificates to trust cannot be read.
    """
    from git_refresh import app  # noqa: PLC0415  # the SDKs take a second: not for --help, nor for a wrong option

    with closing(app.connect(settings, os.environ, logger)) as clouds:
        return logger.redact(look(clouds.settings, clouds, clouds.deadline, last))


def look(settings: Settings, clouds: Clouds, deadline: Deadline, last: LastRun | None = None) -> StatusReport:
    """Read every workspace, all at once. Never raises for what a service does.

    Args:
        settings: whom to look at.
        clouds: how to reach them.
        deadline: when the budget is over; its clock tells the time.
        last: what a run says that it has stored, if its report is there.
    """
    found: dict[str, WorkspaceStatus] = {}
    zones, crew = settings.zones(), Executor(settings.concurrency, deadline)
    for zone, token in tokens_of(zones, clouds, crew).items():
        services, own = clouds.services(zone), zones[zone]
        entries = [entry for entry in own.entries if isinstance(entry, Entry)]
        if isinstance(token, Diagnosis):
            found |= {entry.workspace.host: _unread(entry, token) for entry in entries}
            continue
        context = replace(facts_of_zone(zone, own), object_id=token.object_id)
        run = Run(own, services, services.heads(token), deadline, token, context, dry_run=True)
        for entry, told in crew.each(entries, partial(_workspace, run, last)):
            unfinished = (interrupted if crew.interrupted else out_of_time)(context)
            # Why one refused depends on what the others said to the same sign-in.
            read = _unread(entry, _refused(run, entry, told)) if isinstance(told, ServiceError) else told
            found[entry.workspace.host] = read or _unread(entry, unfinished)
    return StatusReport(
        tuple(
            _rejected(entry) if isinstance(entry, Rejected) else found[entry.workspace.host]
            for entry in settings.entries
        )
    )


def _rejected(entry: Rejected) -> WorkspaceStatus:
    failure = wrong_entry(entry.problems)
    return WorkspaceStatus(entry.name, entry.host, "failed", failure.message, failure)


def _unread(entry: Entry, failure: Diagnosis) -> WorkspaceStatus:
    """A workspace that could not be looked at."""
    return WorkspaceStatus(entry.workspace.name, entry.workspace.host, "failed", failure.message, failure)


def _refused(run: Run, entry: Entry, refusal: ServiceError) -> Diagnosis:
    known = run.known_of_sign_in(entry.workspace)
    return diagnose(refusal, replace(_facts(run, entry), known=known))


def _facts(run: Run, entry: Entry) -> DiagnosisContext:
    return replace(run.context, host=entry.workspace.host, **facts_of_principal(entry.workspace))


def _workspace(run: Run, last: LastRun | None, entry: Entry) -> WorkspaceStatus | ServiceError:
    context = _facts(run, entry)
    try:
        return _Workspace(entry, run, last, context).look()
    except ServiceError as error:
        return error
    except Exception as error:  # noqa: BLE001  # a defect must not stop the other workspaces
        return _unread(entry, diagnose(error, context))


class _Workspace:
    def __init__(self, entry: Entry, run: Run, last: LastRun | None, context: DiagnosisContext) -> None:
        self._entry = entry
        self._workspace = entry.workspace
        self._run = run
        self._last = last
        self._context = context

    def look(self) -> WorkspaceStatus:
        api = self._run.sign_in(self._workspace)
        own = self._credential(
            api, None
        )  # the first request, which shows whether the sign-in is worth something
        others = [self._of_another(api, id_) for id_ in self._workspace.additional_principal_ids]
        return WorkspaceStatus(
            self._workspace.name,
            self._workspace.host,
            "ok",
            f"signed in as {self._context.principal}",
            credentials=(own, *others),
            folders=tuple(self._folders(api)),
        )

    def _of_another(self, api: WorkspaceApi, principal_id: int) -> CredentialStatus:
        principal = f"service principal {principal_id}"
        try:
            return self._credential(api, principal_id)
        except (ServiceError, TimeoutError) as error:
            context = replace(self._context, principal=f"{principal} (additional_principal_ids)")
            failure = diagnose(error, context)
            return CredentialStatus(principal, "failed", failure.message, error=failure)

    def _credential(self, api: WorkspaceApi, principal_id: int | None) -> CredentialStatus:
        principal = self._context.principal if principal_id is None else f"service principal {principal_id}"
        stored = api.credentials(principal_id)
        own = own_credential(stored, self._workspace.git_username)
        if own is None and (federated := federated_credential(stored)) is not None:
            told = finding("federated_credential", self._context, id=federated.id)
            return CredentialStatus(
                principal, "warning", told.message, federated.id, federated.username, error=told
            )
        if own is None:
            message = "there is none for Azure DevOps; pulls fail until a run has stored one"
            return CredentialStatus(principal, "failed", message)
        said = f"user name {own.username}" + (f", of {principal}" if principal_id is not None else "")
        if self._last is None:
            return CredentialStatus(principal, "ok", said, own.id, own.username)
        state, ends, ends_at = self._last.told(
            self._workspace.host, self._run.settings.zone(self._workspace), self._run.deadline.clock.now()
        )
        return CredentialStatus(principal, state, f"{said}; {ends}", own.id, own.username, ends_at)

    def _folders(self, api: WorkspaceApi) -> Iterator[FolderStatus]:
        bad = self._entry.bad_folders
        listing = Listing.of(api, self._entry, self._run.deadline)
        for folder in listing:
            yield self._folder(folder, listing)
        for found in listing.patterns(self._context):
            state: Status = "failed" if found.failed else "warning"
            yield FolderStatus(found.pattern.path, state, found.told.message, error=found.told)
        for left_out in bad:
            told = finding("invalid_folder", self._context, problem=left_out.problem)
            yield FolderStatus(left_out.path or "a folder", "failed", told.message, error=told)

    def _folder(self, wanted: Folder, listing: Listing) -> FolderStatus:
        context = replace(self._context, path=wanted.path)
        try:
            found = listing.look(wanted)
        except (ServiceError, TimeoutError) as error:
            failure = diagnose(error, context)
            return FolderStatus(wanted.path, "failed", failure.message, error=failure)
        at = found if isinstance(found, GitFolder) else None
        remote = remote_of(found, self._run.trusted)
        repository = remote.repository
        broken = isinstance(found, OtherObject) and found.broken
        if listing.by_pattern(wanted) and repository is None and not broken:
            return FolderStatus(wanted.path, "skipped", "it is not a clone from Azure DevOps")
        where = _where(at)
        branch, commit = (at.branch, at.commit) if at else (None, None)
        match folder_step(wanted, found, repository, None, remote=remote):
            case Refuse(code, values):
                missing = code == "folder_not_found"
                told = listing.missing(wanted, context) if missing else finding(code, context, **values)
                return FolderStatus(wanted.path, "failed", told.message, branch, commit, told)
            case Clone(_, _, why):
                return FolderStatus(wanted.path, "warning", f"{why} yet; a run creates it")
            case LeaveAlone(_, why, note):
                known = finding(note, context) if note else None
                return FolderStatus(wanted.path, "warning", f"{where}; {why}", branch, commit, known)
            case step if at is not None and at.branch != step.ref.branch:
                said = f"{where}; the settings want {step.ref}"
                general = "on another branch than the settings want"
                return FolderStatus(wanted.path, "warning", said, branch, commit, in_general=general)
        return FolderStatus(wanted.path, "ok", where, branch, commit, in_general="as the settings want")


def _where(folder: GitFolder | None) -> str:
    if folder is None:
        return ""
    branch = f"branch {folder.branch}" if folder.branch else "no branch"
    return f"on {branch}, at {folder.commit[:8]}" if folder.commit else f"on {branch}, without a commit"
