"""One Git folder: find it, decide, act, and look at what came of it."""

from dataclasses import dataclass, replace

from git_refresh.diagnosis.explain import Facts, explain, finding, internal, out_of_time
from git_refresh.hosts import TrustedHosts
from git_refresh.report import CredentialReport, FolderReport
from git_refresh.repository import Repository, parse_repository
from git_refresh.run.decide import Clone, LeaveAlone, Move, Refuse, folder_step, is_at, wanted_ref
from git_refresh.seams import Api, Surroundings
from git_refresh.settings.models import Folder
from git_refresh.symptom import ServiceError, is_definite, is_rejection
from git_refresh.values import GitFolder, Head, OtherObject, Ref


@dataclass(frozen=True, slots=True)
class FolderRefresh:
    """The work on folders of one workspace, whose credential has been seen to."""

    api: Api
    run: Surroundings
    facts: Facts
    credential: CredentialReport

    def refresh(self, wanted: Folder, listed: GitFolder | None) -> FolderReport:
        """Bring one folder to where the settings want it; a failure becomes its report."""
        facts = replace(self.facts, path=wanted.path)
        at, ref = None, wanted_ref(wanted, listed)
        try:
            found = listed or self.api.find(wanted.key)
            folder = found if isinstance(found, GitFolder) else None
            at, ref = folder.commit if folder else None, wanted_ref(wanted, folder)
            repository = wanted.repository or azure_devops_repository(found, self.run.trusted)
            facts = facts_of(facts, repository, ref)
            return self._refresh(
                wanted, found, FolderReport(wanted.path, "unchanged", _name(ref), at, at), facts
            )
        except ServiceError as error:
            failure = explain(error.symptom, facts)
        except TimeoutError:
            failure = out_of_time(facts)
        except Exception as error:  # noqa: BLE001  # a mistake of ours must not take the other folders along
            failure = internal(error, facts)
        return FolderReport(wanted.path, "failed", _name(ref), at, error=failure)

    def _refresh(
        self, wanted: Folder, found: GitFolder | OtherObject | None, before: FolderReport, facts: Facts
    ) -> FolderReport:
        repository = azure_devops_repository(found, self.run.trusted)
        folder = found if isinstance(found, GitFolder) else None
        ref = wanted_ref(wanted, folder)
        # A folder on a detached head, with nothing else wanted, is left alone: there is nothing to look up.
        head = self._head(wanted.repository or repository, ref, facts) if ref or folder is None else None
        match folder_step(wanted, found, repository, head):
            case Refuse(code, message):
                return replace(before, action="failed", to=None, error=finding(code, message, facts))
            case Clone(source, wanted_there, why):
                return self._clone(wanted, source, wanted_there, head, replace(before, why=why))
            case Move(there, why) if folder is not None:
                return self._move(wanted, folder, there, head, replace(before, why=why))
            case LeaveAlone(_, why) | Move(_, why):
                return replace(before, why=why)

    def _head(self, repository: Repository | None, ref: Ref | None, facts: Facts) -> Head | None:
        """Where the ref is; None when Azure DevOps cannot be asked, and the pull has to find out."""
        if repository is None or not self.run.may_be_asked(repository):
            return None
        try:
            return self.run.head(repository, ref)
        except ServiceError as error:
            symptom = error.symptom
        if is_rejection(symptom) and self.credential.action == "kept":
            return None  # the stored credential is another one, and may well be accepted
        if is_definite(symptom):
            raise ServiceError(symptom)
        reason = explain(symptom, facts)
        self.run.note(
            "Azure DevOps",
            "Azure DevOps",
            f"{reason.message} {reason.cause} Where its branches and tags are could not be compared first.",
        )
        return None

    def _clone(
        self, wanted: Folder, source: Repository, ref: Ref | None, head: Head | None, before: FolderReport
    ) -> FolderReport:
        if self.run.dry_run:
            return replace(before, action="created", to=head.commit if head else None)
        self.api.make_parent(wanted.key)
        made = self._create_or_adopt(wanted, source)
        if ref is not None and not (head and is_at(made, ref, head)):
            made = self._pull(wanted, made, ref, head)
        return replace(before, action="created", ref=(ref.name if ref else made.branch), to=made.commit)

    def _create_or_adopt(self, wanted: Folder, source: Repository) -> GitFolder:
        """A clone may fail for the client and still be finished by the workspace, or by an earlier run: then it is taken over."""
        try:
            return self.api.create_folder(wanted.key, source.url, wanted.sparse, self.credential.id)
        except ServiceError:
            found = self.api.find(wanted.key)
            if (
                isinstance(found, OtherObject | None)
                or azure_devops_repository(found, self.run.trusted) != source
            ):
                raise
            return found

    def _move(
        self, wanted: Folder, folder: GitFolder, ref: Ref, head: Head | None, before: FolderReport
    ) -> FolderReport:
        if self.run.dry_run:
            return replace(before, action="updated", to=head.commit if head else None)
        now = self._pull(wanted, folder, ref, head)
        changed = (now.commit, now.branch) != (folder.commit, folder.branch)
        return replace(before, action="updated" if changed else "unchanged", to=now.commit)

    def _pull(self, wanted: Folder, folder: GitFolder, ref: Ref, head: Head | None) -> GitFolder:
        """Move the folder and look where it is. When the answer was lost, look first, then decide whether to try once more."""
        discard = wanted.on_conflict == "discard"
        for last in (False, True):
            try:
                self.api.move_folder(folder.id, ref, discard=discard, credential_id=self.credential.id)
                break
            except ServiceError as error:
                if last or not error.symptom.undecided:
                    raise
                now = self.api.folder(folder.id)
                if head is not None and is_at(now, ref, head):
                    return now
        return self.api.folder(folder.id)


def azure_devops_repository(
    found: GitFolder | OtherObject | None, trusted: TrustedHosts
) -> Repository | None:
    """What a Git folder is a clone of; None when that is not in Azure DevOps, or not on a trusted host."""
    if not isinstance(found, GitFolder):
        return None
    try:
        return parse_repository(found.url, trusted)
    except ValueError:
        return None


def facts_of(facts: Facts, repository: Repository | None, ref: Ref | None) -> Facts:
    """The facts around a repository and a ref, as far as there are such."""
    if ref is not None:
        facts = replace(facts, ref=ref.title)
    if repository is None:
        return facts
    return replace(
        facts,
        organization=repository.organization,
        project=repository.project,
        repository=repository.name,
        url=repository.url,
    )


def _name(ref: Ref | None) -> str | None:
    return ref.name if ref else None
