"""The check of one workspace: sign-in, Git credentials, and Git folders."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from git_refresh.cli.checks import Check, Layer, failed, skipped, warning
from git_refresh.cli.jobs import WorkspaceAccess
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, finding
from git_refresh.failures.failure import ServiceFailure, is_definite
from git_refresh.failures.table import CLOSED
from git_refresh.model.values import CREDENTIAL_NAME, GitFolder, ResolvedRef, StoredCredential
from git_refresh.output.text import count
from git_refresh.run.context import MAX_WARNINGS_PER_SUBJECT, Run, facts_of_workspace
from git_refresh.run.decide import (
    FolderState,
    describe_owner,
    federated_credential,
    is_ours,
    other_credentials,
    own_credential,
)
from git_refresh.run.report import CredentialReport, FolderReport, WorkspaceReport
from git_refresh.settings.entries import Entry


@dataclass(frozen=True, slots=True)
class WorkspaceCheck:
    """The check of one workspace, from its report of a dry run.

    Attributes:
        secrets: the line of each Key Vault secret, by name.
        access: object that receives the results for the jobs check.
    """

    entry: Entry
    report: WorkspaceReport
    run: Run
    secrets: Mapping[str, Check]
    access: WorkspaceAccess

    @property
    def _name(self) -> str:
        return self.entry.workspace.name

    @property
    def _context(self) -> DiagnosisContext:
        return facts_of_workspace(self.run.context, self.entry.workspace)

    @property
    def _as_admin(self) -> bool:
        return self.run.reads_as_admin(self.entry.workspace)

    def checks(self) -> list[Check]:
        oauth, report = self.entry.workspace.oauth, self.report
        if oauth is not None and self.secrets[oauth.secret_name].status == "failed":
            self.access.app_alone = True
            self.access.shut = because = f'the secret "{oauth.secret_name}" cannot be used'
            return self._skipped(because, in_general="the secret cannot be used", layers=("workspace",))
        if report.credential is not None and report.credential.stored is not None:
            credentials = (report.credential, *report.additional)
            self.access.stored = {
                each.principal_id: each.stored for each in credentials if each.stored is not None
            }
            return self._signed_in(report, report.credential)
        who = "you" if self._as_admin else "the app"
        self.access.shut = because = f"{who} cannot sign in to {self._name}"
        below = self._skipped(because, in_general=f"{who} cannot sign in")
        if report.error is None:
            return below
        # Without a response, your account cannot reach the workspace from here either.
        answered = report.failure is not None and report.failure.status is not None
        self.access.app_alone = answered and report.error.code not in CLOSED and not self._as_admin
        return [failed("workspace", self._name, report.error), *below]

    def _signed_in(self, report: WorkspaceReport, own: CredentialReport) -> list[Check]:
        how = "read with your account, for" if self._as_admin else "signed in as"
        kind = "read with your account" if self._as_admin else "signed in"
        lines = [
            Check("workspace", self._name, "ok", f"{how} {self._context.principal}", kind=kind),
            *(line for each in (own, *report.additional) for line in self._credential(each)),
            *self._folders(report, own),
        ]
        # Other errors that fail a run, such as its timeout, fail the check too.
        codes = {"invalid_folder", *(line.error.code for line in lines if line.error)}
        if report.error is not None and report.error != own.error and report.error.code not in codes:
            lines.append(failed("workspace", self._name, report.error))
        return lines

    def _skipped(self, because: str, *, in_general: str = "", layers: Sequence[Layer] = ()) -> list[Check]:
        whole: tuple[Layer, ...] = (*layers, "credential")
        found = [skipped(layer, self._name, because, in_general=in_general) for layer in whole]
        return [*found, *self._skipped_folders(because, in_general=in_general)]

    def _skipped_folders(self, because: str, *, in_general: str = "") -> Iterator[Check]:
        if self.entry.workspace.folders:
            folders = count(len(self.entry.workspace.folders), "Git folder")
            yield skipped("folder", f"{self._name}, {folders}", because, in_general=in_general)

    # Credentials

    def _credential(self, report: CredentialReport) -> Iterator[Check]:
        subject, context = self._name, self._context
        if report.principal_id is not None:
            subject = f"{self._name}, principal {report.principal_id}"
            who = f"service principal {report.principal_id} (additional_principal_ids)"
            context = replace(context, principal=who)
        own = own_credential(report.stored or (), self.entry.workspace.git_username)
        if report.rejected_by:
            because = "Azure DevOps rejects the token (a run keeps the stored credential)"
            yield skipped("credential", subject, because)
        elif report.error is not None:
            yield failed("credential", subject, report.error)
        elif own is None:
            message = "no Git credential for Azure DevOps yet; a run creates one"
            yield Check("credential", subject, "ok", message)
        else:
            yield Check("credential", subject, "ok", f"{_existing(own)}; a run updates it", kind=_EXISTING)
        yield from self._warnings(subject, context, report.stored or (), own)

    def _warnings(
        self,
        subject: str,
        context: DiagnosisContext,
        stored: Sequence[StoredCredential],
        own: StoredCredential | None,
    ) -> Iterator[Check]:
        username, found = self.entry.workspace.git_username, list[Diagnosis]()
        if (federated := federated_credential(stored)) is not None:
            found.append(finding("federated_credential", context, id=federated.id))
        if own is not None and not is_ours(own, username):
            found.append(
                finding("foreign_credential", context, id=own.id, owner=describe_owner(own, username))
            )
        found += [
            finding("second_credential", context, id=own.id if own else "", other=rival.id)
            for rival in other_credentials(stored, own)[:MAX_WARNINGS_PER_SUBJECT]
        ]
        return (warning("credential", subject, diagnosis) for diagnosis in found)

    # Folders

    def _folders(self, report: WorkspaceReport, own: CredentialReport) -> Iterator[Check]:
        for pattern in report.patterns:
            line = failed if pattern.failed else warning
            yield line("folder", f"{self._name} {pattern.path}", pattern.diagnosis)
        if own.action == "failed":
            yield from self._skipped_folders("the credential failed, so a run does not reach them")
            return
        for folder in report.single_folders:
            if folder.error is None or folder.error.code != "invalid_folder":  # in the settings layer
                yield self._folder(folder, own)

    def _folder(self, report: FolderReport, own: CredentialReport) -> Check:
        subject = f"{self._name} {report.path}"
        if report.action == "skipped":
            return skipped("folder", subject, report.why)
        seen = report.seen
        failing = report.error is not None or own.error is not None
        if failing and seen is not None and seen.source is not None and self._is_reported_above(seen):
            return skipped(
                "folder",
                subject,
                f"Azure DevOps reports a problem with {seen.source[0]}",
                in_general="Azure DevOps reports a problem with the repository",
            )
        if report.error is not None:
            return failed("folder", subject, report.error)
        there = seen.folder if seen else None
        has_password = seen is not None and seen.remote.has_password
        if report.note is not None and (has_password or report.action == "unchanged"):
            return warning("folder", subject, report.note)
        if seen is not None and seen.hidden:
            # A run that updates the folder would fail.
            line = failed if report.action == "updated" else warning
            context = replace(self._context, path=report.path)
            return line("folder", subject, finding("folder_permission", context))
        kind = _A_RUN.get(report.action, "nothing to do")
        return Check("folder", subject, "ok", _what_a_run_does(report, there), kind=kind)

    def _is_reported_above(self, seen: FolderState) -> bool:
        """Return whether a line of the Azure DevOps layer reports the folder's problem."""
        match self.run.answers.get(seen.source) if seen.source else None:
            case ServiceFailure() as failure:
                return is_definite(failure)
            case ResolvedRef(None):
                # If the settings do not name the missing branch, only the folder's line reports it.
                return seen.wanted.ref is not None
            case _:
                return False


_EXISTING = "has a Git credential; a run updates it"
_A_RUN = {"created": "a run creates it", "updated": "a run updates it"}


def _existing(credential: StoredCredential) -> str:
    by_app = " (created by the app)" if credential.name == CREDENTIAL_NAME else ""
    return f"has Git credential {credential.id}{by_app}"


def _what_a_run_does(report: FolderReport, found: GitFolder | None) -> str:
    kind = "Git-CLI folder; " if found is not None and found.git_cli else ""
    match report.action:
        case "created":
            return f"{report.why}; a run creates it"
        case "updated":
            return f"{kind}{report.why}; a run updates it"
        case _:
            return f"{kind}{report.why}"
