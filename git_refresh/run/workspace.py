"""Steps of one workspace: sign in, check and store the token, then update the Git folders.

`fleet` runs the steps on the threads of the pool.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from git_refresh.failures.diagnosis import (
    Diagnosis,
    DiagnosisContext,
    diagnose,
    explain,
    finding,
    out_of_time,
)
from git_refresh.failures.failure import ServiceError, ServiceFailure
from git_refresh.failures.table import Known
from git_refresh.run.context import Run, facts_of_workspace
from git_refresh.run.credential import CredentialRefresh
from git_refresh.run.folder import FolderRefresh
from git_refresh.run.listing import Listing
from git_refresh.run.ports import WorkspaceApi
from git_refresh.run.report import CredentialReport, FolderReport, PatternReport, WorkspaceReport
from git_refresh.settings.entries import BadFolder, Entry
from git_refresh.settings.models import Folder, Workspace


class WorkspaceRefresh:
    """Steps and report of one workspace. No step raises."""

    def __init__(self, entry: Entry, run: Run) -> None:
        self.entry = entry
        self.workspace = entry.workspace
        self.run = run
        known = frozenset({Known.AS_ADMIN}) if run.reads_as_admin(self.workspace) else frozenset()
        self._context = replace(facts_of_workspace(run.context, self.workspace), known=known)
        self._lock = threading.Lock()
        self._waiting: deque[Folder] = deque()
        # Results so far. The lock guards them, because a report can be requested at any time.
        self._credential: CredentialReport | None = None
        self._additional: list[CredentialReport] = []
        self._error: Diagnosis | None = None
        self._refusal: ServiceFailure | None = None
        self._failure: ServiceFailure | None = None
        self._folders: dict[str, FolderReport] = {}
        self._patterns: list[PatternReport] = []
        self._unfinished = True
        self._api: WorkspaceApi | None = None
        self._signed_in: FolderRefresh

    def refresh_credential(self) -> bool:
        """Sign in and store the credential. Return whether folders can be updated with it."""
        stored = False
        with self._failures_kept():
            self._report_step("signing in")
            try:
                api = self._api = self.run.sign_in(self.workspace)
            except ServiceError as error:
                self._refusal = error.failure
                return False
            if self.workspace.auth != "managed_identity":  # its first request comes later
                self._context = self._context_after_response()
            self._report_step("storing the credential")
            listed = Listing.of(api, self.entry, self.run.deadline)
            work = CredentialRefresh(api, self.entry, self.run, self._context, self._fail, self._stored)
            credential = work.refresh(listed)
            api.release_idle_connections()
            self._signed_in = FolderRefresh(api, self.run, self._context_after_response(), credential, listed)
            stored = credential.action != "failed"  # otherwise no pull can succeed
        return stored  # noqa: RET504  # `_failures_kept` suppresses exceptions

    def find_folders(self) -> None:
        with self._failures_kept():
            listed = self._signed_in.listing
            self._waiting.extend(listed)
            for found in listed.patterns(self._context):
                self._patterns.append(found)
                if found.failed and found.path not in self._folders:
                    self._record(FolderReport(found.path, "failed", error=found.diagnosis))
                else:
                    self._note(found.path, found.diagnosis)

    @property
    def folders_left(self) -> int:
        """Number of folders that no thread works on yet."""
        return len(self._waiting)

    def refresh_next_folder(self) -> None:
        with self._failures_kept():
            try:
                folder = self._waiting.popleft()
            except IndexError:  # another thread took the last folder
                return
            self._report_step(
                f"{folder.path} and {len(self._waiting)} more" if self._waiting else folder.path
            )
            report = self._signed_in.refresh(folder)
            if report.note is not None:
                self._note(folder.path, report.note)
            self._record(report)

    def finish(self) -> None:
        with self._lock:
            self._unfinished = False
        if self._api is not None:
            with suppress(Exception):
                self._api.close()

    @property
    def is_settled(self) -> bool:
        """True if the report is final. The cause of a rejected sign-in can depend on other workspaces."""
        return self._refusal is None or self.run.sign_ins.settled(self.workspace)

    def report(self, why: Callable[[DiagnosisContext], Diagnosis] = out_of_time) -> WorkspaceReport:
        """Return the report so far. `why` returns the diagnosis of unfinished work."""
        with self._lock:
            late = why(self._context) if self._unfinished else None
            error = self._error or self._sign_in_error() or late or self._pathless_folder_error()
            folders = folder_reports(
                self.workspace, self.entry.bad_folders, self._folders, late, self._context
            )
            stored = [self._credential, *self._additional]
            failed = error is not None or self.entry.bad_folders or any(f.action == "failed" for f in folders)
            return WorkspaceReport(
                self.workspace.name,
                self.workspace.host,
                "failed" if failed else "ok",
                self._credential or (CredentialReport("failed") if error else None),
                folders,
                error,
                self._refusal or self._failure,
                tuple(self._additional),
                tuple(self._patterns),
                credentials_stored=len(self._additional) == len(self.workspace.additional_principal_ids)
                and all(each is not None and each.action in {"created", "updated"} for each in stored),
            )

    def _sign_in_error(self) -> Diagnosis | None:
        if self._refusal is None:
            return None
        elsewhere = {Known.SIGNED_IN_ELSEWHERE} if self.run.sign_ins.accepted(self.workspace) else set()
        return explain(self._refusal, replace(self._context, known=self._context.known | elsewhere))

    def _pathless_folder_error(self) -> Diagnosis | None:
        """Return the problem of a folder entry without a path, because a folder's report needs a path."""
        problem = next((folder.problem for folder in self.entry.bad_folders if folder.path is None), None)
        return finding("invalid_folder", self._context, problem=problem) if problem else None

    @contextmanager
    def _failures_kept(self) -> Iterator[None]:
        """Turn any exception of a step into the workspace's failure."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001  # a bug must not stop the other workspaces
            if isinstance(error, ServiceError) and self._credential is None:
                self._failure = error.failure
            self._fail(diagnose(error, self._context))

    def _context_after_response(self) -> DiagnosisContext:
        return replace(self._context, known=self._context.known | {Known.REACHED})

    def _report_step(self, what: str) -> None:
        self.run.progress.started(self.workspace.name, what)

    def _stored(self, report: CredentialReport) -> None:
        with self._lock:
            if report.principal_id is None:
                self._credential = report
            else:
                self._additional.append(report)

    def _fail(self, error: Diagnosis) -> bool:
        """Set the workspace's failure. Return False if it already has one."""
        with self._lock:
            first = self._error is None
            self._error = self._error or error
        return first

    def _note(self, path: str, note: Diagnosis) -> None:
        self.run.notes.add(self.workspace.name, f"{self.workspace.name} {path}", note)

    def _record(self, report: FolderReport) -> None:
        with self._lock:
            self._folders[report.path] = report


def folder_reports(
    workspace: Workspace,
    bad: Sequence[BadFolder],
    done: Mapping[str, FolderReport],
    late: Diagnosis | None,
    context: DiagnosisContext,
) -> tuple[FolderReport, ...]:
    """Return the reports of all folders: named ones, then matches of `/*` entries, then invalid ones.

    `late` is the failure of folders without a report. Without it, these were skipped because the credential failed.
    """
    rest = (
        FolderReport("", "failed", error=late)
        if late
        else FolderReport("", "skipped", why="the credential failed")
    )
    explicit = {
        folder.path: replace(rest, path=folder.path) for folder in workspace.folders if folder.below is None
    }
    found = sorted(
        (report for path, report in done.items() if path not in explicit), key=lambda report: report.path
    )
    wrong = [
        FolderReport(folder.path, "failed", error=finding("invalid_folder", context, problem=folder.problem))
        for folder in bad
        if folder.path is not None
    ]
    return (*(done.get(path, unreached) for path, unreached in explicit.items()), *found, *wrong)
