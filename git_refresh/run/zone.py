"""Steps of one trust zone: fetch its Azure DevOps token, then create the work on its workspaces."""

from collections.abc import Callable
from dataclasses import replace

from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, diagnose, out_of_time
from git_refresh.model.values import AZURE_DEVOPS, Zone
from git_refresh.run.context import Run, facts_of_zone, key_of
from git_refresh.run.ports import Clouds
from git_refresh.run.report import CredentialReport, WorkspaceReport
from git_refresh.run.workspace import WorkspaceRefresh, folder_reports
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings

type Why = Callable[[DiagnosisContext], Diagnosis]
"""Returns the diagnosis of an unfinished workspace."""


class ZoneRefresh:
    """Steps and reports of one trust zone. No step raises.

    Attributes:
        run: state that its workspaces share; None without a token.
        failure: why the token is missing.
    """

    def __init__(self, zone: Zone, settings: Settings, clouds: Clouds, begin: Callable[..., Run]) -> None:
        """Store the settings of this zone. `begin` creates its `Run` from the zone's own values."""
        self.zone = zone
        self.settings = settings
        self.context = facts_of_zone(zone, settings)
        self.run: Run | None = None
        self.failure: Diagnosis | None = None
        self._clouds = clouds
        self._begin = begin
        self._works: dict[str, WorkspaceRefresh] = {}

    @property
    def entries(self) -> list[Entry]:
        return [entry for entry in self.settings.entries if isinstance(entry, Entry)]

    def fetch_token(self) -> bool:
        """Fetch the token that the workspaces store. Return whether this succeeded."""
        try:
            services = self._clouds.services(self.zone)
            token = services.token(AZURE_DEVOPS)
            self.context = replace(self.context, object_id=token.object_id)
            self.run = run = self._begin(
                self.settings,
                services,
                services.heads(token),
                token=token,
                context=self.context,
                admin=self._clouds.admin,
            )
        except BaseException as error:  # noqa: BLE001  # a bug must not stop the other workspaces
            self.failure = diagnose(error, self.context)
        else:
            self._works = {entry.workspace.host: WorkspaceRefresh(entry, run) for entry in self.entries}
            return True
        return False

    def by_key(self) -> list[list[WorkspaceRefresh]]:
        """Return the workspaces, grouped by the secret or token for the sign-in."""
        found: dict[tuple[str, str], list[WorkspaceRefresh]] = {}
        for work in self._works.values():
            found.setdefault(key_of(work.workspace), []).append(work)
        return list(found.values())

    def report(self, entry: Entry, why: Why = out_of_time) -> WorkspaceReport:
        """Return the report of one workspace. `why` returns the diagnosis of unfinished work."""
        workspace = entry.workspace
        if (work := self._works.get(workspace.host)) is not None:
            return work.report(why)
        late = None if self.failure else why(self.context)
        folders = folder_reports(workspace, entry.bad_folders, {}, late, self.context)
        credential = CredentialReport("failed")
        return WorkspaceReport(
            workspace.name, workspace.host, "failed", credential, folders, self.failure or late
        )
