"""Checks the new token, and stores it in the Git credential of each principal of a workspace."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, diagnose, finding
from git_refresh.failures.failure import ServiceError
from git_refresh.model.values import StoredCredential
from git_refresh.run.context import Run
from git_refresh.run.decide import Source, describe_owner, federated_credential, is_ours, own_credential
from git_refresh.run.listing import Listing
from git_refresh.run.ports import WorkspaceApi
from git_refresh.run.probe import TokenProbe
from git_refresh.run.report import CredentialReport
from git_refresh.settings.entries import Entry
from git_refresh.settings.models import Workspace


@dataclass(frozen=True, slots=True)
class CredentialRefresh:
    api: WorkspaceApi
    entry: Entry
    run: Run
    context: DiagnosisContext
    fail: Callable[[Diagnosis], bool]
    """Sets the workspace's failure. Returns False if it already has one."""
    stored: Callable[[CredentialReport], None]
    """Receives the report of each credential immediately, because time can run out before the next."""

    @property
    def workspace(self) -> Workspace:
        return self.entry.workspace

    def refresh(self, listed: Listing) -> CredentialReport:
        """Store the run's token unless Azure DevOps rejects it, and return the report.

        The report is about the principal that the app signs in as. `stored` receives those of all principals.

        Raises:
            ServiceError: the stored credentials could not be listed.
        """
        rejection = TokenProbe(self.api, self.entry, self.run, self.context).rejection(listed)
        credentials = self.api.credentials(None)
        found = own_credential(credentials, self.workspace.git_username)
        self._warn(credentials, None if rejection else found, self.workspace.name, self.context)
        if rejection is not None:
            return self._keep_stored(credentials, found, *rejection)
        try:
            report = self._store(None, found)
        except ServiceError as error:
            failure = diagnose(error, self.context)
            self.fail(failure)
            report = CredentialReport("failed", found.id if found else None, error=failure)
        report = replace(report, stored=tuple(credentials))
        self.stored(report)
        for principal_id in self.workspace.additional_principal_ids:  # also after a failure
            self._store_for(principal_id)
        return report

    def _keep_stored(
        self,
        credentials: Sequence[StoredCredential],
        found: StoredCredential | None,
        sources: tuple[Source, ...],
        rejection: Diagnosis,
    ) -> CredentialReport:
        self.fail(rejection)
        report = CredentialReport("failed")
        if found is not None:
            report = CredentialReport("token_rejected", found.id, "Azure DevOps rejects the new token")
        report = replace(report, error=rejection, rejected_by=sources, stored=tuple(credentials))
        self.stored(report)
        return report

    def _warn(
        self,
        credentials: Sequence[StoredCredential],
        found: StoredCredential | None,
        where: str,
        context: DiagnosisContext,
    ) -> None:
        """Warn about a federated credential, and about another owner's credential that receives the token."""
        add, username = self.run.notes.add, self.workspace.git_username
        if (federated := federated_credential(credentials)) is not None:
            add(self.workspace.name, where, finding("federated_credential", context, id=federated.id))
        if found is not None and not is_ours(found, username):
            owner = describe_owner(found, username)
            add(self.workspace.name, where, finding("foreign_credential", context, id=found.id, owner=owner))

    def _store_for(self, principal_id: int) -> None:
        who = f"Service principal {principal_id} (additional_principal_ids)"
        where = f"{self.workspace.name}, {who}"
        context = replace(
            self.context, principal=f"service principal {principal_id} (additional_principal_ids)"
        )
        report = CredentialReport("failed", principal_id=principal_id)
        try:
            credentials = self.api.credentials(principal_id)
            report = replace(report, stored=tuple(credentials))
            found = own_credential(credentials, self.workspace.git_username)
            self._warn(credentials, found, where, context)
            done = self._store(principal_id, found)
            report = replace(done, principal_id=principal_id, stored=report.stored)
        except ServiceError as error:
            failure = diagnose(error, context)
            report = replace(report, error=failure)
            if not self.fail(replace(failure, message=f"{who}: {failure.message}")):
                self.run.notes.add(self.workspace.name, where, failure)
        self.stored(report)

    def _store(self, principal_id: int | None, found: StoredCredential | None) -> CredentialReport:
        """Update or create the credential. After a failure, read the current state and retry once."""
        try:
            return self._write(principal_id, found)
        except ServiceError as error:
            again = own_credential(self.api.credentials(principal_id), self.workspace.git_username)
            nothing_new = (again and again.id) == (found and found.id)
            if nothing_new and not (found is None and error.failure.outcome_unknown):
                raise
        return self._write(principal_id, again)

    def _write(self, principal_id: int | None, found: StoredCredential | None) -> CredentialReport:
        username, token = self.workspace.git_username, self.run.token.value
        if found is not None and not is_ours(found, username):
            username = found.username or username  # otherwise the next run would take it for the app's own
        if found is None:
            id_ = None if self.run.dry_run else self.api.create_credential(username, token, principal_id)
            return CredentialReport("created", id_, "no credential for Azure DevOps exists")
        if not self.run.dry_run:
            self.api.update_credential(found.id, username, token, principal_id)
        return CredentialReport("updated", found.id, "a new token replaces the stored one")
