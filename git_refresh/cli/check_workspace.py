"""One workspace's lines of a check: signing in, its Git credentials, its Git folders."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from git_refresh.cli.check_devops import CachedRefResolver
from git_refresh.cli.checks import Check, Layer, failed, skipped, warning
from git_refresh.cli.jobs import WorkspaceChecks
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, diagnose, explain, finding
from git_refresh.failures.failure import Service, ServiceError, ServiceFailure, is_definite, is_rejection
from git_refresh.failures.table import CLOSED, Known
from git_refresh.model.repository import Repository
from git_refresh.model.values import CREDENTIAL_NAME, GitFolder, ResolvedRef, StoredCredential
from git_refresh.output.text import count
from git_refresh.run.context import MAX_WARNINGS_PER_SUBJECT, Run, facts_of_principal
from git_refresh.run.decide import (
    describe_owner,
    federated_credential,
    is_ours,
    other_credentials,
    own_credential,
    wanted_ref,
)
from git_refresh.run.folder import FolderRefresh, azure_devops_repository, remote_of
from git_refresh.run.listing import Listing
from git_refresh.run.ports import WorkspaceApi
from git_refresh.run.probe import TokenProbe
from git_refresh.run.report import CredentialReport, FolderReport
from git_refresh.settings.entries import Entry
from git_refresh.settings.models import Folder


class WorkspaceCheck:
    """Looks at one workspace through a dry run's eyes."""

    def __init__(
        self,
        entry: Entry,
        run: Run,
        heads: CachedRefResolver,
        secrets: Mapping[str, Check],
        room: WorkspaceChecks,
    ) -> None:
        """Take the workspace, and what is known already.

        Args:
            entry: which one.
            run: a dry run.
            heads: Azure DevOps, with what it has said of each ref so far; the run adds to it.
            secrets: the line of each Key Vault secret.
            room: what is left of it for those who come after.
        """
        self.room = room
        self._workspace = entry.workspace
        self._name = entry.workspace.name
        self._entry = entry
        self._seen: list[tuple[Folder, GitFolder | None]] = []
        self._run = run
        self._heads = heads
        self._secrets = secrets
        self._context = replace(run.context, host=entry.workspace.host, **facts_of_principal(entry.workspace))

    def checks(self) -> list[Check]:
        """Its lines; never raises for what a service does."""
        oauth = self._workspace.oauth
        if oauth is not None and self._secrets[oauth.secret_name].status == "failed":
            self.room.app_alone = True
            self.room.shut = because = f'the secret "{oauth.secret_name}" cannot be used'
            return self._skipped(because, in_general="the secret cannot be used", layers=("workspace",))
        if self._workspace.federated and self._run.services.identity is Service.AZURE_CLI:
            because = "a person's sign-in cannot be exchanged; in the app, the managed identity is"
            return self._skipped(because, layers=("workspace",))
        try:
            api = self._run.sign_in(self._workspace)
            stored = api.credentials(None)
        except (ServiceError, TimeoutError) as error:
            failure = diagnose(error, self._context)
            if isinstance(error, ServiceError):
                self.room.refusal = error.failure
                # Else nobody reaches it from here.
                self.room.app_alone = error.failure.status is not None and failure.code not in CLOSED
        else:
            self.room.stored[None] = stored
            self._context = replace(self._context, known=frozenset({Known.REACHED}))
            as_whom = f"signed in as {self._context.principal}"
            signed_in = Check("workspace", self._name, "ok", as_whom, kind="signed in")
            listing = Listing.of(api, self._entry, self._run.deadline)
            lines = [self._folder(api, folder, listing) for folder in listing]
            return [
                signed_in,
                *self._credentials(api, stored, listing),
                *self._patterns(listing),
                *lines,
            ]
        self.room.shut = because = f"the app cannot sign in to {self._name}"
        below = self._skipped(because, in_general="the app cannot sign in")
        return [failed("workspace", self._name, failure), *below]

    def judged(self, line: Check) -> Check:
        """One of its lines, now that it is known what all workspaces say to the same sign-in."""
        if self.room.refusal is None or line.error is None or line.layer != "workspace":
            return line
        known = self._run.known_of_sign_in(self._workspace)
        return failed(
            "workspace", self._name, explain(self.room.refusal, replace(self._context, known=known))
        )

    def _skipped(self, because: str, *, in_general: str = "", layers: Sequence[Layer] = ()) -> list[Check]:
        """A line for each of the layers, and for those below them."""
        whole: tuple[Layer, ...] = (*layers, "credential")
        found = [skipped(layer, self._name, because, in_general=in_general) for layer in whole]
        if self._workspace.folders:
            folders = count(len(self._workspace.folders), "Git folder")
            found.append(skipped("folder", f"{self._name}, {folders}", because, in_general=in_general))
        return found

    # Credentials

    def _credentials(
        self, api: WorkspaceApi, stored: Sequence[StoredCredential], listing: Listing
    ) -> Iterator[Check]:
        own = own_credential(stored, self._workspace.git_username)
        try:
            rejection = self._rejection(api, listing)
        except TimeoutError as error:
            yield failed("credential", self._name, diagnose(error, self._context))
            return
        if rejection is not None and self._rejection_told():
            because = "Azure DevOps rejects the token; a run leaves the credential as it is"
            yield skipped("credential", self._name, because)
        elif rejection is not None:
            yield failed("credential", self._name, rejection)
        elif own is None:
            yield Check(
                "credential", self._name, "ok", "there is none for Azure DevOps yet; a run creates it"
            )
        else:
            yield Check("credential", self._name, "ok", f"{_there(own)}; a run updates it", kind=_THERE)
        yield from self._oddities(self._name, self._context, stored, own)
        for principal_id in self._workspace.additional_principal_ids:
            yield from self._run_as(api, principal_id)

    def _oddities(
        self,
        subject: str,
        context: DiagnosisContext,
        stored: Sequence[StoredCredential],
        own: StoredCredential | None,
    ) -> Iterator[Check]:
        """What somebody should know of a principal's credentials, though it is no failure."""
        username, found = self._workspace.git_username, []
        if (federated := federated_credential(stored)) is not None:
            found.append(finding("federated_credential", context, id=federated.id))
        if own is not None and not is_ours(own, username):
            found.append(
                finding("foreign_credential", context, id=own.id, whose=describe_owner(own, username))
            )
        found += [
            finding("second_credential", context, id=own.id if own else "", other=rival.id)
            for rival in other_credentials(stored, own)[:MAX_WARNINGS_PER_SUBJECT]
        ]
        return (warning("credential", subject, told) for told in found)

    def _run_as(self, api: WorkspaceApi, principal_id: int) -> Iterator[Check]:
        subject = f"{self._name}, principal {principal_id}"
        context = replace(
            self._context, principal=f"service principal {principal_id} (additional_principal_ids)"
        )
        try:
            self.room.stored[principal_id] = stored = api.credentials(principal_id)
        except (ServiceError, TimeoutError) as error:
            yield failed("credential", subject, diagnose(error, context))
            return
        own = own_credential(stored, self._workspace.git_username)
        message = f"{_there(own)}; a run updates it" if own else "there is none yet; a run creates it"
        yield Check("credential", subject, "ok", message, kind=_THERE if own else "")
        yield from self._oddities(subject, context, stored, own)

    def _rejection(self, api: WorkspaceApi, listing: Listing) -> Diagnosis | None:
        """Why a run leaves the credential as it is. What it asks more than the folders do is no line of Azure DevOps' own."""
        run = replace(self._run, heads=self._heads.plain)
        return TokenProbe(api, self._entry, run, self._context).rejection(listing)

    def _rejection_told(self) -> bool:
        """Whether Azure DevOps' own lines tell of it: one of the folders leads to a repository that rejects the token."""
        for folder, found in self._seen:
            answer = self._answer(folder, found)
            if answer is None and folder.repository is not None:  # has a line of its own sooner or later
                self._heads.look((folder.repository, None))
                answer = self._heads.answers.get((folder.repository, None))
            if isinstance(answer, ServiceFailure) and is_rejection(answer):
                return True
        return False

    def _answer(self, folder: Folder, found: GitFolder | None) -> ResolvedRef | ServiceFailure | None:
        repository = self._repository(folder, found)
        return self._heads.answers.get((repository, wanted_ref(folder, found))) if repository else None

    # Folders

    def _patterns(self, listing: Listing) -> Iterator[Check]:
        """A line for each path ending in `/*` with something to say of it."""
        for found in listing.patterns(self._context):
            line = failed if found.failed else warning
            yield line("folder", f"{self._name} {found.pattern.path}", found.told)

    def _folder(self, api: WorkspaceApi, folder: Folder, listing: Listing) -> Check:
        subject = f"{self._name} {folder.path}"
        context = replace(self._context, path=folder.path)
        try:
            found = listing.look(folder)
        except (ServiceError, TimeoutError) as error:
            return failed("folder", subject, diagnose(error, context))
        there = found if isinstance(found, GitFolder) else None
        repository = self._repository(folder, there)
        if folder.ref is not None and repository is not None:
            self._heads.named.add((repository, folder.ref))
        self._seen.append((folder, there))
        # One mistake is reported once: what Azure DevOps says is in its own layer.
        work = FolderRefresh(api, self._run, self._context, CredentialReport("updated"), listing)
        report = work.refresh(folder)
        if report.action == "skipped":
            return skipped("folder", subject, report.why)
        if report.error is not None and self._told_above(folder, there):
            return skipped(
                "folder",
                subject,
                f"Azure DevOps reports a problem with {self._repository(folder, there)}",
                in_general="Azure DevOps reports a problem with the repository",
            )
        if report.error is not None:
            return failed("folder", subject, report.error)
        has_password = there is not None and remote_of(there, self._run.trusted).has_password
        if report.note is not None and (has_password or report.action == "unchanged"):
            return warning("folder", subject, report.note)
        if there is not None and listing.hides(folder, there):
            # Where there is something to update, the run is refused.
            line = failed if report.action == "updated" else warning
            return line("folder", subject, finding("folder_permission", context))
        kind = _A_RUN.get(report.action, "nothing to do")
        return Check("folder", subject, "ok", _what_a_run_does(report, there), kind=kind)

    def _told_above(self, folder: Folder, found: GitFolder | None) -> bool:
        match self._answer(folder, found):
            case ServiceFailure() as failure:
                return is_definite(failure)
            case ResolvedRef(None):
                # That the folder's own branch is gone, only its line says.
                return folder.ref is not None
            case _:
                return False

    def _repository(self, folder: Folder, found: GitFolder | None) -> Repository | None:
        return folder.repository or azure_devops_repository(found, self._run.trusted)


_THERE = "a Git credential is there; a run updates it"
_A_RUN = {"created": "a run creates it", "updated": "a run updates it"}


def _there(credential: StoredCredential) -> str:
    made = ", made by this app," if credential.name == CREDENTIAL_NAME else ""
    return f"Git credential {credential.id}{made} is there"


def _what_a_run_does(report: FolderReport, found: GitFolder | None) -> str:
    kind = "Git-CLI folder; " if found is not None and found.git_cli else ""
    match report.action:
        case "created":
            return f"{report.why}; a run creates it"
        case "updated":
            return f"{kind}{report.why}; a run updates it"
        case _:
            return f"{kind}{report.why}"
