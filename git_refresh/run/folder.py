"""Updates one Git folder: reads its state, decides, acts, and reads the result."""

from dataclasses import dataclass, replace

from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, diagnose, explain, finding
from git_refresh.failures.failure import (
    Service,
    ServiceError,
    ServiceFailure,
    is_conflict,
    is_definite,
    is_rejection,
    is_unknown_ref,
)
from git_refresh.failures.table import Known
from git_refresh.model.repository import Repository
from git_refresh.model.values import GitFolder, OtherObject, Ref, ResolvedRef
from git_refresh.run.context import Run, facts_of
from git_refresh.run.decide import (
    Clone,
    FolderState,
    LeaveAlone,
    Move,
    Refuse,
    folder_step,
    is_at,
    looks_like_commit,
    not_azure_devops,
)
from git_refresh.run.listing import Listing
from git_refresh.run.ports import WorkspaceApi
from git_refresh.run.report import CredentialReport, FolderReport
from git_refresh.settings.models import Folder


@dataclass(frozen=True, slots=True)
class FolderRefresh:
    api: WorkspaceApi
    run: Run
    context: DiagnosisContext
    credential: CredentialReport
    listing: Listing

    def refresh(self, wanted: Folder) -> FolderReport:
        """Update one folder as configured. Never raises: the report contains any failure."""
        look = FolderState.at(wanted, None, self.run.settings.trusted)
        try:
            look = FolderState.at(wanted, self.listing.look(wanted), self.run.settings.trusted)
            hidden = look.folder is not None and self.listing.hides(wanted, look.folder)
            look = replace(look, hidden=hidden)
            return self._unwanted(look) or self._with_password_noted(look, self._refresh(look))
        except ServiceError as error:
            failure = self._explained(error.failure, look)
            # After a lost response to an update, uncommitted changes might be lost, so the warning stays.
            moved = look.folder is not None and error.failure.service is Service.DATABRICKS
            note = self._discarded(look.wanted) if moved and error.failure.outcome_unknown else None
            return replace(_unchanged(look), action="failed", to=None, error=failure, note=note)
        except Exception as error:  # noqa: BLE001  # a bug must not stop the other workspaces
            failure = diagnose(error, self._facts(look))
        return replace(_unchanged(look), action="failed", to=None, error=failure)

    def _explained(self, failure: ServiceFailure, look: FolderState) -> Diagnosis:
        known = self.context.known | self.run.known_of_ref(look.repository, look.ref)
        if look.wanted.on_conflict == "discard":
            known |= {Known.DISCARDED}
        folder = look.folder
        if (
            is_conflict(failure)
            and folder is not None
            and look.ref is not None
            and folder.branch == look.ref.branch
        ):
            diverged = self.run.has_diverged(look.repository, look.ref, folder.commit)
            known |= {Known.DIVERGED} if diverged else frozenset()
        if self.credential.action in {"created", "updated"} and not self.run.dry_run:
            known |= {Known.TOKEN_STORED}
        if is_unknown_ref(failure) and Known.REF_SEEN not in known:
            if look.wanted.ref is None:
                return self._missing("branch_gone", look)
            if looks_like_commit(look.wanted.ref):
                return self._missing("ref_not_found", look)
        context = replace(self._facts(look), known=known)
        found = explain(failure, context)
        if look.remote.has_password and found.code in _REFUSED_BY_DEVOPS:
            return finding("remote_password_rejected", context, happened=found.message)
        if look.remote.https and found.code in _NOT_FOUND:
            return finding("remote_not_https", context, https=look.remote.https)
        return found

    def _missing(self, code: str, look: FolderState) -> Diagnosis:
        return self.run.missing_ref(code, self._facts(look), look.repository, look.ref)

    def _facts(self, look: FolderState) -> DiagnosisContext:
        return facts_of(replace(self.context, path=look.wanted.path), look.repository, look.ref)

    def _with_password_noted(self, look: FolderState, report: FolderReport) -> FolderReport:
        if not look.remote.has_password or report.error is not None:
            return report
        diagnosis = finding("remote_password", self._facts(look))
        if report.note is None:
            return replace(report, note=diagnosis)
        self.run.notes.add(self.context.host, look.wanted.path, diagnosis)
        return report

    def _unwanted(self, look: FolderState) -> FolderReport | None:
        """Return the report of a folder that a `/*` entry matches but the app cannot update, or None."""
        wanted = look.wanted
        if not self.listing.by_pattern(wanted):
            return None
        asked_for, before = self.listing.asked_for(wanted), _unchanged(look)
        if look.folder is not None and look.remote.repository is None and not asked_for:
            refused = not_azure_devops(look.remote)
            diagnosis = finding(refused.code, self._facts(look), **refused.values)
            return replace(
                before, action="skipped", why="it is not a clone from Azure DevOps", note=diagnosis
            )
        if look.hidden and self.listing.shows_any and not asked_for:
            diagnosis = finding("folder_permission", self._facts(look))
            return replace(
                before, action="skipped", why="the app lacks the permission to manage it", note=diagnosis
            )
        if look.folder is not None or (isinstance(look.found, OtherObject) and look.found.broken):
            return None
        if asked_for:
            diagnosis = finding("folder_not_listed", self._facts(look))
            return replace(before, action="failed", to=None, error=diagnosis)
        return replace(before, action="skipped", why="it no longer exists")

    def _refresh(self, look: FolderState) -> FolderReport:
        before = _unchanged(look)
        head = self._head(look)
        is_directory = isinstance(look.found, OtherObject) and look.found.is_directory
        below = is_directory and self.listing.has_below(look.wanted.key)
        match folder_step(look, head, below=below):
            case Refuse("ref_not_found" | "branch_gone" as code):
                return replace(before, action="failed", to=None, error=self._missing(code, look))
            case Refuse(code, values):
                context = self._facts(look)
                missing = code == "folder_not_found"
                diagnosis = (
                    self.listing.missing(look.wanted, context)
                    if missing
                    else finding(code, context, **values)
                )
                return replace(before, action="failed", to=None, error=diagnosis)
            case Clone(source, ref, why):
                return self._clone(look.wanted, source, ref, head, replace(before, why=why))
            case Move(ref, why) if look.folder is not None:
                return self._move(look, look.folder, ref, head, replace(before, why=why))
            case LeaveAlone(_, why, note):
                known = finding(note, self._facts(look)) if note else None
                if known is not None and self.listing.asked_for(look.wanted):
                    return replace(before, action="failed", to=None, error=known)
                return replace(before, why=why, note=known)
            case Move(_, why):
                return replace(before, why=why)

    def _head(self, look: FolderState) -> ResolvedRef | None:
        """Return the latest commit of the ref; None if unknown, so the folder is pulled without comparing."""
        if look.source is None or not self.run.may_be_asked(look.source[0]):
            return None
        try:
            return self.run.head(*look.source)
        except ServiceError as error:
            failure = error.failure
        if is_rejection(failure) and self.credential.action == "token_rejected":
            return None  # the stored token is another one, and might be accepted
        if is_definite(failure):
            raise ServiceError(failure)
        reason = explain(failure, self._facts(look))
        message = f"{reason.message} {reason.cause} Folders are updated without comparing commits first."
        self.run.notes.add("Azure DevOps", "Azure DevOps", message)
        return None

    def _clone(
        self,
        wanted: Folder,
        source: Repository,
        ref: Ref | None,
        head: ResolvedRef | None,
        before: FolderReport,
    ) -> FolderReport:
        if self.run.dry_run:
            return replace(before, action="created", to=head.commit if head else None)
        self.api.make_parent(wanted.key)
        made = self._create_or_adopt(wanted, source)
        if ref is not None and not (head and is_at(made, ref, head)):
            made = self._pull(wanted, made, ref, head)
        return replace(before, action="created", ref=(ref.name if ref else made.branch), to=made.commit)

    def _create_or_adopt(self, wanted: Folder, source: Repository) -> GitFolder:
        """Clone the repository. After a failure, use a clone that the workspace created nevertheless."""
        try:
            return self.api.create_folder(wanted.key, source.url, wanted.sparse, self.credential.id)
        except ServiceError:
            look = FolderState.at(wanted, self.api.find(wanted.key), self.run.settings.trusted)
            if look.folder is None or look.remote.repository != source:
                raise
            return look.folder

    def _move(
        self, look: FolderState, folder: GitFolder, ref: Ref, head: ResolvedRef | None, before: FolderReport
    ) -> FolderReport:
        wanted, repository = look.wanted, look.remote.repository
        before = replace(before, note=self._discarded(wanted))
        if self.run.dry_run:
            why = f"{before.why}; might discard uncommitted changes" if before.note else before.why
            return replace(before, action="updated", to=head.commit if head else None, why=why)
        now = self._pull(wanted, folder, ref, head)
        changed = (now.commit, now.branch) != (folder.commit, folder.branch)
        after = replace(before, action="updated" if changed else "unchanged", to=now.commit)
        if head is None or repository is None or head.commit in {None, now.commit}:
            return after
        if not self.run.is_held_back(repository, ref, head, now.commit):
            return after
        diagnosis = finding("local_commits", self._facts(look))
        if wanted.on_conflict == "discard":
            return replace(after, action="failed", error=diagnosis)
        return replace(after, note=diagnosis)

    def _discarded(self, wanted: Folder) -> Diagnosis | None:
        """Return a warning if the entry discards uncommitted changes, which the API does not report."""
        if wanted.on_conflict != "discard":
            return None
        done = "would be" if self.run.dry_run else "might be"
        return finding("changes_discarded", replace(self.context, path=wanted.path), done=done)

    def _pull(self, wanted: Folder, folder: GitFolder, ref: Ref, head: ResolvedRef | None) -> GitFolder:
        """Update the folder and return its new state. After a lost response, read the state before retrying."""
        discard = wanted.on_conflict == "discard"
        for last in (False, True):
            try:
                self.api.move_folder(folder.id, ref, discard=discard, credential_id=self.credential.id)
                break
            except ServiceError as error:
                if last or not error.failure.outcome_unknown:
                    raise
                now = self.api.folder(folder.id)
                if head is not None and is_at(now, ref, head):
                    return now
        now = self.api.folder(folder.id)
        if head is None or now.commit == head.commit:
            return now
        return self.api.folder(folder.id)  # the first read after an update might show the previous commit


_REFUSED_BY_DEVOPS = {"credential_expired_or_wrong", "stored_token_refused", "devops_refuses_workspace"}
_NOT_FOUND = {
    "devops_repository_not_found",
    "devops_project_not_found",
    "devops_not_found",
    "repository_not_found",
}


def _unchanged(look: FolderState) -> FolderReport:
    commit = look.folder.commit if look.folder else None
    ref = look.ref.name if look.ref else None
    return FolderReport(look.wanted.path, "unchanged", ref, commit, commit, seen=look)
