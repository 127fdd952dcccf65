"""One workspace: sign in, store the credential; then its Git folders, one by one."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice

from git_refresh.diagnosis.explain import Diagnosis, Facts, explain, finding, internal, out_of_time
from git_refresh.report import CredentialReport, FolderReport, WorkspaceReport
from git_refresh.repository import Repository
from git_refresh.run.decide import federated_credential, foreign, own_credential, wanted_ref
from git_refresh.run.folder import FolderRefresh, azure_devops_repository
from git_refresh.run.listing import Listing
from git_refresh.run.shared import Run, facts_of, facts_of_principal
from git_refresh.seams import Api
from git_refresh.settings.entries import BadFolder, Entry
from git_refresh.settings.models import Folder, Workspace
from git_refresh.symptom import ServiceError, is_rejection
from git_refresh.values import GitFolder, Ref, StoredCredential

LANES = 4
"""Folder operations at once in one workspace; more only compete for its one small Git service."""


ASKED = 20
"""Repositories that are asked, until one takes the token. A list of thousands that all reject it would use up what Azure DevOps grants."""


class WorkspaceRefresh:
    """The work on one workspace, as tasks for the run's pool. What goes wrong in it stays in it."""

    def __init__(
        self,
        entry: Entry,
        run: Run,
        submit: Callable[[Callable[[], None]], None],
        done: Callable[["WorkspaceRefresh"], None],
    ) -> None:
        """Take what the work needs.

        Args:
            entry: which workspace.
            run: what it shares with the others.
            submit: queues a task in the run's pool.
            done: called when all its tasks are through.
        """
        self.workspace = entry.workspace
        self._bad_folders = entry.bad_folders
        self._run = run
        self._queue = submit
        self._done = done
        self._facts = replace(run.facts, host=self.workspace.host, **facts_of_principal(self.workspace))
        self._lock = threading.Lock()
        self._tasks = 0
        self._waiting: deque[tuple[Folder, GitFolder | None]] = deque()
        # What has come of it so far, readable at any time under the lock.
        self._credential: CredentialReport | None = None
        self._error: Diagnosis | None = None
        self._folders: dict[str, FolderReport] = {}
        self._unfinished = True
        self._api: Api | None = None

    def start(self) -> None:
        """Queue the part that matters most: the credential."""
        self._submit(self._refresh_credential)

    def _doing(self, what: str) -> None:
        self._run.watcher.doing(self.workspace.name, what)

    def report(self) -> WorkspaceReport:
        """What has become of it; what is not finished has run out of time."""
        with self._lock:
            late = out_of_time(self._facts) if self._unfinished else None
            error = self._error or late or self._nameless()
            folders = folder_reports(self.workspace, self._bad_folders, self._folders, late, self._facts)
            failed = error is not None or self._bad_folders or any(f.action == "failed" for f in folders)
            return WorkspaceReport(
                self.workspace.name,
                self.workspace.host,
                "failed" if failed else "ok",
                self._credential or (CredentialReport("failed") if error else None),
                folders,
                error,
            )

    def _nameless(self) -> Diagnosis | None:
        """What is wrong with the folders where no path tells of which: the workspace's own entry says it then."""
        problem = next((folder.problem for folder in self._bad_folders if folder.path is None), None)
        return finding("invalid_folder", self._facts, problem=problem) if problem else None

    # Tasks

    def _submit(self, task: Callable[[], None]) -> None:
        with self._lock:
            self._tasks += 1

        def guarded() -> None:
            try:
                task()
            except ServiceError as error:
                self._fail(explain(error.symptom, self._facts))
            except TimeoutError:
                self._fail(out_of_time(self._facts))
            except BaseException as error:  # noqa: BLE001  # a mistake of ours must not take the other workspaces along
                self._fail(internal(error, self._facts))
            with self._lock:
                self._tasks -= 1
                last = self._tasks == 0
                self._unfinished = not last
            if last:
                self._finish()

        self._queue(guarded)

    def _finish(self) -> None:
        if self._api is not None:
            with suppress(Exception):
                self._api.close()
        self._done(self)

    def _fail(self, error: Diagnosis) -> bool:
        """Make this the workspace's failure; false if it has one already."""
        with self._lock:
            first = self._error is None
            self._error = self._error or error
        return first

    # The credential

    def _refresh_credential(self) -> None:
        self._doing("signing in")
        api = self._api = self._run.sign_in(self.workspace)
        self._doing("storing the credential")
        listed = Listing(api, self.workspace.folders, [folder.key for folder in self._bad_folders])
        rejection = self._rejection(api, listed)
        credentials = api.credentials(None)
        self._tell_of_federation(credentials)
        stored = own_credential(credentials, self.workspace.git_username)
        if rejection is None:
            credential = self._store_all(api, stored)
        else:
            self._fail(rejection)
            kept = (
                CredentialReport("kept", stored.id, "Azure DevOps rejects the new token") if stored else None
            )
            credential = self._stored(kept or CredentialReport("failed"))
        api.rest()
        if credential.action != "failed":  # else there is nothing to pull with
            self._submit(partial(self._queue_folders, api, listed, credential))

    def _tell_of_federation(self, credentials: Sequence[StoredCredential]) -> None:
        if (federated := federated_credential(credentials)) is not None:
            self._note(self.workspace.name, finding("federated_credential", self._facts, id=federated.id))

    def _store_all(self, api: Api, stored: StoredCredential | None) -> CredentialReport:
        """If the own one fails, the principals of `run_as` still get theirs."""
        try:
            report = self._store(api, None, stored)
        except ServiceError as error:
            self._fail(explain(error.symptom, self._facts))
            report = CredentialReport("failed", stored.id if stored else None)
        self._stored(report)
        for principal_id in self.workspace.run_as:
            self._store_for(api, principal_id)
        return report

    def _stored(self, report: CredentialReport) -> CredentialReport:
        with self._lock:
            self._credential = report
        return report

    def _store_for(self, api: Api, principal_id: int) -> None:
        """One that fails does not keep the others from being stored."""
        try:
            found = own_credential(api.credentials(principal_id), self.workspace.git_username)
            self._store(api, principal_id, found)
        except ServiceError as error:
            facts = replace(self._facts, principal=f"service principal {principal_id} (run_as)")
            failure = explain(error.symptom, facts)
            who = f"Service principal {principal_id} (run_as)"
            if not self._fail(replace(failure, message=f"{who}: {failure.message}")):
                self._note(f"{self.workspace.name}, {who}", failure)

    def _store(self, api: Api, principal_id: int | None, found: StoredCredential | None) -> CredentialReport:
        """Update what is there, or create it. After a failure: look again, then decide once more."""
        try:
            return self._write(api, principal_id, found)
        except ServiceError as error:
            again = own_credential(api.credentials(principal_id), self.workspace.git_username)
            nothing_new = (again and again.id) == (found and found.id)
            if nothing_new and not (found is None and error.symptom.undecided):
                raise
        return self._write(api, principal_id, again)

    def _write(self, api: Api, principal_id: int | None, found: StoredCredential | None) -> CredentialReport:
        username, token = self.workspace.git_username, self._run.token.value
        if found is None:
            id_ = None if self._run.dry_run else api.create_credential(username, token, principal_id)
            return CredentialReport("created", id_, "there is none for Azure DevOps")
        if not self._run.dry_run:
            api.update_credential(found.id, username, token, principal_id)
        return CredentialReport("updated", found.id, "a fresh token replaces the stored one")

    def _rejection(self, api: Api, listed: Listing) -> Diagnosis | None:
        """Why the token must not replace the stored one: Azure DevOps rejects it for every repository of this workspace.

        Asks until one is accepted: mostly once, for a look-up that the folder needs anyway. A service that cannot be
        asked, and a folder that cannot be listed, say nothing against the token.
        """
        rejection: Diagnosis | None = None
        asked = (each for each in self._repositories(api, listed) if self._run.may_be_asked(each[0]))
        for repository, ref in islice(asked, ASKED):
            try:
                self._run.head(repository, ref)
            except ServiceError as error:
                if not is_rejection(error.symptom):
                    return None
                rejection = rejection or explain(error.symptom, facts_of(self._facts, repository, ref))
            else:
                return None
        return rejection

    def _repositories(self, api: Api, listed: Listing) -> Iterator[tuple[Repository, Ref | None]]:
        """The repositories that this workspace's credential is for: first those that need no request to be known.

        At last those of folders that the list leaves out: mostly nobody comes to ask for them.
        """
        for folder in self.workspace.folders:
            if folder.repository is not None and folder.ref is not None:
                yield folder.repository, folder.ref
        for folder, found in listed:
            repository = folder.repository or azure_devops_repository(found, self._run.trusted)
            if repository is not None:
                yield repository, wanted_ref(folder, found)
        for folder in (folder for folder, found in listed if found is None and folder.repository is None):
            with suppress(ServiceError):  # what cannot be found says nothing against the token
                unlisted = api.find(folder.key)
                repository = azure_devops_repository(unlisted, self._run.trusted)
                if isinstance(unlisted, GitFolder) and repository is not None:
                    yield repository, wanted_ref(folder, unlisted)

    # The folders

    def _queue_folders(self, api: Api, listed: Listing, credential: CredentialReport) -> None:
        """Behind every workspace's credential: at most `LANES` folders at a time."""
        for folder, found in listed:
            ours = azure_devops_repository(found, self._run.trusted) is not None
            if found is not None and listed.by_pattern(folder) and not ours:
                self._leave_out(folder, found)
            else:
                self._waiting.append((folder, found))
        for pattern in listed.unfound():
            told = finding("nothing_found", replace(self._facts, path=pattern.below or ""))
            self._note(f"{self.workspace.name} {pattern.path}", told)
        for pattern in self.workspace.folders:
            if pattern.below is not None and (failure := self._list_failure(listed)) is not None:
                self._record(FolderReport(pattern.path, "failed", error=failure))
        for _ in range(min(LANES, len(self._waiting))):
            self._submit(partial(self._lane, FolderRefresh(api, self._run, self._facts, credential)))

    def _leave_out(self, folder: Folder, found: GitFolder) -> None:
        """A folder that only a pattern has found, and that is none of ours: nobody has asked for this one."""
        told = finding(foreign(found).code, replace(self._facts, path=folder.path))
        self._note(f"{self.workspace.name} {folder.path}", told)
        self._record(FolderReport(folder.path, "skipped", why="it is not a clone from Azure DevOps"))

    def _list_failure(self, listed: Listing) -> Diagnosis | None:
        """Why a path ending in `/*` cannot be told to be up to date: the list has failed, or has entries that say nothing."""
        symptom = listed.gap()
        return explain(symptom, self._facts) if symptom else None

    def _lane(self, work: FolderRefresh) -> None:
        """One folder after the other, on a connection that is still warm, until none waits."""
        while True:
            try:
                folder, found = self._waiting.popleft()
            except IndexError:
                return
            self._doing(f"{folder.path} and {len(self._waiting)} more" if self._waiting else folder.path)
            self._record(work.refresh(folder, found))

    def _note(self, where: str, message: object) -> None:
        self._run.note(self.workspace.name, where, message)

    def _record(self, report: FolderReport) -> None:
        with self._lock:
            self._folders[report.path] = report


def folder_reports(
    workspace: Workspace,
    bad: Sequence[BadFolder],
    done: Mapping[str, FolderReport],
    late: Diagnosis | None,
    facts: Facts,
) -> tuple[FolderReport, ...]:
    """Every folder of the settings in their order, then what a path ending in /* has found, then what was left out.

    Args:
        workspace: whose folders they are.
        bad: the entries that were left out.
        done: what has come of those that were worked on, by their path.
        late: why the others were not, if time was the reason; else they were skipped for the workspace's own error.
        facts: for the diagnosis of the bad ones.
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
        FolderReport(folder.path, "failed", error=finding("invalid_folder", facts, problem=folder.problem))
        for folder in bad
        if folder.path is not None
    ]
    return (*(done.get(path, unreached) for path, unreached in explicit.items()), *found, *wrong)
